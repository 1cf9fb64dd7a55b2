//! What leases write into the catalog, and read from it.

use agent::CONSUL_VERSION;
use link::calls::{Lease, Member, ServerTags, VERSION};
use registry_state::{
    Caseless, Check, Node, Register, Service, State, Weights,
    read::{CatalogNode, HealthNode, Read as _},
};

use super::{member, table};
use crate::settings::Settings;

/// The check that a lease writes: a node that has it has an agent.
pub(crate) const SERF_HEALTH: &str = "serfHealth";
/// The id and name of the service that stands for a server.
const SERVER_SERVICE: &str = "consul";
const ALIVE: &str = "Agent alive and reachable";
const SILENT: &str = "Agent not live or unreachable";

/// This server's lease, as it would say it to another one that leads.
pub(crate) fn own_lease(settings: &Settings) -> Lease {
    let mut meta = settings.meta.clone();
    meta.insert("consul-network-segment".to_owned(), String::new());
    meta.insert("consul-version".to_owned(), CONSUL_VERSION.to_owned());
    Lease {
        version: VERSION,
        node: settings.node_name.clone(),
        id: settings.node_id.clone(),
        address: settings.advertise.clone(),
        port: settings.serf_lan.map_or(0, |address| address.port()),
        tagged_addresses: settings.tagged_addresses.clone(),
        meta,
        datacenter: settings.datacenter.clone(),
        boot_ms: 0,
        build: CONSUL_VERSION.to_owned(),
        server: Some(ServerTags {
            address: settings.server_address(),
            expect: u32::try_from(settings.bootstrap_expect).unwrap_or(u32::MAX),
            wan_port: settings.serf_wan.map_or(0, |address| address.port()),
            grpc_port: settings.grpc_port,
            version: VERSION,
            ..ServerTags::default()
        }),
        ..Lease::default()
    }
}

/// This server as its members show it.
pub(crate) fn own_member(settings: &Settings) -> Member {
    member::of_lease(&own_lease(settings), table::Standing::Alive)
}

/// The service that stands for a server, as Consul's leader registers it.
fn server_service(tags: &ServerTags, build: &str) -> Service {
    let mut meta: std::collections::BTreeMap<_, _> = [
        ("non_voter", "false"),
        ("raft_version", "3"),
        ("read_replica", "false"),
        ("serf_protocol_current", "2"),
        ("serf_protocol_max", "5"),
        ("serf_protocol_min", "1"),
        ("version", build),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    if tags.grpc_port != 0 {
        meta.insert("grpc_port".to_owned(), tags.grpc_port.to_string());
    }
    Service {
        id: SERVER_SERVICE.to_owned(),
        name: SERVER_SERVICE.to_owned(),
        port: i64::from(member::link_port(tags)),
        meta: Some(meta),
        weights: Weights { passing: 1, warning: 1 },
        ..Service::default()
    }
}

fn serf_health(status: &str, output: &str) -> Check {
    Check {
        check_id: SERF_HEALTH.to_owned(),
        name: "Serf Health Status".to_owned(),
        status: status.to_owned(),
        output: output.to_owned(),
        ..Check::default()
    }
}

/// What a granted lease writes.
pub(super) fn alive(lease: &Lease) -> Register {
    let node = Node {
        id: lease.id.clone(),
        name: lease.node.clone(),
        address: lease.address.clone(),
        tagged_addresses: Some(lease.tagged_addresses.clone()),
        meta: Some(lease.meta.clone()),
        locality: String::new(),
    };
    let service = lease.server.as_ref().map(|tags| server_service(tags, &lease.build));
    let checks = vec![serf_health("passing", ALIVE)];
    Register { node, service, checks, take_over: true, ..Register::default() }
}

/// What an ended lease writes.
pub(super) fn silent(node: &str) -> Register {
    let node = Node { name: node.to_owned(), ..Node::default() };
    Register {
        node,
        checks: vec![serf_health("critical", SILENT)],
        skip_node_update: true,
        ..Register::default()
    }
}

/// Whether the catalog holds this node as alive. Its address and meta are the agent's to change, by anti-entropy.
pub(super) fn is_alive(state: &State, lease: &Lease) -> bool {
    let (known, _) = CatalogNode { node: lease.node.clone() }.run(state);
    let (checks, _) = HealthNode { node: Caseless::new(&lease.node) }.run(state);
    let same = known.is_some_and(|known| known.node.id.eq_ignore_ascii_case(&lease.id));
    let passing = checks.iter().any(|check| check.check_id == SERF_HEALTH && check.status == "passing");
    same && passing && (lease.server.is_none() || server_tags(state, &lease.node).is_some())
}

/// The nodes of the catalog that an agent keeps, and whether they were alive.
pub(super) fn known_leases(state: &State) -> Vec<(Lease, bool)> {
    let (nodes, _) = registry_state::read::CatalogNodes::default().run(state);
    let kept = nodes.iter().filter_map(|node| {
        let (checks, _) = HealthNode { node: Caseless::new(&node.name) }.run(state);
        let check = checks.iter().find(|check| check.check_id == SERF_HEALTH)?;
        let lease = Lease {
            version: VERSION,
            node: node.name.clone(),
            id: node.id.clone(),
            address: node.address.clone(),
            tagged_addresses: node.tagged_addresses.clone().unwrap_or_default(),
            meta: node.meta.clone().unwrap_or_default(),
            build: CONSUL_VERSION.to_owned(),
            server: server_tags(state, &node.name),
            ..Lease::default()
        };
        Some((lease, check.status == "passing"))
    });
    kept.collect()
}

/// What the catalog tells of a node that is a server.
fn server_tags(state: &State, node: &str) -> Option<ServerTags> {
    let (known, _) = CatalogNode { node: node.to_owned() }.run(state);
    let known = known?;
    let service = known.services.iter().find(|service| service.id == SERVER_SERVICE)?;
    let address = format!("{}:{}", known.node.address, service.port);
    Some(ServerTags { address, version: VERSION, ..ServerTags::default() })
}
