//! What the state holds, as Consul's JSON shows it; and what bodies say, as the state takes it.

use std::collections::BTreeMap;

use registry_state::{
    Behavior, Check, Coordinate, Event, KvEntry, Node, NodeCoordinate, Service, Session, Stored, Weights,
    read::HealthInstance,
};
use registry_wire::{
    catalog as wire, coordinate as wire_coordinate,
    event::UserEvent,
    json,
    kv::{KvPair, decode_value, encode_value},
    percent::lossy,
    register::{CheckBody, Locality, NodeBody, ServiceBody, TxnCheckBody},
    session as wire_session,
};
use serde_json::Value;

/// A key.
pub fn kv(entry: &Stored<KvEntry>) -> KvPair {
    KvPair {
        lock_index: entry.lock_index,
        key: lossy(entry.key.as_bytes()),
        flags: entry.flags,
        value: encode_value(&entry.value.value),
        session: entry.session.as_deref().unwrap_or_default().to_owned(),
        create_index: entry.create_index,
        modify_index: entry.modify_index,
    }
}

/// A node.
pub fn node(node: &Stored<Node>, datacenter: &str) -> wire::Node {
    wire::Node {
        id: node.id.clone(),
        node: node.name.clone(),
        address: node.address.clone(),
        datacenter: datacenter.to_owned(),
        tagged_addresses: node.tagged_addresses.clone(),
        meta: node.meta.clone(),
        locality: opaque(&node.locality),
        create_index: node.create_index,
        modify_index: node.modify_index,
    }
}

/// An instance.
pub fn service(service: &Stored<Service>) -> wire::NodeService {
    wire::NodeService {
        kind: service.kind.clone(),
        id: service.id.clone(),
        service: service.name.clone(),
        tags: Some(service.tags.clone()),
        address: service.address.clone(),
        tagged_addresses: addresses(service),
        meta: service.meta.clone(),
        port: service.port,
        socket_path: service.socket_path.clone(),
        weights: weights(service.weights),
        enable_tag_override: service.enable_tag_override,
        proxy: proxy(service),
        connect: connect(service),
        locality: opaque(&service.locality),
        peer_name: String::new(),
        create_index: service.create_index,
        modify_index: service.modify_index,
    }
}

/// An instance as its owner gave it: tags that nobody gave are `null`. Transactions, queries and the web page show it so.
pub(super) fn service_as_given(stored: &Stored<Service>) -> wire::NodeService {
    let tags = Some(stored.tags.clone()).filter(|tags| !tags.is_empty() || stored.empty_tags);
    wire::NodeService { tags, ..service(stored) }
}

/// A check in the same form.
pub(super) fn check_as_given(stored: &Stored<Check>) -> wire::HealthCheck {
    let service_tags = Some(stored.service_tags.clone()).filter(|tags| !tags.is_empty());
    wire::HealthCheck { service_tags, ..check(stored) }
}

/// An instance with its node in one object.
pub fn service_node(node: &Stored<Node>, service: &Stored<Service>, datacenter: &str) -> wire::ServiceNode {
    wire::ServiceNode {
        id: node.id.clone(),
        node: node.name.clone(),
        address: node.address.clone(),
        datacenter: datacenter.to_owned(),
        tagged_addresses: node.tagged_addresses.clone(),
        node_meta: node.meta.clone(),
        service_kind: service.kind.clone(),
        service_id: service.id.clone(),
        service_name: service.name.clone(),
        service_tags: service.tags.clone(),
        service_address: service.address.clone(),
        service_tagged_addresses: addresses(service),
        service_weights: weights(service.weights),
        service_meta: service.meta.clone().unwrap_or_default(),
        service_port: service.port,
        service_socket_path: service.socket_path.clone(),
        service_enable_tag_override: service.enable_tag_override,
        service_proxy: proxy(service),
        service_connect: connect(service),
        service_locality: opaque(&service.locality),
        create_index: service.create_index,
        modify_index: service.modify_index,
    }
}

