//! What handlers get: the fields of Consul's API client, in its order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

type Pairs = Option<BTreeMap<String, String>>;

/// An entry of the key-value store.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Pair {
    key: String,
    create_index: u64,
    modify_index: u64,
    lock_index: u64,
    flags: u64,
    value: Option<String>,
    session: String,
}

/// A node.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Node {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: Pairs,
    meta: Pairs,
    create_index: u64,
    modify_index: u64,
}

/// An instance with its node and checks.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Instance {
    node: Node,
    service: Service,
    checks: Vec<Check>,
}

/// An instance.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(rename = "ID")]
    id: String,
    service: String,
    tags: Option<Vec<String>>,
    meta: Pairs,
    port: i64,
    address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    socket_path: String,
    #[serde(skip_serializing_if = "no_entries")]
    tagged_addresses: Option<BTreeMap<String, ServiceAddress>>,
    weights: Weights,
    enable_tag_override: bool,
    create_index: u64,
    modify_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Value>,
}

/// What an instance that is a proxy says of itself.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Proxy {
    #[serde(skip_serializing_if = "String::is_empty")]
    destination_service_name: String,
    #[serde(rename = "DestinationServiceID", skip_serializing_if = "String::is_empty")]
    destination_service_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    local_service_address: String,
    #[serde(skip_serializing_if = "is_zero")]
    local_service_port: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    local_service_socket_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<BTreeMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstreams: Option<Vec<Value>>,
    mesh_gateway: BTreeMap<String, Value>,
    expose: BTreeMap<String, Value>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn no_entries<K, V>(map: &Option<BTreeMap<K, V>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceAddress {
    address: String,
    port: i64,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Weights {
    passing: i64,
    warning: i64,
}

/// A check.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Check {
    node: String,
    #[serde(rename = "CheckID")]
    check_id: String,
    name: String,
    status: String,
    notes: String,
    output: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    service_name: String,
    service_tags: Option<Vec<String>>,
    #[serde(rename = "Type")]
    kind: String,
    exposed_port: i64,
    definition: Definition,
    create_index: u64,
    modify_index: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Definition {
    interval: String,
    timeout: String,
    deregister_critical_service_after: String,
    #[serde(rename = "HTTP")]
    http: String,
    header: Option<BTreeMap<String, Vec<String>>>,
    method: String,
    body: String,
    #[serde(rename = "TLSServerName")]
    tls_server_name: String,
    #[serde(rename = "TLSSkipVerify")]
    tls_skip_verify: bool,
    #[serde(rename = "TCP")]
    tcp: String,
    #[serde(rename = "TCPUseTLS")]
    tcp_use_tls: bool,
    #[serde(rename = "UDP")]
    udp: String,
    #[serde(rename = "GRPC")]
    grpc: String,
    #[serde(rename = "OSService")]
    os_service: String,
    #[serde(rename = "GRPCUseTLS")]
    grpc_use_tls: bool,
}

impl Default for Definition {
    fn default() -> Self {
        let none = || "0s".to_owned();
        Self {
            interval: none(),
            timeout: none(),
            deregister_critical_service_after: none(),
            http: String::new(),
            header: None,
            method: String::new(),
            body: String::new(),
            tls_server_name: String::new(),
            tls_skip_verify: false,
            tcp: String::new(),
            tcp_use_tls: false,
            udp: String::new(),
            grpc: String::new(),
            os_service: String::new(),
            grpc_use_tls: false,
        }
    }
}
