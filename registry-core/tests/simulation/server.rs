//! A server of the simulation: a registry as it ships, its disk a folder of the run.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use daemon::Shutdown;
use http_api::Serve;
use registry_core::{Clock, Disk, Pace, Registry, Settings};

use crate::{folder, network::Simulated};

/// The name of a server in the network.
pub(crate) fn name(number: usize) -> String {
    format!("server{number}")
}

/// The clocks of a server's machine: what time of day it shows, and how fast it goes.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    /// Added to the time that the simulation shows, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
    /// How fast the clock goes that nobody sets: 1.1 counts 11 seconds while 10 pass.
    rate: f64,
}

impl Clocks {
    pub(crate) fn new(ahead_ms: i64, rate: f64) -> Self {
        Self { ahead_ms: Arc::new(AtomicI64::new(ahead_ms)), rate }
    }

    /// Somebody sets the time of day.
    pub(crate) fn jump(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, Relaxed);
    }

    fn time_of_day(&self) -> Clock {
        let ahead_ms = self.ahead_ms.clone();
        Clock::showing(move || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            (since.as_millis() as u64).saturating_add_signed(ahead_ms.load(Relaxed))
        })
    }
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
        folder::copy(&before, &self.folder());
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

/// How much a lying disk loses: an entry or two.
const LOST_BYTES: u64 = 200;

/// How long a flush takes: mostly a moment, now and then long.
fn flush_time() -> Duration {
    let slow = rand::random_ratio(1, 50);
    Duration::from_micros(rand::random_range(if slow { 20_000..200_000 } else { 200..2_000 }))
}

/// What a server runs until its machine crashes.
pub(crate) async fn serve(
    number: usize,
    files: Files,
    clocks: Clocks,
    others: Vec<IpAddr>,
) -> turmoil::Result {
    let me = turmoil::lookup(name(number));
    let mut settings = Settings::new(name(number), format!("00000000-0000-4000-8000-{number:012}"));
    settings.server = SocketAddr::new(me, 8300);
    settings.serf_lan = Some(SocketAddr::new(me, 8301));
    settings.serf_wan = Some(SocketAddr::new(me, 8302));
    settings.wan.addresses = vec![me];
    settings.advertise = me.to_string();
    settings.data_dir = Some(files.folder());
    settings.bootstrap_expect = others.len() + 1;
    settings.join = others.iter().map(ToString::to_string).collect();
    settings.network = Arc::new(Simulated);
    settings.disk = Disk::Simulated(flush_time);
    settings.clock = clocks.time_of_day();
    settings.pace = Pace::by_clock(clocks.rate);
    let shutdown = Shutdown::default();
    let registry = Registry::start(settings, shutdown.clone()).await?;
    let routes = registry_core::http::router(registry.clone(), registry_core::http::Settings::default());
    let routes: Arc<dyn Serve> = registry_core::http::forward::to_leader(registry.clone(), Arc::new(routes));
    registry.serve(routes);
    shutdown.requested().await;
    registry.ended().await;
    Ok(())
}
