//! Anti-entropy: the catalog shows what this agent has.
//!
//! [`plan`] compares the two and says what to tell the catalog, without touching anything; [`run`] asks, tells and decides
//! when. The agent is right about its own services and checks: edits of them in the catalog are undone. It never touches
//! `serfHealth`, nor a server's service `consul`.

mod body;
mod plan;
mod run;

pub(crate) use run::{Identity, Sync, Syncer};
