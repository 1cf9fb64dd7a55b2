//! Gateways, their routes and certificates.

use super::{elements, list, number, recase, set, text};
use crate::json::Json;

const TLS_VERSIONS: [&str; 5] = ["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];

/// `ingress-gateway`.
pub(super) fn ingress(entry: &mut Json) -> Result<(), String> {
    for listener in elements(entry, "Listeners") {
        recase(listener, "Protocol", |protocol| match protocol {
            "" => "tcp".to_owned(),
            given => given.to_lowercase(),
        });
    }
    if let Some(tls) = entry.field("TLS") {
        check_tls(tls)?;
    }
    let mut ports = Vec::new();
    for listener in list(entry, "Listeners") {
        let port = number(listener, "Port");
        if ports.contains(&port) {
            return Err(format!("port {port} declared on two listeners"));
        }
        ports.push(port);
        check_listener(listener, port)?;
    }
    Ok(())
}

fn check_listener(listener: &Json, port: f64) -> Result<(), String> {
    let protocol = text(listener, "Protocol");
    if !["tcp", "http", "http2", "grpc"].contains(&protocol) {
        return Err(format!(
            "protocol must be 'tcp', 'http', 'http2', or 'grpc'. '{protocol}' is an unsupported protocol"
        ));
    }
    let services = list(listener, "Services");
    if services.is_empty() {
        return Err(format!("No service declared for listener with port {port}"));
    }
    if services.len() > 1 && protocol == "tcp" {
        return Err(format!(
            "Multiple services per listener are only supported for L7 protocols, 'http', 'grpc' and 'http2' (listener on port {port})"
        ));
    }
    if let Some(tls) = listener.field("TLS") {
        check_tls(tls)?;
    }
    let mut seen = Vec::new();
    for service in services {
        let (name, hosts) = (text(service, "Name"), list(service, "Hosts"));
        if name.is_empty() {
            return Err(format!("Service name cannot be blank (listener on port {port})"));
        }
        if name == "*" && protocol != "http" {
            return Err(format!(
                "Wildcard service name is only valid for protocol = 'http' (listener on port {port})"
            ));
        }
        if name == "*" && !hosts.is_empty() {
            return Err(format!(
                "Associating hosts to a wildcard service is not supported (listener on port {port})"
            ));
        }
        if protocol == "tcp" && !hosts.is_empty() {
            return Err(format!(
                "Associating hosts to a service is not supported for the tcp protocol (listener on port {port})"
            ));
        }
        if seen.contains(&name) {
            return Err(format!("Service {name} cannot be added multiple times (listener on port {port})"));
        }
        seen.push(name);
    }
    Ok(())
}

/// The versions of a gateway's or of the mesh's TLS.
pub(super) fn check_tls(tls: &Json) -> Result<(), String> {
    let (least, most) = (text(tls, "TLSMinVersion"), text(tls, "TLSMaxVersion"));
    let place = |version: &str| TLS_VERSIONS.iter().position(|known| *known == version);
    for version in [least, most] {
        if !version.is_empty() && place(version).is_none() {
            let known = TLS_VERSIONS.join(", ");
            return Err(format!(
                "no matching TLS version found for {version}, please specify one of [{known}]"
            ));
        }
    }
    let (Some(lowest), Some(highest)) = (place(least), place(most)) else { return Ok(()) };
    if highest != 0 && highest < lowest {
        return Err(format!(
            "configuring max version {most} less than the configured min version {least} is invalid"
        ));
    }
    Ok(())
}

/// `terminating-gateway`.
pub(super) fn terminating(entry: &Json) -> Result<(), String> {
    let mut seen = Vec::new();
    for service in list(entry, "Services") {
        let name = text(service, "Name");
        if name.is_empty() {
            return Err("Service name cannot be blank.".to_owned());
        }
        if seen.contains(&name) {
            return Err(format!("Service {name:?} was specified more than once within a namespace"));
        }
        seen.push(name);
        let has = |field| !text(service, field).is_empty();
        let own = has("CertFile") || has("KeyFile");
        if own && !(has("CertFile") && has("CAFile") && has("KeyFile")) {
            return Err(format!(
                "Service {name:?} must have a CertFile, CAFile, and KeyFile specified for TLS origination"
            ));
        }
    }
    Ok(())
}

/// `api-gateway`.
pub(super) fn api(entry: &mut Json) -> Result<(), String> {
    let listeners = list(entry, "Listeners");
    if listeners.is_empty() {
        return Err("api gateway must have at least one listener".to_owned());
    }
    for listener in listeners {
        let protocol = text(listener, "Protocol");
        if !["tcp", "http"].contains(&protocol) {
            return Err(format!(
                "unsupported listener protocol {protocol:?}, must be one of 'tcp', or 'http'"
            ));
        }
    }
    Ok(())
}

/// `http-route` and `tcp-route`: what they hang on is a gateway unless it says otherwise.
pub(super) fn route(entry: &mut Json) {
    for parent in elements(entry, "Parents") {
        if text(parent, "Kind").is_empty() {
            set(parent, "Kind", Json::Text("api-gateway".to_owned()));
        }
    }
}

/// `inline-certificate`: both parts must at least look like PEM.
pub(super) fn inline_certificate(entry: &Json) -> Result<(), String> {
    for (field, what) in [("PrivateKey", "private key"), ("Certificate", "certificate")] {
        if !text(entry, field).contains("-----BEGIN ") {
            return Err(format!("failed to parse {what} PEM"));
        }
    }
    Ok(())
}
