//! `service-defaults` and `proxy-defaults`.

use super::{elements, inside, list, number, recase, set, several, text};
use crate::json::Json;

const PROTOCOLS: [&str; 5] = ["", "tcp", "http", "http2", "grpc"];
const EXTENSIONS: [&str; 8] = [
    "builtin/aws/lambda",
    "builtin/ext-authz",
    "builtin/http/localratelimit",
    "builtin/lua",
    "builtin/otel-access-logging",
    "builtin/property-override",
    "builtin/proxy/wasm",
    "builtin/wasm",
];

/// `service-defaults`.
pub(super) fn service(entry: &mut Json) -> Result<(), String> {
    recase(entry, "Protocol", str::to_lowercase);
    if let Some(upstreams) = inside(entry, "UpstreamConfig") {
        elements(upstreams, "Overrides").for_each(|upstream| recase(upstream, "Protocol", str::to_lowercase));
        if let Some(defaults) = inside(upstreams, "Defaults") {
            recase(defaults, "Protocol", str::to_lowercase);
        }
    }
    super::named(entry)?;
    if text(entry, "Name") == "*" {
        return Err("service-defaults name must be the name of a service, and not a wildcard".to_owned());
    }
    mutual_tls(entry)?;
    let mut wrong = Vec::new();
    let protocol = text(entry, "Protocol");
    if !PROTOCOLS.contains(&protocol) {
        wrong.push(format!("invalid value for protocol: {protocol}"));
    }
    balance(entry, "BalanceInboundConnections", "balance_inbound_connections", &mut wrong);
    if let Some(upstreams) = entry.field("UpstreamConfig") {
        check_upstreams(upstreams, &mut wrong);
    }
    if let Some(destination) = entry.field("Destination") {
        check_destination(destination, &mut wrong);
    }
    if entry.field("RateLimits").is_some() {
        wrong.push("invalid rate_limits config. Rate limiting is a consul enterprise feature".to_owned());
    }
    extensions(entry, &mut wrong);
    several(wrong)
}

/// `proxy-defaults`: one for all.
pub(super) fn proxy(entry: &mut Json) -> Result<(), String> {
    match text(entry, "Name") {
        "" => set(entry, "Name", Json::Text("global".to_owned())),
        "global" => {}
        other => return Err(format!("invalid name ({other:?}), only \"global\" is supported")),
    }
    if let Some(logs) = entry.field("AccessLogs") {
        access_logs(logs)?;
    }
    let mut wrong = Vec::new();
    extensions(entry, &mut wrong);
    several(wrong)?;
    mutual_tls(entry)?;
    if let Some(policy) = entry.field("FailoverPolicy")
        && !["", "sequential", "order-by-locality"].contains(&text(policy, "Mode"))
    {
        return Err("Failover-policy mode must be one of '', 'sequential', or 'order-by-locality'".to_owned());
    }
    if entry.field("PrioritizeByLocality").is_some() {
        return Err("Prioritize-by-locality requires Consul Enterprise ".to_owned());
    }
    Ok(())
}

fn mutual_tls(entry: &Json) -> Result<(), String> {
    match text(entry, "MutualTLSMode") {
        "" | "strict" | "permissive" => Ok(()),
        mode => Err(format!(
            "Invalid MutualTLSMode {mode:?}. Must be one of \"\", \"strict\", or \"permissive\"."
        )),
    }
}

fn balance(entry: &Json, field: &str, shown: &str, wrong: &mut Vec<String>) {
    let value = text(entry, field);
    if !["", "exact_balance"].contains(&value) {
        wrong.push(format!("invalid value for {shown}: {value}"));
    }
}

fn check_upstreams(upstreams: &Json, wrong: &mut Vec<String>) {
    for upstream in list(upstreams, "Overrides") {
        let (name, peer) = (text(upstream, "Name"), text(upstream, "Peer"));
        let checked = match name {
            "" => Err("Name is required".to_owned()),
            "*" => Err("Wildcard name is not supported".to_owned()),
            _ => upstream_limits(upstream),
        };
        if let Err(why) = checked {
            wrong.push(format!("error in upstream override for {name}:{peer}: {why}"));
        }
    }
    let Some(defaults) = upstreams.field("Defaults") else { return };
    let checked = match text(defaults, "Name") {
        "" => upstream_limits(defaults),
        _ => Err("Name must be empty".to_owned()),
    };
    if let Err(why) = checked {
        wrong.push(format!("error in upstream defaults: {why}"));
    }
}

fn upstream_limits(upstream: &Json) -> Result<(), String> {
    let mut wrong = Vec::new();
    balance(upstream, "BalanceOutboundConnections", "balance_outbound_connections", &mut wrong);
    if let Some(limits) = upstream.field("Limits") {
        for (field, what) in [
            ("MaxConnections", "max connections"),
            ("MaxPendingRequests", "max pending requests"),
            ("MaxConcurrentRequests", "max concurrent requests"),
        ] {
            if number(limits, field) < 0.0 {
                wrong.push(format!("{what} cannot be negative"));
            }
        }
    }
    several(wrong)
}

fn check_destination(destination: &Json, wrong: &mut Vec<String>) {
    let addresses = list(destination, "Addresses");
    if addresses.is_empty() {
        wrong.push("Destination must contain at least one valid address".to_owned());
    }
    for (at, address) in addresses.iter().enumerate() {
        let Json::Text(shown) = address else { continue };
        if addresses[..at].contains(address) {
            wrong.push(format!("Duplicate address '{shown}' is not allowed"));
        } else if shown.is_empty() || shown.contains('*') {
            let why = format!("Could not validate address {shown} as an IP or Hostname");
            wrong.push(format!("Destination address '{shown}' is invalid {why}"));
        }
    }
    let port = number(destination, "Port");
    if !(1.0..=65535.0).contains(&port) {
        wrong.push(format!("Invalid Port number {port}"));
    }
}

fn extensions(entry: &Json, wrong: &mut Vec<String>) {
    for (at, extension) in list(entry, "EnvoyExtensions").iter().enumerate() {
        match text(extension, "Name") {
            "" => wrong.push(format!("invalid EnvoyExtensions[{at}]: Name is required")),
            name if !EXTENSIONS.contains(&name) => wrong.push(format!(
                "invalid EnvoyExtensions[{at}][{name}]: name {name:?} is not a built-in extension"
            )),
            _ => {}
        }
    }
}

fn access_logs(logs: &Json) -> Result<(), String> {
    let (kind, path) = (text(logs, "Type"), text(logs, "Path"));
    if !["", "file", "stderr", "stdout"].contains(&kind) {
        return Err(format!("invalid access log type: {kind}"));
    }
    let (as_json, as_text) = (text(logs, "JSONFormat"), text(logs, "TextFormat"));
    if !as_json.is_empty() && !as_text.is_empty() {
        return Err("cannot specify both access log JSONFormat and TextFormat".to_owned());
    }
    if kind == "file" && path.is_empty() {
        return Err("path must be specified when using file type access logs".to_owned());
    }
    if kind != "file" && !path.is_empty() {
        return Err("path is only valid for file type access logs".to_owned());
    }
    if !as_json.is_empty()
        && let Err(why) = serde_json::from_str::<serde_json::Value>(as_json)
    {
        return Err(format!("invalid access log json for JSON format: {why}"));
    }
    Ok(())
}
