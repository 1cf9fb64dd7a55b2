//! The body of every request and answer that passes through our programs.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

/// Why a body could not be read or written to its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body from anywhere: whole bytes, a client's connection, a link.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body without bytes.
pub fn empty() -> Body {
    full(Bytes::new())
}