/// A check.
pub fn check(check: &Stored<Check>) -> wire::HealthCheck {
    wire::HealthCheck {
        node: check.node.clone(),
        check_id: check.check_id.clone(),
        name: check.name.clone(),
        status: check.status.clone(),
        notes: check.notes.clone(),
        output: check.output.clone(),
        service_id: check.service_id.clone(),
        service_name: check.service_name.clone(),
        service_tags: Some(check.service_tags.clone()),
        kind: check.kind.clone(),
        interval: check.interval.clone(),
        timeout: check.timeout.clone(),
        exposed_port: check.exposed_port,
        definition: serde_json::from_str(&check.definition).unwrap_or_default(),
        create_index: check.create_index,
        modify_index: check.modify_index,
    }
}

/// An instance with its node and checks.
pub fn health(instance: &HealthInstance, datacenter: &str) -> wire::CheckServiceNode {
    wire::CheckServiceNode {
        node: node(&instance.node, datacenter),
        service: service(&instance.service),
        checks: instance.checks.iter().map(|c| check(c)).collect(),
    }
}

/// The same as its owners gave it.
pub(super) fn health_as_given(instance: &HealthInstance, datacenter: &str) -> wire::CheckServiceNode {
    wire::CheckServiceNode {
        node: node(&instance.node, datacenter),
        service: service_as_given(&instance.service),
        checks: instance.checks.iter().map(|c| check_as_given(c)).collect(),
    }
}

/// Where a node is.
pub fn coordinate(entry: &NodeCoordinate) -> wire_coordinate::NodeCoordinate {
    let Coordinate { vec, error, adjustment, height } = entry.coordinate;
    wire_coordinate::NodeCoordinate {
        node: entry.node.clone(),
        segment: entry.segment.clone(),
        coord: wire_coordinate::Coordinate { vec: vec.to_vec(), error, adjustment, height },
    }
}

/// The coordinate of a body that was found valid; dimensions beyond those that there are do not count.
pub(crate) fn coordinate_from(shown: &wire_coordinate::Coordinate) -> Coordinate {
    let mut vec = [0.0; wire_coordinate::DIMENSIONS];
    vec.iter_mut().zip(&shown.vec).for_each(|(into, from)| *into = *from);
    Coordinate { vec, error: shown.error, adjustment: shown.adjustment, height: shown.height }
}

/// A user event.
pub(crate) fn event(event: &Event) -> UserEvent {
    UserEvent {
        id: event.id.clone(),
        name: event.name.clone(),
        payload: encode_value(&event.payload),
        node_filter: event.node_filter.clone(),
        service_filter: event.service_filter.clone(),
        tag_filter: event.tag_filter.clone(),
        version: 1,
        ltime: event.ltime,
    }
}

/// The event of an agent's call; one whose payload is no base64 comes from no agent of ours and loses it.
pub(crate) fn event_from(shown: UserEvent) -> Event {
    let payload = shown.payload.as_deref().and_then(|text| decode_value(text).ok()).unwrap_or_default();
    Event {
        id: shown.id,
        name: shown.name,
        payload: payload.into(),
        node_filter: shown.node_filter,
        service_filter: shown.service_filter,
        tag_filter: shown.tag_filter,
        ltime: 0,
    }
}

/// A session.
pub fn session(session: &Stored<Session>) -> wire_session::Session {
    let service_checks = session.service_checks.as_ref().map(|checks| {
        let shown = |c: &registry_state::ServiceCheckRef| wire_session::ServiceCheck {
            id: c.id.clone(),
            namespace: c.namespace.clone(),
        };
        checks.iter().map(shown).collect()
    });
    wire_session::Session {
        id: session.id.to_string(),
        name: session.name.clone(),
        node: session.node.clone(),
        lock_delay: session.lock_delay_ns,
        behavior: match session.behavior {
            Behavior::Release => "release".to_owned(),
            Behavior::Delete => "delete".to_owned(),
        },
        ttl: session.ttl.clone(),
        node_checks: session.node_checks.clone(),
        service_checks,
        checks: session.checks.clone(),
        create_index: session.create_index,
        modify_index: session.modify_index,
    }
}

/// A node from a transaction's body.
pub(super) fn node_from(body: NodeBody) -> Node {
    Node {
        id: body.id,
        name: body.node,
        address: body.address,
        tagged_addresses: body.tagged_addresses,
        meta: body.meta,
        locality: locality_text(body.locality.as_ref()),
    }
}

