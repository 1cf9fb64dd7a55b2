//! Nodes, services and checks as `/v1/catalog` and `/v1/health` show them, and the bodies that register them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::proxy::Proxy;

/// Texts by name; keys in order, so that equal maps give equal bytes.
pub type TextMap = BTreeMap<String, String>;

/// A node, as in `/v1/catalog/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// A UUID, or empty for a node registered from outside.
    #[serde(rename = "ID")]
    pub id: String,
    /// The name, unique without regard to case.
    pub node: String,
    /// An IP address or a DNS name.
    pub address: String,
    /// The datacenter it is registered in.
    pub datacenter: String,
    /// Further addresses: `lan`, `lan_ipv4`, `wan`, …; `null` when none were given.
    pub tagged_addresses: Option<TextMap>,
    /// The operator's pairs; `null` when none were given.
    pub meta: Option<TextMap>,
    /// Where the node is, kept as data; left out when nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<serde_json::Value>,
    /// The index of the first registration.
    pub create_index: u64,
    /// The index of the last change.
    pub modify_index: u64,
}

/// An address and a port under a tag of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "structs.ServiceAddress", rename_all = "PascalCase", default)]
pub struct ServiceAddress {
    /// An IP address or a DNS name.
    pub address: String,
    /// The port; 0 when it does not matter.
    pub port: i64,
}

/// How much of the traffic an instance gets in SRV answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Weights {
    /// The weight while all checks pass.
    pub passing: i64,
    /// The weight while one warns.
    pub warning: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// An instance of a service on its node, as in `/v1/catalog/node/:node` and `/v1/health/service/:service`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeService {
    /// `connect-proxy` and the like; kept as data, left out when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Unique on its node without regard to case.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    pub service: String,
    /// Labels to select by.
    pub tags: Option<Vec<String>>,
    /// The instance's own address; empty means the node's.
    pub address: String,
    /// Further addresses; left out when none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagged_addresses: Option<BTreeMap<String, ServiceAddress>>,
    /// The operator's pairs.
    pub meta: Option<TextMap>,
    /// The port; left out when 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: i64,
    /// A unix socket instead of a port; left out when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub socket_path: String,
    /// SRV weights.
    pub weights: Weights,
    /// Whether others may change the tags in the catalog.
    pub enable_tag_override: bool,
    /// A mesh proxy's settings, kept as data; see [`no_proxy`].
    pub proxy: serde_json::Value,
    /// A mesh's settings, kept as data; `{}` when there are none.
    pub connect: serde_json::Value,
    /// Where the instance is, kept as data; left out when nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<serde_json::Value>,
    /// Always empty here.
    pub peer_name: String,
    /// The index of the first registration.
    pub create_index: u64,
    /// The index of the last change of the instance itself; its checks do not count.
    pub modify_index: u64,
}

impl NodeService {
    /// What it says as a proxy; the same whether that is nothing or empty.
    pub fn proxy(&self) -> Proxy {
        serde_json::from_value(self.proxy.clone()).unwrap_or_default()
    }

    /// Whether it speaks for itself in a mesh.
    pub fn is_native(&self) -> bool {
        self.connect["Native"] == serde_json::Value::Bool(true)
    }
}

/// What `Proxy` shows of an instance that is no proxy.
pub fn no_proxy() -> serde_json::Value {
    serde_json::json!({ "Mode": "", "MeshGateway": {}, "Expose": {} })
}

/// An instance with its node in one object, as in `/v1/catalog/service/:service`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceNode {
    /// The node's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The node's datacenter.
    pub datacenter: String,
    /// The node's further addresses.
    pub tagged_addresses: Option<TextMap>,
    /// The node's pairs.
    pub node_meta: Option<TextMap>,
    /// `connect-proxy` and the like.
    pub service_kind: String,
    /// Unique on its node without regard to case.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// Labels, `[]` when none.
    pub service_tags: Vec<String>,
    /// The instance's own address; empty means the node's.
    pub service_address: String,
    /// Further addresses of the instance; left out when none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tagged_addresses: Option<BTreeMap<String, ServiceAddress>>,
    /// SRV weights.
    pub service_weights: Weights,
    /// The instance's pairs, `{}` when none.
    pub service_meta: TextMap,
    /// The port; 0 when none.
    pub service_port: i64,
    /// A unix socket instead of a port.
    pub service_socket_path: String,
    /// Whether others may change the tags in the catalog.
    pub service_enable_tag_override: bool,
    /// A mesh proxy's settings, kept as data.
    pub service_proxy: serde_json::Value,
    /// A mesh's settings, kept as data.
    pub service_connect: serde_json::Value,
    /// Where the instance is, kept as data; `null` when nobody said.
    pub service_locality: Option<serde_json::Value>,
    /// The index of the instance's first registration.
    pub create_index: u64,
    /// The index of the instance's last change.
    pub modify_index: u64,
}

/// A check and its last result, as in `/v1/health/…`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// The node the check runs on.
    pub node: String,
    /// Unique on its node.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// For people.
    pub name: String,
    /// `passing`, `warning` or `critical`.
    pub status: String,
    /// For people.
    pub notes: String,
    /// What the last run said.
    pub output: String,
    /// The instance the check belongs to; empty for a check of the node.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// That instance's service.
    pub service_name: String,
    /// That instance's tags.
    pub service_tags: Option<Vec<String>>,
    /// `http`, `tcp`, `ttl`, …, or empty.
    #[serde(rename = "Type")]
    pub kind: String,
    /// A Go duration, or empty.
    pub interval: String,
    /// A Go duration, or empty.
    pub timeout: String,
    /// Always 0 here.
    pub exposed_port: i64,
    /// What the check does, as far as it was sent; `{}` otherwise.
    pub definition: serde_json::Map<String, serde_json::Value>,
    /// The index of the first registration.
    pub create_index: u64,
    /// The index of the last change.
    pub modify_index: u64,
}

/// An instance with its node and all checks that bear on it, as in `/v1/health/service/:service`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckServiceNode {
    /// Where it runs.
    pub node: Node,
    /// What it is.
    pub service: NodeService,
    /// The node's checks, then the instance's own; `null` is read as none.
    #[serde(deserialize_with = "or_none")]
    pub checks: Vec<HealthCheck>,
}

fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<HealthCheck>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn is_zero(port: &i64) -> bool {
    *port == 0
}
