//! What Consul asks of services that take part in a mesh, and of where something is: checked though there is no mesh
//! here, so that what is refused there is not kept here.

use std::collections::BTreeSet;

use crate::{
    proxy::{Expose, Proxy, Upstream},
    register::Locality,
};

/// The parts of a service that are judged.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// `Kind`.
    pub kind: &'a str,
    /// `Port`.
    pub port: i64,
    /// `SocketPath`.
    pub socket_path: &'a str,
    /// `Proxy`.
    pub proxy: &'a Proxy,
    /// Whether `Connect` says `Native`.
    pub native: bool,
    /// `Locality`.
    pub locality: Option<&'a Locality>,
    /// One more fault, which somebody else has found.
    pub more: Option<String>,
}

impl Judged<'_> {
    /// What is wrong with it, as one text with a line for each fault; `None` if nothing is.
    pub fn faults(&self) -> Option<String> {
        several(&self.list())
    }

    fn list(&self) -> Vec<String> {
        let unreachable = self.port == 0 && self.socket_path.is_empty();
        let mut faults: Vec<String> = Vec::new();
        faults.extend(self.locality.and_then(Locality::fault).map(str::to_owned));
        match self.kind {
            "connect-proxy" => faults.extend(self.of_proxy(unreachable)),
            "mesh-gateway" | "terminating-gateway" => {
                faults.extend((self.port == 0).then(|| format!("Port must be non-zero for a {}", self.kind)));
                faults.extend(self.of_gateway());
            }
            "ingress-gateway" | "api-gateway" => faults.extend(self.of_gateway()),
            _ => {}
        }
        if self.native && unreachable {
            faults.push("Port or SocketPath must be set for a Connect native service.".into());
        }
        faults.extend(self.more.clone());
        faults
    }

    fn of_proxy(&self, unreachable: bool) -> Vec<String> {
        let mut faults: Vec<String> = Vec::new();
        if unreachable {
            faults.push("Port or SocketPath must be set for a connect-proxy".into());
        }
        match self.proxy.destination_service_name.as_str() {
            "" => faults
                .push("Proxy.DestinationServiceName must be non-empty for Connect proxy services".into()),
            "*" => faults.push(
                "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services".into(),
            ),
            _ => {}
        }
        if self.native {
            faults.push("A Proxy cannot also be Connect Native, only typical services".into());
        }
        faults.extend(of_upstreams(&self.proxy.upstreams));
        faults.extend(of_exposed(&self.proxy.expose));
        faults
    }

    /// What belongs to a proxy beside a service, and not to a gateway.
    fn of_gateway(&self) -> Vec<String> {
        let proxy = self.proxy;
        [
            ("DestinationServiceName", !proxy.destination_service_name.is_empty()),
            ("DestinationServiceID", !proxy.destination_service_id.is_empty()),
            ("LocalServiceAddress", !proxy.local_service_address.is_empty()),
            ("LocalServicePort", proxy.local_service_port != 0),
            ("LocalServiceSocketPath", !proxy.local_service_socket_path.is_empty()),
            ("Upstreams", !proxy.upstreams.is_empty()),
        ]
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| format!("The Proxy.{name} configuration is invalid for a {}", self.kind))
        .collect()
    }
}

/// One fault at most for each upstream: its own, or that another one is the same.
fn of_upstreams(upstreams: &[Upstream]) -> Vec<String> {
    let (mut named, mut bound) = (BTreeSet::new(), BTreeSet::new());
    let mut faults = Vec::new();
    for upstream in upstreams {
        if let Some(fault) = upstream.fault() {
            faults.push(fault);
            continue;
        }
        let (name, place) = (upstream.named(), upstream.place());
        if named.contains(&name) {
            faults.push(format!("upstreams cannot contain duplicates of {name}"));
        } else if bound.contains(&place) {
            faults.push(format!(
                "upstreams cannot contain duplicates by local bind address and port or unix path; {place:?} is specified twice"
            ));
        }
        named.insert(name);
        bound.insert(place);
    }
    faults
}

impl Upstream {
    fn fault(&self) -> Option<String> {
        let socket = !self.local_bind_socket_path.is_empty();
        let fault = match (self.destination_type.as_str(), self.destination_name.as_str()) {
            (kind, _) if !matches!(kind, "" | "service" | "prepared_query") => {
                return Some(format!("unknown upstream destination type: {kind:?}"));
            }
            (_, "") => "upstream destination name cannot be empty",
            (_, "*") => "upstream destination name cannot be a wildcard",
            _ if !self.destination_peer.is_empty() && !self.datacenter.is_empty() => {
                "upstream cannot specify both destination peer and datacenter"
            }
            _ if self.local_bind_port == 0 && !socket => {
                "upstream local bind port or local socket path must be defined and nonzero"
            }
            _ if self.local_bind_port != 0 && socket => {
                "only one of upstream local bind port or local socket path can be defined and nonzero"
            }
            _ => return None,
        };
        Some(fault.to_owned())
    }