/// An instance from a body.
pub(super) fn service_from(body: ServiceBody) -> Service {
    let address =
        |a: wire::ServiceAddress| registry_state::ServiceAddress { address: a.address, port: a.port };
    Service {
        id: body.id,
        name: body.service,
        kind: body.kind,
        empty_tags: body.tags.as_ref().is_some_and(Vec::is_empty),
        tags: body.tags.unwrap_or_default(),
        address: body.address,
        tagged_addresses: body.tagged_addresses.into_iter().map(|(tag, a)| (tag, address(a))).collect(),
        meta: body.meta,
        port: body.port,
        socket_path: body.socket_path,
        // Weights that DNS could not give count as none (as recorded): both become 1.
        weights: body
            .weights
            .filter(|w| (1..=65_535).contains(&w.passing) && (0..=65_535).contains(&w.warning))
            .map_or_else(Weights::default, |w| Weights { passing: w.passing, warning: w.warning }),
        enable_tag_override: body.enable_tag_override,
        proxy: body.proxy.to_text(),
        connect: body.connect.to_text().to_owned(),
        locality: locality_text(body.locality.as_ref()),
    }
}

/// A check from a body. Its kind is what it says, else what its definition is.
pub(super) fn check_from(body: CheckBody) -> Check {
    let kind = if body.kind.is_empty() { body.definition.kind().to_owned() } else { body.kind };
    Check {
        node: body.node,
        check_id: if body.check_id.is_empty() { body.name.clone() } else { body.check_id },
        name: body.name,
        status: body.status,
        notes: body.notes,
        output: body.output,
        service_id: body.service_id,
        service_name: body.service_name,
        service_tags: Vec::new(),
        kind,
        interval: body.interval,
        timeout: body.timeout,
        exposed_port: body.exposed_port,
        definition: body.definition.to_text(),
    }
}

/// A check from a transaction's body. Its kind is what it says.
pub(super) fn txn_check_from(body: TxnCheckBody) -> Check {
    Check {
        node: body.node,
        check_id: body.check_id,
        name: body.name,
        status: body.status,
        notes: body.notes,
        output: body.output,
        service_id: body.service_id,
        service_name: body.service_name,
        kind: body.kind,
        exposed_port: body.exposed_port,
        definition: body.definition.0.to_text(),
        ..Check::default()
    }
}

/// Where something is, as the state keeps it: text, empty when nobody said.
pub(super) fn locality_text(locality: Option<&Locality>) -> String {
    let text = |locality| String::from_utf8(json::to_vec(locality)).expect("JSON is UTF-8");
    locality.map(text).unwrap_or_default()
}

/// A part kept as text, as JSON.
fn opaque(text: &str) -> Option<Value> {
    if text.is_empty() { None } else { serde_json::from_str(text).ok() }
}

/// Whether an instance said `"Connect": {"Native": true}`.
pub(super) fn is_native(service: &Service) -> bool {
    opaque(&service.connect).is_some_and(|connect| connect["Native"] == Value::Bool(true))
}

/// The service that a proxy speaks for.
pub(super) fn destination(service: &Service) -> Option<String> {
    let proxy = opaque(&service.proxy).filter(|_| service.kind == "connect-proxy")?;
    proxy["DestinationServiceName"].as_str().map(str::to_owned)
}

fn connect(service: &Service) -> Value {
    opaque(&service.connect).unwrap_or_else(|| Value::Object(serde_json::Map::new()))
}

fn proxy(service: &Service) -> Value {
    let mut shown = wire::no_proxy();
    if let (Value::Object(shown), Some(Value::Object(sent))) = (&mut shown, opaque(&service.proxy)) {
        shown.extend(sent);
    }
    shown
}

fn weights(weights: Weights) -> wire::Weights {
    wire::Weights { passing: weights.passing, warning: weights.warning }
}

fn addresses(service: &Service) -> Option<BTreeMap<String, wire::ServiceAddress>> {
    let shown = service.tagged_addresses.iter().map(|(tag, address)| {
        (tag.clone(), wire::ServiceAddress { address: address.address.clone(), port: address.port })
    });
    (!service.tagged_addresses.is_empty()).then(|| shown.collect())
}
