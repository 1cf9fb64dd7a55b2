//! Sessions: one, all, or those of a node.

use std::{cmp::Reverse, sync::Arc};

use crate::{
    Caseless, Index, Session, SessionId, State, Stored, Topic,
    read::{Read, at_least_one},
};

/// One session: `GET /v1/session/info/:id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
}

impl Read for SessionInfo {
    type Output = Option<Arc<Stored<Session>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Session(self.id.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        (state.sessions.by_id.get(&self.id).cloned(), at_least_one(state.indexes.sessions))
    }
}

/// All sessions, the newest first; Consul's order, that of their ids, is chance: `GET /v1/session/list`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionList;

impl Read for SessionList {
    type Output = Vec<Arc<Stored<Session>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Sessions]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let sessions = newest_first(state.sessions.by_id.values().cloned());
        (sessions, at_least_one(state.indexes.sessions))
    }
}

/// The sessions of a node, the newest first: `GET /v1/session/node/:node`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionsOfNode {
    /// The node's name.
    pub node: Caseless,
}

impl Read for SessionsOfNode {
    type Output = Vec<Arc<Stored<Session>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::NodeSessions(self.node.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let ids = state.sessions.of_node(&self.node);
        let sessions = newest_first(ids.iter().filter_map(|id| state.sessions.by_id.get(id).cloned()));
        (sessions, at_least_one(state.indexes.sessions))
    }
}

fn newest_first(sessions: impl Iterator<Item = Arc<Stored<Session>>>) -> Vec<Arc<Stored<Session>>> {
    let mut sessions: Vec<_> = sessions.collect();
    sessions.sort_by_key(|session| Reverse(session.create_index));
    sessions
}
