//! Putting an agent together: all that can fail is tried before anything is said.

use std::{
    fs, io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use daemon::Shutdown;
use http_api::listen::{BindError, Secure};
use link::Network;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};

use super::{Agent, Lease, Syncing, follow_containers};
use crate::{
    api::{self, Context},
    backend::{
        Backend,
        remote::{Joins, Remote, Settings},
    },
    config::Config,
    coordinates, dns,
    events::Events,
    exec::Exec,
    front_door::{self, Door},
    identity::{NodeIdError, identity, lease, node_id},
    keyring::{KeyringError, keyring},
    local::Local,
    supervisor::Supervisor,
    sync::Sync,
    tls,
    watches::Watches,
};

/// Orders that wait at once; each is carried out within seconds.
const ORDERS_MAX: usize = 16;
/// How often checks are looked at that have been critical for too long.
const REAP_EVERY: Duration = Duration::from_secs(30);

/// Why an agent did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no id for the node.
    #[error(transparent)]
    NodeId(#[from] NodeIdError),
    /// The kept keys cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A service, check or watch of the files cannot be used.
    #[error("{0}")]
    Definition(String),
    /// The HTTP address is taken or forbidden.
    #[error("Failed to start HTTP server: {0}; stop what listens there, or set another address or port")]
    Http(#[from] BindError),
    /// The DNS address is taken or forbidden.
    #[error("Failed to start DNS server: {0}; stop what listens there, or set another address or port")]
    Dns(io::Error),
    /// A recursor is not to be found.
    #[error(transparent)]
    Recursor(#[from] dns::BadRecursor),
    /// The certificates cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    /// The file for the process's id cannot be written.
    #[error("Could not write pid file {path}: {source}")]
    PidFile {
        /// Where.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Starts the agent of a node that is a registry too; `backend` answers from the state in this process.
///
/// Everything that can fail has been tried when it returns: definitions, ports, files. The caller then says what it will
/// and calls [`Agent::run`].
pub async fn start(
    config: Config,
    backend: Arc<dyn Backend>,
    shutdown: Shutdown,
) -> Result<Agent, StartError> {
    let id = node_id(&config)?;
    assemble(config, id, backend, None, Vec::new(), shutdown).await
}

/// Starts an agent whose registry is elsewhere, to be found at the configured addresses.
pub async fn start_client(config: Config, shutdown: Shutdown) -> Result<Agent, StartError> {
    let id = node_id(&config)?;
    let keys = keyring(&config)?;
    let network = link::network(keys.clone());
    let settings = Settings {
        lease: lease(&config, &id),
        joins: Joins {
            targets: config.retry_join.clone(),
            datacenter: config.datacenter.clone(),
            network: network.clone(),
        },
        keys,
        retry_interval: config.retry_interval,
        retry_max: config.retry_max,
        remember: config.dns_last_known,
        hold: config.rpc_hold_timeout,
    };
    let mut tasks = telemetry::install().start(config.telemetry.clone(), &shutdown);
    let end = Shutdown::default();
    let (remote, keeping) = Remote::start(settings, end.clone());
    tasks.extend(answer_joins(&config, network, &remote, &shutdown));
    let lease = Lease { remote: remote.clone(), keeping, end: end.clone() };
    let started = assemble(config, id, remote, Some(lease), tasks, shutdown.clone()).await;
    if started.is_err() {
        end.request();
        shutdown.request();
    }
    started
}

/// Tells those who join through this agent where its registry is.
///
/// A port that is taken costs only that: a node's services matter more than who may join through it.
fn answer_joins(
    config: &Config,
    network: Arc<dyn Network>,
    remote: &Arc<Remote>,
    shutdown: &Shutdown,
) -> Option<JoinHandle<()>> {
    let address = SocketAddr::new(config.serf_lan, config.ports.serf_lan?);
    let remote = Arc::downgrade(remote);
    let directions = move || remote.upgrade()?.directions();
    let shutdown = shutdown.clone();
    Some(tokio::spawn(async move {
        match link::bind(&*network, address, &shutdown).await {
            Ok(listener) => link::join::answer(listener, directions, shutdown).await,
            Err(_) if shutdown.is_requested() => {}
            Err(error) => {
                tracing::warn!(target: "agent", %address, %error, "joins through this agent are not answered: set ports.serf_lan");
            }
        }
    }))
}

/// Puts the parts together, in the order in which they need each other; long, for each takes what came before it.
async fn assemble(
    config: Config,
    id: String,
    backend: Arc<dyn Backend>,
    remote: Option<Lease>,
    started: Vec<JoinHandle<()>>,
    shutdown: Shutdown,
) -> Result<Agent, StartError> {
    for notice in &config.notices {
        tracing::warn!(target: "agent", "{notice}");
    }
    for warning in &config.warnings {
        tracing::warn!(target: "agent", "{warning}");
    }
    refuse_watch(&config)?;
    let node_id: Arc<str> = id.into();
    let local = Local::new(&config, Some(backend.clone()));
    local.load(&config).map_err(|error| StartError::Definition(error.to_string()))?;
    let identity = Arc::new(Mutex::new(identity(&config, &node_id)));
    let (sync, syncer) = Sync::new(local.clone(), backend.clone(), identity.clone());
    let (own_orders, orders) = mpsc::channel(ORDERS_MAX);
    let config = Arc::new(config);
    let (config_sender, config_receiver) = watch::channel(config.clone());
    let coordinates = remote.as_ref().map(|lease| lease.remote.coordinates()).unwrap_or_default();
    let mut tasks = Vec::new();
    let jobs = config.remote_exec.then(|| Exec::new(&config.node_name, backend.clone()));
    let jobs = jobs.and_then(|(exec, jobs)| {
        tasks.push(tokio::spawn(exec.run(shutdown.clone())));
        jobs
    });
    let events = Events::new(&config.node_name, local.clone(), jobs);
    tasks.push(tokio::spawn(events.clone().follow(backend.clone(), shutdown.clone())));
    if remote.is_some() && config.coordinates {
        let node = config.node_name.clone();
        let telling = coordinates::tell(coordinates.clone(), node, backend.clone(), shutdown.clone());
        tasks.push(tokio::spawn(telling));
    }
    let context = Context {
        local: local.clone(),
        config: config_receiver,
        node_id: node_id.clone(),
        backend: backend.clone(),
        syncer: syncer.clone(),
        events: events.clone(),
        coordinates: coordinates.clone(),
        orders: own_orders.clone(),
        recorder: telemetry::install(),
        shutdown: shutdown.clone(),
    };
    let door = Door::new(&config, api::router(context), backend.clone());
    let (dns, dns_settings) = watch::channel(dns_settings(&config).await?);
    tasks.extend(started);
    let secure = Secure::new(https(&config)?, config.limits.https_handshake_timeout);
    tasks.extend(front_door::serve_http(&config, &door, &secure, &shutdown).await?);
    tasks.extend(
        front_door::serve_dns(&config.dns_listen, dns_settings, backend.clone(), &shutdown)
            .map_err(StartError::Dns)?,
    );
    let pid_file = config.pid_file.clone();
    if let Some(path) = &pid_file {
        fs::write(path, std::process::id().to_string())
            .map_err(|source| StartError::PidFile { path: path.display().to_string(), source })?;
    }
    let attachment = remote.as_ref().map(|lease| lease.remote.attachment());
    let watches = Watches::new(door.behind(), attachment.clone());
    let returns = remote.as_ref().map(|lease| lease.remote.returns());
    let end = Shutdown::default();
    let syncing = Syncing { task: Some(tokio::spawn(sync.run(returns, end.clone()))), end };
    tasks.push(tokio::spawn(remove_critical(local.clone(), shutdown.clone())));
    let supervisor = Supervisor::default();
    tasks.push(tokio::spawn(supervisor.clone().follow(attachment, shutdown.clone())));
    let containers = follow_containers(&config, &local, &syncer);
    Ok(Agent {
        config: config_sender,
        node_id,
        backend,
        local,
        syncer,
        containers,
        identity,
        remote,
        syncing,
        door,
        secure,
        dns,
        watches,
        orders,
        own_orders,
        pid_file,
        supervisor,
        shutdown,
        tasks,
    })
}

/// The DNS side of the configuration, with its recursors found.
pub(super) async fn dns_settings(config: &Config) -> Result<Arc<dns::Settings>, dns::BadRecursor> {
    let recursors = dns::find_recursors(&config.recursors).await?;
    Ok(Arc::new(dns::Settings { recursors, ..config.dns.clone() }))
}

/// How HTTPS is served; an error says where the key stands that it is about.
pub(super) fn https(config: &Config) -> Result<Option<rustls::ServerConfig>, StartError> {
    tls::server_config(&config.https).map_err(|error| StartError::Tls(error.placed(&config.https)))
}

/// Removes services that have been critical for longer than they allow.
async fn remove_critical(local: Arc<Local>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = sleep(REAP_EVERY) => {}
            () = shutdown.requested() => return,
        }
        for service in local.remove_critical() {
            tracing::info!(target: "agent", service, "Deregistered service with too long critical checks");
        }
    }
}

/// Errors with the first watch that is wrong, and where it stands.
pub(super) fn refuse_watch(config: &Config) -> Result<(), StartError> {
    let Some(error) = &config.refused_watch else { return Ok(()) };
    Err(StartError::Definition(error.to_string()))
}
