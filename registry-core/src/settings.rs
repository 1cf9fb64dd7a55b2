//! What a registry must know to start; the program makes it from its configuration.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use link::{Keyring, Network};
use registry_state::Autopilot;

use crate::{Clock, Disk, Pace};

/// The usual port of the internal listener.
const SERVER_PORT: u16 = 8300;

/// The settings of one registry. `Settings::new` gives those of a registry on loopback with everything in memory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name.
    pub node_name: String,
    /// The node's id, a UUID in lower case.
    pub node_id: String,
    /// The datacenter, in lower case.
    pub datacenter: String,
    /// The primary datacenter, where configuration entries and intentions are written, when that is another one: `primary_datacenter`.
    pub primary: Option<String>,
    /// Where state is kept. `None` keeps it in memory: it ends with the process.
    pub data_dir: Option<PathBuf>,
    /// The internal listener's address (port 8300); port 0 takes a free one.
    pub server: SocketAddr,
    /// The LAN join listener's address (port 8301); `None` for none.
    pub serf_lan: Option<SocketAddr>,
    /// The WAN join listener's address (port 8302); `None` for none.
    pub serf_wan: Option<SocketAddr>,
    /// The address others reach this node at.
    pub advertise: String,
    /// The node's tagged addresses (`lan`, `lan_ipv4`, `wan`, `wan_ipv4`).
    pub tagged_addresses: BTreeMap<String, String>,
    /// The node's metadata, as configured.
    pub meta: BTreeMap<String, String>,
    /// The gRPC port that the `consul` service's metadata tells; 0 tells none.
    pub grpc_port: u16,
    /// How many servers begin a cluster together, once they have found one another; 0 only joins one that is there.
    pub bootstrap_expect: usize,
    /// Where other servers may be found: `retry_join`.
    pub join: Vec<String>,
    /// The longest pause between two attempts to find them: `retry_interval`.
    pub retry_interval: Duration,
    /// After how many failed attempts to find any the program ends: `retry_max`; 0 is never.
    pub retry_max: u32,
    /// How long a server that has left still answers: `performance.leave_drain_time`.
    pub leave_drain: Duration,
    /// How long a question or write waits for a leader before it fails: `rpc_hold_timeout`.
    pub hold: Duration,
    /// The keys of [`Settings::network`], of which every peer proves one; `None` asks nobody.
    pub keys: Option<Keyring>,
    /// How many links one address may have; `None` for as many as there are places.
    pub links_per_client: Option<usize>,
    /// Whether the registry's own place in the space of round trips is written: not with `disable_coordinates`.
    pub coordinates: bool,
    /// The cluster's name for clients of a mesh, when the configuration has `connect.enabled`; empty takes the cluster's id.
    pub mesh: Option<String>,
    /// How long a node may be dead before it is forgotten; `reconnect_timeout` in the configuration.
    pub reap_after: Duration,
    /// How many applied log entries make a new snapshot.
    pub snapshot_every: u64,
    /// How many bytes of applied log entries make a new snapshot: the log stays near this size.
    pub snapshot_bytes: usize,
    /// Servers of other datacenters.
    pub wan: crate::wan::Settings,
    /// What its links run over: [`link::Tcp`], or a simulation.
    pub network: Arc<dyn Network>,
    /// Where the work for its disk is done.
    pub disk: Disk,
    /// The time of day that it sees.
    pub clock: Clock,
    /// How long servers wait for one another: `performance.raft_multiplier`.
    pub pace: Pace,
    /// How servers look after each other, which a cluster takes over when it begins: `autopilot`.
    pub autopilot: Option<Autopilot>,
}

