//! Prepared queries: their names, and the sessions they end with.

use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    Caseless, Query, QueryId, SessionId, State, Stored, Topic, WriteError,
    state::{Change, Step},
};

/// The queries, also by the names they are run by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QueryTable {
    pub(crate) by_id: OrdMap<QueryId, Arc<Stored<Query>>>,
    by_name: OrdMap<Caseless, QueryId>,
    by_prefix: OrdMap<Caseless, QueryId>,
}

impl QueryTable {
    /// The query with this id or name, else the template whose name is the longest beginning of it.
    pub(crate) fn find(&self, text: &str) -> Option<&Arc<Stored<Query>>> {
        let wanted = Caseless::new(text);
        let named = || self.by_name.get(&wanted).or_else(|| self.longest_prefix(&wanted));
        self.by_id.get(wanted.as_str()).or_else(|| self.by_id.get(named()?))
    }

    fn longest_prefix(&self, name: &Caseless) -> Option<&QueryId> {
        let text = name.as_str();
        let ends = (0..=text.len()).rev().filter(|end| text.is_char_boundary(*end));
        ends.into_iter().find_map(|end| self.by_prefix.get(&Caseless::new(&text[..end])))
    }

    fn holder(&self, query: &Query) -> Option<&QueryId> {
        let name = Caseless::new(&query.name);
        let named = self.by_name.get(&name).or_else(|| self.by_prefix.get(&name));
        named.filter(|_| query.template || !query.name.is_empty())
    }

    pub(crate) fn insert(&mut self, stored: Arc<Stored<Query>>) {
        let name = Caseless::new(&stored.name);
        if stored.template {
            self.by_prefix.insert(name, stored.id.clone());
        } else if !stored.name.is_empty() {
            self.by_name.insert(name, stored.id.clone());
        }
        self.by_id.insert(stored.id.clone(), stored);
    }

    fn remove(&mut self, id: &QueryId) -> Option<Arc<Stored<Query>>> {
        let old = self.by_id.remove(id)?;
        let name = Caseless::new(&old.name);
        if old.template {
            self.by_prefix.remove(&name);
        } else if !old.name.is_empty() {
            self.by_name.remove(&name);
        }
        Some(old)
    }

    fn of_session(&self, session: &SessionId) -> Vec<QueryId> {
        let bound = self.by_id.values().filter(|query| query.session.as_ref() == Some(session));
        bound.map(|query| query.id.clone()).collect()
    }
}

impl State {
    /// Refuses a query that may not be written: one that must be there already is not made anew, its name must be free,
    /// its session there.
    pub fn vet_query(&self, query: &Query, update: bool) -> Step {
        if update && !self.queries.by_id.contains_key(&query.id) {
            return Err(WriteError::MissingQuery(query.id.to_string()));
        }
        if self.queries.holder(query).is_some_and(|id| *id != query.id) {
            let unnamed = query.name.is_empty();
            return Err(if unnamed {
                WriteError::UnnamedTemplate
            } else {
                WriteError::QueryNameTaken(query.name.clone())
            });
        }
        let as_id = Caseless::new(&query.name);
        if self.queries.by_id.contains_key(as_id.as_str()) {
            return Err(WriteError::QueryNameIsId(query.name.clone()));
        }
        if let Some(session) = query.session.as_ref().filter(|s| !self.sessions.contains(s)) {
            return Err(WriteError::InvalidSession(session.to_string()));
        }
        Ok(())
    }

    /// Writes a query.
    pub(crate) fn query_set(&mut self, change: &mut Change, query: &Query, update: bool) -> Step {
        self.vet_query(query, update)?;
        let old = self.queries.by_id.get(&query.id).cloned();
        self.queries.remove(&query.id);
        self.queries.insert(Stored::replacing(old.as_deref(), query.clone(), change.index));
        self.query_changed(change, &query.id);
        Ok(())
    }

    /// Deletes a query.
    pub(crate) fn query_delete(&mut self, change: &mut Change, id: &QueryId) -> Step {
        if self.queries.remove(id).is_none() {
            return Err(WriteError::MissingQuery(id.to_string()));
        }
        self.query_changed(change, id);
        Ok(())
    }

    /// Deletes what was bound to a session that ended.
    pub(crate) fn end_queries_of_session(&mut self, change: &mut Change, session: &SessionId) {
        for id in self.queries.of_session(session) {
            self.queries.remove(&id);
            self.query_changed(change, &id);
        }
    }

    fn query_changed(&mut self, change: &mut Change, id: &QueryId) {
        self.indexes.queries = change.index;
        change.topics.add(Topic::Queries);
        change.topics.add(Topic::Query(id.clone()));
    }
}
