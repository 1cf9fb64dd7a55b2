//! `completion` and `man`: what a shell and `man` know of the commands, made from the tree of commands itself.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use agent::config::Flags;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use daemon::Exit;
use template_watcher::config::usage;

use crate::{
    client::system_words,
    output::{failure, line},
    program::Tree,
};

/// Print what a shell needs to complete the commands
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo completion bash > /etc/bash_completion.d/ryo\n  \
    ryo completion fish > ~/.config/fish/completions/ryo.fish\n\nExit codes: 0 printed, 1 no such shell")]
pub(crate) struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL")]
    words: Vec<String>,
}

impl Completion {
    pub(crate) fn run(self) -> Exit {
        let shell = match self.words.as_slice() {
            [shell] => match shell.as_str() {
                "bash" => Shell::Bash,
                "zsh" => Shell::Zsh,
                "fish" => Shell::Fish,
                other => return failure(format!("no completion for {other}: there are bash, zsh and fish")),
            },
            _ => return failure("name one shell: bash, zsh or fish"),
        };
        line(script(shell).trim_ascii_end());
        Exit::Success
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Tree::command(), "ryo", &mut out);
    let text = String::from_utf8(out).expect("scripts are made of texts");
    let lines: Vec<String> = text.lines().map(|line| single_dashes(shell, line)).collect();
    (lines.join("\n") + "\n").into_bytes()
}

/// A line of a script that knows `-flag` where it knew `--flag`: Consul's users write one dash.
fn single_dashes(shell: Shell, line: &str) -> String {
    let trimmed = line.trim_start();
    let indent = &line[..line.len() - trimmed.len()];
    match shell {
        Shell::Bash if trimmed.starts_with("opts=\"") => line
            .split(' ')
            .map(|word| match word.strip_prefix("--") {
                Some(name) => format!("-{} {word}", name.trim_end_matches('"')),
                None => word.to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Shell::Bash if trimmed.starts_with("--") && trimmed.ends_with(')') => {
            format!("{indent}{}|{trimmed}", &trimmed[1..trimmed.len() - 1])
        }
        Shell::Zsh if trimmed.starts_with("'--") || trimmed.starts_with("'*--") => {
            format!("{indent}{}\n{line}", trimmed.replacen("--", "-", 1))
        }
        Shell::Fish => match line.split_once(" -l ") {
            Some((before, after)) => {
                let name = after.split(' ').next().unwrap_or_default();
                format!("{before} -o {name} -l {after}")
            }
            None => line.to_owned(),
        },
        _ => line.to_owned(),
    }
}

/// Answers a shell that was told `complete -C consul consul`, as Consul's own installation tells it: the line so far stands in
/// COMP_LINE, what could be its last word is printed.
pub(crate) fn answer_shell(root: &Command) -> Option<Exit> {
    let typed = std::env::var("COMP_LINE").ok()?;
    line(candidates(root, &typed).join("\n"));
    Some(Exit::Success)
}

/// What the last word of a line could become.
fn candidates(root: &Command, typed: &str) -> Vec<String> {
    let mut words: Vec<&str> = typed.split_whitespace().skip(1).collect();
    let begun = if typed.ends_with(char::is_whitespace) { "" } else { words.pop().unwrap_or_default() };
    let command = words.iter().try_fold(root, |command, word| {
        if command.has_subcommands() { command.find_subcommand(word) } else { Some(command) }
    });
    let Some(command) = command else { return Vec::new() };
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let below = below.map(|below| below.get_name().to_owned());
    let flags = command.get_arguments().filter(|arg| !arg.is_hide_set() && begun.starts_with('-'));
    let flags = flags.filter_map(|arg| arg.get_long()).map(|name| format!("-{name}"));
    let begun = begun.strip_prefix("-").filter(|rest| rest.starts_with('-')).unwrap_or(begun);
    below.chain(flags).filter(|word| word.starts_with(begun)).collect()
}

/// Answers `consul -autocomplete-install` and `-autocomplete-uninstall`, which write into the user's shell files there.
pub(crate) fn autocomplete(words: &[String]) -> Option<Exit> {
    let (file, shell) = (".bash_completion", Shell::Bash);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = || home.clone().map(|home| home.join(file)).ok_or_else(|| "HOME is not set".to_owned());
    let marked = |text: &str| format!("{START}\n{text}{END}\n");
    let done = match words.first()?.trim_start_matches('-') {
        "autocomplete-install" => path().and_then(|path| {
            let script = String::from_utf8_lossy(&script(shell)).replace("ryo", "consul");
            rewrite(&path, |text| without(text) + &marked(&script))
        }),
        "autocomplete-uninstall" => path().and_then(|path| rewrite(&path, without)),
        _ => return None,
    };
    Some(done.map_or_else(failure, |()| Exit::Success))
}

/// Where our part of a file begins.
const START: &str = "# begin of the commands' completion";
/// Where it ends.
const END: &str = "# end of the commands' completion";

fn rewrite(path: &Path, change: impl Fn(&str) -> String) -> Result<(), String> {
    let wrong = |e: &io::Error| format!("{}: {}", path.display(), system_words(e));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(wrong(&e)),
    };
    fs::write(path, change(&text)).map_err(|e| wrong(&e))
}

/// The text without our part.
fn without(text: &str) -> String {
    match (text.split_once(START), text.split_once(END)) {
        (Some((before, _)), Some((_, after))) => before.to_owned() + after.trim_start_matches('\n'),
        _ => text.to_owned(),
    }
}

/// Write the manual's pages into a folder
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo man /usr/local/share/man/man1\n\nExit codes: 0 written, 1 it cannot be written"
)]
pub(crate) struct Man {
    /// The folder; it is made when it is not there
    #[arg(value_name = "FOLDER")]
    words: Vec<String>,
}

