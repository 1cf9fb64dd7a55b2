//! The hash of a service that `?hash=` waits on: the one that Consul's client library's own form of the service gives.
//!
//! The rule is that of <https://github.com/mitchellh/hashstructure>, version 1: FNV-1 over the bytes of plain values; names of fields
//! count, their order does not; what is missing is its type's zero.

use serde_json::Value;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What a value is in Go.
enum Shape {
    Text,
    Int,
    Bool,
    /// Nothing is known of it: an `interface {}`.
    Any,
    List(&'static Self),
    Map(&'static Self),
    Struct(&'static Struct),
    /// A pointer: nothing counts as the number 0.
    Maybe(&'static Struct),
}

/// A struct's name, and its fields.
struct Struct(&'static str, &'static [(&'static str, Shape)]);

use Shape::{Any, Bool, Int, List, Map, Maybe, Text};

const SERVICE: Struct = Struct(
    "AgentService",
    &[
        ("Kind", Text),
        ("ID", Text),
        ("Service", Text),
        ("Tags", List(&Text)),
        ("Meta", Map(&Text)),
        ("Port", Int),
        ("Address", Text),
        ("SocketPath", Text),
        ("TaggedAddresses", Map(&Shape::Struct(&ADDRESS))),
        ("Weights", Shape::Struct(&WEIGHTS)),
        ("EnableTagOverride", Bool),
        ("CreateIndex", Int),
        ("ModifyIndex", Int),
        ("ContentHash", Text),
        ("Proxy", Maybe(&PROXY)),
        ("Connect", Maybe(&CONNECT)),
        ("PeerName", Text),
    ],
);
const ADDRESS: Struct = Struct("ServiceAddress", &[("Address", Text), ("Port", Int)]);
const WEIGHTS: Struct = Struct("AgentWeights", &[("Passing", Int), ("Warning", Int)]);
/// The sidecar is never shown: it is a service of its own by then.
const CONNECT: Struct = Struct("AgentServiceConnect", &[("Native", Bool), ("SidecarService", Any)]);
const PROXY: Struct = Struct(
    "AgentServiceConnectProxyConfig",
    &[
        ("EnvoyExtensions", List(&Any)),
        ("DestinationServiceName", Text),
        ("DestinationServiceID", Text),
        ("LocalServiceAddress", Text),
        ("LocalServicePort", Int),
        ("LocalServiceSocketPath", Text),
        ("Mode", Text),
        ("TransparentProxy", Maybe(&TRANSPARENT_PROXY)),
        ("Config", Map(&Any)),
        ("Upstreams", List(&Shape::Struct(&UPSTREAM))),
        ("MeshGateway", Shape::Struct(&MESH_GATEWAY)),
        ("Expose", Shape::Struct(&EXPOSE)),
        ("AccessLogs", Maybe(&ACCESS_LOGS)),
    ],
);
const TRANSPARENT_PROXY: Struct =
    Struct("TransparentProxyConfig", &[("OutboundListenerPort", Int), ("DialedDirectly", Bool)]);
const UPSTREAM: Struct = Struct(
    "Upstream",
    &[
        ("DestinationType", Text),
        ("DestinationPartition", Text),
        ("DestinationNamespace", Text),
        ("DestinationPeer", Text),
        ("DestinationName", Text),
        ("Datacenter", Text),
        ("LocalBindAddress", Text),
        ("LocalBindPort", Int),
        ("LocalBindSocketPath", Text),
        ("LocalBindSocketMode", Text),
        ("Config", Map(&Any)),
        ("MeshGateway", Shape::Struct(&MESH_GATEWAY)),
        ("CentrallyConfigured", Bool),
    ],
);
const MESH_GATEWAY: Struct = Struct("MeshGatewayConfig", &[("Mode", Text)]);
const EXPOSE: Struct = Struct("ExposeConfig", &[("Checks", Bool), ("Paths", List(&Shape::Struct(&PATH)))]);
const PATH: Struct = Struct(
    "ExposePath",
    &[
        ("ListenerPort", Int),
        ("Path", Text),
        ("LocalPathPort", Int),
        ("Protocol", Text),
        ("ParsedFromCheck", Bool),
    ],
);
const ACCESS_LOGS: Struct = Struct(
    "AccessLogsConfig",
    &[
        ("Enabled", Bool),
        ("DisableListenerLogs", Bool),
        ("Type", Text),
        ("Path", Text),
        ("JSONFormat", Text),
        ("TextFormat", Text),
    ],
);

/// The hash of a service as the API shows it, without its hash: `3e352f348d44f7eb`. Datacenter and locality do not count.
pub(super) fn content_hash(shown: &Value) -> String {
    format!("{:x}", fields(shown, &SERVICE))
}

fn hash(value: &Value, shape: &Shape) -> u64 {
    match shape {
        Text => text(value.as_str().unwrap_or_default()),
        Int => int(value.as_i64().unwrap_or_default()),
        Bool => fnv(&[u8::from(value == true)]),
        Any => anything(value),
        List(of) => list(value, of),
        Map(of) => map(value, of),
        Shape::Struct(of) => fields(value, of),
        Maybe(of) if value.is_object() => fields(value, of),
        Maybe(_) => int(0),
    }
}

fn fields(value: &Value, Struct(name, fields): &Struct) -> u64 {
    let of = |(field, shape): &(&str, Shape)| ordered(text(field), hash(&value[*field], shape));
    fields.iter().map(of).fold(text(name), |all, one| all ^ one)
}

fn list(value: &Value, of: &Shape) -> u64 {
    value.as_array().into_iter().flatten().fold(0, |before, element| ordered(before, hash(element, of)))
}

fn map(value: &Value, of: &Shape) -> u64 {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| ordered(text(key), hash(value, of))).fold(0, |all, one| all ^ one)
}

/// JSON as Go reads it when it does not know better: all numbers are floating.
fn anything(value: &Value) -> u64 {
    match value {
        Value::Null => int(0),
        Value::Bool(_) => hash(value, &Bool),
        Value::Number(number) => fnv(&number.as_f64().unwrap_or_default().to_le_bytes()),
        Value::String(said) => text(said),
        Value::Array(_) => list(value, &Any),
        Value::Object(_) => map(value, &Any),
    }
}

fn text(text: &str) -> u64 {
    fnv(text.as_bytes())
}

fn int(number: i64) -> u64 {
    fnv(&number.to_le_bytes())
}

fn ordered(first: u64, second: u64) -> u64 {
    first.to_le_bytes().iter().chain(&second.to_le_bytes()).fold(FNV_OFFSET, fnv_step)
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_OFFSET, fnv_step)
}

fn fnv_step(hash: u64, byte: &u8) -> u64 {
    hash.wrapping_mul(FNV_PRIME) ^ u64::from(*byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(id: &str, more: Value) -> Value {
        let mut shown = json!({
            "ID": id, "Service": id, "Tags": [], "Meta": {}, "Port": 0, "Address": "",
            "Weights": { "Passing": 1, "Warning": 1 }, "EnableTagOverride": false, "Datacenter": "dc1",
        });
        let (Some(shown_fields), Value::Object(more)) = (shown.as_object_mut(), more) else { return shown };
        shown_fields.extend(more);
        shown
    }

    fn proxy(id: &str, said: Value) -> Value {
        let mut proxy = json!({ "DestinationServiceName": "web", "MeshGateway": {}, "Expose": {} });
        let (Some(fields), Value::Object(said)) = (proxy.as_object_mut(), said) else { return proxy };
        fields.extend(said);
        service(id, json!({ "Kind": "connect-proxy", "Port": 99, "Proxy": proxy }))
    }

    /// All of these a Consul 1.21 gave.
    #[test]
    fn hashes_are_those_of_consul() {
        let table = [
            (service("foo", json!({ "Tags": ["bar", "baz"], "Port": 8000 })), "3e352f348d44f7eb"),
            (
                service(
                    "a",
                    json!({
                        "Meta": { "x": "y", "z": "1" }, "Address": "10.0.0.1", "EnableTagOverride": true,
                        "TaggedAddresses": {
                            "lan": { "Address": "1.2.3.4", "Port": 5 },
                            "lan_ipv4": { "Address": "10.0.0.1", "Port": 0 },
                            "wan_ipv4": { "Address": "10.0.0.1", "Port": 0 },
                        },
                        "Weights": { "Passing": 3, "Warning": 2 }, "Locality": { "Region": "r", "Zone": "" },
                    }),
                ),
                "a6ffddeb543b1ddd",
            ),
            (service("n", json!({ "Connect": { "Native": true }, "SocketPath": "/x" })), "61553825940ebf92"),
            (service("l4", json!({})), "1812b7dcaceff2c"),
            (
                proxy(
                    "q1",
                    json!({ "Config": {
                        "a": 1, "b": 1.5, "c": "x", "d": true, "e": null, "f": [1, "x"], "g": { "h": 2 },
                    } }),
                ),
                "a56cd5cd037b7491",
            ),
            (
                proxy(
                    "p12",
                    json!({ "Expose": { "Paths": [{
                        "ListenerPort": 1, "Path": "/x", "LocalPathPort": 3, "Protocol": "http",
                        "ParsedFromCheck": false,
                    }] } }),
                ),
                "e34fedf566462a0e",
            ),
            (
                proxy(
                    "r3",
                    json!({
                        "TransparentProxy": { "OutboundListenerPort": 7 },
                        "AccessLogs": { "Enabled": true, "Type": "stdout" },
                    }),
                ),
                "6bdf05efe1591f82",
            ),
            (
                proxy(
                    "p19",
                    json!({ "Upstreams": [{
                    "DestinationType": "prepared_query", "DestinationName": "db", "LocalBindPort": 1234,
                    "MeshGateway": { "Mode": "none" },
                }] }),
                ),
                "ea2dbd8f05ed8762",
            ),
        ];
        for (shown, hash) in table {
            assert_eq!(content_hash(&shown), hash, "{shown}");
        }
    }
}
