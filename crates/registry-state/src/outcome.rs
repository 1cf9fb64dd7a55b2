//! What a command did.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Check, Index, KvEntry, Node, Service, Stored, Topics, WriteError};

/// What [`State::apply`](crate::State::apply) gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The command's index.
    pub index: Index,
    /// What the client is told.
    pub outcome: Outcome,
    /// What changed.
    pub topics: Topics,
}

/// What a command did; every server agrees on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It holds now, whether or not it held before: the client's `true`.
    Done,
    /// Its condition (index, lock, session) did not hold and nothing changed: the client's `false`.
    Refused,
    /// What a transaction's operations found; see [`TxnResult`].
    Txn(Vec<TxnResult>),
    /// Operations of a transaction failed and nothing changed, in order of the operations: 409.
    TxnFailed(Vec<TxnError>),
    /// It cannot be done and nothing changed; the text is Consul's: 500.
    Failed(WriteError),
}

/// What one operation of a transaction gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnResult {
    /// An entry; writes and `check-…` give it without its value, an absent one of `get-or-empty` has indexes 0.
    Kv(Arc<Stored<KvEntry>>),
    /// A node.
    Node(Arc<Stored<Node>>),
    /// An instance.
    Service(Arc<Stored<Service>>),
    /// A check.
    Check(Arc<Stored<Check>>),
}

/// A failed operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnError {
    /// Which one, counted from 0.
    pub op_index: usize,
    /// Why; `Display` is the text of `What`.
    pub what: WriteError,
}
