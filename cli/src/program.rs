//! Which program a name and a first word mean, and the tree of the operator's commands.

use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use daemon::Exit;

use crate::{
    client::NoWords,
    commands::{
        absent,
        acl::{Acl, Login, Logout},
        catalog::Catalog,
        cluster::{ForceLeave, Join, Leave, Reload},
        completion::{self, Completion, Man},
        config::Config,
        debug::Debug,
        dev::Dev,
        doctor::Doctor,
        event::Event,
        exec::Exec,
        info::Info,
        intention::Intention,
        keys::{Keygen, Keyring},
        kv::Kv,
        lock::Lock,
        maint::Maint,
        members::Members,
        monitor::Monitor,
        operator::Operator,
        rtt::Rtt,
        services::Services,
        snapshot::Snapshot,
        tls::Tls,
        top::Top,
        validate::Validate,
        version::Version,
        watch::Watch,
    },
    flags::{self, Refusal},
    image,
    output::{line, note},
};

/// What is to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The registry or an agent, with the words after its name.
    Agent(Vec<String>),
    /// The watcher, with the words after its name.
    Watcher(Vec<String>),
    /// One of the operator's commands, with the words after the program's name.
    Command(Vec<String>),
}

/// Chooses by the name the binary was called by, and by the first word when the name leaves it open.
pub(crate) fn choose(called: &str, mut words: Vec<String>) -> Program {
    match called {
        "ryo-registry" => {
            words.insert(0, "-server".into());
            Program::Agent(words)
        }
        "ryo-agent" => Program::Agent(words),
        "ryo-watch" | "consul-template" => Program::Watcher(words),
        _ => match words.first().map(String::as_str) {
            Some("agent") => Program::Agent(words.split_off(1)),
            Some("template") => Program::Watcher(words.split_off(1)),
            _ => Program::Command(words),
        },
    }
}

/// Registry, agent and watcher for small fleets
#[derive(Debug, Parser)]
#[command(
    name = "ryo",
    after_help = "Flags are written as Consul's: -name=value or -name value, before all other words.\n\
        Exit codes: 0 done, 1 refused, failed or no answer, 2 nothing fits (members), 127 no such command."
)]
pub(crate) struct Tree {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after tokens and what they allow
    #[command(subcommand)]
    Acl(Acl),
    /// Run the registry (-server) or an agent
    #[command(disable_help_flag = true)]
    Agent,
    /// List datacenters, nodes and services
    #[command(subcommand)]
    Catalog(Catalog),
    /// Print what a shell needs to complete the commands
    Completion(Completion),
    /// Read and write configuration entries
    #[command(subcommand)]
    Config(Config),
    /// The service mesh, which ryo does not have
    Connect(NoWords),
    /// Record what an agent tells of itself, as an archive
    Debug(Box<Debug>),
    /// Run registry, agent, DNS and watcher in one process, on loopback
    Dev(Box<Dev>),
    /// Say what is wrong with this node, and what mends it
    Doctor(Doctor),
    /// Fire a user event
    Event(Event),
    /// Run a command on other nodes
    Exec(Box<Exec>),
    /// Declare a node to have left
    ForceLeave(ForceLeave),
    /// Print figures of the agent
    Info(Info),
    /// Keep which services may call which
    #[command(subcommand)]
    Intention(Intention),
    /// Let the agent join a fleet
    Join(Join),
    /// Make a new key for a fleet to share
    Keygen(Keygen),
    /// List and change the keys that nodes share
    Keyring(Keyring),
    /// Read and write keys
    #[command(subcommand)]
    Kv(Kv),
    /// Let the agent leave its fleet and end
    Leave(Leave),
    /// Run a command while holding a lock
    Lock(Box<Lock>),
    /// Get a token by a third party's word
    Login(Box<Login>),
    /// Destroy a token that login gave
    Logout(Logout),
    /// Take this node or one of its services out of service, and back
    Maint(Maint),
    /// Write the manual's pages into a folder
    Man(Man),
    /// List the nodes and how they are
    Members(Members),
    /// Follow the log of a running agent
    Monitor(Monitor),
    /// Look after the servers
    #[command(subcommand)]
    Operator(Operator),
    /// Peering of clusters, which ryo does not have
    Peering(NoWords),
    /// Let the agent read its configuration again
    Reload(Reload),
    /// Consul's second catalog, which ryo does not have
    Resource(NoWords),
    /// Estimate the round trip between two nodes
    Rtt(Rtt),
    /// Register and deregister services with the local agent
    #[command(subcommand)]
    Services(Services),
    /// Save, inspect and restore the whole state
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Run the watcher, which renders files from the registry's data
    #[command(disable_help_flag = true)]
    Template,
    /// Make certificates for a fleet
    #[command(subcommand)]
    Tls(Tls),
    /// A live view of nodes, services, checks and rates
    Top(Top),
    /// Help with the service mesh, which ryo does not have
    Troubleshoot(NoWords),
    /// Check configuration files as an agent would read them
    Validate(Validate),
    /// Print the version
    Version(Version),
    /// Follow a part of the data, and run a command at each change
    Watch(Box<Watch>),
}

