//! Where the work for the disk is done.

use std::{io, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

/// Where the work for the disk is done, so that a simulation of several servers can do it in its own order and time.
#[derive(Clone, Debug, Default)]
pub enum Disk {
    /// On threads of its own, as in every program.
    #[default]
    Threads,
    /// On the thread that runs everything else, each time after as long as this says.
    Simulated(fn() -> Duration),
}

impl Disk {
    /// Does `work` and gives its result; errors when it panicked.
    pub(crate) async fn run<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Threads => spawn_blocking(work).await.map_err(io::Error::other),
            Self::Simulated(takes) => {
                sleep(takes()).await;
                Ok(work())
            }
        }
    }
}
