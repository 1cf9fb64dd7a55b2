//! Watches: a part of the registry's data is followed, and a handler runs whenever it has changed.
//!
//! A [`Subject`] is what is followed, read from [`Parameters`] as files and the command line give them. A [`Follower`]
//! asks for it again and again by blocking queries and hands out what changed, in the JSON that handlers get. [`Watch`]
//! adds the [`Handler`] and is what a configuration's `watches` are made of; [`Watch::run`] is its whole life.
//!
//! | file | content |
//! | --- | --- |
//! | `parameters.rs`, `subject.rs`, `definition.rs` | from text to what is watched, in Consul's words where it is refused |
//! | `follow.rs`, `shape.rs` | from answers to changes |
//! | `handler/` | programs and URLs that are told |

mod definition;
mod follow;
mod handler;
mod parameters;
mod shape;
mod subject;

pub use definition::Watch;
pub use follow::{Ask, Change, Follower, Trouble};
pub use handler::{Handler, HttpHandler};
pub use parameters::Parameters;
pub use subject::Subject;
