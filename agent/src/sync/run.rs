//! When the catalog is compared, and the calls that follow.

use std::{collections::HashMap, sync::Arc, time::Duration};

use daemon::Shutdown;
use http::{Method, Request};
use http_api::body;
use http_body_util::BodyExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use registry_wire::catalog::{HealthCheck, NodeService};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Local, Snapshot,
    plan::{Catalog, Step, plan},
};
use crate::backend::{Backend, NODE_HEADER};

/// The longest time between two passes when nothing happens; up to the same again is added by chance.
const FULL_PASS: Duration = Duration::from_secs(60);
/// The first pause after a failed pass; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause after failed passes. A registry that comes back is also told of by [`Settings::returns`].
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// One call to the registry takes no longer.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How many may wait for a pass at once; more wait for room.
const ASKING_MAX: usize = 256;

/// How an agent syncs.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `check_update_interval`: how long an output alone may wait; half of it is added or taken away by chance.
    pub check_update_interval: Duration,
}

/// Asks for passes.
#[derive(Clone, Debug)]
pub struct Syncer {
    asking: mpsc::Sender<oneshot::Sender<()>>,
}

impl Syncer {
    /// Starts comparing; the task ends with shutdown.
    ///
    /// `returns` changes whenever a registry is reached again, so that nothing waits for its turn then.
    pub fn start(
        local: Arc<dyn Local>,
        backend: Arc<dyn Backend>,
        settings: Settings,
        returns: tokio::sync::watch::Receiver<u64>,
        shutdown: Shutdown,
    ) -> (Self, JoinHandle<()>) {
        let (asking, asked) = mpsc::channel(ASKING_MAX);
        let run = Run { local, backend, settings, outputs: HashMap::new(), failures: 0 };
        (Self { asking }, tokio::spawn(run.until_shutdown(asked, returns, shutdown)))
    }

    /// Returns once a pass that began after the call has ended, well or badly, and at most after `limit`.
    pub async fn settle(&self, limit: Duration) {
        let (done, ended) = oneshot::channel();
        let asked = async {
            if self.asking.send(done).await.is_ok() {
                // The answer is dropped when the agent ends; then nobody waits for it either.
                let _ = ended.await;
            }
        };
        let _ = timeout(limit, asked).await;
    }
}

struct Run {
    local: Arc<dyn Local>,
    backend: Arc<dyn Backend>,
    settings: Settings,
    /// Checks of which only the output differs, and when it travels.
    outputs: HashMap<String, Instant>,
    failures: u32,
}

impl Run {
    async fn until_shutdown(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<()>>,
        mut returns: tokio::sync::watch::Receiver<u64>,
        shutdown: Shutdown,
    ) {
        let mut changes = self.local.changes();
        let mut waiting = Vec::new();
        loop {
            changes.mark_unchanged();
            returns.mark_unchanged();
            let next = tokio::select! {
                next = self.pass() => next,
                () = shutdown.requested() => return,
            };
            for done in waiting.drain(..) {
                // Whoever asked may have stopped waiting.
                let _: Result<(), ()> = oneshot::Sender::send(done, ());
            }
            tokio::select! {
                () = sleep_until(next) => {}
                Ok(()) = changes.changed() => {}
                Ok(()) = returns.changed() => {}
                Some(done) = asked.recv() => waiting.push(done),
                () = shutdown.requested() => return,
            }
            while let Ok(done) = asked.try_recv() {
                waiting.push(done);
            }
        }
    }

