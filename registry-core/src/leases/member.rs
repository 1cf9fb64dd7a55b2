//! Nodes as `/v1/agent/members` shows them.

use agent::CONSUL_VERSION;
use link::calls::{Lease, Member, status};

use super::table::Standing;
use crate::settings::Settings;

/// The port of the LAN join that agents show.
const SERF_LAN: u16 = 8301;

/// The registry's own node.
pub(super) fn of_server(settings: &Settings) -> Member {
    let mut tags = vec![
        ("role", "consul".to_owned()),
        ("dc", settings.datacenter.clone()),
        ("id", settings.node_id.clone()),
        ("segment", String::new()),
        ("port", settings.server.port().to_string()),
        ("vsn", "2".to_owned()),
        ("vsn_min", "2".to_owned()),
        ("vsn_max", "3".to_owned()),
        ("raft_vsn", "3".to_owned()),
        ("build", build(CONSUL_VERSION)),
        ("bootstrap", "1".to_owned()),
        ("acls", "0".to_owned()),
        ("ft_fs", "1".to_owned()),
        ("ft_si", "1".to_owned()),
    ];
    if let Some(address) = settings.serf_wan {
        tags.push(("wan_join_port", address.port().to_string()));
    }
    if settings.grpc_port != 0 {
        tags.push(("grpc_port", settings.grpc_port.to_string()));
    }
    Member {
        name: settings.node_name.clone(),
        addr: settings.advertise.clone(),
        port: settings.serf_lan.map_or(SERF_LAN, |address| address.port()),
        ..member(tags, status::ALIVE)
    }
}

/// A node that keeps, or kept, a lease.
pub(super) fn of_lease(lease: &Lease, standing: Standing) -> Member {
    let status = match standing {
        Standing::Alive => status::ALIVE,
        Standing::Failed => status::FAILED,
        Standing::Left => status::LEFT,
    };
    let tags = vec![
        ("role", "node".to_owned()),
        ("dc", lease.datacenter.clone()),
        ("id", lease.id.clone()),
        ("segment", String::new()),
        ("vsn", "2".to_owned()),
        ("vsn_min", "2".to_owned()),
        ("vsn_max", "3".to_owned()),
        ("build", build(&lease.build)),
    ];
    let port = if lease.port == 0 { SERF_LAN } else { lease.port };
    Member { name: lease.node.clone(), addr: lease.address.clone(), port, ..member(tags, status) }
}

/// A version and, after a colon, the commit it was made from: nobody tells of that.
fn build(version: &str) -> String {
    format!("{version}:")
}

fn member(tags: Vec<(&str, String)>, status: u8) -> Member {
    Member {
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
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
