//! The bodies of `PUT /v1/catalog/register` and `/v1/catalog/deregister`, and the parts that other bodies share.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    catalog::{ServiceAddress, TextMap},
    duration,
    json::{self, Json},
};

/// The body of `PUT /v1/catalog/register`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegisterBody {
    /// The datacenter; empty means the local one.
    pub datacenter: String,
    /// The node's id, a UUID, or empty.
    #[serde(rename = "ID")]
    pub id: String,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The node's further addresses.
    pub tagged_addresses: Option<TextMap>,
    /// The node's pairs.
    pub node_meta: Option<TextMap>,
    /// An instance on the node.
    pub service: Option<ServiceBody>,
    /// One check.
    pub check: Option<CheckBody>,
    /// More checks.
    pub checks: Vec<CheckBody>,
    /// Leave a known node's record as it is.
    pub skip_node_update: bool,
    /// Where the node is, kept as data.
    pub locality: Json,
    /// Another cluster's name; accepted and not used.
    pub peer_name: String,
    /// A token; accepted and not used.
    pub token: String,
}

/// A node in a transaction's body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeBody {
    /// A UUID, or empty.
    #[serde(rename = "ID")]
    pub id: String,
    /// The name.
    pub node: String,
    /// The address.
    pub address: String,
    /// Accepted and not used.
    pub datacenter: String,
    /// Further addresses.
    pub tagged_addresses: Option<TextMap>,
    /// The operator's pairs.
    pub meta: Option<TextMap>,
    /// Where the node is, kept as data.
    pub locality: Json,
    /// Accepted and not used.
    pub peer_name: String,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// An instance in a body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceBody {
    /// `connect-proxy` and the like.
    pub kind: String,
    /// The instance's id; empty means its service's name.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    pub service: String,
    /// Labels.
    pub tags: Vec<String>,
    /// The instance's own address.
    pub address: String,
    /// Further addresses.
    #[serde(alias = "tagged_addresses")]
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// The operator's pairs.
    pub meta: Option<TextMap>,
    /// The port.
    pub port: i64,
    /// A unix socket instead of a port.
    pub socket_path: String,
    /// SRV weights; 1 and 1 when not given.
    pub weights: Option<WeightsBody>,
    /// Whether others may change the tags in the catalog.
    #[serde(alias = "enable_tag_override")]
    pub enable_tag_override: bool,
    /// A mesh proxy's settings, kept as data.
    pub proxy: Json,
    /// A mesh's settings, kept as data.
    pub connect: Json,
    /// Where the instance is, kept as data.
    pub locality: Json,
    /// Accepted and not used.
    pub peer_name: String,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// Weights in a body: what is not given is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightsBody {
    /// The weight while all checks pass.
    pub passing: i64,
    /// The weight while one warns.
    pub warning: i64,
}

/// A check in a body.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckBody {
    /// The node; empty means the registration's.
    pub node: String,
    /// The id; empty means the name.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// For people.
    pub name: String,
    /// `passing`, `warning`, `critical`; any word is stored.
    pub status: String,
    /// For people.
    pub notes: String,
    /// What the last run said.
    pub output: String,
    /// The instance it belongs to.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// Accepted and not used: the instance tells it.
    pub service_name: String,
    /// Accepted and not used: the instance tells them.
    pub service_tags: Vec<String>,
    /// `http`, `tcp`, …; derived from the definition when empty.
    #[serde(rename = "Type")]
    pub kind: String,
    /// A Go duration, shown as sent.
    pub interval: String,
    /// A Go duration, shown as sent.
    pub timeout: String,
    /// A port opened for the check.
    pub exposed_port: i64,
    /// Accepted and not used.
    pub peer_name: String,
    /// What the check does; names it does not have are skipped.
    pub definition: Definition,
    /// Accepted and not used.
    pub create_index: u64,
    /// What `cas` compares with.
    pub modify_index: u64,
}

/// The body of `PUT /v1/catalog/deregister`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeregisterBody {
    /// The datacenter; empty means the local one.
    pub datacenter: String,
    /// The node's name.
    pub node: String,
    /// The instance to remove, with its checks.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The check to remove, unless an instance is named.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// Accepted and not used.
    pub address: String,
    /// Accepted and not used.
    pub peer_name: String,
    /// Accepted and not used.
    pub token: String,
}

