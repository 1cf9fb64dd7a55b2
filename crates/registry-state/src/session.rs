//! Sessions: what locks are held by, and what ends them.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, ordmap::DiffItem};

use crate::{
    Behavior, Caseless, KvEntry, Session, SessionId, State, Stored, Topic, WriteError,
    state::{Change, Step},
};

/// The longest lock-delay that is kept.
pub(crate) const LOCK_DELAY_MS_MAX: u64 = 60_000;

/// The check that says whether a node's agent is alive.
pub(crate) const SERF_HEALTH: &str = "serfHealth";

/// The status that ends sessions; an unknown word does not.
pub(crate) const CRITICAL: &str = "critical";

/// The sessions, also by node and by the checks they depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SessionTable {
    pub(crate) by_id: OrdMap<SessionId, Arc<Stored<Session>>>,
    pub(crate) by_node: OrdSet<(Caseless, SessionId)>,
    pub(crate) by_check: OrdSet<(Caseless, Caseless, SessionId)>,
}

impl SessionTable {
    pub(crate) fn contains(&self, id: &SessionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The ids of a node's sessions.
    pub(crate) fn of_node(&self, node: &Caseless) -> Vec<SessionId> {
        let from = (node.clone(), SessionId::default());
        self.by_node.range(from..).take_while(|(n, _)| n == node).map(|(_, id)| id.clone()).collect()
    }

    /// The ids of the sessions that depend on a check.
    pub(crate) fn of_check(&self, node: &Caseless, check: &Caseless) -> Vec<SessionId> {
        let from = (node.clone(), check.clone(), SessionId::default());
        let same = |(n, c, _): &&(Caseless, Caseless, SessionId)| n == node && c == check;
        self.by_check.range(from..).take_while(same).map(|(.., id)| id.clone()).collect()
    }

    pub(crate) fn insert(&mut self, stored: Arc<Stored<Session>>) {
        let (node, id) = (Caseless::new(&stored.node), stored.id.clone());
        self.by_node.insert((node.clone(), id.clone()));
        for check in stored.check_ids() {
            self.by_check.insert((node.clone(), Caseless::new(check), id.clone()));
        }
        self.by_id.insert(id, stored);
    }

    fn remove(&mut self, id: &SessionId) -> Option<Arc<Stored<Session>>> {
        let old = self.by_id.remove(id)?;
        let node = Caseless::new(&old.node);
        for check in old.check_ids() {
            self.by_check.remove(&(node.clone(), Caseless::new(check), id.clone()));
        }
        self.by_node.remove(&(node, id.clone()));
        Some(old)
    }
}

/// The sessions that somebody has seen, to be asked later what changed; a few pointers.
#[derive(Clone, Debug, Default)]
pub struct SeenSessions(OrdMap<SessionId, Arc<Stored<Session>>>);

/// What became of the sessions since they were last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionsChanged {
    /// Those that began.
    pub begun: Vec<Arc<Stored<Session>>>,
    /// The ids of those that ended. One that ended and began again is in both lists.
    pub ended: Vec<SessionId>,
}

impl SeenSessions {
    /// What changed from what was seen to this state, which counts as seen from now on. Costs what the changes cost, not
    /// what all sessions would.
    pub fn follow(&mut self, state: &State) -> SessionsChanged {
        let mut changed = SessionsChanged::default();
        for item in self.0.diff(&state.sessions.by_id) {
            match item {
                DiffItem::Add(_, session) => changed.begun.push(session.clone()),
                DiffItem::Remove(id, _) => changed.ended.push(id.clone()),
                DiffItem::Update { old: (id, _), new: (_, session) } => {
                    changed.ended.push(id.clone());
                    changed.begun.push(session.clone());
                }
            }
        }
        self.0 = state.sessions.by_id.clone();
        changed
    }
}

impl State {
    /// Makes a session. The same one again is a writer's second try; another one with its id ends it.
    pub(crate) fn session_create(&mut self, change: &mut Change, session: &Session) -> Step {
        if self.sessions.by_id.get(&session.id).is_some_and(|s| s.value == *session) {
            return Ok(());
        }
        let node = Caseless::new(&session.node);
        if !self.catalog.nodes.contains_key(&node) {
            return Err(WriteError::MissingNode);
        }
        for id in session.check_ids() {
            if id.is_empty() {
                return Err(WriteError::CheckLookup);
            }
            let check = self.catalog.checks.get(&(node.clone(), Caseless::new(id)));
            let check = check.ok_or_else(|| WriteError::MissingCheck(id.to_owned()))?;
            if check.status == CRITICAL {
                return Err(WriteError::CriticalCheck(id.to_owned()));
            }
        }
        self.session_destroy(change, &session.id);
        let stored = Stored::replacing(None, session.clone(), change.index);
        self.sessions.insert(stored);
        self.session_changed(change, &node, &session.id);
        Ok(())
    }

