//! The checked configuration as the agent and the registry use it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use daemon::logs::{Facility, LogFile};
use registry_wire::catalog::TextMap;
use tracing::level_filters::LevelFilter;

use super::{ConfigError, Flags};
use crate::{
    definition::{CheckDefinition, ServiceDefinition},
    dns,
};

/// Everything that an agent, and the registry on a server, need to know. Made by [`load`](super::load).
#[derive(Clone, Debug)]
pub struct Config {
    /// The datacenter, in lower case: `dc1`.
    pub datacenter: String,
    /// The datacenter that leads in access control; the own one when not given.
    pub primary_datacenter: String,
    /// The node's name; the host's when not given.
    pub node_name: String,
    /// The node's id when the operator chose one; else it is made at the first start and kept in the data folder.
    pub node_id: Option<String>,
    /// The operator's pairs for the catalog.
    pub node_meta: TextMap,
    /// Where the node keeps its data; `None` only with `dev`.
    pub data_dir: Option<PathBuf>,
    /// Whether this is a server in memory, to try things.
    pub dev: bool,
    /// Whether this node is a registry too.
    pub server: bool,
    /// Whether a server leads alone; `bootstrap_expect = 1` sets it too.
    pub bootstrap: bool,
    /// How many servers there will be; 0 when not given.
    pub bootstrap_expect: u32,
    /// The addresses of the registry's own listeners.
    pub bind_addr: IpAddr,
    /// Where a join is answered, with `ports.serf_lan`; `bind_addr` when not given.
    pub serf_lan: IpAddr,
    /// The same for other datacenters, with `ports.serf_wan`.
    pub serf_wan: IpAddr,
    /// The address that others reach this node by.
    pub advertise_addr: IpAddr,
    /// The same for other datacenters.
    pub advertise_addr_wan: IpAddr,
    /// All addresses of the node by their tags: `lan`, `lan_ipv4`, `wan`, …
    pub tagged_addresses: TextMap,
    /// The addresses that the operator named for clients, for the banner.
    pub client_addrs: Vec<IpAddr>,
    /// The ports; `None` is off.
    pub ports: Ports,
    /// Where HTTP is served.
    pub http_listen: Vec<Listen>,
    /// Where HTTPS is served. Empty unless a port was given.
    pub https_listen: Vec<Listen>,
    /// What HTTPS shows and asks for.
    pub https: HttpsTls,
    /// Where DNS is served.
    pub dns_listen: Vec<SocketAddr>,
    /// Owner and mode of unix sockets.
    pub unix_sockets: UnixSockets,
    /// How DNS answers, but for its recursors.
    pub dns: dns::Settings,
    /// `recursors` as they were written: [`dns::find_recursors`] makes addresses of them.
    pub recursors: Vec<String>,
    /// How HTTP answers.
    pub http: Http,
    /// The web page.
    pub ui: Ui,
    /// Upper bounds.
    pub limits: Limits,
    /// Where metrics go, and how they are called.
    pub telemetry: telemetry::Settings,
    /// The log.
    pub log: Log,
    /// Where the process's id is written.
    pub pid_file: Option<PathBuf>,
    /// Servers to join, as written: names, IPv4, IPv6 with or without brackets, with or without a port.
    pub retry_join: Vec<String>,
    /// The longest time between two attempts.
    pub retry_interval: Duration,
    /// Attempts before giving up; 0 never gives up.
    pub retry_max: u32,
    /// Servers of other datacenters.
    pub retry_join_wan: Vec<String>,
    /// The longest time between two attempts.
    pub retry_interval_wan: Duration,
    /// Attempts before giving up on all of them; 0 never gives up.
    pub retry_max_wan: u32,
    /// `connect.enabled`: whether intentions can be read and written. They are data; there is no mesh to heed them.
    pub connect: bool,
    /// After how long a node that is gone is forgotten; `None` when the operator did not say.
    pub reconnect_timeout: Option<Duration>,
    /// The same for servers of other datacenters.
    pub reconnect_timeout_wan: Option<Duration>,
    /// Whether SIGTERM leaves the cluster.
    pub leave_on_terminate: bool,
    /// Whether SIGINT does not.
    pub skip_leave_on_interrupt: bool,
    /// How long a server goes on answering after it left.
    pub leave_drain_time: Duration,
    /// How much longer than usual servers wait for a leader's sign of life: `performance.raft_multiplier`, 1 to 10.
    pub raft_multiplier: u32,
    /// How servers look after each other, until that is set by hand; `None` when the operator did not say.
    pub autopilot: Option<Autopilot>,
    /// How long a request waits for a leader.
    pub rpc_hold_timeout: Duration,
    /// The shared key that the node begins with; `None` begins with none.
    pub encrypt: Option<link::Key>,
    /// Whether the keys are kept in the data folder: not with `disable_keyring_file`.
    pub keyring_file: bool,
    /// `connect.ca_config.cluster_id` when `connect.enabled` is set; empty when only that is.
    pub mesh: Option<String>,
    /// `disable_remote_exec = false`: whether others may run commands here.
    pub remote_exec: bool,
    /// Which script checks may run.
    pub script_checks: ScriptChecks,
    /// At most so many bytes of a check's output are kept.
    pub check_output_max_size: usize,
    /// How long a check's new output may wait, when its status is the same.
    pub check_update_interval: Duration,
    /// Whether no output is kept at all.
    pub discard_check_output: bool,
    /// The shortest TTL of a session.
    pub session_ttl_min: Duration,
    /// Whether round trips are measured: not with `disable_coordinates`.
    pub coordinates: bool,
    /// How long a blocking query waits when it does not say.
    pub default_query_time: Duration,
    /// The longest wait it may ask for.
    pub max_query_time: Duration,
    /// From how old on an answer is asked again from the leader; zero: reads ask the leader at once.
    pub discovery_max_stale: Duration,
    /// How old the last known answers may be that DNS gives while no registry answers: `dns_config.max_stale`, and none with
    /// `allow_stale = false`.
    pub dns_last_known: Duration,
    /// Whether addresses of other datacenters are given as their `wan` ones.
    pub translate_wan_addrs: bool,
    /// Whether paths may hold characters that cannot be printed.
    pub allow_unprintable_paths: bool,
    /// The engine whose containers become services; `None` unless `container_source.enabled` is set.
    pub container_source: Option<ContainerSource>,
    /// Whether a change of the files is a reload.
    pub auto_reload_config: bool,
    /// Services from the files, checked.
    pub services: Vec<ServiceDefinition>,
    /// Checks from the files, checked.
    pub checks: Vec<CheckDefinition>,
    /// What is followed, and who is told.
    pub watches: Vec<watch::Watch>,
    /// The first watch that is wrong: an agent does not start with it, though `consul validate` passes it.
    pub refused_watch: Option<ConfigError>,
    /// An address that a template does not give yet, where an agent had better wait for it: `client_addr: "{{ … }}" gives no
    /// address`. Consul starts without.
    pub awaited: Option<String>,
    /// What Consul warns about too, in its words; `validate` prints them.
    pub warnings: Vec<String>,
    /// What only we remark on: keys without effect here.
    pub notices: Vec<String>,
    /// What was asked for on the command line, to read everything again at a reload.
    pub flags: Flags,
}

