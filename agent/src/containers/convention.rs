//! From a container to its services, by registrator's conventions. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use serde_json::{Map, Value as Json, json};

use super::{
    engine::{Binding, Container, Settings},
    metadata::{Metadata, tags},
};
use crate::definition::{ServiceDefinition, validate_meta};

/// How often a check runs that does not say.
const INTERVAL: &str = "10s";
/// How many letters of a container's id name it.
const SHORT_ID: usize = 12;

/// What the configuration and this node add.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The first part of the ids.
    pub(super) host: String,
    /// The address of services that say none: the catalog has it with the node.
    pub(super) node_address: IpAddr,
    /// An address for all published ports.
    pub(super) host_address: Option<IpAddr>,
    /// Whether the containers' own addresses and ports are given in place of the published ones.
    pub(super) internal: bool,
    /// Whether only containers count that say a name.
    pub(super) explicit: bool,
    /// Tags that every service gets.
    pub(super) tags: Vec<String>,
}

/// A port of a container that a service listens on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    /// Inside the container.
    exposed: u16,
    udp: bool,
    /// On the host: `0.0.0.0:32769`, or another address when the port is published there only.
    published: Option<SocketAddr>,
}

/// The services of a running container, and what is wrong with those that are none.
///
/// `neighbour` is the container whose network this one uses (`--net=container:…`), if it does.
pub(super) fn services(
    container: &Container,
    neighbour: Option<&Container>,
    rules: &Rules,
) -> (Vec<ServiceDefinition>, Vec<String>) {
    // On another container's network nothing is published; the ports are that address's own.
    let internal = rules.internal || neighbour.is_some();
    let own_address = address_of(&neighbour.unwrap_or(container).network_settings);
    let mut ports = ports(container, neighbour.is_some());
    ports.retain(|port| internal || port.published.is_some());
    let several = ports.len() > 1;
    let (mut services, mut faults) = (Vec::new(), Vec::new());
    for port in ports {
        let metadata = Metadata::of_port(&container.labels(), container.environment(), port.exposed);
        if metadata.get("ignore").is_some() || (rules.explicit && metadata.get("name").is_none()) {
            continue;
        }
        let place = if internal {
            own_address.map(|address| (Some(address), port.exposed))
        } else {
            port.published.map(|at| (published_address(at.ip(), rules), at.port()))
        };
        let Some((address, number)) = place else { continue };
        let at = SocketAddr::new(address.unwrap_or(rules.node_address), number);
        let block = block(container, &port, &metadata, several, rules, address, at);
        let name = block.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
        let read = ServiceDefinition::from_file(&block).map_err(|error| error.to_string());
        let sound = read.and_then(|service| match service.validate() {
            Ok(()) => Ok(service),
            Err(error) => Err(error.to_string()),
        });
        match sound {
            Ok(service) => services.push(service),
            Err(why) => faults.push(format!("{name}: {why}")),
        }
    }
    (services, faults)
}

/// The service as a block of a configuration file.
fn block(
    container: &Container,
    port: &Port,
    metadata: &Metadata,
    several: bool,
    rules: &Rules,
    address: Option<IpAddr>,
    at: SocketAddr,
) -> Map<String, Json> {
    let mut name = metadata.get("name").map_or_else(|| image_name(container), str::to_owned);
    if several && !metadata.is_of_port("name") {
        name = format!("{name}-{}", port.exposed);
    }
    let (host, own_name, exposed) = (&rules.host, container.name(), port.exposed);
    let id = metadata.get("id").map_or_else(
        || format!("{host}:{own_name}:{exposed}{}", if port.udp { ":udp" } else { "" }),
        str::to_owned,
    );
    let mut all_tags = tags(metadata.get("tags").unwrap_or_default());
    all_tags.extend(rules.tags.iter().cloned());
    all_tags.extend(port.udp.then(|| "udp".to_owned()));
    // A pair that the catalog would refuse is no reason to leave the service out.
    let meta: BTreeMap<String, String> = metadata
        .others()
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .filter(|(name, text)| validate_meta([(name, text)], true).is_ok())
        .take(64)
        .collect();
    let mut block = Map::from_iter([
        ("id".to_owned(), json!(id)),
        ("name".to_owned(), json!(name)),
        ("port".to_owned(), json!(at.port())),
        ("tags".to_owned(), json!(all_tags)),
        ("meta".to_owned(), json!(meta)),
    ]);
    block.extend(address.map(|address| ("address".to_owned(), json!(address.to_string()))));
    block.extend(check(container, port, metadata, at).map(|check| ("check".to_owned(), Json::Object(check))));
    block
}

