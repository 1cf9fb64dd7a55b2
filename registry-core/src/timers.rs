//! What happens by time alone, on the leader: sessions end when nobody renews them, deleted keys are forgotten, instances go whose
//! checks stay critical ([`overdue`]).

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use daemon::Shutdown;
use registry_state::{
    Action, Index, Restore, SeenSessions, Session, SessionId, Stored, Topic,
    read::{Read as _, SessionInfo},
};
use registry_wire::duration::parse_nanos;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::{figures, leadership::Leadership, overdue, store::Store, writer::Writer};

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
    ends: Mutex<Ends>,
}

/// When which session ends, by id and in order of time.
#[derive(Debug, Default)]
struct Ends {
    by_id: HashMap<SessionId, Instant>,
    in_order: BTreeSet<(Instant, SessionId)>,
}

impl Ends {
    fn set(&mut self, id: SessionId, end: Instant) {
        self.remove(&id);
        self.in_order.insert((end, id.clone()));
        self.by_id.insert(id, end);
    }

    fn remove(&mut self, id: &SessionId) {
        if let Some((id, end)) = self.by_id.remove_entry(id) {
            self.in_order.remove(&(end, id));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(end, _)| *end)
    }

    fn over(&self, now: Instant) -> Vec<SessionId> {
        self.in_order.iter().take_while(|(end, _)| *end <= now).map(|(_, id)| id.clone()).collect()
    }
}

impl Timers {
    pub(crate) fn new(store: Arc<Store>, writer: Writer, leadership: Leadership) -> Self {
        Self { store, writer, leadership, ends: Mutex::default() }
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().expect("nobody panics while holding the sessions' ends")
    }

    /// Renews a session: its TTL starts anew. `None` when there is no such session.
    pub fn renew(&self, id: &SessionId) -> Option<Arc<Stored<Session>>> {
        let (session, _) = SessionInfo { id: id.clone() }.run(&self.store.state());
        let session = session?;
        if let Some(life) = life(&session) {
            self.ends().set(id.clone(), Instant::now() + life);
        }
        Some(session)
    }

