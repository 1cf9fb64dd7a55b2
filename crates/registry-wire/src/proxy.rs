//! What an instance says of a mesh: `Proxy` and `Connect`, read strictly and kept as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::Json;

/// `Proxy`: whom a proxy stands for and what it reaches. What is not given is left out, as Consul's catalog leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    rename = "struct { DestinationServiceNameSnake string; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
pub struct Proxy {
    /// How it takes over connections that do not ask for it.
    #[serde(alias = "transparent_proxy", skip_serializing_if = "is_default")]
    pub transparent_proxy: TransparentProxy,
    /// Where it logs connections.
    #[serde(alias = "access_logs", skip_serializing_if = "is_default")]
    pub access_logs: AccessLogs,
    /// Changes to what is told to Envoy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub envoy_extensions: Vec<EnvoyExtension>,
    /// The service it stands for.
    #[serde(alias = "destination_service_name", skip_serializing_if = "String::is_empty")]
    pub destination_service_name: String,
    /// The instance it stands for.
    #[serde(
        rename = "DestinationServiceID",
        alias = "destination_service_id",
        skip_serializing_if = "String::is_empty"
    )]
    pub destination_service_id: String,
    /// Where that instance listens.
    #[serde(alias = "local_service_address", skip_serializing_if = "String::is_empty")]
    pub local_service_address: String,
    /// At which port.
    #[serde(alias = "local_service_port", skip_serializing_if = "is_default")]
    pub local_service_port: i64,
    /// Or at which unix socket.
    #[serde(alias = "local_service_socket_path", skip_serializing_if = "String::is_empty")]
    pub local_service_socket_path: String,
    /// `transparent`, `direct`, or empty; any word is kept.
    pub mode: String,
    /// Settings that only the proxy knows.
    #[serde(skip_serializing_if = "nothing")]
    pub config: Option<BTreeMap<String, Json>>,
    /// The services it reaches for its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Upstream>,
    /// Through which gateways.
    #[serde(alias = "mesh_gateway")]
    pub mesh_gateway: MeshGateway,
    /// Paths that are served without the mesh.
    pub expose: Expose,
}

/// How a proxy takes over connections that do not ask for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "structs.TransparentProxyConfig", rename_all = "PascalCase", default)]
pub struct TransparentProxy {
    /// The port that connections are redirected to.
    #[serde(skip_serializing_if = "is_default")]
    pub outbound_listener_port: i64,
    /// Whether instances may be reached past the mesh's addresses.
    #[serde(skip_serializing_if = "is_default")]
    pub dialed_directly: bool,
}

/// Where a proxy logs connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "structs.AccessLogsConfig", rename_all = "PascalCase", default)]
pub struct AccessLogs {
    /// Whether it does.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: bool,
    /// Whether connections that nothing takes are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_listener_logs: bool,
    /// `stdout`, `stderr`, `file`; any word is kept.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub sink: String,
    /// The file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The form of a line.
    #[serde(rename = "JSONFormat", skip_serializing_if = "String::is_empty")]
    pub json_format: String,
    /// The form of a line, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text_format: String,
}

/// A change to what is told to Envoy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename = "structs.EnvoyExtension", rename_all = "PascalCase", default)]
pub struct EnvoyExtension {
    /// Which one.
    pub name: String,
    /// Whether the proxy may not go without it.
    pub required: bool,
    /// What it is told.
    pub arguments: Option<BTreeMap<String, Json>>,
    /// For which of Consul's versions.
    pub consul_version: String,
    /// For which of Envoy's versions.
    pub envoy_version: String,
}

/// A service that a proxy reaches for its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    rename = "struct { DestinationTypeSnake string; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
pub struct Upstream {
    /// `service`, `prepared_query`, or empty for the first.
    #[serde(alias = "destination_type")]
    pub destination_type: String,
    /// Kept as data.
    #[serde(alias = "destination_partition", skip_serializing_if = "String::is_empty")]
    pub destination_partition: String,
    /// Kept as data.
    #[serde(alias = "destination_namespace", skip_serializing_if = "String::is_empty")]
    pub destination_namespace: String,
    /// Another cluster's name.
    #[serde(alias = "destination_peer", skip_serializing_if = "String::is_empty")]
    pub destination_peer: String,
    /// The service's or the query's name.
    #[serde(alias = "destination_name")]
    pub destination_name: String,
    /// Where it is looked for; empty means here.
    pub datacenter: String,
    /// Where the proxy listens for its own; empty means `127.0.0.1`.
    #[serde(alias = "local_bind_address", skip_serializing_if = "String::is_empty")]
    pub local_bind_address: String,
    /// At which port.
    #[serde(alias = "local_bind_port", skip_serializing_if = "is_default")]
    pub local_bind_port: i64,
    /// Or at which unix socket.
    #[serde(alias = "local_bind_socket_path", skip_serializing_if = "String::is_empty")]
    pub local_bind_socket_path: String,
    /// The socket's mode.
    #[serde(alias = "local_bind_socket_mode", skip_serializing_if = "String::is_empty")]
    pub local_bind_socket_mode: String,
    /// Settings that only the proxy knows.
    #[serde(skip_serializing_if = "nothing")]
    pub config: Option<BTreeMap<String, Json>>,
    /// Through which gateways.
    #[serde(alias = "mesh_gateway")]
    pub mesh_gateway: MeshGateway,
}

