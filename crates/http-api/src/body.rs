//! The body of every request and answer that passes through our programs.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::Version;
use http_body::{Body as HttpBody, Frame, SizeHint};
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

/// A body that comes over a connection of this version, which errors when the connection ends before it.
///
/// Over HTTP/2 hyper takes a connection that ends for want of an answer to a ping for the end of each body on it, so that a value
/// whose bytes had not come yet would be read as an empty one.
pub fn arriving<B>(version: Version, body: B) -> Body
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Send + Unpin + 'static,
{
    if version == Version::HTTP_2 {
        Arriving { body, ended: false }.boxed_unsync()
    } else {
        body.map_err(Into::into).boxed_unsync()
    }
}

struct Arriving<B> {
    body: B,
    ended: bool,
}

impl<B> Arriving<B>
where
    B: HttpBody<Data = Bytes>,
{
    /// Whether all was read: the other side said so, or as many bytes have come as it announced.
    fn is_whole(&self) -> bool {
        self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)
    }
}

impl<B> HttpBody for Arriving<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.ended = frame.is_none();
        Poll::Ready(match frame {
            None if !self.is_whole() => {
                let error =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the body");
                Some(Err(error.into()))
            }
            frame => frame.map(|frame| frame.map_err(Into::into)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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
    use http_body_util::StreamBody;

    use super::*;

    /// As hyper's body is after a connection has ended: no more frames, and never the other side's word that it was all.
    struct Cut {
        come: Option<Bytes>,
        to_come: Option<u64>,
    }

    impl HttpBody for Cut {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.come.take().map(|bytes| Ok(Frame::data(bytes))))
        }

        fn size_hint(&self) -> SizeHint {
            self.to_come.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    #[tokio::test]
    async fn a_body_that_the_connection_took_along_is_not_taken_for_a_shorter_one() {
        let read = async |version, come: &'static str, to_come| {
            let come = Some(Bytes::from_static(come.as_bytes())).filter(|come| !come.is_empty());
            let mut body = arriving(version, Cut { come, to_come });
            let read = collect(&mut body, 100).await;
            assert!(body.frame().await.is_none());
            read
        };
        assert!(matches!(read(Version::HTTP_2, "", Some(3)).await, Err(CollectError::Broken(_))));
        assert!(matches!(read(Version::HTTP_2, "half", None).await, Err(CollectError::Broken(_))));
        assert_eq!(read(Version::HTTP_2, "all", Some(0)).await.unwrap(), "all");
        // hyper says of HTTP/1 itself when it breaks off.
        assert_eq!(read(Version::HTTP_11, "all", None).await.unwrap(), "all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_falls_silent_is_given_up() {
        let begun = stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"half")))]);
        let mut body: Body = StreamBody::new(begun.chain(stream::pending())).boxed_unsync();
        let start = tokio::time::Instant::now();
        assert!(matches!(collect(&mut body, 100).await, Err(CollectError::Silent)));
        assert_eq!(start.elapsed().as_secs(), SILENCE_MAX.as_secs());
    }
}