    /// One comparison with all its steps; when the next one is due.
    async fn pass(&mut self) -> Instant {
        match self.compare().await {
            Ok(()) => {
                if std::mem::take(&mut self.failures) > 0 {
                    tracing::info!(target: "agent.anti_entropy", "the registry takes our state again");
                }
                let next = Instant::now() + FULL_PASS.mul_f64(rand::random_range(1.0..2.0));
                self.outputs.values().copied().min().map_or(next, |due| due.min(next))
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::error!(target: "agent.anti_entropy", %error, "failed to sync remote state");
                }
                let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
                self.failures = self.failures.saturating_add(1);
                Instant::now() + pause.mul_f64(rand::random_range(0.75..1.25))
            }
        }
    }

    async fn compare(&mut self) -> Result<(), String> {
        let local = self.local.snapshot();
        let catalog = self.catalog(&local).await?;
        let now = Instant::now();
        let (steps, only_output) =
            plan(&local, &catalog, |id| self.outputs.get(id).is_some_and(|due| *due <= now));
        let interval = self.settings.check_update_interval;
        self.outputs.retain(|id, _| only_output.contains(id));
        for id in only_output {
            self.outputs.entry(id).or_insert_with(|| now + interval.mul_f64(rand::random_range(0.5..1.5)));
        }
        for step in steps {
            self.take(&local, step).await?;
        }
        Ok(())
    }

    async fn catalog(&self, local: &Snapshot) -> Result<Catalog, String> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct NodeServices {
            services: Option<Vec<NodeService>>,
        }
        let node = utf8_percent_encode(&local.node, NON_ALPHANUMERIC).to_string();
        let services: NodeServices = self.get(local, &format!("/v1/catalog/node-services/{node}")).await?;
        let checks: Vec<HealthCheck> = self.get(local, &format!("/v1/health/node/{node}")).await?;
        Ok(Catalog { services: services.services.unwrap_or_default(), checks })
    }

    async fn take(&self, local: &Snapshot, step: Step) -> Result<(), String> {
        match step {
            Step::Service(service, checks) => {
                let name = service.id.clone();
                self.register(local, json!({ "Service": service, "Checks": checks })).await?;
                tracing::info!(target: "agent", service = %name, "Synced service");
            }
            Step::Checks(checks) => {
                self.register(local, json!({ "Checks": checks })).await?;
                for check in checks {
                    tracing::info!(target: "agent", check = %check.check_id, status = %check.status, "Synced check");
                }
            }
            Step::RemoveService(id) => {
                self.deregister(local, json!({ "ServiceID": id })).await?;
                tracing::info!(target: "agent", service = %id, "Deregistered service");
            }
            Step::RemoveCheck(id) => {
                self.deregister(local, json!({ "CheckID": id })).await?;
                tracing::info!(target: "agent", check = %id, "Deregistered check");
            }
            Step::AdoptTags(id, tags) => self.local.adopt_tags(&id, tags),
        }
        Ok(())
    }

    async fn register(&self, local: &Snapshot, mut body: Value) -> Result<(), String> {
        body["Node"] = json!(local.node);
        body["Address"] = json!(local.address);
        body["SkipNodeUpdate"] = json!(true);
        if let Some(checks) = body["Checks"].as_array_mut() {
            for check in checks {
                check["Node"] = json!(local.node);
            }
        }
        self.call(local, Method::PUT, "/v1/catalog/register", body.to_string()).await.map(drop)
    }

    async fn deregister(&self, local: &Snapshot, mut body: Value) -> Result<(), String> {
        body["Node"] = json!(local.node);
        self.call(local, Method::PUT, "/v1/catalog/deregister", body.to_string()).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, local: &Snapshot, target: &str) -> Result<T, String> {
        let text = self.call(local, Method::GET, target, String::new()).await?;
        serde_json::from_slice(&text).map_err(|error| format!("{target}: {error}"))
    }

    async fn call(
        &self,
        local: &Snapshot,
        method: Method,
        target: &str,
        sent: String,
    ) -> Result<Vec<u8>, String> {
        let node = http::HeaderValue::from_str(&local.node).map_err(|error| format!("node name: {error}"))?;
        let request = Request::builder().method(method).uri(target).header(NODE_HEADER, node);
        let request = request.body(body::full(sent)).expect("method, target and header are well-formed");
        let answered = async {
            let answer = self.backend.call(request).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let mut sent = answer.into_body();
            let mut bytes = Vec::new();
            while let Some(frame) = sent.frame().await {
                if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
            if !status.is_success() {
                return Err(format!("{target}: {} ({})", String::from_utf8_lossy(&bytes), status.as_u16()));
            }
            Ok(bytes)
        };
        timeout(CALL_LIMIT, answered).await.unwrap_or_else(|_| Err(format!("{target}: no answer")))
    }
}
