//! The replicated state of a registry: pure, deterministic.
//!
//! Equal commands in equal order give equal states on every server: nothing here knows a clock, a disk, a network or
//! chance (`clippy.toml` of this crate refuses them). What belongs here: the tables, what a [`Command`] does to them,
//! which [`Topic`]s it touches, the [`read`]s, and the [`codec`] that carries commands and states to disk.
//!
//! Every map is persistent, so cloning a [`State`] copies pointers: the clone is the snapshot that readers look at.

mod autopilot;
mod catalog;
pub mod codec;
mod command;
mod config_entry;
mod coordinate;
mod error;
mod event;
mod index;
mod kv;
mod model;
mod name;
mod outcome;
mod query;
pub mod read;
mod register;
mod request;
mod restore;
mod serde_bytes;
mod session;
mod state;
mod topic;
mod txn;
mod usage;

pub use autopilot::Autopilot;
pub use command::{Action, Command, CoordinateUpdate, Deregister, KvDelete, KvPut, PutMode, Register};
pub use config_entry::{ConfigDelete, ConfigPut};
pub use coordinate::{Coordinate, NodeCoordinate};
pub use error::{ReservedName, WriteError};
pub use event::Event;
pub use model::{
    Behavior, Check, ConfigEntry, KvEntry, Node, Query, Service, ServiceAddress, ServiceCheckRef, Session,
    Status, Stored, Weights,
};
pub use name::{Caseless, Key};
pub use outcome::{Applied, Outcome, TxnError, TxnResult};
pub use request::RequestId;
pub use restore::Restore;
pub use session::{SeenSessions, SessionsChanged};
pub use state::State;
pub use topic::{Interests, Topic, Topics};
pub use txn::{CatalogVerb, CheckOp, KvOp, KvVerb, NodeOp, ServiceOp, TxnOp};
pub use usage::Usage;

/// The position of a change, counted in applied commands: the first is 2, for clients that know of nothing wait with
/// 1. They see it as `X-Consul-Index`.
pub type Index = u64;

/// The id of a session: a UUID in lower case, chosen by the writer.
pub type SessionId = std::sync::Arc<str>;

/// The id of a prepared query: a UUID in lower case, chosen by the writer.
pub type QueryId = std::sync::Arc<str>;
