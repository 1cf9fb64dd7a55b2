//! The bodies of `PUT /v1/catalog/register` and `/v1/catalog/deregister`, and the parts that other bodies share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{ServiceAddress, TextMap},
    definition::{Definition, TxnDefinition},
    json::{Json, Unknown, decode_value},
    proxy::{Connect, Proxy},
};

/// The body of `PUT /v1/catalog/register`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "structs.RegisterRequest", rename_all = "PascalCase", default)]
pub struct RegisterBody {
    /// The datacenter; empty means the local one.
    pub datacenter: String,
    /// The node's id, a UUID, or empty.
    #[serde(rename = "ID")]
    pub id: String,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The node's further addresses.
    pub tagged_addresses: Option<TextMap>,
    /// The node's pairs.
    pub node_meta: Option<TextMap>,
    /// An instance on the node.
    pub service: Option<ServiceBody>,
    /// One check.
    pub check: Option<CheckBody>,
    /// More checks.
    pub checks: Vec<CheckBody>,
    /// Leave a known node's record as it is.
    pub skip_node_update: bool,
    /// Where the node is, kept as data.
    pub locality: Option<Locality>,
    /// Another cluster's name; accepted and not used.
    pub peer_name: String,
    /// A token; accepted and not used.
    pub token: String,
}

/// A node in a transaction's body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.Node", rename_all = "PascalCase", default)]
pub struct NodeBody {
    /// A UUID, or empty.
    #[serde(rename = "ID")]
    pub id: String,
    /// The name.
    pub node: String,
    /// The address.
    pub address: String,
    /// Accepted and not used.
    pub datacenter: String,
    /// Further addresses.
    pub tagged_addresses: Option<TextMap>,
    /// The operator's pairs.
    pub meta: Option<TextMap>,
    /// Where the node is, kept as data.
    pub locality: Option<Locality>,
    /// Accepted and not used.
    pub peer_name: String,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// An instance in a body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "structs.NodeService", rename_all = "PascalCase", default)]
pub struct ServiceBody {
    /// `connect-proxy` and the like.
    pub kind: String,
    /// The instance's id; empty means its service's name.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    pub service: String,
    /// Labels; `None` when nobody said.
    pub tags: Option<Vec<String>>,
    /// The instance's own address.
    pub address: String,
    /// Further addresses.
    #[serde(alias = "tagged_addresses")]
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// The operator's pairs.
    pub meta: Option<TextMap>,
    /// The port.
    pub port: i64,
    /// A unix socket instead of a port.
    pub socket_path: String,
    /// SRV weights; 1 and 1 when not given.
    pub weights: Option<WeightsBody>,
    /// Whether others may change the tags in the catalog.
    #[serde(alias = "enable_tag_override")]
    pub enable_tag_override: bool,
    /// A mesh proxy's settings, kept as data.
    pub proxy: Proxy,
    /// A mesh's settings, kept as data.
    pub connect: Connect,
    /// Where the instance is, kept as data.
    pub locality: Option<Locality>,
    /// Accepted and not used.
    pub peer_name: String,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// Weights in a body: what is not given is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename = "structs.Weights", rename_all = "PascalCase", default)]
pub struct WeightsBody {
    /// The weight while all checks pass.
    pub passing: i64,
    /// The weight while one warns.
    pub warning: i64,
}

/// A check in a body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "structs.HealthCheck", rename_all = "PascalCase", default)]
pub struct CheckBody {
    /// The node; empty means the registration's.
    pub node: String,
    /// The id; empty means the name.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// For people.
    pub name: String,
    /// `passing`, `warning`, `critical`; any word is stored.
    pub status: String,
    /// For people.
    pub notes: String,
    /// What the last run said.
    pub output: String,
    /// The instance it belongs to.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The instance tells it; kept for a check without one.
    pub service_name: String,
    /// Accepted and not used: the instance tells them.
    pub service_tags: Vec<String>,
    /// `http`, `tcp`, …; derived from the definition when empty.
    #[serde(rename = "Type")]
    pub kind: String,
    /// A Go duration, shown as sent.
    pub interval: String,
    /// A Go duration, shown as sent.
    pub timeout: String,
    /// A port opened for the check.
    pub exposed_port: i64,
    /// Accepted and not used.
    pub peer_name: String,
    /// What the check does; names it does not have are skipped.
    pub definition: Definition,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// A check in a transaction's body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.HealthCheck", rename_all = "PascalCase", default)]
pub struct TxnCheckBody {
    /// The node.
    pub node: String,
    /// The id; for writes, empty means the name.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// For people.
    pub name: String,
    /// `passing`, `warning`, `critical`; any word is stored.
    pub status: String,
    /// For people.
    pub notes: String,
    /// What the last run said.
    pub output: String,
    /// The instance it belongs to.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The instance tells it; kept for a check without one.
    pub service_name: String,
    /// Accepted and not used: the instance tells them.
    pub service_tags: Vec<String>,
    /// `http`, `tcp`, … as sent.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Accepted and not used.
    pub namespace: String,
    /// Accepted and not used.
    pub partition: String,
    /// A port opened for the check.
    pub exposed_port: i64,
    /// Accepted and not used.
    pub peer_name: String,
    /// What the check does.
    pub definition: BothDefinitions,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// One object read twice: for its plain names, and for those that durations have in transactions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BothDefinitions(pub Definition);

impl<'de> Deserialize<'de> for BothDefinitions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        let more: TxnDefinition =
            decode_value(value.clone(), Unknown::Skip).map_err(serde::de::Error::custom)?;
        let plain: Definition = decode_value(value, Unknown::Skip).map_err(serde::de::Error::custom)?;
        Ok(Self(more.complete(plain)))
    }
}

/// Where a node or an instance is: `{"Region":"eu-1","Zone":"a"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "structs.Locality", rename_all = "PascalCase", default)]
pub struct Locality {
    /// The region; a zone needs one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The zone within it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
}

/// The body of `PUT /v1/catalog/deregister`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "struct { Address string; *structs.Alias }", rename_all = "PascalCase", default)]
pub struct DeregisterBody {
    /// The datacenter; empty means the local one.
    pub datacenter: String,
    /// The node's name.
    pub node: String,
    /// The instance to remove, with its checks.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The check to remove, unless an instance is named.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// Accepted and not used.
    pub address: String,
    /// Accepted and not used.
    pub peer_name: String,
    /// Accepted and not used.
    pub token: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::decode;

    #[test]
    fn weights_that_are_given_are_not_filled_up() {
        let service: ServiceBody = decode(br#"{"Weights":{"Passing":5}}"#, Unknown::Refuse).unwrap();
        assert_eq!(service.weights, Some(WeightsBody { passing: 5, warning: 0 }));
    }
}
