//! The registry's records as values: their Go types, names and fields.

use std::sync::Arc;

use go_template::{IntKind, Key, List, Struct, StructType, Type, Value};
use registry_wire::catalog::{HealthCheck, Node, ServiceAddress, TextMap};
use registry_wire::duration;
use serde_json::Value as Json;

use super::time;
use crate::answers::{Answer, CatalogNode, CatalogNodeService, CatalogSnippet, HealthService, KeyPair};

const TAGS: Type = Type::NamedList("dependency.ServiceTags", &Type::Str);
const ADDRESSES: Type = Type::Map(&Type::Str, &Type::Struct(&SERVICE_ADDRESS));
const CHECKS: Type = Type::NamedList("api.HealthChecks", &Type::Pointer(&HEALTH_CHECK));

/// A list of instances.
pub const HEALTH_SERVICES: Type = Type::List(&Type::Pointer(&HEALTH_SERVICE));
/// A list of keys.
pub const KEY_PAIRS: Type = Type::List(&Type::Pointer(&KEY_PAIR));
/// A list of service names with tags.
pub const CATALOG_SNIPPETS: Type = Type::List(&Type::Pointer(&CATALOG_SNIPPET));
/// A list of nodes.
pub const NODES: Type = Type::List(&Type::Pointer(&NODE));

/// A node with its services.
pub(super) const CATALOG_NODE_POINTER: Type = Type::Pointer(&CATALOG_NODE);

/// One key with its value.
pub static KEY_PAIR: StructType = StructType {
    name: "dependency.KeyPair",
    fields: &[
        ("Path", Type::Str),
        ("Key", Type::Str),
        ("Value", Type::Str),
        ("CreateIndex", Type::UINT64),
        ("ModifyIndex", Type::UINT64),
        ("LockIndex", Type::UINT64),
        ("Flags", Type::UINT64),
        ("Session", Type::Str),
    ],
};

/// One instance of a service.
pub static HEALTH_SERVICE: StructType = StructType {
    name: "dependency.HealthService",
    fields: &[
        ("Node", Type::Str),
        ("NodeID", Type::Str),
        ("NodeAddress", Type::Str),
        ("NodeTaggedAddresses", Type::STR_MAP),
        ("NodeMeta", Type::STR_MAP),
        ("ServiceMeta", Type::STR_MAP),
        ("Address", Type::Str),
        ("ServiceTaggedAddresses", ADDRESSES),
        ("ID", Type::Str),
        ("Name", Type::Str),
        ("Tags", TAGS),
        ("Checks", CHECKS),
        ("Status", Type::Str),
        ("Port", Type::INT),
        ("Weights", Type::Struct(&WEIGHTS)),
    ],
};

static SERVICE_ADDRESS: StructType =
    StructType { name: "api.ServiceAddress", fields: &[("Address", Type::Str), ("Port", Type::INT)] };

static WEIGHTS: StructType =
    StructType { name: "api.AgentWeights", fields: &[("Passing", Type::INT), ("Warning", Type::INT)] };

static HEALTH_CHECK: StructType = StructType {
    name: "api.HealthCheck",
    fields: &[
        ("Node", Type::Str),
        ("CheckID", Type::Str),
        ("Name", Type::Str),
        ("Status", Type::Str),
        ("Notes", Type::Str),
        ("Output", Type::Str),
        ("ServiceID", Type::Str),
        ("ServiceName", Type::Str),
        ("ServiceTags", Type::STRINGS),
        ("Type", Type::Str),
        ("Namespace", Type::Str),
        ("Partition", Type::Str),
        ("ExposedPort", Type::INT),
        ("PeerName", Type::Str),
        ("Definition", Type::Struct(&DEFINITION)),
        ("CreateIndex", Type::UINT64),
        ("ModifyIndex", Type::UINT64),
    ],
};

