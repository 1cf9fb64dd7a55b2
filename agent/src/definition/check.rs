//! What a check does, and what is wrong with one that cannot be run.

use std::collections::BTreeMap;

use registry_wire::{
    catalog::HealthCheck,
    duration,
    json::{DecodeError, Nanos, Unknown, decode_value},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// A check with what it does. Made by [`CheckDefinition::from_api`], from a file, or inside a service.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDefinition {
    /// The id, unique on the node.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The service it belongs to; empty for one of the node.
    pub service_id: String,
    /// What it does.
    pub runs: CheckType,
    /// The token to register with.
    pub token: String,
    /// As shown by the catalog: `ttl`, `http`, …, or empty.
    pub shown_type: &'static str,
    /// As shown: `""` or a Go duration.
    pub shown_interval: String,
    /// As shown: `""` or a Go duration.
    pub shown_timeout: String,
}

/// What a check does, in the names of the API.
///
/// Shape: `{"HTTP":"http://127.0.0.1/health","Interval":"10s","Timeout":"1s"}`; durations are Go texts or nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    rename = "struct { Interval interface {}; Timeout interface {}; TTL interface {}; DeregisterCriticalServiceAfter interface {}; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
#[expect(missing_docs, reason = "the fields are the API's; its page on checks says what each one means")]
pub struct CheckType {
    #[serde(rename = "CheckID")]
    pub check_id: String,
    pub name: String,
    pub status: String,
    pub notes: String,
    #[serde(alias = "Args", alias = "script_args")]
    pub script_args: Option<Vec<String>>,
    #[serde(rename = "HTTP")]
    pub http: String,
    pub header: Option<BTreeMap<String, Vec<String>>>,
    pub method: String,
    pub body: String,
    pub disable_redirects: bool,
    #[serde(rename = "TCP")]
    pub tcp: String,
    #[serde(rename = "TCPUseTLS", alias = "tcp_use_tls")]
    pub tcp_use_tls: bool,
    #[serde(rename = "UDP")]
    pub udp: String,
    pub interval: Nanos,
    pub alias_node: String,
    pub alias_service: String,
    #[serde(rename = "DockerContainerID", alias = "docker_container_id")]
    pub docker_container_id: String,
    pub shell: String,
    #[serde(rename = "GRPC")]
    pub grpc: String,
    #[serde(rename = "GRPCUseTLS", alias = "grpc_use_tls")]
    pub grpc_use_tls: bool,
    #[serde(rename = "OSService", alias = "os_service")]
    pub os_service: String,
    #[serde(rename = "TLSServerName", alias = "tls_server_name")]
    pub tls_server_name: String,
    #[serde(rename = "TLSSkipVerify", alias = "tls_skip_verify")]
    pub tls_skip_verify: bool,
    pub timeout: Nanos,
    #[serde(rename = "TTL")]
    pub ttl: Nanos,
    #[serde(rename = "H2PING")]
    pub h2ping: String,
    #[serde(rename = "H2PingUseTLS", alias = "h2ping_use_tls")]
    pub h2ping_use_tls: Option<bool>,
    pub success_before_passing: i64,
    pub failures_before_warning: i64,
    pub failures_before_critical: i64,
    #[serde(rename = "ProxyHTTP")]
    pub proxy_http: String,
    #[serde(rename = "ProxyGRPC")]
    pub proxy_grpc: String,
    #[serde(alias = "deregister_critical_service_after")]
    pub deregister_critical_service_after: Nanos,
    pub output_max_size: i64,
}

/// The kinds of checks. When a definition names several, the first of this list is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Kind {
    Grpc,
    Http,
    Ttl,
    Tcp,
    Udp,
    Alias,
    Docker,
    Script,
    H2ping,
    OsService,
}

impl Kind {
    /// The name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Ttl => "ttl",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Alias => "alias",
            Self::Docker => "docker",
            Self::Script => "script",
            Self::H2ping => "h2ping",
            Self::OsService => "os_service",
        }
    }
}

