//! Transactions: operations that all hold or change nothing.
//!
//! Every operation is tried even after one failed, so that the client learns of all failures at once; what the tried
//! ones wrote is thrown away by the caller.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Caseless, Check, Index, Key, KvEntry, KvPut, Node, Outcome, PutMode, Service, SessionId, State, Stored,
    TxnError, TxnResult, WriteError,
    catalog::{CheckEntry, NodeEntry, ServiceEntry},
    error::quoted,
    kv::Entry,
    state::{Change, Step},
};

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

impl State {
    pub(crate) fn txn(&mut self, change: &mut Change, ops: &[TxnOp]) -> Outcome {
        let delayed = self.delayed_locks(change, ops);
        if !delayed.is_empty() {
            return Outcome::TxnFailed(delayed);
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for (op_index, op) in ops.iter().enumerate() {
            match self.txn_op(change, op) {
                Ok(found) => results.extend(found),
                Err(what) => errors.push(TxnError { op_index, what }),
            }
        }
        if errors.is_empty() { Outcome::Txn(results) } else { Outcome::TxnFailed(errors) }
    }

    /// Lock-delays are looked at before anything is tried, and then are the only failures told.
    fn delayed_locks(&self, change: &Change, ops: &[TxnOp]) -> Vec<TxnError> {
        let fault = |(op_index, op): (usize, &TxnOp)| match op {
            TxnOp::Kv(op) if op.verb == KvVerb::Lock && self.kv.is_delayed(&op.key, change.at_ms) => {
                Some(TxnError { op_index, what: WriteError::LockDelayed(op.key.clone()) })
            }
            _ => None,
        };
        ops.iter().enumerate().filter_map(fault).collect()
    }

    fn txn_op(&mut self, change: &mut Change, op: &TxnOp) -> Step<Vec<TxnResult>> {
        Ok(match op {
            TxnOp::Kv(op) => self.txn_kv(change, op)?.into_iter().map(TxnResult::Kv).collect(),
            TxnOp::Node(op) => self.txn_node(change, op)?.map(TxnResult::Node).into_iter().collect(),
            TxnOp::Service(op) => self.txn_service(change, op)?.map(TxnResult::Service).into_iter().collect(),
            TxnOp::Check(op) => self.txn_check(change, op)?.map(TxnResult::Check).into_iter().collect(),
        })
    }

    fn txn_kv(&mut self, change: &mut Change, op: &KvOp) -> Step<Vec<Entry>> {
        let found = |state: &Self| state.kv.entries.get(&op.key).cloned();
        match op.verb {
            KvVerb::Get => Ok(vec![found(self).ok_or_else(|| WriteError::KeyMissing(op.key.clone()))?]),
            KvVerb::GetOrEmpty => Ok(vec![found(self).unwrap_or_else(|| absent(&op.key))]),
            KvVerb::GetTree => Ok(self.kv.under(op.key.as_bytes()).cloned().collect()),
            KvVerb::CheckIndex | KvVerb::CheckSession | KvVerb::CheckNotExists => self.txn_kv_check(op),
            KvVerb::Delete => {
                self.kv.delete(change, &op.key);
                Ok(Vec::new())
            }
            KvVerb::DeleteTree => {
                self.kv.delete_tree(change, &op.key);
                Ok(Vec::new())
            }
            KvVerb::DeleteCas if self.kv_delete_cas(change, &op.key, op.index) => Ok(Vec::new()),
            KvVerb::DeleteCas => Err(WriteError::KeyDeleteStale(op.key.clone())),
            KvVerb::Set | KvVerb::Cas | KvVerb::Lock | KvVerb::Unlock => {
                self.txn_kv_write(change, op)?;
                Ok(found(self).map(|e| without_value(&e)).into_iter().collect())
            }
        }
    }

    fn txn_kv_write(&mut self, change: &mut Change, op: &KvOp) -> Step {
        let (key, value) = (op.key.clone(), op.value.clone());
        let put = KvPut { key: key.clone(), value, flags: op.flags, mode: PutMode::Plain };
        let (held, refusal) = match op.verb {
            KvVerb::Cas => (self.kv_cas(change, &put, op.index), WriteError::KeySetStale(key)),
            KvVerb::Lock => (self.kv_lock(change, &put, &op.session)?, WriteError::LockHeld(key)),
            KvVerb::Unlock => (self.kv_unlock(change, &put, &op.session)?, WriteError::LockNotHeld(key)),
            _ => {
                self.kv_set(change, &put);
                return Ok(());
            }
        };
        if held { Ok(()) } else { Err(refusal) }
    }

    fn txn_kv_check(&self, op: &KvOp) -> Step<Vec<Entry>> {
        let (key, entry) = (op.key.clone(), self.kv.entries.get(&op.key));
        let entry = match (op.verb, entry) {
            (KvVerb::CheckNotExists, None) => return Ok(Vec::new()),
            (KvVerb::CheckNotExists, Some(_)) => return Err(WriteError::KeyExists(key)),
            (KvVerb::CheckIndex, None) => return Err(WriteError::CheckIndexMissing(key)),
            (_, None) => return Err(WriteError::CheckSessionMissing(key)),
            (_, Some(entry)) => entry,
        };
        let current = entry.session.as_deref().unwrap_or_default();
        if op.verb == KvVerb::CheckIndex && entry.modify_index != op.index {
            let (current, wanted) = (entry.modify_index, op.index);
            return Err(WriteError::CheckIndexDiffers { key, current, wanted });
        }
        if op.verb == KvVerb::CheckSession && current != &*op.session {
            let (current, wanted) = (current.to_owned(), op.session.to_string());
            return Err(WriteError::CheckSessionDiffers { key, current, wanted });
        }
        Ok(vec![without_value(entry)])
    }

    fn txn_node(&mut self, change: &mut Change, op: &NodeOp) -> Step<Option<NodeEntry>> {
        let key = Caseless::new(&op.node.name);
        let current = self.catalog.nodes.get(&key).map_or(0, |n| n.modify_index);
        let stale = |verb: &str| stale(verb, format!("node {}", quoted(op.node.name.as_bytes())));
        match op.verb {
            CatalogVerb::Get => {
                let found = self.txn_found_node(&op.node);
                return found.map(Some).ok_or_else(|| WriteError::NodeMissing(op.node.name.clone()));
            }
            CatalogVerb::Cas if current != op.index => return Err(stale("set")),
            CatalogVerb::Set | CatalogVerb::Cas => self.ensure_node(change, &op.node, false)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => return Err(stale("delete")),
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.delete_node(change, &key);
                return Ok(None);
            }
        }
        Ok(self.txn_found_node(&op.node))
    }

