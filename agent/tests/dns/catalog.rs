//! A catalog in memory behind the DNS listener, filled by `/v1/catalog/register` and `/v1/catalog/deregister` bodies.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use agent::backend::{AddressOwner, Backend, BoxFuture, Found, Lookup, Reach, Unavailable};
use http::{Request, Response};
use http_api::Body;
use registry_wire::catalog::{CheckServiceNode, HealthCheck, Node, NodeService, Weights};
use serde::Deserialize;
use serde_json::Value;

/// A node with all that is on it.
#[derive(Clone, Default)]
struct Entry {
    node: Node,
    services: BTreeMap<String, NodeService>,
    checks: BTreeMap<String, HealthCheck>,
}

#[derive(Default)]
struct Tables {
    nodes: BTreeMap<String, Entry>,
    /// What was answered since the last change: the same pointers again.
    given: HashMap<String, Arc<Vec<CheckServiceNode>>>,
}

/// The catalog.
#[derive(Default)]
pub(crate) struct Catalog {
    tables: Mutex<Tables>,
    /// What every look-up ends with, if anything.
    pub(crate) fails: Mutex<Option<Unavailable>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Registration {
    node: String,
    address: String,
    tagged_addresses: Option<BTreeMap<String, String>>,
    node_meta: Option<BTreeMap<String, String>>,
    service: Option<NodeService>,
    checks: Vec<HealthCheck>,
    skip_node_update: bool,
    #[serde(rename = "ServiceID")]
    service_id: String,
}

impl Catalog {
    /// A catalog with one server, `srv1`.
    pub(crate) fn with_server(port: u16) -> Self {
        let catalog = Self::default();
        catalog.register(serde_json::json!({
            "Node": "srv1", "Address": "127.0.0.1",
            "TaggedAddresses": {"lan": "127.0.0.1", "lan_ipv4": "127.0.0.1", "wan": "127.0.0.1", "wan_ipv4": "127.0.0.1"},
            "NodeMeta": {"consul-network-segment": "", "consul-version": "1.21.4"},
            "Service": {"Service": "consul", "ID": "consul", "Port": port},
            "Checks": [{"CheckID": "serfHealth", "Status": "passing"}],
        }));
        catalog
    }

    pub(crate) fn register(&self, body: Value) {
        let body: Registration = serde_json::from_value(body).unwrap();
        let mut tables = self.tables.lock().unwrap();
        tables.given.clear();
        let entry = tables.nodes.entry(body.node.to_lowercase()).or_default();
        if !body.skip_node_update || entry.node.node.is_empty() {
            entry.node = Node {
                node: body.node,
                address: body.address,
                tagged_addresses: body.tagged_addresses,
                meta: body.node_meta,
                datacenter: "dc1".into(),
                ..Node::default()
            };
        }
        if let Some(mut service) = body.service {
            if service.weights.passing < 1 {
                service.weights = Weights::default();
            }
            entry.services.insert(service.id.clone(), service);
        }
        for check in body.checks {
            entry.checks.insert(check.check_id.clone(), check);
        }
    }

    pub(crate) fn deregister(&self, body: Value) {
        let body: Registration = serde_json::from_value(body).unwrap();
        let mut tables = self.tables.lock().unwrap();
        tables.given.clear();
        let name = body.node.to_lowercase();
        if body.service_id.is_empty() {
            tables.nodes.remove(&name);
        } else if let Some(entry) = tables.nodes.get_mut(&name) {
            entry.services.remove(&body.service_id);
        }
    }

    fn find(&self, lookup: Lookup) -> Result<Found, Unavailable> {
        if let Some(error) = self.fails.lock().unwrap().clone() {
            return Err(error);
        }
        let mut tables = self.tables.lock().unwrap();
        match lookup {
            Lookup::Service { datacenter: Some(_), .. } | Lookup::Node { datacenter: Some(_), .. } => {
                Err(Unavailable::NoPathToDatacenter)
            }
            // The recordings have no proxies and no gateways.
            Lookup::Service { reach: Reach::Connect | Reach::Ingress, .. } => {
                Ok(Found::Service(Arc::default()))
            }
            Lookup::Service { name, .. } => {
                if !tables.given.contains_key(&name) {
                    let found = Arc::new(tables.instances(&name));
                    tables.given.insert(name.clone(), found);
                }
                Ok(Found::Service(Arc::clone(&tables.given[&name])))
            }
            Lookup::Node { name, .. } => {
                let entry = tables.nodes.get(&name.to_lowercase());
                Ok(Found::Node(entry.map(|entry| Arc::new(entry.node.clone()))))
            }
            Lookup::Query { .. } => Ok(Found::Query(None)),
            Lookup::Address(ip) => Ok(Found::Address(tables.owner(ip))),
        }
    }
}

impl Tables {
    fn instances(&self, name: &str) -> Vec<CheckServiceNode> {
        let of_node = |entry: &Entry| -> Vec<CheckServiceNode> {
            let of_name =
                entry.services.values().filter(|service| service.service.eq_ignore_ascii_case(name));
            let with_checks = of_name.map(|service| CheckServiceNode {
                node: entry.node.clone(),
                service: service.clone(),
                checks: entry
                    .checks
                    .values()
                    .filter(|check| check.service_id.is_empty() || check.service_id == service.id)
                    .cloned()
                    .collect(),
            });
            with_checks.collect()
        };
        self.nodes.values().flat_map(of_node).collect()
    }

    fn owner(&self, ip: IpAddr) -> Option<AddressOwner> {
        let is = |text: &str| text.parse::<IpAddr>().is_ok_and(|own| own.to_canonical() == ip);
        let node = self.nodes.values().find(|entry| is(&entry.node.address));
        let services = || self.nodes.values().flat_map(|entry| entry.services.values());
        node.map(|entry| AddressOwner::Node(entry.node.node.clone())).or_else(|| {
            let service = services().find(|service| is(&service.address))?;
            Some(AddressOwner::Service(service.service.clone()))
        })
    }
}

impl Backend for Catalog {
    fn call(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoServers) })
    }

    fn lookup(&self, lookup: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(async move { self.find(lookup) })
    }
}
