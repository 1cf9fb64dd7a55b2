//! Checks: what each kind does, when it runs, and from when on its result counts.
//!
//! A check is started with its [`CheckType`] and reports what it observed; who keeps the results is not known here.
//! [`Running`] is its handle: dropping it ends the check, with whatever it has under way.

mod alias;
mod dial;
mod docker;
mod grpc;
mod h2ping;
mod http;
mod os_service;
mod schedule;
mod script;
mod tcp;
mod threshold;
mod ttl;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    backend::Backend,
    definition::{CheckType, Kind, duration},
};

pub(crate) use alias::worst;
pub use ttl::Ttl;

/// Checks that run at once; the others wait for their turn, so that a thousand checks do not exhaust the machine.
const CONCURRENT_MAX: usize = 64;

/// A check's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Passing,
    /// Something is not as it should be; the service still serves.
    Warning,
    /// The service does not serve.
    Critical,
}

impl Status {
    /// The word of the API: `passing`, `warning`, `critical`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Reads the word of the API; `None` for any other.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Passing, Self::Warning, Self::Critical].into_iter().find(|status| status.name() == name)
    }
}

/// What one run of a check gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The verdict.
    pub status: Status,
    /// What it said, cut to the limit.
    pub output: String,
}

impl Observed {
    fn new(status: Status, output: impl Into<String>) -> Self {
        Self { status, output: output.into() }
    }

    fn critical(output: impl Into<String>) -> Self {
        Self::new(Status::Critical, output)
    }
}

/// Where results go.
pub type Report = Arc<dyn Fn(Observed) + Send + Sync>;

/// Why a check cannot run here; the words are Consul's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not implemented")]
pub struct NotHere;

/// Says whether a check can run here; asked before it is registered.
///
/// A check of an OS service needs systemd.
pub fn supported(check: &CheckType) -> Result<(), NotHere> {
    match check.kind() {
        Some(Kind::OsService) if !os_service::is_here() => Err(NotHere),
        _ => Ok(()),
    }
}

/// What all checks of an agent share.
#[derive(Clone)]
pub struct Checks {
    turns: Arc<Semaphore>,
    clients: Arc<http::Clients>,
    tls: Arc<dial::TlsConfigs>,
    output_bytes_max: usize,
    /// The name of this node, and the registry that knows the others.
    node: String,
    backend: Option<Arc<dyn Backend>>,
}

/// A check that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    task: Option<JoinHandle<()>>,
    ttl: Option<Ttl>,
}

impl Running {
    /// The handle that a TTL check is kept alive with; `None` for all other kinds.
    pub fn ttl(&self) -> Option<&Ttl> {
        self.ttl.as_ref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Checks {
    /// `output_bytes_max` is `check_output_max_size`; a check may lower it for itself.
    /// Without a backend aliases of other nodes say nothing.
    pub fn new(output_bytes_max: usize, node: String, backend: Option<Arc<dyn Backend>>) -> Self {
        let turns = Arc::new(Semaphore::new(CONCURRENT_MAX));
        Self { turns, clients: Arc::default(), tls: Arc::default(), output_bytes_max, node, backend }
    }

    /// Starts a check whose first run comes within one interval, at a random moment.
    ///
    /// Alias checks of this node watch other checks rather than the world: whoever holds those answers them, and gets a
    /// handle that does nothing here.
    pub fn start(&self, check: &CheckType, report: Report) -> Running {
        let Some(kind) = check.kind() else { return Running { task: None, ttl: None } };
        if kind == Kind::Ttl {
            let ttl = Ttl::start(duration(check.ttl), report);
            return Running { task: None, ttl: Some(ttl) };
        }
        if kind == Kind::Alias {
            return Running { task: self.follow(check, report), ttl: None };
        }
        let Some(probe) = self.probe(kind, check) else { return Running { task: None, ttl: None } };
        let plan = schedule::Plan {
            interval: duration(check.interval).max(Duration::from_secs(1)),
            thresholds: threshold::Thresholds::new(check),
            turns: self.turns.clone(),
        };
        Running { task: Some(tokio::spawn(schedule::run(plan, probe, report))), ttl: None }
    }

    /// What looks at the world; nothing for what others say.
    fn probe(&self, kind: Kind, check: &CheckType) -> Option<Probe> {
        let output_bytes_max = match usize::try_from(check.output_max_size) {
            Ok(own) if own > 0 => own.min(self.output_bytes_max),
            _ => self.output_bytes_max,
        };
        Some(match kind {
            Kind::Http => Probe::Http(http::Check::new(check, self.clients.clone(), output_bytes_max)),
            Kind::Tcp => Probe::Tcp(tcp::Tcp::new(check, &self.tls)),
            Kind::Udp => Probe::Udp(tcp::Udp::new(check)),
            Kind::Script => Probe::Script(script::Script::new(check, output_bytes_max)),
            Kind::Docker => Probe::Docker(docker::Docker::new(check, output_bytes_max)),
            Kind::Grpc => Probe::Grpc(grpc::Grpc::new(check, &self.tls)),
            Kind::H2ping => Probe::H2ping(h2ping::H2ping::new(check, &self.tls)),
            Kind::OsService => Probe::OsService(os_service::OsService::new(check)),
            Kind::Alias | Kind::Ttl => return None,
        })
    }

    /// Runs a check once, without a schedule; `None` for a kind that does not look at the world. For fuzzing.
    #[cfg(fuzzing)]
    pub async fn run_once(&self, check: &CheckType) -> Option<Observed> {
        Some(schedule::Look::look(&self.probe(check.kind()?, check)?).await)
    }

    fn follow(&self, check: &CheckType, report: Report) -> Option<JoinHandle<()>> {
        let backend = self.backend.clone().filter(|_| check.is_of_other_node(&self.node))?;
        let other = alias::OtherNode::new(check, backend, self.node.clone());
        Some(tokio::spawn(other.run(report)))
    }
}

/// A check that looks at the world.
enum Probe {
    Http(http::Check),
    Tcp(tcp::Tcp),
    Udp(tcp::Udp),
    Script(script::Script),
    Docker(docker::Docker),
    Grpc(grpc::Grpc),
    H2ping(h2ping::H2ping),
    OsService(os_service::OsService),
}

impl schedule::Look for Probe {
    async fn look(&self) -> Observed {
        match self {
            Self::Http(check) => check.run().await,
            Self::Tcp(check) => check.run().await,
            Self::Udp(check) => check.run().await,
            Self::Script(check) => check.run().await,
            Self::Docker(check) => check.run().await,
            Self::Grpc(check) => check.run().await,
            Self::H2ping(check) => check.run().await,
            Self::OsService(check) => check.run().await,
        }
    }
}

/// The check's own time limit, or what its kind has.
fn limit(check: &CheckType, default: Duration) -> Duration {
    match duration(check.timeout) {
        Duration::ZERO => default,
        own => own,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    /// The address of a server that says these bytes to whoever connects, and then hangs up.
    pub(super) async fn answering(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(bytes).await.unwrap();
            }
        });
        address
    }
}
