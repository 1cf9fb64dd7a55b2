//! The front door of every node: its services and checks, its HTTP and DNS listeners.
//!
//! Behind the door stands a [`backend::Backend`]: a registry elsewhere, or the state in the same process. Nothing else
//! differs between an agent in a container and the registry's own node.

mod agent;
mod api;
pub mod backend;
mod banner;
pub mod checks;
pub mod config;
mod containers;
pub mod coordinates;
pub mod definition;
pub mod dns;
mod events;
mod exec;
mod figures;
mod front_door;
mod identity;
mod keyring;
mod local;
mod supervisor;
mod sync;
mod tls;
mod translate;
mod watches;

pub use agent::{Agent, StartError, start, start_client};
pub use banner::banner;
pub use identity::{CONSUL_VERSION, NodeIdError, node_id};
pub use keyring::{KeyringError, keyring};
pub use tls::TlsError;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A name as a segment of a path.
pub(crate) fn api_path(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