impl Settings {
    /// The settings that a server's configuration means; `node_id` is the configured id or the one kept in the data folder, `keys`
    /// are the kept or configured ones.
    pub fn of(config: &agent::config::Config, node_id: impl Into<String>, keys: Option<Keyring>) -> Self {
        let at = |ip, port: Option<u16>| port.map(|port| SocketAddr::new(ip, port));
        let usual = Self::new(config.node_name.clone(), node_id);
        Self {
            datacenter: config.datacenter.clone(),
            primary: Some(&config.primary_datacenter)
                .filter(|primary| **primary != config.datacenter)
                .cloned(),
            data_dir: config.data_dir.clone(),
            server: SocketAddr::new(config.bind_addr, config.ports.server.unwrap_or(SERVER_PORT)),
            serf_lan: at(config.serf_lan, config.ports.serf_lan),
            serf_wan: at(config.serf_wan, config.ports.serf_wan),
            advertise: config.advertise_addr.to_string(),
            tagged_addresses: config.tagged_addresses.clone(),
            meta: config.node_meta.clone(),
            grpc_port: config.ports.grpc.unwrap_or(0),
            bootstrap_expect: if config.bootstrap || config.dev {
                1
            } else {
                config.bootstrap_expect as usize
            },
            join: config.retry_join.clone(),
            retry_interval: config.retry_interval,
            retry_max: config.retry_max,
            leave_drain: config.leave_drain_time,
            hold: config.rpc_hold_timeout,
            links_per_client: config.limits.rpc_max_conns_per_client,
            coordinates: config.coordinates,
            mesh: config.mesh.clone(),
            pace: Pace::times(config.raft_multiplier),
            autopilot: config.autopilot.as_ref().map(autopilot),
            reap_after: config.reconnect_timeout.unwrap_or(usual.reap_after),
            network: link::network(keys.clone()),
            keys,
            wan: crate::wan::Settings::of(config),
            ..usual
        }
    }

    /// Where others reach the internal listener: `10.0.0.1:8300`, `[fd10::1]:8300`.
    pub fn server_address(&self) -> String {
        match self.advertise.parse() {
            Ok(ip) => SocketAddr::new(ip, self.server.port()).to_string(),
            Err(_) => format!("{}:{}", self.advertise, self.server.port()),
        }
    }

    /// The settings of a registry on loopback, on free ports, that keeps everything in memory.
    pub fn new(node_name: impl Into<String>, node_id: impl Into<String>) -> Self {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let tagged =
            ["lan", "lan_ipv4", "wan", "wan_ipv4"].map(|tag| (tag.to_owned(), "127.0.0.1".to_owned()));
        Self {
            node_name: node_name.into(),
            node_id: node_id.into(),
            datacenter: "dc1".to_owned(),
            primary: None,
            data_dir: None,
            server: local,
            serf_lan: None,
            serf_wan: None,
            advertise: "127.0.0.1".to_owned(),
            tagged_addresses: BTreeMap::from(tagged),
            meta: BTreeMap::new(),
            grpc_port: 0,
            bootstrap_expect: 1,
            join: Vec::new(),
            retry_interval: Duration::from_secs(30),
            retry_max: 0,
            leave_drain: Duration::from_secs(5),
            hold: Duration::from_secs(7),
            keys: None,
            links_per_client: None,
            coordinates: true,
            mesh: None,
            reap_after: Duration::from_secs(600),
            snapshot_every: 8192,
            snapshot_bytes: 32 << 20,
            wan: crate::wan::Settings::default(),
            network: Arc::new(link::Tcp),
            disk: Disk::default(),
            clock: Clock::default(),
            pace: Pace::default(),
            autopilot: None,
        }
    }
}

/// What the configuration says of autopilot, as the state keeps it.
fn autopilot(config: &agent::config::Autopilot) -> Autopilot {
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    Autopilot {
        cleanup_dead_servers: config.cleanup_dead_servers,
        last_contact_threshold_ns: ns(config.last_contact_threshold),
        max_trailing_logs: config.max_trailing_logs,
        min_quorum: config.min_quorum,
        server_stabilization_ns: ns(config.server_stabilization_time),
        ..Autopilot::default()
    }
}
