//! The children that are kept: started once everything is rendered, told of changes, and stopped with this program.
//!
//! The one of `exec` is told of every change, and its end is ours. Those of `process` are told when a template that names
//! them changed, and are started again when they end.

use std::{
    collections::HashSet, future::poll_fn, io, os::unix::process::ExitStatusExt as _, pin::pin,
    process::ExitStatus, task::Poll, time::Duration,
};

use daemon::Exit;
use nix::sys::signal::Signal;
use tokio::{process::Child, time::Instant};

use crate::{
    command::{Group, Program, environment},
    config::{Config, ExecConfig, ProcessConfig},
};

/// The first and the longest pause before a process is started again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A process that ran for so long has not failed at once: its pauses begin anew.
const STEADY: Duration = Duration::from_secs(60);

/// All children.
#[derive(Default)]
pub(super) struct Children(Vec<Kept>);

/// One child, started or not yet.
struct Kept {
    /// `None` for the one of `exec`.
    process: Option<ProcessConfig>,
    config: ExecConfig,
    program: Program,
    running: Option<(Child, Group)>,
    started: Instant,
    /// How often it has ended soon after its start.
    ends: u32,
    again: Option<Instant>,
    /// When it is told of a change: a fleet shall not restart in one instant.
    told_at: Option<Instant>,
    /// It was told to end, to be started anew.
    restart: Option<Restart>,
}

/// A child on its way down.
#[derive(Clone, Copy, Debug)]
struct Restart {
    /// When it is killed; `None` when that has been done.
    kill_at: Option<Instant>,
}

impl Children {
    /// The children of a configuration, none of them started.
    pub(super) fn of(config: &Config) -> Self {
        let exec = config.exec.iter().map(|exec| (None, exec));
        let processes = config.processes.iter().map(|process| (Some(process), &process.exec));
        let kept = |(process, exec): (Option<&ProcessConfig>, &ExecConfig)| {
            let environment = environment(std::env::vars_os(), &exec.env, &config.injected());
            let program = Program { words: exec.command.clone(), environment, limit: Duration::ZERO };
            Kept {
                process: process.cloned(),
                config: exec.clone(),
                program,
                running: None,
                started: Instant::now(),
                ends: 0,
                again: None,
                told_at: None,
                restart: None,
            }
        };
        Self(exec.chain(processes).map(kept).collect())
    }

    /// Whether one runs, or will run again.
    pub(super) fn is_any_kept(&self) -> bool {
        self.0.iter().any(|kept| kept.running.is_some() || kept.again.is_some())
    }

    /// Whether the child of `exec` runs: signals are then its own affair.
    pub(super) fn is_exec_running(&self) -> bool {
        self.0.iter().any(|kept| kept.process.is_none() && kept.running.is_some())
    }

    /// Whether a template that names this asks for a process to be told.
    pub(super) fn is_process(&self, name: &str) -> bool {
        self.0.iter().any(|kept| kept.name() == Some(name))
    }

