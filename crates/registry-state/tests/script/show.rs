//! How scripts show what came back.

use registry_state::{
    Applied, Check, ConfigEntry, Event, KvEntry, Node, NodeCoordinate, Outcome, Query, Service, Session,
    Stored, TxnResult,
    read::{AddressOwner, HealthInstance},
};

/// What a command did, in one line, and the topics it touched in the next.
pub(crate) fn applied(applied: &Applied) -> String {
    let (word, lines) = match &applied.outcome {
        Outcome::Done => ("done".to_owned(), Vec::new()),
        Outcome::Refused => ("refused".to_owned(), Vec::new()),
        Outcome::Failed(error) => (format!("failed: {error}"), Vec::new()),
        Outcome::Txn(results) => ("done".to_owned(), results.iter().map(txn_result).collect()),
        Outcome::TxnFailed(errors) => {
            let lines = errors.iter().map(|e| format!("op {}: {}", e.op_index, e.what)).collect();
            ("failed".to_owned(), lines)
        }
    };
    let all = applied.topics.is_all().then(|| "wakes everyone".to_owned());
    let topics = applied.topics.iter().map(|topic| format!("{topic:?}")).collect::<Vec<_>>().join(" ");
    let topics = (!topics.is_empty()).then(|| format!("wakes {topics}"));
    let lines: Vec<String> = lines.into_iter().chain(all).chain(topics).collect();
    indented(&format!("{} {word}", applied.index), &lines)
}

/// A line, and lines that belong to it.
pub(crate) fn indented(first: &str, lines: &[String]) -> String {
    let rest: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("  {first}\n{rest}")
}

pub(crate) fn txn_result(result: &TxnResult) -> String {
    match result {
        TxnResult::Kv(entry) => kv(entry),
        TxnResult::Node(entry) => node(entry),
        TxnResult::Service(entry) => service(entry),
        TxnResult::Check(entry) => check(entry),
    }
}

pub(crate) fn kv(entry: &Stored<KvEntry>) -> String {
    let value = String::from_utf8_lossy(&entry.value.value);
    let session = entry.session.as_ref().map(|s| format!(" session={s}")).unwrap_or_default();
    let (flags, lock) = (entry.flags, entry.lock_index);
    format!("{:?}={value:?} flags={flags} lock={lock}{session} {}", entry.key, indexes(entry))
}

pub(crate) fn node(entry: &Stored<Node>) -> String {
    let meta = entry.meta.as_ref().map(|m| format!(" meta={m:?}")).unwrap_or_default();
    format!("node {} id={:?} address={:?}{meta} {}", entry.name, entry.id, entry.address, indexes(entry))
}

pub(crate) fn service(entry: &Stored<Service>) -> String {
    let (id, name, tags, port) = (&entry.id, &entry.name, &entry.tags, entry.port);
    format!("{id} of {name} tags={tags:?} port={port} {}", indexes(entry))
}

pub(crate) fn owner(owner: &AddressOwner) -> String {
    match owner {
        AddressOwner::Node(entry) => node(entry),
        AddressOwner::Service(entry) => service(entry),
    }
}

pub(crate) fn check(entry: &Stored<Check>) -> String {
    let of = if entry.service_id.is_empty() {
        String::new()
    } else {
        format!(" of {} ({} {:?})", entry.service_id, entry.service_name, entry.service_tags)
    };
    format!("check {} {} on {}{of} {}", entry.check_id, entry.status, entry.node, indexes(entry))
}

pub(crate) fn health(instance: &HealthInstance) -> String {
    let checks: Vec<String> =
        instance.checks.iter().map(|c| format!("{}:{}", c.check_id, c.status)).collect();
    format!("{} on {} [{}]", service(&instance.service), instance.node.name, checks.join(" "))
}

pub(crate) fn config(entry: &Stored<ConfigEntry>) -> String {
    let body = String::from_utf8_lossy(&entry.body);
    format!("{} {} {body:?} {}", entry.kind, entry.name, indexes(entry))
}

pub(crate) fn session(entry: &Stored<Session>) -> String {
    format!("session {} on {} {:?} {}", entry.id, entry.node, entry.behavior, indexes(entry))
}

pub(crate) fn query(entry: &Stored<Query>) -> String {
    let kind = if entry.template { "template" } else { "query" };
    let session = entry.session.as_ref().map(|s| format!(" session={s}")).unwrap_or_default();
    format!("{kind} {} {:?}{session} {:?} {}", entry.id, entry.name, entry.definition, indexes(entry))
}

pub(crate) fn event(event: &Event) -> String {
    format!("event {} {} ltime={}", event.id, event.name, event.ltime)
}

pub(crate) fn coordinate(entry: &Stored<NodeCoordinate>) -> String {
    let (node, segment, height) = (&entry.node, &entry.segment, entry.coordinate.height);
    format!("{node} in {segment:?} at {height} {}", indexes(entry))
}

fn indexes<T>(entry: &Stored<T>) -> String {
    format!("[{} {}]", entry.create_index, entry.modify_index)
}
