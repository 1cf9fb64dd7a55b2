//! The calls that are ours alone, under `/internal/`: JSON bodies, and a version in each.
//!
//! A program speaks its own version and the one before; what it does not know in a body it leaves alone.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use http::HeaderName;
use registry_wire::coordinate::Coordinate;
use serde::{Deserialize, Serialize};

/// The version of the calls that this program speaks.
pub const VERSION: u32 = 2;
/// The first version whose servers know which requests were made.
pub const REQUESTS_SINCE: u32 = 2;

/// On each call between servers: the version of the calls that the caller speaks.
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("x-ryo-version");
/// On each call between servers: the id of the caller's cluster; empty while it belongs to none.
pub const CLUSTER_HEADER: HeaderName = HeaderName::from_static("x-ryo-cluster");
/// On each call between servers: the id of the server that is meant; empty while the caller does not know it.
pub const TARGET_HEADER: HeaderName = HeaderName::from_static("x-ryo-target");

/// On a write that an agent or server hands on: a UUID that whoever hands it on has chosen. The same again is made once.
pub const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-ryo-request");
/// On a request that a server hands on to the leader: the sender's id. Whoever does not lead says so with 421, at once.
pub const LEADER_HEADER: HeaderName = HeaderName::from_static("x-ryo-leader");
/// On a request that an agent hands on: for how many milliseconds it may wait for a leader, as another server may know one.
pub const HOLD_HEADER: HeaderName = HeaderName::from_static("x-ryo-hold");
/// On the answer of a server that could not find a leader in time: nothing was done, and another server may know one.
pub const UNSERVED_HEADER: HeaderName = HeaderName::from_static("x-ryo-unserved");

/// Whether two programs understand each other, by the versions that they speak.
pub fn speak(ours: u32, theirs: u32) -> bool {
    ours.abs_diff(theirs) <= 1
}

/// `PUT`: a server says which servers it knows, with a [`Hello`], and is told the same.
pub const HELLO: &str = "/internal/servers/hello";
/// `PUT`: a server with an empty disk is asked to begin a cluster with others, with a [`Begin`].
pub const BEGIN: &str = "/internal/servers/begin";

/// A server as another one hears of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSeen {
    /// Its id among the servers.
    pub id: u64,
    /// Where its link is: `10.0.0.1:8300`.
    pub address: String,
    /// The node's name.
    pub node: String,
    /// The node's id, a UUID.
    pub node_id: String,
    /// How many servers it wants to begin a cluster with; 0 when it only joins.
    pub expect: u32,
    /// Whether it belongs to a cluster that has begun.
    pub begun: bool,
    /// The id of that cluster, or of the one it has agreed to begin.
    pub cluster: String,
    /// The newest version of the calls it speaks.
    pub version: u32,
    /// The program's version, `1.21.4`.
    pub build: String,
    /// The port of its LAN join.
    pub lan_port: u16,
}

/// Which servers a server knows, itself first: `{"datacenter":"dc1","servers":[{"id":7,…}]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// Its datacenter.
    pub datacenter: String,
    /// The servers, itself first.
    pub servers: Vec<ServerSeen>,
}

/// What a server proposes that begins a cluster with others: `{"cluster":"…","proposer":7}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Begin {
    /// The new cluster's id.
    pub cluster: String,
    /// Who proposes it. Whoever agreed with a lower one stays with that.
    pub proposer: u64,
}

/// What a server's lease tells beside its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerTags {
    /// Its id among the servers.
    pub id: u64,
    /// Where its link is: `10.0.0.1:8300`.
    pub address: String,
    /// The cluster it belongs to; empty for one that would like to join.
    pub cluster: String,
    /// How many servers it wanted to begin a cluster with.
    pub expect: u32,
    /// The port of its WAN join; 0 for none.
    pub wan_port: u16,
    /// Its gRPC port; 0 for none.
    pub grpc_port: u16,
    /// The newest version of the calls it speaks.
    pub version: u32,
}

/// What the calls of the replicated log begin with; their bodies are msgpack, and the log's own.
pub const RAFT: &str = "/internal/raft/";

/// `PUT`: takes or keeps a lease, with a [`Lease`]; `DELETE`: gives it back, with a [`Lease`].
pub const LEASE: &str = "/internal/lease";
/// `GET`: all members of the datacenter, as `/v1/agent/members` shows them.
pub const MEMBERS: &str = "/internal/members";
/// `PUT`, followed by a node's name: removes a node that is gone.
pub const FORCE_LEAVE: &str = "/internal/force-leave/";
/// `PUT`, followed by a node's name: the same, and the node is no longer listed as one that left.
pub const PRUNE: &str = "/internal/prune/";

