//! Events on their way to those who want each of them.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use crate::series::Name;

/// How many events wait for one receiver; more are counted and dropped.
pub(crate) const WAITING_MAX: usize = 4096;

/// Something was counted.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: Arc<Name>,
    pub(crate) value: f64,
}

/// Where every series tells its events. While nobody listens, telling costs one look at a flag.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    open: AtomicBool,
    quantiles: AtomicBool,
    receivers: RwLock<Vec<mpsc::Sender<Event>>>,
    dropped: AtomicU64,
}

impl Tap {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    pub(crate) fn wants_quantiles(&self) -> bool {
        self.quantiles.load(Relaxed)
    }

    pub(crate) fn want_quantiles(&self, wanted: bool) {
        self.quantiles.store(wanted, Relaxed);
    }

    /// A further receiver of all events, until it is dropped.
    pub(crate) fn listen(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.receivers.write().unwrap_or_else(PoisonError::into_inner).push(sender);
        self.open.store(true, Relaxed);
        receiver
    }

    pub(crate) fn send(&self, event: &Event) {
        let mut gone = false;
        for receiver in self.receivers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            match receiver.try_send(event.clone()) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => drop(self.dropped.fetch_add(1, Relaxed)),
                Err(mpsc::error::TrySendError::Closed(_)) => gone = true,
            }
        }
        if gone {
            let mut receivers = self.receivers.write().unwrap_or_else(PoisonError::into_inner);
            receivers.retain(|receiver| !receiver.is_closed());
            self.open.store(!receivers.is_empty(), Relaxed);
        }
    }

    /// How many events a full queue has cost since the last time this was asked.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }
}
