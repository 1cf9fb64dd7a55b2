//! The banner of a starting agent.

use crate::config::Config;

/// The lines that stand before the log, as people and scripts know them.
pub fn banner(config: &Config, node_id: &str) -> String {
    let port = |port: Option<u16>| port.map_or(-1, i32::from);
    let clients: Vec<String> = config.client_addrs.iter().map(ToString::to_string).collect();
    let ports = &config.ports;
    let segment = if config.server { "<all>" } else { "" };
    format!(
        "==> Starting Consul agent...\n\
         {:>19}: '{}'\n{:>19}: '{node_id}'\n{:>19}: '{}'\n{:>19}: '{}' (Segment: '{segment}')\n\
         {:>19}: {} (Bootstrap: {})\n\
         {:>19}: [{}] (HTTP: {}, HTTPS: {}, gRPC: {}, gRPC-TLS: {}, DNS: {})\n\
         {:>19}: {} (LAN: {}, WAN: {})\n\
         {:>19}: {}\n\n\
         ==> Log data will now stream in as it occurs:\n",
        "Version",
        crate::identity::CONSUL_VERSION,
        "Node ID",
        "Node name",
        config.node_name,
        "Datacenter",
        config.datacenter,
        "Server",
        config.server,
        config.bootstrap,
        "Client Addr",
        clients.join(" "),
        port(ports.http),
        port(ports.https),
        port(ports.grpc),
        port(ports.grpc_tls),
        port(ports.dns),
        "Cluster Addr",
        config.advertise_addr,
        port(ports.serf_lan),
        port(ports.serf_wan),
        "Gossip Encryption",
        config.encrypt.is_some(),
    )
}
