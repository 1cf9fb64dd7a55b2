//! Why a command could not be done, in the words Consul's clients know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Index, Key};

/// Why a command, or one operation of a transaction, could not be done. `Display` is Consul's text without the prefix
/// that an endpoint may put before it (`raft apply failed: `, `apply failed: `).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum WriteError {
    /// A lock operation named no session.
    #[error("missing session")]
    MissingSession,
    /// A lock was asked for a session that does not exist.
    #[error("invalid session {}", quoted(.0.as_bytes()))]
    InvalidSession(String),
    /// `get`, of an absent key.
    #[error("key {} doesn't exist", quoted(.0.as_bytes()))]
    KeyMissing(Key),
    /// `check-not-exists`, of a key that is there.
    #[error("key {} exists", quoted(.0.as_bytes()))]
    KeyExists(Key),
    /// `cas` with another index.
    #[error("failed to set key {}, index is stale", quoted(.0.as_bytes()))]
    KeySetStale(Key),
    /// `delete-cas` with another index.
    #[error("failed to delete key {}, index is stale", quoted(.0.as_bytes()))]
    KeyDeleteStale(Key),
    /// `lock`, of a key another session holds.
    #[error("failed to lock key {}, lock is already held", quoted(.0.as_bytes()))]
    LockHeld(Key),
    /// `lock`, too soon after its last holder ended.
    #[error("failed to lock key {} due to lock delay", quoted(.0.as_bytes()))]
    LockDelayed(Key),
    /// `unlock`, by another than the holder.
    #[error("failed to unlock key {}, lock isn't held, or is held by another session", quoted(.0.as_bytes()))]
    LockNotHeld(Key),
    /// `check-index`, of an absent key.
    #[error("failed to check index, key {} doesn't exist", quoted(.0.as_bytes()))]
    CheckIndexMissing(Key),
    /// `check-index`, of a key with another index.
    #[error("failed index check for key {}, current modify index {current} != {wanted}", quoted(.key.as_bytes()))]
    CheckIndexDiffers {
        /// The key.
        key: Key,
        /// Its ModifyIndex.
        current: Index,
        /// The one asked for.
        wanted: Index,
    },
    /// `check-session`, of an absent key.
    #[error("failed to check session, key {} doesn't exist", quoted(.0.as_bytes()))]
    CheckSessionMissing(Key),
    /// `check-session`, of a key another session holds, or none.
    #[error(
        "failed session check for key {}, current session {} != {}",
        quoted(.key.as_bytes()), quoted(.current.as_bytes()), quoted(.wanted.as_bytes())
    )]
    CheckSessionDiffers {
        /// The key.
        key: Key,
        /// The session that holds it, or empty.
        current: String,
        /// The one asked for.
        wanted: String,
    },
    /// An operation on a key without a key.
    #[error("Must provide key")]
    NoKey,
    /// A verb that no operation of this kind has.
    #[error("unknown {kind} operation: {verb}")]
    UnknownVerb {
        /// `KV`, `node`, `service` or `check`.
        kind: String,
        /// The verb.
        verb: String,
    },
    /// `get`, of an unknown node.
    #[error("node {} doesn't exist", quoted(.0.as_bytes()))]
    NodeMissing(String),
    /// `get`, of an unknown instance.
    #[error("service {} on node {} doesn't exist", quoted(.service.as_bytes()), quoted(.node.as_bytes()))]
    ServiceMissing {
        /// The instance's id.
        service: String,
        /// The node's name.
        node: String,
    },
    /// `get`, of an unknown check.
    #[error("check {} on node {} doesn't exist", quoted(.check.as_bytes()), quoted(.node.as_bytes()))]
    CheckMissing {
        /// The check's id.
        check: String,
        /// The node's name.
        node: String,
    },
    /// `cas` or `delete-cas` with another index; `what` says of what.
    #[error("failed to {verb} {what}, index is stale")]
    Stale {
        /// `set` or `delete`.
        verb: String,
        /// `node "n"`, `service "s" on node "n"` or `check "c" on node "n"`.
        what: String,
    },
    /// The node is not registered.
    #[error("Missing node registration")]
    MissingNode,
    /// The instance is not registered.
    #[error("Missing service registration")]
    MissingService,
    /// A session depends on a check that is not registered.
    #[error("Missing check '{0}' registration")]
    MissingCheck(String),
    /// A session depends on a check that is critical.
    #[error("Check '{0}' is in critical state")]
    CriticalCheck(String),
    /// A prepared query that must be there is not.
    #[error("Cannot modify non-existent prepared query: '{0}'")]
    MissingQuery(String),
    /// Another prepared query has this name.
    #[error("name '{0}' aliases an existing query name")]
    QueryNameTaken(String),
    /// Another template answers to every name already.
    #[error("a query template with an empty name already exists")]
    UnnamedTemplate,
    /// A prepared query's name is another one's id.
    #[error("name '{0}' aliases an existing query ID")]
    QueryNameIsId(String),
    /// A check names another node than its registration.
    #[error("Node '{node}' for check '{check}' doesn't match register request node '{registered}'")]
    CheckOfOtherNode {
        /// The node the check names.
        node: String,
        /// The check's id.
        check: String,
        /// The registration's node.
        registered: String,
    },
    /// A check names an instance that is neither registered nor in the same registration.
    #[error("Unknown service ID '{service}' for check ID '{check}'")]
    UnknownService {
        /// The instance's id.
        service: String,
        /// The check's id.
        check: String,
    },
    /// A check was looked for without an id.
    #[error("failed check lookup: index error: object is missing a value for this index")]
    CheckLookup,
    /// A check has neither an id nor a name.
    #[error("failed health check lookup: index error: object is missing a value for this index")]
    CheckWithoutId,
    /// A node's name belongs to a live node with another id.
    #[error("{0}")]
    NameReserved(Box<ReservedName>),
    /// A service's metadata break a limit.
    #[error("Invalid Service Meta for node {node} and serviceID {service}: {reason}")]
    ServiceMeta {
        /// The node's name.
        node: String,
        /// The instance's id.
        service: String,
        /// Which limit.
        reason: String,
    },
    /// The node of a registration was refused.
    #[error("failed inserting node: {0}")]
    InsertingNode(Box<WriteError>),
    /// The service of a registration was refused.
    #[error("failed inserting service: {0}")]
    InsertingService(Box<WriteError>),
    /// A check of a registration was refused.
    #[error("failed inserting check on node {}: {error}", quoted(.node.as_bytes()))]
    InsertingCheck {
        /// The node's name.
        node: String,
        /// Why.
        error: Box<WriteError>,
    },
    /// A gateway of another kind has the name.
    #[error(
        "cannot create a {} config entry with name {}, a {} config entry with that name already exists",
        quoted(.kind.as_bytes()), quoted(.name.as_bytes()), quoted(.other.as_bytes())
    )]
    ConfigNameTaken {
        /// The kind that was to be written.
        kind: String,
        /// The name.
        name: String,
        /// The kind that has it.
        other: String,
    },
    /// Another text, made before the state was asked (a transaction's first checks).
    #[error("{0}")]
    Other(String),
}

