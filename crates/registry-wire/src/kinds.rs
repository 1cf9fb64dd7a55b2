//! What Consul asks of services that take part in a mesh, and of where something is: checked though there is no mesh
//! here, so that what is refused there is not kept here.

use crate::{json::Json, register::Locality};

/// The parts of a service that are judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// `Kind`.
    pub kind: &'a str,
    /// `Port`.
    pub port: i64,
    /// `SocketPath`.
    pub socket_path: &'a str,
    /// `Proxy`.
    pub proxy: &'a Json,
    /// `Connect`.
    pub connect: &'a Json,
    /// `Locality`.
    pub locality: Option<&'a Locality>,
}

impl Judged<'_> {
    /// What is wrong with it, as one text with a line for each fault; `None` if nothing is.
    pub fn faults(&self) -> Option<String> {
        let unreachable = self.port == 0 && self.socket_path.is_empty();
        let mut faults: Vec<String> = Vec::new();
        if self.kind == "connect-proxy" {
            if unreachable {
                faults.push("Port or SocketPath must be set for a connect-proxy".into());
            }
            if text(self.proxy, "DestinationServiceName").is_empty() {
                faults
                    .push("Proxy.DestinationServiceName must be non-empty for Connect proxy services".into());
            }
            faults
                .extend(self.unnamed_upstream().then(|| "upstream destination name cannot be empty".into()));
        }
        if matches!(self.kind, "mesh-gateway" | "terminating-gateway") && self.port == 0 {
            faults.push(format!("Port must be non-zero for a {}", self.kind));
        }
        if self.connect.field("Native") == Some(&Json::Bool(true)) && unreachable {
            faults.push("Port or SocketPath must be set for a Connect native service.".into());
        }
        faults.extend(self.locality.and_then(Locality::fault).map(str::to_owned));
        several(&faults)
    }

    fn unnamed_upstream(&self) -> bool {
        let Some(Json::List(upstreams)) = self.proxy.field("Upstreams") else { return false };
        upstreams.iter().any(|upstream| text(upstream, "DestinationName").is_empty())
    }
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

fn text<'a>(value: &'a Json, name: &str) -> &'a str {
    match value.field(name) {
        Some(Json::Text(text)) => text,
        _ => "",
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
        let plain = Judged {
            kind: "",
            port: 0,
            socket_path: "",
            proxy: &Json::Null,
            connect: &Json::Null,
            locality: None,
        };
        assert_eq!(plain.faults(), None);
        assert_eq!(
            Judged { kind: "connect-proxy", ..plain }.faults().unwrap(),
            "2 errors occurred:\n\t* Port or SocketPath must be set for a connect-proxy\n\t* \
             Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\n"
        );
        assert_eq!(Judged { kind: "mesh-gateway", port: 1, ..plain }.faults(), None);
        let zone = Locality { region: String::new(), zone: "z".into() };
        assert_eq!(
            Judged { locality: Some(&zone), ..plain }.faults().unwrap(),
            "1 error occurred:\n\t* zone cannot be set without region\n\n"
        );
    }
}
