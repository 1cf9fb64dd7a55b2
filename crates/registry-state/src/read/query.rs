//! Prepared queries: one, all, or the one that a name runs.

use std::sync::Arc;

use crate::{
    Index, Query, QueryId, State, Stored, Topic,
    read::{Read, at_least_one},
};

/// The query with this id, if there is one: `GET /v1/query/:id`.
///
/// Its index is that of all queries, but only its own changes wake who waits for it. It is a list because that is how it
/// is shown, and because nobody waits for a query that is not there (as recorded).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryGet {
    /// Its id.
    pub id: QueryId,
}

impl Read for QueryGet {
    type Output = Vec<Arc<Stored<Query>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Query(self.id.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        (
            state.queries.by_id.get(&self.id).cloned().into_iter().collect(),
            at_least_one(state.indexes.queries),
        )
    }
}

/// All queries, in order of their ids: `GET /v1/query`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryList;

impl Read for QueryList {
    type Output = Vec<Arc<Stored<Query>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Queries]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        (state.queries.by_id.values().cloned().collect(), at_least_one(state.indexes.queries))
    }
}

/// What an id or a name runs, any case: the query itself, else the template with the longest fitting name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryNamed {
    /// The id or the name.
    pub name: String,
}

impl Read for QueryNamed {
    type Output = Option<Arc<Stored<Query>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Queries]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        (state.queries.find(&self.name).cloned(), at_least_one(state.indexes.queries))
    }
}
