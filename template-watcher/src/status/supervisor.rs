//! What systemd is told (sd_notify(3)): READY, RELOADING, STATUS, STOPPING and WATCHDOG. Elsewhere nobody listens.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use sd_notify::NotifyState;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

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
            tell(&[NotifyState::Status(&text)]);
            *told = text;
        }
    }
}

impl Observer for Supervisor {
    fn see(&self, event: &Event<'_>) {
        match event {
            Event::Began { templates } => {
                if self.ready.load(Relaxed) {
                    tell(&[NotifyState::Ready]);
                }
                self.status(format!("rendering {} templates", templates.len()));
            }
            Event::Ready => {
                self.ready.store(true, Relaxed);
                tell(&[NotifyState::Ready]);
                self.status("all templates are in place".to_owned());
            }
            Event::Rereading => {
                // Without the time systemd would not take the message; it is there on every Linux.
                if let Ok(now) = NotifyState::monotonic_usec_now() {
                    tell(&[NotifyState::Reloading, now]);
                }
            }
            Event::NotReread { reason } => {
                if self.ready.load(Relaxed) {
                    tell(&[NotifyState::Ready]);
                }
                self.status(format!("the configuration that ran stays: {reason}"));
            }
            Event::Failing { query, reason } => self.status(format!("{query}: {reason}")),
            Event::AnswersAgain { .. } => self.status("the registry answers again".to_owned()),
            Event::Rejected { template, .. } => {
                self.status(format!("the check refused {}", template.destination));
            }
            Event::Written { template, .. } => self.status(format!("wrote {}", template.destination)),
            Event::Stopping => tell(&[NotifyState::Stopping]),
            _ => {}
        }
    }
}

/// Shows twice in each of the watchdog's periods that the loop's runtime still turns.
async fn keep_watchdog_quiet() {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) else { return };
    let mut ticks = interval(period / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(what: &[NotifyState<'_>]) {
    // Fails only where systemd does not listen, and then nobody wants to know.
    let _ = sd_notify::notify(what);
}