    fn named(&self) -> String {
        format!(
            "[type={:?}, name={:?}, partition={:?}, namespace={:?}, peer={:?}, datacenter={:?}]",
            self.destination_type,
            self.destination_name,
            self.destination_partition,
            self.destination_namespace,
            self.destination_peer,
            self.datacenter
        )
    }

    fn place(&self) -> String {
        if !self.local_bind_socket_path.is_empty() {
            return self.local_bind_socket_path.clone();
        }
        let address = if self.local_bind_address.is_empty() { "127.0.0.1" } else { &self.local_bind_address };
        format!("{address}:{}", self.local_bind_port)
    }
}

fn of_exposed(expose: &Expose) -> Vec<String> {
    let (mut faults, mut ports) = (Vec::new(), BTreeSet::new());
    for exposed in &expose.paths {
        let port = exposed.listener_port;
        if exposed.path.is_empty() {
            faults.push("expose.paths: empty path exposed".to_owned());
        }
        if !(1..=65_535).contains(&port) {
            faults.push(format!("expose.paths: invalid listener port: {port}"));
        }
        if !ports.insert(port) {
            faults.push("expose.paths: duplicate listener ports exposed".to_owned());
        }
        if !matches!(exposed.protocol.to_lowercase().as_str(), "" | "http" | "http2") {
            faults.push(format!(
                "protocol '{}' not supported for path: {}, must be in: [http http2]",
                exposed.protocol, exposed.path
            ));
        }
    }
    faults
}

impl Locality {
    fn fault(&self) -> Option<&'static str> {
        (self.region.is_empty() && !self.zone.is_empty()).then_some("zone cannot be set without region")
    }

    /// What is wrong with it, as [`Judged::faults`] words it.
    pub fn faults(&self) -> Option<String> {
        several(&self.fault().map(str::to_owned).into_iter().collect::<Vec<_>>())
    }
}

/// Faults as Go's `multierror` lists them.
fn several(faults: &[String]) -> Option<String> {
    let lines: String = faults.iter().map(|fault| format!("\t* {fault}\n")).collect();
    match faults.len() {
        0 => None,
        1 => Some(format!("1 error occurred:\n{lines}\n")),
        count => Some(format!("{count} errors occurred:\n{lines}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_listed_as_consul_lists_them() {
        let (nothing, gateway) = (Proxy::default(), Proxy { local_service_port: 5, ..Proxy::default() });
        let plain = Judged {
            kind: "",
            port: 0,
            socket_path: "",
            proxy: &nothing,
            native: false,
            locality: None,
            more: None,
        };
        assert_eq!(plain.faults(), None);
        assert_eq!(
            Judged { kind: "connect-proxy", ..plain.clone() }.faults().unwrap(),
            "2 errors occurred:\n\t* Port or SocketPath must be set for a connect-proxy\n\t* \
             Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\n"
        );
        assert_eq!(Judged { kind: "mesh-gateway", port: 1, ..plain.clone() }.faults(), None);
        assert_eq!(
            Judged { kind: "api-gateway", proxy: &gateway, ..plain.clone() }.faults().unwrap(),
            "1 error occurred:\n\t* The Proxy.LocalServicePort configuration is invalid for a api-gateway\n\n"
        );
        let zone = Locality { region: String::new(), zone: "z".into() };
        assert_eq!(
            Judged { locality: Some(&zone), ..plain.clone() }.faults().unwrap(),
            "1 error occurred:\n\t* zone cannot be set without region\n\n"
        );
    }

    #[test]
    fn upstreams_and_exposed_paths_are_judged_one_by_one() {
        let proxy: Proxy = crate::json::decode(
            br#"{"DestinationServiceName":"web","Upstreams":[{},{"DestinationName":"*","DestinationType":"bogus"},
                {"DestinationName":"a","LocalBindPort":5},{"DestinationName":"a","LocalBindPort":5},
                {"DestinationName":"b","LocalBindPort":5},{"DestinationName":"c","LocalBindSocketPath":"/s","LocalBindPort":1}],
                "Expose":{"Paths":[{"ListenerPort":5,"Path":"/a","Protocol":"http"},{"ListenerPort":5,"Protocol":"x"},{"ListenerPort":70000,"Path":"/"}]}}"#,
            crate::json::Unknown::Refuse,
        )
        .unwrap();
        let judged = Judged {
            kind: "connect-proxy",
            port: 1,
            socket_path: "",
            proxy: &proxy,
            native: true,
            locality: None,
            more: None,
        };
        assert_eq!(
            judged.list(),
            [
                "A Proxy cannot also be Connect Native, only typical services",
                "upstream destination name cannot be empty",
                "unknown upstream destination type: \"bogus\"",
                "upstreams cannot contain duplicates of [type=\"\", name=\"a\", partition=\"\", namespace=\"\", peer=\"\", datacenter=\"\"]",
                "upstreams cannot contain duplicates by local bind address and port or unix path; \"127.0.0.1:5\" is specified twice",
                "only one of upstream local bind port or local socket path can be defined and nonzero",
                "expose.paths: empty path exposed",
                "expose.paths: duplicate listener ports exposed",
                "protocol 'x' not supported for path: , must be in: [http http2]",
                "expose.paths: invalid listener port: 70000",
            ]
        );
    }
}
