//! What a check does, as a body of the catalog says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    duration,
    json::{self, Nanos},
};

/// What a check does, as stored and shown: nothing empty, durations as texts but for the TTL. Names it does not have
/// are skipped, also where the rest of a body is read strictly.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "Lenient")]
pub struct Definition(Fields);

/// The fields, in the order that Consul shows them in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    rename = "struct { Interval interface {}; Timeout interface {}; DeregisterCriticalServiceAfter interface {}; TTL interface {}; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
struct Fields {
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    interval: Nanos,
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    timeout: Nanos,
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    deregister_critical_service_after: Nanos,
    #[serde(rename = "HTTP", skip_serializing_if = "String::is_empty")]
    http: String,
    #[serde(rename = "TLSServerName", skip_serializing_if = "String::is_empty")]
    tls_server_name: String,
    #[serde(rename = "TLSSkipVerify", skip_serializing_if = "is_false")]
    tls_skip_verify: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    method: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    #[serde(skip_serializing_if = "is_false")]
    disable_redirects: bool,
    #[serde(rename = "TCP", skip_serializing_if = "String::is_empty")]
    tcp: String,
    #[serde(rename = "TCPUseTLS", skip_serializing_if = "is_false")]
    tcp_use_tls: bool,
    #[serde(rename = "UDP", skip_serializing_if = "String::is_empty")]
    udp: String,
    #[serde(rename = "H2PING", skip_serializing_if = "String::is_empty")]
    h2ping: String,
    #[serde(rename = "OSService", skip_serializing_if = "String::is_empty")]
    os_service: String,
    #[serde(rename = "H2PingUseTLS", skip_serializing_if = "is_false")]
    h2ping_use_tls: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    script_args: Vec<String>,
    #[serde(rename = "DockerContainerID", skip_serializing_if = "String::is_empty")]
    docker_container_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    shell: String,
    #[serde(rename = "GRPC", skip_serializing_if = "String::is_empty")]
    grpc: String,
    #[serde(rename = "GRPCUseTLS", skip_serializing_if = "is_false")]
    grpc_use_tls: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    alias_node: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    alias_service: String,
    #[serde(rename = "TTL", skip_serializing_if = "is_zero")]
    ttl: Nanos,
    #[serde(skip_serializing_if = "String::is_empty")]
    session_name: String,
}

impl Definition {
    /// The definition as JSON text, or empty when there is none.
    pub fn to_text(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        String::from_utf8(json::to_vec(&self.0)).expect("JSON is UTF-8")
    }

    /// The kind of check it describes: `http`, `tcp`, …; empty when it says too little.
    pub fn kind(&self) -> &'static str {
        let fields = &self.0;
        let at_intervals = [
            (!fields.grpc.is_empty(), "grpc"),
            (!fields.http.is_empty(), "http"),
            (fields.ttl.0 > 0, "ttl"),
            (!fields.tcp.is_empty(), "tcp"),
            (!fields.udp.is_empty(), "udp"),
            (!fields.alias_node.is_empty() || !fields.alias_service.is_empty(), "alias"),
            (!fields.docker_container_id.is_empty(), "docker"),
            (!fields.script_args.is_empty(), "script"),
            (!fields.h2ping.is_empty(), "h2ping"),
            (!fields.os_service.is_empty(), "os_service"),
        ];
        let fits = |(given, kind): &&(bool, &str)| {
            *given && (matches!(*kind, "ttl" | "alias" | "script") || fields.interval.0 != 0)
        };
        at_intervals.iter().find(fits).map_or("", |(_, kind)| kind)
    }
}

/// A definition in a transaction, where durations may also stand under names of their own, as numbers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "Lenient")]
pub struct TxnDefinition(TxnFields);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TxnFields {
    interval_duration: Nanos,
    timeout_duration: Nanos,
    deregister_critical_service_after_duration: Nanos,
}

impl TxnDefinition {
    /// Fills up what the plain names do not say.
    pub fn complete(self, mut definition: Definition) -> Definition {
        let fields = &mut definition.0;
        for (plain, own) in [
            (&mut fields.interval, self.0.interval_duration),
            (&mut fields.timeout, self.0.timeout_duration),
            (
                &mut fields.deregister_critical_service_after,
                self.0.deregister_critical_service_after_duration,
            ),
        ] {
            if plain.0 == 0 {
                *plain = own;
            }
        }
        definition
    }
}

fn as_text<S: Serializer>(nanos: &Nanos, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::format_nanos(nanos.0))
}

fn is_zero(nanos: &Nanos) -> bool {
    nanos.0 == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Unknown, decode};

    #[test]
    fn keeps_what_it_knows() {
        let body = br#"{"http":"http://x/","Interval":"10s","Timeout":1000000000,"TTL":"5s",
            "DeregisterCriticalServiceAfter":"30s","TLSSkipVerify":false,"Nope":1,"IntervalDuration":"5s"}"#;
        let definition: Definition = decode(body, Unknown::Refuse).unwrap();
        let text = r#"{"Interval":"10s","Timeout":"1s","DeregisterCriticalServiceAfter":"30s","HTTP":"http://x/","TTL":5000000000}"#;
        assert_eq!((definition.to_text().as_str(), definition.kind()), (text, "http"));
        assert_eq!(Definition::default().to_text(), "");
        let bad = decode::<Definition>(br#"{"HTTP":5}"#, Unknown::Refuse).unwrap_err().to_string();
        assert_eq!(bad, "json: cannot unmarshal number into Go struct field .Alias.HTTP of type string");
    }
}
