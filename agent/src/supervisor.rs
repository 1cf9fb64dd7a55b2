//! What a supervisor is told: systemd's `Type=notify`, `Type=notify-reload` and watchdog (sd_notify(3)).
//!
//! Outside of them nobody listens, and nothing is sent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use daemon::Shutdown;
use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::backend::remote::Attachment;

/// Tells the supervisor how the agent is. Clones share what was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supervisor {
    /// Whether READY has been said; a reload must not say it first.
    ready: Arc<AtomicBool>,
}

impl Supervisor {
    /// Says READY, at once on a server and else once the agent has joined, and follows in STATUS whether a registry
    /// answers; keeps the watchdog quiet. Ends with shutdown.
    pub(crate) async fn follow(self, attachment: Option<watch::Receiver<Attachment>>, shutdown: Shutdown) {
        tokio::select! {
            () = self.tell_attachment(attachment) => {}
            () = keep_watchdog_quiet() => {}
            () = shutdown.requested() => {}
        }
    }

    async fn tell_attachment(&self, attachment: Option<watch::Receiver<Attachment>>) {
        let Some(mut attachment) = attachment else {
            self.tell_ready("serving");
            return std::future::pending().await;
        };
        loop {
            match *attachment.borrow_and_update() {
                Attachment::Never => tell(&[NotifyState::Status("looking for a registry")]),
                Attachment::Away => {
                    tell(&[NotifyState::Status("no registry answers: DNS gives the last known state")]);
                }
                Attachment::Attached => self.tell_ready("joined"),
            }
            if attachment.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn tell_ready(&self, status: &str) {
        self.ready.store(true, Relaxed);
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload begins; [`Supervisor::reloaded`] ends it.
    pub(crate) fn reloading(&self) {
        // Without the time systemd would not take the message; it is there on every Linux.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// The reload is over, whether it took or the old configuration was kept.
    pub(crate) fn reloaded(&self) {
        if self.ready.load(Relaxed) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

/// Shows twice in each of the watchdog's periods that the agent's tasks still run.
async fn keep_watchdog_quiet() {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = interval(period / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(what: &[NotifyState<'_>]) {
    // A supervisor that has gone misses nothing.
    let _ = sd_notify::notify(what);
}
