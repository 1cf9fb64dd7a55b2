//! `watch`: follows a part of the registry's data and runs a command at each change.

use std::process::Stdio;

use clap::{ArgAction, Args};
use daemon::{Exit, shutdown::Signals};
use registry_client::{Client, Request};
use registry_wire::json;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};
use watch::{Change, Follower, Parameters, Subject};

use super::cluster::usage;
use crate::{
    client::{ClientFlags, ServerFlags, system_words},
    flags::go_bool,
    output::{failure, line, note},
};

/// Follow a part of the data, and run a command at each change
#[derive(Args, Debug)]
#[command(
    after_help = "Without a command it prints what there is once. The command gets it as JSON on its standard input.\n\n\
    Examples:\n  ryo watch -type=key -key=service/web/port\n  ryo watch -type=service -service=web ./reload.sh\n\n\
    Exit codes: 0 printed or stopped, 1 wrong flags, no answer, or the command failed"
)]
pub(crate) struct Watch {
    /// Only what this expression selects: services, nodes, service, checks
    #[arg(long, default_value = "", value_name = "EXPRESSION", hide_default_value = true)]
    filter: String,
    /// The key, for -type=key
    #[arg(long, default_value = "", value_name = "KEY", hide_default_value = true)]
    key: String,
    /// The event's name, for -type=event
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// Only instances that pass, for -type=service: true or false
    #[arg(long, default_value = "", value_name = "BOOLEAN", hide_default_value = true)]
    passingonly: String,
    /// The prefix, for -type=keyprefix
    #[arg(long, default_value = "", value_name = "PREFIX", hide_default_value = true)]
    prefix: String,
    /// The service, for -type=service and -type=checks
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    service: String,
    /// Run the command by a shell
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_name = "BOOLEAN", value_parser = go_bool)]
    shell: bool,
    /// The state of checks, for -type=checks
    #[arg(long, default_value = "", value_name = "STATE", hide_default_value = true)]
    state: String,
    /// Only instances with this tag, for -type=service (repeatable)
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// key, keyprefix, services, nodes, service, checks or event
    #[arg(long = "type", default_value = "", value_name = "TYPE", hide_default_value = true)]
    kind: String,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    server: ServerFlags,
    /// The command and its words
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
}

impl Watch {
    pub(crate) fn run(self) -> Exit {
        if self.kind.is_empty() {
            return failure(format!("Watch type must be specified\n\n{}", usage(&["watch"])));
        }
        let subject = match self.subject() {
            Ok(subject) => subject,
            Err(why) => return failure(why),
        };
        self.client.run(async |client| {
            if let Err(e) = client.json::<String>(&Request::get("/v1/status/leader")).await {
                return failure(format!("Error querying Consul agent: {e}"));
            }
            let mut signals = match Signals::new() {
                Ok(signals) => signals,
                Err(e) => return failure(format!("cannot listen to signals: {e}")),
            };
            tokio::select! {
                exit = self.follow(client, subject) => exit,
                _ = signals.next() => Exit::Success,
            }
        })
    }

    /// What the flags ask for. Errors, in Consul's words, when they do not fit together.
    fn subject(&self) -> Result<Subject, String> {
        let mut parameters = self.parameters()?;
        match &*self.kind {
            "connect_roots" | "connect_leaf" => {
                return Err(format!("Type {} is not supported in the CLI tool", self.kind));
            }
            // There is no flag for its id.
            "agent_service" => {
                parameters.finish()?;
                return Err("Must specify a single service id to watch".into());
            }
            _ => {}
        }
        let subject = Subject::take(&self.kind, &mut parameters)?;
        parameters.finish()?;
        Ok(subject)
    }

    fn parameters(&self) -> Result<Parameters, String> {
        let texts = [
            ("filter", &self.filter),
            ("key", &self.key),
            ("name", &self.name),
            ("prefix", &self.prefix),
            ("service", &self.service),
            ("state", &self.state),
        ];
        let given = texts.into_iter().filter(|(_, text)| !text.is_empty());
        let mut given: Vec<_> = given.map(|(name, text)| (name, Value::from(text.as_str()))).collect();
        if !self.tag.is_empty() {
            given.push(("tag", Value::from(self.tag.clone())));
        }
        if !self.passingonly.is_empty() {
            let text = &self.passingonly;
            let on = go_bool(text).map_err(|_| {
                format!(
                    "Failed to parse passingonly flag: strconv.ParseBool: parsing {text:?}: invalid syntax"
                )
            })?;
            given.push(("passingonly", Value::from(on)));
        }
        Ok(given.into_iter().collect())
    }

    /// Asks again and again; returns when something was printed, or a command failed.
    async fn follow(&self, client: Client, subject: Subject) -> Exit {
        let kind = subject.kind();
        let mut follower = Follower::new(client, subject, self.server.apply(Request::get("")).query);
        loop {
            match follower.next().await {
                Ok(change) if self.words.is_empty() => {
                    line(json::indent(&change.data, "    "));
                    return Exit::Success;
                }
                Ok(change) => {
                    if let Err(why) = self.handle(&change).await {
                        return failure(why);
                    }
                }
                Err(trouble) => {
                    let retry = trouble.pause.as_secs();
                    note(format!("Watch (type: {kind}) errored: {trouble}, retry in {retry}s"));
                }
            }
        }
    }

    /// Runs the command with this on its standard input, to its end. Errors with the words to print.
    async fn handle(&self, change: &Change) -> Result<(), String> {
        let mut command = command_of(&self.words, self.shell);
        command.env("CONSUL_INDEX", change.index.to_string()).stdin(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|e| format!("Error starting handler: {}", cannot_start(&self.words, &e)))?;
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read its input is none the worse for it.
            let _ = input.write_all(&[&change.data[..], b"\n"].concat()).await;
        }
        let why = match child.wait().await {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => ended(status),
            Err(e) => e.to_string(),
        };
        Err(format!("Error executing handler: {why}"))
    }
}

/// A command as the user wrote it: by a shell, or as a program with its words.
pub(super) fn command_of(words: &[String], shell: bool) -> Command {
    if shell {
        let shell = std::env::var("SHELL").ok().filter(|shell| !shell.is_empty());
        let mut command = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()));
        command.arg("-c").arg(words.join(" "));
        return command;
    }
    let mut command = Command::new(words.first().map(String::as_str).unwrap_or_default());
    command.args(words.iter().skip(1));
    command
}

/// Why a program does not start, as Go says it.
pub(super) fn cannot_start(words: &[String], error: &std::io::Error) -> String {
    let program = words.first().map(String::as_str).unwrap_or_default();
    if program.contains('/') {
        return format!("fork/exec {program}: {}", system_words(error));
    }
    format!("exec: {program:?}: executable file not found in $PATH")
}

/// How a command ended that did not succeed: `exit status 3`, `signal: killed`.
pub(super) fn ended(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map(|s| s.as_str()).unwrap_or_default();
            match name {
                "SIGKILL" => "signal: killed".into(),
                "SIGTERM" => "signal: terminated".into(),
                "SIGINT" => "signal: interrupt".into(),
                "SIGHUP" => "signal: hangup".into(),
                _ => format!("signal: {signal}"),
            }
        }
        (None, None) => "ended".into(),
    }
}