impl CheckType {
    /// What kind of check this is; `None` for one that says nothing to do.
    pub fn kind(&self) -> Option<Kind> {
        let table = [
            (!self.grpc.is_empty(), Kind::Grpc),
            (!self.http.is_empty(), Kind::Http),
            (self.ttl.0 > 0, Kind::Ttl),
            (!self.tcp.is_empty(), Kind::Tcp),
            (!self.udp.is_empty(), Kind::Udp),
            (self.is_alias(), Kind::Alias),
            (!self.docker_container_id.is_empty(), Kind::Docker),
            (self.has_args(), Kind::Script),
            (!self.h2ping.is_empty(), Kind::H2ping),
            (!self.os_service.is_empty(), Kind::OsService),
        ];
        table.into_iter().find(|(given, _)| *given).map(|(_, kind)| kind)
    }

    /// Whether nothing at all was given; such a check in a service stands for none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it runs a program; such checks have to be allowed.
    pub fn runs_program(&self) -> bool {
        matches!(self.kind(), Some(Kind::Script | Kind::Docker))
    }

    /// Whether this is an alias of another node than this one; names of nodes compare without regard to case.
    pub(crate) fn is_of_other_node(&self, own: &str) -> bool {
        !self.alias_node.is_empty() && !self.alias_node.eq_ignore_ascii_case(own)
    }

    fn is_alias(&self) -> bool {
        !self.alias_node.is_empty() || !self.alias_service.is_empty()
    }

    fn has_args(&self) -> bool {
        self.script_args.as_ref().is_some_and(|args| !args.is_empty())
    }

    /// What is wrong with the definition, in Consul's words.
    pub fn validate(&self) -> Result<(), &'static str> {
        let addressed = [&self.http, &self.tcp, &self.udp, &self.grpc, &self.h2ping, &self.os_service];
        let at_intervals = self.has_args()
            || !self.docker_container_id.is_empty()
            || addressed.iter().any(|a| !a.is_empty());
        if self.interval.0 > 0 && self.ttl.0 > 0 {
            return Err("Interval and TTL cannot both be specified");
        }
        if at_intervals && self.interval.0 <= 0 {
            return Err("Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks");
        }
        if self.is_alias() && self.ttl.0 > 0 {
            return Err("TTL must be not be set for Alias checks");
        }
        if !at_intervals && !self.is_alias() && self.ttl.0 <= 0 {
            return Err("TTL must be > 0 for TTL checks");
        }
        if self.output_max_size < 0 {
            return Err("MaxOutputMaxSize must be positive");
        }
        if self.failures_before_warning > self.failures_before_critical {
            return Err("FailuresBeforeWarning can't be higher than FailuresBeforeCritical");
        }
        Ok(())
    }

    /// Reads the block `check` of a file, its keys already known to be right. Errors name the bad duration.
    pub(crate) fn from_file(block: &Map<String, Json>) -> Result<Self, DecodeError> {
        let mut keys = super::api_keys(block);
        for old in ["serviceid", "token", "id"] {
            keys.remove(old);
        }
        if let Some(id) = block.get("id") {
            keys.insert("checkid".to_owned(), id.clone());
        }
        decode_value(to_wire(Json::Object(keys)), Unknown::Skip)
    }
}

/// The body of `/v1/agent/check/register`: a [`CheckType`] and whom it belongs to.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Owner {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID", alias = "service_id")]
    service_id: String,
    token: String,
}

impl CheckDefinition {
    /// Reads the body of `/v1/agent/check/register`.
    ///
    /// Errors with what stands after `Request decode failed: `. Whether the check makes sense is not looked at yet.
    pub fn from_api(body: &[u8]) -> Result<Self, DecodeError> {
        let value: registry_wire::json::Json = registry_wire::json::decode(body, Unknown::Skip)?;
        let owner: Owner = decode_value(value.clone(), Unknown::Skip)?;
        if let Some(name) = named(&value, "CheckID") {
            // Its id is `ID` here, and only here.
            return Err(DecodeError::UnknownField(name.to_owned()));
        }
        let runs: CheckType =
            decode_value(without(value, &["id", "serviceid", "service_id", "token"]), Unknown::Refuse)?;
        let id = owner.id;
        let shown_type = runs.kind().map_or("", Kind::name);
        Ok(Self::alone(id, owner.service_id, owner.token, runs, shown_type))
    }

