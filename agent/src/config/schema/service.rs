//! The keys of services and checks.

use super::{
    ENTERPRISE, Key,
    Shape::{Any, Bool, Int, Object, ObjectMap, Objects, Opaque, Text, TextMap, Texts, TextsMap},
    also, key, without,
};

pub(in crate::config) static CHECK: [Key; 35] = [
    key("id", Text),
    key("name", Text),
    key("notes", Text),
    also("service_id", "serviceid", Text),
    key("token", Text),
    key("status", Text),
    also("args", "scriptargs", Texts),
    key("http", Text),
    key("header", TextsMap),
    key("method", Text),
    key("body", Text),
    key("disable_redirects", Bool),
    key("output_max_size", Int),
    key("tcp", Text),
    key("tcp_use_tls", Bool),
    key("udp", Text),
    key("interval", Text),
    also("docker_container_id", "dockercontainerid", Text),
    key("shell", Text),
    key("grpc", Text),
    key("grpc_use_tls", Bool),
    key("tls_server_name", Text),
    also("tls_skip_verify", "tlsskipverify", Bool),
    key("alias_node", Text),
    key("alias_service", Text),
    key("timeout", Text),
    key("ttl", Text),
    key("h2ping", Text),
    key("h2ping_use_tls", Bool),
    key("os_service", Text),
    key("success_before_passing", Int),
    key("failures_before_warning", Int),
    key("failures_before_critical", Int),
    also("deregister_critical_service_after", "deregistercriticalserviceafter", Text),
    without("enterprise_meta", Any, ENTERPRISE),
];

const SERVICE_ADDRESS: &[Key] = &[key("address", Text), key("port", Int)];
pub(super) const LOCALITY: &[Key] = &[key("region", Text), key("zone", Text)];
const WEIGHTS: &[Key] = &[key("passing", Int), key("warning", Int)];

pub(in crate::config) static SERVICE: [Key; 17] = [
    key("kind", Text),
    key("id", Text),
    key("name", Text),
    key("tags", Texts),
    key("address", Text),
    key("tagged_addresses", ObjectMap(SERVICE_ADDRESS)),
    key("meta", TextMap),
    key("port", Int),
    key("socket_path", Text),
    key("check", Object(&CHECK)),
    key("checks", Objects(&CHECK)),
    key("token", Text),
    key("weights", Object(WEIGHTS)),
    key("enable_tag_override", Bool),
    key("proxy", Object(PROXY)),
    key("connect", Object(&CONNECT)),
    key("locality", Object(LOCALITY)),
];

/// A sidecar is a service again, and refused only once it is read when it has one of its own.
static CONNECT: [Key; 2] = [key("native", Bool), key("sidecar_service", Object(&SERVICE))];

const PROXY: &[Key] = &[
    key("destination_service_name", Text),
    key("destination_service_id", Text),
    key("local_service_address", Text),
    key("local_service_port", Int),
    key("local_service_socket_path", Text),
    key("mode", Text),
    key("config", Opaque),
    key("upstreams", Objects(UPSTREAM)),
    key("mesh_gateway", Object(MESH_GATEWAY)),
    key("expose", Object(&[key("checks", Bool), key("paths", Objects(EXPOSED_PATH))])),
    key("transparent_proxy", Object(&[key("outbound_listener_port", Int), key("dialed_directly", Bool)])),
];

const UPSTREAM: &[Key] = &[
    key("destination_type", Text),
    key("destination_partition", Text),
    key("destination_namespace", Text),
    key("destination_peer", Text),
    key("destination_name", Text),
    key("datacenter", Text),
    key("local_bind_address", Text),
    key("local_bind_port", Int),
    key("local_bind_socket_path", Text),
    key("local_bind_socket_mode", Text),
    key("config", Opaque),
    key("mesh_gateway", Object(MESH_GATEWAY)),
];

const MESH_GATEWAY: &[Key] = &[key("mode", Text)];

const EXPOSED_PATH: &[Key] =
    &[key("listener_port", Int), key("path", Text), key("local_path_port", Int), key("protocol", Text)];