/// What a check does.
static DEFINITION: StructType = StructType {
    name: "api.HealthCheckDefinition",
    fields: &[
        ("HTTP", Type::Str),
        ("Header", Type::Map(&Type::Str, &Type::STRINGS)),
        ("Method", Type::Str),
        ("Body", Type::Str),
        ("TLSServerName", Type::Str),
        ("TLSSkipVerify", Type::Bool),
        ("TCP", Type::Str),
        ("TCPUseTLS", Type::Bool),
        ("UDP", Type::Str),
        ("GRPC", Type::Str),
        ("OSService", Type::Str),
        ("GRPCUseTLS", Type::Bool),
        ("IntervalDuration", Type::Int(IntKind::Duration)),
        ("TimeoutDuration", Type::Int(IntKind::Duration)),
        ("DeregisterCriticalServiceAfterDuration", Type::Int(IntKind::Duration)),
        ("SessionName", Type::Str),
        ("Interval", Type::Int(IntKind::ReadableDuration)),
        ("Timeout", Type::Int(IntKind::ReadableDuration)),
        ("DeregisterCriticalServiceAfter", Type::Int(IntKind::ReadableDuration)),
    ],
};

/// The fields of a record as JSON has them: Consul's own types leave some out, and write some another way. A record that is held
/// by value, where Go finds no address of it, is without those ways.
pub(super) fn json_fields(record: &Struct, is_by_value: bool) -> Vec<(&'static str, Value)> {
    let fields = record.ty.fields.iter().map(|(name, _)| *name).zip(record.fields.iter().cloned());
    match record.ty.name {
        "api.CARoot" => {
            let is_left_out = |name| matches!(name, "NotBefore" | "NotAfter" | "DaysRemaining");
            let fields = fields.filter(|(name, value)| !is_left_out(name) || value.truth());
            fields
                .map(|(name, value)| (if name == "RootCertPEM" { "RootCert" } else { name }, value))
                .collect()
        }
        "api.HealthCheck" => {
            let is_left_out = |name| matches!(name, "Namespace" | "Partition" | "PeerName");
            fields.filter(|(name, value)| !is_left_out(name) || value.truth()).collect()
        }
        "api.HealthCheckDefinition" => {
            let fields = fields.filter(|(name, value)| {
                !name.ends_with("Duration") && (*name != "SessionName" || value.truth())
            });
            if is_by_value { fields.collect() } else { definition_fields(fields.collect()) }
        }
        _ => fields.collect(),
    }
}

/// Whether code of Consul's own writes a record in JSON.
pub(super) fn writes_itself(record: &Struct) -> bool {
    record.ty == &DEFINITION
}

/// With the durations first, and as texts.
fn definition_fields(fields: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    let (durations, others): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(_, value)| matches!(value, Value::Int(..)));
    let text = |value: &Value| match value {
        Value::Int(nanoseconds, _) => Value::from(go_template::fmt::duration(*nanoseconds)),
        value => value.clone(),
    };
    durations.into_iter().map(|(name, value)| (name, text(&value))).chain(others).collect()
}

/// A service's name and tags.
pub static CATALOG_SNIPPET: StructType =
    StructType { name: "dependency.CatalogSnippet", fields: &[("Name", Type::Str), ("Tags", TAGS)] };

static NODE: StructType = StructType {
    name: "dependency.Node",
    fields: &[
        ("ID", Type::Str),
        ("Node", Type::Str),
        ("Address", Type::Str),
        ("Datacenter", Type::Str),
        ("TaggedAddresses", Type::STR_MAP),
        ("Meta", Type::STR_MAP),
    ],
};

static CATALOG_NODE: StructType = StructType {
    name: "dependency.CatalogNode",
    fields: &[
        ("Node", Type::Pointer(&NODE)),
        ("Services", Type::List(&Type::Pointer(&CATALOG_NODE_SERVICE))),
    ],
};

static CATALOG_NODE_SERVICE: StructType = StructType {
    name: "dependency.CatalogNodeService",
    fields: &[
        ("ID", Type::Str),
        ("Service", Type::Str),
        ("Tags", TAGS),
        ("Meta", Type::STR_MAP),
        ("Port", Type::INT),
        ("Address", Type::Str),
        ("EnableTagOverride", Type::Bool),
    ],
};

fn list(ty: Type, items: Vec<Value>) -> Value {
    Value::List(Arc::new(List { ty, items, nil: false }))
}

