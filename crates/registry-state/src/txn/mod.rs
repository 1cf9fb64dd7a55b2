//! Transactions: operations that all hold or change nothing.
//!
//! Every operation is tried even after one failed, so that the client learns of all failures at once; what the tried
//! ones wrote is thrown away by the caller.

mod catalog;
mod op;

use std::sync::Arc;

use bytes::Bytes;
pub use op::{CatalogVerb, CheckOp, KvOp, KvVerb, NodeOp, ServiceOp, TxnOp};

use crate::{
    Key, KvEntry, KvPut, Outcome, PutMode, State, Stored, TxnError, TxnResult, WriteError,
    kv::Entry,
    state::{Change, Step},
};

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