    fn txn_found_node(&self, node: &Node) -> Option<NodeEntry> {
        let by_name = || self.catalog.nodes.get(&Caseless::new(&node.name)).cloned();
        if node.id.is_empty() { by_name() } else { self.node_by_id(&node.id).cloned() }
    }

    fn txn_service(&mut self, change: &mut Change, op: &ServiceOp) -> Step<Option<ServiceEntry>> {
        let (node, id) = (Caseless::new(&op.node), Caseless::new(&op.service.id));
        let key = (node.clone(), id.clone());
        let (service, on) = (op.service.id.clone(), op.node.clone());
        let current = self.catalog.services.get(&key).map_or(0, |s| s.modify_index);
        let what = || format!("service {} on node {}", quoted(service.as_bytes()), quoted(on.as_bytes()));
        match op.verb {
            CatalogVerb::Get => {
                let found = self.catalog.services.get(&key).cloned();
                return found.map(Some).ok_or(WriteError::ServiceMissing { service, node: on });
            }
            CatalogVerb::Cas if current != op.index => return Err(stale("set", what())),
            CatalogVerb::Set | CatalogVerb::Cas => self.ensure_service(change, &op.node, &op.service)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => {
                return Err(stale("delete", what()));
            }
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.delete_service(change, &node, &id);
                return Ok(None);
            }
        }
        Ok(self.catalog.services.get(&key).cloned())
    }

    fn txn_check(&mut self, change: &mut Change, op: &CheckOp) -> Step<Option<CheckEntry>> {
        let id = if op.check.check_id.is_empty() { &op.check.name } else { &op.check.check_id };
        let key = (Caseless::new(&op.check.node), Caseless::new(id));
        let (check, on) = (id.clone(), op.check.node.clone());
        let current = self.catalog.checks.get(&key).map_or(0, |c| c.modify_index);
        let what = || format!("check {} on node {}", quoted(check.as_bytes()), quoted(on.as_bytes()));
        match op.verb {
            CatalogVerb::Get => {
                let found = self.catalog.checks.get(&key).cloned();
                return found.map(Some).ok_or(WriteError::CheckMissing { check, node: on });
            }
            CatalogVerb::Cas if current != op.index => return Err(stale("set", what())),
            CatalogVerb::Set | CatalogVerb::Cas => self.ensure_check(change, &op.check.node, &op.check)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => {
                return Err(stale("delete", what()));
            }
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.delete_check(change, &key.0, &key.1);
                return Ok(None);
            }
        }
        Ok(self.catalog.checks.get(&key).cloned())
    }
}

fn stale(verb: &str, what: String) -> WriteError {
    WriteError::Stale { verb: verb.to_owned(), what }
}

/// An entry as writes give it back.
fn without_value(entry: &Entry) -> Entry {
    let value = KvEntry { value: Bytes::new(), ..entry.value.clone() };
    Arc::new(Stored { value, create_index: entry.create_index, modify_index: entry.modify_index })
}

/// An entry for a key that is not there.
fn absent(key: &Key) -> Entry {
    Arc::new(Stored { value: KvEntry { key: key.clone(), ..KvEntry::default() }, ..Stored::default() })
}
