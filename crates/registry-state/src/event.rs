//! User events: the newest ones, for agents to learn.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{Index, State, Topic, state::Change};

/// How many events are kept. An agent keeps as many, so one that was away for longer misses nothing it would still have.
const EVENTS_MAX: usize = 256;
/// The place of the first event; gossip's clock starts at 1.
const LTIME_FIRST: u64 = 2;

/// A user event. Who gets it is decided by the agents, by its filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// A random UUID in lower case, chosen by whoever fired it.
    pub id: String,
    /// What happened.
    pub name: String,
    /// What came with it.
    #[serde(with = "crate::serde_bytes")]
    pub payload: Bytes,
    /// Which nodes get it, a regular expression; empty is all.
    pub node_filter: String,
    /// Which services a node must have; empty is none.
    pub service_filter: String,
    /// Which tags such a service must have; empty is none.
    pub tag_filter: String,
    /// Its place among all events; the state gives it.
    pub ltime: u64,
}

/// The newest events, by the index that fired them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events(pub(crate) OrdMap<Index, Arc<Event>>);

impl State {
    /// Fires an event; its place is after all others.
    pub(crate) fn fire_event(&mut self, change: &mut Change, event: &Event) {
        let events = &mut self.events.0;
        if events.values().any(|known| known.id == event.id) {
            return;
        }
        let ltime = events.get_max().map_or(LTIME_FIRST, |(_, newest)| newest.ltime + 1);
        events.insert(change.index, Arc::new(Event { ltime, ..event.clone() }));
        if events.len() > EVENTS_MAX
            && let Some(oldest) = events.get_min().map(|(index, _)| *index)
        {
            events.remove(&oldest);
        }
        self.indexes.events = change.index;
        change.topics.add(Topic::Events);
    }
}
