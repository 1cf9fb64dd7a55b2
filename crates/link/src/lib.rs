//! The internal HTTP/2 link between agents and registries, and between registries.
//!
//! One connection a peer carries everything: clients' requests that an agent hands on as they came, leases, Raft's
//! calls. [`serve()`] is the listener's end, [`Link`] the caller's, [`Servers`] a caller with several registries to choose
//! from; [`calls`] are the shapes of the calls that are ours alone, and [`join`] is the question of where to go.
//!
//! With a [`Keyring`] every connection is TLS, and both ends prove a [`Key`] of it before anything else is said.
//!
//! What a call means is decided by whoever hands `serve` its handler. Multiplexing and flow control are hyper's.

mod bind;
pub mod calls;
pub mod join;
mod key;
mod keyed;
mod keyring;
mod link;
mod network;
mod resolve;
mod serve;
mod servers;
mod unproven;
mod wire;

pub use bind::bind;
pub use key::{BadKey, Key, KeyFault};
pub use keyed::{Keyed, network};
pub use keyring::{KEYS_MAX, Keep, KeyRefused, Keyring, Keys};
pub use link::{Link, LinkError, Unanswered};
pub use network::{Accept, BoxFuture, Connection, Listener, Network, Stream, Tcp};
pub use resolve::resolve;
pub use serve::serve;
pub use servers::Servers;