/// `PUT`: fires a user event, as `/v1/event/list` shows it; one whose id is known already counts once. The answer's
/// `X-Consul-Index` is that of the newest event.
pub const EVENT: &str = "/internal/event";
/// `GET`, followed by an index: the user events after it, oldest first, as `/v1/event/list` shows them. Without an index
/// none, at once; with one, held until there are some, at most [`EVENTS_HELD`]. `X-Consul-Index` is what to ask with next.
pub const EVENTS: &str = "/internal/events/";
/// How long a question for events is held; a sixteenth more may be added.
pub const EVENTS_HELD: Duration = Duration::from_secs(120);
/// `PUT`, followed by where: the server in this process looks for others there, as `join` asks.
pub const JOIN: &str = "/internal/own/join/";
/// `PUT`: the server in this process leaves its cluster.
pub const LEAVE: &str = "/internal/own/leave";
/// What the calls begin with that a program makes to the server in its own process; nobody else may.
pub const OWN: &str = "/internal/own/";
/// `GET`: what the registry in this process tells of itself, as `{"raft":{"state":"Leader"},…}`; for `/v1/agent/self`.
pub const STATS: &str = "/internal/stats";
/// `GET`, followed by an IP address: an [`AddressOwner`], or `null`.
pub const ADDRESS: &str = "/internal/address/";

/// What the calls between datacenters begin with.
pub const WAN: &str = "/internal/wan/";
/// `PUT`: a server's sign of life to a server of any datacenter, with [`WanNews`]; the answer is such news too.
pub const WAN_NEWS: &str = "/internal/wan/news";
/// `PUT`: runs a prepared query that another datacenter has found nothing for, with its definition as `/v1/query` shows it. The
/// answer is that of `/v1/query/NAME/execute`.
pub const WAN_QUERY: &str = "/internal/wan/query";
/// `GET`: the servers of all datacenters, as `/v1/agent/members?wan` shows them.
pub const WAN_MEMBERS: &str = "/internal/wan/members";
/// `PUT`, followed by an address or name, with a port or without: joins the datacenter of the server there.
pub const WAN_JOIN: &str = "/internal/wan/join/";
/// `PUT`, followed by a server's name, `n2.dc2`: it is gone for good.
pub const WAN_FORCE_LEAVE: &str = "/internal/wan/force-leave/";
/// `PUT`, followed by a server's name: the same, and it is no longer listed as one that left.
pub const WAN_PRUNE: &str = "/internal/wan/prune/";
/// `PUT`: this server leaves the other datacenters.
pub const WAN_LEAVE: &str = "/internal/wan/leave";
/// `GET` this and an index: all configuration entries of this datacenter as MessagePack, once they have changed after the index.
pub const WAN_CONFIG: &str = "/internal/wan/config/";
/// `PUT`: lists or changes the keys of this datacenter, as [`KeyringAsked`] says; the answer is a [`KeyringReport`].
pub const WAN_KEYRING: &str = "/internal/wan/keyring";
/// The id of the node that is meant, on calls to servers of other datacenters: another one that has its address by now
/// answers 409.
pub const WAN_TARGET_HEADER: HeaderName = HeaderName::from_static("x-ryo-wan-target");

/// A server as those of other datacenters know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WanServer {
    /// The node's name: `n2`.
    pub node: String,
    /// Its datacenter: `dc2`.
    pub datacenter: String,
    /// The node's id, a UUID.
    pub id: String,
    /// Where its link is, as it tells others: the one that others should try first, then those of the other family.
    pub links: Vec<SocketAddr>,
    /// Its port for joins, which `members` shows.
    pub join_port: u16,
    /// What `members` shows: `role`, `build` and the like.
    pub tags: BTreeMap<String, String>,
    /// Counted up by the server itself with each change: the higher one holds.
    pub incarnation: u64,
    /// When it said goodbye, or somebody in its place, in milliseconds since 1970.
    pub left_ms: Option<u64>,
    /// When somebody last spoke with it, in milliseconds since 1970; as far as the teller knows.
    pub seen_ms: u64,
}

impl WanServer {
    /// Its name among all datacenters: `n2.dc2`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.node, self.datacenter)
    }
}

/// What two servers tell each other every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WanNews {
    /// The version of the calls that the teller speaks.
    pub version: u32,
    /// The teller.
    pub from: WanServer,
    /// Where it is in the space of round trips between datacenters.
    pub coordinate: Option<Coordinate>,
    /// A number that is the same for those who know the same servers.
    pub digest: u32,
    /// All servers that the teller knows, when the digests differed; else none.
    pub servers: Vec<WanServer>,
}

/// What is to be done with the keys of a datacenter: `{"install":"pUqJ…"}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyringAsked {
    /// Says which there are.
    List,
    /// Lets in who has this key, in base64.
    Install(String),
    /// Calls with this key from now on.
    Use(String),
    /// Lets in nobody any more who has only this key.
    Remove(String),
}

/// The nodes of a datacenter that are there, and what became of a question or change of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyringReport {
    /// The datacenter.
    pub datacenter: String,
    /// Its nodes.
    pub nodes: Vec<NodeKeys>,
    /// Why no node was asked at all, for other reasons than its keys: `No cluster leader`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unasked: Option<String>,
}

