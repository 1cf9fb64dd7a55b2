//! The child that is kept: started once everything is rendered, told of changes, and its end is ours.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use daemon::Exit;
use nix::sys::signal::Signal;
use tokio::{process::Child, time::sleep};

use crate::{
    command::{Group, Program, environment},
    config::ExecConfig,
};

/// The child, started or not yet.
pub(super) struct Kept {
    config: ExecConfig,
    program: Program,
    running: Option<(Child, Group)>,
}

impl Kept {
    pub(super) fn new(config: ExecConfig, injected: &[(String, String)]) -> Self {
        let environment = environment(std::env::vars_os(), &config.env, injected);
        let program = Program { words: config.command.clone(), environment, limit: Duration::ZERO };
        Self { config, program, running: None }
    }

    pub(super) fn is_started(&self) -> bool {
        self.running.is_some()
    }

    /// Errors in the recorded words when it cannot be started.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let child = self.program.start().map_err(|e| e.to_string())?;
        let group = Group::of(&child);
        self.running = Some((child, group));
        Ok(())
    }

    /// Tells the child of a change: by its signal, or by a restart.
    pub(super) async fn reload(&mut self) -> Result<(), String> {
        if !self.is_started() {
            return Ok(());
        }
        self.splay().await;
        match self.config.reload_signal {
            Some(signal) => self.forward(signal),
            None => {
                self.end().await;
                self.start()?;
            }
        }
        Ok(())
    }

    /// Passes a signal on.
    pub(super) fn forward(&self, signal: Signal) {
        if let Some((_, group)) = &self.running {
            group.signal(signal);
        }
    }

    /// Stops the child without delay.
    pub(super) async fn stop(&mut self) {
        self.end().await;
    }

    async fn end(&mut self) {
        if let Some((mut child, mut group)) = self.running.take() {
            let signal = self.config.kill_signal.unwrap_or(Signal::SIGKILL);
            group.stop(&mut child, signal, self.config.kill_timeout).await;
            group.done();
        }
    }

    /// A pause by chance, so that a fleet does not restart in one instant.
    async fn splay(&self) {
        if !self.config.splay.is_zero() {
            sleep(self.config.splay.mul_f64(rand::random())).await;
        }
    }
}

/// The end of the child as this program's own; never, when there is none.
pub(super) async fn ended(kept: &mut Option<Kept>) -> Exit {
    let Some((child, group)) = kept.as_mut().and_then(|kept| kept.running.as_mut()) else {
        return std::future::pending().await;
    };
    let status = child.wait().await;
    group.done();
    if let Some(kept) = kept {
        kept.running = None;
    }
    match status {
        Ok(status) if status.success() => Exit::Success,
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            // As seen by a shell a signal is 128 and more; without one in between there is no code at all.
            let shown = code.map_or(-1, i32::from);
            tracing::error!(target: "cli", "child process exited with code {shown}");
            debug_assert!(code.is_some() || status.signal().is_some());
            Exit::Child(code.unwrap_or(255))
        }
        Err(error) => {
            tracing::error!(target: "cli", "cannot wait for the child: {error}");
            Exit::RunFailed
        }
    }
}
