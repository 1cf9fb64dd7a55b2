//! Services: from a file to the catalog and DNS, by version and health, and what follows a change.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    ask::{LONG, http, pause, until},
    stage::{Stage, list, run, ryo},
};

/// A service file as project templates write it: a name, a tag and a port.
const SKELETON: &str = "## Modify for this component's purpose\n\
                        service {\n  name = \"p-TEMPLATE\"\n  tags = [ \"TEMPLATE\" ]\n  port = 80\n}\n";

#[test]
fn a_service_file_beside_the_agents_is_valid_and_two_services_in_one_block_form_are_not() {
    let stage = Stage::new();
    let node = stage.agent("web1", 11);
    let validate = |folder| run(ryo().args(["validate"]).arg(folder));
    node.write("ryo.d/service.hcl", SKELETON);
    let (code, said) = validate(node.folder.join("ryo.d"));
    assert_eq!((code, said.lines().last()), (0, Some("Configuration is valid!")), "{said}");

    node.write("ryo.d/service.hcl", &SKELETON.repeat(2));
    let (code, said) = validate(node.folder.join("ryo.d"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("service.hcl") && said.contains("service"), "{said}");
}

#[test]
fn files_become_services_and_go_with_them() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    web.write("ryo.d/template.hcl", SKELETON);
    let _registry = registry.start_and_wait();
    let agent = web.start_and_wait();
    registry.wait_for_instances("p-TEMPLATE?passing", &["p-TEMPLATE"]);

    let found = registry.get("/v1/catalog/service/p-TEMPLATE").json();
    let service = &list(&found)[0];
    let fields = ["ServiceID", "ServiceName", "ServiceAddress", "Address"].map(|name| &service[name]);
    assert_eq!(fields, ["p-TEMPLATE", "p-TEMPLATE", "", &web.address.to_string()]);
    assert_eq!(service["ServicePort"], 80);
    assert_eq!(service["ServiceTags"], serde_json::json!(["TEMPLATE"]));
    for node in [&registry, &web] {
        let records = node.dns("_p-TEMPLATE._tcp.service.consul.", RecordType::SRV);
        assert_eq!(records.answers, ["1 1 80 web1.node.dc1.consul."]);
        assert_eq!(records.additionals, [web.address.to_string()]);
    }

    let first = service["ModifyIndex"].clone();
    let second = web.write("ryo.d/second.hcl", "service {\n  name = \"second\"\n  port = 81\n}\n");
    let start = Instant::now();
    agent.signal(Signal::SIGHUP);
    registry.wait_for_instances("second?passing", &["second"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?} after SIGHUP", start.elapsed());
    let untouched = registry.get("/v1/catalog/service/p-TEMPLATE").json();
    assert_eq!(list(&untouched)[0]["ModifyIndex"], first, "the first service was written again");

    fs::remove_file(second).unwrap();
    let (code, said) = web.ryo(&["reload"]);
    assert_eq!((code, said.trim()), (0, "Configuration reload triggered"));
    registry.wait_for_instances("second", &[]);
    assert_eq!(registry.dns("second.service.consul.", RecordType::A).code, ResponseCode::NXDomain);
    assert_eq!(registry.instances("p-TEMPLATE?passing"), ["p-TEMPLATE"]);
}

#[test]
fn one_question_finds_the_healthy_instances_of_a_version() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    let instance = |id: &str, host: u8, tag: &str| {
        let (address, check) = (stage.address(host), format!(r#"{{"CheckID":"{id}-up","TTL":"1h"}}"#));
        let body = format!(
            r#"{{"ID":"{id}","Name":"A","Port":80,"Address":"{address}","Tags":["{tag}","foo=bar"],"Check":{check}}}"#
        );
        web.put_ok("/v1/agent/service/register", &body);
        web.put_ok(&format!("/v1/agent/check/pass/{id}-up"), "");
    };
    instance("old-1", 101, "v3");
    instance("old-2", 102, "v3");
    instance("new", 103, "v4");
    web.put_ok("/v1/agent/check/fail/old-2-up", "");
    registry.wait_for_instances("A?passing", &["new", "old-1"]);

    for node in [&registry, &web] {
        assert_eq!(node.instances("A?passing&tag=v3"), ["old-1"]);
        let records = node.dns("v3.A.service.consul.", RecordType::A);
        assert_eq!(records.answers, [stage.address(101).to_string()]);
        assert_eq!(node.instances("A?passing&tag=v4"), ["new"]);
    }
    web.put_ok("/v1/agent/check/fail/new-up", "");
    registry.wait_for_instances("A?passing&tag=v4", &[]);
    for node in [&registry, &web] {
        let page = node.get("/v1/health/service/A?passing&tag=v4");
        assert_eq!((page.status, page.text.trim()), (200, "[]"));
        let records = node.dns("v4.A.service.consul.", RecordType::A);
        assert_eq!((records.code, records.answers.len()), (ResponseCode::NXDomain, 0));
    }
    let tags = &registry.get("/v1/catalog/services").json()["A"];
    assert!(list(tags).contains(&Value::from("foo=bar")), "{tags}");
}

/// That it is removed in the end takes a minute at least, and is a test of the agent's in simulated time.
#[test]
fn an_instance_that_dies_unannounced_is_critical_within_an_interval() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let _registry = registry.start_and_wait();
    let _agent = web.start_and_wait();
    let instance = TcpListener::bind((web.address, 0)).unwrap();
    let to = instance.local_addr().unwrap();
    let check =
        format!(r#"{{"TCP":"{to}","Interval":"1s","Timeout":"1s","DeregisterCriticalServiceAfter":"1m"}}"#);
    let body = format!(r#"{{"Name":"web","Port":{},"Check":{check}}}"#, to.port());
    web.put_ok("/v1/agent/service/register", &body);
    registry.wait_for_instances("web?passing", &["web"]);

    let start = Instant::now();
    drop(instance);
    registry.wait_for_instances("web?passing", &[]);
    assert!(start.elapsed() < Duration::from_secs(5), "critical after {:?}", start.elapsed());
    let checks = registry.get("/v1/health/checks/web").json();
    let output = list(&checks)[0]["Output"].as_str().unwrap();
    assert!(output.contains("connection refused"), "{output}");
    assert_eq!(registry.instances("web"), ["web"], "it is still known");
    assert_eq!(registry.dns("web.service.consul.", RecordType::A).code, ResponseCode::NXDomain);
    let _again = TcpListener::bind(to).unwrap();
    registry.wait_for_instances("web?passing", &["web"]);
}

#[test]
fn a_switched_feature_wakes_its_readers_at_once() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    let absent = registry.get("/v1/kv/feature/x");
    assert_eq!(absent.status, 404);
    // The best of several is the program's time; the others are a busy machine's. How long it is, the bench measures.
    let mut best = LONG;
    let mut index = absent.index;
    for value in ["true", "false", "true", "false", "true"] {
        let (to, path) = (registry.http(), format!("/v1/kv/feature/x?wait=60s&index={index}"));
        let reader = std::thread::spawn(move || (http(to, "GET", &path, b"").unwrap(), Instant::now()));
        pause(Duration::from_millis(200));
        assert!(!reader.is_finished(), "it did not wait");
        let start = Instant::now();
        assert_eq!(registry.put("/v1/kv/feature/x", value).text, "true");
        let (page, woken) = reader.join().unwrap();
        best = best.min(woken.saturating_duration_since(start));
        assert!(page.index > index, "{page:?}");
        index = page.index;
        assert_eq!(registry.get("/v1/kv/feature/x?raw").text, value);
    }
    assert!(best < Duration::from_secs(1), "the reader was woken after {best:?} at best");
}

#[test]
fn scaling_up_and_down_is_followed_by_everyone() {
    let stage = Stage::new();
    let (registry, host) = (stage.registry(), stage.agent("docker1", 11));
    let _registry = registry.start_and_wait();
    let _agent = host.start_and_wait();
    let names: Vec<String> = (0..10).map(|n| format!("web-{n}")).collect();
    let scale = |from: usize, to: usize| {
        for n in from..to {
            let address = stage.address(100 + n as u8);
            let body = format!(
                r#"{{"ID":"web-{n}","Name":"web","Port":5000,"Address":"{address}","Tags":["foo=bar","baz"]}}"#
            );
            host.put_ok("/v1/agent/service/register", &body);
        }
        for n in to..from {
            host.put_ok(&format!("/v1/agent/service/deregister/web-{n}"), "");
        }
    };
    for (from, to) in [(0, 3), (3, 10), (10, 3)] {
        // A reader that waits for each change, as client libraries do.
        let reader = registry.http();
        let first = registry.get("/v1/health/service/web").index;
        let follow = std::thread::spawn(move || {
            let mut index = first;
            loop {
                let path = format!("/v1/health/service/web?index={index}&wait=30s");
                let page = http(reader, "GET", &path, b"").unwrap();
                assert!(page.index >= index, "the index ran backwards");
                index = page.index;
                if list(&page.json()).len() == to {
                    return Instant::now();
                }
            }
        });
        scale(from, to);
        let scaled = Instant::now();
        let expected: Vec<&str> = names[..to].iter().map(String::as_str).collect();
        registry.wait_for_instances("web?passing&tag=foo=bar", &expected);
        until(LONG, "DNS follows", || {
            let found = host.dns("web.service.consul.", RecordType::SRV).answers.len();
            if found == to { Ok(()) } else { Err(format!("{found} instances")) }
        });
        let mut found = host.dns("baz.web.service.consul.", RecordType::A).answers;
        found.sort();
        let mut addresses: Vec<_> = (0..to).map(|n| stage.address(100 + n as u8).to_string()).collect();
        addresses.sort();
        assert_eq!(found, addresses);
        let late = follow.join().unwrap().saturating_duration_since(scaled);
        // A second is the goal.
        assert!(late < Duration::from_secs(5), "the reader knew {late:?} after the last call");
    }
}