/// One node's keys.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeKeys {
    /// The node's name.
    pub node: String,
    /// Whether it is a server.
    pub server: bool,
    /// Its keys in base64, the primary one first, as far as the leader knows them too.
    pub keys: Vec<String>,
    /// Whether it has done what was asked, or has refused it.
    pub answered: bool,
    /// Why it has refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, answered, refused, .. } = self;
        f.debug_struct("NodeKeys")
            .field("node", node)
            .field("answered", answered)
            .field("refused", refused)
            .finish_non_exhaustive()
    }
}

/// What an address belongs to: `{"node":"web1"}` or `{"service":"web"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressOwner {
    /// A node of this name.
    Node(String),
    /// An instance of this service.
    Service(String),
}

/// An agent's sign of life: its node as it stands in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The version of the calls that the agent speaks.
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// The node's id, a UUID.
    pub id: String,
    /// The node's address.
    pub address: String,
    /// The port that stands beside the address in `members`; 0 from an agent that does not say.
    pub port: u16,
    /// The node's further addresses: `lan`, `lan_ipv4`, `wan`, …
    pub tagged_addresses: BTreeMap<String, String>,
    /// The node's meta.
    pub meta: BTreeMap<String, String>,
    /// The datacenter the agent belongs to.
    pub datacenter: String,
    /// When the agent started, in milliseconds since 1970: of two with one name, the younger holds it.
    pub boot_ms: u64,
    /// The agent's program version, `1.21.4` style, for `members`.
    pub build: String,
    /// What a server tells; `None` from an agent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerTags>,
    /// From a server: the mark of the departed that it knows; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub departed_mark: u64,
    /// From a server that shows a mesh's root certificate: the id of the one it knows, empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh_root: Option<String>,
    /// Which keys the node has, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysSeen>,
    /// From a server: its keys, which the leader has asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_told: Option<KeysTold>,
}

/// Which keys a node has, without telling them: `{"version":3,"ids":["5d2e81f07a33c9be"]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeysSeen {
    /// How often they have changed in this datacenter.
    pub version: u64,
    /// What they are called, the primary one first.
    pub ids: Vec<String>,
}

/// Keys themselves. What travels here is protected by the keys that hold now.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeysTold {
    /// How often they have changed in this datacenter.
    pub version: u64,
    /// In base64, the primary one first.
    pub keys: Vec<String>,
}

impl fmt::Debug for KeysTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysTold").field("version", &self.version).finish_non_exhaustive()
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(truth: &bool) -> bool {
    !truth
}

/// A node that has left, as a leader tells it to the servers one of which may lead next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Departed {
    /// What it said of itself last.
    pub lease: Lease,
    /// For how many milliseconds it is still listed.
    pub listed_ms: u64,
}

/// What the holder of a lease needs to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Granted {
    /// The version of the calls that the registry speaks.
    pub version: u32,
    /// The lease ends this many milliseconds after the last sign of life.
    pub ttl_ms: u64,
    /// All registries' links, `10.0.0.1:8300`.
    pub servers: Vec<String>,
    /// The cluster's id, for a server that would like to join it.
    pub cluster: String,
    /// Where the registry is in the space of round trips; `None` when nobody measures them.
    pub coordinate: Option<Coordinate>,
    /// Whether the catalog knows where the holder is.
    pub located: bool,
    /// Whether the catalog lacked the holder, and has its node from now on: what else it had told may be missing too.
    pub taken_in: bool,
    /// For a server: who has left, when that is not what it knows already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub departed: Option<Vec<Departed>>,
    /// For a server: the root certificate of the mesh, as servers keep it, when that is not the one it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh_root: Option<serde_json::Value>,
    /// The keys that hold from now on, when the holder has others: it says which it has at once again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysTold>,
    /// For a server: its keys have changed more often than the leader's, which would like to know them.
    #[serde(skip_serializing_if = "is_false")]
    pub keys_wanted: bool,
}

/// A node as `/v1/agent/members` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// The node's address.
    pub addr: String,
    /// Its join port.
    pub port: u16,
    /// `role`, `dc`, `id`, `build` and the like.
    pub tags: BTreeMap<String, String>,
    /// 1 alive, 2 leaving, 3 left, 4 failed.
    pub status: u8,
    /// A protocol number that clients expect.
    pub protocol_min: u8,
    /// A protocol number that clients expect.
    pub protocol_max: u8,
    /// A protocol number that clients expect.
    pub protocol_cur: u8,
    /// A protocol number that clients expect.
    pub delegate_min: u8,
    /// A protocol number that clients expect.
    pub delegate_max: u8,
    /// A protocol number that clients expect.
    pub delegate_cur: u8,
}

/// The meaning of [`Member::status`].
pub mod status {
    /// Its lease runs.
    pub const ALIVE: u8 = 1;
    /// It said goodbye.
    pub const LEFT: u8 = 3;
    /// Its lease ran out.
    pub const FAILED: u8 = 4;
}
