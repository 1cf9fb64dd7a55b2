//! When to sync, and the talking.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daemon::Shutdown;
use http::Request;
use http_api::body;
use registry_wire::catalog::{HealthCheck, Node, NodeService, TextMap};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    body::{check_body, service_body},
    plan::{self, Remote, Step},
};
use crate::{
    backend::{
        Backend, Unavailable,
        ask::{Failed, ask},
    },
    local::{Item, Local},
};

/// Time between two full syncs; up to the same again is added at random.
const FULL: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Clients that wait for their flush at once; further ones do not wait.
const FLUSHES_MAX: usize = 64;

/// Who this node is in the catalog.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) id: String,
    pub(crate) datacenter: String,
    pub(crate) address: String,
    pub(crate) tagged_addresses: TextMap,
    pub(crate) meta: TextMap,
    pub(crate) server: bool,
}

/// Asks the running sync to hurry. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Syncer(mpsc::Sender<oneshot::Sender<()>>);

impl Syncer {
    /// Returns once the catalog knows of all local changes, or cannot be told now, or `limit` is over.
    pub(crate) async fn settle(&self, limit: Duration) {
        let (done, waits) = oneshot::channel();
        if self.0.try_send(done).is_ok() {
            // Either way the change is kept and told later.
            let _ = timeout(limit, waits).await;
        }
    }
}

/// Keeps the catalog in step with [`Local`].
pub(crate) struct Sync {
    local: Arc<Local>,
    backend: Arc<dyn Backend>,
    identity: Arc<Mutex<Identity>>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    node_told: bool,
    /// Whether the log says that the catalog cannot be told.
    told_away: bool,
    /// What the log says that the registry refuses.
    refused: BTreeSet<Item>,
}

/// What became of what there was to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    All,
    /// The registry refused some of it.
    Partly,
}

impl Sync {
    pub(crate) fn new(
        local: Arc<Local>,
        backend: Arc<dyn Backend>,
        identity: Arc<Mutex<Identity>>,
    ) -> (Self, Syncer) {
        let (sender, flushes) = mpsc::channel(FLUSHES_MAX);
        let sync = Self {
            local,
            backend,
            identity,
            flushes,
            node_told: false,
            told_away: false,
            refused: BTreeSet::new(),
        };
        (sync, Syncer(sender))
    }

