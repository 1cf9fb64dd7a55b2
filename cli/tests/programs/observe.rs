//! Looking after a fleet: its log from afar, and its whole state as a file.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

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

/// Keys, two ways: as a snapshot and as plain text, both made while somebody writes.
#[test]
fn a_backup_of_a_busy_registry_brings_back_what_was_acknowledged_before_it() {
    let stage = Stage::new();
    let registry = stage.registry();
    let mut process = registry.start_and_wait();
    // What templates read: empty values and bytes that are no text.
    registry.put_ok("/v1/kv/service/haproxy/backends/ssl/gitea", "");
    registry.put_ok("/v1/kv/service/haproxy/acl/gitea/host?flags=42", "git.example.org");
    let bytes: Vec<u8> = (0..=255).collect();
    crate::ask::http(registry.http(), "PUT", "/v1/kv/bytes", &bytes).unwrap();
    let (written, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let saved = registry.folder.join("backup.snap").display().to_string();
    let (before, exported) =
        std::thread::scope(|all| {
            all.spawn(|| {
                for n in 0.. {
                    registry.put_ok(&format!("/v1/kv/busy/{n:06}"), &n.to_string());
                    written.store(n + 1, SeqCst);
                    if over.load(SeqCst) {
                        return;
                    }
                }
            });
            until(LONG, "somebody writes", || {
                if written.load(SeqCst) > 20 { Ok(()) } else { Err(String::new()) }
            });
            let before = written.load(SeqCst);
            let (code, said) = registry.ryo(&["snapshot", "save", &saved]);
            let (exporting, exported) = registry.ryo(&["kv", "export"]);
            over.store(true, SeqCst);
            assert_eq!((code, exporting), (0, 0), "{said} {exported}");
            (before, exported)
        });
    let text = registry.write("keys.json", &exported);
    for words in [&["snapshot", "restore", &saved][..], &["kv", "import", &format!("@{}", text.display())]] {
        process.kill();
        fs::remove_dir_all(registry.data()).unwrap();
        process = registry.start_and_wait();
        assert_eq!(registry.get("/v1/kv/?recurse").status, 404);
        let (code, said) = registry.ryo(words);
        assert_eq!(code, 0, "{words:?}: {said}");
        for n in 0..before {
            let found = registry.get(&format!("/v1/kv/busy/{n:06}?raw"));
            assert_eq!((found.status, found.text), (200, n.to_string()), "{words:?}");
        }
        let entry = |key: &str| list(&registry.get(&format!("/v1/kv/{key}")).json())[0].clone();
        assert_eq!(entry("bytes")["Value"], base64::prelude::BASE64_STANDARD.encode(&bytes), "{words:?}");
        assert_eq!(entry("service/haproxy/backends/ssl/gitea")["Value"], Value::Null, "{words:?}");
        let host = entry("service/haproxy/acl/gitea/host");
        assert_eq!((&host["Flags"], &host["Value"]), (&json!(42), &json!("Z2l0LmV4YW1wbGUub3Jn")));
    }
    // The last one is on disk as if it had always been there.
    process.kill();
    let _process = registry.start_and_wait();
    assert_eq!(registry.get("/v1/kv/busy/000000?raw").text, "0");
}
