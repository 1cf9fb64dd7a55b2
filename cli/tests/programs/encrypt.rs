//! The shared key: nodes that have it are a fleet, and who has another one or none is told why it is not let in. It is changed while
//! all run, and covers other datacenters too.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use crate::{
    ask::{self, LONG, until},
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
    // Mended, it joins; the key that it has kept holds until then.
    assert_eq!(runs.stop(nix::sys::signal::Signal::SIGINT), 0);
    with_key(&agent, "");
    fs::remove_file(agent.data().join("serf/local.keyring")).unwrap();
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

/// What `keyring -list` shows of a key in a pool: `3/4`.
fn count_of(node: &Node, pool: &str, key: &str, list: &str) -> Result<String, String> {
    let (code, said) = node.ryo(&["keyring", list]);
    let of_pool = said.split("\n\n").find(|part| part.starts_with(pool)).unwrap_or_default();
    let line = of_pool.lines().find_map(|line| line.trim().strip_prefix(&format!("{key} [")));
    match (code, line) {
        (0, Some(line)) => Ok(line.trim_end_matches(']').to_owned()),
        (0, None) => Ok(String::new()),
        _ => Err(said),
    }
}

fn wait_for_count(node: &Node, pool: &str, key: &str, list: &str, wanted: &str) {
    until(LONG, &format!("{list} of {pool} shows {wanted:?}"), || {
        let count = count_of(node, pool, key, list)?;
        if count == wanted { Ok(()) } else { Err(count) }
    });
}

fn change(node: &Node, how: &str, key: &str) {
    until(LONG, &format!("{how} is done"), || match node.ryo(&["keyring", how, key]) {
        (0, _) => Ok(()),
        (_, said) => Err(said),
    });
}

fn refused(node: &Node, how: &str, key: &str, why: &str) {
    let (code, said) = node.ryo(&["keyring", how, key]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(why), "{said}");
}

/// Writes one key after the other through a node until it is told to end; each must be acknowledged at the first try.
fn keep_writing(node: &Node, name: &'static str, end: &Arc<AtomicBool>) -> JoinHandle<u32> {
    let (http, end) = (node.http(), end.clone());
    std::thread::spawn(move || {
        let mut written = 0;
        while !end.load(Relaxed) {
            let path = format!("/v1/kv/{name}/{written}");
            let page = ask::http(http, "PUT", &path, b"x").unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!((page.status, &*page.text), (200, "true"), "{path}");
            written += 1;
        }
        written
    })
}

