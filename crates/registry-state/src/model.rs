//! What the state stores: keys, nodes, services, checks and sessions, as their owners gave them.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Index, Key, QueryId, SessionId};

/// A stored value with the indexes the state gave it; reads hand it out as `Arc<Stored<T>>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored<T> {
    /// What was written.
    pub value: T,
    /// The index of the write that created it.
    pub create_index: Index,
    /// The index of the last write that changed it.
    pub modify_index: Index,
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Stored<T> {
    /// The value as of `index`, keeping the creation of the one it replaces.
    pub(crate) fn replacing(old: Option<&Self>, value: T, index: Index) -> Arc<Self> {
        Arc::new(Self { value, create_index: old.map_or(index, |o| o.create_index), modify_index: index })
    }
}

/// An entry of the key-value store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvEntry {
    /// Its key.
    pub key: Key,
    /// Its value; an empty one is shown as `null`.
    #[serde(with = "crate::serde_bytes", default)]
    pub value: Bytes,
    /// A number that clients give meaning to.
    #[serde(default)]
    pub flags: u64,
    /// How often the key was locked afresh.
    #[serde(default)]
    pub lock_index: u64,
    /// The session that holds the lock.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// A configuration entry, kept as data: `service-defaults` of `web` and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// The kind.
    pub kind: Arc<str>,
    /// The name as written; names compare without regard to case.
    pub name: String,
    /// All that is shown of it but its indexes, as JSON.
    #[serde(with = "crate::serde_bytes", default)]
    pub body: Bytes,
    /// The services that it stands for, if it is a gateway's; `*` is all. When one comes or goes, the gateway's list changes.
    #[serde(default)]
    pub services: Vec<String>,
}

/// A node: a machine or container that services run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// A UUID, or empty for a node registered from outside.
    #[serde(default)]
    pub id: String,
    /// The name, unique without regard to case.
    pub name: String,
    /// An IP address or a DNS name.
    #[serde(default)]
    pub address: String,
    /// Further addresses (`lan`, `wan`, …); `None` when none were given.
    #[serde(default)]
    pub tagged_addresses: Option<BTreeMap<String, String>>,
    /// The operator's pairs; `None` when none were given.
    #[serde(default)]
    pub meta: Option<BTreeMap<String, String>>,
    /// `Locality` as the client's JSON, kept as it came; empty when none.
    #[serde(default)]
    pub locality: String,
}

/// An instance of a service on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Unique on its node without regard to case.
    pub id: String,
    /// The service's name.
    pub name: String,
    /// `connect-proxy` and the like; kept as data.
    #[serde(default)]
    pub kind: String,
    /// Labels, in the order given.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether a list without labels was given; some answers show that as `[]`, and `null` where nobody said.
    #[serde(default)]
    pub empty_tags: bool,
    /// The instance's own address; empty means the node's.
    #[serde(default)]
    pub address: String,
    /// Further addresses.
    #[serde(default)]
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// The operator's pairs; `None` when none were given.
    #[serde(default)]
    pub meta: Option<BTreeMap<String, String>>,
    /// The port; 0 when none.
    #[serde(default)]
    pub port: i64,
    /// A unix socket instead of a port; empty when none.
    #[serde(default)]
    pub socket_path: String,
    /// SRV weights.
    #[serde(default)]
    pub weights: Weights,
    /// Whether others may change the tags in the catalog.
    #[serde(default)]
    pub enable_tag_override: bool,
    /// `Proxy` as the client's JSON, kept as it came; empty when none.
    #[serde(default)]
    pub proxy: String,
    /// `Connect` as the client's JSON, kept as it came; empty when none.
    #[serde(default)]
    pub connect: String,
    /// `Locality` as the client's JSON, kept as it came; empty when none.
    #[serde(default)]
    pub locality: String,
}

/// An address and port of a service under a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAddress {
    /// An IP address or a DNS name.
    pub address: String,
    /// The port; 0 when it does not matter.
    #[serde(default)]
    pub port: i64,
}

