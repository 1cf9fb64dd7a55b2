//! One process of the program under test, on a host of its own.

use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::network::Network;
use crate::client::{Answer, Request};

/// A server or an agent. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) bin: PathBuf,
    pub(super) address: IpAddr,
    /// The last number of its address, when it has a network namespace.
    pub(super) host: Option<u8>,
    /// For its configuration and its log.
    pub(super) folder: PathBuf,
    pub(super) process: Option<Child>,
    pub(super) stopped: bool,
}

impl Node {
    pub(super) fn start(&mut self, config: &Value) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let file = self.folder.join("config.json");
        fs::write(&file, config.to_string())?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = match self.host {
            Some(host) => {
                let mut command = Network::command(host);
                command.arg(&self.bin);
                command
            }
            None => std::process::Command::new(&self.bin),
        };
        command.args(["agent", "-config-file"]).arg(file).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        self.process = Some(child.with_context(|| format!("cannot start {}", self.bin.display()))?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The last lines of its log.
    pub(super) fn told(&self, lines: usize) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let all: Vec<&str> = log.lines().collect();
        format!("\n---- {}\n{}", self.name, all[all.len().saturating_sub(lines)..].join("\n"))
    }

    /// Where it serves HTTP.
    pub(super) fn http(&self) -> SocketAddr {
        SocketAddr::new(self.address, 8500)
    }

    /// Asks it; `None` when it does not answer in time or not with 200.
    pub(super) fn ask(&self, method: &str, path: &str, patience: Duration) -> Option<Answer> {
        Request::new(method, path).send(self.http(), patience).ok().filter(|answer| answer.status == 200)
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            // Errors mean that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it has ended by itself; then it can be started again.
    pub(super) fn has_ended(&mut self) -> bool {
        let ended = self.process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        if ended {
            self.process = None;
        }
        ended
    }

    /// Lets it stand still.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.stopped = true;
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub(super) fn go_on(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.stopped) {
            self.signal(Signal::SIGCONT)?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if let Some(child) = &self.process {
            kill(Pid::from_raw(child.id() as i32), signal)?;
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