#[test]
fn a_key_is_changed_under_writes_and_who_was_away_comes_back() {
    let stage = Stage::new();
    let server = |host: u8| {
        let address = stage.address(host);
        let keys = format!(
            "bind_addr = \"{address}\"\nclient_addr = \"{address}\"\nserver = true\nbootstrap_expect = 3\nretry_join = [\"{}\"]\nretry_interval = \"1s\"",
            stage.address(10)
        );
        stage.node_with(&format!("s{host}"), host, &keys)
    };
    let servers = [10, 11, 12].map(server);
    let agent = stage.agent("web1", 20);
    let away = stage.agent("web2", 21);
    let [old, new] = [KEYS[2], KEYS[0]];
    for node in servers.iter().chain([&agent, &away]) {
        with_key(node, old);
    }
    let mut running: Vec<_> = servers.iter().map(Node::start).collect();
    for (node, process) in servers.iter().zip(&mut running) {
        node.wait_for_registry(process);
    }
    let _agent = agent.start_and_wait();
    let gone = away.start_and_wait();
    wait_for_count(&agent, "dc1 (LAN)", old, "-list", "5/5");
    gone.kill();
    until(LONG, "web2 is missed", || {
        let (_, said) = servers[0].ryo(&["members"]);
        if said.lines().any(|line| line.starts_with("web2 ") && line.contains("failed")) {
            Ok(())
        } else {
            Err(said)
        }
    });

    let end = Arc::new(AtomicBool::new(false));
    let writing: Vec<_> = [(&servers[0], "a"), (&servers[1], "b"), (&agent, "c")]
        .map(|(node, name)| keep_writing(node, name, &end))
        .into();
    refused(&agent, "-use", new, "s11: Requested key is not in the keyring");
    refused(&agent, "-remove", old, "web1: Removing the primary key is not allowed");
    change(&agent, "-install", new);
    assert_eq!(count_of(&servers[1], "dc1 (LAN)", new, "-list"), Ok("4/4".into()));
    assert_eq!(count_of(&servers[1], "WAN", new, "-list"), Ok("3/3".into()));
    change(&servers[2], "-use", new);
    assert_eq!(count_of(&agent, "dc1 (LAN)", new, "-list-primary"), Ok("4/4".into()));
    refused(&agent, "-remove", new, "s10.dc1: Removing the primary key is not allowed");

    // It knows the old key only, which is still installed, and is told the new one.
    let back = away.start_and_wait();
    wait_for_count(&agent, "dc1 (LAN)", new, "-list-primary", "5/5");
    change(&agent, "-remove", old);
    assert_eq!(count_of(&agent, "dc1 (LAN)", old, "-list"), Ok(String::new()));
    assert_eq!(count_of(&agent, "dc1 (LAN)", new, "-list"), Ok("5/5".into()));

    // One that starts has the new key from its disk, whatever its configuration says.
    let path = servers[1].data().join("serf/local.keyring");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("[\n  \"{new}\"\n]"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    end.store(true, Relaxed);
    let written: Vec<u32> = writing.into_iter().map(|writer| writer.join().unwrap()).collect();
    for (name, count) in ["a", "b", "c"].iter().zip(&written) {
        assert!(*count > 10, "{written:?}");
        let kept = agent.get(&format!("/v1/kv/{name}/?keys")).json();
        assert_eq!(
            kept.as_array().map(Vec::len),
            Some(*count as usize),
            "{name}: an acknowledged write is lost"
        );
    }
    running.remove(1).kill();
    let mut again = servers[1].start_and_wait();
    assert!(again.log().contains("keyring doesn't include key provided with -encrypt, using keyring"));
    servers[1].put_ok("/v1/kv/later", "1");
    let stranger = stage.agent("web3", 22);
    with_key(&stranger, old);
    wait_for_log(&mut stranger.start(), "its encrypt key is another one than this node's");
    for process in running.iter().chain([&again, &back]) {
        assert!(!KEYS.iter().any(|key| process.log().contains(key)), "the log shows a key");
    }
    again.must_run();
}

#[test]
fn other_datacenters_take_the_same_key_and_change_it_together() {
    let stage = Stage::new();
    let server = |name: &str, host: u8, datacenter: &str, joins: &[String]| {
        let address = stage.address(host);
        let keys = format!(
            "bind_addr = \"{address}\"\nclient_addr = \"{address}\"\nserver = true\nbootstrap_expect = 1\nretry_interval_wan = \"1s\""
        );
        let node = stage.node_with(name, host, &keys);
        let more = serde_json::json!({"datacenter": datacenter, "retry_join_wan": joins});
        node.write("ryo.d/zz.json", &more.to_string());
        node
    };
    let near = server("n1", 10, "east", &[]);
    let join = [near.address.to_string()];
    let (far, stranger) = (server("n2", 20, "west", &join), server("n3", 30, "south", &join));
    let [old, new] = [KEYS[1], KEYS[2]];
    with_key(&near, old);
    with_key(&far, old);
    with_key(&stranger, new);
    let (_near, _far) = (near.start_and_wait(), far.start_and_wait());
    let mut refused_one = stranger.start_and_wait();
    wait_for_count(&near, "WAN", old, "-list", "2/2");
    near.put_ok("/v1/kv/a?dc=west", "1");
    assert_eq!(far.get("/v1/kv/a?raw").text, "1");
    wait_for_log(&mut refused_one, "its encrypt key is another one than this node's");
    assert_eq!(near.get("/v1/catalog/datacenters").text, r#"["east","west"]"#);

    for (how, key) in [("-install", new), ("-use", new), ("-remove", old)] {
        change(&near, how, key);
        near.put_ok("/v1/kv/a?dc=west", how);
        assert_eq!(far.get("/v1/kv/a?raw&dc=west").text, how);
    }
    // From the second change on the stranger has the key of the others, and is tried again; when is left to it.
    until(LONG, "three datacenters know each other", || {
        let page = near.try_get("/v1/catalog/datacenters")?;
        if page.json().as_array().map(Vec::len) == Some(3) { Ok(()) } else { Err(page.text) }
    });
    for pool in ["WAN", "east (LAN)", "west (LAN)", "south (LAN)"] {
        let all = if pool == "WAN" { "3/3" } else { "1/1" };
        wait_for_count(&near, pool, new, "-list-primary", all);
        wait_for_count(&near, pool, old, "-list", "");
    }
}
