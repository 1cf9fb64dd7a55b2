//! Keys as applications use them: values, flags, and locks of which nobody may have two.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    ask::{LONG, http, pause, until},
    stage::{Node, Stage, list},
};

#[test]
fn values_come_back_byte_for_byte_and_features_as_one_list() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    let absent = web.get("/v1/kv/feature/foo");
    assert_eq!((absent.status, absent.text.as_str()), (404, ""));
    assert!(absent.index > 0, "there is an index to wait with");

    let object =
        "{ \"name\": \"Foo Feature\",\n\t\"on\": true, \"v\": 1, \"t\": 1466611200, \"ü\": \"\\u0000\" }\n";
    for (key, value) in [("test/foo/bar", "a string"), ("test/foo/bazz", object), ("feature/foo", object)] {
        let page = web.put(&format!("/v1/kv/{key}?flags=7"), value);
        assert_eq!((page.status, page.text.as_str()), (200, "true"));
        for node in [&registry, &web] {
            assert_eq!(node.get(&format!("/v1/kv/{key}?raw")).text, value);
        }
    }
    web.put_ok("/v1/kv/feature/bar", r#"{"on":false}"#);
    let found = registry.get("/v1/kv/feature?recurse").json();
    let keys: Vec<_> = list(&found).iter().map(|entry| (&entry["Key"], &entry["Flags"])).collect();
    let expected = [(json!("feature/bar"), json!(0)), (json!("feature/foo"), json!(7))];
    assert_eq!(keys, expected.each_ref().map(|(key, flags)| (key, flags)));
    assert_eq!(list(&found)[0]["Value"], "eyJvbiI6ZmFsc2V9");
}

const DEMO: &str = "locks/demo";

/// A session that lives as its owner says.
fn session(node: &Node, body: &Value) -> String {
    let page = node.put("/v1/session/create", &body.to_string());
    page.json()["ID"].as_str().unwrap_or_else(|| panic!("{page:?}")).to_owned()
}

fn acquires(node: &Node, key: &str, id: &str) -> bool {
    match node.put(&format!("/v1/kv/{key}?acquire={id}"), "1").text.as_str() {
        "true" => true,
        "false" => false,
        other => panic!("{other}"),
    }
}

#[test]
fn a_lock_is_free_at_once_when_given_back_and_after_its_delay_when_its_holder_is_gone() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    registry.write("ryo.d/sessions.hcl", "session_ttl_min = \"1s\"\n");
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    // Without a body, as scripts make them.
    let first = web.put("/v1/session/create", "").json()["ID"].as_str().unwrap().to_owned();
    let second = session(&web, &json!({}));
    assert!(acquires(&web, DEMO, &first));
    assert!(!acquires(&web, DEMO, &second));
    let page = http(web.http(), "DELETE", "/v1/kv/locks/demo", b"").unwrap();
    assert_eq!(page.text, "true");
    web.put_ok(&format!("/v1/session/destroy/{first}"), "");
    assert!(acquires(&web, DEMO, &second));
    web.put_ok(&format!("/v1/session/destroy/{second}"), "");

    // The delay is 15 s when nobody says otherwise.
    let third = session(&web, &json!({}));
    assert!(!acquires(&web, DEMO, &third), "the last holder went without giving the lock back");

    // A holder that dies: its session runs out, and then the delay.
    let delay = Duration::from_secs(2);
    let body = json!({"TTL": "1s", "LockDelay": format!("{}s", delay.as_secs())});
    let dying = session(&web, &body);
    assert!(acquires(&web, "locks/other", &dying));
    let mut held = true;
    while held {
        held = web.get(&format!("/v1/session/info/{dying}")).json() != json!([]);
        assert!(!acquires(&web, "locks/other", &third), "it is held, or was a moment ago");
    }
    let gone = Instant::now();
    until(LONG, "the lock is free", || {
        acquires(&web, "locks/other", &third).then_some(()).ok_or_else(String::new)
    });
    // The session was gone a little before that was seen.
    assert!(gone.elapsed() > delay / 2, "free {:?} after its holder", gone.elapsed());
}

#[test]
fn of_64_contenders_never_two_hold_a_lock() {
    const CONTENDERS: usize = 64;
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    let (inside, entries, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(CONTENDERS));
    let contend = |node: &Node| {
        let id = session(node, &json!({"LockDelay": "0s", "NodeChecks": []}));
        start.wait();
        while !acquires(node, DEMO, &id) {
            let now = node.get("/v1/kv/locks/demo");
            if now.status == 200 && list(&now.json())[0]["Session"].is_string() {
                node.get(&format!("/v1/kv/locks/demo?wait=5s&index={}", now.index));
            }
        }
        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two are inside");
        entries.fetch_add(1, SeqCst);
        pause(Duration::from_millis(2));
        inside.fetch_sub(1, SeqCst);
        assert_eq!(node.put(&format!("/v1/kv/locks/demo?release={id}"), "").text, "true");
    };
    std::thread::scope(|all| {
        for number in 0..CONTENDERS {
            let node = if number % 2 == 0 { &registry } else { &web };
            all.spawn(|| contend(node));
        }
    });
    assert_eq!(entries.into_inner(), CONTENDERS);
    let count = list(&registry.get("/v1/kv/locks/demo").json())[0]["LockIndex"].clone();
    assert_eq!(count, CONTENDERS, "each taking of the lock was counted");
}