/// An engine whose containers become services, by registrator's conventions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSource {
    /// `unix:///run/podman/podman.sock` or `tcp://10.0.0.2:2375`; `None`: `DOCKER_HOST`, else the usual sockets.
    pub socket: Option<String>,
    /// The address of all published ports; `None`: the one that they are bound to, else the node's.
    pub host_address: Option<IpAddr>,
    /// Whether the containers' own addresses and ports are given in place of the published ones.
    pub internal: bool,
    /// Whether only containers count that say a `SERVICE_NAME`.
    pub explicit: bool,
    /// Tags that each of the services gets.
    pub tags: Vec<String>,
    /// Whether services are removed that a registrator left on this node.
    pub cleanup: bool,
    /// The longest time between two comparisons of everything.
    pub resync_interval: Duration,
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// How HTTPS is served: `tls.https`, else `tls.defaults`, else the older keys of the top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsTls {
    /// Authorities in one PEM file.
    pub ca_file: Option<PathBuf>,
    /// A folder of them.
    pub ca_path: Option<PathBuf>,
    /// The certificate, PEM, with those that lead to its authority.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
    /// Whether clients must show a certificate of one of the authorities.
    pub verify_incoming: bool,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The suites of TLS 1.2 that are spoken; empty: all good ones.
    pub cipher_suites: Vec<String>,
    /// Where the keys above stand that a file has set: `("tls.https.cert_file", "/etc/ryo.d/tls.hcl:3:5")`.
    pub places: Vec<(String, String)>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2, the default.
    V1_2,
    /// 1.3.
    V1_3,
}