/// A map of texts, or nil.
fn text_map(map: Option<&TextMap>) -> Value {
    let Some(map) = map else { return Value::zero(Type::STR_MAP) };
    Value::map(Type::STR_MAP, map.iter().map(|(k, v)| (Key::text(k), Value::from(v.as_str()))).collect())
}

fn tags(tags: &[String]) -> Value {
    list(TAGS, tags.iter().map(|tag| Value::from(tag.as_str())).collect())
}

/// An answer that is records, as the function gives it that asks for it whole.
pub(crate) fn records(answer: &Answer) -> Option<Value> {
    Some(match answer {
        Answer::Instances(instances) => health_services(instances),
        Answer::Services(services) => catalog_snippets(services),
        Answer::Nodes(found) => nodes(found),
        Answer::Node(node) => catalog_node(node),
        Answer::Key(_)
        | Answer::Pairs(_)
        | Answer::Datacenters(_)
        | Answer::Documents(_)
        | Answer::File(_) => return None,
    })
}

/// Keys as `ls` and `tree` give them.
pub fn key_pairs<'a>(pairs: impl IntoIterator<Item = &'a KeyPair>) -> Value {
    list(KEY_PAIRS, pairs.into_iter().map(key_pair).collect())
}

fn key_pair(pair: &KeyPair) -> Value {
    Value::pointer(
        &KEY_PAIR,
        vec![
            Value::from(pair.path.as_str()),
            Value::from(pair.key.as_str()),
            Value::from(pair.value.as_slice()),
            Value::uint(pair.create_index),
            Value::uint(pair.modify_index),
            Value::uint(pair.lock_index),
            Value::uint(pair.flags),
            Value::from(pair.session.as_str()),
        ],
    )
}

/// Instances as `service` gives them.
pub fn health_services(services: &[HealthService]) -> Value {
    list(HEALTH_SERVICES, services.iter().map(health_service).collect())
}

fn health_service(service: &HealthService) -> Value {
    let address = |a: &ServiceAddress| {
        Value::record(&SERVICE_ADDRESS, vec![Value::from(a.address.as_str()), Value::int(a.port)])
    };
    let addresses = service.service_tagged_addresses.as_ref().map(|addresses| {
        Value::map(ADDRESSES, addresses.iter().map(|(name, a)| (Key::text(name), address(a))).collect())
    });
    let weights = vec![Value::int(service.weights.passing), Value::int(service.weights.warning)];
    Value::pointer(
        &HEALTH_SERVICE,
        vec![
            Value::from(service.node.as_str()),
            Value::from(service.node_id.as_str()),
            Value::from(service.node_address.as_str()),
            text_map(service.node_tagged_addresses.as_ref()),
            text_map(service.node_meta.as_ref()),
            text_map(service.service_meta.as_ref()),
            Value::from(service.address.as_str()),
            addresses.unwrap_or_else(|| Value::zero(ADDRESSES)),
            Value::from(service.id.as_str()),
            Value::from(service.name.as_str()),
            tags(&service.tags),
            list(CHECKS, service.checks.iter().map(health_check).collect()),
            Value::from(service.status.as_str()),
            Value::int(service.port),
            Value::record(&WEIGHTS, weights),
        ],
    )
}

fn health_check(check: &HealthCheck) -> Value {
    Value::pointer(
        &HEALTH_CHECK,
        vec![
            Value::from(check.node.as_str()),
            Value::from(check.check_id.as_str()),
            Value::from(check.name.as_str()),
            Value::from(check.status.as_str()),
            Value::from(check.notes.as_str()),
            Value::from(check.output.as_str()),
            Value::from(check.service_id.as_str()),
            Value::from(check.service_name.as_str()),
            check.service_tags.as_ref().map_or_else(|| Value::zero(Type::STRINGS), Value::strings),
            Value::from(check.kind.as_str()),
            Value::from(""),
            Value::from(""),
            Value::int(check.exposed_port),
            Value::from(""),
            definition(&check.definition),
            Value::uint(check.create_index),
            Value::uint(check.modify_index),
        ],
    )
}

