//! Several datacenters: their servers find each other, any of them answers for any other, and one that is away costs the others
//! nothing.

use std::time::{Duration, Instant};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    ask::{self, LONG, until},
    process::Process,
    stage::{Node, Stage, list},
};

/// A server of a datacenter of its own that joins these.
fn server(stage: &Stage, name: &str, host: u8, datacenter: &str, joins: &[&Node]) -> Node {
    let address = stage.address(host);
    let keys = format!(
        "bind_addr = \"{address}\"\nclient_addr = \"{address}\"\nserver = true\nbootstrap_expect = 1\nretry_interval_wan = \"1s\"\ndisable_remote_exec = false"
    );
    let node = stage.node_with(name, host, &keys);
    let joins: Vec<_> = joins.iter().map(|node| node.address.to_string()).collect();
    node.write("ryo.d/zz.json", &json!({"datacenter": datacenter, "retry_join_wan": joins}).to_string());
    node
}

fn wait_for_datacenters(node: &Node, names: &[&str]) {
    until(LONG, &format!("{} knows the datacenters {names:?}", node.name), || {
        let page = node.try_get("/v1/catalog/datacenters")?;
        if page.json() == json!(names) { Ok(()) } else { Err(page.text) }
    });
}

fn members(node: &Node) -> Vec<(String, u64)> {
    let found = node.get("/v1/agent/members?wan=1").json();
    let one =
        |member: &Value| (member["Name"].as_str().unwrap().to_owned(), member["Status"].as_u64().unwrap());
    list(&found).iter().map(one).collect()
}

