//! The index of the last change of each table, node and service: what `X-Consul-Index` shows.

use std::collections::BTreeMap;

use imbl::OrdMap;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Which services gateways stand for.
    pub(crate) gateways: Index,
    /// Coordinates of nodes.
    pub(crate) coordinates: Index,
    /// User events.
    pub(crate) events: Index,
    /// A node was removed.
    pub(crate) node_extinction: Index,
    /// The last instance of a service was removed.
    pub(crate) service_extinction: Index,
    /// One node: its record and its instances.
    #[serde(deserialize_with = "read_map")]
    pub(crate) node: OrdMap<Caseless, Index>,
    /// One service: all that an answer about it shows.
    #[serde(deserialize_with = "read_map")]
    pub(crate) service: OrdMap<Caseless, Index>,
}

/// Reads a map entry by entry. The map's own reading makes room for as many entries as the file claims to have, so that five
/// bad bytes would take all memory.
fn read_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OrdMap<Caseless, Index>, D::Error> {
    let entries: BTreeMap<Caseless, Index> = BTreeMap::deserialize(deserializer)?;
    Ok(entries.into_iter().collect())
}
