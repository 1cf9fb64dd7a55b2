//! `service-intentions`, `mesh`, `exported-services` and `jwt-provider`.

use serde_json::Number;

use super::{chain::one_of, elements, gateways::check_tls, inside, list, set, text};
use crate::json::Json;

const DESCRIPTION_BYTES_MAX: usize = 512;
const CLOCK_SKEW_SECONDS: u64 = 30;

/// `service-intentions`: sources get their precedence, and stand in its order.
pub(super) fn intentions(entry: &mut Json) -> Result<(), String> {
    let with_meta = |source: &Json| source.field("LegacyMeta").is_some();
    if let Some(at) = list(entry, "Sources").iter().position(with_meta) {
        return Err(format!("Sources[{at}].LegacyMeta must be omitted"));
    }
    elements(entry, "Sources").for_each(without_legacy);
    intentions_with_ids(entry)
}

/// The same for what the old way of writing intentions gives: each source has an id and times.
pub(super) fn intentions_with_ids(entry: &mut Json) -> Result<(), String> {
    let exact = text(entry, "Name") != "*";
    for source in elements(entry, "Sources") {
        let precedence: u64 = match (exact, text(source, "Name") != "*") {
            (true, true) => 9,
            (true, false) => 8,
            (false, true) => 6,
            (false, false) => 5,
        };
        set(source, "Precedence", Json::Number(precedence.into()));
        if text(source, "Type").is_empty() {
            set(source, "Type", Json::Text("consul".to_owned()));
        }
    }
    check_intentions(entry)?;
    if let Some(Json::List(sources)) = inside(entry, "Sources") {
        sources.sort_by_key(|source| std::cmp::Reverse(super::number(source, "Precedence") as i64));
    }
    Ok(())
}

/// What only the old way of writing intentions sets.
fn without_legacy(source: &mut Json) {
    if let Json::Object(fields) = source {
        fields.retain(|(name, _)| !name.starts_with("Legacy"));
    }
}

fn check_intentions(entry: &Json) -> Result<(), String> {
    super::named(entry)?;
    let destination = text(entry, "Name");
    whole_wildcard(destination, "Name")?;
    let sources = list(entry, "Sources");
    if sources.is_empty() {
        return Err("At least one source is required".to_owned());
    }
    let mut seen = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let place = format!("Sources[{at}]");
        check_source(source, &place, destination == "*")?;
        let name = text(source, "Name");
        let known = (name, text(source, "Peer"));
        if seen.contains(&known) {
            return Err(format!("{place} defines {name:?} more than once"));
        }
        seen.push(known);
    }
    Ok(())
}

fn check_source(source: &Json, place: &str, for_all: bool) -> Result<(), String> {
    let name = text(source, "Name");
    if name.is_empty() {
        return Err(format!("{place}.Name is required"));
    }
    whole_wildcard(name, &format!("{place}.Name"))?;
    if text(source, "Description").len() > DESCRIPTION_BYTES_MAX {
        return Err(format!("{place}.Description exceeds maximum length {DESCRIPTION_BYTES_MAX}"));
    }
    if text(source, "Type") != "consul" {
        return Err(format!("{place}.Type must be set to 'consul'"));
    }
    let (action, permissions) = (text(source, "Action"), list(source, "Permissions"));
    if !permissions.is_empty() {
        if for_all {
            return Err(format!(
                "{place}.Permissions cannot be specified on intentions with wildcarded destinations"
            ));
        }
        if !action.is_empty() {
            return Err(format!("{place}.Action must be omitted if Permissions are specified"));
        }
    } else {
        allow_or_deny(action, place)?;
    }
    for (at, permission) in permissions.iter().enumerate() {
        check_permission(permission, &format!("{place}.Permissions[{at}]"))?;
    }
    Ok(())
}

fn allow_or_deny(action: &str, place: &str) -> Result<(), String> {
    match action {
        "allow" | "deny" => Ok(()),
        _ => Err(format!("{place}.Action must be set to 'allow' or 'deny'")),
    }
}

