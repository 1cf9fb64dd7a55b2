//! An agent's life: start, reload, leave, end.

use std::{
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daemon::{
    Exit, Shutdown,
    logs::LogLevel,
    shutdown::{Signal, Signals},
};
use http_api::listen::{BindError, Secure};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    api::{self, Context, Order},
    backend::{
        Backend,
        remote::{JoinError, Joins, Remote, Settings},
    },
    config::{self, Config, Listen},
    containers::{self, Following},
    coordinates, dns,
    events::Events,
    front_door::{self, Door},
    identity::{self, NodeIdError, identity, lease, node_id},
    local::Local,
    supervisor::Supervisor,
    sync::{Identity, Sync, Syncer},
    tls::{self, TlsError},
    watches::Watches,
};

/// Orders that wait at once; each is carried out within seconds.
const ORDERS_MAX: usize = 16;
/// How long leaving may take; a supervisor waits longer.
const LEAVE_LIMIT: Duration = Duration::from_secs(15);
/// How long the parts have to end once they are told to.
const END_LIMIT: Duration = Duration::from_secs(8);
/// How often checks are looked at that have been critical for too long.
const REAP_EVERY: Duration = Duration::from_secs(30);

/// Why an agent did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no id for the node.
    #[error(transparent)]
    NodeId(#[from] NodeIdError),
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
    #[error(transparent)]
    Tls(#[from] TlsError),
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

/// A running agent. [`Agent::run`] serves it to its end.
pub struct Agent {
    config: watch::Sender<Arc<Config>>,
    node_id: Arc<str>,
    local: Arc<Local>,
    syncer: Syncer,
    containers: Option<Following>,
    identity: Arc<Mutex<Identity>>,
    remote: Option<Lease>,
    door: Arc<Door>,
    secure: Secure,
    dns: watch::Sender<Arc<dns::Settings>>,
    watches: Watches,
    orders: mpsc::Receiver<Order>,
    own_orders: mpsc::Sender<Order>,
    pid_file: Option<PathBuf>,
    supervisor: Supervisor,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<()>>,
}

/// The lease at a registry elsewhere, which ends apart from the rest: goodbye is said over it.
struct Lease {
    remote: Arc<Remote>,
    keeping: JoinHandle<Result<(), JoinError>>,
    end: Shutdown,
}

/// The DNS side of the configuration, with its recursors found.
async fn dns_settings(config: &Config) -> Result<Arc<dns::Settings>, dns::BadRecursor> {
    let recursors = dns::find_recursors(&config.recursors).await?;
    Ok(Arc::new(dns::Settings { recursors, ..config.dns.clone() }))
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
    let settings = Settings {
        lease: lease(&config, &id),
        joins: Joins { targets: config.retry_join.clone(), datacenter: config.datacenter.clone() },
        retry_interval: config.retry_interval,
        retry_max: config.retry_max,
        remember: config.dns_last_known,
        hold: config.rpc_hold_timeout,
    };
    let mut tasks = telemetry::install().start(config.telemetry.clone(), &shutdown);
    let end = Shutdown::default();
    let (remote, keeping) = Remote::start(settings, end.clone());
    tasks.extend(answer_joins(&config, &remote, &shutdown));
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
fn answer_joins(config: &Config, remote: &Arc<Remote>, shutdown: &Shutdown) -> Option<JoinHandle<()>> {
    let address = SocketAddr::new(config.serf_lan, config.ports.serf_lan?);
    let remote = Arc::downgrade(remote);
    let directions = move || remote.upgrade()?.directions();
    let shutdown = shutdown.clone();
    Some(tokio::spawn(async move {
        match link::bind(address, &shutdown).await {
            Ok(listener) => link::join::answer(listener, directions, shutdown).await,
            Err(_) if shutdown.is_requested() => {}
            Err(error) => {
                tracing::warn!(target: "agent", %address, %error, "joins through this agent are not answered: set ports.serf_lan");
            }
        }
    }))
}

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
    let events = Events::new(&config.node_name, local.clone());
    let mut tasks = vec![tokio::spawn(events.clone().follow(backend.clone(), shutdown.clone()))];
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
    let secure = Secure::new(tls::server_config(&config.https)?, config.limits.https_handshake_timeout);
    tasks.extend(front_door::serve_http(&config, &door, &secure, &shutdown).await?);
    tasks.extend(
        front_door::serve_dns(&config.dns_listen, dns_settings, backend, &shutdown)
            .map_err(StartError::Dns)?,
    );
    let pid_file = config.pid_file.clone();
    if let Some(path) = &pid_file {
        fs::write(path, std::process::id().to_string())
            .map_err(|source| StartError::PidFile { path: path.display().to_string(), source })?;
    }
    let attachment = remote.as_ref().map(|lease| lease.remote.attachment());
    let watches = Watches::new(door.behind(), attachment.clone());
    tasks.push(tokio::spawn(sync.run(attachment.clone(), shutdown.clone())));
    tasks.push(tokio::spawn(remove_critical(local.clone(), shutdown.clone())));
    let supervisor = Supervisor::default();
    tasks.push(tokio::spawn(supervisor.clone().follow(attachment, shutdown.clone())));
    let containers = follow_containers(&config, &local, &syncer);
    Ok(Agent {
        config: config_sender,
        node_id,
        local,
        syncer,
        containers,
        identity,
        remote,
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

fn follow_containers(config: &Config, local: &Arc<Local>, syncer: &Syncer) -> Option<Following> {
    let source = config.container_source.as_ref()?;
    let (node, address) = (&config.node_name, config.advertise_addr);
    Some(containers::follow(source, node, address, local.clone(), syncer.clone()))
}

/// How a wish to end was answered.
enum Ending {
    /// Say goodbye first; success.
    Leave,
    /// Just end; a supervisor sees that nobody asked for it in the proper way.
    Abrupt,
}

impl Agent {
    /// The node's id.
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Serves until the end: signals, orders of the API, changed files. Returns the exit code of the process.
    ///
    /// `level` lets a reload change the log's level.
    pub async fn run(mut self, level: Option<LogLevel>) -> Exit {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(target: "agent", %error, "cannot listen to signals");
                return self.end(Exit::Failure).await;
            }
        };
        let watching = self.config.borrow().auto_reload_config.then(|| self.watch_files());
        tracing::info!(target: "agent", "Consul agent running!");
        self.watches.set(&self.config.borrow().watches);
        let end = self.shutdown.requested();
        tokio::pin!(end);
        let exit = loop {
            let gave_up = async {
                match &mut self.remote {
                    Some(lease) => (&mut lease.keeping).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut end => break Exit::Success,
                signal = signals.next() => match self.signal(signal, level.as_ref()).await {
                    Some(Ending::Leave) => break self.leave_or(&mut signals).await,
                    Some(Ending::Abrupt) => break Exit::Failure,
                    None => {}
                },
                Some(order) = self.orders.recv() => {
                    if let Some(exit) = self.carry_out(order, level.as_ref()).await {
                        break exit;
                    }
                }
                ended = gave_up => {
                    // Its task must not be awaited again.
                    self.remote = None;
                    match ended {
                        // The end was asked for; the branch above sees it.
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => tracing::error!(target: "agent", %error, "Retry join failed"),
                        Err(error) => tracing::error!(target: "agent", %error, "keeping the lease ended badly"),
                    }
                    break Exit::Failure;
                }
            }
        };
        drop(watching);
        self.end(exit).await
    }

    async fn signal(&mut self, signal: Signal, level: Option<&LogLevel>) -> Option<Ending> {
        let (leave, name) = {
            let config = self.config.borrow();
            match signal {
                Signal::Interrupt => (!config.skip_leave_on_interrupt, "interrupt"),
                Signal::Terminate => (config.leave_on_terminate, "terminated"),
                Signal::Hangup => (false, "hangup"),
            }
        };
        tracing::info!(target: "agent", signal = name, "Caught");
        if signal == Signal::Hangup {
            // The reason has been logged; the old configuration holds.
            let _ = self.reload(level).await;
            return None;
        }
        Some(if leave { Ending::Leave } else { Ending::Abrupt })
    }

    /// Leaves; a second signal ends it at once.
    async fn leave_or(&mut self, signals: &mut Signals) -> Exit {
        tracing::info!(target: "agent", "Gracefully shutting down agent...");
        tokio::select! {
            left = timeout(LEAVE_LIMIT, self.leave()) => match left {
                Ok(()) => Exit::Success,
                Err(_) => {
                    tracing::warn!(target: "agent", "Timed out on graceful leave, forcing exit");
                    Exit::Failure
                }
            },
            signal = signals.next() => {
                tracing::info!(target: "agent", ?signal, "Caught second signal, Exiting");
                Exit::Failure
            }
        }
    }

    /// Says goodbye: the node leaves the catalog. A server only stops; its data and its place stay.
    async fn leave(&mut self) {
        self.supervisor.stopping();
        self.leave_containers().await;
        let Some(lease) = &mut self.remote else { return };
        // No sign of life may follow the goodbye, or the node would come back as a ghost.
        lease.end.request();
        let _ = (&mut lease.keeping).await;
        let remote = lease.remote.clone();
        self.remote = None;
        if let Err(error) = remote.leave().await {
            tracing::warn!(target: "agent", %error, "could not say goodbye; the registry will notice by itself");
        }
    }

    async fn carry_out(&mut self, order: Order, level: Option<&LogLevel>) -> Option<Exit> {
        // Whoever gave the order may have gone; it is carried out all the same.
        match order {
            Order::Reload(done) => {
                let _ = done.send(self.reload(level).await);
            }
            Order::Join(target, done) => self.join(target, done),
            Order::Leave(done) => {
                tracing::info!(target: "agent", "Gracefully shutting down agent...");
                let left = timeout(LEAVE_LIMIT, self.leave()).await;
                let _ = done.send(());
                return Some(if left.is_ok() { Exit::Success } else { Exit::Failure });
            }
        }
        None
    }

    fn join(&self, target: String, done: oneshot::Sender<Result<(), String>>) {
        let remote = self.remote.as_ref().map(|lease| lease.remote.clone());
        let datacenter = self.config.borrow().datacenter.clone();
        // Looking up a name and asking may take seconds, in which signals still count.
        tokio::spawn(async move {
            let joined = match remote {
                Some(remote) => remote.join(&target).await,
                None => Joins { targets: vec![target], datacenter }.find().await.map(drop),
            };
            let _ = done.send(joined.map_err(|error| error.to_string()));
        });
    }

    /// Reads everything again and takes it over, or keeps the old and says why.
    async fn reload(&mut self, level: Option<&LogLevel>) -> Result<(), String> {
        self.supervisor.reloading();
        let reloaded = self.read_again(level).await;
        self.supervisor.reloaded();
        reloaded
    }

    async fn read_again(&mut self, level: Option<&LogLevel>) -> Result<(), String> {
        tracing::info!(target: "agent", "Reloading configuration...");
        let old = self.config.borrow().clone();
        let new = config::load(&old.flags).map_err(|error| {
            let hint = error.hint().unwrap_or_default();
            tracing::error!(target: "agent", hint, "Failed to reload configs, keeping the old: {error}");
            error.to_string()
        })?;
        let wanted = new.log.filter().map_err(|error| keeping_the_old(&error))?;
        refuse_watch(&new).map_err(|error| keeping_the_old(&error))?;
        let dns = dns_settings(&new).await.map_err(|error| keeping_the_old(&error))?;
        let https = tls::server_config(&new.https).map_err(|error| keeping_the_old(&error))?;
        self.local.reload(&new).map_err(|error| keeping_the_old(&error))?;
        let new = Arc::new(new);
        for warning in new.warnings.iter().chain(&new.notices) {
            tracing::warn!(target: "agent", "{warning}");
        }
        if let Some(level) = level {
            level.set(wanted);
        }
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity(&new, &self.node_id);
        if let Some(lease) = &self.remote {
            lease.remote.set_meta(identity::meta(&new));
        }
        // Wakes whoever tells the catalog; that may take its time.
        self.syncer.settle(Duration::ZERO).await;
        self.door.set_rules(&new);
        self.secure.set(https);
        telemetry::install().configure(new.telemetry.clone());
        self.dns.send_replace(dns);
        self.watches.set(&new.watches);
        self.join_further(&old, &new);
        if old.container_source != new.container_source {
            if let Some(following) = self.containers.take() {
                following.end().await;
            }
            self.containers = follow_containers(&new, &self.local, &self.syncer);
        }
        for key in needs_restart(&old, &new) {
            tracing::warn!(target: "agent", key, "this setting changed, but only a restart takes it over");
        }
        self.config.send_replace(new);
        Ok(())
    }

    fn join_further(&self, old: &Config, new: &Config) {
        for target in new.retry_join.iter().filter(|target| !old.retry_join.contains(target)) {
            let (done, _) = oneshot::channel();
            self.join(target.clone(), done);
        }
    }

    /// Watches the folders of the configuration; a change is a reload, a second later.
    fn watch_files(&self) -> Option<notify::RecommendedWatcher> {
        use notify::Watcher as _;
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // One that waits is enough: a reload reads everything.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        });
        let mut watcher = watcher
            .inspect_err(|error| tracing::warn!(target: "agent", %error, "cannot watch the configuration"))
            .ok()?;
        for source in &self.config.borrow().flags.sources {
            let path = PathBuf::from(source);
            // Editors replace files: only the folder stays the same.
            let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(&path) };
            let folder = if folder.as_os_str().is_empty() { std::path::Path::new(".") } else { folder };
            if let Err(error) = watcher.watch(folder, notify::RecursiveMode::NonRecursive) {
                tracing::warn!(target: "agent", folder = %folder.display(), %error, "cannot watch the configuration");
            }
        }
        let (orders, shutdown) = (self.own_orders.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.requested() => return,
                    changed = changes.recv() => if changed.is_none() { return },
                }
                sleep(Duration::from_secs(1)).await;
                while changes.try_recv().is_ok() {}
                let (done, _) = oneshot::channel();
                if orders.send(Order::Reload(done)).await.is_err() {
                    return;
                }
            }
        });
        Some(watcher)
    }

    /// What was registered for containers goes with the agent: nobody would notice their end.
    async fn leave_containers(&mut self) {
        if let Some(following) = self.containers.take() {
            following.end().await;
        }
    }

    async fn end(mut self, exit: Exit) -> Exit {
        tracing::info!(target: "agent", "Requesting shutdown");
        self.supervisor.stopping();
        self.leave_containers().await;
        self.shutdown.request();
        if let Some(lease) = &mut self.remote {
            lease.end.request();
            let _ = (&mut lease.keeping).await;
        }
        let tasks = std::mem::take(&mut self.tasks);
        let all = async {
            self.watches.end().await;
            for task in tasks {
                if let Err(error) = task.await {
                    tracing::error!(target: "agent", %error, "a part of the agent ended badly");
                }
            }
        };
        if timeout(END_LIMIT, all).await.is_err() {
            tracing::warn!(target: "agent", "some parts did not end in time");
        }
        if let Some(path) = &self.pid_file {
            // The next start writes it anew if it stays.
            let _ = fs::remove_file(path);
        }
        tracing::info!(target: "agent", code = exit.code(), "Exit code");
        exit
    }
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

/// Says why a reload took nothing over; the text is for whoever asked for it.
fn keeping_the_old(error: &dyn std::error::Error) -> String {
    tracing::error!(target: "agent", "Failed to reload configs, keeping the old: {error}");
    error.to_string()
}

type Listens<'a> = (&'a [Listen], &'a [Listen], &'a [SocketAddr]);

fn listens(config: &Config) -> Listens<'_> {
    (&config.http_listen, &config.https_listen, &config.dns_listen)
}

/// Errors with the first watch that is wrong, and where it stands.
fn refuse_watch(config: &Config) -> Result<(), StartError> {
    let Some(error) = &config.refused_watch else { return Ok(()) };
    Err(StartError::Definition(error.to_string()))
}

/// Settings that changed and that a running agent cannot take over.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("node_name", old.node_name != new.node_name),
        ("datacenter", old.datacenter != new.datacenter),
        ("data_dir", old.data_dir != new.data_dir),
        ("server", old.server != new.server),
        ("ports", old.ports != new.ports),
        ("addresses", listens(old) != listens(new)),
        ("bind_addr", old.bind_addr != new.bind_addr),
        ("serf_lan", old.serf_lan != new.serf_lan),
        ("serf_wan", old.serf_wan != new.serf_wan),
        ("advertise_addr", old.advertise_addr != new.advertise_addr),
        ("log_file", old.log.file != new.log.file),
        ("enable_syslog", old.log.syslog != new.log.syslog),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
