//! Commands of scripts that write.

use std::collections::BTreeMap;

use registry_state::{
    Action, Autopilot, Behavior, CatalogVerb, Check, CheckOp, ConfigDelete, ConfigEntry, ConfigPut,
    Coordinate, CoordinateUpdate, Deregister, Event, Key, KvDelete, KvOp, KvPut, KvVerb, Node, NodeOp,
    PutMode, Query, Register, Service, ServiceCheckRef, ServiceOp, Session, TxnOp,
};

use super::words::Words;

/// The action of a line, if it is one that writes.
pub(crate) fn action(words: &Words) -> Option<Action> {
    Some(match words.verb() {
        "put" => Action::KvPut(put(words)),
        "delete" => Action::KvDelete(match words.get("cas") {
            Some(_) => KvDelete::Cas(Key::from(words.at(0)), words.number("cas")),
            None => KvDelete::Key(Key::from(words.at(0))),
        }),
        "delete-tree" => Action::KvDelete(KvDelete::Prefix(Key::from(words.at(0)))),
        "register" => Action::Register(Box::new(register(words))),
        "deregister" => {
            let (service_id, check_id) = (words.get("service"), words.get("check"));
            let (service_id, check_id) = (service_id.map(str::to_owned), check_id.map(str::to_owned));
            Action::Deregister(Deregister { node: words.at(0).into(), service_id, check_id })
        }
        "create" => Action::SessionCreate(Box::new(session(words))),
        "destroy" => Action::SessionDestroy { id: words.at(0).into() },
        "query" => Action::QuerySet { query: Box::new(query(words)), update: words.has("update") },
        "delete-query" => Action::QueryDelete { id: words.at(0).into() },
        "config" => Action::ConfigPut(Box::new(ConfigPut {
            entry: ConfigEntry {
                kind: words.at(0).into(),
                name: words.at(1).to_owned(),
                body: words.at(2).to_owned().into_bytes().into(),
                services: words.all("service").map(str::to_owned).collect(),
            },
            cas: words.get("cas").map(|_| words.number("cas")),
        })),
        "config-delete" => Action::ConfigDelete(ConfigDelete {
            kind: words.at(0).into(),
            name: words.at(1).to_owned(),
            cas: words.get("cas").map(|_| words.number("cas")),
        }),
        "fire" => Action::FireEvent(Box::new(Event {
            id: words.at(0).to_owned(),
            name: words.at(1).to_owned(),
            ..Event::default()
        })),
        "locate" => Action::UpdateCoordinate(CoordinateUpdate {
            node: words.at(0).to_owned(),
            segment: words.text("segment"),
            coordinate: Coordinate { height: words.number("height"), ..Coordinate::default() },
        }),
        "autopilot" => Action::AutopilotSet {
            settings: Box::new(Autopilot { min_quorum: words.number("min-quorum"), ..Autopilot::default() }),
            cas: words.get("cas").map(|_| words.number("cas")),
        },
        "reap" => Action::ReapTombstones { up_to: words.at(0).parse().expect("an index") },
        _ => return None,
    })
}

fn query(words: &Words) -> Query {
    Query {
        id: words.at(0).into(),
        name: words.text("name"),
        session: words.get("session").map(Into::into),
        template: words.has("template"),
        definition: words.text("definition"),
    }
}

fn put(words: &Words) -> KvPut {
    let mode = match (words.get("cas"), words.get("acquire"), words.get("release")) {
        (Some(_), ..) => PutMode::Cas(words.number("cas")),
        (_, Some(session), _) => PutMode::Acquire(session.into()),
        (.., Some(session)) => PutMode::Release(session.into()),
        _ => PutMode::Plain,
    };
    let value = words.at(1).to_owned().into_bytes().into();
    KvPut { key: Key::from(words.at(0)), value, flags: words.number("flags"), mode }
}

fn register(words: &Words) -> Register {
    Register {
        node: node(words),
        service: words.get("service").map(|_| service(words)),
        checks: words.all("check").map(check).collect(),
        skip_node_update: words.has("skip"),
        take_over: words.has("take-over"),
    }
}

fn node(words: &Words) -> Node {
    let meta = words.pairs("meta");
    Node {
        id: words.text("id"),
        name: words.at(0).to_owned(),
        address: words.text("address"),
        meta: (!meta.is_empty()).then(|| meta.into_iter().collect()),
        ..Node::default()
    }
}

fn service(words: &Words) -> Service {
    let name = words.text("service");
    let meta: BTreeMap<_, _> = words.pairs("service-meta").into_iter().collect();
    Service {
        id: words.get("service-id").unwrap_or(&name).to_owned(),
        tags: words.list("tags").unwrap_or_default(),
        port: words.number("port"),
        address: words.text("service-address"),
        meta: (!meta.is_empty()).then_some(meta),
        name,
        ..Service::default()
    }
}

/// `id:status`, `id:status:service`, or `id:status:service:node`.
fn check(text: &str) -> Check {
    let mut parts = text.split(':').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (check_id, status, service_id, node) = (next(), next(), next(), next());
    Check { node, name: check_id.clone(), check_id, status, service_id, ..Check::default() }
}

fn session(words: &Words) -> Session {
    let delay_ms: i64 = words.number("delay-ms");
    let service_checks = words.list("service-checks");
    let reference = |id: String| ServiceCheckRef { id, namespace: String::new() };
    Session {
        id: words.at(0).into(),
        node: words.text("node"),
        lock_delay_ns: delay_ms * 1_000_000,
        behavior: if words.has("deletes") { Behavior::Delete } else { Behavior::Release },
        node_checks: words.list("node-checks"),
        service_checks: service_checks.map(|ids| ids.into_iter().map(reference).collect()),
        ..Session::default()
    }
}

/// One operation of a transaction: `set KEY VALUE`, `node:set NAME …`, `service:get NODE id=…`, `check:set NODE …`.
pub(crate) fn txn_op(words: &Words) -> TxnOp {
    let index = words.number("index");
    let catalog = |verb: &str| CatalogVerb::parse(verb).unwrap_or_else(|| panic!("{verb} is no verb"));
    match words.verb().split_once(':') {
        Some(("node", verb)) => TxnOp::Node(NodeOp { verb: catalog(verb), node: node(words), index }),
        Some(("service", verb)) => {
            let node = words.at(0).to_owned();
            TxnOp::Service(ServiceOp { verb: catalog(verb), node, service: service(words), index })
        }
        Some(("check", verb)) => {
            let check =
                Check { node: words.at(0).to_owned(), ..check(words.get("check").unwrap_or_default()) };
            TxnOp::Check(CheckOp { verb: catalog(verb), check, index })
        }
        _ => TxnOp::Kv(KvOp {
            verb: KvVerb::parse(words.verb()).unwrap_or_else(|| panic!("{} is no verb", words.verb())),
            key: Key::from(words.at(0)),
            value: words.at(1).to_owned().into_bytes().into(),
            flags: words.number("flags"),
            index,
            session: words.text("session").as_str().into(),
        }),
    }
}