/// What a check does, as stored and shown: known names in order, nothing empty, durations as texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition(Vec<(String, Json)>);

/// The fields that hold a duration, each with the name that holds it as a number.
const DURATIONS: [(&str, &str); 3] = [
    ("Interval", "IntervalDuration"),
    ("Timeout", "TimeoutDuration"),
    ("DeregisterCriticalServiceAfter", "DeregisterCriticalServiceAfterDuration"),
];

/// The other fields.
const FIELDS: [&str; 20] = [
    "HTTP",
    "TLSServerName",
    "TLSSkipVerify",
    "Header",
    "Method",
    "Body",
    "DisableRedirects",
    "TCP",
    "TCPUseTLS",
    "UDP",
    "H2PING",
    "H2PINGUseTLS",
    "OSService",
    "ScriptArgs",
    "DockerContainerID",
    "Shell",
    "GRPC",
    "GRPCUseTLS",
    "AliasNode",
    "AliasService",
];

impl Definition {
    /// The definition as JSON text, or empty when there is none.
    pub fn to_text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let bytes = json::to_vec(&Json::Object(self.0.clone()));
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    /// The kind of check it describes: `http`, `tcp`, …; empty when it says too little.
    pub fn kind(&self) -> &'static str {
        let has = |name: &str| self.0.iter().any(|(n, _)| n == name);
        let kinds = [
            ("GRPC", "grpc"),
            ("HTTP", "http"),
            ("TTL", "ttl"),
            ("TCP", "tcp"),
            ("UDP", "udp"),
            ("AliasNode", "alias"),
            ("AliasService", "alias"),
            ("DockerContainerID", "docker"),
            ("ScriptArgs", "script"),
            ("H2PING", "h2ping"),
            ("OSService", "os_service"),
        ];
        let fits =
            |(name, kind): &&(&str, &str)| has(name) && (matches!(*kind, "ttl" | "alias") || has("Interval"));
        kinds.iter().find(fits).map_or("", |(_, kind)| kind)
    }

    fn from_json(sent: &Json) -> Result<Self, String> {
        let mut fields = Vec::new();
        for (name, as_number) in DURATIONS.into_iter().chain([("TTL", "TTLDuration")]) {
            let Some(value) = sent.field(name).or_else(|| sent.field(as_number)) else { continue };
            let nanos = match value {
                Json::Text(text) if text.is_empty() => 0,
                Json::Text(text) => duration::parse_nanos(text).map_err(|e| e.to_string())?,
                Json::Number(n) => n.as_i64().unwrap_or_default(),
                _ => 0,
            };
            if nanos != 0 {
                fields.push((name.to_owned(), Json::Text(duration::format_nanos(nanos))));
            }
        }
        for name in FIELDS {
            if let Some(value) = sent.field(name).filter(|value| !is_nothing(value)) {
                fields.push((name.to_owned(), value.clone()));
            }
        }
        Ok(Self(fields))
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) | Json::Number(_) => false,
        Json::Text(text) => text.is_empty(),
        Json::List(list) => list.is_empty(),
        Json::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Unknown, decode};

    #[test]
    fn a_definition_keeps_what_it_knows() {
        let body = br#"{"Definition":{"http":"http://x/","Interval":"10s","TimeoutDuration":1000000000,
            "DeregisterCriticalServiceAfter":"30s","TLSSkipVerify":false,"Nope":1}}"#;
        let check: CheckBody = decode(body, Unknown::Refuse).unwrap();
        let text =
            r#"{"Interval":"10s","Timeout":"1s","DeregisterCriticalServiceAfter":"30s","HTTP":"http://x/"}"#;
        assert_eq!((check.definition.to_text().as_str(), check.definition.kind()), (text, "http"));
        assert_eq!(Definition::default().to_text(), "");
    }

    #[test]
    fn weights_that_are_given_are_not_filled_up() {
        let service: ServiceBody = decode(br#"{"Weights":{"Passing":5}}"#, Unknown::Refuse).unwrap();
        assert_eq!(service.weights, Some(WeightsBody { passing: 5, warning: 0 }));
    }
}