/// A node's name that a live node with another id has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedName {
    /// The id of the node that wants the name.
    pub id: String,
    /// Its address, if it was known by another name.
    pub renamed: Option<String>,
    /// The name.
    pub name: String,
    /// The id of the node that has it.
    pub owner: String,
    /// The name as that node spells it.
    pub owner_name: String,
    /// That node's address.
    pub owner_address: String,
}

impl fmt::Display for ReservedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error while renaming Node ID: {}", quoted(self.id.as_bytes()))?;
        if let Some(address) = &self.renamed {
            write!(f, " ({address})")?;
        }
        let Self { name, owner, owner_name, owner_address, .. } = self;
        write!(f, ": Node name {name} is reserved by node {owner} with name {owner_name} ({owner_address})")
    }
}

/// Text in double quotes with Go's escapes, as Consul's texts show keys and names.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_quoted(&mut out, c));
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out.push('"');
    out
}

fn push_quoted(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if c != ' ' && (c.is_control() || c.is_whitespace()) => {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quoted(b"a\"b\\\n\x01\xff\xc2\xa0\xc3\xbc"), r#""a\"b\\\n\x01\xff\u00a0ü""#);
    }

    #[test]
    fn a_reserved_name_tells_who_has_it() {
        let reserved = ReservedName {
            id: "c".into(),
            renamed: None,
            name: "n3".into(),
            owner: "b".into(),
            owner_name: "N3".into(),
            owner_address: "10.0.0.9".into(),
        };
        assert_eq!(
            WriteError::InsertingNode(Box::new(WriteError::NameReserved(Box::new(reserved)))).to_string(),
            "failed inserting node: Error while renaming Node ID: \"c\": Node name n3 is reserved by node b with \
             name N3 (10.0.0.9)"
        );
    }
}
