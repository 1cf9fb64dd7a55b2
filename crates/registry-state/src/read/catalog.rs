//! The catalog: nodes, names of services, instances.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    Caseless, Index, Node, Service, State, Stored, Topic,
    catalog::NodeEntry,
    read::{NodeMeta, Read, at_least_one, has_meta, has_tags, nodes_with},
};

/// All nodes, in order of their names: `GET /v1/catalog/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogNodes {
    /// Only nodes with these pairs.
    pub node_meta: NodeMeta,
}

impl Read for CatalogNodes {
    type Output = Vec<Arc<Stored<Node>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![nodes_with(&self.node_meta).unwrap_or(Topic::Nodes)]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let nodes = state.catalog.nodes.values().filter(|node| has_meta(node, &self.node_meta)).cloned();
        (nodes.collect(), at_least_one(state.indexes.nodes))
    }
}

/// The names of all services, each with the tags of all its instances: `GET /v1/catalog/services`.
///
/// Two spellings of a name are two names here, as in Consul.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogServices {
    /// Only instances on nodes with these pairs.
    pub node_meta: NodeMeta,
}

impl Read for CatalogServices {
    type Output = BTreeMap<String, BTreeSet<String>>;

    fn topics(&self) -> Vec<Topic> {
        [Topic::Services].into_iter().chain(nodes_with(&self.node_meta)).collect()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let mut services = Self::Output::new();
        for ((node, _), service) in &state.catalog.services {
            if !self.node_meta.is_empty() && !has_meta(node_of(state, node), &self.node_meta) {
                continue;
            }
            if !services.contains_key(&service.name) {
                services.insert(service.name.clone(), BTreeSet::new());
            }
            let tags = services.get_mut(&service.name).expect("inserted above");
            tags.extend(service.tags.iter().cloned());
        }
        let nodes = if self.node_meta.is_empty() { 0 } else { state.indexes.nodes };
        (services, at_least_one(state.indexes.services.max(nodes)))
    }
}

/// An instance and the node it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInstance {
    /// The node.
    pub node: Arc<Stored<Node>>,
    /// The instance.
    pub service: Arc<Stored<Service>>,
}

/// The instances of a service, in order of node and id: `GET /v1/catalog/service/:service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogService {
    /// The service's name.
    pub service: Caseless,
    /// Only instances with all of these tags, in any case.
    pub tags: Vec<String>,
    /// Only instances on nodes with these pairs.
    pub node_meta: NodeMeta,
}

impl Read for CatalogService {
    type Output = Vec<ServiceInstance>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Service(self.service.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let mut instances = Vec::new();
        for (node, service) in state.catalog.instances_of(&self.service) {
            let node = node_of(state, node);
            if has_tags(&service.tags, &self.tags) && has_meta(node, &self.node_meta) {
                instances.push(ServiceInstance { node: node.clone(), service: service.clone() });
            }
        }
        let tables = state.indexes.nodes.max(state.indexes.services);
        (instances, service_index(state, &self.service, tables))
    }
}

/// A node with its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeServices {
    /// The node.
    pub node: Arc<Stored<Node>>,
    /// Its instances, in order of their ids.
    pub services: Vec<Arc<Stored<Service>>>,
}

/// A node with its instances: `GET /v1/catalog/node/:node` and `/v1/catalog/node-services/:node`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogNode {
    /// The node's name, or if no node has it, its id or the beginning of it: an even number of hex digits, at least 2.
    pub node: String,
}

impl CatalogNode {
    /// The part of an id this may be: hex digits and hyphens, as ids are stored.
    fn id_prefix(&self) -> Option<Caseless> {
        let digits = self.node.bytes().filter(|b| *b != b'-');
        let hex = self.node.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
        let count = digits.count();
        let fits = hex && self.node.len() >= 2 && self.node.len() <= 36 && count.is_multiple_of(2);
        fits.then(|| Caseless::new(&self.node))
    }

    /// The one node whose id starts like this.
    fn by_id<'a>(&self, state: &'a State) -> Option<&'a NodeEntry> {
        let prefix = self.id_prefix()?;
        let mut fitting = state.catalog.node_ids.range(prefix.clone()..);
        let mut next = || fitting.next().filter(|(id, _)| id.as_str().starts_with(prefix.as_str()));
        let (_, name) = next()?;
        if next().is_some() {
            return None;
        }
        state.catalog.nodes.get(name)
    }
}

impl Read for CatalogNode {
    type Output = Option<NodeServices>;

    fn topics(&self) -> Vec<Topic> {
        let by_id = self.id_prefix().map(Topic::NodeIdPrefix);
        [Topic::Node(Caseless::new(&self.node))].into_iter().chain(by_id).collect()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let node = state.catalog.nodes.get(&Caseless::new(&self.node)).or_else(|| self.by_id(state));
        let Some(node) = node else { return (None, at_least_one(state.indexes.node_extinction)) };
        let name = Caseless::new(&node.name);
        let services = state.catalog.services_of(&name).cloned().collect();
        let index = state.indexes.node.get(&name).copied().unwrap_or(node.modify_index);
        (Some(NodeServices { node: node.clone(), services }), at_least_one(index))
    }
}

/// What an address belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressOwner {
    /// A node has it.
    Node(Arc<Stored<Node>>),
    /// No node, but an instance has it as its own.
    Service(Arc<Stored<Service>>),
}

/// Whom an address belongs to, the first node or else the first instance, for reverse DNS. It looks at every node and
/// instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CatalogAddress {
    /// An IP address.
    pub address: IpAddr,
}

impl Read for CatalogAddress {
    type Output = Option<AddressOwner>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Nodes, Topic::Services]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        // An IPv4 address written as IPv6 is that IPv4 address.
        let same = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == self.address);
        let node = state.catalog.nodes.values().find(|node| same(&node.address));
        let service = || state.catalog.services.values().find(|service| same(&service.address));
        let owner = match node {
            Some(node) => Some(AddressOwner::Node(node.clone())),
            None => service().cloned().map(AddressOwner::Service),
        };
        (owner, at_least_one(state.indexes.nodes.max(state.indexes.services)))
    }
}

/// The node an instance is on.
pub(super) fn node_of<'a>(state: &'a State, name: &Caseless) -> &'a NodeEntry {
    state.catalog.nodes.get(name).expect("a node's instances go with it")
}

/// The index of an answer about one service. Without instances it is that of the last service to vanish, so that
/// other services' changes do not move it; before any vanished, that of the tables it would come from.
pub(super) fn service_index(state: &State, service: &Caseless, tables: Index) -> Index {
    let vanished = state.indexes.service_extinction;
    let index = match state.indexes.service.get(service) {
        Some(index) => *index,
        None if vanished > 0 => vanished,
        None => tables,
    };
    at_least_one(index)
}
