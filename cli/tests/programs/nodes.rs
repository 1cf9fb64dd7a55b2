//! Nodes: how they start in any order, leave, die, come back and are replaced.

use std::time::{Duration, Instant};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, Page, http, pause, until},
    process::Process,
    stage::{Node, Stage, list},
};

#[test]
fn a_registry_on_an_empty_folder_leads_and_keeps_what_it_is_given() {
    let stage = Stage::new();
    let registry = stage.registry();
    let start = Instant::now();
    let process = registry.start();
    until(Duration::from_secs(5), "a write is acknowledged", || {
        let page = crate::ask::http(registry.http(), "PUT", "/v1/kv/first", b"1")?;
        if (page.status, page.text.as_str()) == (200, "true") { Ok(()) } else { Err(format!("{page:?}")) }
    });
    println!("the first write was acknowledged after {:?}", start.elapsed());
    let leader = registry.get("/v1/status/leader").json();
    assert_eq!(leader, format!("{}:8300", registry.address));
    process.kill();
    let _again = registry.start_and_wait();
    assert_eq!(registry.get("/v1/kv/first?raw").text, "1");
}

#[test]
fn an_agent_started_first_waits_for_the_name_and_then_joins() {
    let stage = Stage::new();
    let registry = stage.registry();
    // A name that this machine resolves, and where nobody listens yet.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    registry.write(
        "ryo.d/join.hcl",
        &format!("serf_lan = \"127.0.0.1\"\nports {{\n  serf_lan = {}\n}}\n", free.port()),
    );
    let agent = stage.agent("web1", 11);
    let file = std::fs::read_to_string(agent.folder.join("ryo.d/ryo.hcl")).unwrap();
    let by_name = format!("\"localhost:{}\"", free.port());
    agent.write("ryo.d/ryo.hcl", &file.replace(&format!("\"{}\"", stage.address(10)), &by_name));

    let mut waiting = agent.start();
    pause(Duration::from_secs(5));
    waiting.must_run();
    assert!(waiting.log().contains("Join"), "it says nothing about the join:\n{}", waiting.log());
    let tries = waiting.log().lines().filter(|line| line.contains("Join")).count();
    assert!(tries < 5, "a line for each try:\n{}", waiting.log());

    let _registry = registry.start_and_wait();
    let start = Instant::now();
    agent.wait_for_registry(&mut waiting);
    // One retry interval (1 s) and one second more are expected.
    assert!(start.elapsed() < Duration::from_secs(10), "joined after {:?}", start.elapsed());
    registry.wait_for_instances("consul?passing", &["consul"]);
    let (code, members) = registry.ryo(&["members"]);
    assert!(code == 0 && members.contains("web1") && members.contains("alive"), "{members}");
}

#[test]
fn an_agent_tells_others_where_the_registry_is() {
    let stage = Stage::new();
    let (registry, first, second) = (stage.registry(), stage.agent("web1", 11), stage.agent("web2", 12));
    let file = std::fs::read_to_string(second.folder.join("ryo.d/ryo.hcl")).unwrap();
    // Of several join addresses one that answers is enough: nobody is at the first.
    let through = format!("\"{}\", \"{}\"", stage.address(99), first.address);
    second.write("ryo.d/ryo.hcl", &file.replace(&format!("\"{}\"", registry.address), &through));

    let mut newcomer = second.start();
    let mut known = first.start();
    pause(Duration::from_secs(2));
    // Neither knows a registry yet, and says so to the other.
    newcomer.must_run();
    known.must_run();
    let _registry = registry.start_and_wait();
    second.wait_for_registry(&mut newcomer);
    alive(&registry, &["registry", "web1", "web2"]);
}

/// What must outlive a registry, and its index.
fn everything(node: &Node) -> Result<(Vec<String>, u64), String> {
    let paths = ["/v1/kv/?recurse", "/v1/catalog/nodes", "/v1/health/service/web?passing"];
    let pages = paths.map(|path| node.try_get(path)).into_iter().collect::<Result<Vec<Page>, _>>()?;
    let index = pages.iter().map(|page| page.index).max().unwrap_or(0);
    Ok((pages.into_iter().map(|page| page.text).collect(), index))
}

#[test]
fn a_registry_replaced_on_its_folder_has_everything_and_its_agents_return() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    web.write("ryo.d/web.hcl", "service {\n  name = \"web\"\n  port = 80\n}\n");
    let mut process = registry.start_and_wait();
    let mut agent = web.start_and_wait();
    for n in 0..20 {
        registry.put_ok(&format!("/v1/kv/app/{n}"), &format!("value {n}"));
    }
    registry.wait_for_instances("web?passing", &["web"]);
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let (before, index) = everything(&registry).unwrap();
        if end == Signal::SIGKILL {
            process.kill();
        } else {
            process.stop(end);
        }
        agent.must_run();
        process = registry.start_and_wait();
        let now = until(LONG, "keys, nodes and services are back", || {
            let (now, now_index) = everything(&registry)?;
            if now == before { Ok(now_index) } else { Err(format!("before: {before:?}\nnow: {now:?}")) }
        });
        assert!(now >= index, "the index went from {index} to {now} after {end}");
        alive(&registry, &["registry", "web1"]);
        // A write through the agent proves that it is attached again.
        until(LONG, "the agent hands writes on again", || match web.put("/v1/kv/after", end.as_str()) {
            Page { status: 200, .. } => Ok(()),
            page => Err(format!("{page:?}")),
        });
        assert_eq!(registry.get("/v1/kv/after?raw").text, end.as_str());
    }
    agent.must_run();
}