/// How much of the traffic an instance gets in SRV answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// The weight while all checks pass.
    pub passing: i64,
    /// The weight while one warns.
    pub warning: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// A check and its last result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The node it runs on; empty means the registration's node.
    #[serde(default)]
    pub node: String,
    /// Unique on its node without regard to case.
    pub check_id: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// `passing`, `warning`, `critical` or whatever was sent; empty becomes `critical`.
    #[serde(default)]
    pub status: String,
    /// For people.
    #[serde(default)]
    pub notes: String,
    /// What the last run said.
    #[serde(default)]
    pub output: String,
    /// The instance it belongs to; empty for a check of the node.
    #[serde(default)]
    pub service_id: String,
    /// That instance's service; the state fills it in.
    #[serde(default)]
    pub service_name: String,
    /// That instance's tags; the state fills them in.
    #[serde(default)]
    pub service_tags: Vec<String>,
    /// `http`, `tcp`, `ttl`, …, or empty.
    #[serde(default)]
    pub kind: String,
    /// A Go duration, or empty.
    #[serde(default)]
    pub interval: String,
    /// A Go duration, or empty.
    #[serde(default)]
    pub timeout: String,
    /// A port opened for the check; 0 when none.
    #[serde(default)]
    pub exposed_port: i64,
    /// `Definition` as JSON, kept as it came; empty when none.
    #[serde(default)]
    pub definition: String,
}

impl Check {
    /// How the check stands.
    pub fn state(&self) -> Status {
        Status::of(&self.status)
    }
}

/// How a check stands; worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Passing,
    /// It works, with something to look at.
    Warning,
    /// It does not work; also what an unknown word means.
    Critical,
}

impl Status {
    /// The status of this word; case counts, as the word was stored.
    pub fn of(word: &str) -> Self {
        match word {
            "passing" => Self::Passing,
            "warning" => Self::Warning,
            _ => Self::Critical,
        }
    }
}

/// A session: what a lock is held by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A UUID in lower case.
    pub id: SessionId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The node it lives on.
    pub node: String,
    /// For how long nobody may take its locks after it ended, in nanoseconds; used up to 60 s.
    #[serde(default)]
    pub lock_delay_ns: i64,
    /// What happens to its keys when it ends.
    #[serde(default)]
    pub behavior: Behavior,
    /// A Go duration as sent, or empty; only the leader's timers look at it.
    #[serde(default)]
    pub ttl: String,
    /// Checks of the node it depends on; `None` when `null` was sent.
    #[serde(default)]
    pub node_checks: Option<Vec<String>>,
    /// Checks of services it depends on; `None` when none were sent.
    #[serde(default)]
    pub service_checks: Option<Vec<ServiceCheckRef>>,
    /// The old field `Checks`, further checks it depends on.
    #[serde(default)]
    pub checks: Vec<String>,
}

impl Session {
    /// The ids of all checks it depends on.
    pub fn check_ids(&self) -> impl Iterator<Item = &str> {
        let of_node = self.checks.iter().chain(self.node_checks.iter().flatten()).map(String::as_str);
        of_node.chain(self.service_checks.iter().flatten().map(|c| c.id.as_str()))
    }
}

/// A check of a service that a session depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCheckRef {
    /// The check's id.
    pub id: String,
    /// Always empty here; shown as it was sent.
    #[serde(default)]
    pub namespace: String,
}

/// What happens to a session's keys when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behavior {
    /// The locks are released, the keys stay.
    #[default]
    Release,
    /// The keys are deleted.
    Delete,
}

/// A prepared query: a question about a service that is kept under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// A UUID in lower case.
    pub id: QueryId,
    /// What it is run by, unique without regard to case; a template's is the beginning of the names it answers to.
    #[serde(default)]
    pub name: String,
    /// The session it ends with.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// Whether it answers to every name that begins with its own.
    #[serde(default)]
    pub template: bool,
    /// The whole definition as JSON, as it is shown; what it means is the business of who runs it.
    #[serde(default)]
    pub definition: String,
}
