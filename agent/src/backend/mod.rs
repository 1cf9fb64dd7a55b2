//! What stands behind the front door.
//!
//! The seam between an agent and the registry it belongs to. `remote` reaches a registry over the internal link; the
//! registry's own `embedded` answers from the state in the same process. HTTP goes through as it came; DNS asks typed
//! questions, for it must be answered from memory when the registry is in this process and from the last known state
//! while a remote one is away.

pub(crate) mod ask;
pub mod remote;

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use http::{HeaderName, Request, Response};
use http_api::Body;
use registry_wire::{
    catalog::{CheckServiceNode, Node},
    duration,
    prepared::Executed,
};

/// A future on the heap, as every call of a [`Backend`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers what the agent itself cannot.
pub trait Backend: Send + Sync + 'static {
    /// Answers one request of Consul's HTTP API, other than `/v1/agent/*`, exactly as it came from the client.
    ///
    /// The caller has put its node's name into [`NODE_HEADER`]. A registry's errors are answers (4xx, 5xx); `Unavailable`
    /// means that nobody answered.
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>>;

    /// Answers a question of the DNS listener.
    fn lookup(&self, lookup: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>>;
}

/// The name of the agent's node, on every request that it hands to its [`Backend`]: the default of `session/create`
/// and the meaning of `near=_agent`.
pub const NODE_HEADER: HeaderName = HeaderName::from_static("x-ryo-node");

/// The address of the client whose question about a prepared query an agent hands on: the meaning of `_ip` there.
pub const CLIENT_HEADER: HeaderName = HeaderName::from_static("x-ryo-client");

/// No server answered. The text says what was tried, for the log and for the client's 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// This agent knows no server, or none accepts its connection: Consul's words for its clients.
    #[error("No known Consul servers")]
    NoServers,
    /// Servers are known, but none could be reached for as long as a request is held: it has not been sent.
    #[error("rpc error getting client: failed to get conn: {0}")]
    Unreachable(String),
    /// The connection ended under a request that must not be sent twice: whether it took effect is unknown.
    #[error("rpc error making call: EOF")]
    Interrupted,
    /// Servers are there, but they have no leader.
    #[error("No cluster leader")]
    NoLeader,
    /// The datacenter asked for is unknown.
    #[error("No path to datacenter")]
    NoPathToDatacenter,
}

/// A question of the DNS listener. Names compare without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// All instances of a service, whatever their health.
    Service {
        /// The service's name.
        name: String,
        /// Whose instances are meant.
        reach: Reach,
        /// The datacenter; `None` is the agent's own.
        datacenter: Option<String>,
    },
    /// A node by its name.
    Node {
        /// The node's name.
        name: String,
        /// The datacenter; `None` is the agent's own.
        datacenter: Option<String>,
    },
    /// What a prepared query gives now.
    Query {
        /// The query's name or id.
        name: String,
        /// The datacenter; `None` is the agent's own.
        datacenter: Option<String>,
        /// Who asks, for queries that sort by nearness to it.
        client: IpAddr,
    },
    /// The nodes and services with this address.
    Address(IpAddr),
}

impl Lookup {
    /// The same question about this datacenter.
    pub fn within(&self, datacenter: &str) -> Self {
        let mut lookup = self.clone();
        match &mut lookup {
            Self::Service { datacenter: asked, .. }
            | Self::Node { datacenter: asked, .. }
            | Self::Query { datacenter: asked, .. } => *asked = Some(datacenter.to_owned()),
            Self::Address(_) => {}
        }
        lookup
    }
}

/// How a service is to be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// By its own instances.
    #[default]
    Itself,
    /// By what speaks for it in a mesh: proxies, instances that need none, terminating gateways.
    Connect,
    /// By the ingress gateways that let clients in to it.
    Ingress,
}

/// The answer to a [`Lookup`]. Shared: ten thousand questions for one service copy nothing.
#[derive(Clone, Debug)]
pub enum Found {
    /// The instances, empty when there is no such service; in order of node and id. Equal pointers mean equal answers,
    /// so that the DNS side may keep what it derived from them.
    Service(Arc<Vec<CheckServiceNode>>),
    /// The node, if there is one.
    Node(Option<Arc<Node>>),
    /// What the prepared query gave, its instances in the order to be given; `None` when there is no such query.
    Query(Option<Ran>),
    /// There is such a prepared query, but it cannot be run: the text says why.
    Refused(String),
    /// What has the address: a node's name, else a service's name.
    Address(Option<AddressOwner>),
}

/// What a prepared query gave.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The service it asks for.
    pub service: String,
    /// The instances, in the order to be given.
    pub instances: Arc<Vec<CheckServiceNode>>,
    /// The TTL that the query itself wants.
    pub ttl: Option<Duration>,
}

impl From<Executed> for Ran {
    fn from(executed: Executed) -> Self {
        let ttl = duration::parse_nanos(&executed.dns.ttl).ok().and_then(|nanos| u64::try_from(nanos).ok());
        let ttl = ttl.filter(|_| !executed.dns.ttl.is_empty()).map(Duration::from_nanos);
        Self { service: executed.service, instances: Arc::new(executed.nodes), ttl }
    }
}

/// What an address belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressOwner {
    /// A node of this name.
    Node(String),
    /// An instance of this service.
    Service(String),
}