/// Through which gateways something is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "structs.MeshGatewayConfig", rename_all = "PascalCase", default)]
pub struct MeshGateway {
    /// `none`, `local`, `remote`, or empty; any word is kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// Paths that are served without the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "structs.ExposeConfig", rename_all = "PascalCase", default)]
pub struct Expose {
    /// Those that checks ask for.
    #[serde(skip_serializing_if = "is_default")]
    pub checks: bool,
    /// These.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<ExposedPath>,
}

/// A path that is served without the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "struct { ListenerPortSnake int; *structs.Alias }", rename_all = "PascalCase", default)]
pub struct ExposedPath {
    /// The port it is served at.
    #[serde(alias = "listener_port", skip_serializing_if = "is_default")]
    pub listener_port: i64,
    /// The path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The instance's own port.
    #[serde(alias = "local_path_port", skip_serializing_if = "is_default")]
    pub local_path_port: i64,
    /// `http`, `http2`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Whether a check asks for it.
    #[serde(alias = "parsed_from_check", skip_serializing_if = "is_default")]
    pub parsed_from_check: bool,
}

/// `Connect`: an instance's own part in a mesh. Names it does not have are skipped, also where the rest of a body is read strictly.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "Lenient")]
pub struct Connect(ConnectFields);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(
    rename = "struct { SidecarServiceSnake *structs.ServiceDefinition; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
struct ConnectFields {
    native: bool,
    #[serde(alias = "sidecar_service")]
    sidecar_service: Json,
}

impl Proxy {
    /// As JSON text, or empty when nothing is said.
    pub fn to_text(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        String::from_utf8(crate::json::to_vec(self)).expect("JSON is UTF-8")
    }
}

impl Connect {
    /// Whether the instance speaks for itself in a mesh.
    pub fn native(&self) -> bool {
        self.0.native
    }

    /// The proxy that an agent shall register beside the instance, if one was asked for.
    pub fn sidecar(&self) -> Option<&Json> {
        Some(&self.0.sidecar_service).filter(|sidecar| **sidecar != Json::Null)
    }

    /// As JSON text, or empty when nothing is said; the sidecar is no part of it.
    pub fn to_text(&self) -> &'static str {
        if self.0.native { r#"{"Native":true}"# } else { "" }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn nothing(settings: &Option<BTreeMap<String, Json>>) -> bool {
    settings.as_ref().is_none_or(BTreeMap::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Unknown, decode};

    #[test]
    fn both_spellings_are_read_and_nothing_empty_is_shown() {
        let body = br#"{"destination_service_name":"web","Upstreams":[{"destination_name":"db","LocalBindPort":1,"Config":{}}],"Expose":{"Paths":null}}"#;
        let proxy: Proxy = decode(body, Unknown::Refuse).unwrap();
        assert_eq!(
            proxy.to_text(),
            r#"{"DestinationServiceName":"web","Mode":"","Upstreams":[{"DestinationType":"","DestinationName":"db","Datacenter":"","LocalBindPort":1,"MeshGateway":{}}],"MeshGateway":{},"Expose":{}}"#
        );
        assert_eq!(Proxy::default().to_text(), "");
        assert_eq!(decode::<Proxy>(b"null", Unknown::Refuse).unwrap(), Proxy::default());
    }

    #[test]
    fn only_connect_takes_names_it_does_not_have() {
        let connect: Connect = decode(br#"{"Nope":1,"Native":true}"#, Unknown::Refuse).unwrap();
        assert_eq!((connect.native(), connect.to_text()), (true, r#"{"Native":true}"#));
        let said = |body: &[u8]| decode::<Proxy>(body, Unknown::Refuse).unwrap_err().to_string();
        assert_eq!(said(br#"{"Upstreams":[{"Nope":1}]}"#), "json: unknown field \"Nope\"");
        assert!(said(br#"{"LocalServicePort":"6"}"#).ends_with("Alias.LocalServicePort of type int"));
        assert!(said(br#"{"Config":[]}"#).ends_with("Alias.Config of type map[string]interface {}"));
    }
}
