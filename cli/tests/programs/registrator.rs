//! Containers registered from outside, call by call as registrator does it.

use hickory_proto::{op::ResponseCode, rr::RecordType};
use serde_json::{Value, json};

use crate::{
    ask::{LONG, until},
    stage::{Node, Stage},
};

/// A published port of a container: its service's id, name, port and tags.
fn publish(host: &Node, id: &str, name: &str, port: u16, tags: &[&str]) {
    let body = json!({
        "ID": id, "Name": name, "Port": port, "Tags": tags, "Address": "172.17.0.104", "Check": {}, "Meta": {},
    });
    host.put_ok("/v1/agent/service/register", &body.to_string());
}

#[test]
fn containers_come_with_their_ports_and_go_by_an_id_with_colons() {
    let stage = Stage::new();
    let (registry, host) = (stage.registry(), stage.agent("host1", 11));
    let _registry = registry.start_and_wait();
    let _agent = host.start_and_wait();
    assert_eq!(host.get("/v1/status/leader").json(), format!("{}:8300", registry.address));
    publish(&host, "host1:consul:53:udp", "consul-53", 53, &["udp"]);
    for (container, port) in [("consul", 8400), ("consul", 8500), ("nginx", 443), ("nginx", 80)] {
        publish(&host, &format!("host1:{container}:{port}"), &format!("{container}-{port}"), port, &[]);
    }
    let all =
        r#"{"consul":[],"consul-53":["udp"],"consul-8400":[],"consul-8500":[],"nginx-443":[],"nginx-80":[]}"#;
    let becomes = |expected: &str| {
        until(LONG, "the catalog has what runs", || match registry.get("/v1/catalog/services").text {
            text if text == expected => Ok(()),
            text => Err(text),
        });
    };
    becomes(all);
    assert_eq!(host.get("/v1/catalog/services").text, all);
    let known = host.get("/v1/agent/services").json();
    assert_eq!(known["host1:consul:53:udp"]["Tags"], json!(["udp"]));
    assert_eq!(known.as_object().map(serde_json::Map::len), Some(5), "{known}");

    for node in [&registry, &host] {
        let lines = node.dns("nginx-80.service.consul.", RecordType::A).lines;
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(words, ["nginx-80.service.consul.", "0", "IN", "A", "172.17.0.104"]);
    }
    host.put_ok("/v1/agent/service/deregister/host1:nginx:80", "");
    until(LONG, "the name is gone", || match host.dns("nginx-80.service.consul.", RecordType::A).code {
        ResponseCode::NXDomain => Ok(()),
        code => Err(code.to_string()),
    });
    becomes(&all.replace(r#","nginx-80":[]"#, ""));
    host.put_ok("/v1/agent/service/deregister/host1:consul:53:udp", "");
    becomes(r#"{"consul":[],"consul-8400":[],"consul-8500":[],"nginx-443":[]}"#);
    assert_eq!(host.get("/v1/agent/services").json()["host1:consul:53:udp"], Value::Null);
}