    /// Syncs until shutdown: all of it at the start, from time to time and when the registry comes back; changes at once.
    pub(crate) async fn run(mut self, mut returns: Option<watch::Receiver<u64>>, shutdown: Shutdown) {
        let mut changes = self.local.changes();
        let mut full_at = Instant::now();
        let mut retry_at: Option<Instant> = None;
        let mut failures: u32 = 0;
        let mut told_as = self.identity();
        let end = shutdown.requested();
        tokio::pin!(end);
        loop {
            // Held-back output waits for the registry like everything else: its time may have passed long ago.
            let next = retry_at.or_else(|| self.local.next_output());
            let wake = next.map_or(full_at, |next| next.min(full_at));
            let mut flushed = None;
            let returned = async {
                match returns.as_mut() {
                    Some(returns) => returns.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut end => return,
                Some(waiting) = self.flushes.recv() => flushed = Some(waiting),
                Ok(()) = changes.changed() => {}
                true = returned => full_at = Instant::now(),
                () = sleep_until(wake) => {}
            }
            changes.borrow_and_update();
            let now = Instant::now();
            // A reload may have changed what the node says of itself, which only a full sync compares.
            let is_new = std::mem::replace(&mut told_as, self.identity()) != told_as;
            let due = is_new || full_at <= now || retry_at.is_some_and(|at| at <= now);
            // While the registry is away, changes only wait: the return is a full sync.
            let synced = if due {
                self.full(&shutdown).await
            } else if retry_at.is_none() {
                self.changed(&shutdown).await
            } else {
                continue;
            };
            match synced {
                Ok(told) => {
                    self.tell(None);
                    (failures, retry_at) = (0, None);
                    if due {
                        full_at = Instant::now() + FULL + FULL.mul_f64(rand::random_range(0.0..1.0));
                    }
                    if told == Told::Partly {
                        full_at = full_at.min(Instant::now() + PAUSE_MAX);
                    }
                }
                Err(error) => {
                    self.tell(Some(&error));
                    failures += 1;
                    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
                    retry_at = Some(Instant::now() + pause.mul_f64(rand::random_range(0.75..1.25)));
                    full_at = Instant::now() + FULL;
                }
            }
            if let Some(waiting) = flushed {
                // The client may have gone.
                let _ = waiting.send(());
            }
        }
    }

    /// One log line for each change of state.
    fn tell(&mut self, error: Option<&Failed>) {
        match error {
            // An agent that has not joined yet has said so already.
            Some(Failed::Nobody(Unavailable::NoServers)) if !self.node_told => {}
            Some(error) => {
                if !std::mem::replace(&mut self.told_away, true) {
                    tracing::warn!(target: "agent.anti_entropy", %error, "failed to sync, will try until it works");
                }
            }
            None => {
                if std::mem::take(&mut self.told_away) {
                    tracing::info!(target: "agent.anti_entropy", "syncing again");
                }
            }
        }
    }

    /// Compares everything with the catalog and tells the difference.
    async fn full(&mut self, end: &Shutdown) -> Result<Told, Failed> {
        let identity = self.identity();
        let node = crate::api_path(&identity.node);
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct NodeServices {
            node: Option<Node>,
            services: Option<Vec<NodeService>>,
        }
        // Before the questions: what changes meanwhile is told once more, and nothing is missed.
        let items = self.local.take_unsynced();
        let there = async {
            let there: Option<NodeServices> = self.ask(&format!("/v1/catalog/node-services/{node}")).await?;
            let checks: Option<Vec<HealthCheck>> = self.ask(&format!("/v1/health/node/{node}")).await?;
            Ok::<_, Failed>((there.unwrap_or_default(), checks.unwrap_or_default()))
        };
        let (there, checks) = match there.await {
            Ok(there) => there,
            Err(error) => {
                self.local.not_synced(items);
                return Err(error);
            }
        };
        let known = there.node.as_ref().is_some_and(|node| is_same(node, &identity));
        if !known {
            self.register(&identity, Map::new(), false)
                .await
                .inspect_err(|_| self.local.not_synced(items.clone()))?;
        }
        if !known || !self.node_told {
            tracing::info!(target: "agent", "Synced node info");
            self.node_told = true;
        }
        let remote = Remote {
            services: there.services.unwrap_or_default().into_iter().map(|s| (s.id.clone(), s)).collect(),
            checks: checks.into_iter().map(|check| (check.check_id.clone(), check)).collect(),
        };
        let local = self.local.snapshot();
        self.refused.retain(|item| match item {
            Item::Service(id) => local.services.contains_key(id) || remote.services.contains_key(id),
            Item::Check(id) => local.checks.contains_key(id) || remote.checks.contains_key(id),
        });
        let plan = plan::full(&local, &remote, identity.server);
        for (id, tags) in plan.tags {
            self.local.take_tags(&id, tags);
        }
        self.carry_out(&identity, plan.steps, end).await
    }

    /// Tells what changed here.
    async fn changed(&mut self, end: &Shutdown) -> Result<Told, Failed> {
        let items = self.local.take_unsynced();
        if items.is_empty() {
            return Ok(Told::All);
        }
        let steps = plan::partial(&self.local.snapshot_of(&items), &items);
        let identity = self.identity();
        self.carry_out(&identity, steps, end).await
    }

    /// Tells step by step. One that the registry refuses is named in the log and left to the next full sync; when nobody
    /// answers, all is kept.
    async fn carry_out(
        &mut self,
        identity: &Identity,
        steps: Vec<Step>,
        end: &Shutdown,
    ) -> Result<Told, Failed> {
        let mut steps = steps.into_iter();
        let mut told = Told::All;
        while let Some(step) = steps.next() {
            // Who is about to say goodbye has no use for the rest.
            if end.is_requested() {
                break;
            }
            match self.tell_step(identity, &step).await {
                Ok(()) => {
                    plan::items(&step).iter().for_each(|item| _ = self.refused.remove(item));
                    log(&step);
                }
                Err(Failed::Refused { text, .. }) if text.trim() != Unavailable::NoLeader.to_string() => {
                    told = Told::Partly;
                    self.refuse(&step, &text);
                }
                Err(error) => {
                    let rest = std::iter::once(&step).chain(steps.as_slice());
                    let rest: BTreeSet<_> = rest.flat_map(plan::items).collect();
                    self.local.not_synced(rest);
                    return Err(error);
                }
            }
        }
        Ok(told)
    }

    /// One log line for each that is refused, until it has been told or is gone.
    fn refuse(&mut self, step: &Step, why: &str) {
        let new = plan::items(step).into_iter().filter(|item| self.refused.insert(item.clone())).count();
        if new > 0 {
            tracing::error!(target: "agent", step = ?step, error = why.trim(), "the registry refuses a registration");
        }
    }

    async fn tell_step(&self, identity: &Identity, step: &Step) -> Result<(), Failed> {
        let local = self.local.snapshot_of(&plan::items(step).into_iter().collect());
        let mut body = Map::new();
        match step {
            Step::Service(id, checks) => {
                let Some(service) = local.services.get(id) else { return Ok(()) };
                body.insert("Service".into(), service_body(service));
                let checks = checks.iter().filter_map(|check| local.checks.get(check)).map(check_body);
                body.insert("Checks".into(), checks.collect());
                self.register(identity, body, true).await
            }
            Step::Check(id) => {
                let Some(check) = local.checks.get(id) else { return Ok(()) };
                body.insert("Check".into(), check_body(check));
                self.register(identity, body, true).await
            }
            Step::DropService(id) => self.deregister(identity, "ServiceID", id).await,
            Step::DropCheck(id) => self.deregister(identity, "CheckID", id).await,
        }
    }

    async fn register(
        &self,
        identity: &Identity,
        more: Map<String, Json>,
        skip_node: bool,
    ) -> Result<(), Failed> {
        let mut body = json!({
            "Datacenter": identity.datacenter,
            "ID": identity.id,
            "Node": identity.node,
            "Address": identity.address,
            "TaggedAddresses": identity.tagged_addresses,
            "NodeMeta": identity.meta,
            "SkipNodeUpdate": skip_node,
        });
        body.as_object_mut().expect("made just now").extend(more);
        self.put("/v1/catalog/register", &body).await
    }

    async fn deregister(&self, identity: &Identity, key: &str, id: &str) -> Result<(), Failed> {
        let body = json!({ "Datacenter": identity.datacenter, "Node": identity.node, key: id });
        self.put("/v1/catalog/deregister", &body).await
    }

    async fn put(&self, path: &str, value: &Json) -> Result<(), Failed> {
        let request = Request::put(path).body(body::full(value.to_string())).expect("a fixed path");
        self.call(request).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        let request = Request::get(path).body(body::empty()).expect("the name is percent-encoded");
        let bytes = self.call(request).await?;
        serde_json::from_slice(&bytes).map_err(|error| Failed::Unreadable(error.to_string()))
    }

    async fn call(&self, request: Request<http_api::Body>) -> Result<bytes::Bytes, Failed> {
        let node = self.identity().node;
        ask(&*self.backend, &node, request, CALL_LIMIT).await.map(|(_, bytes)| bytes)
    }

    fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_same(node: &Node, identity: &Identity) -> bool {
    node.id.eq_ignore_ascii_case(&identity.id)
        && node.address == identity.address
        && node.tagged_addresses.clone().unwrap_or_default() == identity.tagged_addresses
        && node.meta.clone().unwrap_or_default() == identity.meta
}

fn log(step: &Step) {
    match step {
        Step::Service(id, _) => tracing::info!(target: "agent", service = id, "Synced service"),
        Step::Check(id) => tracing::info!(target: "agent", check = id, "Synced check"),
        Step::DropService(id) => tracing::info!(target: "agent", service = id, "Deregistered service"),
        Step::DropCheck(id) => tracing::info!(target: "agent", check = id, "Deregistered check"),
    }
}

#[cfg(test)]
mod tests;
