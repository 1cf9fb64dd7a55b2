//! Anti-entropy: makes the catalog say of this node what the agent knows.
//!
//! Every pass compares all that the agent has with all that the catalog says of its node ([`plan`], pure) and takes the
//! steps that are missing ([`run`]). It heals edits on both sides, and never touches what another part of the registry
//! keeps: the node's own health and a server's `consul` service.

mod plan;
mod run;

use registry_wire::catalog::{HealthCheck, NodeService};
use tokio::sync::watch;

pub use run::{Settings, Syncer};

/// What the agent has, as the catalog should say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The node's name.
    pub node: String,
    /// The node's address, for a catalog that does not know the node yet.
    pub address: String,
    /// Whether the node is a server, whose `consul` service the registry itself keeps.
    pub server: bool,
    /// All services.
    pub services: Vec<NodeService>,
    /// All checks.
    pub checks: Vec<HealthCheck>,
}

/// The agent's own services and checks.
pub trait Local: Send + Sync + 'static {
    /// What there is now.
    fn snapshot(&self) -> Snapshot;

    /// Changes with each change of a service or check.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Takes over the tags that somebody gave a service in the catalog, as `enable_tag_override` allows.
    fn adopt_tags(&self, service_id: &str, tags: Vec<String>);
}
