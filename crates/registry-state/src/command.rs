//! What can be asked of the state.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Autopilot, Check, ConfigDelete, ConfigPut, Coordinate, Event, Index, Key, Node, Query, QueryId,
    RequestId, Restore, Service, Session, SessionId, TxnOp,
};

/// A change, already decided: it carries every time, id and random value it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When the writer made it, in milliseconds since 1970; only lock-delays look at it.
    pub at_ms: u64,
    /// What to do.
    pub action: Action,
}

/// What a [`Command`] does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Writes a key: `PUT /v1/kv/:key`.
    KvPut(KvPut),
    /// Deletes keys: `DELETE /v1/kv/:key`.
    KvDelete(KvDelete),
    /// All or nothing: `PUT /v1/txn`.
    Txn(Vec<TxnOp>),
    /// A node with a service and checks: `PUT /v1/catalog/register`, and every result of a check.
    Register(Box<Register>),
    /// Removes a node, a service or a check: `PUT /v1/catalog/deregister`.
    Deregister(Deregister),
    /// Makes a session: `PUT /v1/session/create`.
    SessionCreate(Box<Session>),
    /// Ends a session: `PUT /v1/session/destroy/:id`, or its TTL ran out.
    SessionDestroy {
        /// Its id; an unknown one changes nothing.
        id: SessionId,
    },
    /// Writes a prepared query: `POST /v1/query`, `PUT /v1/query/:id`.
    QuerySet {
        /// The query.
        query: Box<Query>,
        /// Whether it must be there already.
        update: bool,
    },
    /// Deletes a prepared query: `DELETE /v1/query/:id`.
    QueryDelete {
        /// Its id; an unknown one is refused.
        id: QueryId,
    },
    /// Writes a configuration entry: `PUT /v1/config`.
    ConfigPut(Box<ConfigPut>),
    /// Removes a configuration entry: `DELETE /v1/config/:kind/:name`.
    ConfigDelete(ConfigDelete),
    /// Sets the autopilot: `PUT /v1/operator/autopilot/configuration`.
    AutopilotSet {
        /// All settings.
        settings: Box<Autopilot>,
        /// Only if the settings' ModifyIndex is this one.
        cas: Option<Index>,
    },
    /// A step of `PUT /v1/snapshot`.
    Restore(Restore),
    /// Forgets which keys were deleted up to an index; no answer's index runs backwards by it.
    ReapTombstones {
        /// The newest index to forget.
        up_to: Index,
    },
    /// Fires a user event: `PUT /v1/event/fire/:name`. One whose id is known is a writer's second try.
    FireEvent(Box<Event>),
    /// Says where a node is: `PUT /v1/coordinate/update`. An unknown node changes nothing.
    UpdateCoordinate(CoordinateUpdate),
    /// Does something for a request that may come again: the second time nothing is done, and the first outcome is given.
    Once {
        /// Which request.
        request: RequestId,
        /// What to do; never another `Once`.
        action: Box<Action>,
    },
}

impl Action {
    /// What is done, without the request it is done for.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Once { action, .. } => action.inner(),
            action => action,
        }
    }
}

/// Where a node is, as it found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoordinateUpdate {
    /// The node's name.
    pub node: String,
    /// The network segment; empty is the usual one.
    pub segment: String,
    /// Where it is.
    pub coordinate: Coordinate,
}

/// A write to one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvPut {
    /// The key.
    pub key: Key,
    /// The new value.
    #[serde(with = "crate::serde_bytes", default)]
    pub value: Bytes,
    /// The new flags.
    #[serde(default)]
    pub flags: u64,
    /// Under which condition.
    #[serde(default)]
    pub mode: PutMode,
}

/// Under which condition a key is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutMode {
    /// Always.
    #[default]
    Plain,
    /// Only if the key's ModifyIndex is this one; 0 means that the key must not exist.
    Cas(Index),
    /// Only if this session can hold, or holds, the key's lock.
    Acquire(SessionId),
    /// Only if this session holds the lock, which it gives up.
    Release(SessionId),
}

/// Which keys to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvDelete {
    /// This key.
    Key(Key),
    /// Every key that starts with these bytes; all keys if empty.
    Prefix(Key),
    /// This key, if its ModifyIndex is the given one; an absent key is fine.
    Cas(Key, Index),
}

/// A registration: applied as a whole or not at all; identical data changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The node.
    pub node: Node,
    /// An instance on it.
    #[serde(default)]
    pub service: Option<Service>,
    /// Checks of the node or of its instances.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Leave a known node as it is.
    #[serde(default)]
    pub skip_node_update: bool,
    /// Used by leases: a new container of this name takes over at once, though the old one is not known to be dead.
    #[serde(default)]
    pub take_over: bool,
}

/// What to remove: the service if given, else the check if given, else the node with everything on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deregister {
    /// The node's name.
    pub node: Arc<str>,
    /// An instance on it.
    #[serde(default)]
    pub service_id: Option<String>,
    /// A check on it.
    #[serde(default)]
    pub check_id: Option<String>,
}
