//! Peers that are connected and have not proved yet who they are: how many there may be, and what the log says of those refused.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{key::KeyFault, wire};

/// So many peers may be in their first words at once. One more, and the oldest of them goes: who only stalls does not keep
/// others out, and nobody is judged by an address that a whole fleet may share.
const PLACES: usize = 512;
/// A peer that is refused for so long is one line in the log; after such a pause it is another.
const QUIET: Duration = Duration::from_secs(600);
/// The log remembers so many refused peers.
const TOLD_MAX: usize = 1024;

/// The places of one listener; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Unproven(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    places: VecDeque<Arc<Notify>>,
    told: HashMap<(IpAddr, KeyFault), Instant>,
}

impl Unproven {
    /// Waits for a peer's first words, for a limited time and as long as there is room; the log hears of a refused key.
    pub(crate) async fn settle<T>(
        &self,
        peer: SocketAddr,
        words: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let place = self.enter();
        let settled = tokio::select! {
            settled = timeout(wire::CONNECT_LIMIT, words) => settled.unwrap_or_else(|late| Err(late.into())),
            () = place.given_up.notified() => Err(io::Error::other("others came, and it had not spoken yet")),
        };
        if let Some(fault) = settled.as_ref().err().and_then(KeyFault::of) {
            self.tell(peer, fault);
        }
        settled
    }

    /// Logs that a peer was refused, unless that has been said.
    pub(crate) fn tell(&self, peer: SocketAddr, fault: KeyFault) {
        let now = Instant::now();
        let news = {
            let mut state = self.state();
            if state.told.len() >= TOLD_MAX {
                state.told.retain(|_, last| now.duration_since(*last) < QUIET);
            }
            let full = state.told.len() >= TOLD_MAX;
            let ip = peer.ip().to_canonical();
            match state.told.get_mut(&(ip, fault)) {
                Some(last) => now.duration_since(std::mem::replace(last, now)) >= QUIET,
                None if full => false,
                None => state.told.insert((ip, fault), now).is_none(),
            }
        };
        if news {
            tracing::warn!(target: "agent.server", %peer, reason = %fault, "refused a peer");
        }
    }

    fn enter(&self) -> Place {
        let given_up = Arc::new(Notify::new());
        let mut state = self.state();
        state.places.push_back(given_up.clone());
        if state.places.len() > PLACES
            && let Some(oldest) = state.places.pop_front()
        {
            oldest.notify_one();
        }
        Place { unproven: self.clone(), given_up }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One peer's place, given back when it has spoken or gone.
struct Place {
    unproven: Unproven,
    given_up: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unproven.state().places.retain(|place| !Arc::ptr_eq(place, &self.given_up));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_let_go_in_time_and_the_oldest_first() {
        let unproven = Unproven::default();
        let stalls =
            |unproven: Unproven| async move { unproven.settle(PEER, pending::<io::Result<()>>()).await };
        let stalling: Vec<_> = (0..=PLACES).map(|_| tokio::spawn(stalls(unproven.clone()))).collect();
        tokio::task::yield_now().await;
        while unproven.state().places.len() < PLACES {
            tokio::task::yield_now().await;
        }
        let mut ends = Vec::new();
        for stalled in stalling {
            ends.push(stalled.await.unwrap().unwrap_err().kind());
        }
        assert_eq!(ends[0], io::ErrorKind::Other, "the oldest made room");
        assert!(ends[1..].iter().all(|kind| *kind == io::ErrorKind::TimedOut));
        assert!(unproven.state().places.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_log_remembers_is_bounded() {
        let unproven = Unproven::default();
        for number in 0..2 * TOLD_MAX {
            let ip = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            unproven.tell(SocketAddr::new(ip, 1), KeyFault::Other);
        }
        assert_eq!(unproven.state().told.len(), TOLD_MAX);
        tokio::time::advance(QUIET).await;
        unproven.tell(PEER, KeyFault::Other);
        assert_eq!(unproven.state().told.len(), 1);
    }
}
