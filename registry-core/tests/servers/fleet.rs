//! Servers of a test: started, asked, ended, and started again on their disks.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use daemon::Shutdown;
use http::{Method, Request, StatusCode};
use http_api::{Serve, body};
use link::Link;
use registry_core::{Consistency, Options, Registry, Settings};
use registry_state::{Action, KvPut, Outcome, read::KvGet};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(30);

/// A server that can be ended and started again on its disk.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    pub(crate) settings: Settings,
    pub(crate) registry: Arc<Registry>,
    routes: Arc<dyn Serve>,
}

pub(crate) fn settings(folder: &Path, number: usize, expect: usize, join: Vec<String>) -> Settings {
    let name = format!("s{number}");
    let mut settings = Settings::new(name.clone(), format!("1111111{number}-2222-4333-8444-555555555555"));
    settings.data_dir = Some(folder.join(name));
    settings.serf_lan = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.bootstrap_expect = expect;
    settings.join = join;
    settings.leave_drain = Duration::from_millis(10);
    settings.mesh = Some(String::new());
    settings
}

impl Server {
    pub(crate) async fn start(settings: Settings) -> Self {
        let folder = settings.data_dir.clone().unwrap();
        let name = settings.node_name.clone();
        let registry = Registry::start(settings, Shutdown::default()).await.unwrap();
        let routes = registry_core::http::router(registry.clone(), registry_core::http::Settings::default());
        let routes = registry_core::http::forward::to_leader(registry.clone(), Arc::new(routes));
        registry.serve(routes.clone());
        // The next start has the same ports.
        let settings = registry.settings().clone();
        Self { folder, name, settings, registry, routes }
    }

    /// Where it is joined.
    pub(crate) fn join(&self) -> String {
        self.settings.serf_lan.unwrap().to_string()
    }

    pub(crate) async fn end(self) -> Settings {
        let Self { registry, routes, settings, .. } = self;
        drop(routes);
        registry.shutdown().request();
        timeout(Duration::from_secs(20), registry.ended()).await.unwrap();
        settings
    }

    pub(crate) fn leads(&self) -> bool {
        self.registry.leadership().is_serving()
    }

    pub(crate) async fn put(&self, key: &str, value: &str) -> bool {
        let put = KvPut { key: key.into(), value: value.to_owned().into(), ..KvPut::default() };
        self.registry.writer().write(Action::KvPut(put)).await.is_ok_and(|w| w.outcome == Outcome::Done)
    }

    pub(crate) async fn holds(&self, key: &str) -> Option<String> {
        let stale = Options { consistency: Consistency::Stale, wait: None };
        let answer = self.registry.reader().read(&KvGet { key: key.into() }, stale).await.unwrap();
        answer.value.map(|entry| String::from_utf8(entry.value.value.to_vec()).unwrap())
    }

    pub(crate) async fn call(&self, method: Method, target: &str, text: &str) -> (StatusCode, String) {
        let request =
            Request::builder().method(method).uri(target).body(body::full(text.to_owned())).unwrap();
        let link = Link::over(self.settings.network.clone(), self.settings.server);
        let (head, mut sent) = link.call(request).await.unwrap().into_parts();
        let bytes = body::collect(&mut sent, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(bytes.to_vec()).unwrap())
    }
}

pub(crate) async fn until(what: &str, mut held: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !held().await {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn leader(servers: &[Server]) -> usize {
    until("a leader", async || servers.iter().any(Server::leads)).await;
    servers.iter().position(Server::leads).unwrap()
}

/// Three fresh servers; the second and third know the first alone, which knows nobody.
pub(crate) async fn three(folder: &Path) -> Vec<Server> {
    let first = Server::start(settings(folder, 1, 3, Vec::new())).await;
    let second = Server::start(settings(folder, 2, 0, vec![first.join()])).await;
    assert_eq!(first.registry.leadership().leader(), None, "two of three are too few");
    let third = Server::start(settings(folder, 3, 0, vec![first.join()])).await;
    vec![first, second, third]
}
