//! Checks: what each kind does, when it runs, and from when on its result counts.
//!
//! A check is started with its [`CheckType`] and reports what it observed; who keeps the results is not known here.
//! [`Running`] is its handle: dropping it ends the check, with whatever it has under way.

mod http;
mod output;
mod schedule;
mod script;
mod tcp;
mod threshold;
mod ttl;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinHandle};

use crate::definition::{CheckType, Kind, duration};

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

/// Why a check of this kind cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The kind is known, but not built.
    #[error(
        "checks of type {0} are not supported by this version of ryo; use http, tcp, udp, ttl, alias or args"
    )]
    Kind(&'static str),
    /// An option of the kind is not built.
    #[error("{0} is not supported by this version of ryo")]
    Option(&'static str),
}

/// Says whether a check can run here; asked before it is registered.
pub fn supported(check: &CheckType) -> Result<(), Unsupported> {
    match check.kind() {
        Some(kind @ (Kind::Grpc | Kind::Docker | Kind::H2ping | Kind::OsService)) => {
            Err(Unsupported::Kind(kind.name()))
        }
        Some(Kind::Tcp) if check.tcp_use_tls => Err(Unsupported::Option("tcp_use_tls")),
        _ => Ok(()),
    }
}

/// What all checks of an agent share.
#[derive(Clone)]
pub struct Checks {
    turns: Arc<Semaphore>,
    clients: Arc<http::Clients>,
    output_bytes_max: usize,
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
    pub fn new(output_bytes_max: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(CONCURRENT_MAX)), clients: Arc::default(), output_bytes_max }
    }

    /// Starts a check whose first run comes within one interval, at a random moment.
    ///
    /// Alias checks watch other checks rather than the world: whoever holds those answers them, and gets a handle that
    /// does nothing here.
    pub fn start(&self, check: &CheckType, report: Report) -> Running {
        let Some(kind) = check.kind() else { return Running { task: None, ttl: None } };
        if kind == Kind::Ttl {
            let ttl = Ttl::start(duration(check.ttl), report);
            return Running { task: None, ttl: Some(ttl) };
        }
        let output_bytes_max = match usize::try_from(check.output_max_size) {
            Ok(own) if own > 0 => own.min(self.output_bytes_max),
            _ => self.output_bytes_max,
        };
        let probe = match kind {
            Kind::Http => Probe::Http(http::Check::new(check, self.clients.clone(), output_bytes_max)),
            Kind::Tcp => Probe::Tcp(tcp::Tcp::new(check)),
            Kind::Udp => Probe::Udp(tcp::Udp::new(check)),
            Kind::Script => Probe::Script(script::Script::new(check, output_bytes_max)),
            _ => return Running { task: None, ttl: None },
        };
        let plan = schedule::Plan {
            interval: duration(check.interval).max(Duration::from_secs(1)),
            thresholds: threshold::Thresholds::new(check),
            turns: self.turns.clone(),
        };
        Running { task: Some(tokio::spawn(schedule::run(plan, probe, report))), ttl: None }
    }
}

/// A check that looks at the world.
enum Probe {
    Http(http::Check),
    Tcp(tcp::Tcp),
    Udp(tcp::Udp),
    Script(script::Script),
}

impl Probe {
    async fn run(&self) -> Observed {
        match self {
            Self::Http(check) => check.run().await,
            Self::Tcp(check) => check.run().await,
            Self::Udp(check) => check.run().await,
            Self::Script(check) => check.run().await,
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
