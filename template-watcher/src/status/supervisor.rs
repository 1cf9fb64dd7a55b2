//! What systemd is told (sd_notify(3)): READY, RELOADING, STATUS, STOPPING and WATCHDOG. Elsewhere nobody listens.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use daemon::supervisor::{State, keep_watchdog_quiet, tell, tell_reloading};
use tokio::task::JoinHandle;

use crate::observe::{Event, Observer};

/// Tells systemd how the watcher is.
pub(crate) struct Supervisor {
    /// Whether READY has been said; a reload must not say it first.
    ready: AtomicBool,
    status: Mutex<String>,
    watchdog: JoinHandle<()>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.watchdog.abort();
    }
}

impl Supervisor {
    /// Begins to keep the watchdog quiet, in the runtime that runs the watcher.
    pub(crate) fn new() -> Self {
        Self {
            ready: AtomicBool::new(false),
            status: Mutex::default(),
            watchdog: tokio::spawn(keep_watchdog_quiet()),
        }
    }

    /// Tells a status, once.
    fn status(&self, text: String) {
        let mut told = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            tell(&[State::Status(&text)]);
            *told = text;
        }
    }
}

impl Observer for Supervisor {
    fn see(&self, event: &Event<'_>) {
        match event {
            Event::Began { templates } => {
                if self.ready.load(Relaxed) {
                    tell(&[State::Ready]);
                }
                self.status(format!("rendering {} templates", templates.len()));
            }
            Event::Ready => {
                self.ready.store(true, Relaxed);
                tell(&[State::Ready]);
                self.status("all templates are in place".to_owned());
            }
            Event::Rereading => tell_reloading(),
            Event::NotReread { reason } => {
                if self.ready.load(Relaxed) {
                    tell(&[State::Ready]);
                }
                self.status(format!("the configuration that ran stays: {reason}"));
            }
            Event::Failing { query, reason } => self.status(format!("{query}: {reason}")),
            Event::AnswersAgain { .. } => self.status("the registry answers again".to_owned()),
            Event::Rejected { template, .. } => {
                self.status(format!("the check refused {}", template.destination));
            }
            Event::Written { template, .. } => self.status(format!("wrote {}", template.destination)),
            Event::Stopping => tell(&[State::Stopping]),
            _ => {}
        }
    }
}
