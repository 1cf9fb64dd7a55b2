//! Disbelief: a sudden emptiness after the registry was away does not empty files at once.
//!
//! A registry that lost its state, or has not yet heard of its nodes again, answers truthfully with nothing. Within a
//! time after such a break, an answer that empties what was full is held back; a full answer ends the doubt, and so does
//! the time. Keys that were there after the break are not doubted again: they have no health that could be late.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{answers::Answer, query::Query};

/// Holds suspicious answers back.
#[derive(Debug)]
pub(crate) struct Guard {
    grace: Duration,
    doubt_until: Option<Instant>,
    held: HashMap<Query, Answer>,
    /// Keys that the registry still had after the break.
    kept: HashSet<Query>,
}

impl Guard {
    /// A guard that doubts for `grace` after a break; zero never doubts.
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, doubt_until: None, held: HashMap::new(), kept: HashSet::new() }
    }

    /// Doubts for another time from the next break on.
    pub(crate) fn doubt_for(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// Gives the answer back when it can be believed; keeps it otherwise.
    pub(crate) fn admit(
        &mut self,
        query: &Query,
        known: Option<&Answer>,
        new: Answer,
        after_break: bool,
        now: Instant,
    ) -> Option<Answer> {
        if after_break {
            self.doubt_until = Some(now + self.grace);
            self.kept.clear();
        }
        let doubted = self.doubt_until.is_some_and(|until| now < until) && !self.kept.contains(query);
        if doubted && is_empty(&new) && known.is_some_and(|known| !is_empty(known)) {
            if self.held.is_empty() {
                let grace = registry_wire::duration::format(self.grace);
                tracing::warn!(
                    target: "runner",
                    "{query} is suddenly empty after the registry was away; what was known is kept for {grace}"
                );
            }
            self.held.insert(query.clone(), new);
            return None;
        }
        self.held.remove(query);
        if matches!(new, Answer::Key(_) | Answer::Pairs(_)) && !is_empty(&new) {
            self.kept.insert(query.clone());
        }
        Some(new)
    }

    /// When the doubt ends, if something is held.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.held.is_empty() { None } else { self.doubt_until }
    }

    /// What can be believed now, because its time is over.
    pub(crate) fn release(&mut self, now: Instant) -> Vec<(Query, Answer)> {
        if self.doubt_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        self.held.drain().collect()
    }
}

fn is_empty(answer: &Answer) -> bool {
    match answer {
        Answer::Key(key) => key.now.is_none(),
        Answer::Pairs(list) => list.is_empty(),
        Answer::Instances(list) => list.is_empty(),
        Answer::Services(list) => list.is_empty(),
        Answer::Nodes(list) => list.is_empty(),
        Answer::Node(node) => node.node.is_none(),
        Answer::Documents(list) => list.is_empty(),
        Answer::Datacenters(_) | Answer::File(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{CatalogSnippet, KeyAnswer};

    const GRACE: Duration = Duration::from_secs(60);

    fn full() -> Answer {
        Answer::Services(vec![CatalogSnippet::default()])
    }

    fn empty() -> Answer {
        Answer::Services(Vec::new())
    }

    #[tokio::test(start_paused = true)]
    async fn emptiness_after_a_break_is_held_until_its_time() {
        let query = Query::services("").unwrap();
        let mut guard = Guard::new(GRACE);
        let start = Instant::now();
        assert_eq!(guard.admit(&query, Some(&full()), empty(), true, start), None);
        assert_eq!(guard.release(start + GRACE / 2), []);
        assert_eq!(guard.deadline(), Some(start + GRACE));
        assert_eq!(guard.release(start + GRACE), [(query, empty())]);
        assert_eq!(guard.deadline(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_answer_ends_the_doubt() {
        let query = Query::services("").unwrap();
        let mut guard = Guard::new(GRACE);
        let start = Instant::now();
        assert_eq!(guard.admit(&query, Some(&full()), empty(), true, start), None);
        assert_eq!(guard.admit(&query, Some(&full()), full(), false, start), Some(full()));
        assert_eq!(guard.release(start + GRACE), []);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_deleted_after_a_break_are_gone_at_once() {
        let (query, start) = (Query::key("a").unwrap(), Instant::now());
        let mut guard = Guard::new(GRACE);
        let there = Answer::Key(KeyAnswer { now: Some(Default::default()), ..KeyAnswer::default() });
        let gone = Answer::Key(KeyAnswer::default());
        assert_eq!(guard.admit(&query, None, there.clone(), true, start), Some(there.clone()));
        assert_eq!(guard.admit(&query, Some(&there), gone.clone(), false, start), Some(gone.clone()));
        // Another break, and the registry has lost it.
        assert_eq!(guard.admit(&query, Some(&there), there.clone(), false, start), Some(there.clone()));
        assert_eq!(guard.admit(&query, Some(&there), gone, true, start), None);
        // Instances may have been shown before their nodes were missed.
        let services = Query::services("").unwrap();
        assert_eq!(guard.admit(&services, None, full(), true, start), Some(full()));
        assert_eq!(guard.admit(&services, Some(&full()), empty(), false, start), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_break_emptiness_is_believed() {
        let query = Query::services("").unwrap();
        let start = Instant::now();
        let mut guard = Guard::new(GRACE);
        assert_eq!(guard.admit(&query, Some(&full()), empty(), false, start), Some(empty()));
        assert_eq!(guard.admit(&query, None, empty(), true, start), Some(empty()), "nothing was known");
        let later = start + GRACE;
        assert_eq!(
            guard.admit(&query, Some(&full()), empty(), false, later),
            Some(empty()),
            "the doubt is over"
        );
        let mut never = Guard::new(Duration::ZERO);
        assert_eq!(never.admit(&query, Some(&full()), empty(), true, start), Some(empty()));
        let gone = Answer::Key(KeyAnswer::default());
        assert!(is_empty(&gone));
    }
}
