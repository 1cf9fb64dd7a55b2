//! Bytes that an earlier build wrote still mean the same.
//!
//! `tests/golden/*.msgpack` were written once by this crate and are never written again: a change that cannot read them
//! needs a new version byte and a reader for the old one. `UPDATE_GOLDEN=1` writes files that are not there yet.

use std::{fs, path::PathBuf};

use registry_state::{
    Action, CatalogVerb, Check, CheckOp, Command, Deregister, KvDelete, KvOp, KvPut, KvVerb, Node, NodeOp,
    PutMode, Query, Register, Service, ServiceAddress, ServiceCheckRef, ServiceOp, Session, State, TxnOp,
    Weights,
    codec::{self, CodecError},
};

#[test]
fn commands_of_format_1_are_read() {
    let bytes = golden("commands-1.msgpack", || codec::encode_commands(&every_action()));
    assert_eq!(codec::decode_commands(&bytes).expect("the golden file is whole"), every_action());
}

#[test]
fn a_snapshot_of_format_1_is_read() {
    let mut state = State::default();
    every_action().iter().for_each(|command| drop(state.apply(command)));
    let bytes = golden("snapshot-1.msgpack", || {
        let mut bytes = Vec::new();
        codec::write_snapshot(&state, &mut bytes).expect("a vector takes everything");
        bytes
    });
    let read = codec::read_snapshot(bytes.as_slice()).expect("the golden file is whole");
    assert_eq!(read, state);
}

#[test]
fn queries_of_format_1_are_read() {
    let bytes = golden("query-commands-1.msgpack", || codec::encode_commands(&query_actions()));
    assert_eq!(codec::decode_commands(&bytes).expect("the golden file is whole"), query_actions());
    let mut state = State::default();
    query_actions().iter().for_each(|command| drop(state.apply(command)));
    let bytes = golden("query-snapshot-1.msgpack", || {
        let mut bytes = Vec::new();
        codec::write_snapshot(&state, &mut bytes).expect("a vector takes everything");
        bytes
    });
    assert_eq!(codec::read_snapshot(bytes.as_slice()).expect("the golden file is whole"), state);
}

#[test]
fn unknown_fields_are_skipped_and_missing_ones_have_defaults() {
    // {"at_ms": 7, "later": true, "action": {"SessionDestroy": {"id": "s", "why": "x"}}} and a put of nothing but a key
    let mut bytes = vec![1, 0x92];
    bytes
        .extend(b"\x83\xa5at_ms\x07\xa5later\xc3\xa6action\x81\xaeSessionDestroy\x82\xa2id\xa1s\xa3why\xa1x");
    bytes.extend(b"\x82\xa5at_ms\x08\xa6action\x81\xa5KvPut\x81\xa3key\xc4\x01k");
    let put = KvPut { key: "k".into(), ..KvPut::default() };
    let expected = [
        Command { at_ms: 7, action: Action::SessionDestroy { id: "s".into() } },
        Command { at_ms: 8, action: Action::KvPut(put) },
    ];
    assert_eq!(codec::decode_commands(&bytes).expect("named fields"), expected);
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let mut bytes = codec::encode_commands(&every_action());
    let cut = codec::decode_commands(&bytes[..bytes.len() - 1]);
    assert!(matches!(cut, Err(CodecError::Malformed(_))), "{cut:?}");
    bytes[0] = 9;
    let newer = codec::decode_commands(&bytes).expect_err("nobody wrote format 9");
    assert_eq!(
        newer.to_string(),
        "written in format 9, but this release reads formats up to 1; use the release that wrote it"
    );
    assert!(matches!(codec::decode_commands(&[]), Err(CodecError::Malformed(_))));

    let mut snapshot = Vec::new();
    codec::write_snapshot(&State::default(), &mut snapshot).expect("a vector takes everything");
    for length in 0..snapshot.len() {
        let cut = codec::read_snapshot(&snapshot[..length]);
        assert!(matches!(cut, Err(CodecError::Malformed(_))), "{length} bytes: {cut:?}");
    }
}

fn golden(name: &str, write: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, write()).expect("the folder can be written");
    }
    fs::read(&path).expect("the golden file is there")
}

