//! The last known answers to DNS, for the time in which no registry answers.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::{Found, Lookup};

/// How many answers are kept; when there are more, the oldest half goes.
const ANSWERS_MAX: usize = 4096;

struct Known {
    bytes: Bytes,
    found: Found,
    confirmed: Instant,
}

/// Answers by question, each with the bytes it was made from.
pub(super) struct Remembered {
    answers: HashMap<Lookup, Known>,
    limit: Duration,
}

impl Remembered {
    /// Remembers each answer for `limit` after a registry last gave it.
    pub(super) fn new(limit: Duration) -> Self {
        Self { answers: HashMap::new(), limit }
    }

    /// The known answer, confirmed, if the registry gave the same bytes again.
    pub(super) fn same(&mut self, lookup: &Lookup, bytes: &Bytes) -> Option<Found> {
        let known = self.answers.get_mut(lookup).filter(|known| known.bytes == bytes)?;
        known.confirmed = Instant::now();
        Some(known.found.clone())
    }

    /// Keeps a new answer.
    pub(super) fn remember(&mut self, lookup: Lookup, bytes: Bytes, found: Found) {
        if self.answers.len() >= ANSWERS_MAX {
            let mut times: Vec<_> = self.answers.values().map(|known| known.confirmed).collect();
            times.sort();
            let middle = times[times.len() / 2];
            self.answers.retain(|_, known| known.confirmed > middle);
        }
        self.answers.insert(lookup, Known { bytes, found, confirmed: Instant::now() });
    }

    /// The last known answer, unless it is too old.
    pub(super) fn recall(&self, lookup: &Lookup) -> Option<Found> {
        let known = self.answers.get(lookup)?;
        (known.confirmed.elapsed() < self.limit).then(|| known.found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str) -> Lookup {
        Lookup::Node { name: name.into(), datacenter: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_for_a_bounded_time_after_its_last_confirmation() {
        let mut remembered = Remembered::new(Duration::from_secs(60));
        let bytes = Bytes::from_static(b"x");
        remembered.remember(question("a"), bytes.clone(), Found::Node(None));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(remembered.recall(&question("a")).is_some());
        assert!(remembered.same(&question("a"), &Bytes::from_static(b"y")).is_none());
        assert!(remembered.same(&question("a"), &bytes).is_some());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(remembered.recall(&question("a")).is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(remembered.recall(&question("a")).is_none());
        assert!(remembered.recall(&question("b")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_given_again_where_that_is_not_allowed() {
        let mut remembered = Remembered::new(Duration::ZERO);
        remembered.remember(question("a"), Bytes::new(), Found::Node(None));
        assert!(remembered.recall(&question("a")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn names_without_end_do_not_take_memory_without_end() {
        let mut remembered = Remembered::new(Duration::from_secs(60));
        for number in 0..3 * ANSWERS_MAX {
            remembered.remember(question(&number.to_string()), Bytes::new(), Found::Node(None));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(remembered.answers.len() <= ANSWERS_MAX);
        assert!(remembered.recall(&question(&(3 * ANSWERS_MAX - 1).to_string())).is_some());
    }
}
