//! A server of the simulation: a registry as it ships, its disk a folder of the run.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use daemon::Shutdown;
use http_api::Serve;
use registry_core::{Disk, Registry, Settings};

use crate::network::Simulated;

/// The name of a server in the network.
pub(crate) fn name(number: usize) -> String {
    format!("server{number}")
}

/// Where a server keeps its files; another folder after each crash.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    root: PathBuf,
    generation: Arc<Mutex<u32>>,
    /// Whether the newest of what was flushed is lost in a crash.
    lying: bool,
}

impl Files {
    pub(crate) fn new(root: PathBuf, lying: bool) -> Self {
        Self { root, generation: Arc::default(), lying }
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.generation.lock().unwrap().to_string())
    }

    /// The machine stops now: what was flushed is what the next start finds.
    pub(crate) fn crash(&self) {
        let before = self.folder();
        *self.generation.lock().unwrap() += 1;
        copy(&before, &self.folder());
        if self.lying {
            cut(&self.folder().join("raft/log"));
        }
    }
}

/// Takes the end off the newest file of a log.
fn cut(log: &Path) {
    let Ok(entries) = std::fs::read_dir(log) else { return };
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some());
    let Some(newest) = files.max() else { return };
    let file = std::fs::File::options().write(true).open(newest).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(LOST_BYTES)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let Ok(entries) = std::fs::read_dir(from) else { return };
    std::fs::create_dir_all(to).unwrap();
    for entry in entries {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// How much a lying disk loses: an entry or two.
const LOST_BYTES: u64 = 200;

/// How long a flush takes: mostly a moment, now and then long.
fn flush_time() -> Duration {
    let slow = rand::random_ratio(1, 50);
    Duration::from_micros(rand::random_range(if slow { 20_000..200_000 } else { 200..2_000 }))
}

/// What a server runs until its machine crashes.
pub(crate) async fn serve(number: usize, files: Files, others: Vec<IpAddr>) -> turmoil::Result {
    let me = turmoil::lookup(name(number));
    let mut settings = Settings::new(name(number), format!("00000000-0000-4000-8000-{number:012}"));
    settings.server = SocketAddr::new(me, 8300);
    settings.serf_lan = Some(SocketAddr::new(me, 8301));
    settings.advertise = me.to_string();
    settings.data_dir = Some(files.folder());
    settings.bootstrap_expect = others.len() + 1;
    settings.join = others.iter().map(ToString::to_string).collect();
    settings.network = Arc::new(Simulated);
    settings.disk = Disk::Simulated(flush_time);
    let shutdown = Shutdown::default();
    let registry = Registry::start(settings, shutdown.clone()).await?;
    let routes = registry_core::http::router(registry.clone(), registry_core::http::Settings::default());
    let routes: Arc<dyn Serve> = registry_core::http::forward::to_leader(registry.clone(), Arc::new(routes));
    registry.serve(routes);
    shutdown.requested().await;
    registry.ended().await;
    Ok(())
}
