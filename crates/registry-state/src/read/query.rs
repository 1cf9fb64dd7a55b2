//! Prepared queries: one, all, or the one that a name runs.

use std::sync::Arc;

use crate::{
    Index, Query, QueryId, State, Stored, Topic,
    read::{Read, at_least_one},
};

/// One query by its id: `GET /v1/query/:id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryGet {
    /// Its id.
    pub id: QueryId,
}

impl Read for QueryGet {
    type Output = Option<Arc<Stored<Query>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Queries]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        (state.queries.by_id.get(&self.id).cloned(), at_least_one(state.indexes.queries))
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
