//! What happens by time alone, on the leader: sessions end when nobody renews them, deleted keys are forgotten.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use daemon::Shutdown;
use registry_state::{
    Action, Index, Session, SessionId, Stored, Topic,
    read::{Read as _, SessionInfo, SessionList},
};
use registry_wire::duration::parse_nanos;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::{leadership::Leadership, store::Store, writer::Writer};

/// A session's TTL is a promise not to end it before; it ends after this many.
const TTLS: u32 = 2;
/// When a session that could not be ended is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it is remembered which keys were deleted, for those who wait on them.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(15 * 60);
/// How often that is looked at.
const TOMBSTONES_EVERY: Duration = Duration::from_secs(30);

/// The timers of sessions and tombstones. They run on the leader, and start anew with it.
#[derive(Debug)]
pub struct Timers {
    store: Arc<Store>,
    writer: Writer,
    leadership: Leadership,
    ends: Mutex<HashMap<SessionId, Instant>>,
}

impl Timers {
    pub(crate) fn new(store: Arc<Store>, writer: Writer, leadership: Leadership) -> Self {
        Self { store, writer, leadership, ends: Mutex::default() }
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<SessionId, Instant>> {
        self.ends.lock().expect("nobody panics while holding the sessions' ends")
    }

    /// Renews a session: its TTL starts anew. `None` when there is no such session.
    pub fn renew(&self, id: &SessionId) -> Option<Arc<Stored<Session>>> {
        let (session, _) = SessionInfo { id: id.clone() }.run(&self.store.state());
        let session = session?;
        if let Some(life) = life(&session) {
            self.ends().insert(id.clone(), Instant::now() + life);
        }
        Some(session)
    }

    /// Runs the timers while this server leads, until shutdown.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut leadership = self.leadership.clone();
        let leading = async {
            loop {
                if leadership.role().serving {
                    self.ends().clear();
                    tokio::select! {
                        () = self.end_sessions() => {}
                        () = self.reap_tombstones() => {}
                        _ = leadership.changed() => {}
                    }
                } else {
                    leadership.changed().await;
                }
            }
        };
        tokio::select! {
            () = leading => {}
            () = shutdown.requested() => {}
        }
    }

    async fn end_sessions(&self) {
        let subscription = self.store.watch().subscribe(vec![Topic::Sessions]);
        let mut listener = subscription.listen();
        loop {
            listener.seen();
            let next = self.follow_sessions();
            tokio::select! {
                () = listener.changed() => continue,
                () = async { sleep_until(next.expect("checked below")).await }, if next.is_some() => {}
            }
            let now = Instant::now();
            let over: Vec<_> =
                self.ends().iter().filter(|(_, end)| **end <= now).map(|(id, _)| id.clone()).collect();
            for id in over {
                debug!(target: "agent.server", session = %id, "session TTL expired");
                if let Err(error) = self.writer.write(Action::SessionDestroy { id: id.clone() }).await {
                    warn!(target: "agent.server", session = %id, %error, "cannot end a session; trying again");
                    self.ends().insert(id, Instant::now() + AGAIN);
                }
            }
        }
    }

    /// Starts timers for new sessions, drops those of ended ones; gives the next end.
    fn follow_sessions(&self) -> Option<Instant> {
        let (sessions, _) = SessionList.run(&self.store.state());
        let now = Instant::now();
        let mut ends = self.ends();
        let timed = sessions.iter().filter_map(|session| {
            let end = ends.get(&session.id).copied();
            Some((session.id.clone(), end.unwrap_or(now + life(session)?)))
        });
        *ends = timed.collect();
        ends.values().min().copied()
    }

    /// Every half minute notes the index, and forgets deletions older than the one of a quarter of an hour ago.
    async fn reap_tombstones(&self) {
        let mut seen: VecDeque<(Instant, Index)> = VecDeque::new();
        let mut ticks = tokio::time::interval(TOMBSTONES_EVERY);
        loop {
            let now = ticks.tick().await;
            let state = self.store.state();
            seen.push_back((now, state.index()));
            let mut old = None;
            while let Some((at, index)) = seen.front().copied()
                && at + TOMBSTONES_KEPT <= now
            {
                old = Some(index);
                seen.pop_front();
            }
            let Some(up_to) = old.and_then(|old| state.tombstones_up_to(old)) else { continue };
            if let Err(error) = self.writer.write(Action::ReapTombstones { up_to }).await {
                debug!(target: "agent.server", %error, "cannot forget deletions now; they stay for the next time");
            }
        }
    }
}

/// After how long without renewal a session ends; `None` for one without TTL.
fn life(session: &Session) -> Option<Duration> {
    let nanos = parse_nanos(&session.ttl).ok().and_then(|nanos| u64::try_from(nanos).ok())?;
    (nanos > 0).then(|| Duration::from_nanos(nanos) * TTLS)
}
