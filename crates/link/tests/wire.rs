//! Calls of an earlier release are understood: servers and agents are upgraded one after the other.
//!
//! `tests/wire/*.json` were written once and are never written again: each says what version 2 of the calls sends. A change that does
//! not read them needs another version number, and both ways of speaking for one release. `UPDATE_GOLDEN=1` writes files that are
//! not there yet.

use std::{fmt::Debug, fs, path::PathBuf};

use link::{
    calls::{
        AddressOwner, Begin, Departed, Granted, Hello, KeyringReport, KeysSeen, KeysTold, Lease, Member,
        NodeKeys, ServerSeen, ServerTags, WanNews, WanServer, status,
    },
    join::Directions,
};
use registry_wire::coordinate::Coordinate;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[test]
fn what_agents_and_servers_say_of_themselves() {
    understood("lease-of-an-agent", &lease());
    understood(
        "lease-of-a-server",
        &Lease { server: Some(tags()), departed_mark: 9, mesh_root: Some("9e:f5".into()), ..lease() },
    );
    understood("granted", &granted());
    understood("member", &member());
    understood("owner-node", &AddressOwner::Node("web1".into()));
    understood("owner-service", &AddressOwner::Service("web".into()));
}

#[test]
fn what_servers_say_to_find_each_other() {
    understood("hello", &Hello { datacenter: "dc1".into(), servers: vec![seen()] });
    understood("begin", &Begin { cluster: CLUSTER.into(), proposer: 7 });
    understood("directions", &directions());
}

#[test]
fn what_datacenters_say_to_each_other() {
    let coordinate = Some(Coordinate::origin());
    let (from, servers) = (wan_server(), vec![wan_server()]);
    understood("wan-news", &WanNews { version: 2, from, coordinate, digest: 77, servers });
}

#[test]
fn what_is_said_of_keys() {
    let (version, ids, keys) =
        (3, vec!["5d2e81f07a33c9be".into()], vec!["AAECAwQFBgcICQoLDA0ODw==".to_owned()]);
    let seen = Some(KeysSeen { version, ids });
    let told = Some(KeysTold { version, keys: keys.clone() });
    let lease = Lease { server: Some(tags()), keys: seen, keys_told: told.clone(), ..lease() };
    understood("lease-with-keys", &lease);
    understood("granted-with-keys", &Granted { keys: told, keys_wanted: true, ..granted() });
    let node =
        |node: &str| NodeKeys { node: node.into(), server: true, keys: keys.clone(), ..NodeKeys::default() };
    let nodes = vec![
        NodeKeys { answered: true, ..node("s1") },
        NodeKeys { answered: true, refused: Some("not there".into()), ..node("s2") },
    ];
    let report = KeyringReport { datacenter: "dc1".into(), nodes, unasked: Some("No cluster leader".into()) };
    understood("keyring-report", &report);
}

/// What was written once means the same, and what a later release adds does no harm.
#[track_caller]
fn understood<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, meaning: &T) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "wire", &format!("{name}.json")].iter().collect();
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(meaning).expect("calls are plain data");
        fs::write(&path, text + "\n").expect("the folder can be written");
    }
    let text = fs::read_to_string(&path).expect("the file is there");
    assert_eq!(&serde_json::from_str::<T>(&text).expect("it is read"), meaning, "{name}");
    let mut later: Value = serde_json::from_str(&text).expect("it is JSON");
    if let Some(fields) = later.as_object_mut().filter(|_| !name.starts_with("owner")) {
        fields.insert("of_a_later_release".to_owned(), Value::Bool(true));
    }
    assert_eq!(&serde_json::from_value::<T>(later).expect("it is read"), meaning, "{name}, later");
}

const CLUSTER: &str = "9a1c7a44-9a0b-4a3c-9d52-6f3f3a4a1a01";
const NODE: &str = "11111111-2222-4333-8444-555555555555";

fn lease() -> Lease {
    Lease {
        version: 2,
        node: "web1".into(),
        id: NODE.into(),
        address: "10.0.0.9".into(),
        port: 8301,
        tagged_addresses: [("lan".to_owned(), "10.0.0.9".to_owned())].into(),
        meta: [("rack".to_owned(), "a".to_owned())].into(),
        datacenter: "dc1".into(),
        boot_ms: 1_790_000_000_000,
        build: "1.21.4".into(),
        server: None,
        departed_mark: 0,
        mesh_root: None,
        keys: None,
        keys_told: None,
    }
}

fn tags() -> ServerTags {
    ServerTags {
        id: u64::MAX,
        address: "10.0.0.9:8300".into(),
        cluster: CLUSTER.into(),
        expect: 3,
        wan_port: 8302,
        grpc_port: 8502,
        version: 2,
    }
}

fn granted() -> Granted {
    Granted {
        version: 2,
        ttl_ms: 4000,
        servers: vec!["10.0.0.1:8300".into(), "[fd10::1]:8300".into()],
        cluster: CLUSTER.into(),
        coordinate: Some(Coordinate::origin()),
        located: true,
        taken_in: true,
        departed: Some(vec![Departed { lease: lease(), listed_ms: 600_000 }]),
        mesh_root: Some(serde_json::json!({"id": "9e:f5"})),
        keys: None,
        keys_wanted: false,
    }
}

fn member() -> Member {
    Member {
        name: "web1".into(),
        addr: "10.0.0.9".into(),
        port: 8301,
        tags: [("role".to_owned(), "node".to_owned())].into(),
        status: status::FAILED,
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

fn seen() -> ServerSeen {
    ServerSeen {
        id: 7,
        address: "10.0.0.1:8300".into(),
        node: "s1".into(),
        node_id: NODE.into(),
        expect: 3,
        begun: true,
        cluster: CLUSTER.into(),
        version: 2,
        build: "1.21.4".into(),
        lan_port: 8301,
    }
}

fn directions() -> Directions {
    Directions {
        datacenter: "dc1".into(),
        server: "10.0.0.1:8300".parse().expect("an address"),
        cluster: CLUSTER.into(),
        version: 2,
        id: 7,
        node: "s1".into(),
    }
}

fn wan_server() -> WanServer {
    WanServer {
        node: "s1".into(),
        datacenter: "dc2".into(),
        id: NODE.into(),
        links: vec!["10.2.0.1:8300".parse().expect("an address")],
        join_port: 8302,
        tags: [("role".to_owned(), "consul".to_owned())].into(),
        incarnation: 5,
        left_ms: Some(6),
        seen_ms: 7,
    }
}
