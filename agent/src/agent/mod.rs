//! An agent's life: [`start`](mod@start) puts its parts together, [`Agent::run`] serves to the end, `reload` takes over changed files.

mod reload;
mod start;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use daemon::{
    Exit, Shutdown,
    logs::LogLevel,
    shutdown::{Signal, Signals},
};
use http::Request;
use http_api::{body, listen::Secure};
use link::calls;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    api::Order,
    backend::{
        Backend,
        remote::{JoinError, Remote},
    },
    config::Config,
    containers::{self, Following},
    dns,
    front_door::Door,
    local::Local,
    supervisor::Supervisor,
    sync::{Identity, Syncer},
    watches::Watches,
};

pub use start::{StartError, start, start_client};

/// The longest word of the server in this process.
const SAID_BYTES_MAX: usize = 64 << 10;
/// How long leaving may take; a supervisor waits longer.
const LEAVE_LIMIT: Duration = Duration::from_secs(15);
/// How long what is just being told to the catalog may take before the goodbye.
const TELLING_LIMIT: Duration = Duration::from_secs(2);
/// How long the parts have to end once they are told to.
const END_LIMIT: Duration = Duration::from_secs(8);

/// A running agent. [`Agent::run`] serves it to its end.
pub struct Agent {
    config: watch::Sender<Arc<Config>>,
    node_id: Arc<str>,
    backend: Arc<dyn Backend>,
    local: Arc<Local>,
    syncer: Syncer,
    containers: Option<Following>,
    identity: Arc<Mutex<Identity>>,
    remote: Option<Lease>,
    syncing: Syncing,
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

/// What tells the catalog; it ends before the goodbye.
struct Syncing {
    task: Option<JoinHandle<()>>,
    end: Shutdown,
}

impl Syncing {
    /// Lets it finish what it has begun.
    async fn end(&mut self) {
        self.end.request();
        let Some(mut task) = self.task.take() else { return };
        match timeout(TELLING_LIMIT, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(target: "agent", %error, "a part of the agent ended badly"),
            // The call under way may still arrive: the registry takes back what a goodbye has overtaken.
            Err(_) => task.abort(),
        }
    }
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
        let Some(lease) = &mut self.remote else { return self.leave_cluster().await };
        // Neither a sign of life nor a registration may follow the goodbye, or the node would come back as a ghost.
        self.syncing.end().await;
        lease.end.request();
        let _ = (&mut lease.keeping).await;
        let remote = lease.remote.clone();
        self.remote = None;
        if let Err(error) = remote.leave().await {
            tracing::warn!(target: "agent", %error, "could not say goodbye; the registry will notice by itself");
        }
    }

    /// Lets the server in this process leave its cluster.
    async fn leave_cluster(&self) {
        // Whoever of the other datacenters does not hear of it notices by itself.
        let _ = self.tell_server(calls::WAN_LEAVE).await;
        if let Err(error) = self.tell_server(calls::LEAVE).await {
            tracing::warn!(target: "agent", error, "could not leave the cluster; the other servers will notice by themselves");
        }
    }

    /// Makes a call to the server in this process. Errors with what it says.
    fn tell_server(&self, call: &str) -> impl Future<Output = Result<(), String>> + use<> {
        let (backend, request) = (self.backend.clone(), Request::put(call).body(body::empty()));
        async move {
            let request = request.map_err(|error| error.to_string())?;
            let answer = backend.call(request).await.map_err(|error| error.to_string())?;
            let (head, mut sent) = answer.into_parts();
            let said = body::collect(&mut sent, SAID_BYTES_MAX).await.map_err(|error| error.to_string())?;
            if head.status.is_success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
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
        let server = self.tell_server(&format!("{}{}", calls::JOIN, crate::api_path(&target)));
        // Looking up a name and asking may take seconds, in which signals still count.
        tokio::spawn(async move {
            let joined = match remote {
                Some(remote) => remote.join(&target).await.map_err(|error| error.to_string()),
                None => server.await,
            };
            let _ = done.send(joined);
        });
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
            self.syncing.end().await;
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

fn follow_containers(config: &Config, local: &Arc<Local>, syncer: &Syncer) -> Option<Following> {
    let source = config.container_source.as_ref()?;
    let (node, address) = (&config.node_name, config.advertise_addr);
    Some(containers::follow(source, node, address, local.clone(), syncer.clone()))
}
