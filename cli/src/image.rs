//! The container image's entry, in which there is no shell: what the words after the image's name mean.
//!
//! `docker run IMAGE agent …` is read as Docker's own image `consul` reads it, `docker run IMAGE -server …` as
//! `progrium/consul` does, which came before it; everything else is a command.

use std::{fs, io};

use crate::program::{self, Program};

/// The name that the image calls the binary by.
pub(crate) const NAME: &str = "ryo-entry";

/// The names that the binary has in the image.
const PROGRAMS: [&str; 6] = ["consul", "consul-template", "ryo", "ryo-agent", "ryo-registry", "ryo-watch"];
/// Where the image keeps configuration and data; `/consul/…` of Docker's image are links to them.
const CONFIG: &str = "/config";
const DATA: &str = "/data";
/// What `progrium/consul` configures: all addresses, DNS on 53, data in `/data`, the page.
const DEFAULTS: &str = "/etc/ryo/image.hcl";

/// Chooses the program and the name that it is called by, and writes `CONSUL_LOCAL_CONFIG` where an agent reads it, as
/// Docker's image does.
///
/// Errors when that cannot be written.
pub(crate) fn choose(words: Vec<String>) -> io::Result<(String, Program)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let called = words.first().filter(|word| PROGRAMS.contains(&word.as_str()));
    let called = called.map_or("consul", String::as_str).to_owned();
    let program = meant(words, variable);
    if let (Program::Agent(_), Some(text)) = (&program, variable("CONSUL_LOCAL_CONFIG")) {
        fs::write(format!("{CONFIG}/local.json"), text)?;
    }
    Ok((called, program))
}

fn meant(mut words: Vec<String>, variable: impl Fn(&str) -> Option<String>) -> Program {
    let first = words.first().map(String::as_str).unwrap_or_default();
    match first {
        _ if matches!(first, "-v" | "-version" | "--version" | "-h" | "-help" | "--help") => {
            Program::Command(words)
        }
        _ if first.starts_with('-') => {
            let mut defaults = vec![format!("-config-file={DEFAULTS}"), format!("-config-dir={CONFIG}")];
            // The page is on there. It is said twice only at the cost of a refusal.
            let says = |word: &String| {
                word.trim_start_matches('-')
                    .split('=')
                    .next()
                    .is_some_and(|flag| flag == "ui" || flag == "ui-dir")
            };
            if !words.iter().any(says) {
                defaults.push("-ui".into());
            }
            Program::Agent([defaults, words].concat())
        }
        "agent" => {
            let mut defaults = vec![format!("-data-dir={DATA}"), format!("-config-dir={CONFIG}")];
            for (flag, name) in [("bind", "CONSUL_BIND_INTERFACE"), ("client", "CONSUL_CLIENT_INTERFACE")] {
                let interface = variable(name);
                defaults.extend(interface.map(|name| format!("-{flag}={{{{ GetInterfaceIP \"{name}\" }}}}")));
            }
            Program::Agent([defaults, words.split_off(1)].concat())
        }
        _ if PROGRAMS.contains(&first) => {
            let rest = words.split_off(1);
            program::choose(&words[0], rest)
        }
        _ => program::choose("consul", words),
    }
}

#[cfg(test)]
mod tests {
    use super::{Program, meant};

    fn means(line: &str) -> Program {
        let words = line.split_whitespace().map(String::from).collect();
        meant(words, |name| (name == "CONSUL_BIND_INTERFACE").then(|| "eth0".into()))
    }

    fn agent(words: &[&str]) -> Program {
        Program::Agent(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn flags_alone_are_an_agents_with_the_old_images_settings() {
        assert_eq!(
            means("-server -bootstrap -ui"),
            agent(&[
                "-config-file=/etc/ryo/image.hcl",
                "-config-dir=/config",
                "-server",
                "-bootstrap",
                "-ui"
            ])
        );
    }

    #[test]
    fn agent_has_the_settings_of_dockers_image() {
        let bind = "-bind={{ GetInterfaceIP \"eth0\" }}";
        assert_eq!(means("agent -dev"), agent(&["-data-dir=/data", "-config-dir=/config", bind, "-dev"]));
    }

    #[test]
    fn other_words_are_commands_and_programs() {
        let command = |line: &str| Program::Command(line.split_whitespace().map(String::from).collect());
        assert_eq!(means("members -wan"), command("members -wan"));
        assert_eq!(means("consul kv get a"), command("kv get a"));
        assert_eq!(means("--version"), command("--version"));
        assert_eq!(means("consul agent -dev"), agent(&["-dev"]));
        assert_eq!(means("consul-template -once"), Program::Watcher(vec!["-once".into()]));
    }
}