fn check_permission(permission: &Json, place: &str) -> Result<(), String> {
    allow_or_deny(text(permission, "Action"), place)?;
    let Some(http) = permission.field("HTTP") else {
        return if permission.field("JWT").is_some() {
            Ok(())
        } else {
            Err(format!("{place}.HTTP is required"))
        };
    };
    check_path(http, &format!("{place}.HTTP."))?;
    let has_path = ["PathExact", "PathPrefix", "PathRegex"].iter().any(|name| !text(http, name).is_empty());
    let (headers, methods) = (list(http, "Header"), list(http, "Methods"));
    if !has_path && headers.is_empty() && methods.is_empty() {
        return Err(format!("{place}.HTTP should not be empty"));
    }
    for (at, header) in headers.iter().enumerate() {
        let conditions = ["Present", "Exact", "Prefix", "Suffix", "Contains", "Regex"];
        one_of(header, &conditions, &format!("{place}.HTTP.Header[{at}]"))?;
    }
    Ok(())
}

/// A path is matched in one way, and begins with a slash. `place` ends in a dot or a space.
pub(super) fn check_path(http: &Json, place: &str) -> Result<(), String> {
    let paths = ["PathExact", "PathPrefix", "PathRegex"];
    if paths.iter().filter(|name| !text(http, name).is_empty()).count() > 1 {
        let place = place.trim_end_matches(['.', ' ']);
        return Err(format!(
            "{place} should only contain at most one of PathExact, PathPrefix, or PathRegex"
        ));
    }
    for name in ["PathExact", "PathPrefix"] {
        let path = text(http, name);
        if !path.is_empty() && !path.starts_with('/') {
            return Err(format!("{place}{name} doesn't start with '/': {path:?}"));
        }
    }
    Ok(())
}

fn whole_wildcard(name: &str, place: &str) -> Result<(), String> {
    if name.contains('*') && name != "*" {
        return Err(format!("{place}: wildcard character '*' cannot be used with partial values"));
    }
    Ok(())
}

/// `mesh`.
pub(super) fn mesh(entry: &Json) -> Result<(), String> {
    let Some(tls) = entry.field("TLS") else { return Ok(()) };
    for (field, direction) in [("Incoming", "incoming"), ("Outgoing", "outgoing")] {
        if let Some(tls) = tls.field(field) {
            check_tls(tls).map_err(|why| format!("error in {direction} TLS configuration: {why}"))?;
        }
    }
    Ok(())
}

/// `exported-services`: one for all.
pub(super) fn exported(entry: &Json) -> Result<(), String> {
    if text(entry, "Name") != "default" {
        return Err("exported-services Name must be \"default\"".to_owned());
    }
    for (at, service) in list(entry, "Services").iter().enumerate() {
        if text(service, "Name").is_empty() {
            return Err(format!("Services[{at}]: service name cannot be empty"));
        }
        let consumers = list(service, "Consumers");
        if consumers.is_empty() {
            return Err(format!("Services[{at}]: must have at least one consumer"));
        }
        for (nth, consumer) in consumers.iter().enumerate() {
            let filled = |name: &&&str| !text(consumer, name).is_empty();
            if ["Peer", "Partition", "SamenessGroup"].iter().filter(filled).count() > 1 {
                let why = "must define at most one of Peer, Partition, or SamenessGroup";
                return Err(format!("Services[{at}].Consumers[{nth}]: {why}"));
            }
        }
    }
    Ok(())
}

/// `jwt-provider`.
pub(super) fn jwt_provider(entry: &mut Json) -> Result<(), String> {
    super::named(entry)?;
    let Some(keys) = entry.field("JSONWebKeySet") else {
        return Err("JSONWebKeySet is required".to_owned());
    };
    if keys.field("Local").is_some() == keys.field("Remote").is_some() {
        return Err("must specify exactly one of Local or Remote JSON Web key set".to_owned());
    }
    if entry.field("ClockSkewSeconds").is_none() {
        let at = place_before(entry, &["CacheConfig", "Meta"]);
        if let Json::Object(fields) = entry {
            fields
                .insert(at, ("ClockSkewSeconds".to_owned(), Json::Number(Number::from(CLOCK_SKEW_SECONDS))));
        }
    }
    Ok(())
}

/// Where a field belongs that stands before these.
fn place_before(entry: &Json, names: &[&str]) -> usize {
    let Json::Object(fields) = entry else { return 0 };
    fields.iter().position(|(name, _)| names.contains(&name.as_str())).unwrap_or(fields.len())
}
