//! Alias checks: they say what other checks say, of this node or of another one.
//!
//! What [`worst`] makes of checks holds for both. Aliases of this node are brought up to date by whoever holds its checks;
//! [`OtherNode`] follows another node at the registry with a query that waits for changes.

use std::{sync::Arc, time::Duration};

use http::Request;
use http_api::body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use registry_wire::catalog::HealthCheck;
use tokio::time::sleep;

use super::{Observed, Report, Status};
use crate::{
    backend::{
        Backend,
        ask::{Failed, ask},
    },
    definition::CheckType,
};

/// How long the registry may hold the query.
const WAIT: Duration = Duration::from_secs(60);
/// How much longer than that an answer may take: the registry adds up to a sixteenth, the rest is the way.
const GRACE: Duration = Duration::from_secs(15);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The worst of these checks, in Consul's words; no check at all is fine.
pub(crate) fn worst<'a>(checks: impl Iterator<Item = &'a HealthCheck>) -> Observed {
    let mut found = None;
    let mut any = false;
    for check in checks {
        any = true;
        let told = || format!("Aliased check {:?} failing: {}", check.name, check.output);
        match Status::from_name(&check.status) {
            Some(Status::Critical) => return Observed::critical(told()),
            Some(Status::Warning) => found = Some(Observed::new(Status::Warning, told())),
            _ => {}
        }
    }
    let fine = if any { "All checks passing." } else { "No checks found." };
    found.unwrap_or_else(|| Observed::new(Status::Passing, fine))
}

/// `alias_node = "db1"`, `alias_service = "db"`: the checks of another node and of one service there.
pub(super) struct OtherNode {
    backend: Arc<dyn Backend>,
    own: String,
    node: String,
    service: String,
}

impl OtherNode {
    /// `own` is the name of the node that asks.
    pub(super) fn new(check: &CheckType, backend: Arc<dyn Backend>, own: String) -> Self {
        Self { backend, own, node: check.alias_node.clone(), service: check.alias_service.clone() }
    }

    /// Follows the node for ever; reports what it says after each change, and an error only once it lasts.
    pub(super) async fn run(self, report: Report) {
        let (mut index, mut pause) = (0, PAUSE_MIN);
        loop {
            match self.ask(index).await {
                Ok((newer, checks)) => {
                    // An index that runs backwards means another registry: look anew.
                    index = if newer < index { 0 } else { newer };
                    pause = PAUSE_MIN;
                    let counts = |check: &&HealthCheck| {
                        check.service_id.is_empty() || check.service_id == self.service
                    };
                    report(worst(checks.iter().filter(counts)));
                }
                Err(error) => {
                    if pause > PAUSE_MIN {
                        report(Observed::critical(format!("Failure checking {:?}: {error}", self.node)));
                    }
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn ask(&self, index: u64) -> Result<(u64, Vec<HealthCheck>), Failed> {
        let name = utf8_percent_encode(&self.node, NON_ALPHANUMERIC);
        let path = format!("/v1/health/node/{name}?stale&index={index}&wait={}s", WAIT.as_secs());
        let request = Request::get(path).body(body::empty()).expect("the name is percent-encoded");
        let (head, bytes) = ask(&*self.backend, &self.own, request, WAIT + GRACE).await?;
        let index = head.headers.get("X-Consul-Index").and_then(|index| index.to_str().ok()?.parse().ok());
        let checks = serde_json::from_slice(&bytes).map_err(|error| Failed::Unreadable(error.to_string()))?;
        Ok((index.unwrap_or_default(), checks))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::Response;
    use http_api::Body;

    use super::*;
    use crate::backend::{BoxFuture, Found, Lookup, Unavailable};

    /// A registry that gives these answers one after the other, and then none any more.
    struct Registry(Mutex<Vec<Option<(u64, &'static str)>>>, Mutex<Vec<String>>);

    impl Backend for Registry {
        fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
            self.1.lock().unwrap().push(request.uri().to_string());
            let mut answers = self.0.lock().unwrap();
            let next = if answers.is_empty() { None } else { Some(answers.remove(0)) };
            Box::pin(async move {
                let Some(answer) = next else { return std::future::pending().await };
                let (index, text) = answer.ok_or(Unavailable::NoServers)?;
                Ok(Response::builder().header("X-Consul-Index", index).body(body::full(text)).unwrap())
            })
        }

        fn lookup(&self, _: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
            Box::pin(async { Err(Unavailable::NoServers) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_the_other_nodes_checks() {
        let answers = vec![
            Some((
                7,
                r#"[{"Name":"a","Status":"passing"},{"Name":"b","Status":"critical","ServiceID":"other"}]"#,
            )),
            Some((
                9,
                r#"[{"Name":"a","Status":"warning","Output":"hm"},{"Name":"b","Status":"passing","ServiceID":"db"}]"#,
            )),
            Some((3, r#"[{"Name":"b","Status":"critical","Output":"down","ServiceID":"db"}]"#)),
            None,
            None,
        ];
        let registry = Arc::new(Registry(Mutex::new(answers), Mutex::default()));
        let check =
            CheckType { alias_node: "db 1".into(), alias_service: "db".into(), ..CheckType::default() };
        let other = OtherNode::new(&check, registry.clone(), "n1".into());
        let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let report: Report = Arc::new(move |observed| drop(sender.send(observed)));
        let running = tokio::spawn(other.run(report));
        let mut next = async || reports.recv().await.unwrap();
        assert_eq!(next().await, Observed::new(Status::Passing, "All checks passing."));
        assert_eq!(next().await, Observed::new(Status::Warning, "Aliased check \"a\" failing: hm"));
        assert_eq!(next().await, Observed::critical("Aliased check \"b\" failing: down"));
        assert_eq!(next().await, Observed::critical("Failure checking \"db 1\": No known Consul servers"));
        running.abort();
        let asked = registry.1.lock().unwrap().clone();
        assert_eq!(asked[0], "/v1/health/node/db%201?stale&index=0&wait=60s");
        assert!(asked[1].contains("index=7&") && asked[2].contains("index=9&"), "{asked:?}");
        assert!(asked[3].contains("index=0&"), "an index that ran backwards: {asked:?}");
    }
}
