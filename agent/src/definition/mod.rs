//! Definitions of services and checks, from files and from the API: read, judged, filled up with defaults.
//!
//! Both sources meet in the same types, in the spelling of the API; a file's `failures_before_critical` is the API's
//! `FailuresBeforeCritical`. What passes here can be registered.

mod check;
mod service;
mod sidecar;

pub(crate) use check::is_status;
pub use check::{CheckDefinition, CheckType, Kind};
pub(crate) use service::validate_weights;
pub use service::{InvalidService, ServiceDefinition};
pub use sidecar::Sidecar;

use std::time::Duration;

use registry_wire::json::Nanos;
use serde_json::{Map, Value as Json};

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A configuration file of this agent.
    File,
    /// The HTTP API.
    Api,
    /// A container of the engine that is followed.
    Container,
}

/// A duration that is not negative; anything below zero is zero.
pub(crate) fn duration(nanos: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(nanos.0).unwrap_or(0))
}

/// Checks the pairs of a node or a service; the words are Consul's.
///
/// At most 64 pairs, keys of 1 to 128 characters of `[A-Za-z0-9_-]` that do not begin with `consul-`, values up to 512.
pub fn validate_meta<'a>(
    pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
    reserved: bool,
) -> Result<(), String> {
    let mut count = 0;
    for (key, value) in pairs {
        count += 1;
        let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let reason = match key {
            _ if key.is_empty() => "Key cannot be blank".to_owned(),
            _ if key.contains(odd) => "Key contains invalid characters".to_owned(),
            _ if key.len() > 128 => "Key is too long (limit: 128 characters)".to_owned(),
            _ if reserved && key.starts_with("consul-") => {
                "Key prefix 'consul-' is reserved for internal use".to_owned()
            }
            _ if value.len() > 512 => "Value is too long (limit: 512 characters)".to_owned(),
            _ => continue,
        };
        return Err(format!("Couldn't load metadata pair ('{key}', '{value}'): {reason}"));
    }
    if count > 64 {
        return Err("Node metadata cannot contain more than 64 key/value pairs".to_owned());
    }
    Ok(())
}

/// The keys of a file's block in the spelling that the API's decoder matches: without underscores.
fn api_keys(block: &Map<String, Json>) -> Map<String, Json> {
    block.iter().map(|(key, value)| (key.replace('_', ""), value.clone())).collect()
}

/// The same for all that is in the block too, but for what users name themselves: `config`.
fn api_keys_within(value: &Json) -> Json {
    match value {
        Json::Object(block) => Json::Object(
            api_keys(block)
                .into_iter()
                .map(|(key, value)| {
                    let value = if key == "config" { value } else { api_keys_within(&value) };
                    (key, value)
                })
                .collect(),
        ),
        Json::Array(list) => Json::Array(list.iter().map(api_keys_within).collect()),
        plain => plain.clone(),
    }
}