/// The check that the metadata asks for; of several the first of this order.
fn check(
    container: &Container,
    port: &Port,
    metadata: &Metadata,
    at: SocketAddr,
) -> Option<Map<String, Json>> {
    let said = |name: &str| metadata.get(&format!("check_{name}"));
    let on = |name: &str| said(name).filter(|text| *text != "false");
    let container_id = container.id.get(..SHORT_ID).unwrap_or(&container.id);
    let shell = |command: &str| {
        let command = command
            .replace("$SERVICE_IP", &at.ip().to_string())
            .replace("$SERVICE_PORT", &at.port().to_string());
        json!(["/bin/sh", "-c", command])
    };
    let url = |scheme: &str, path: &str| {
        let slash = if path.starts_with('/') { "" } else { "/" };
        json!(format!("{scheme}://{at}{slash}{path}"))
    };
    let mut check = Map::new();
    let mut set = |key: &str, value: Json| drop(check.insert(key.to_owned(), value));
    let mut texts =
        vec![("initial_status", "status"), ("deregister_after", "deregister_critical_service_after")];
    let mut at_intervals = true;
    if let Some(path) = said("http") {
        set("http", url("http", path));
        texts.push(("http_method", "method"));
    } else if let Some(path) = said("https") {
        set("http", url("https", path));
        texts.push(("https_method", "method"));
    } else if let Some(command) = said("cmd") {
        set("args", shell(&format!("check-cmd {container_id} {} {command}", port.exposed)));
    } else if let Some(command) = said("docker") {
        set("docker_container_id", json!(container_id));
        set("args", shell(command));
    } else if let Some(command) = said("script") {
        set("args", shell(command));
    } else if let Some(ttl) = said("ttl") {
        set("ttl", json!(ttl));
        at_intervals = false;
    } else if on("tcp").is_some() {
        set("tcp", json!(at.to_string()));
    } else if on("grpc").is_some() {
        set("grpc", json!(at.to_string()));
        set("grpc_use_tls", json!(on("grpc_use_tls").is_some()));
    } else {
        return None;
    }
    if at_intervals {
        set("interval", json!(INTERVAL));
        texts.extend([("interval", "interval"), ("timeout", "timeout")]);
    }
    set("tls_skip_verify", json!(on("tls_skip_verify").is_some()));
    for (name, key) in texts {
        if let Some(text) = said(name) {
            set(key, json!(text));
        }
    }
    Some(check)
}

/// The ports of a container in their order.
fn ports(container: &Container, on_another_network: bool) -> Vec<Port> {
    let mut ports: BTreeMap<(u16, bool), Port> = BTreeMap::new();
    let any = |number: u16| SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), number);
    // On the host's network every exposed port is the host's; elsewhere it is reachable inside only.
    let shared = container.uses_host_network() || on_another_network;
    for (exposed, udp) in container.exposed().filter_map(port_and_protocol) {
        let published = shared.then(|| any(exposed));
        ports.insert((exposed, udp), Port { exposed, udp, published });
    }
    for (text, bindings) in container.network_settings.ports.iter().flatten() {
        let Some((exposed, udp)) = port_and_protocol(text) else { continue };
        let published = bindings.iter().flatten().find_map(Binding::place);
        ports.insert((exposed, udp), Port { exposed, udp, published });
    }
    ports.into_values().collect()
}

/// `80/tcp`, `53/udp`, `80`.
fn port_and_protocol(text: &str) -> Option<(u16, bool)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((number.parse().ok()?, protocol == "udp"))
}

/// The address of a published port; none where it is the node's own.
fn published_address(bound: IpAddr, rules: &Rules) -> Option<IpAddr> {
    rules.host_address.or_else(|| Some(bound).filter(|address| !address.is_unspecified()))
}

/// A container's own address: the first of its networks that has one, IPv4 before IPv6.
fn address_of(settings: &Settings) -> Option<IpAddr> {
    let networks = || settings.networks.iter().flatten().map(|(_, network)| network);
    let v4 = std::iter::once(&settings.ip_address).chain(networks().map(|network| &network.ip_address));
    let v6 = std::iter::once(&settings.global_ipv6_address)
        .chain(networks().map(|network| &network.global_ipv6_address));
    v4.chain(v6).flatten().find_map(|text| text.parse().ok())
}

/// `registry.example:5000/team/web:1.2` → `web`. An image that has no name gives the container's.
fn image_name(container: &Container) -> String {
    let image = container.image();
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split(['@', ':']).next().unwrap_or_default() {
        "" | "sha256" => container.name().to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
