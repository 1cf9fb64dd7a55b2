//! Random commands over few names, so that they meet.

use proptest::{collection::vec, prelude::*, sample::select};
use registry_state::{
    Action, Behavior, CatalogVerb, Check, CheckOp, Command, Coordinate, CoordinateUpdate, Deregister, Event,
    Key, KvDelete, KvOp, KvPut, KvVerb, Node, NodeOp, PutMode, Register, Service, ServiceOp, Session, TxnOp,
};

use crate::names::{CHECKS, KEYS, NODE_IDS, NODES, PREFIXES, SERVICE_IDS, SERVICES, SESSIONS, STATES};

/// A history of up to forty commands, in which time passes.
pub(crate) fn commands() -> impl Strategy<Value = Vec<Command>> {
    let timed = vec((0..3000_u64, action()), 1..40);
    timed.prop_map(|list| {
        let mut at_ms = 1_000_000;
        let stamp = |(passed, action)| {
            at_ms += passed;
            Command { at_ms, action }
        };
        list.into_iter().map(stamp).collect()
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => put().prop_map(Action::KvPut),
        3 => delete().prop_map(Action::KvDelete),
        2 => vec(txn_op(), 1..4).prop_map(Action::Txn),
        8 => register().prop_map(|r| Action::Register(Box::new(r))),
        4 => deregister().prop_map(Action::Deregister),
        4 => session().prop_map(|s| Action::SessionCreate(Box::new(s))),
        2 => session_id().prop_map(|id| Action::SessionDestroy { id: id.as_str().into() }),
        1 => (0..40_u64).prop_map(|up_to| Action::ReapTombstones { up_to }),
        1 => (0..5_u64).prop_map(|id| Action::FireEvent(Box::new(Event { id: id.to_string(), ..Event::default() }))),
        2 => (node_name(), 0..3_u32).prop_map(|(node, height)| {
            let coordinate = Coordinate { height: f64::from(height), ..Coordinate::default() };
            Action::UpdateCoordinate(CoordinateUpdate { node, coordinate, ..CoordinateUpdate::default() })
        }),
    ]
}

fn put() -> impl Strategy<Value = KvPut> {
    let mode = prop_oneof![
        3 => Just(PutMode::Plain),
        1 => (0..20_u64).prop_map(PutMode::Cas),
        3 => session_id().prop_map(|id| PutMode::Acquire(id.as_str().into())),
        1 => session_id().prop_map(|id| PutMode::Release(id.as_str().into())),
    ];
    (key(), value(), 0..2_u64, mode).prop_map(|(key, value, flags, mode)| KvPut {
        key,
        value: value.into(),
        flags,
        mode,
    })
}

fn delete() -> impl Strategy<Value = KvDelete> {
    prop_oneof![
        key().prop_map(KvDelete::Key),
        select(&PREFIXES[..]).prop_map(|p| KvDelete::Prefix(p.into())),
        (key(), 0..20_u64).prop_map(|(key, index)| KvDelete::Cas(key, index)),
    ]
}

fn register() -> impl Strategy<Value = Register> {
    let service = proptest::option::of(service());
    (node(), service, vec(check(), 0..3), any::<bool>(), proptest::bool::weighted(0.1)).prop_map(
        |(node, service, checks, skip_node_update, take_over)| Register {
            node,
            service,
            checks,
            skip_node_update,
            take_over,
        },
    )
}

fn deregister() -> impl Strategy<Value = Deregister> {
    let (service_id, check_id) = (proptest::option::of(service_id()), proptest::option::of(check_id()));
    (node_name(), service_id, check_id).prop_map(|(node, service_id, check_id)| Deregister {
        node: node.as_str().into(),
        service_id,
        check_id,
    })
}

fn session() -> impl Strategy<Value = Session> {
    let checks = proptest::option::of(vec(check_id(), 0..2));
    (session_id(), node_name(), checks, any::<bool>(), 0..3_i64).prop_map(
        |(id, node, node_checks, deletes, delay)| Session {
            id: id.as_str().into(),
            node,
            node_checks,
            behavior: if deletes { Behavior::Delete } else { Behavior::Release },
            lock_delay_ns: delay * 1_000_000_000,
            ..Session::default()
        },
    )
}

fn txn_op() -> impl Strategy<Value = TxnOp> {
    use KvVerb::{CheckNotExists, Delete, DeleteTree, GetOrEmpty, Lock, Set, Unlock};
    let kv_verb = select(vec![Set, Set, Lock, Unlock, GetOrEmpty, Delete, DeleteTree, CheckNotExists]);
    let verb = select(vec![CatalogVerb::Set, CatalogVerb::Get, CatalogVerb::Delete]);
    prop_oneof![
        4 => (kv_verb, key(), value(), session_id()).prop_map(|(verb, key, value, session)| TxnOp::Kv(KvOp {
            verb, key, value: value.into(), flags: 0, index: 0, session: session.as_str().into(),
        })),
        1 => (verb.clone(), node()).prop_map(|(verb, node)| TxnOp::Node(NodeOp { verb, node, index: 0 })),
        1 => (verb.clone(), node_name(), service())
            .prop_map(|(verb, node, service)| TxnOp::Service(ServiceOp { verb, node, service, index: 0 })),
        1 => (verb, node_name(), check()).prop_map(|(verb, node, check)| {
            TxnOp::Check(CheckOp { verb, check: Check { node, ..check }, index: 0 })
        }),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    (node_name(), select(&NODE_IDS[..]), 0..2_u8).prop_map(|(name, id, last)| Node {
        id: id.to_owned(),
        name,
        address: format!("10.0.0.{last}"),
        ..Node::default()
    })
}

fn service() -> impl Strategy<Value = Service> {
    (service_id(), select(&SERVICES[..]), 0..2_i64).prop_map(|(id, name, port)| Service {
        id,
        name: name.to_owned(),
        port,
        tags: vec![format!("v{port}")],
        ..Service::default()
    })
}

fn check() -> impl Strategy<Value = Check> {
    let service_id = prop_oneof![Just(String::new()), service_id()];
    (check_id(), select(&STATES[..]), service_id).prop_map(|(check_id, status, service_id)| Check {
        check_id,
        status: status.to_owned(),
        service_id,
        ..Check::default()
    })
}

fn key() -> impl Strategy<Value = Key> {
    select(&KEYS[..]).prop_map(Key::from)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    vec(0..2_u8, 0..2)
}

fn node_name() -> impl Strategy<Value = String> {
    select(&NODES[..]).prop_map(str::to_owned)
}

fn service_id() -> impl Strategy<Value = String> {
    select(&SERVICE_IDS[..]).prop_map(str::to_owned)
}

fn check_id() -> impl Strategy<Value = String> {
    select(&CHECKS[..]).prop_map(str::to_owned)
}

fn session_id() -> impl Strategy<Value = String> {
    select(&SESSIONS[..]).prop_map(str::to_owned)
}
