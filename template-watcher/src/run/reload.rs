//! Signals, and reading the configuration again: what is wrong is told, and everything stays as it was.

use std::sync::Arc;

use daemon::Exit;
use nix::sys::signal::Signal;
use registry_client::{Client, WatchSettings};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Control, FILES_QUIET, Reread, RunError, Runner,
    child::Children,
    observe::Event,
    share::{Shares, key_of},
    slot::Slot,
};
use crate::{
    action::{self, Host},
    config::Config,
    guard::Guard,
    watch::{News, Watches},
};

impl Runner {
    /// Does what a signal or a changed file asks for; the exit code when that is the end.
    pub(super) async fn control(&mut self, control: Control, reread: Option<&Reread>) -> Option<Exit> {
        match control {
            Control::FilesChanged => self.read_again = Some(Instant::now() + FILES_QUIET),
            Control::Signal(signal) if Some(signal) == self.config.reload_signal => self.reload(reread).await,
            Control::Signal(signal) if Some(signal) == self.config.kill_signal => {
                return Some(self.stop().await);
            }
            Control::Signal(Signal::SIGTERM | Signal::SIGINT) if !self.children.is_exec_running() => {
                return Some(self.stop().await);
            }
            Control::Signal(signal) => self.children.forward(signal),
        }
        None
    }

    /// Ends the child, and with it the run.
    pub(super) async fn stop(&mut self) -> Exit {
        tracing::info!(target: "runner", "stopping");
        self.observers.tell(Event::Stopping);
        self.children.stop().await;
        if let Some(shares) = &self.shares {
            shares.end().await;
        }
        if self.config.clean_exit { Exit::Success } else { Exit::Interrupted }
    }

    /// Reads templates and configuration again; what is wrong is told, and everything stays as it was.
    pub(super) async fn reload(&mut self, reread: Option<&Reread>) {
        self.read_again = None;
        self.observers.tell(Event::Rereading);
        let config = match reread.map(|reread| reread()) {
            Some(Ok(config)) => config,
            Some(Err(error)) => {
                self.observers.tell(Event::NotReread { reason: &error });
                tracing::error!(target: "cli", "{error}; keeping the configuration that runs");
                return;
            }
            None => self.config.clone(),
        };
        if let Err(error) = self.replace(config).await {
            self.observers.tell(Event::NotReread { reason: &error.to_string() });
            tracing::error!(target: "cli", "{error}; keeping the templates and configuration that run");
        }
    }

    async fn replace(&mut self, config: Config) -> Result<(), RunError> {
        let mut slots = slots(&config, &self.host).await?;
        for slot in &mut slots {
            slot.read().map_err(RunError::Failed)?;
        }
        let asks_elsewhere = config.registry != self.config.registry
            || config.intervals != self.config.intervals
            || watch_settings(&config) != watch_settings(&self.config);
        let fresh = if asks_elsewhere { Some(watches(&config)?) } else { None };
        if let Some(page) = &mut self.page
            && let Some(board) =
                page.follow(config.status_address.as_deref()).await.map_err(RunError::Failed)?
        {
            self.observe(board);
        }
        if let Some(fresh) = fresh {
            (self.watches, self.news) = fresh;
            self.answers = Arc::default();
            self.failing.clear();
            self.unsuitable.clear();
            self.guard = Guard::new(config.empty_grace);
        }
        Arc::make_mut(&mut self.answers).forget_gone();
        self.guard.doubt_for(config.empty_grace);
        self.settled = false;
        self.started = Instant::now();
        for slot in &mut slots {
            let before = self.slots.iter().find(|old| {
                old.config.source == slot.config.source && old.config.destination == slot.config.destination
            });
            slot.rendered = before.is_some_and(|old| old.rendered);
            slot.counts = before.and_then(|old| old.counts.clone());
            // What this process left undone, it has not forgotten.
            slot.is_left_undone &= before.is_none();
            slot.runs_first &= before.is_none();
        }
        if let Some(shares) = &self.shares {
            shares.end().await;
        }
        self.shares = shares(&config, &self.watches, &mut slots);
        self.slots = slots;
        self.asks_else = true;
        self.actions.follow(self.watches.client(), &self.slots);
        let mut old = std::mem::replace(&mut self.children, Children::of(&config));
        self.children.take_over(&mut old);
        old.stop().await;
        self.config = config;
        self.has_started = false;
        self.tell_began();
        tracing::info!(target: "cli", "read templates and configuration again");
        Ok(())
    }
}

/// The templates of a configuration, read, with the programs to run after their changes.
pub(super) async fn slots(config: &Config, host: &Host) -> Result<Vec<Slot>, RunError> {
    let mut slots = Vec::new();
    for template in &config.templates {
        slots.push(Slot::load(template.clone(), &config.injected()).map_err(RunError::Failed)?);
    }
    if !config.dry {
        let actions = action::resolve(config, host).await?;
        for (slot, action) in slots.iter_mut().zip(actions) {
            slot.act_by(action);
        }
    }
    Ok(slots)
}

/// What is shared with other watchers, where the configuration says so.
pub(super) fn shares(config: &Config, watches: &Watches, slots: &mut [Slot]) -> Option<Shares> {
    let share = config.share.as_ref()?;
    for slot in &mut *slots {
        slot.share = Some(key_of(share, slot));
    }
    Some(Shares::start(share, &watches.client(), watch_settings(config), slots))
}

/// Nothing watched yet, and where the news will come.
pub(crate) fn watches(config: &Config) -> Result<(Watches, mpsc::Receiver<News>), RunError> {
    let client = Client::new(config.registry.clone()).map_err(|e| RunError::Failed(e.to_string()))?;
    Ok(Watches::new(client, watch_settings(config), config.intervals.clone()))
}

fn watch_settings(config: &Config) -> WatchSettings {
    WatchSettings {
        wait: config.block_query_wait,
        max_stale: config.max_stale,
        retry: config.retry.for_mode(config.once),
        min_interval: config.intervals.all,
        ..WatchSettings::default()
    }
}