/// Ports; `None` is off (`0` or `-1` in the file).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// DNS, UDP and TCP: 8600.
    pub dns: Option<u16>,
    /// HTTP: 8500.
    pub http: Option<u16>,
    /// HTTPS: off.
    pub https: Option<u16>,
    /// Answers a join: 8301.
    pub serf_lan: Option<u16>,
    /// Answers a join of another datacenter: 8302.
    pub serf_wan: Option<u16>,
    /// The registry's own link: 8300.
    pub server: Option<u16>,
    /// For the banner only.
    pub grpc: Option<u16>,
    /// For the banner only.
    pub grpc_tls: Option<u16>,
    /// The first and last port for sidecars that name none; `None`: each has to.
    pub sidecar: Option<(u16, u16)>,
}

/// How HTTP answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Path prefixes that are refused with 403.
    pub block_endpoints: Vec<String>,
    /// Networks that may write, as `10.0.0.0/8`; empty: all.
    pub allow_write_http_from: Vec<String>,
    /// Headers that every answer carries.
    pub response_headers: BTreeMap<String, String>,
    /// The largest head of a request in bytes; `None` is the server's own.
    pub max_header_bytes: Option<usize>,
    /// Whether `?cached` may be answered from memory.
    pub use_cache: bool,
}

/// The web page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ui {
    /// Whether it is shown.
    pub enabled: bool,
    /// A folder of the operator's own, in place of the built-in page.
    pub dir: Option<PathBuf>,
    /// Its path: `/ui/`.
    pub content_path: String,
}

/// The block `autopilot`, which a cluster takes over when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autopilot {
    /// Whether servers that are gone are taken out of the cluster.
    pub cleanup_dead_servers: bool,
    /// How long a healthy server may not have heard of the leader.
    pub last_contact_threshold: Duration,
    /// How many entries a healthy server may lag behind.
    pub max_trailing_logs: u64,
    /// Below how many servers none is taken out.
    pub min_quorum: u64,
    /// How long a new server must have been healthy before it votes.
    pub server_stabilization_time: Duration,
}

/// Upper bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connections that one address may have; 0 is no bound.
    pub http_max_conns_per_client: usize,
    /// How long a client of HTTPS may take to agree on TLS.
    pub https_handshake_timeout: Duration,
    /// Bytes of a value.
    pub kv_max_value_size: u64,
    /// Bytes of a transaction.
    pub txn_max_req_len: u64,
    /// How many requests a server answers in all.
    pub requests: RequestLimits,
    /// Requests a second that an agent hands to the registry; infinite by default.
    pub rpc_rate: f64,
    /// How many of them may come at once.
    pub rpc_max_burst: u32,
    /// How many links to a registry one address may have; `None` when the operator did not say: no bound of its own.
    pub rpc_max_conns_per_client: Option<usize>,
}

/// `limits.request_limits`: how many requests a server answers in all. Rates are a second; infinite is no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestLimits {
    /// What happens above the rates.
    pub mode: LimitMode,
    /// Reads.
    pub read_rate: f64,
    /// Writes.
    pub write_rate: f64,
}

/// What happens to requests above a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitMode {
    /// Nothing is counted.
    Disabled,
    /// They are logged and answered.
    Permissive,
    /// They are logged and refused.
    Enforcing,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The level as the operator wrote it; [`daemon::logs::level`] reads it.
    pub level: String,
    /// One JSON object a line.
    pub json: bool,
    /// A file beside standard output, and when it is rotated.
    pub file: Option<LogFile>,
    /// The facility of syslog, when lines go there too.
    pub syslog: Option<Facility>,
}

impl Log {
    /// The level to log at.
    ///
    /// Errors, in Consul's words, when there is no such level; an agent does not start then.
    pub fn filter(&self) -> Result<LevelFilter, ConfigError> {
        daemon::logs::level(&self.level).ok_or_else(|| {
            ConfigError::new(format!(
                "Invalid log level: {}. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]",
                self.level
            ))
        })
    }
}

/// Owner and mode of unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixSockets {
    /// A name or a number.
    pub user: Option<String>,
    /// A name or a number.
    pub group: Option<String>,
    /// The mode in octal digits, as written: `0660`.
    pub mode: Option<String>,
}

/// Which script checks may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptChecks {
    /// Those from files.
    pub local: bool,
    /// Those registered over HTTP.
    pub remote: bool,
}
