//! The shared key: nodes that have it are a fleet, and who has another one or none is told why it is not let in.

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Node, Stage, ryo},
};

const KEYS: [&str; 3] = [
    "MDEyMzQ1Njc4OWFiY2RlZg==",
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
];

fn with_key(node: &Node, key: &str) {
    node.write("ryo.d/key.json", &format!(r#"{{"encrypt": "{key}"}}"#));
}

fn wait_for_log(process: &mut Process, wanted: &str) {
    until(LONG, &format!("the log says {wanted:?}"), || {
        process.must_run();
        let log = process.log();
        if log.contains(wanted) { Ok(()) } else { Err(log) }
    });
}

#[test]
fn nodes_with_one_key_are_a_fleet_and_others_are_told_why_not() {
    let stage = Stage::new();
    let (registry, agent) = (stage.registry(), stage.agent("web1", 11));
    with_key(&registry, KEYS[2]);
    let mut server = registry.start_and_wait();
    // A flag is as good as a file.
    let mut by_flag = agent.command();
    by_flag.args(["-encrypt", KEYS[2]]);
    let mut with_it = Process::start(&mut by_flag, &agent.folder.join("log"));
    agent.wait_for_registry(&mut with_it);
    agent.put_ok("/v1/kv/a", "1");
    let stats = registry.get("/v1/agent/self").json()["Stats"].clone();
    assert_eq!(
        (&stats["serf_lan"]["encrypted"], &stats["serf_wan"]["encrypted"]),
        (&"true".into(), &"true".into())
    );
    let (code, said) = registry.ryo(&["keyring", "-list"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("dc1 (LAN):\n  {} [2/2]", KEYS[2])), "{said}");

    let other = stage.agent("other", 12);
    with_key(&other, KEYS[0]);
    let none = stage.agent("none", 13);
    let (mut other_runs, mut none_runs) = (other.start(), none.start());
    wait_for_log(&mut other_runs, "its encrypt key is another one than this node's");
    wait_for_log(&mut none_runs, "it has an encrypt key and this node has none");
    for why in ["its encrypt key is another one", "it has no encrypt key and this node has one"] {
        wait_for_log(&mut server, why);
        let log = server.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(why)).collect();
        assert!(lines.len() == 1 && lines[0].contains("refused a peer: peer=127.0.0.1:"), "{lines:?}");
    }
    for process in [&server, &with_it, &other_runs, &none_runs] {
        assert!(!KEYS.iter().any(|key| process.log().contains(key)), "the log shows the key");
    }
    assert_eq!(registry.get("/v1/agent/members").json().as_array().map(Vec::len), Some(2));
}

#[test]
fn a_key_on_the_agent_alone_joins_nobody() {
    let stage = Stage::new();
    let (registry, agent) = (stage.registry(), stage.agent("web1", 11));
    let mut server = registry.start_and_wait();
    with_key(&agent, KEYS[1]);
    let mut runs = agent.start();
    wait_for_log(&mut runs, "it has no encrypt key and this node has one");
    wait_for_log(&mut server, "it has an encrypt key and this node has none");
    // Mended, it joins.
    assert_eq!(runs.stop(nix::sys::signal::Signal::SIGINT), 0);
    with_key(&agent, "");
    let _runs = agent.start_and_wait();
}

#[test]
fn what_is_no_key_ends_the_start() {
    for (key, said) in [
        ("short", "encrypt has invalid key: illegal base64 data at input byte 4"),
        ("AAAA", "Failed to configure keyring: Invalid key: key size must be 16, 24 or 32 bytes"),
    ] {
        let (code, text) = crate::stage::run(ryo().args(["agent", "-dev", "-encrypt", key]));
        assert_eq!(code, 1);
        assert!(text.contains(said), "{text}");
    }
}
