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
    let words = ["-dev", "-bind=127.0.0.1", "-node=n1"].map(String::from);
    let config = load(&Flags::parse(words).unwrap()).unwrap();
    let local = Local::new(&config, None);
    let service = br#"{"Name":"web","Check":{"CheckID":"a","TTL":"24h","Status":"passing"}}"#;
    local.add_service(ServiceDefinition::from_api(service).unwrap(), Source::Api, false).unwrap();
    let (backend, shutdown) = (Arc::new(Nobody::default()), Shutdown::default());
    let identity = Arc::new(Mutex::new(identity(&config, "11111111-2222-4333-8444-555555555555")));
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
