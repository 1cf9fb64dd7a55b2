//! The registry: state, Raft, disk, HTTP, DNS.
//!
//! One way in ([`Writer`]), one way out ([`Reader`]). A write goes to the log (`replication/`), is applied to the state
//! and published ([`Store`]), and wakes who waits ([`watch`]). `storage/` keeps files, `http/` speaks Consul's API.

mod leadership;
mod reader;
mod settings;
mod store;
pub mod watch;
mod writer;

use std::sync::Arc;

use daemon::Shutdown;
use tokio::{sync::watch as channel, task::JoinHandle};

pub use leadership::{Leadership, NotLeading, Role};
pub use reader::{Absent, Answer, Consistency, Options, ReadError, Reader, Wait};
pub use settings::{CONSUL_VERSION, Settings};
pub use store::Store;
pub use writer::{WriteFailed, Writer, Written};

/// Why a registry could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting asks for what this release does not have.
    #[error("{key}: {why}")]
    Unsupported {
        /// The setting's name.
        key: &'static str,
        /// What is missing, and what to do.
        why: &'static str,
    },
}

/// A running registry.
pub struct Registry {
    settings: Settings,
    store: Arc<Store>,
    reader: Reader,
    writer: Writer,
    leadership: Leadership,
    shutdown: Shutdown,
    #[expect(dead_code, reason = "awaited at the end")]
    tasks: Vec<JoinHandle<()>>,
}

impl Registry {
    /// Starts a registry; it answers once its state has caught up with its disk.
    pub async fn start(settings: Settings, shutdown: Shutdown) -> Result<Arc<Self>, StartError> {
        let store = Arc::new(Store::default());
        let role = Role { leader: Some(settings.server.to_string()), serving: true };
        let (_role, role) = channel::channel(role);
        let leadership = Leadership::new(role, Arc::new(|| Box::pin(async { true })));
        let applying = store.clone();
        let propose: writer::Propose = Arc::new(move |commands| {
            let outcomes = applying.apply(&commands);
            Box::pin(async move { Ok(outcomes) })
        });
        let (writer, task) = Writer::start(leadership.clone(), propose, shutdown.clone());
        let reader = Reader::new(store.clone(), leadership.clone(), shutdown.clone());
        Ok(Arc::new(Self { settings, store, reader, writer, leadership, shutdown, tasks: vec![task] }))
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
        self.leadership.leader().into_iter().collect()
    }

    /// The switch that ends it.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}
