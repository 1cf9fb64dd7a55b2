//! Configuration entries: the bodies of `PUT /v1/config`, read, checked and laid out as Consul shows them.
//!
//! `kinds` lists the fields of every kind (`schema` says what a field is), `read` puts a body into that form, `rules`
//! refuses what a kind does not allow and fills in what it leaves open. Nothing here acts on an entry.

mod intention;
mod kinds;
mod loose;
mod read;
mod rules;
mod schema;

use crate::{
    filter::{Kind as Fields, fields},
    json::{self, Json, Unknown},
};
use read::Misfits;

pub use rules::several;

pub use intention::{Absent, Source, intentions, with_source, without_source};

/// An entry as it is stored and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// `service-defaults`, …
    pub kind: String,
    /// The name as written; names compare without regard to case.
    pub name: String,
    /// Everything that is shown, as JSON, but the hash and the indexes: those come with [`shown`].
    pub body: Vec<u8>,
}

/// Why a body is no entry; each with its status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read: 400.
    #[error("Request decoding failed: {0}")]
    Body(String),
    /// Its kind does not allow it: 500.
    #[error("{0}")]
    Refused(String),
    /// Only the registry itself writes entries of this kind: 403.
    #[error("Permission denied: only writeable by controller")]
    NotYours,
}

/// Whether there are entries of this kind; kinds compare with their case.
pub fn is_kind(kind: &str) -> bool {
    kinds::fields(kind).is_some()
}

/// All kinds that exist.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    kinds::KINDS.iter().map(|(kind, _)| *kind)
}

/// Reads the body of `PUT /v1/config`: `{"Kind": "service-defaults", "Name": "web", "Protocol": "http"}`, with names in
/// this form or as `snake_case`.
pub fn parse(body: &[u8]) -> Result<ConfigEntry, ConfigError> {
    parse_as(body, rules::apply)
}

/// What [`parse`] does, for a `service-intentions` entry whose sources have ids: those of the old calls.
pub fn parse_with_ids(body: &[u8]) -> Result<ConfigEntry, ConfigError> {
    parse_as(body, |_, entry| rules::apply_with_ids(entry))
}

fn parse_as(
    body: &[u8],
    rules_of: impl Fn(&str, &mut Json) -> Result<(), String>,
) -> Result<ConfigEntry, ConfigError> {
    let unread = |why: String| ConfigError::Body(why);
    let sent: Json = json::decode(body, Unknown::Skip).map_err(|e| unread(e.to_string()))?;
    let kind = kind_of(&sent).map_err(unread)?;
    let Some(fields) = kinds::fields(&kind) else {
        return Err(unread(format!("invalid config entry kind: {kind}")));
    };
    let mut misfits = Misfits::default();
    let mut shown = read::object(&sent, fields, &mut misfits);
    misfits.none().map_err(unread)?;
    if kind == "bound-api-gateway" {
        return Err(ConfigError::NotYours);
    }
    rules::set(&mut shown, "Kind", Json::Text(kind.clone()));
    rules_of(&kind, &mut shown).map_err(ConfigError::Refused)?;
    let name = if kind == "mesh" { "mesh" } else { rules::text(&shown, "Name") };
    if name.is_empty() {
        let ingress = kind == "ingress-gateway";
        let why = if ingress {
            "failed inserting config entry: object missing primary index"
        } else {
            "serviceName is required"
        };
        return Err(ConfigError::Refused(why.to_owned()));
    }
    Ok(ConfigEntry { name: name.to_owned(), body: json::to_vec(&shown), kind })
}

/// The JSON of a stored entry with what the registry adds: `Hash`, `CreateIndex`, `ModifyIndex`.
pub fn shown(body: &[u8], create_index: u64, modify_index: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 96);
    out.extend_from_slice(body.strip_suffix(b"}").unwrap_or(body));
    let hash = hash(body);
    let added = format!(",\"Hash\":{hash},\"CreateIndex\":{create_index},\"ModifyIndex\":{modify_index}}}");
    out.extend_from_slice(added.as_bytes());
    out
}

/// The fields that a list of this kind can be filtered by; `None` for kinds that cannot be filtered.
pub fn filter_fields(kind: &str) -> Option<&'static Fields> {
    (kind == "service-defaults").then_some(&fields::SERVICE_DEFAULTS)
}

/// A number that equal entries share: FNV-1a.
fn hash(body: &[u8]) -> u64 {
    body.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The kind that a body names; `Kind` counts before `kind`.
fn kind_of(sent: &Json) -> Result<String, String> {
    let missing = || "Payload does not contain a kind/Kind key at the top level".to_owned();
    let fields = match sent {
        Json::Object(fields) => fields,
        Json::Null => return Err(missing()),
        other => return Err(format!("'' expected a map, got '{}'", loose::go_kind(other))),
    };
    let named = |wanted| fields.iter().rev().find(|(name, _)| name == wanted);
    match named("Kind").or_else(|| named("kind")) {
        None => Err(missing()),
        Some((_, Json::Text(kind))) => Ok(kind.clone()),
        Some(_) => Err("Kind value in payload is not a string".to_owned()),
    }
}

impl Misfits {
    /// The text of what does not fit, if anything does not.
    fn none(mut self) -> Result<(), String> {
        if !self.wrong.is_empty() {
            self.wrong.sort();
            let count = self.wrong.len();
            let lines: Vec<_> = self.wrong.iter().map(|why| format!("* {why}")).collect();
            return Err(format!("{count} error(s) decoding:\n\n{}", lines.join("\n")));
        }
        let why = self.unknown.iter().map(|key| {
            let last = key.rsplit('.').next().unwrap_or(key);
            let enterprise = last.eq_ignore_ascii_case("namespace");
            let note = if enterprise { ", namespaces are a consul enterprise feature" } else { "" };
            format!("invalid config key \"{key}\"{note}")
        });
        rules::several(why.collect())
    }
}

#[cfg(test)]
mod tests;
