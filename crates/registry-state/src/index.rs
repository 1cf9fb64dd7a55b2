//! The index of the last change of each table, node and service: what `X-Consul-Index` shows.

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{Caseless, Index};

/// The last change of each table. Single entries know their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Indexes {
    /// Nodes: the records and, as in Consul, instances coming, changing and going.
    pub(crate) nodes: Index,
    /// Instances.
    pub(crate) services: Index,
    /// Checks.
    pub(crate) checks: Index,
    /// Sessions.
    pub(crate) sessions: Index,
    /// Prepared queries.
    pub(crate) queries: Index,
    /// Configuration entries.
    pub(crate) config: Index,
    /// Coordinates of nodes.
    pub(crate) coordinates: Index,
    /// User events.
    pub(crate) events: Index,
    /// A node was removed.
    pub(crate) node_extinction: Index,
    /// The last instance of a service was removed.
    pub(crate) service_extinction: Index,
    /// One node: its record and its instances.
    pub(crate) node: OrdMap<Caseless, Index>,
    /// One service: all that an answer about it shows.
    pub(crate) service: OrdMap<Caseless, Index>,
}
