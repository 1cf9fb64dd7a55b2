//! Reads: questions that HTTP, DNS and the watcher's queries ask, each a plain value.
//!
//! A [`Read`] gives its answer from a [`State`], the index a blocking client waits on, and the topics whose change may
//! change the answer. Whoever waits subscribes to the topics first and looks then.

mod catalog;
mod config_entry;
mod coordinate;
mod event;
mod health;
mod kv;
mod query;
mod session;
mod txn;

pub use catalog::{
    AddressOwner, CatalogAddress, CatalogNode, CatalogNodes, CatalogService, CatalogServices, NodeServices,
    ServiceInstance,
};
pub use config_entry::{ConfigGet, ConfigList, Gateways};
pub use coordinate::{CoordinateOf, Coordinates};
pub use event::EventsAfter;
pub use health::{HealthChecks, HealthInstance, HealthNode, HealthService, HealthState};
pub use kv::{KvGet, KvKeys, KvList};
pub use query::{QueryGet, QueryList, QueryNamed};
pub use session::{SessionInfo, SessionList, SessionsOfNode};
pub use txn::Transaction;

use crate::{Caseless, Index, Node, State, Topic, state::START};

/// A question to the state.
pub trait Read {
    /// What it answers.
    type Output;

    /// The parts of the state whose change may change the answer.
    fn topics(&self) -> Vec<Topic>;

    /// The answer, and its index: at least 1, and greater than before whenever the answer has changed.
    fn run(&self, state: &State) -> (Self::Output, Index);
}

/// Pairs that a node's metadata must all have: `?node-meta=rack:r1&node-meta=env:prod`. Empty asks for nothing.
pub type NodeMeta = Vec<(String, String)>;

/// Whether a node has all of these pairs.
fn has_meta(node: &Node, wanted: &NodeMeta) -> bool {
    let has = |(key, value): &(String, String)| node.meta.as_ref().and_then(|m| m.get(key)) == Some(value);
    wanted.iter().all(has)
}

/// What changes which nodes have all of these pairs, for they have the first one.
fn nodes_with(wanted: &NodeMeta) -> Option<Topic> {
    wanted.first().map(|(key, value)| Topic::NodesWith(key.clone(), value.clone()))
}

/// Whether an instance has all of these tags, in any case.
fn has_tags(tags: &[String], wanted: &[String]) -> bool {
    wanted.iter().map(|w| Caseless::new(w)).all(|w| tags.iter().any(|tag| w.is(tag)))
}

/// Clients never see index 0, for with it they would not wait.
fn at_least_one(index: Index) -> Index {
    index.max(START)
}
