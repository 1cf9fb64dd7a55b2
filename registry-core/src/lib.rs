//! The registry: state, Raft, disk, HTTP, DNS.
//!
//! One way in ([`Writer`]), one way out ([`Reader`]). A write goes to the log (`replication/`), is applied to the state
//! and published ([`Store`]), and wakes who waits ([`watch`]). `storage/` keeps files, `http/` speaks Consul's API.

mod asked;
mod clock;
mod copies;
mod embedded;
mod figures;
pub mod http;
mod keys;
mod leadership;
pub mod leases;
mod links;
mod node;
mod overdue;
mod reader;
mod replication;
pub mod server;
mod servers;
mod settings;
#[cfg(test)]
mod simulated;
pub mod snapshot;
mod storage;
mod store;
pub mod timers;
pub mod wan;
pub mod watch;
mod writer;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use daemon::Shutdown;
use http_api::Serve;
use tokio::{
    sync::{Semaphore, watch as channel},
    task::JoinHandle,
};

use links::Links;
use replication::{Enough, Means, Replication};
use server::Listeners;
use servers::Servers;
use storage::{Folder, MeshRoot, MeshRoots};
use timers::Timers;
use wan::Wan;

pub use agent::CONSUL_VERSION;
pub use clock::Clock;
pub use embedded::Embedded;
pub use leadership::{Leadership, NotLeading, Role};
pub use leases::{LeaseRefused, Leases};
pub use node::ServerNode;
pub use reader::{Absent, Answer, Consistency, Looks, Options, ReadError, Reader, Wait};
pub use replication::{OpenError, Pace};
pub use settings::Settings;
pub use storage::{Disk, StorageError};
pub use store::Store;
pub use writer::{WriteFailed, Writer, Written};

