//! The agent's services and checks as its API shows them.

use std::collections::BTreeMap;

use registry_wire::catalog::{HealthCheck, NodeService, ServiceAddress, TextMap, Weights};
use serde::Serialize;
use serde_json::{Value, json};

use super::content_hash::content_hash;

/// A service of this agent: `{"ID":"web","Service":"web","Tags":[],"Meta":{},"Port":80,…,"Datacenter":"dc1"}`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AgentService {
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(rename = "ID")]
    id: String,
    service: String,
    tags: Vec<String>,
    meta: TextMap,
    port: i64,
    address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    socket_path: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<String, ServiceAddress>,
    weights: Weights,
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) content_hash: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    proxy: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    connect: Value,
    datacenter: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    locality: Option<Value>,
}

/// The agent shows what a proxy or a gateway says, in the client library's form: without empty words, and without extensions.
fn proxy(service: &NodeService) -> Value {
    if !matches!(
        service.kind.as_str(),
        "connect-proxy" | "mesh-gateway" | "terminating-gateway" | "ingress-gateway" | "api-gateway"
    ) {
        return Value::Null;
    }
    let mut shown = json!(service.proxy());
    let Some(fields) = shown.as_object_mut() else { return Value::Null };
    fields.remove("EnvoyExtensions");
    fields.retain(|_, value| value != "");
    for upstream in fields.get_mut("Upstreams").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = upstream.as_object_mut() {
            fields.retain(|_, value| value != "");
        }
    }
    let paths = fields.get_mut("Expose").and_then(|expose| expose.get_mut("Paths"));
    for path in paths.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = path.as_object_mut() {
            fields.entry("ParsedFromCheck").or_insert(Value::Bool(false));
        }
    }
    shown
}

/// The agent shows both halves of a locality, the catalog only those that are not empty.
fn whole_locality(locality: &Value) -> Value {
    let half = |name: &str| locality.get(name).and_then(Value::as_str).unwrap_or_default();
    json!({ "Region": half("Region"), "Zone": half("Zone") })
}

impl AgentService {
    pub(super) fn new(service: &NodeService, datacenter: &str) -> Self {
        Self {
            kind: service.kind.clone(),
            id: service.id.clone(),
            service: service.service.clone(),
            tags: service.tags.clone().unwrap_or_default(),
            meta: service.meta.clone().unwrap_or_default(),
            port: service.port,
            address: service.address.clone(),
            socket_path: service.socket_path.clone(),
            tagged_addresses: service.tagged_addresses.clone().unwrap_or_default(),
            weights: service.weights,
            enable_tag_override: service.enable_tag_override,
            content_hash: String::new(),
            proxy: proxy(service),
            connect: if service.is_native() { json!({ "Native": true }) } else { Value::Null },
            datacenter: datacenter.to_owned(),
            locality: service.locality.as_ref().map(whole_locality),
        }
    }

    /// The same with its hash.
    pub(super) fn with_hash(mut self) -> Self {
        self.content_hash = content_hash(&json!(self));
        self
    }
}

/// A check as `/v1/agent/checks` shows it: tags are a list, the definition stays here.
pub(super) fn check(check: &HealthCheck) -> HealthCheck {
    HealthCheck { service_tags: Some(check.service_tags.clone().unwrap_or_default()), ..check.clone() }
}

/// A check as `/v1/agent/health/service` shows it: in the client library's older form.
pub(super) fn old_check(check: &HealthCheck) -> Value {
    json!({
        "Node": check.node,
        "CheckID": check.check_id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": check.service_id,
        "ServiceName": check.service_name,
        "ServiceTags": check.service_tags.as_ref().filter(|tags| !tags.is_empty()),
        "Type": "",
        "ExposedPort": 0,
        "Definition": {
            "Interval": "0s", "Timeout": "0s", "DeregisterCriticalServiceAfter": "0s",
            "HTTP": "", "Header": null, "Method": "", "Body": "", "TLSServerName": "", "TLSSkipVerify": false,
            "TCP": "", "TCPUseTLS": false, "UDP": "", "GRPC": "", "OSService": "", "GRPCUseTLS": false,
        },
        "CreateIndex": 0,
        "ModifyIndex": 0,
    })
}
