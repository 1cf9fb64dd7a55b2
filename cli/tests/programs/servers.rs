//! Several servers as users run them: found by join, one killed, replaced, added to a lone one, and leaving.

use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, http, pause, until},
    process::Process,
    stage::{Node, Stage, list},
};

/// A server's node; `keys` say whom it expects and joins.
fn server(stage: &Stage, host: u8, keys: &str) -> Node {
    let address = stage.address(host);
    let keys = format!("bind_addr = \"{address}\"\nclient_addr = \"{address}\"\nserver = true\n{keys}");
    stage.node_with(&format!("s{host}"), host, &keys)
}

fn joining(stage: &Stage, host: u8) -> Node {
    server(stage, host, &format!("retry_join = [\"{}\"]", stage.address(1)))
}

/// Who leads, as a node says.
fn leader(node: &Node) -> Result<String, String> {
    let page = node.try_get("/v1/status/leader")?;
    match page.json().as_str() {
        Some(leader) if !leader.is_empty() => Ok(leader.trim_end_matches(":8300").to_owned()),
        _ => Err(format!("{page:?}")),
    }
}

fn wait_for_leader(nodes: &[&Node]) -> String {
    let mut found = String::new();
    until(LONG, "all name one leader", || {
        let named: Vec<_> = nodes.iter().map(|node| leader(node)).collect::<Result<_, _>>()?;
        found.clone_from(&named[0]);
        if named.iter().all(|name| *name == found) { Ok(()) } else { Err(format!("{named:?}")) }
    });
    found
}

fn wait_for_voters(node: &Node, count: usize) {
    until(LONG, &format!("{count} servers vote"), || {
        let page = node.try_get("/v1/operator/raft/configuration")?;
        if page.status != 200 {
            return Err(format!("{page:?}"));
        }
        let servers = page.json()["Servers"].clone();
        let voters = list(&servers).iter().filter(|server| server["Voter"] == true).count();
        if voters == count && list(&servers).len() == count { Ok(()) } else { Err(page.text) }
    });
}

fn write(node: &Node, key: &str, value: &str) {
    until(LONG, "a write is acknowledged", || {
        let page = http(node.http(), "PUT", &format!("/v1/kv/{key}"), value.as_bytes())?;
        if (page.status, &*page.text) == (200, "true") { Ok(()) } else { Err(format!("{page:?}")) }
    });
}

fn wait_for_key(node: &Node, key: &str, value: &str) {
    until(LONG, &format!("{} has {key}", node.name), || {
        let page = node.try_get(&format!("/v1/kv/{key}?raw&stale"))?;
        if page.text == value { Ok(()) } else { Err(format!("{page:?}")) }
    });
}

/// How `members` shows a node.
fn status(node: &Node, of: &str) -> String {
    let (code, members) = node.ryo(&["members"]);
    assert_eq!(code, 0, "{members}");
    let line = members.lines().find(|line| line.starts_with(&format!("{of} "))).unwrap_or_default();
    line.split_whitespace().nth(2).unwrap_or_default().to_owned()
}

fn wait_for_status(node: &Node, of: &str, wanted: &[&str]) {
    until(LONG, &format!("{of} is {wanted:?}"), || {
        let status = status(node, of);
        if wanted.contains(&&*status) { Ok(()) } else { Err(status) }
    });
}

#[test]
fn one_expects_three_and_two_join_it_and_each_answers_without_the_leader() {
    let stage = Stage::new();
    let first = server(&stage, 1, "bootstrap_expect = 3");
    let (second, third) = (joining(&stage, 2), joining(&stage, 3));
    let mut running = vec![first.start(), second.start()];
    pause(Duration::from_secs(3));
    assert_eq!(first.get("/v1/status/leader").text, "\"\"", "two of three are too few");
    assert!(running[0].log().contains("too few servers"), "{}", running[0].log());
    running.push(third.start());
    let nodes = [&first, &second, &third];
    let start = Instant::now();
    let led = wait_for_leader(&nodes);
    println!("a leader {:?} after the third server", start.elapsed());
    wait_for_voters(&third, 3);
    second.wait_for_instances("consul?passing", &["consul"; 3]);
    write(&second, "a", "1");
    for node in nodes {
        assert_eq!(node.get("/v1/kv/a?raw").text, "1");
        assert_eq!(node.dns("consul.service.consul", RecordType::SRV).answers.len(), 3);
    }

    let at = nodes.iter().position(|node| node.address.to_string() == led).unwrap();
    let (dead, others) = (nodes[at], [nodes[(at + 1) % 3], nodes[(at + 2) % 3]]);
    running.remove(at).kill();
    let start = Instant::now();
    write(others[0], "b", "2");
    let took = start.elapsed();
    println!("the first write {took:?} after the leader was killed");
    assert!(took < Duration::from_millis(7500), "{took:?}");
    wait_for_leader(&others);
    wait_for_status(others[1], &dead.name, &["failed", "left"]);
    until(LONG, "DNS names two", || {
        let found = others[1].dns("consul.service.consul", RecordType::SRV).answers.len();
        if found == 2 { Ok(()) } else { Err(found.to_string()) }
    });

    let _back = dead.start();
    wait_for_key(dead, "b", "2");
    wait_for_status(others[0], &dead.name, &["alive"]);
    wait_for_voters(others[0], 3);
}