/// Why a registry could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program has the port, or the address is not this machine's.
    #[error("cannot listen at {address}: {source}; stop what listens there, or set another address or port")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The node has no id.
    #[error(transparent)]
    NodeId(#[from] agent::NodeIdError),
    /// The kept keys cannot be used.
    #[error(transparent)]
    Keyring(#[from] agent::KeyringError),
    /// The agent in front of the registry cannot start.
    #[error(transparent)]
    Agent(#[from] agent::StartError),
}

/// A running registry.
pub struct Registry {
    settings: Settings,
    store: Arc<Store>,
    reader: Reader,
    writer: Writer,
    leadership: Leadership,
    replication: Replication,
    shutdown: Shutdown,
    leases: Arc<Leases>,
    timers: Arc<Timers>,
    servers: Arc<Servers>,
    links: Links,
    folder: Folder,
    started: SystemTime,
    mesh_roots: Option<Arc<MeshRoots>>,
    wan: Arc<Wan>,
    listeners: Mutex<Option<Listeners>>,
    /// Held by the one restore that may run.
    restoring: Arc<Semaphore>,
    /// Held by the one change of keys that may run.
    changing_keys: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Registry {
    /// Starts a registry; it answers once its state has caught up with its disk. Its ports are taken now and served from
    /// [`Registry::serve`] on.
    pub async fn start(mut settings: Settings, shutdown: Shutdown) -> Result<Arc<Self>, StartError> {
        let listeners = Listeners::bind(&mut settings, &shutdown).await?;
        let folder = match &settings.data_dir {
            Some(data_dir) => Folder::open(data_dir)?,
            None => Folder::in_memory()?,
        };
        let store = Arc::new(Store::default());
        let enough = Enough { entries: settings.snapshot_every, bytes: settings.snapshot_bytes };
        let (identity, links) = (folder.identity().clone(), Links::over(settings.network.clone()));
        let ours = servers::ours(&settings);
        let (replication, full) = Replication::open(
            folder.path(),
            identity.clone(),
            &ours,
            store.clone(),
            Means { disk: settings.disk.clone(), enough, links: links.clone(), pace: settings.pace },
        )
        .await?;
        if settings.bootstrap_expect == 1 {
            servers::begin_alone(&replication, &identity, &ours).await?;
        }
        let mesh_roots = mesh_roots(&settings, &folder)?;
        let (role_sender, role) = channel::channel(Role::default());
        let leadership = leadership(&replication, role, settings.hold);
        let (writer, feeding) = Writer::start(
            leadership.clone(),
            proposing(&replication),
            settings.clock.moments(),
            shutdown.clone(),
        );
        let following = replication.clone().follow(ours, role_sender, full, shutdown.clone());
        let reader = Reader::new(store.clone(), leadership.clone(), shutdown.clone());
        let listing = replication.clone();
        let addresses: leases::Servers =
            Arc::new(move || listing.listed().into_iter().map(|listed| listed.server).collect());
        let leases = Arc::new(Leases::new(
            settings.clone(),
            store.clone(),
            writer.clone(),
            leadership.clone(),
            addresses,
        ));
        let servers = Servers::new(servers::Parts {
            settings: settings.clone(),
            identity,
            replication: replication.clone(),
            leadership: leadership.clone(),
            store: store.clone(),
            writer: writer.clone(),
            leases: leases.clone(),
            links: links.clone(),
            mesh_roots: mesh_roots.clone(),
            shutdown: shutdown.clone(),
        });
        let timers = Arc::new(Timers::new(store.clone(), writer.clone(), leadership.clone()));
        let wan = Wan::new(&settings, folder.path().to_owned(), links.clone(), shutdown.clone());
        let tending = tokio::spawn(leases.clone().tend(shutdown.clone()));
        let timing = tokio::spawn(timers.clone().run(shutdown.clone()));
        let belonging = tokio::spawn(servers.clone().run());
        let tasks = Mutex::new(vec![feeding, following, tending, timing, belonging]);
        let listeners = Mutex::new(Some(listeners));
        Ok(Arc::new(Self {
            settings,
            store,
            reader,
            writer,
            leadership,
            replication,
            leases,
            timers,
            servers,
            links,
            shutdown,
            folder,
            started: SystemTime::now(),
            mesh_roots,
            wan,
            listeners,
            restoring: Arc::new(Semaphore::new(1)),
            changing_keys: tokio::sync::Mutex::default(),
            tasks,
        }))
    }

    /// Serves the link and answers joins, until shutdown; `routes` answers what agents hand on. The first call counts.
    pub fn serve(self: &Arc<Self>, routes: Arc<dyn Serve>) {
        let listeners = self.listeners.lock().expect("nobody panics while holding the listeners").take();
        if let Some(listeners) = listeners {
            let serving = listeners.serve(self, routes);
            // Not the registry itself: it owns the tasks.
            let (registry, own) = (Arc::downgrade(self), self.settings.server_address());
            let own_cluster = move || {
                let addresses = registry.upgrade().map(|registry| registry.servers().addresses());
                let others = addresses.into_iter().flatten().filter(|address| *address != own);
                others.filter_map(|address| address.parse().ok()).collect()
            };
            let measuring = figures::measure(Arc::downgrade(self), self.shutdown.clone());
            let copying = self.settings.primary.clone().map(|primary| {
                tokio::spawn(copies::follow(Arc::downgrade(self), primary, self.shutdown.clone()))
            });
            let serving = serving.into_iter().chain([tokio::spawn(measuring)]).chain(copying);
            let serving = serving.chain(self.wan.start(own_cluster));
            self.tasks.lock().expect("nobody panics while holding the tasks").extend(serving);
        }
    }

    /// The servers of other datacenters.
    pub(crate) fn wan(&self) -> &Wan {
        &self.wan
    }

    /// Whether the attempts to join others were used up, which ends the program (`retry_max`, `retry_max_wan`).
    pub fn gave_up(&self) -> bool {
        self.wan.gave_up() || self.servers.gave_up()
    }

    /// The leases of agents.
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// The timers of sessions.
    pub fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    /// Waits for the end of everything that runs; call it after the shutdown was requested.
    pub async fn ended(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("nobody panics while holding the tasks"));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(target: "agent.server", %error, "a part of the registry ended badly");
            }
        }
    }

    /// Where its files are; for a registry in memory, a folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The cluster's id, a UUID made with its first server; empty while this one belongs to none.
    pub fn cluster(&self) -> Arc<str> {
        self.folder.identity().cluster()
    }

    /// When it was started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// How far its log has come.
    pub(crate) fn progress(&self) -> replication::Progress {
        self.replication.progress()
    }

    /// The root certificate that clients of a mesh wait for, where the configuration has `connect.enabled`.
    /// The leader of the primary datacenter makes it, all others are told.
    pub(crate) fn mesh_root(&self) -> Option<MeshRoot> {
        let roots = self.mesh_roots.as_ref()?;
        let makes = self.leadership.is_serving() && self.settings.primary.is_none();
        if makes { roots.made() } else { roots.known() }
    }

    /// Another server has told the root certificate.
    pub(crate) fn take_mesh_root(&self, root: MeshRoot) {
        if let Some(roots) = &self.mesh_roots {
            roots.take_over(root);
        }
    }

    /// Held while keys change.
    pub(crate) fn changing_keys(&self) -> &tokio::sync::Mutex<()> {
        &self.changing_keys
    }

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state and who waits for it; for answers, use [`Registry::reader`].
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The one way out.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The one way in.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Who leads.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// The internal addresses of all servers, `10.0.0.1:8300`.
    pub fn peers(&self) -> Vec<String> {
        self.servers.addresses()
    }

    /// The other servers: finding, joining and leaving them.
    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// The connections to other servers.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// The replicated log.
    pub(crate) fn replication(&self) -> &Replication {
        &self.replication
    }

    /// The switch that ends it.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}

/// Who leads, as the log knows it.
fn leadership(replication: &Replication, role: channel::Receiver<Role>, hold: Duration) -> Leadership {
    let (holding, confirming, hearing) = (replication.clone(), replication.clone(), replication.clone());
    Leadership::new(
        role,
        Arc::new(move || holding.lease_holds()),
        Arc::new(move || confirming.confirm()),
        Arc::new(move || hearing.heard_ago()),
        hold,
    )
}

/// The way of changes into the log.
fn proposing(replication: &Replication) -> writer::Propose {
    let replication = replication.clone();
    Arc::new(move |commands| {
        let replication = replication.clone();
        Box::pin(async move { replication.propose(commands).await })
    })
}

fn mesh_roots(settings: &Settings, folder: &Folder) -> Result<Option<Arc<MeshRoots>>, StorageError> {
    let Some(name) = &settings.mesh else { return Ok(None) };
    MeshRoots::open(folder.path(), folder.identity().clone(), name).map(Arc::new).map(Some)
}