    /// Runs the timers while this server leads, until shutdown.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut leadership = self.leadership.clone();
        let mut restored = self.store.restored();
        let mut fresh = true;
        let leading = async {
            loop {
                if leadership.role().serving {
                    if std::mem::replace(&mut fresh, false) {
                        self.abandon_restore().await;
                    }
                    *self.ends() = Ends::default();
                    tokio::select! {
                        () = self.end_sessions() => {}
                        () = self.reap_tombstones() => {}
                        () = overdue::remove(&self.store, &self.writer) => {}
                        // Other sessions: each gets its whole time, as with a new leader.
                        _ = restored.changed() => {}
                        _ = leadership.changed() => {}
                    }
                } else {
                    fresh = true;
                    leadership.changed().await;
                }
            }
        };
        tokio::select! {
            () = leading => {}
            () = shutdown.requested() => {}
        }
    }

    /// How many sessions are watched.
    pub(crate) fn count(&self) -> usize {
        self.ends().by_id.len()
    }

    /// Gives up a restore whose leader went away in the middle of it.
    async fn abandon_restore(&self) {
        let Some(id) = self.store.state().restoring().map(str::to_owned) else { return };
        if let Err(error) = self.writer.write(Action::Restore(Restore::Abandon { id })).await {
            warn!(target: "agent.server", %error, "a restore that broke off takes memory until the next one");
        }
    }

    async fn end_sessions(&self) {
        let subscription = self.store.watch().subscribe(vec![Topic::Sessions]);
        let (mut listener, mut seen) = (subscription.listen(), SeenSessions::default());
        let mut told = false;
        loop {
            listener.seen();
            let next = self.follow_sessions(&mut seen);
            tokio::select! {
                () = listener.changed() => continue,
                () = async { sleep_until(next.expect("the branch's condition")).await }, if next.is_some() => {}
            }
            let over = self.ends().over(Instant::now());
            for id in over {
                debug!(target: "agent.server", session = %id, "session TTL expired");
                let start = std::time::Instant::now();
                match self.writer.write(Action::SessionDestroy { id: id.clone() }).await {
                    Ok(_) => {
                        metrics::histogram!("session_ttl.invalidate").record(figures::since(start));
                        told = false;
                        self.ends().remove(&id);
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut told, true) {
                            warn!(target: "agent.server", session = %id, %error, "cannot end a session; trying again");
                        }
                        self.ends().set(id, Instant::now() + AGAIN);
                    }
                }
            }
        }
    }

    /// Starts timers for new sessions, drops those of ended ones; gives the next end.
    fn follow_sessions(&self, seen: &mut SeenSessions) -> Option<Instant> {
        let changed = seen.follow(&self.store.state());
        let now = Instant::now();
        let mut ends = self.ends();
        changed.ended.iter().for_each(|id| ends.remove(id));
        for session in changed.begun {
            if let Some(life) = life(&session) {
                ends.set(session.id.clone(), now + life);
            }
        }
        ends.next()
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

#[cfg(test)]
mod tests {
    use registry_state::{
        KvDelete, KvPut, PutMode,
        codec::{self, SnapshotParts},
        read::KvGet,
    };

    use super::*;
    use crate::simulated::Simulated;

    async fn pass(seconds: f64) {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }

    fn start() -> (Simulated, Arc<Timers>) {
        let engine = Simulated::start();
        let (store, writer) = (engine.store.clone(), engine.writer.clone());
        let timers = Arc::new(Timers::new(store, writer, engine.leadership.clone()));
        tokio::spawn(timers.clone().run(engine.shutdown.clone()));
        (engine, timers)
    }

    async fn session(engine: &Simulated, ttl: &str) -> SessionId {
        engine.register("n1", None, None).await;
        let id = engine.writer.session_id();
        let session = Session { id: id.clone(), node: "n1".into(), ttl: ttl.into(), ..Session::default() };
        engine.done(Action::SessionCreate(Box::new(session))).await;
        id
    }

    fn there(engine: &Simulated, id: &SessionId) -> bool {
        SessionInfo { id: id.clone() }.run(&engine.store.state()).0.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_at_twice_its_ttl_unless_renewed() {
        let (engine, timers) = start();
        let id = session(&engine, "10s").await;
        let forever = session(&engine, "").await;
        let lock = KvPut { key: "lock".into(), mode: PutMode::Acquire(id.clone()), ..KvPut::default() };
        engine.done(Action::KvPut(lock)).await;
        pass(19.5).await;
        assert!(there(&engine, &id));
        assert!(timers.renew(&id).is_some());
        pass(19.5).await;
        assert!(there(&engine, &id));
        pass(0.6).await;
        assert!(!there(&engine, &id) && there(&engine, &forever));
        let (entry, _) = KvGet { key: "lock".into() }.run(&engine.store.state());
        assert_eq!(entry.unwrap().session, None, "its lock is free");
        assert!(timers.renew(&id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_restored_session_has_its_whole_time_again() {
        let (engine, timers) = start();
        let id = session(&engine, "10s").await;
        let mut saved = Vec::new();
        codec::write_snapshot(&engine.store.state(), &mut saved).unwrap();
        engine.done(Action::SessionDestroy { id: id.clone() }).await;
        let later = session(&engine, "10s").await;
        pass(15.0).await;
        restore(&engine, &saved).await;
        assert!(there(&engine, &id) && !there(&engine, &later));
        pass(19.5).await;
        assert!(there(&engine, &id), "the time before the restore does not count");
        assert_eq!(timers.count(), 1, "a session that is gone is not watched");
        pass(0.6).await;
        assert!(!there(&engine, &id));
    }

    async fn restore(engine: &Simulated, mut saved: &[u8]) {
        let id = || "r".to_owned();
        let (head, mut parts) = SnapshotParts::read(&mut saved).unwrap();
        engine.done(Action::Restore(Restore::Begin { id: id(), head: Box::new(head) })).await;
        let records = parts.next_part().unwrap();
        let count = records.len() as u64;
        engine.done(Action::Restore(Restore::Part { id: id(), records })).await;
        engine.done(Action::Restore(Restore::Commit { id: id(), records: count })).await;
    }

    #[tokio::test(start_paused = true)]
    async fn deletions_are_forgotten_once_and_then_nothing_is_written() {
        let (engine, _timers) = start();
        engine.put("a", "1").await;
        engine.done(Action::KvDelete(KvDelete::Key("a".into()))).await;
        let tombstone = engine.store.state().index();
        pass(14.0 * 60.0).await;
        assert!(engine.store.state().tombstones_up_to(tombstone).is_some());
        pass(2.0 * 60.0).await;
        assert!(engine.store.state().tombstones_up_to(tombstone).is_none());
        let before = engine.batches();
        pass(3600.0).await;
        assert_eq!(engine.batches(), before);
    }
}
