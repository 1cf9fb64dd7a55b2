//! The operations a transaction is made of.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Check, Index, Key, Node, Service, SessionId};

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOp {
    /// On a key.
    Kv(KvOp),
    /// On a node.
    Node(NodeOp),
    /// On an instance.
    Service(ServiceOp),
    /// On a check.
    Check(CheckOp),
}

/// An operation on a key, or on all keys under a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvOp {
    /// What to do.
    pub verb: KvVerb,
    /// The key, or the prefix.
    #[serde(default)]
    pub key: Key,
    /// The new value.
    #[serde(with = "crate::serde_bytes", default)]
    pub value: Bytes,
    /// The new flags.
    #[serde(default)]
    pub flags: u64,
    /// The ModifyIndex to compare with.
    #[serde(default)]
    pub index: Index,
    /// The session to lock with or to compare with.
    #[serde(default)]
    pub session: SessionId,
}

/// An operation on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOp {
    /// What to do.
    pub verb: CatalogVerb,
    /// The node; its name, or for `get` its id, is enough to name it.
    pub node: Node,
    /// The ModifyIndex to compare with.
    #[serde(default)]
    pub index: Index,
}

/// An operation on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOp {
    /// What to do.
    pub verb: CatalogVerb,
    /// The name of its node.
    pub node: String,
    /// The instance; its id is enough to name it.
    pub service: Service,
    /// The ModifyIndex to compare with.
    #[serde(default)]
    pub index: Index,
}

/// An operation on a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOp {
    /// What to do.
    pub verb: CatalogVerb,
    /// The check; its node and id are enough to name it.
    pub check: Check,
    /// The ModifyIndex to compare with.
    #[serde(default)]
    pub index: Index,
}

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvVerb {
    /// Write it.
    Set,
    /// Write it if its index is this one.
    Cas,
    /// Take its lock.
    Lock,
    /// Give its lock up.
    Unlock,
    /// Read it; it must be there.
    Get,
    /// Read it, or nothing.
    GetOrEmpty,
    /// Read everything under a prefix.
    GetTree,
    /// Delete it.
    Delete,
    /// Delete it if its index is this one.
    DeleteCas,
    /// Delete everything under a prefix.
    DeleteTree,
    /// Its index must be this one.
    CheckIndex,
    /// This session must hold it.
    CheckSession,
    /// It must not be there.
    CheckNotExists,
}

impl KvVerb {
    /// Every verb with its word.
    const WORDS: [(Self, &str); 13] = [
        (Self::Set, "set"),
        (Self::Cas, "cas"),
        (Self::Lock, "lock"),
        (Self::Unlock, "unlock"),
        (Self::Get, "get"),
        (Self::GetOrEmpty, "get-or-empty"),
        (Self::GetTree, "get-tree"),
        (Self::Delete, "delete"),
        (Self::DeleteCas, "delete-cas"),
        (Self::DeleteTree, "delete-tree"),
        (Self::CheckIndex, "check-index"),
        (Self::CheckSession, "check-session"),
        (Self::CheckNotExists, "check-not-exists"),
    ];

    /// The verb of this word, `set` or `check-not-exists`; case counts.
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, w)| *w == word).map(|(verb, _)| *verb)
    }

    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        use KvVerb::{CheckIndex, CheckNotExists, CheckSession, Get, GetOrEmpty, GetTree};
        matches!(self, Get | GetOrEmpty | GetTree | CheckIndex | CheckSession | CheckNotExists)
    }
}

/// What to do with a node, an instance or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatalogVerb {
    /// Read it; it must be there.
    Get,
    /// Write it.
    Set,
    /// Write it if its index is this one; 0 means that it must not be there.
    Cas,
    /// Remove it with all that hangs on it.
    Delete,
    /// Remove it if its index is this one.
    DeleteCas,
}

impl CatalogVerb {
    /// The verb of this word, `get` or `delete-cas`; case counts.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "get" => Self::Get,
            "set" => Self::Set,
            "cas" => Self::Cas,
            "delete" => Self::Delete,
            "delete-cas" => Self::DeleteCas,
            _ => return None,
        })
    }
}

impl TxnOp {
    /// Whether it changes nothing; a transaction of reads alone is a read ([`Transaction`](crate::read::Transaction)).
    pub fn is_read(&self) -> bool {
        match self {
            Self::Kv(op) => op.verb.is_read(),
            Self::Node(op) => op.verb == CatalogVerb::Get,
            Self::Service(op) => op.verb == CatalogVerb::Get,
            Self::Check(op) => op.verb == CatalogVerb::Get,
        }
    }
}
