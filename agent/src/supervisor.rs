//! What a supervisor is told: systemd's `Type=notify`, `Type=notify-reload` and watchdog (sd_notify(3)).
//!
//! Outside of them nobody listens, and nothing is sent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use daemon::{
    Shutdown,
    supervisor::{State, keep_watchdog_quiet, tell, tell_reloading},
};
use tokio::sync::watch;

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
                Attachment::Never => tell(&[State::Status("looking for a registry")]),
                Attachment::Away => {
                    tell(&[State::Status("no registry answers: DNS gives the last known state")]);
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
        tell(&[State::Ready, State::Status(status)]);
    }

    /// A reload begins; [`Supervisor::reloaded`] ends it.
    pub(crate) fn reloading(&self) {
        tell_reloading();
    }

    /// The reload is over, whether it took or the old configuration was kept.
    pub(crate) fn reloaded(&self) {
        if self.ready.load(Relaxed) {
            tell(&[State::Ready]);
        }
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        tell(&[State::Stopping]);
    }
}
