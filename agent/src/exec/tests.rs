//! Jobs from the event to the keys, with a registry of one map.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use http::{Method, Request, Response};
use http_api::{Body, body};
use percent_encoding::percent_decode_str;
use registry_wire::kv;

use super::*;
use crate::backend::{BoxFuture, Found, Lookup, Unavailable};

/// Keys with the sessions that hold them; a key of another session than `s` is not given.
#[derive(Default)]
struct Registry(Mutex<BTreeMap<String, Vec<u8>>>);

impl Registry {
    fn with(job: &str) -> Arc<Self> {
        let registry = Self::default();
        registry.keys().insert("_rexec/s/job".into(), job.as_bytes().to_vec());
        Arc::new(registry)
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this node told, without the job: `ack=,exit=0`.
    fn told(&self) -> String {
        let keys = self.keys();
        let told = keys.iter().filter_map(|(key, value)| {
            Some(format!("{}={}", key.strip_prefix("_rexec/s/n1/")?, String::from_utf8_lossy(value)))
        });
        told.collect::<Vec<_>>().join(",")
    }
}

impl Backend for Registry {
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        Box::pin(async move {
            let (head, mut sent) = request.into_parts();
            let key = head.uri.path().trim_start_matches("/v1/kv/");
            let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
            let held = head.uri.query() == Some("acquire=s");
            let (status, text) = match head.method {
                Method::PUT if held => {
                    let value = body::collect(&mut sent, 1 << 20).await.expect("a whole body");
                    self.keys().insert(key, value.to_vec());
                    (200, b"true".to_vec())
                }
                Method::PUT => (500, b"invalid session".to_vec()),
                _ => match self.keys().get(&key) {
                    Some(value) => (200, value.clone()),
                    None => (404, Vec::new()),
                },
            };
            Ok(Response::builder().status(status).body(body::full(text)).expect("a fixed answer"))
        })
    }

    fn lookup(&self, _: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoServers) })
    }
}

fn event(session: &str) -> UserEvent {
    let told = format!(r#"{{"Prefix":"_rexec","Session":"{session}"}}"#);
    UserEvent { payload: kv::encode_value(told.as_bytes()), ..UserEvent::default() }
}

async fn told_of(job: &str) -> String {
    let registry = Registry::with(job);
    carry_out(&event("s"), "n1", registry.clone()).await.unwrap();
    registry.told()
}

#[tokio::test]
async fn what_a_command_says_and_how_it_ends_is_told() {
    let job = r#"{"Command":"echo hi; echo err >&2; exit 3","Wait":20000000000}"#;
    assert_eq!(told_of(job).await, "ack=,exit=3,out/00000=hi\nerr\n");
    assert_eq!(told_of(r#"{"Args":["echo","a b"],"Wait":20000000000}"#).await, "ack=,exit=0,out/00000=a b\n");
    let script = kv::encode_value(b"#!/bin/sh\necho from a file\n").unwrap();
    let job = format!(r#"{{"Script":"{script}","Wait":20000000000}}"#);
    assert_eq!(told_of(&job).await, "ack=,exit=0,out/00000=from a file\n");
    // Without the user's shell between: some put themselves in the program's place, others wait for it and say `Killed`.
    let killed = r#"{"Args":["sh","-c","kill -9 $$"],"Wait":20000000000}"#;
    assert_eq!(told_of(killed).await, "ack=,exit=-1");
    assert_eq!(told_of(r#"{"Args":["/no/such"],"Wait":20000000000}"#).await, "ack=,exit=255");
}

#[tokio::test]
async fn much_output_comes_in_pieces() {
    let registry = Registry::with(r#"{"Command":"head -c 10000 /dev/zero","Wait":60000000000}"#);
    carry_out(&event("s"), "n1", registry.clone()).await.unwrap();
    let keys = registry.keys();
    let lengths: Vec<usize> = (0..3).map(|n| keys[&format!("_rexec/s/n1/out/{n:05x}")].len()).collect();
    assert_eq!(lengths, [4096, 4096, 1808]);
}

#[tokio::test]
async fn what_is_no_job_runs_nothing() {
    let registry = Registry::with("garbage");
    assert!(carry_out(&event("s"), "n1", registry.clone()).await.is_err());
    carry_out(&event("gone"), "n1", registry.clone()).await.unwrap();
    let nothing = UserEvent { payload: Some("eno=".into()), ..UserEvent::default() };
    assert!(carry_out(&nothing, "n1", registry.clone()).await.is_err());
    assert_eq!(registry.told(), "");
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    let job = format!(r#"{{"Command":"touch {}"}}"#, mark.display());
    registry.keys().insert("_rexec/other/job".into(), job.into_bytes());
    carry_out(&event("other"), "n1", registry.clone()).await.unwrap();
    assert!(!mark.exists(), "without an acknowledgement nothing runs");
}

#[tokio::test(start_paused = true)]
async fn a_sender_hears_signs_of_life_and_the_end_of_endless_output() {
    let registry = Registry::with("{}");
    let report = Report::new(registry.clone(), "n1", "_rexec", "s");
    let (pieces, said) = mpsc::channel(1);
    let speaking = async move {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        for _ in 0..2000 {
            pieces.send(vec![b'x'; 4096]).await.unwrap();
        }
    };
    tokio::join!(report.output(said, Duration::from_secs(1)), speaking);
    let keys = registry.keys();
    let values: Vec<&Vec<u8>> = keys.range("_rexec/s/n1/out/".to_owned()..).map(|(_, value)| value).collect();
    assert!(values[..2].iter().all(|value| value.is_empty()), "two beats of silence");
    let total: usize = values.iter().map(|value| value.len()).sum();
    assert!((4 << 20..(4 << 20) + 100).contains(&total), "{total}");
    assert!(values.last().unwrap().ends_with(b"left out)\n"));
}