#[test]
fn servers_that_nobody_named_wait_until_one_is_told_of_all() {
    let stage = Stage::new();
    let nodes = [1, 2, 3].map(|host| server(&stage, host, "bootstrap_expect = 3"));
    let running: Vec<Process> = nodes.iter().map(Node::start).collect();
    until(LONG, "each knows nobody", || {
        let alone = running.iter().all(|process| process.log().contains("no known peers"));
        if alone { Ok(()) } else { Err(running[0].log()) }
    });
    let addresses: Vec<_> = nodes.iter().map(|node| node.address.to_string()).collect();
    let words: Vec<_> = ["join"].into_iter().chain(addresses.iter().map(String::as_str)).collect();
    let (code, said) = nodes[0].ryo(&words);
    assert_eq!((code, said.trim()), (0, "Successfully joined cluster by contacting 3 nodes."));
    wait_for_leader(&nodes.each_ref());
    let acquired = running.iter().filter(|process| process.log().contains("cluster leadership acquired"));
    assert_eq!(acquired.count(), 1);
}

#[test]
fn a_lone_server_gets_two_more_while_it_serves_and_is_alone_again_in_the_end() {
    let stage = Stage::new();
    let first = server(&stage, 1, "bootstrap_expect = 1");
    let agent = stage.node_with(
        "web1",
        11,
        &format!(
            "bind_addr = \"{0}\"\nclient_addr = \"{0}\"\nretry_join = [\"{1}\"]",
            stage.address(11),
            stage.address(1)
        ),
    );
    let mut alone = first.start_and_wait();
    let _agent = agent.start_and_wait();
    write(&agent, "old", "1");
    let (second, third) = (joining(&stage, 2), joining(&stage, 3));
    let second_runs = second.start();
    let third_runs = third.start();
    wait_for_key(&third, "old", "1");
    wait_for_voters(&first, 3);
    alone.must_run();

    // The agent knows all of them by now, and goes on without the one it joined.
    until(LONG, "the agent knows three servers", || {
        let known = agent.get("/v1/agent/self").json()["Stats"]["consul"]["known_servers"].clone();
        if known == "3" { Ok(()) } else { Err(known.to_string()) }
    });
    pause(Duration::from_secs(2));
    let start = Instant::now();
    let read = "/v1/kv/old?raw";
    alone.kill();
    assert_eq!(agent.get(read).text, "1");
    println!("an agent read {:?} after its server was killed", start.elapsed());
    write(&agent, "new", "2");
    let alone = first.start();
    wait_for_key(&first, "new", "2");
    wait_for_voters(&second, 3);

    // Down to one again, each leaving in order.
    for (node, process, left) in [(&third, third_runs, 2), (&second, second_runs, 1)] {
        let (code, said) = node.ryo(&["leave"]);
        assert_eq!((code, said.trim()), (0, "Graceful leave complete"));
        assert_eq!(process.ended(), 0);
        wait_for_voters(&first, left);
        wait_for_status(&first, &node.name, &["left"]);
    }
    write(&first, "last", "3");
    drop(alone);
    let _again = first.start_and_wait();
    assert_eq!(first.get("/v1/kv/new?raw").text, "2");
    assert_eq!(first.get("/v1/kv/last?raw").text, "3");
}

#[test]
fn a_server_with_an_empty_disk_takes_the_place_of_the_old_one() {
    let stage = Stage::new();
    let nodes = [1, 2, 3].map(|host| {
        server(&stage, host, &format!("bootstrap_expect = 3\nretry_join = [\"{}\"]", stage.address(1)))
    });
    let mut running: Vec<Process> = nodes.iter().map(Node::start).collect();
    wait_for_leader(&nodes.each_ref());
    wait_for_voters(&nodes[0], 3);
    write(&nodes[0], "a", "1");
    let last = running.pop().unwrap();
    last.stop(Signal::SIGKILL);
    std::fs::remove_dir_all(nodes[2].data()).unwrap();
    running.push(nodes[2].start());
    wait_for_key(&nodes[2], "a", "1");
    wait_for_voters(&nodes[0], 3);
    let (code, peers) = nodes[1].ryo(&["operator", "raft", "list-peers"]);
    assert!(code == 0 && peers.lines().count() == 4, "{peers}");
    let (code, said) = nodes[1].ryo(&["operator", "raft", "transfer-leader"]);
    assert_eq!((code, said.trim()), (0, "Success"));
    wait_for_leader(&nodes.each_ref());
    write(&nodes[2], "b", "2");
}

#[test]
fn who_finds_nobody_in_so_many_attempts_ends() {
    let stage = Stage::new();
    let nobody = stage.address(99);
    let keys = format!("retry_join = [\"{nobody}\"]\nretry_interval = \"100ms\"\nretry_max = 2");
    let server = server(&stage, 1, &format!("bootstrap_expect = 3\n{keys}"));
    let address = stage.address(2);
    let agent = stage.node_with(
        "web1",
        2,
        &format!("bind_addr = \"{address}\"\nclient_addr = \"{address}\"\n{keys}"),
    );
    for node in [server, agent] {
        let process = node.start();
        assert_eq!(process.ended(), 1, "{}", node.name);
    }
}
