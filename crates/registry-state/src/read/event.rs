//! User events, as agents learn them.

use std::sync::Arc;

use crate::{
    Event, Index, State, Topic,
    read::{Read, at_least_one},
};

/// The events that were fired after an index, oldest first; the answer's index is that of the newest event of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventsAfter {
    /// The index up to which the asker knows all; `None` for one that wants to hear of no event that has been.
    pub after: Option<Index>,
}

impl Read for EventsAfter {
    type Output = Vec<Arc<Event>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Events]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let newer = self.after.map(|after| state.events.0.range(after.saturating_add(1)..));
        let events = newer.into_iter().flatten().map(|(_, event)| event.clone());
        (events.collect(), at_least_one(state.indexes.events))
    }
}
