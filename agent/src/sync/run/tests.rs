//! When it syncs, in simulated time, with a registry that does not answer.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::Response;
use http_api::Body;

use super::*;
use crate::{
    backend::{BoxFuture, Found, Lookup},
    checks::Status,
    config::{Flags, load},
    definition::{ServiceDefinition, Source},
    identity::identity,
};

/// What a node without services has here, and who it is.
fn node() -> (Arc<Local>, Arc<Mutex<Identity>>) {
    let words = ["-dev", "-bind=127.0.0.1", "-node=n1"].map(String::from);
    let config = load(&Flags::parse(words).unwrap()).unwrap();
    let local = Local::new(&config, None);
    let identity = identity(&config, "11111111-2222-4333-8444-555555555555");
    (local, Arc::new(Mutex::new(identity)))
}

fn add(local: &Local, name: &str) {
    let body = format!(r#"{{"Name":"{name}"}}"#);
    let service = ServiceDefinition::from_api(body.as_bytes()).unwrap();
    local.add_service(service, Source::Api, false).unwrap();
}

#[derive(Default)]
struct Nobody(AtomicUsize);

impl Backend for Nobody {
    fn call(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        self.0.fetch_add(1, Relaxed);
        Box::pin(async { Err(Unavailable::NoServers) })
    }

    fn lookup(&self, _: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoServers) })
    }
}

#[tokio::test(start_paused = true)]
async fn output_that_is_due_while_the_registry_is_away_waits_for_the_next_attempt() {
    let (local, identity) = node();
    let service = br#"{"Name":"web","Check":{"CheckID":"a","TTL":"24h","Status":"passing"}}"#;
    local.add_service(ServiceDefinition::from_api(service).unwrap(), Source::Api, false).unwrap();
    let (backend, shutdown) = (Arc::new(Nobody::default()), Shutdown::default());
    let (sync, _syncer) = Sync::new(local.clone(), backend.clone(), identity);
    let running = tokio::spawn(sync.run(None, shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    local.word("a", Status::Passing, "other words".into()).unwrap();
    // Were it to turn round and round, no time would pass and this would not end.
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert!(backend.0.load(Relaxed) < 200, "{:?}", backend.0);
    shutdown.request();
    running.await.unwrap();
}

/// A registry that knows the node, refuses the service `bad` as one that has no leader would not, and takes all others.
#[derive(Default)]
struct Choosy(Mutex<Vec<String>>);

impl Backend for Choosy {
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        Box::pin(async move {
            let (head, mut sent) = request.into_parts();
            let sent = body::collect(&mut sent, 1 << 20).await.expect("a whole body");
            let sent: Json = serde_json::from_slice(&sent).unwrap_or_default();
            let name = sent["Service"]["Service"].as_str().unwrap_or_default();
            let (status, text) = match head.uri.path() {
                path if path.starts_with("/v1/health/") => (200, "[]"),
                path if path.starts_with("/v1/catalog/node-services/") => (200, "null"),
                _ if name == "bad" => {
                    (500, "1 error occurred:\n\t* upstream destination name cannot be empty\n\n")
                }
                _ => (200, "true"),
            };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
            Ok(Response::builder().status(status).body(body::full(text)).expect("a fixed answer"))
        })
    }

    fn lookup(&self, _: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoServers) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_refused_keeps_no_other_from_the_catalog() {
    let (local, identity) = node();
    ["aa", "bad", "zz"].into_iter().for_each(|name| add(&local, name));
    let (backend, shutdown) = (Arc::new(Choosy::default()), Shutdown::default());
    let (sync, _syncer) = Sync::new(local.clone(), backend.clone(), identity);
    let running = tokio::spawn(sync.run(None, shutdown.clone()));
    let told = |name: &str| backend.0.lock().unwrap().iter().filter(|told| *told == name).count();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((told("aa"), told("bad"), told("zz")), (1, 1, 1));
    add(&local, "later");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((told("later"), told("bad")), (1, 1), "changes do not wait for the refused one");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((3..=8).contains(&told("bad")), "{}", told("bad"));
    shutdown.request();
    running.await.unwrap();
}

/// A registry that takes everything, a second after it was asked.
struct Slow;

impl Backend for Slow {
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let text = if request.method() == http::Method::GET { "null" } else { "true" };
            Ok(Response::new(body::full(text)))
        })
    }

    fn lookup(&self, _: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoServers) })
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_waits_for_one_call_and_not_for_all_there_is_to_tell() {
    let (local, identity) = node();
    for n in 0..100 {
        add(&local, &format!("web{n}"));
    }
    let shutdown = Shutdown::default();
    let (sync, _syncer) = Sync::new(local, Arc::new(Slow), identity);
    let running = tokio::spawn(sync.run(None, shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    shutdown.request();
    timeout(Duration::from_millis(600), running).await.expect("it ends with the call under way").unwrap();
}