fn wait_for_members(node: &Node, wanted: &[(&str, u64)]) {
    let wanted: Vec<_> = wanted.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect();
    until(LONG, &format!("{} has the members {wanted:?}", node.name), || {
        let now = members(node);
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

const ALL: [(&str, u64); 3] = [("n1.east", 1), ("n2.north", 1), ("n3.west", 1)];

/// Three datacenters, of which the first and the last were joined to the one between.
fn three(stage: &Stage) -> ([Node; 3], Vec<Process>) {
    let second = server(stage, "n2", 20, "north", &[]);
    let first = server(stage, "n1", 10, "east", &[&second]);
    let third = server(stage, "n3", 30, "west", &[&second]);
    let nodes = [first, second, third];
    let running = nodes.iter().map(Node::start_and_wait).collect();
    for node in &nodes {
        wait_for_members(node, &ALL);
    }
    (nodes, running)
}

#[test]
fn servers_that_share_a_neighbour_find_each_other_and_answer_for_each_other() {
    let stage = Stage::new();
    let ([first, second, third], _running) = three(&stage);
    wait_for_datacenters(&first, &["east", "north", "west"]);
    wait_for_datacenters(&third, &["west", "east", "north"]);
    let shown = first.get("/v1/agent/members?wan=1").json();
    assert_eq!((&shown[2]["Addr"], &shown[2]["Port"]), (&json!(third.address.to_string()), &json!(8302)));
    assert_eq!((&shown[2]["Tags"]["dc"], &shown[2]["Tags"]["role"]), (&json!("west"), &json!("consul")));

    first.put_ok("/v1/kv/a?dc=west", "1");
    assert_eq!(third.get("/v1/kv/a?raw").text, "1");
    assert_eq!(first.get("/v1/kv/a").status, 404);
    assert_eq!(second.get("/v1/kv/a?raw&dc=west&stale").text, "1");
    let unknown = first.get("/v1/kv/a?dc=south");
    assert_eq!((unknown.status, unknown.text.as_str()), (500, "No path to datacenter"));
    let leader = first.get("/v1/status/leader?dc=west").json();
    assert_eq!(leader, format!("{}:8300", third.address));

    // A registration says in its body where it belongs.
    let service = json!({"Datacenter": "west", "Node": "db", "Address": "10.3.0.1", "Service": {"Service": "db", "Port": 5432}});
    first.put_ok("/v1/catalog/register", &service.to_string());
    assert_eq!(first.get("/v1/catalog/service/db?dc=west").json()[0]["Datacenter"], "west");
    assert_eq!(first.get("/v1/catalog/service/db").json(), json!([]));
    let records = first.dns("db.service.west.consul.", RecordType::A);
    assert_eq!(records.answers, ["10.3.0.1"]);
    assert_eq!(first.dns("db.node.WEST.consul.", RecordType::A).answers, ["10.3.0.1"]);
    assert_eq!(first.dns("db.service.south.consul.", RecordType::A).code, ResponseCode::NXDomain);

    // An agent asks its server, which knows the way.
    let agent = stage.agent("web1", 11);
    agent.write("ryo.d/zz.json", r#"{"datacenter": "east"}"#);
    let _agent = agent.start_and_wait();
    assert_eq!(agent.get("/v1/kv/a?raw&dc=west").text, "1");
    assert_eq!(agent.dns("db.service.west.consul.", RecordType::A).answers, ["10.3.0.1"]);

    // Who waits for a change elsewhere hears of it.
    let index = agent.get("/v1/kv/a?dc=west").index;
    let http = agent.http();
    let waiting = std::thread::spawn(move || {
        ask::http(http, "GET", &format!("/v1/kv/a?dc=west&raw&index={index}&wait=20s"), b"")
    });
    third.put_ok("/v1/kv/a", "2");
    assert_eq!(waiting.join().unwrap().unwrap().text, "2");

    let refused = first.put("/v1/session/create?dc=west", "");
    assert_eq!(refused.status, 500);
    assert!(refused.text.starts_with("rpc error making call: "), "{refused:?}");
    first.put_ok("/v1/event/fire/deploy?dc=west", "x");
    until(LONG, "the event is in the west", || {
        let events = third.get("/v1/event/list");
        if list(&events.json()).len() == 1 { Ok(()) } else { Err(events.text) }
    });
    assert_eq!(first.get("/v1/event/list").json(), json!([]));
    let coordinates = first.get("/v1/coordinate/datacenters").json();
    let names: Vec<_> = list(&coordinates).iter().map(|entry| entry["Datacenter"].clone()).collect();
    assert_eq!(names, ["east", "north", "west"]);
    assert_eq!(first.get("/v1/agent/self").json()["Stats"]["consul"]["known_datacenters"], "3");
    let (code, said) = first.ryo(&["members", "-wan"]);
    assert!(code == 0 && said.contains("n3.west"), "{said}");
    let (code, said) = first.ryo(&["exec", "-datacenter", "west", "-wait", "1s", "echo", "far"]);
    assert!(code == 0 && said.contains("n3: far"), "{said}");
    let (code, said) = first.ryo(&["kv", "get", "-datacenter", "west", "a"]);
    assert_eq!((code, said.trim()), (0, "2"));
}

#[test]
fn a_query_without_an_answer_here_finds_one_elsewhere() {
    let stage = Stage::new();
    let ([first, second, third], _running) = three(&stage);
    for (node, address) in [(&second, "10.2.0.1"), (&third, "10.3.0.1")] {
        let service = json!({"Node": "db", "Address": address, "Service": {"Service": "db", "Port": 5432}});
        node.put_ok("/v1/catalog/register", &service.to_string());
    }
    let query = |name: &str, service: &str, failover: Value| {
        let query = json!({"Name": name, "Service": {"Service": service, "Failover": failover}, "DNS": {"TTL": "7s"}});
        let page = ask::http(first.http(), "POST", "/v1/query", query.to_string().as_bytes()).unwrap();
        assert_eq!(page.status, 200, "{page:?}");
    };
    query("nearest", "db", json!({"NearestN": 2}));
    query("named", "db", json!({"Datacenters": ["south", "east", "west", "north"]}));
    query("targets", "db", json!({"Targets": [{"Peer": "p"}, {"Datacenter": "west"}]}));
    query("nowhere", "nothing", json!({"Datacenters": ["north", "west"]}));
    for (name, datacenter, failovers, found) in [
        ("nearest", "north", 1, 1),
        ("named", "west", 1, 1),
        ("targets", "west", 2, 1),
        ("nowhere", "west", 2, 0),
    ] {
        let ran = first.get(&format!("/v1/query/{name}/execute")).json();
        assert_eq!((&ran["Datacenter"], &ran["Failovers"]), (&json!(datacenter), &json!(failovers)), "{ran}");
        assert_eq!(list(&ran["Nodes"]).len(), found, "{ran}");
    }
    assert_eq!(first.dns("named.query.consul.", RecordType::A).answers, ["10.3.0.1"]);
    assert_eq!(first.dns("nowhere.query.consul.", RecordType::A).code, ResponseCode::NXDomain);
    let here = json!({"Node": "db", "Address": "10.1.0.1", "Service": {"Service": "db"}});
    first.put_ok("/v1/catalog/register", &here.to_string());
    let ran = first.get("/v1/query/named/execute").json();
    assert_eq!((&ran["Datacenter"], &ran["Failovers"]), (&json!("east"), &json!(0)));
}

#[test]
fn a_datacenter_that_is_away_costs_one_line_and_no_time() {
    let stage = Stage::new();
    let ([first, second, third], mut running) = three(&stage);
    running.pop().unwrap().kill();
    wait_for_members(&first, &[ALL[0], ALL[1], ("n3.west", 4)]);
    wait_for_datacenters(&first, &["east", "north", "west"]);
    let began = Instant::now();
    for _ in 0..20 {
        let page = first.get("/v1/kv/a?dc=west");
        assert!(page.status == 500 && page.text.contains("rpc error getting client"), "{page:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(first.dns("db.service.west.consul.", RecordType::A).code, ResponseCode::ServFail);
    assert_eq!(first.get("/v1/kv/a?dc=north").status, 404);

    // Both others end too. What they know is on their disks: none of them has to be told anything again.
    assert_eq!(running.pop().unwrap().stop(Signal::SIGTERM), 1);
    second.write("ryo.d/zz.json", r#"{"datacenter": "north"}"#);
    third.write("ryo.d/zz.json", r#"{"datacenter": "west"}"#);
    let _third = third.start_and_wait();
    let _second = second.start_and_wait();
    for node in [&first, &second, &third] {
        wait_for_members(node, &ALL);
    }
    let log = running[0].log();
    let lines =
        log.lines().filter(|line| line.contains("n3.west") && line.contains("EventMemberFailed")).count();
    assert_eq!(lines, 1, "{log}");
}

#[test]
fn a_server_that_is_gone_for_good_is_forgotten_and_one_that_lives_comes_back() {
    let stage = Stage::new();
    let ([first, second, third], mut running) = three(&stage);
    // It answers back.
    first.put_ok("/v1/agent/force-leave/n3.west?wan", "");
    wait_for_members(&first, &ALL);
    wait_for_members(&second, &ALL);
    // A server that leaves says so.
    let (code, said) = third.ryo(&["leave"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(running.pop().unwrap().ended(), 0);
    for node in [&first, &second] {
        wait_for_members(node, &[ALL[0], ALL[1], ("n3.west", 3)]);
        wait_for_datacenters(node, if node.name == "n1" { &["east", "north"] } else { &["north", "east"] });
    }
    let (code, said) = first.ryo(&["force-leave", "-wan", "-prune", "n3.west"]);
    assert_eq!(code, 0, "{said}");
    wait_for_members(&first, &ALL[..2]);
    let (code, said) = first.ryo(&["force-leave", "-wan", "nobody.west"]);
    assert!(code == 1 && said.contains("No node found with name 'nobody.west'"), "{said}");
    // It is welcome again.
    let _third = third.start_and_wait();
    wait_for_members(&first, &ALL);
}

#[test]
fn an_operator_joins_datacenters_by_hand() {
    let stage = Stage::new();
    let (first, second) = (server(&stage, "n1", 10, "east", &[]), server(&stage, "n2", 20, "north", &[]));
    let _running = [first.start_and_wait(), second.start_and_wait()];
    let (code, said) = first.ryo(&["join", "-wan", &stage.address(99).to_string()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("Failed to join") && said.contains("connection refused"), "{said}");
    let (code, said) = first.ryo(&["join", "-wan", &format!("{}:8302", second.address)]);
    assert_eq!((code, said.trim()), (0, "Successfully joined cluster by contacting 1 nodes."));
    wait_for_members(&second, &ALL[..2]);
}

#[test]
fn a_server_that_nobody_lets_in_gives_up_where_it_is_told_to() {
    let stage = Stage::new();
    let node = server(&stage, "n1", 10, "east", &[]);
    let nobody = stage.address(99).to_string();
    node.write("ryo.d/zzz.json", &json!({"retry_join_wan": [nobody], "retry_max_wan": 2}).to_string());
    let process = node.start();
    assert_eq!(process.ended(), 1);
}

#[test]
fn addresses_are_translated_for_those_who_come_from_elsewhere() {
    let stage = Stage::new();
    let first = server(&stage, "n1", 10, "east", &[]);
    first.write("ryo.d/wan.json", r#"{"translate_wan_addrs": true}"#);
    let second = server(&stage, "n2", 20, "north", &[&first]);
    let _running = [first.start_and_wait(), second.start_and_wait()];
    wait_for_members(&first, &ALL[..2]);
    let service = json!({
        "Node": "db", "Address": "10.2.0.1", "TaggedAddresses": {"wan": "99.0.0.1"},
        "Service": {"Service": "db", "Port": 1, "TaggedAddresses": {"wan": {"Address": "99.9.9.9", "Port": 2}}},
    });
    second.put_ok("/v1/catalog/register", &service.to_string());
    let shown = |node: &Node, path: &str| {
        let found = node.get(path).json()[0].clone();
        (
            found["Node"]["Address"].clone(),
            found["Service"]["Address"].clone(),
            found["Service"]["Port"].clone(),
        )
    };
    let far = (json!("99.0.0.1"), json!("99.9.9.9"), json!(2));
    assert_eq!(shown(&first, "/v1/health/service/db?dc=north"), far);
    let near = (json!("10.2.0.1"), json!(""), json!(1));
    assert_eq!(shown(&second, "/v1/health/service/db"), near);
    assert_eq!(shown(&second, "/v1/health/service/db?dc=north"), near);
    assert_eq!(first.dns("db.service.north.consul.", RecordType::A).answers, ["99.9.9.9"]);
    assert_eq!(second.dns("db.service.consul.", RecordType::A).answers, ["10.2.0.1"]);
}

#[test]
fn of_three_servers_any_living_one_answers_for_its_datacenter() {
    let stage = Stage::new();
    let east: Vec<_> = [("e1", 11), ("e2", 12), ("e3", 13)]
        .map(|(name, host)| server(&stage, name, host, "east", &[]))
        .into();
    let joins: Vec<_> = east.iter().map(|node| node.address.to_string()).collect();
    for node in &east {
        node.write("ryo.d/three.json", &json!({"bootstrap_expect": 3, "retry_join": joins}).to_string());
    }
    let north = server(&stage, "n1", 20, "north", &[&east[0]]);
    let mut running: Vec<_> = east.iter().map(Node::start).collect();
    for (node, process) in east.iter().zip(&mut running) {
        node.wait_for_registry(process);
    }
    let _north = north.start_and_wait();
    // One of them was joined; all are known.
    let all = [("e1.east", 1), ("e2.east", 1), ("e3.east", 1), ("n1.north", 1)];
    for node in east.iter().chain([&north]) {
        wait_for_members(node, &all);
    }
    north.put_ok("/v1/kv/a?dc=east", "1");
    for node in &east {
        assert_eq!(node.get("/v1/kv/a?raw").text, "1");
        node.put_ok("/v1/kv/b?dc=north", &node.name);
        assert_eq!(north.get("/v1/kv/b?raw").text, node.name);
    }
    running.remove(0).kill();
    until(LONG, "the others answer", || {
        let page = north.try_get("/v1/kv/a?raw&dc=east")?;
        if page.text == "1" { Ok(()) } else { Err(page.text) }
    });
}
