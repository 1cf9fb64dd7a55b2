//! Serving HTTP as Consul does: listeners, limits, the table of endpoints, answers and errors.
//!
//! The agent and the registry share it; what an endpoint does is theirs. Nothing here knows about services or keys.
//!
//! A request's way: [`listen::Listener`] → [`front::Front`] (paths, redirects, the configuration's headers, gzip) →
//! whatever [`Serve`]s behind it, which is a [`table::Router`] → the endpoint's handler → [`answer::Answer`].

use std::{future::Future, pin::Pin};

use http::{Request, Response};

pub mod answer;
pub mod body;
pub mod call;
pub mod front;
mod gzip;
pub mod listen;
pub mod path;
mod rate;
pub mod table;
mod timer;

pub use answer::{Answer, ApiError};
pub use body::Body;
pub use call::{BodyLimit, Call, Peer};
pub use rate::Rate;
pub use table::{Forwarded, Router, Table};
pub use timer::took_elsewhere;

/// A future on the heap.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers requests; every request gets an answer, an error is one too.
pub trait Serve: Send + Sync + 'static {
    /// Answers one request. Dropping the future ends the work: the client has gone.
    fn serve(&self, request: Request<Body>) -> BoxFuture<Response<Body>>;

    /// Whether something answers at this path. Paths that nobody knows stay unknown, even where they are blocked.
    fn knows(&self, _path: &str) -> bool {
        true
    }
}