#[test]
fn writes_through_an_agent_wait_while_the_registry_restarts() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let mut process = registry.start_and_wait();
    let _agent = web.start_and_wait();
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        if end == Signal::SIGKILL {
            process.kill();
        } else {
            process.stop(end);
        }
        // The end of the old connection reaches the agent.
        pause(Duration::from_millis(300));
        let agent = web.http();
        let writing = std::thread::spawn(move || http(agent, "PUT", "/v1/kv/held?cas=0", b"x"));
        process = registry.start_and_wait();
        let page = writing.join().unwrap().unwrap();
        assert_eq!((page.status, page.text.as_str()), (200, "true"), "{end}");
        registry.put_ok("/v1/txn", r#"[{"KV":{"Verb":"delete","Key":"held"}}]"#);
    }
}

/// Waits until these nodes are alive, by the members and by their `serfHealth`.
fn alive(registry: &Node, names: &[&str]) {
    until(LONG, &format!("{names:?} are alive"), || {
        let page = registry.try_get("/v1/agent/members")?;
        let members = page.json();
        let alive: Vec<_> = list(&members).iter().filter(|member| member["Status"] == 1).collect();
        let all = names.iter().all(|name| alive.iter().any(|member| member["Name"] == *name));
        let health = registry.try_get("/v1/health/state/critical")?;
        if all && health.text.trim() == "[]" { Ok(()) } else { Err(page.text + &health.text) }
    });
}

#[test]
fn leaving_takes_an_agent_out_at_once_and_a_sole_registry_comes_back() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    web.write("ryo.d/web.hcl", "service {\n  name = \"web\"\n  port = 80\n}\n");
    let process = registry.start_and_wait();
    let agent = web.start_and_wait();
    registry.wait_for_instances("web?passing", &["web"]);
    registry.put_ok("/v1/kv/kept", "yes");

    let (code, said) = web.ryo(&["leave"]);
    assert_eq!((code, said.trim()), (0, "Graceful leave complete"));
    assert_eq!(registry.get("/v1/catalog/node/web1").text.trim(), "null");
    assert_eq!(registry.instances("web"), Vec::<String>::new());
    for name in ["web.service.consul.", "web1.node.consul."] {
        assert_eq!(registry.dns(name, RecordType::A).code, ResponseCode::NXDomain, "{name}");
    }
    assert_eq!(agent.ended(), 0);
    pause(Duration::from_secs(2));
    assert_eq!(registry.get("/v1/catalog/node/web1").text.trim(), "null", "the node came back as a ghost");

    let (code, said) = registry.ryo(&["leave"]);
    assert_eq!((code, said.trim()), (0, "Graceful leave complete"));
    assert_eq!(process.ended(), 0);
    let _again = registry.start_and_wait();
    assert_eq!(registry.get("/v1/kv/kept?raw").text, "yes");
    registry.put_ok("/v1/kv/kept", "still");
    registry.wait_for_instances("consul?passing", &["consul"]);
}

#[test]
fn an_agent_that_leaves_while_it_registers_leaves_nothing_behind() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let service =
        |n: u32| format!("services {{\n id = \"s{n}\"\n name = \"web\"\n port = {}\n}}\n", 1000 + n);
    web.write("ryo.d/services.hcl", &(0..100).map(service).collect::<String>());
    let _registry = registry.start_and_wait();
    for _ in 0..5 {
        let agent = web.start_and_wait();
        assert_eq!(agent.stop(Signal::SIGTERM), 0);
        for path in ["/v1/catalog/node/web1", "/v1/catalog/service/web"] {
            let page = registry.get(path);
            assert!(["null", "[]"].contains(&page.text.trim()), "{path}: {page:?}");
        }
    }
}

#[test]
fn a_container_of_the_same_name_takes_over_and_leaves_no_ghost() {
    let stage = Stage::new();
    let (registry, asker) = (stage.registry(), stage.agent("proxy", 20));
    let containers = [stage.agent("web1", 11), stage.agent("web1", 12)];
    for container in &containers {
        container.write("ryo.d/web.hcl", "service {\n  name = \"web\"\n  port = 80\n}\n");
    }
    let _registry = registry.start_and_wait();
    let _asker = asker.start_and_wait();
    let first: Process = containers[0].start_and_wait();
    registry.wait_for_instances("web?passing", &["web"]);
    let [old, new] = containers.each_ref().map(|container| container.address.to_string());
    let old_id = node_id(&registry);

    first.kill();
    let mut second = containers[1].start();
    let start = Instant::now();
    until(Duration::from_secs(10), "DNS gives the new address only", || {
        second.must_run();
        let found = asker.dns("web.service.consul.", RecordType::A).answers;
        if found == [new.clone()] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    println!("DNS gave the new address after {:?}", start.elapsed());
    // Longer than a lease: the old one's end must not bring anything back.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(6) {
        for name in ["web.service.consul.", "web1.node.consul."] {
            for node in [&registry, &asker] {
                assert_eq!(
                    node.dns(name, RecordType::A).answers,
                    std::slice::from_ref(&new),
                    "{name} once was {old}"
                );
            }
        }
        pause(Duration::from_millis(50));
    }
    assert_ne!(node_id(&registry), old_id, "the node kept the old container's id");
    let nodes = registry.get("/v1/catalog/nodes");
    assert!(!nodes.text.contains(&old) && list(&nodes.json()).len() == 3, "{}", nodes.text);
    alive(&registry, &["registry", "proxy", "web1"]);
}

fn node_id(registry: &Node) -> String {
    registry.get("/v1/catalog/node/web1").json()["Node"]["ID"].as_str().unwrap().to_owned()
}
