//! The agent's DNS listener: names of nodes and services, answered as Consul answers them.
//!
//! A question's life: [`listen`] takes it off the wire, [`request`] reads it, [`question`] turns its name into a typed
//! question, [`resolve`] looks things up behind the agent's [`Backend`](crate::backend::Backend), [`answer`] builds the
//! records, [`size`] cuts them to what the transport carries, [`encode`] writes the reply. Names of other domains go to
//! the recursors ([`recurse`]).
//!
//! hickory's types (names, records, the decoder) stay inside this folder.

mod address;
mod answer;
mod datagram;
mod encode;
mod figures;
mod listen;
mod options;
mod question;
mod recurse;
mod request;
mod resolve;
mod settings;
mod size;

pub use listen::{Listeners, serve};
pub use recurse::{BadRecursor, find_recursors};
pub use settings::{BadDomain, Domain, RecursorStrategy, Settings, Soa};