/// A command of every kind, with every field of everything stored set in one of them.
fn every_action() -> Vec<Command> {
    let put = |mode| KvPut { key: b"k\xff".as_slice().into(), value: vec![0, 255].into(), flags: 7, mode };
    let actions = [
        Action::Register(Box::new(full_registration())),
        Action::SessionCreate(Box::new(full_session())),
        Action::KvPut(put(PutMode::Plain)),
        Action::KvPut(put(PutMode::Cas(4))),
        Action::KvPut(put(PutMode::Acquire("s1".into()))),
        Action::KvPut(put(PutMode::Release("s1".into()))),
        Action::KvPut(put(PutMode::Acquire("s1".into()))),
        Action::KvPut(KvPut { key: "gone".into(), ..KvPut::default() }),
        Action::KvDelete(KvDelete::Key("gone".into())),
        Action::KvDelete(KvDelete::Prefix("t/".into())),
        Action::KvDelete(KvDelete::Cas("gone".into(), 3)),
        Action::Txn(operations()),
        Action::Deregister(Deregister { node: "t1".into(), service_id: Some("x".into()), check_id: None }),
        Action::SessionCreate(Box::new(Session { id: "s2".into(), ..full_session() })),
        Action::KvPut(KvPut { key: "d".into(), mode: PutMode::Acquire("s2".into()), ..KvPut::default() }),
        Action::SessionDestroy { id: "s2".into() },
        Action::ReapTombstones { up_to: 2 },
    ];
    let stamp = |(at, action): (u64, Action)| Command { at_ms: 1_790_000_000_000 + at, action };
    (0..).zip(actions).map(stamp).collect()
}

/// What prepared queries add; they came after the files above.
fn query_actions() -> Vec<Command> {
    let full = Query {
        id: "9f1c1a34-70a5-4c1e-9b5c-2f3d4e5f6a7b".into(),
        name: "geo-".to_owned(),
        session: Some("s1".into()),
        template: true,
        definition: r#"{"Name":"geo-","Service":{"Service":"${name.suffix}"}}"#.to_owned(),
    };
    let plain =
        Query { id: "q2".into(), name: "web".to_owned(), session: None, template: false, ..full.clone() };
    let set = |query: &Query, update| Action::QuerySet { query: Box::new(query.clone()), update };
    let actions = [
        Action::Register(Box::new(full_registration())),
        Action::SessionCreate(Box::new(full_session())),
        set(&full, false),
        set(&full, true),
        set(&plain, false),
        set(&Query { id: "q3".into(), name: "gone".to_owned(), ..plain.clone() }, false),
        Action::QueryDelete { id: "q3".into() },
    ];
    let stamp = |(at, action): (u64, Action)| Command { at_ms: 1_790_000_000_000 + at, action };
    (0..).zip(actions).map(stamp).collect()
}

fn full_registration() -> Register {
    let text = |s: &str| s.to_owned();
    let pair = |k: &str, v: &str| [(text(k), text(v))].into();
    Register {
        node: Node {
            id: text("9f1c1a34-70a5-4c1e-9b5c-2f3d4e5f6a7b"),
            name: text("N1"),
            address: text("10.0.0.1"),
            tagged_addresses: Some(pair("lan", "10.0.0.1")),
            meta: Some(pair("rack", "r1")),
            locality: text("{}"),
        },
        service: Some(Service {
            id: text("web-1"),
            name: text("web"),
            kind: text("typical"),
            tags: vec![text("b"), text("a")],
            empty_tags: false,
            address: text("10.0.0.2"),
            tagged_addresses: [(text("lan"), ServiceAddress { address: text("10.0.0.2"), port: 80 })].into(),
            meta: Some(pair("v", "1")),
            port: 8080,
            socket_path: text("/run/x.sock"),
            weights: Weights { passing: 10, warning: 2 },
            enable_tag_override: true,
            proxy: text("{}"),
            connect: text("{}"),
            locality: text("{}"),
        }),
        checks: vec![Check {
            node: text("n1"),
            check_id: text("c"),
            name: text("check"),
            status: text("passing"),
            notes: text("notes"),
            output: text("output"),
            service_id: text("web-1"),
            kind: text("http"),
            interval: text("10s"),
            timeout: text("1s"),
            exposed_port: 1,
            definition: text("{}"),
            ..Check::default()
        }],
        skip_node_update: false,
        take_over: true,
    }
}

fn full_session() -> Session {
    Session {
        id: "s1".into(),
        name: "lock".to_owned(),
        node: "n1".to_owned(),
        lock_delay_ns: 15_000_000_000,
        behavior: registry_state::Behavior::Release,
        ttl: "10s".to_owned(),
        node_checks: Some(Vec::new()),
        service_checks: Some(vec![ServiceCheckRef { id: "c".to_owned(), namespace: String::new() }]),
        checks: vec!["c".to_owned()],
    }
}

fn operations() -> Vec<TxnOp> {
    let node = Node { name: "t1".to_owned(), ..Node::default() };
    let service = Service { id: "x".to_owned(), name: "x".to_owned(), ..Service::default() };
    let check = Check { node: "t1".to_owned(), check_id: "y".to_owned(), ..Check::default() };
    let (key, value) = ("t/1".into(), vec![1].into());
    let kv = KvOp { verb: KvVerb::Set, key, value, flags: 1, index: 0, session: "".into() };
    vec![
        TxnOp::Kv(kv),
        TxnOp::Node(NodeOp { verb: CatalogVerb::Set, node, index: 0 }),
        TxnOp::Service(ServiceOp { verb: CatalogVerb::Cas, node: "t1".to_owned(), service, index: 0 }),
        TxnOp::Check(CheckOp { verb: CatalogVerb::Set, check, index: 0 }),
    ]
}
