//! The bodies of `PUT /v1/txn` and its answers.

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{HealthCheck, Node, NodeService},
    kv::KvPair,
    register::{NodeBody, ServiceBody, TxnCheckBody},
};

/// One operation; the first of its parts that is there counts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.TxnOp", rename_all = "PascalCase", default)]
pub struct OpBody {
    /// On a key.
    #[serde(rename = "KV")]
    pub kv: Option<KvOpBody>,
    /// On a node.
    pub node: Option<NodeOpBody>,
    /// On an instance.
    pub service: Option<ServiceOpBody>,
    /// On a check.
    pub check: Option<CheckOpBody>,
}

/// An operation on a key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.KVTxnOp", rename_all = "PascalCase", default)]
pub struct KvOpBody {
    /// `set`, `get`, …
    pub verb: String,
    /// The key, or the prefix.
    pub key: String,
    /// The value in base64.
    pub value: String,
    /// The client's own number.
    pub flags: u64,
    /// What `cas` and the like compare with.
    pub index: u64,
    /// The session of lock operations.
    pub session: String,
    /// Accepted and not used.
    pub namespace: String,
    /// Accepted and not used.
    pub partition: String,
}

/// An operation on a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.NodeTxnOp", rename_all = "PascalCase", default)]
pub struct NodeOpBody {
    /// `set`, `get`, `cas`, `delete` or `delete-cas`.
    pub verb: String,
    /// The node.
    pub node: NodeBody,
}

/// An operation on an instance.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.ServiceTxnOp", rename_all = "PascalCase", default)]
pub struct ServiceOpBody {
    /// `set`, `get`, `cas`, `delete` or `delete-cas`.
    pub verb: String,
    /// The node's name.
    pub node: String,
    /// The instance.
    pub service: ServiceBody,
}

/// An operation on a check.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "api.CheckTxnOp", rename_all = "PascalCase", default)]
pub struct CheckOpBody {
    /// `set`, `get`, `cas`, `delete` or `delete-cas`.
    pub verb: String,
    /// The check.
    pub check: TxnCheckBody,
}

/// What one operation gives back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum OpResult {
    /// A key.
    #[serde(rename = "KV")]
    Kv(KvPair),
    /// A node.
    Node(Node),
    /// An instance.
    Service(Box<NodeService>),
    /// A check.
    Check(Box<HealthCheck>),
}

/// Why one operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OpError {
    /// Which one, counted from 0.
    pub op_index: usize,
    /// Why.
    pub what: String,
}

/// The answer: results or errors, the other one `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TxnAnswer {
    /// What the operations gave back, in order.
    pub results: Option<Vec<OpResult>>,
    /// What failed.
    pub errors: Option<Vec<OpError>>,
    /// For transactions that only read.
    #[serde(flatten)]
    pub meta: Option<QueryMeta>,
}

/// What headers tell elsewhere, in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueryMeta {
    /// The answer's index.
    pub index: u64,
    /// Nanoseconds since the server heard of the leader.
    pub last_contact: i64,
    /// Whether there is a leader.
    pub known_leader: bool,
    /// `leader`, `consistent`, `stale` or empty.
    pub consistency_level: String,
    /// Always false.
    pub not_modified: bool,
    /// 0: a blocking query.
    pub backend: u8,
    /// Always false.
    #[serde(rename = "ResultsFilteredByACLs")]
    pub results_filtered_by_acls: bool,
}