fn definition(json: &serde_json::Map<String, Json>) -> Value {
    let nanoseconds = |name: &str| match json.get(name) {
        Some(Json::String(text)) => duration::parse_nanos(text).unwrap_or(0),
        Some(number) => number.as_i64().unwrap_or(0),
        None => 0,
    };
    let field = |(name, ty): &(&'static str, Type)| match *ty {
        Type::Int(kind) => Value::Int(nanoseconds(name.strip_suffix("Duration").unwrap_or(name)), kind),
        ty => of_json(ty, json.get(*name), &[]),
    };
    Value::record(&DEFINITION, DEFINITION.fields.iter().map(field).collect())
}

/// Fields that have another name in the registry's JSON.
pub(super) type Names = &'static [(&'static str, &'static str)];

/// JSON as a value of this type; what is missing or of another kind is its zero value.
pub(super) fn of_json(ty: Type, json: Option<&Json>, names: Names) -> Value {
    let element_of = |element: &Type, json: &Json| of_json(*element, Some(json), names);
    if let Some(time) = time::of_text(ty, json.and_then(Json::as_str)) {
        return time;
    }
    let found = json.and_then(|json| match ty {
        Type::Bool => json.as_bool().map(Value::Bool),
        Type::Str => json.as_str().map(Value::from),
        Type::Uint(_) => json.as_u64().map(Value::uint),
        Type::List(element) => json
            .as_array()
            .map(|items| Value::list(element, items.iter().map(|item| element_of(element, item)).collect())),
        Type::Map(_, element) => json.as_object().map(|pairs| {
            let pair = |(key, value): (&String, &Json)| (Key::text(key), element_of(element, value));
            Value::map(ty, pairs.iter().map(pair).collect())
        }),
        Type::Struct(record) => Some(Value::record(record, fields_of_json(record, json, names))),
        // A nil one that points at no record stays so.
        Type::Pointer(record) if !record.fields.is_empty() => {
            Some(Value::pointer(record, fields_of_json(record, json, names)))
        }
        _ => None,
    });
    found.unwrap_or_else(|| match ty {
        Type::Struct(record) => Value::record(record, fields_of_json(record, &Json::Null, names)),
        ty => Value::zero(ty),
    })
}

fn fields_of_json(record: &'static StructType, json: &Json, names: Names) -> Vec<Value> {
    let name_of = |name: &'static str| {
        names.iter().find(|(field, _)| *field == name).map_or(name, |(_, in_json)| *in_json)
    };
    record.fields.iter().map(|(name, ty)| of_json(*ty, json.get(name_of(name)), names)).collect()
}

/// Service names as `services` gives them.
pub fn catalog_snippets(snippets: &[CatalogSnippet]) -> Value {
    let snippet = |s: &CatalogSnippet| {
        Value::pointer(&CATALOG_SNIPPET, vec![Value::from(s.name.as_str()), tags(&s.tags)])
    };
    list(CATALOG_SNIPPETS, snippets.iter().map(snippet).collect())
}

/// Nodes as `nodes` gives them.
pub fn nodes(nodes: &[Node]) -> Value {
    list(NODES, nodes.iter().map(node).collect())
}

fn node(node: &Node) -> Value {
    Value::pointer(
        &NODE,
        vec![
            Value::from(node.id.as_str()),
            Value::from(node.node.as_str()),
            Value::from(node.address.as_str()),
            Value::from(node.datacenter.as_str()),
            text_map(node.tagged_addresses.as_ref()),
            text_map(node.meta.as_ref()),
        ],
    )
}

/// A node and its services as `node` gives them.
pub fn catalog_node(found: &CatalogNode) -> Value {
    let ty = CATALOG_NODE.fields[1].1;
    let fields = match &found.node {
        Some(known) => {
            vec![node(known), list(ty, found.services.iter().map(catalog_node_service).collect())]
        }
        None => vec![Value::Pointer(&NODE, None), Value::zero(ty)],
    };
    Value::pointer(&CATALOG_NODE, fields)
}

fn catalog_node_service(service: &CatalogNodeService) -> Value {
    Value::pointer(
        &CATALOG_NODE_SERVICE,
        vec![
            Value::from(service.id.as_str()),
            Value::from(service.service.as_str()),
            tags(&service.tags),
            text_map(service.meta.as_ref()),
            Value::int(service.port),
            Value::from(service.address.as_str()),
            Value::Bool(service.enable_tag_override),
        ],
    )
}