impl Man {
    pub(crate) fn run(self) -> Exit {
        let [folder] = self.words.as_slice() else { return failure("name one folder for the pages") };
        let folder = Path::new(folder);
        let written = fs::create_dir_all(folder).and_then(|()| {
            // These two read their flags themselves.
            let mut tree = Tree::command()
                .mut_subcommand("agent", |agent| agent.after_help(Flags::help()))
                .mut_subcommand("template", |watcher| watcher.after_help(usage("ryo-watch")));
            tree.build();
            pages(&tree, "ryo", folder)
        });
        match written {
            Ok(count) => {
                line(format!("{count} pages in {}", folder.display()));
                Exit::Success
            }
            Err(e) => failure(format!("{}: {}", folder.display(), system_words(&e))),
        }
    }
}

/// A page for a command, and for each below it; how many.
fn pages(command: &Command, name: &str, folder: &Path) -> io::Result<usize> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    fs::File::create(folder.join(format!("{name}.1")))?.write_all(&page)?;
    let mut count = 1;
    let told = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
    for below in command.get_subcommands().filter(told) {
        count += pages(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use clap::CommandFactory as _;

    use super::{END, START, Tree, candidates, script, without};

    #[test]
    fn shells_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(script(shell)).expect("scripts are text");
            assert!(text.contains("force-leave") && text.contains("http-addr"), "{shell}");
            let single = match shell {
                Shell::Bash => " -recurse --recurse ",
                Shell::Zsh => "'-recurse[",
                _ => " -o recurse -l recurse ",
            };
            assert!(text.contains(single), "{shell}");
        }
    }

    #[test]
    fn a_line_is_completed() {
        let root = Tree::command();
        let of = |typed: &str| candidates(&root, typed);
        assert_eq!(of("consul kv g"), ["get"]);
        assert_eq!(of("consul forc"), ["force-leave"]);
        assert_eq!(of("consul kv get -rec"), ["-recurse"]);
        assert_eq!(of("consul kv get --rec"), ["-recurse"]);
        assert!(of("consul operator raft ").contains(&"list-peers".to_owned()));
        assert!(of("consul kv get ").is_empty() && of("consul nosuch x").is_empty());
    }

    #[test]
    fn only_our_part_of_a_file_goes() {
        let text = format!("a\n{START}\nours\n{END}\nb\n");
        assert_eq!(without(&text), "a\nb\n");
        assert_eq!(without("a\n"), "a\n");
    }
}
