//! The state: its tables, and the one way to change them.

use std::sync::Arc;

use crate::{
    Action, Applied, Autopilot, Command, Index, Outcome, Stored, Topics, WriteError, catalog::Catalog,
    config_entry::ConfigTable, coordinate::Coordinates, event::Events, index::Indexes, kv::KvTable,
    query::QueryTable, request::Requests, restore::Staged, session::SessionTable,
};

/// Everything that all servers agree on. Cloning copies pointers, so a clone is a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub(crate) index: Index,
    pub(crate) indexes: Indexes,
    pub(crate) kv: KvTable,
    pub(crate) catalog: Catalog,
    pub(crate) sessions: SessionTable,
    pub(crate) queries: QueryTable,
    pub(crate) config: ConfigTable,
    pub(crate) coordinates: Coordinates,
    pub(crate) events: Events,
    pub(crate) autopilot: Option<Arc<Stored<Autopilot>>>,
    /// The requests made last, that may come again.
    pub(crate) requests: Requests,
    /// The index of the last restore.
    pub(crate) restored_at: Index,
    /// A restore under way.
    pub(crate) staged: Option<Staged>,
}

/// What an answer shows about which nothing was ever written; commands start after it, so that the first one is news.
pub(crate) const START: Index = 1;

impl Default for State {
    fn default() -> Self {
        let (indexes, kv) = (Indexes::default(), KvTable::default());
        let (coordinates, events) = (Coordinates::default(), Events::default());
        let (catalog, sessions) = (Catalog::default(), SessionTable::default());
        let (queries, config) = (QueryTable::default(), ConfigTable::default());
        let (autopilot, requests, restored_at, staged) = (None, Requests::default(), 0, None);
        Self {
            index: START,
            indexes,
            kv,
            catalog,
            sessions,
            queries,
            config,
            coordinates,
            events,
            autopilot,
            requests,
            restored_at,
            staged,
        }
    }
}

impl State {
    /// Applies one command, which takes the next index. Equal states and commands give equal results.
    pub fn apply(&mut self, command: &Command) -> Applied {
        if let Action::Once { request, .. } = &command.action
            && let Some(made) = self.requests.made(*request)
        {
            return made;
        }
        self.index += 1;
        let mut change = Change { index: self.index, at_ms: command.at_ms, topics: Topics::default() };
        let outcome = self.act(&mut change, command.action.inner());
        if let Action::Once { request, .. } = &command.action {
            self.requests.remember(*request, self.index, &outcome);
        }
        Applied { index: self.index, outcome, topics: change.topics }
    }

    /// The index of the last command applied; 1 before the first.
    pub fn index(&self) -> Index {
        self.index
    }

    fn act(&mut self, change: &mut Change, action: &Action) -> Outcome {
        match action {
            Action::KvPut(put) => self.kv_put(change, put).unwrap_or_else(Outcome::Failed),
            Action::KvDelete(delete) => done(self.kv_delete(change, delete)),
            Action::Txn(ops) => self.atomically(change, |state, change| state.txn(change, ops)),
            Action::Register(register) => self.atomically(change, |state, change| {
                state.register(change, register).map_or_else(Outcome::Failed, |()| Outcome::Done)
            }),
            Action::Deregister(deregister) => {
                self.deregister(change, deregister);
                Outcome::Done
            }
            Action::SessionCreate(session) => {
                self.session_create(change, session).map_or_else(Outcome::Failed, |()| Outcome::Done)
            }
            Action::SessionDestroy { id } => {
                self.session_destroy(change, id);
                Outcome::Done
            }
            Action::QuerySet { query, update } => {
                self.query_set(change, query, *update).map_or_else(Outcome::Failed, |()| Outcome::Done)
            }
            Action::QueryDelete { id } => {
                self.query_delete(change, id).map_or_else(Outcome::Failed, |()| Outcome::Done)
            }
            Action::ConfigPut(put) => self.config_put(change, put),
            Action::ConfigDelete(delete) => self.config_delete(change, delete),
            Action::AutopilotSet { settings, cas } => self.autopilot_set(change, settings, *cas),
            Action::Restore(step) => self.restore(change, step),
            Action::ReapTombstones { up_to } => {
                self.kv.reap_tombstones(*up_to);
                Outcome::Done
            }
            Action::FireEvent(event) => {
                self.fire_event(change, event);
                Outcome::Done
            }
            Action::UpdateCoordinate(update) => {
                self.update_coordinate(change, update);
                Outcome::Done
            }
            Action::Once { .. } => unreachable!("what is done for a request is no request itself"),
        }
    }

    /// Runs on a copy that is kept only if nothing failed; a copy is a few pointers.
    fn atomically(
        &mut self,
        change: &mut Change,
        act: impl FnOnce(&mut Self, &mut Change) -> Outcome,
    ) -> Outcome {
        let mut next = self.clone();
        let outcome = act(&mut next, change);
        match outcome {
            Outcome::Failed(_) | Outcome::TxnFailed(_) => change.topics = Topics::default(),
            _ => *self = next,
        }
        outcome
    }
}

/// The client's `true` or `false`.
pub(crate) fn done(held: bool) -> Outcome {
    if held { Outcome::Done } else { Outcome::Refused }
}

/// A command under way: its index and time, and what it has changed so far.
pub(crate) struct Change {
    pub(crate) index: Index,
    pub(crate) at_ms: u64,
    pub(crate) topics: Topics,
}

/// What a step of a command gives.
pub(crate) type Step<T = ()> = Result<T, WriteError>;
