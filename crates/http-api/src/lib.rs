//! Serving HTTP as Consul does: listeners, limits, the table of endpoints, answers and errors.
//!
//! The agent and the registry share it; what an endpoint does is theirs. Nothing here knows about services or keys.

pub mod body;

pub use body::Body;
