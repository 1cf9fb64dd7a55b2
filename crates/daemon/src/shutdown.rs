//! Shutdown: one switch that every task can wait on, and the signals that turn it.

use std::{future::Future, io};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::{io::AsyncReadExt as _, net::UnixStream, sync::watch};

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
    interrupt: UnixStream,
    terminate: UnixStream,
    hangup: UnixStream,
}

impl Signals {
    /// Starts to listen. Errors when the process has too many files open, or outside of a runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self { interrupt: pipe(SIGINT)?, terminate: pipe(SIGTERM)?, hangup: pipe(SIGHUP)? })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        // The other ends live as long as the process, so that reading neither ends nor fails.
        tokio::select! {
            _ = self.interrupt.read_u8() => Signal::Interrupt,
            _ = self.terminate.read_u8() => Signal::Terminate,
            _ = self.hangup.read_u8() => Signal::Hangup,
        }
    }
}

/// A stream that gets a byte for each signal of this number.
fn pipe(number: i32) -> io::Result<UnixStream> {
    let (read, write) = std::os::unix::net::UnixStream::pair()?;
    read.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(number, write)?;
    UnixStream::from_std(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_are_told_instead_of_ending_the_process() {
        let mut signals = Signals::new().unwrap();
        for (number, signal) in
            [(SIGHUP, Signal::Hangup), (SIGTERM, Signal::Terminate), (SIGINT, Signal::Interrupt)]
        {
            signal_hook::low_level::raise(number).unwrap();
            assert_eq!(signals.next().await, signal);
        }
    }

    #[tokio::test]
    async fn shutdown_is_seen_by_those_who_wait_and_those_who_come_late() {
        let shutdown = Shutdown::default();
        let waiting = tokio::spawn(shutdown.requested());
        shutdown.clone().request();
        waiting.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