    /// Ends a session and lets go of its locks; an unknown one changes nothing.
    pub(crate) fn session_destroy(&mut self, change: &mut Change, id: &SessionId) {
        let Some(session) = self.sessions.remove(id) else { return };
        self.session_changed(change, &Caseless::new(&session.node), id);
        self.end_queries_of_session(change, id);
        let keys = self.kv.held_by(id);
        for key in &keys {
            match session.behavior {
                Behavior::Release => self.kv_release(change, key),
                Behavior::Delete => self.kv.delete(change, key),
            }
        }
        let delay_ms = lock_delay_ms(session.lock_delay_ns);
        if delay_ms > 0 && !keys.is_empty() {
            self.kv.delay(keys, change.at_ms, delay_ms);
        }
    }

    /// Ends every session that depends on a check.
    pub(crate) fn end_sessions_of_check(&mut self, change: &mut Change, node: &Caseless, check: &Caseless) {
        for id in self.sessions.of_check(node, check) {
            self.session_destroy(change, &id);
        }
    }

    fn kv_release(&mut self, change: &mut Change, key: &crate::Key) {
        let Some(old) = self.kv.entries.get(key) else { return };
        let free = KvEntry { session: None, ..old.value.clone() };
        self.kv.store(change, free);
    }

    fn session_changed(&mut self, change: &mut Change, node: &Caseless, id: &SessionId) {
        self.indexes.sessions = change.index;
        change.topics.add(Topic::Sessions);
        change.topics.add(Topic::Session(id.clone()));
        change.topics.add(Topic::NodeSessions(node.clone()));
    }
}

/// The delay in whole milliseconds, rounded up; none for a negative one.
fn lock_delay_ms(nanoseconds: i64) -> u64 {
    u64::try_from(nanoseconds).unwrap_or(0).div_ceil(1_000_000).min(LOCK_DELAY_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Command, KvPut, Outcome, PutMode, Register};

    #[test]
    fn a_lock_delay_ends_in_its_time_even_when_the_next_leaders_clock_is_hours_behind() {
        let (mut state, hour_ms) = (State::default(), 3_600_000);
        let mut act = |at_ms, action| state.apply(&Command { at_ms, action }).outcome;
        let node = crate::Node { name: "n".into(), address: "10.0.0.1".into(), ..crate::Node::default() };
        act(1, Action::Register(Box::new(Register { node, ..Register::default() })));
        let begin = |id: &str| {
            let session = Session { id: SessionId::from(id), node: "n".into(), ..Session::default() };
            Action::SessionCreate(Box::new(Session { lock_delay_ns: 15_000_000_000, ..session }))
        };
        let acquire = |id: &str| {
            let mode = PutMode::Acquire(SessionId::from(id));
            Action::KvPut(KvPut { key: "lock".into(), mode, ..KvPut::default() })
        };
        for id in ["a", "b"] {
            act(1, begin(id));
        }
        let ahead = 9 * hour_ms;
        assert_eq!(act(ahead, acquire("a")), Outcome::Done);
        act(ahead, Action::SessionDestroy { id: SessionId::from("a") });
        assert_ne!(act(ahead + 14_000, acquire("b")), Outcome::Done);
        assert_eq!(act(ahead - 2 * hour_ms, acquire("b")), Outcome::Done);
    }

    #[test]
    fn what_changed_is_told_once() {
        let (mut state, mut seen) = (State::default(), SeenSessions::default());
        let act = |state: &mut State, action| state.apply(&Command { at_ms: 1, action });
        let node = crate::Node { name: "n".into(), address: "10.0.0.1".into(), ..crate::Node::default() };
        act(&mut state, Action::Register(Box::new(Register { node, ..Register::default() })));
        let session = |id: &str| Session { id: SessionId::from(id), node: "n".into(), ..Session::default() };
        let ids = |changed: &SessionsChanged| -> Vec<String> {
            changed.begun.iter().map(|session| session.id.to_string()).collect()
        };
        for id in ["a", "b"] {
            act(&mut state, Action::SessionCreate(Box::new(session(id))));
        }
        assert_eq!(ids(&seen.follow(&state)), ["a", "b"]);
        assert_eq!(seen.follow(&state), SessionsChanged::default());
        act(&mut state, Action::SessionDestroy { id: SessionId::from("a") });
        act(&mut state, Action::SessionDestroy { id: SessionId::from("b") });
        act(&mut state, Action::SessionCreate(Box::new(session("b"))));
        let changed = seen.follow(&state);
        assert_eq!((ids(&changed), changed.ended), (vec!["b".to_owned()], vec!["a".into(), "b".into()]));
    }
}
