//! One question of the agent itself to the registry, and its answer, read to its end.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, response::Parts};
use http_api::{Body, body};
use tokio::time::timeout;

use super::{Backend, NODE_HEADER, Unavailable};

/// The longest answer about one node.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// No server answered.
    #[error(transparent)]
    Nobody(#[from] Unavailable),
    /// The answer did not come within the limit.
    #[error("the registry does not answer")]
    Late,
    /// The registry said no.
    #[error("{status}: {text}")]
    Refused {
        /// Why, as a number.
        status: StatusCode,
        /// Why, in words.
        text: String,
    },
    /// The answer is cut short, too long, or not what it should be.
    #[error("an answer of the registry cannot be read: {0}")]
    Unreadable(String),
}

/// Asks as `node`, and waits no longer than `limit` for the whole answer.
pub(crate) async fn ask(
    backend: &dyn Backend,
    node: &str,
    mut request: Request<Body>,
    limit: Duration,
) -> Result<(Parts, Bytes), Failed> {
    if let Ok(name) = node.parse() {
        request.headers_mut().insert(NODE_HEADER, name);
    }
    let asked = async {
        let (head, mut sent) = backend.call(request).await?.into_parts();
        let bytes = body::collect(&mut sent, ANSWER_BYTES_MAX).await;
        let bytes = bytes.map_err(|error| Failed::Unreadable(error.to_string()))?;
        match head.status {
            status if status.is_success() => Ok((head, bytes)),
            status => Err(Failed::Refused { status, text: String::from_utf8_lossy(&bytes).into_owned() }),
        }
    };
    timeout(limit, asked).await.unwrap_or(Err(Failed::Late))
}
