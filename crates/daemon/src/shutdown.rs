//! Shutdown: one switch that every task can wait on, and the signals that turn it.

use std::{future::Future, io};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A switch that is turned once; clones share it.
///
/// Every task that waits for something else also waits for [`Shutdown::requested`], so that a program ends within a
/// bound and in order.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Shutdown {
    /// Asks every holder to end. Asking again does nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether the end has been asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the end has been asked for; at once if it was before the call.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            // The sender lives in every clone, and an error would mean that all holders are gone: then it is time too.
            let _ = receiver.wait_for(|on| *on).await;
        }
    }
}

/// A signal that the registry and the agent react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a supervisor's stop.
    Terminate,
    /// SIGHUP: read the configuration again.
    Hangup,
}

/// The stream of [`Signal`]s sent to this process. From its creation on, they no longer end the process by themselves.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen. Errors when the runtime has no signal driver or the process has too many pipes open.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hangup.recv() => Signal::Hangup,
        }
    }
}
