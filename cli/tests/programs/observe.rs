//! Looking after a fleet: its log from afar, and its whole state as a file.

use std::fs;

use base64::Engine as _;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Node, Stage, list, ryo},
};

/// `ryo monitor` against a node's agent, and where what it prints goes.
fn monitor(node: &Node, words: &[&str], name: &str) -> Process {
    let mut command = ryo();
    command.arg("monitor").args(words).env("CONSUL_HTTP_ADDR", node.http().to_string());
    Process::start(&mut command, &node.folder.join(name))
}

fn wait_for_line(of: &Process, words: &str) -> String {
    until(LONG, words, || {
        let text = of.log();
        text.lines().find(|line| line.contains(words)).map(str::to_owned).ok_or(text.clone())
    })
}

#[test]
fn the_log_of_an_agent_is_followed_at_a_level_of_ones_own() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let agent = web.start_and_wait();
    let (all, few) = (monitor(&web, &["-log-level=debug"], "all"), monitor(&web, &["-log-level=err"], "few"));
    let objects = monitor(&web, &["-log-json"], "objects");
    // A service each time, until the followers are there to hear of one.
    let mut number = 0;
    let heard = |process: &Process| process.log().contains("Synced service");
    until(LONG, "both hear of a service", || {
        number += 1;
        web.put_ok("/v1/agent/service/register", &json!({"Name": "web", "Port": number}).to_string());
        if heard(&all) && heard(&objects) { Ok(()) } else { Err(all.log() + &objects.log()) }
    });
    let line = wait_for_line(&all, "Synced service");
    assert!(line.contains("[INFO]") && line.contains("agent: Synced service: service=web"), "{line}");
    let object: Value = serde_json::from_str(&wait_for_line(&objects, "Synced service")).unwrap();
    assert_eq!((&object["@level"], &object["service"]), (&json!("info"), &json!("web")), "{object}");
    assert_eq!(few.log(), "", "there was no error");
    assert!(!agent.log().contains("[DEBUG]"), "the agent's own level is another");

    let refused = web.get("/v1/agent/monitor?loglevel=loud");
    assert_eq!((refused.status, refused.text.trim()), (400, "Unknown log level: loud"));
    assert_eq!(objects.stop(Signal::SIGINT), 0);
    agent.stop(Signal::SIGTERM);
    wait_for_line(&all, "Remote side ended the monitor!");
    assert_eq!(all.ended(), 1);
}

#[test]
fn a_large_state_is_saved_and_restored_through_an_agent() {
    const TRANSACTIONS: usize = 160;
    const KEYS_EACH: usize = 128;
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    let mut last = String::new();
    for transaction in 0..TRANSACTIONS {
        let set = |key: usize| {
            // Random bytes, so that compression does not make the file small.
            let value = base64::prelude::BASE64_STANDARD.encode(rand::random::<[u8; 512]>().repeat(2));
            json!({"KV": {"Verb": "set", "Key": format!("k/{transaction:03}/{key:03}"), "Value": value}})
        };
        let ops: Vec<Value> = (0..KEYS_EACH).map(set).collect();
        last = ops[KEYS_EACH - 1]["KV"]["Value"].as_str().unwrap().to_owned();
        web.put_ok("/v1/txn", &Value::from(ops).to_string());
    }
    web.put_ok("/v1/agent/service/register", r#"{"Name":"web","Port":80}"#);
    registry.wait_for_instances("web?passing", &["web"]);
    let file = web.folder.join("backup.snap").display().to_string();
    let (code, said) = web.ryo(&["snapshot", "save", &file]);
    assert!(code == 0 && said.contains("Saved and verified snapshot to index"), "{said}");
    let bytes = fs::metadata(&file).unwrap().len();
    assert!(bytes > 8_000_000, "only {bytes} bytes");

    let before = web.get("/v1/kv/k/?keys").index;
    crate::ask::http(web.http(), "DELETE", "/v1/kv/k/?recurse", b"").unwrap();
    web.put_ok("/v1/kv/later", "1");
    assert_eq!(web.get("/v1/kv/k/?keys").status, 404);
    let (code, said) = web.ryo(&["snapshot", "restore", &file]);
    assert_eq!((code, said.trim()), (0, "Restored snapshot"));
    for node in [&registry, &web] {
        let keys = until(LONG, "all keys are back", || {
            let page = node.try_get("/v1/kv/k/?keys")?;
            if page.status == 200 { Ok(page) } else { Err(format!("{page:?}")) }
        });
        assert_eq!(list(&keys.json()).len(), TRANSACTIONS * KEYS_EACH);
        assert!(keys.index > before, "the index went from {before} to {}", keys.index);
        let found = node.get(&format!("/v1/kv/k/{:03}/{:03}", TRANSACTIONS - 1, KEYS_EACH - 1)).json();
        assert_eq!(list(&found)[0]["Value"], last);
        assert_eq!(node.get("/v1/kv/later").status, 404, "what came after the snapshot is gone");
    }
    registry.wait_for_instances("web?passing", &["web"]);

    // A damaged file is refused, and costs nothing.
    let mut damaged = fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    fs::write(&file, damaged).unwrap();
    let (code, said) = web.ryo(&["snapshot", "restore", &file]);
    assert!(code == 1 && said.contains("Error restoring snapshot"), "{said}");
    assert_eq!(list(&web.get("/v1/kv/k/?keys").json()).len(), TRANSACTIONS * KEYS_EACH);
}
