//! What collectors of metrics are sent, and what they and the operator can ask for.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, UdpSocket},
    time::Duration,
};

use crate::{
    ask::{LONG, until},
    stage::{Node, Stage, list},
};

/// The lines of a StatsD listener, without their values.
struct Collector {
    socket: UdpSocket,
    seen: Vec<String>,
}

impl Collector {
    fn bind(stage: &Stage) -> Self {
        let socket = UdpSocket::bind((stage.address(90), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self { socket, seen: Vec::new() }
    }

    fn wait_for(&mut self, names: &[&str]) {
        until(LONG, &format!("{names:?} are sent"), || {
            let mut datagram = [0; 2048];
            // Nothing within the time is no failure: the next try may find something.
            let length = self.socket.recv(&mut datagram).unwrap_or(0);
            assert!(length <= 1400, "a datagram that does not fit a frame");
            let text = std::str::from_utf8(&datagram[..length]).unwrap();
            self.seen.extend(text.lines().map(|line| line.split(':').next().unwrap().to_owned()));
            let missing = names.iter().find(|name| !self.seen.iter().any(|seen| seen == *name));
            missing.map_or(Ok(()), |name| Err(format!("{name} is missing of {:?}", self.seen)))
        });
    }
}

/// Lets a node send its metrics there.
fn send_metrics(node: &Node, setting: &str, to: std::net::SocketAddr) {
    node.write("ryo.d/telemetry.hcl", &format!("telemetry {{\n  {setting} = \"{to}\"\n}}\n"));
}

#[test]
fn statsd_hears_of_requests_leaders_and_nodes_that_fail() {
    let stage = Stage::new();
    let (registry, web) = (stage.registry(), stage.agent("web1", 11));
    let mut collector = Collector::bind(&stage);
    send_metrics(&registry, "statsd_address", collector.socket.local_addr().unwrap());
    let _registry = registry.start_and_wait();
    let agent = web.start_and_wait();
    collector.wait_for(&[
        "consul.rpc.request",
        "consul.leader.reconcile",
        "consul.serf.events.consul_new-leader.lan",
        "consul.serf.member.join.lan",
        "consul.rpc.accept_conn",
    ]);
    assert!(!collector.seen.iter().any(|name| name.starts_with("consul.serf.member.failed")));
    agent.kill();
    collector.wait_for(&["consul.serf.member.failed.lan"]);
}

#[test]
fn statsite_is_sent_lines_over_a_connection() {
    let stage = Stage::new();
    let registry = stage.registry();
    let listener = TcpListener::bind((stage.address(90), 0)).unwrap();
    send_metrics(&registry, "statsite_address", listener.local_addr().unwrap());
    let _registry = registry.start_and_wait();
    let (connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(LONG)).unwrap();
    let mut lines = BufReader::new(connection).lines().map(Result::unwrap);
    let reconcile = lines.find(|line| line.starts_with("consul.leader.reconcile:")).unwrap();
    assert!(reconcile.ends_with("|ms"), "{reconcile}");
    registry.put_ok("/v1/kv/a", "1");
    assert!(lines.any(|line| line.starts_with("consul.api.http.PUT.v1_kv_:")));
}

#[test]
fn config_entries_and_events_are_counted() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    let entry = r#"{"Kind": "service-defaults", "Name": "web", "Protocol": "http"}"#;
    registry.put_ok("/v1/config", entry);
    registry.put_ok("/v1/event/fire/deploy", "");
    until(LONG, "they are counted", || {
        let report = registry.get("/v1/agent/metrics").json();
        let names = |part: &str| -> Vec<String> {
            let name = |row: &serde_json::Value| row["Name"].as_str().unwrap().to_owned();
            list(&report[part]).iter().map(name).collect()
        };
        let samples = names("Samples");
        let found = names("Counters").contains(&"consul.serf.events.consul:event:deploy".to_owned())
            && samples.contains(&"consul.config_entry.apply".to_owned())
            && samples.contains(&"consul.fsm.config_entry.service-defaults".to_owned())
            && samples.contains(&"consul.raft.leader.dispatchLog".to_owned());
        if found { Ok(()) } else { Err(report.to_string()) }
    });
}

#[test]
fn request_limits_refuse_what_is_too_much_and_take_transactions_for_what_they_do() {
    let stage = Stage::new();
    let registry = stage.registry();
    // One write a second, and ten at once; any number of reads.
    let rates = "mode = \"enforcing\"\n    read_rate = -1\n    write_rate = 1";
    registry.write("ryo.d/limits.hcl", &format!("limits {{\n  request_limits {{\n    {rates}\n  }}\n}}\n"));
    let _registry = registry.start_and_wait();
    let write = |number| registry.put(&format!("/v1/kv/{number}"), "1").status;
    let statuses: Vec<u16> = (0..100).map(write).collect();
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    let reads = r#"[{"KV": {"Verb": "get", "Key": "0"}}]"#;
    let read = |_| registry.put("/v1/txn", reads).status;
    assert_eq!((0..30).map(read).collect::<Vec<u16>>(), vec![200; 30]);
    let writes = r#"[{"KV": {"Verb": "set", "Key": "a", "Value": "MQ=="}}]"#;
    let refused = (0..100).map(|_| registry.put("/v1/txn", writes)).find(|page| page.status != 200).unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.text.starts_with("rate limit exceeded for operation"), "{refused:?}");
    assert_eq!(registry.get("/v1/kv/0?raw").text, "1");
}
