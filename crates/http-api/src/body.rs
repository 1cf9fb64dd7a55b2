//! The body of every request and answer that passes through our programs.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::time::timeout;

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

/// How long a body that is on its way may keep silent: who holds a place must send something.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Why a body was not collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// It has more bytes than allowed; `bytes` is what it announced, else what had come by then.
    #[error("the body has {bytes} bytes or more")]
    TooLarge {
        /// How many there are at least.
        bytes: u64,
    },
    /// It kept silent for too long.
    #[error("no byte of the body came for {} seconds", SILENCE_MAX.as_secs())]
    Silent,
    /// The other side went away or sent nonsense.
    #[error("reading the body: {0}")]
    Broken(BodyError),
}

/// Reads a body to its end, if it has at most `limit` bytes.
pub async fn collect(body: &mut Body, limit: usize) -> Result<Bytes, CollectError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(CollectError::TooLarge { bytes: announced });
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        let frame = timeout(SILENCE_MAX, body.frame()).await.map_err(|_| CollectError::Silent)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else { continue };
        let length = first.len() + all.len() + data.len();
        if length > limit {
            return Err(CollectError::TooLarge { bytes: length as u64 });
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.reserve(length.max(announced as usize));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// How long a body that is only read to be forgotten may keep silent.
const DISCARD_SILENCE_MAX: Duration = Duration::from_secs(1);

/// Reads a body and forgets it, until its end, a silence, or for about `limit` bytes.
pub(crate) async fn discard(body: &mut Body, limit: usize) {
    let mut read = 0;
    while read < limit
        && let Ok(Some(Ok(frame))) = timeout(DISCARD_SILENCE_MAX, body.frame()).await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_falls_silent_is_given_up() {
        let begun = stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"half")))]);
        let mut body: Body = StreamBody::new(begun.chain(stream::pending())).boxed_unsync();
        let start = tokio::time::Instant::now();
        assert!(matches!(collect(&mut body, 100).await, Err(CollectError::Silent)));
        assert_eq!(start.elapsed().as_secs(), SILENCE_MAX.as_secs());
    }
}