    /// Reads a block `check` of a file's top level.
    pub(crate) fn from_file(block: &Map<String, Json>) -> Result<Self, DecodeError> {
        let text = |key: &str| block.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let runs = CheckType::from_file(block)?;
        // Consul shows no type for these.
        Ok(Self::alone(text("id"), text("service_id"), text("token"), runs, ""))
    }

    fn alone(
        id: String,
        service_id: String,
        token: String,
        runs: CheckType,
        shown_type: &'static str,
    ) -> Self {
        Self {
            id: if id.is_empty() { runs.name.clone() } else { id },
            name: runs.name.clone(),
            service_id,
            token,
            shown_type,
            shown_interval: duration::format_nanos(runs.interval.0),
            shown_timeout: duration::format_nanos(runs.timeout.0),
            runs,
        }
    }

    /// A check of a service; `number` counts from 1 when there are several.
    pub(super) fn of_service(
        service_id: &str,
        service: &str,
        runs: CheckType,
        number: Option<usize>,
    ) -> Self {
        let id = match (runs.check_id.as_str(), number) {
            ("", None) => format!("service:{service_id}"),
            ("", Some(number)) => format!("service:{service_id}:{number}"),
            (own, _) => own.to_owned(),
        };
        let name =
            if runs.name.is_empty() { format!("Service '{service}' check") } else { runs.name.clone() };
        let shown = |nanos: Nanos| if nanos.0 == 0 { String::new() } else { duration::format_nanos(nanos.0) };
        Self {
            id,
            name,
            service_id: service_id.to_owned(),
            token: String::new(),
            shown_type: runs.kind().map_or("", Kind::name),
            shown_interval: shown(runs.interval),
            shown_timeout: shown(runs.timeout),
            runs,
        }
    }

    /// How the catalog shows the check before it ran.
    pub fn health_check(&self, node: &str) -> HealthCheck {
        HealthCheck {
            node: node.to_owned(),
            check_id: self.id.clone(),
            name: self.name.clone(),
            status: if self.runs.status.is_empty() { "critical".into() } else { self.runs.status.clone() },
            notes: self.runs.notes.clone(),
            service_id: self.service_id.clone(),
            kind: self.shown_type.to_owned(),
            interval: self.shown_interval.clone(),
            timeout: self.shown_timeout.clone(),
            ..HealthCheck::default()
        }
    }
}

/// Whether a status is one that a check may be given; none is fine too.
pub(crate) fn is_status(status: &str) -> bool {
    matches!(status, "" | "passing" | "warning" | "critical")
}

/// The same value in the type that the API's decoder reads.
pub(super) fn to_wire(value: Json) -> registry_wire::json::Json {
    serde_json::from_value(value).expect("both types hold any JSON")
}

/// A name of an object as it is spelled there, whatever its case.
fn named<'a>(value: &'a registry_wire::json::Json, name: &str) -> Option<&'a str> {
    let registry_wire::json::Json::Object(fields) = value else { return None };
    fields.iter().map(|(own, _)| own.as_str()).find(|own| own.eq_ignore_ascii_case(name))
}

/// An object without some of its names, whatever their case.
fn without(value: registry_wire::json::Json, names: &[&str]) -> registry_wire::json::Json {
    match value {
        registry_wire::json::Json::Object(fields) => registry_wire::json::Json::Object(
            fields
                .into_iter()
                .filter(|(name, _)| !names.iter().any(|left| left.eq_ignore_ascii_case(name)))
                .collect(),
        ),
        other => other,
    }
}