    /// Starts those that have never run. Errors in the recorded words when one cannot be started.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let idle = |kept: &&mut Kept| kept.running.is_none() && kept.again.is_none();
        self.0.iter_mut().filter(idle).try_for_each(Kept::start)
    }

    /// Tells the child of `exec`, and the processes that are named, of a change: now, or when their splay is over.
    pub(super) fn reload(&mut self, named: &HashSet<String>) {
        for kept in &mut self.0 {
            if kept.running.is_some() && kept.name().is_none_or(|name| named.contains(name)) {
                kept.reload();
            }
        }
    }

    /// Passes a signal on to all.
    pub(super) fn forward(&self, signal: Signal) {
        self.0.iter().for_each(|kept| kept.signal(signal));
    }

    /// Stops all, without delay and at the same time.
    pub(super) async fn stop(&mut self) {
        self.0.iter().for_each(|kept| kept.signal(kept.kill_signal()));
        let start = Instant::now();
        for kept in &mut self.0 {
            (kept.again, kept.told_at, kept.restart) = (None, None, None);
            if let Some((mut child, mut group)) = kept.running.take() {
                let left = kept.config.kill_timeout.saturating_sub(start.elapsed());
                group.wait_or_kill(&mut child, left).await;
                group.done();
            }
        }
    }

    /// The next end of a child, by its place; never, when none runs.
    pub(super) async fn next_end(&mut self) -> (usize, io::Result<ExitStatus>) {
        poll_fn(|context| {
            for (place, kept) in self.0.iter_mut().enumerate() {
                if let Some((child, _)) = &mut kept.running
                    && let Poll::Ready(status) = pin!(child.wait()).poll(context)
                {
                    return Poll::Ready((place, status));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// What the end of a child means: that of this program, a pause, or that it is started anew.
    ///
    /// Errors in the recorded words when the child of `exec` cannot be started anew.
    pub(super) async fn after_end(
        &mut self,
        place: usize,
        status: io::Result<ExitStatus>,
    ) -> Result<Option<Exit>, String> {
        let Some(kept) = self.0.get_mut(place) else { return Ok(None) };
        if let Some((_, mut group)) = kept.running.take() {
            group.done();
        }
        kept.told_at = None;
        let is_process = kept.process.is_some();
        if kept.restart.take().is_some() {
            match kept.start() {
                Err(reason) if !is_process => return Err(reason),
                Err(reason) => kept.start_later(Err(io::Error::other(reason))),
                Ok(()) => {}
            }
            return Ok(None);
        }
        if kept.process.as_ref().is_some_and(|process| process.restart) {
            kept.start_later(status);
            return Ok(None);
        }
        self.stop().await;
        Ok(Some(exit_of(status)))
    }

    /// When a process is started again, a child is told of a change, or one that does not end is killed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let of_kept = |kept: &Kept| {
            let kill_at = kept.restart.and_then(|restart| restart.kill_at);
            [kept.again, kept.told_at, kill_at].into_iter().flatten().min()
        };
        self.0.iter().filter_map(of_kept).min()
    }

    /// Does what its time has come for.
    pub(super) fn wake_up(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        for kept in &mut self.0 {
            if is_due(kept.again)
                && let Err(reason) = kept.start()
            {
                kept.start_later(Err(io::Error::other(reason)));
            }
            if is_due(kept.told_at) {
                kept.tell(now);
            }
            if is_due(kept.restart.and_then(|restart| restart.kill_at)) {
                kept.signal(Signal::SIGKILL);
                kept.restart = Some(Restart { kill_at: None });
            }
        }
    }

    /// Takes over the processes of other children that shall be as they are; what is left there is to be stopped.
    pub(super) fn take_over(&mut self, others: &mut Self) {
        for kept in self.0.iter_mut().filter(|kept| kept.process.is_some()) {
            let is_same = |other: &Kept| other.process == kept.process && other.program == kept.program;
            if let Some(at) = others.0.iter().position(is_same) {
                *kept = others.0.remove(at);
            }
        }
    }
}

impl Kept {
    fn name(&self) -> Option<&str> {
        self.process.as_ref().map(|process| process.name.as_str())
    }

    fn kill_signal(&self) -> Signal {
        self.config.kill_signal.unwrap_or(Signal::SIGKILL)
    }

    fn start(&mut self) -> Result<(), String> {
        let child = self.program.start().map_err(|e| e.to_string())?;
        let group = Group::of(&child);
        self.running = Some((child, group));
        self.started = Instant::now();
        self.again = None;
        Ok(())
    }

    fn start_later(&mut self, status: io::Result<ExitStatus>) {
        self.ends = if self.started.elapsed() >= STEADY { 1 } else { self.ends.saturating_add(1) };
        let (first, longest) = PAUSE;
        let pause = first.saturating_mul(1 << (self.ends - 1).min(10)).min(longest);
        self.again = Some(Instant::now() + pause);
        let name = self.name().unwrap_or_default();
        let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
        if self.ends == 1 {
            tracing::error!(target: "child", "process {name:?} ended ({how}); it is started again until it stays");
        } else {
            tracing::debug!(target: "child", "process {name:?} ended ({how})");
        }
    }

    /// Tells the child of a change when its splay is over. One that will be told, or is on its way down, sees this change
    /// too.
    fn reload(&mut self) {
        if self.told_at.is_some() || self.restart.is_some() {
            return;
        }
        let now = Instant::now();
        match self.config.splay.mul_f64(rand::random()) {
            Duration::ZERO => self.tell(now),
            splay => self.told_at = Some(now + splay),
        }
    }

    /// Tells the child of a change: by its signal, or by its end, after which it is started anew.
    fn tell(&mut self, now: Instant) {
        self.told_at = None;
        match self.config.reload_signal {
            Some(Some(signal)) => self.signal(signal),
            Some(None) => {}
            None => {
                self.signal(self.kill_signal());
                self.restart = Some(Restart { kill_at: Some(now + self.config.kill_timeout) });
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some((_, group)) = &self.running {
            group.signal(signal);
        }
    }
}

/// The end of a child as this program's own.
fn exit_of(status: io::Result<ExitStatus>) -> Exit {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Invocation, invocation};

    fn children(words: &[&str]) -> Children {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match invocation("ryo-watch", &words) {
            Ok(Invocation::Run(config)) => Children::of(&config),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_long_splay_holds_nothing_up() {
        let mut children =
            children(&["-exec", "sleep 1000", "-exec-splay", "1h", "-exec-kill-signal", "SIGTERM"]);
        children.start().unwrap();
        let start = Instant::now();
        children.reload(&HashSet::new());
        let told_at = children.deadline().unwrap();
        assert!(told_at > start && told_at <= start + Duration::from_secs(3600), "it is told later");
        children.reload(&HashSet::new());
        assert_eq!(children.deadline(), Some(told_at), "one telling serves for both changes");
        let first = children.0[0].started;
        children.wake_up(told_at);
        let (place, status) = children.next_end().await;
        assert_eq!(children.after_end(place, status).await, Ok(None));
        assert!(children.0[0].started > first && children.is_exec_running(), "it was started anew");
        children.stop().await;
    }

    #[tokio::test]
    async fn a_child_that_does_not_end_is_killed_and_started_anew() {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let line = format!("trap '' TERM; touch {}; while :; do sleep 1; done", ready.display());
        let mut children = children(&["-exec", &line, "-exec-kill-signal", "SIGTERM"]);
        children.start().unwrap();
        while !ready.exists() {
            tokio::task::yield_now().await;
        }
        children.reload(&HashSet::new());
        let kill_at = children.deadline().unwrap();
        children.wake_up(kill_at);
        assert_eq!(children.deadline(), None, "it is killed once");
        let (place, status) = children.next_end().await;
        assert_eq!(status.as_ref().unwrap().signal(), Some(9));
        assert_eq!(children.after_end(place, status).await, Ok(None));
        children.forward(Signal::SIGKILL);
        children.stop().await;
    }
}
