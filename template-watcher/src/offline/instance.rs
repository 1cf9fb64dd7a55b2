//! Instances and nodes in a fixture.

use std::collections::BTreeMap;

use registry_wire::catalog::{HealthCheck, Node, ServiceAddress, TextMap, Weights};
use serde::{Deserialize, Serialize};

use crate::{
    answers::{CatalogNodeService, HealthService},
    ask,
    query::Query,
};

/// One instance of a service. All fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instance {
    /// Its id; the service's name when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The node it runs on; `node-1` when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The node's address, unless `nodes` tells it; the instance's own when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_address: String,
    /// Its own address; the node's when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Its port.
    #[serde(skip_serializing_if = "is_nought")]
    pub port: i64,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: TextMap,
    /// Its further addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tagged_addresses: BTreeMap<String, Address>,
    /// `passing`, `warning`, `critical` or `maintenance`, where the checks do not matter; `passing` when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Its checks, in the registry's own shape; they decide the status.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<HealthCheck>,
    /// Its weights in DNS; 1 and 1 when none are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightEntry>,
    /// Whether `connect` finds it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub connect: bool,
}

/// A further address of an instance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Address {
    /// The address.
    pub address: String,
    /// The port.
    pub port: i64,
}

/// Weights in DNS.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WeightEntry {
    /// While all checks pass.
    pub passing: i64,
    /// While one warns.
    pub warning: i64,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeEntry {
    /// Its name.
    pub node: String,
    /// Its id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Its datacenter, when it is not the one it is listed in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub datacenter: String,
    /// Its further addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tagged_addresses: TextMap,
    /// Its pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: TextMap,
    /// What `node` shows on it; the instances that name it when none are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<Listed>>,
}

/// A service on a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listed {
    /// The instance's id.
    pub id: String,
    /// The service's name.
    pub service: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: TextMap,
    /// Its port.
    #[serde(skip_serializing_if = "is_nought")]
    pub port: i64,
    /// Its own address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Whether others may change the tags.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enable_tag_override: bool,
}

/// The instances that a question for a service wants, in the registry's order.
pub(super) fn chosen(
    service: &str,
    instances: &[Instance],
    nodes: &[NodeEntry],
    query: &Query,
) -> Vec<HealthService> {
    let Query::Service { tag, states, near, connect, .. } = query else { return Vec::new() };
    let wanted = |instance: &&Instance| {
        (tag.is_empty() || instance.tags.contains(tag)) && (!*connect || instance.connect)
    };
    let all = instances.iter().filter(wanted).map(|instance| instance.health_service(service, nodes));
    let mut found: Vec<_> = all
        .filter(|one| states.is_empty() || states.iter().any(|state| state.name() == one.status))
        .collect();
    if near.is_empty() {
        found.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
    }
    found
}

impl Instance {
    /// The node it runs on, as it is listed or as the instance tells.
    pub(super) fn on_node(&self, nodes: &[NodeEntry]) -> NodeEntry {
        let name = if self.node.is_empty() { "node-1" } else { &self.node };
        let known = nodes.iter().find(|entry| entry.node == name).cloned();
        let address = if self.node_address.is_empty() { &self.address } else { &self.node_address };
        known.unwrap_or_else(|| NodeEntry {
            node: name.to_owned(),
            address: address.clone(),
            ..NodeEntry::default()
        })
    }

    fn health_service(&self, service: &str, nodes: &[NodeEntry]) -> HealthService {
        let node = self.on_node(nodes);
        let mut tags = self.tags.clone();
        tags.sort();
        let told = if self.status.is_empty() { "passing" } else { &self.status };
        let status = if self.checks.is_empty() {
            told.to_owned()
        } else {
            ask::aggregate(&self.checks).map_or("", |state| state.name()).to_owned()
        };
        let address = |a: &Address| ServiceAddress { address: a.address.clone(), port: a.port };
        let weights = self.weights.unwrap_or(WeightEntry { passing: 1, warning: 1 });
        HealthService {
            node: node.node,
            node_id: node.id,
            address: if self.address.is_empty() { node.address.clone() } else { self.address.clone() },
            node_address: node.address,
            node_tagged_addresses: unless_empty(node.tagged_addresses),
            node_meta: unless_empty(node.meta),
            service_meta: unless_empty(self.meta.clone()),
            service_tagged_addresses: unless_empty(
                self.tagged_addresses.iter().map(|(name, a)| (name.clone(), address(a))).collect(),
            ),
            id: self.id_or(service),
            name: service.to_owned(),
            tags,
            checks: self.checks.clone(),
            status,
            port: self.port,
            weights: Weights { passing: weights.passing, warning: weights.warning },
        }
    }

    /// The instance as a node shows it.
    pub(super) fn as_listed(&self, service: &str) -> CatalogNodeService {
        let mut tags = self.tags.clone();
        tags.sort();
        CatalogNodeService {
            id: self.id_or(service),
            service: service.to_owned(),
            tags,
            meta: unless_empty(self.meta.clone()),
            port: self.port,
            address: self.address.clone(),
            enable_tag_override: false,
        }
    }

    fn id_or(&self, service: &str) -> String {
        if self.id.is_empty() { service.to_owned() } else { self.id.clone() }
    }
}

impl NodeEntry {
    pub(super) fn as_node(&self, datacenter: &str) -> Node {
        let own = if self.datacenter.is_empty() { datacenter } else { &self.datacenter };
        Node {
            id: self.id.clone(),
            node: self.node.clone(),
            address: self.address.clone(),
            datacenter: own.to_owned(),
            tagged_addresses: unless_empty(self.tagged_addresses.clone()),
            meta: unless_empty(self.meta.clone()),
            ..Node::default()
        }
    }
}

impl Listed {
    pub(super) fn service(&self) -> CatalogNodeService {
        CatalogNodeService {
            id: self.id.clone(),
            service: self.service.clone(),
            tags: self.tags.clone(),
            meta: unless_empty(self.meta.clone()),
            port: self.port,
            address: self.address.clone(),
            enable_tag_override: self.enable_tag_override,
        }
    }
}

/// A fixture does not tell an empty map from none.
fn unless_empty<T>(map: BTreeMap<String, T>) -> Option<BTreeMap<String, T>> {
    Some(map).filter(|map| !map.is_empty())
}

fn is_nought(number: &i64) -> bool {
    *number == 0
}
