//! `lock`: runs a command while holding a lock, alone or as one of several.
//!
//! `holder` is the session and what it holds, by the recipes of Consul's own client, so that both can stand in one queue.

mod holder;

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use clap::{ArgAction, Args};
use daemon::{Exit, shutdown::Signals};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use registry_client::{Client, Request};
use registry_wire::duration;
use serde_json::Value;
use tokio::{process::Child, time::timeout};

use self::holder::{Holder, Refused};
use super::watch::{cannot_start, command_of, ended};
use crate::{
    client::AskFlags,
    flags::{go_bool, go_int},
    output::{failure, line, note},
};

/// How long a command that has to end may take until it is killed.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Run a command while holding a lock
#[derive(Args, Debug)]
#[command(after_help = "The command sees CONSUL_LOCK_HELD=true. When the lock is lost, it is ended.\n\n\
    Examples:\n  ryo lock service/web/leader ./run.sh\n  ryo lock -n=3 -timeout=10s jobs ./worker.sh\n\n\
    Exit codes: 0 the command ran, 1 no lock, 2 the command failed and -child-exit-code was given")]
pub(crate) struct Lock {
    /// End with 2 when the command fails
    #[arg(long)]
    child_exit_code: bool,
    /// How often a failing registry is asked again before the lock counts as lost
    #[arg(long, default_value_t = 3, value_name = "NUMBER", value_parser = go_int)]
    monitor_retry: i64,
    /// How many may hold it at once
    #[arg(long = "n", default_value_t = 1, value_name = "NUMBER", value_parser = go_int)]
    limit: i64,
    /// The session's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// Give the command this standard input
    #[arg(long)]
    pass_stdin: bool,
    /// Run the command by a shell
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_name = "BOOLEAN", value_parser = go_bool)]
    shell: bool,
    /// How long to wait for the lock; for ever without
    #[arg(long, alias = "try", default_value = "0s", value_name = "DURATION", hide_default_value = true,
        allow_hyphen_values = true, value_parser = duration::parse_nanos)]
    timeout: i64,
    /// Say what happens
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    ask: AskFlags,
    /// The prefix of the lock's keys, then the command and its words
    #[arg(value_name = "PREFIX COMMAND")]
    words: Vec<String>,
}

impl Lock {
    pub(crate) fn run(self) -> Exit {
        if self.limit <= 0 {
            return failure("Lock holder limit must be positive");
        }
        let Ok(wait) = u64::try_from(self.timeout) else { return failure("Timeout must be positive") };
        let wait = (wait > 0).then(|| Duration::from_nanos(wait));
        let [prefix, child @ ..] = self.words.as_slice() else {
            return failure("Key prefix and child command must be specified");
        };
        if child.is_empty() {
            return failure("Key prefix and child command must be specified");
        }
        let prefix = prefix.strip_prefix('/').unwrap_or(prefix);
        self.ask.run_there(async |client| self.hold(&client, prefix, child, wait).await)
    }

    async fn hold(&self, client: &Client, prefix: &str, child: &[String], wait: Option<Duration>) -> Exit {
        if let Err(e) = client.json::<Value>(&Request::get("/v1/agent/self")).await {
            return failure(format!("Error querying Consul agent: {e}"));
        }
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(e) => return failure(format!("cannot listen to signals: {e}")),
        };
        self.say(match self.limit {
            1 => format!("Setting up lock at path: {}/.lock", prefix.trim_end_matches('/')),
            limit => format!("Setting up semaphore (limit {limit}) at prefix: {prefix}"),
        });
        let name = match &*self.name {
            "" => format!("Consul lock for '{}' at '{prefix}'", child.join(" ")),
            name => name.to_owned(),
        };
        let holder = match Holder::new(client.clone(), prefix, self.limit, &name).await {
            Ok(holder) => holder,
            Err(e) => return failure(format!("Lock acquisition failed: failed to create session: {e}")),
        };
        self.say("Attempting lock acquisition");
        let acquired = tokio::select! {
            acquired = holder.acquire(wait) => acquired,
            _ = signals.next() => Ok(false),
        };
        let held = matches!(acquired, Ok(true));
        let exit = match acquired {
            Ok(true) => self.run_child(&holder, child, &mut signals).await,
            Ok(false) => failure("Shutdown triggered or timeout during lock acquisition"),
            Err(Refused(why)) => failure(format!("Lock acquisition failed: {why}")),
        };
        holder.release().await;
        if held {
            self.say("Cleanup succeeded");
        }
        exit
    }

    async fn run_child(&self, holder: &Holder, words: &[String], signals: &mut Signals) -> Exit {
        self.say("Starting handler");
        let mut command = command_of(words, self.shell);
        let input = if self.pass_stdin { Stdio::inherit() } else { Stdio::null() };
        // A group of its own, so that a signal reaches what a shell started too.
        command.env("CONSUL_LOCK_HELD", "true").stdin(input).process_group(0);
        let failed = if self.child_exit_code { Exit::NoMatch } else { Exit::Success };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => {
                note(format!("Error starting handler: {}", cannot_start(words, &e)));
                return failed;
            }
        };
        tokio::select! {
            status = child.wait() => {
                self.say("Child terminated, releasing lock");
                if tell_end(status) { Exit::Success } else { failed }
            }
            () = holder.lost(self.monitor_retry) => {
                self.say("Lock lost, killing child");
                self.end(&mut child).await;
                Exit::Success
            }
            _ = signals.next() => {
                self.say("Shutdown triggered, killing child");
                self.end(&mut child).await;
                Exit::Success
            }
        }
    }

    /// Ends a command and all it started: asks at first, and kills after some seconds.
    async fn end(&self, child: &mut Child) {
        let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        self.say(format!("Terminating child pid {group}"));
        // One that is gone already needs no signal.
        let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
        if let Ok(status) = timeout(END_LIMIT, child.wait()).await {
            self.say("Child terminated");
            tell_end(status);
            return;
        }
        self.say(format!("Child did not exit after grace period of {}s", END_LIMIT.as_secs()));
        self.say(format!("Killing child pid {group}"));
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        if let Ok(status) = timeout(END_LIMIT, child.wait()).await {
            tell_end(status);
        }
    }

    fn say(&self, text: impl AsRef<str>) {
        if self.verbose {
            line(text.as_ref());
        }
    }
}

/// Whether the command ended well; how it ended otherwise is told.
fn tell_end(status: io::Result<ExitStatus>) -> bool {
    let why = match status {
        Ok(status) if status.success() => return true,
        Ok(status) => ended(status),
        Err(e) => e.to_string(),
    };
    note(format!("Error running handler: {why}"));
    false
}
