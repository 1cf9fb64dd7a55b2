//! Nodes as `/v1/agent/members` shows them.

use std::collections::BTreeMap;

use link::calls::{Lease, Member, ServerTags};

use super::table::Standing;

/// The port of the LAN join that agents show.
const SERF_LAN: u16 = 8301;

/// A node that keeps, or kept, a lease.
pub(super) fn of_lease(lease: &Lease, standing: Standing) -> Member {
    let mut tags = vec![
        ("role", if lease.server.is_some() { "consul" } else { "node" }.to_owned()),
        ("dc", lease.datacenter.clone()),
        ("id", lease.id.clone()),
        ("segment", String::new()),
        ("vsn", "2".to_owned()),
        ("vsn_min", "2".to_owned()),
        ("vsn_max", "3".to_owned()),
        ("build", build(&lease.build)),
    ];
    if let Some(server) = &lease.server {
        tags.extend(of_server(server));
    }
    let port = if lease.port == 0 { SERF_LAN } else { lease.port };
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Member { name: lease.node.clone(), addr: lease.address.clone(), port, ..member(tags, standing.status()) }
}

/// What a server has besides.
fn of_server(server: &ServerTags) -> Vec<(&'static str, String)> {
    let mut tags = vec![
        ("port", link_port(server).to_string()),
        ("raft_vsn", "3".to_owned()),
        ("acls", "0".to_owned()),
        ("ft_fs", "1".to_owned()),
        ("ft_si", "1".to_owned()),
    ];
    match server.expect {
        0 => {}
        1 => tags.push(("bootstrap", "1".to_owned())),
        expect => tags.push(("expect", expect.to_string())),
    }
    if server.wan_port != 0 {
        tags.push(("wan_join_port", server.wan_port.to_string()));
    }
    if server.grpc_port != 0 {
        tags.push(("grpc_port", server.grpc_port.to_string()));
    }
    tags
}

/// The port of a server's link.
pub(super) fn link_port(server: &ServerTags) -> u16 {
    server.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
}

/// A version and, after a colon, the commit it was made from: nobody tells of that.
fn build(version: &str) -> String {
    format!("{version}:")
}

/// A node with these tags, still without a name and an address.
pub(crate) fn member(tags: BTreeMap<String, String>, status: u8) -> Member {
    Member {
        tags,
        status,
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
        ..Member::default()
    }
}