/// Whether the binary was called by Consul's name, or is the entry of the container image: what scripts compare is Consul's then, to the letter.
pub(crate) fn called_consul() -> bool {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name().is_some_and(|name| name == "consul" || name == image::NAME)
}

/// Runs one of the operator's commands.
pub(crate) fn run_command(called: &str, mut words: Vec<String>) -> Exit {
    if matches!(words.first().map(String::as_str), Some("-v" | "-version" | "--version")) {
        words = vec!["version".into()];
    }
    if let Some(exit) = completion::answer_shell(&Tree::command()) {
        return exit;
    }
    if let Some(exit) = absent::answer(&words).or_else(|| completion::autocomplete(&words)) {
        return exit;
    }
    // Their 1 is an answer: what is wrong ends with 2.
    let asks_whether = matches!(&*words, [first, second, ..] if first == "intention" && (second == "check" || second == "match"));
    // Names that the user typed come back in the usage lines.
    let name = if called == "consul" { "consul" } else { "ryo" };
    let mut root = flags::relax(Tree::command().name(name).bin_name(name));
    if called == "consul" {
        root = flags::as_consul(root);
    }
    root.build();
    let read = flags::rewrite(&root, words).and_then(|words| {
        let words = std::iter::once(name.to_owned()).chain(words);
        let matches = root.try_get_matches_from(words).map_err(|e| flags::explain(&e))?;
        Tree::from_arg_matches(&matches).map_err(|e| flags::explain(&e))
    });
    match read {
        Ok(tree) => tree.command.run(name),
        Err(Refusal::Help(text)) => {
            line(text.trim_end());
            Exit::Success
        }
        Err(Refusal::NoCommand(text, exit)) => {
            note(text.trim_end());
            exit
        }
        Err(Refusal::BadFlag(text)) => {
            note(text);
            if asks_whether { Exit::NoMatch } else { Exit::Failure }
        }
    }
}

impl Command {
    fn run(self, called: &str) -> Exit {
        match self {
            Self::Agent | Self::Template => unreachable!("chosen by name before the tree is read"),
            Self::Connect(_) | Self::Peering(_) | Self::Resource(_) | Self::Troubleshoot(_) => {
                unreachable!("answered before the tree is read")
            }
            Self::Acl(command) => command.run(),
            Self::Catalog(command) => command.run(),
            Self::Completion(command) => command.run(),
            Self::Config(command) => command.run(),
            Self::Debug(command) => command.run(),
            Self::Dev(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Event(command) => command.run(),
            Self::Exec(command) => command.run(),
            Self::ForceLeave(command) => command.run(),
            Self::Info(command) => command.run(),
            Self::Intention(command) => command.run(),
            Self::Join(command) => command.run(),
            Self::Keygen(command) => command.run(),
            Self::Keyring(command) => command.run(),
            Self::Kv(command) => command.run(),
            Self::Leave(command) => command.run(),
            Self::Lock(command) => command.run(),
            Self::Login(command) => command.run(),
            Self::Logout(command) => command.run(),
            Self::Maint(command) => command.run(),
            Self::Man(command) => command.run(),
            Self::Members(command) => command.run(),
            Self::Monitor(command) => command.run(),
            Self::Operator(command) => command.run(),
            Self::Reload(command) => command.run(),
            Self::Rtt(command) => command.run(),
            Self::Services(command) => command.run(),
            Self::Snapshot(command) => command.run(),
            Self::Tls(command) => command.run(),
            Self::Top(command) => command.run(),
            Self::Validate(command) => command.run(called),
            Self::Version(command) => command.run(called == "consul"),
            Self::Watch(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Program, Tree, choose};

    fn chosen(called: &str, line: &str) -> Program {
        choose(called, line.split_whitespace().map(String::from).collect())
    }

    /// Those that print no answer: they run something, write files, or are not there; what `decode` prints is JSON anyway.
    const WITHOUT_JSON: [&str; 12] = [
        "agent",
        "completion",
        "connect",
        "dev",
        "man",
        "peering",
        "resource",
        "snapshot decode",
        "template",
        "tls ca create",
        "tls cert create",
        "troubleshoot",
    ];

    fn without_json(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name());
            let path = path.trim_start();
            match below.has_subcommands() {
                true => without_json(below, path, found),
                false if below.get_arguments().any(|arg| arg.get_long() == Some("json")) => {}
                false => found.push(path.to_owned()),
            }
        }
    }

    #[test]
    fn every_command_that_answers_can_answer_in_json() {
        let mut found = Vec::new();
        without_json(&Tree::command(), "", &mut found);
        found.sort_unstable();
        assert_eq!(found, WITHOUT_JSON);
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn the_name_chooses_the_program() {
        assert_eq!(chosen("ryo", "agent -dev"), Program::Agent(words("-dev")));
        assert_eq!(chosen("ryo-agent", "-dev"), Program::Agent(words("-dev")));
        assert_eq!(chosen("ryo-registry", "-data-dir=x"), Program::Agent(words("-server -data-dir=x")));
        assert_eq!(chosen("ryo", "template -once"), Program::Watcher(words("-once")));
        assert_eq!(chosen("consul-template", "-once"), Program::Watcher(words("-once")));
        assert_eq!(chosen("consul", "kv get a"), Program::Command(words("kv get a")));
    }
}
