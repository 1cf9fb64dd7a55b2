//! A service that stops and comes back: what the catalog, DNS and those who watch say meanwhile, and that nobody has to
//! touch anything; and a second machine of the same role.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Node, Stage, list, ryo},
};

const PORT: u16 = 8140;
const NAME: &str = "puppetmaster.service.home.consul.";

/// A node of the datacenter `home` with its service, and the check in a file of its own, as configuration management
/// writes them: sorted keys, and numbers without quotes.
fn master(stage: &Stage, name: &str, host: u8) -> Node {
    let node = stage.agent(name, host);
    let service = json!({"service": {"name": "puppetmaster", "port": PORT, "tags": ["puppet"]}});
    let check = json!({"check": {
        "id": "puppetmaster_tcp", "interval": "1s", "name": "puppetmaster_tcp",
        "notes": "Puppetmasters listen on port 8140", "service_id": "puppetmaster",
        "tcp": SocketAddr::new(node.address, PORT).to_string(),
    }});
    node.write("ryo.d/service_puppetmaster.json", &service.to_string());
    node.write("ryo.d/check_puppetmaster_tcp.json", &check.to_string());
    node
}

/// The datacenter of all nodes, by a file that is read last.
fn at_home(nodes: &[&Node]) {
    for node in nodes {
        node.write("ryo.d/zz.json", r#"{"datacenter": "home"}"#);
    }
}

fn listen(node: &Node) -> TcpListener {
    TcpListener::bind((node.address, PORT)).unwrap()
}

/// Waits until everybody's DNS has these machines' records; gives the service as `health` shows it.
fn wait_for_masters(asked: [&Node; 2], names: &[&str]) -> Value {
    let mut wanted: Vec<_> =
        names.iter().map(|name| format!("1 1 {PORT} {name}.node.home.consul.")).collect();
    wanted.sort();
    for node in asked {
        until(LONG, &format!("{} gives {wanted:?}", node.name), || {
            let mut found = node.dns(NAME, RecordType::SRV);
            found.answers.sort();
            let code = if names.is_empty() { ResponseCode::NXDomain } else { ResponseCode::NoError };
            if (found.code, &found.answers) == (code, &wanted) { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }
    asked[0].get("/v1/health/service/puppetmaster").json()
}

/// One check of the first instance.
fn check(found: &Value, id: &str) -> Value {
    let checks = list(&list(found)[0]["Checks"]);
    checks.iter().find(|check| check["CheckID"] == id).unwrap_or_else(|| panic!("{found}")).clone()
}

#[test]
fn a_service_that_stops_leaves_dns_with_the_reason_and_returns_by_itself() {
    let stage = Stage::new();
    let (registry, first) = (stage.registry(), master(&stage, "puppetmaster.example.lan", 11));
    let second = master(&stage, "second.example.lan", 12);
    at_home(&[&registry, &first, &second]);
    let _registry = registry.start_and_wait();
    let _first = first.start_and_wait();
    let everybody = [&registry, &first];
    // Critical until the first check has passed: nothing listens yet.
    wait_for_masters(everybody, &[]);

    let port = listen(&first);
    let up = wait_for_masters(everybody, &["puppetmaster.example.lan"]);
    let service = &list(&up)[0]["Service"];
    assert_eq!(service["Port"], PORT, "{up}");
    assert_eq!((&service["ID"], &service["Tags"]), (&json!("puppetmaster"), &json!(["puppet"])));
    let passing = check(&up, "puppetmaster_tcp");
    let at = SocketAddr::new(first.address, PORT);
    assert_eq!(passing["Output"], format!("TCP connect {at}: Success"));
    assert_eq!(passing["Notes"], "Puppetmasters listen on port 8140");
    assert_eq!((&passing["ServiceID"], &passing["Status"]), (&json!("puppetmaster"), &json!("passing")));

    let stopped = Instant::now();
    drop(port);
    let down = wait_for_masters(everybody, &[]);
    assert!(stopped.elapsed() < Duration::from_secs(5), "out of DNS after {:?}", stopped.elapsed());
    let critical = check(&down, "puppetmaster_tcp");
    assert_eq!(critical["Status"], "critical");
    assert_eq!(critical["Output"], format!("dial tcp {at}: connect: connection refused"));
    assert!(critical["ModifyIndex"].as_u64() > passing["ModifyIndex"].as_u64(), "{critical}");
    assert_eq!(critical["CreateIndex"], passing["CreateIndex"]);
    assert_eq!(check(&down, "serfHealth")["Status"], "passing");

    let _port = listen(&first);
    wait_for_masters(everybody, &["puppetmaster.example.lan"]);
    // A new machine of the same role needs no configuration but its own.
    let _agent = second.start_and_wait();
    let _other = listen(&second);
    wait_for_masters(everybody, &["puppetmaster.example.lan", "second.example.lan"]);
    let address = first.dns("second.example.lan.node.home.consul.", RecordType::A).answers;
    assert_eq!(address, [second.address.to_string()]);
}

/// A program that appends what it is given to a file, a line each time, and that file.
fn handler(stage: &Stage) -> (PathBuf, String) {
    let told = stage.folder().join("told");
    let script = stage.folder().join("handler");
    fs::write(&script, format!("#!/bin/sh\necho \"$(cat)\" >> {}\n", told.display())).unwrap();
    (told, format!("sh {}", script.display()))
}

#[test]
fn the_watch_command_calls_its_handler_when_a_check_turns_critical() {
    let stage = Stage::new();
    let (registry, first) = (stage.registry(), master(&stage, "master", 11));
    at_home(&[&registry, &first]);
    let _registry = registry.start_and_wait();
    let _first = first.start_and_wait();
    let port = listen(&first);
    wait_for_masters([&registry, &first], &["master"]);

    let (told, handler) = handler(&stage);
    let mut command = ryo();
    command.args(["watch", "-type=checks", "-state=critical"]).arg(handler);
    command.env("CONSUL_HTTP_ADDR", first.http().to_string());
    let mut watch = Process::start(&mut command, &stage.folder().join("watch"));
    let mut wait_for = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        until(LONG, what, || {
            watch.must_run();
            let said = fs::read_to_string(&told).unwrap_or_default();
            let last = said.lines().last().map(|line| serde_json::from_str::<Value>(line).unwrap());
            if last.as_ref().is_some_and(fits) { Ok(()) } else { Err(format!("{said}\n{}", watch.log())) }
        });
    };
    wait_for("it is told what there is", &|checks| list(checks).is_empty());
    drop(port);
    wait_for("it is told of the failure", &|checks| {
        let [check] = list(checks) else { return false };
        let refused = check["Output"].as_str().is_some_and(|text| text.contains("connection refused"));
        refused && (&check["CheckID"], &check["Node"]) == (&json!("puppetmaster_tcp"), &json!("master"))
    });
    let _port = listen(&first);
    wait_for("it is told that it is over", &|checks| list(checks).is_empty());
    assert_eq!(watch.stop(Signal::SIGINT), 0);
}

/// An instance that nobody takes out of the catalog is taken out: a minute is the least that anybody may ask for, as in
/// Consul, which looks every half minute.
#[test]
fn an_instance_that_stays_critical_is_removed_in_the_end() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    let instances = [("dies", "10s"), ("stays", "10m")].map(|(id, after)| {
        let listener = TcpListener::bind((web.address, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let check = json!({"TCP": to.to_string(), "Interval": "1s", "DeregisterCriticalServiceAfter": after});
        let body = json!({"ID": id, "Name": "web", "Port": to.port(), "Check": check});
        web.put_ok("/v1/agent/service/register", &body.to_string());
        listener
    });
    registry.wait_for_instances("web?passing", &["dies", "stays"]);
    drop(instances);
    registry.wait_for_instances("web?passing", &[]);
    let critical = Instant::now();
    assert_eq!(registry.instances("web"), ["dies", "stays"], "they are still known");
    until(5 * Duration::from_secs(90), "the instance is removed", || {
        let now = registry.instances("web");
        if now == ["stays"] { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let after = critical.elapsed();
    assert!(after > Duration::from_secs(55), "removed after {after:?}");
    let known = web.get("/v1/agent/services").json();
    assert!(known.get("dies").is_none() && known.get("stays").is_some(), "{known}");
}
