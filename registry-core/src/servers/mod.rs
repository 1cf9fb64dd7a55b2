//! The servers of this datacenter: how they find one another, begin a cluster, join one and leave it.
//!
//! `find` asks those whom the configuration names and tells each which servers it knows; `begin` lets one of several servers
//! with empty disks begin a cluster with all; `belong` keeps a server's lease at the leader, which takes new ones in; `call` asks
//! other servers and answers them; `tend` is the leader's: votes for new servers, the end of dead ones.

mod begin;
mod belong;
mod call;
mod find;
mod tend;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use agent::CONSUL_VERSION;
use daemon::Shutdown;
use link::calls::{self, ServerSeen};
use tokio::{sync::Notify, time::Instant};

use crate::{
    Leadership, Leases, OpenError, StartError, Store, Writer,
    links::Links,
    replication::{Replication, Server},
    settings::Settings,
    storage::{Identity, MeshRoots},
};

pub(crate) use call::Refused;
pub(crate) use tend::Health;

/// This server, as the others see it.
pub(crate) fn ours(settings: &Settings) -> Server {
    Server {
        addr: settings.server_address(),
        name: settings.node_name.clone(),
        node_id: settings.node_id.clone(),
        version: calls::VERSION,
        build: CONSUL_VERSION.to_owned(),
        lan_port: settings.serf_lan.map_or(0, |address| address.port()),
    }
}

/// Begins a cluster of this server alone, if its disk is empty.
pub(crate) async fn begin_alone(
    replication: &Replication,
    identity: &Identity,
    ours: &Server,
) -> Result<(), StartError> {
    if replication.is_initialized().await? {
        return Ok(());
    }
    identity.take_cluster(&uuid::Uuid::new_v4().to_string())?;
    let alone = BTreeMap::from([(identity.server(), ours.clone())]);
    replication.initialize(alone).await.map_err(OpenError::into)
}

/// What this server knows of the others, and what it does with them.
pub(crate) struct Servers {
    settings: Settings,
    identity: Arc<Identity>,
    replication: Replication,
    leadership: Leadership,
    store: Arc<Store>,
    writer: Writer,
    leases: Arc<Leases>,
    links: Links,
    mesh_roots: Option<Arc<MeshRoots>>,
    /// When this server was started, in milliseconds since 1970.
    boot_ms: u64,
    state: Mutex<State>,
    /// Whether this server has given up looking for others: `retry_max`.
    gave_up: AtomicBool,
    /// Whether the leader wants to know this server's keys.
    tell_keys: AtomicBool,
    /// Something became known that finding or beginning may go on with.
    news: Notify,
    shutdown: Shutdown,
}

#[derive(Default)]
struct State {
    /// Where servers may be found: from the configuration, and from `join`.
    targets: Vec<String>,
    /// The servers heard of, by their ids, and when.
    known: BTreeMap<u64, (ServerSeen, Instant)>,
    /// The cluster that this server has proposed to begin.
    proposed: Option<String>,
    /// By whom the cluster was proposed that this one agreed to begin.
    agreed_with: Option<u64>,
    /// Why a cluster refused this server, as the log has it.
    refused: Option<String>,
    /// Whether this server has said that it is leaving.
    leaving: bool,
    /// How the servers are, as the leader sees them.
    health: BTreeMap<u64, Health>,
    /// Servers that were removed by hand, and until when they are not taken in again.
    removed: BTreeMap<u64, Instant>,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").field("us", &self.identity.server()).finish_non_exhaustive()
    }
}

/// What [`Servers`] is made of.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) identity: Arc<Identity>,
    pub(crate) replication: Replication,
    pub(crate) leadership: Leadership,
    pub(crate) store: Arc<Store>,
    pub(crate) writer: Writer,
    pub(crate) leases: Arc<Leases>,
    pub(crate) links: Links,
    pub(crate) mesh_roots: Option<Arc<MeshRoots>>,
    pub(crate) shutdown: Shutdown,
}

impl Servers {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { settings, identity, replication, leadership, store, writer, leases, .. } = parts;
        let Parts { links, mesh_roots, shutdown, .. } = parts;
        let state = Mutex::new(State { targets: settings.join.clone(), ..State::default() });
        let boot_ms = settings.clock.now_ms();
        let (news, gave_up, tell_keys) = (Notify::new(), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self {
            settings,
            identity,
            replication,
            leadership,
            store,
            writer,
            leases,
            links,
            mesh_roots,
            boot_ms,
            state,
            gave_up,
            tell_keys,
            news,
            shutdown,
        })
    }

    /// Finds the others and belongs to them, and looks after them while this server leads, until shutdown.
    pub(crate) async fn run(self: Arc<Self>) {
        let ended = self.shutdown.requested();
        tokio::select! {
            () = ended => {}
            () = self.find() => {}
            () = self.belong() => {}
            () = self.tend() => {}
        }
    }

    /// Whether the program ends because nobody was found in time.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.load(Relaxed)
    }

    /// This server's id among the servers.
    pub(crate) fn id(&self) -> u64 {
        self.identity.server()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this server belongs to a cluster that has begun.
    async fn has_begun(&self) -> bool {
        // An engine that has ended begins nothing more.
        self.replication.is_initialized().await.unwrap_or(true)
    }

    /// This server, as others hear of it.
    async fn seen(&self) -> ServerSeen {
        let settings = &self.settings;
        ServerSeen {
            id: self.identity.server(),
            address: settings.server_address(),
            node: settings.node_name.clone(),
            node_id: settings.node_id.clone(),
            expect: u32::try_from(settings.bootstrap_expect).unwrap_or(u32::MAX),
            begun: self.has_begun().await,
            cluster: self.identity.cluster().to_string(),
            version: calls::VERSION,
            build: CONSUL_VERSION.to_owned(),
            lan_port: settings.serf_lan.map_or(0, |address| address.port()),
        }
    }

    /// The addresses of all servers of the cluster, as agents are told them.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.replication.listed().into_iter().map(|listed| listed.server.addr).collect()
    }
}
