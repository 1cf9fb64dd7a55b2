//! Patience with clients: what they do not take, and what they do not finish, is held for a bounded time only.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What a client must take of an answer in the time it has, if there is more to come.
const TAKEN_BYTES_MIN: usize = 16 << 10;
/// A first head that is longer than this must come to its end soon.
const LONG_HEAD_BYTES: usize = 64 << 10;

/// Whether a whole head has come; clones share it.
#[derive(Clone, Default)]
pub(super) struct Spoke(Arc<AtomicBool>);

impl Spoke {
    /// Notes a whole head.
    pub(super) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

/// A connection that ends when its client does not keep up.
pub(super) struct Patient<S> {
    stream: S,
    limit: Duration,
    spoke: Spoke,
    /// How many bytes came before that.
    unfinished: usize,
    reading: Option<Pin<Box<Sleep>>>,
    /// How many bytes the client took since it first let us wait.
    taken: usize,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// A connection whose client has `limit` for what it must do; `spoke` is to be set with its first whole head.
    pub(super) fn new(stream: S, limit: Duration, spoke: Spoke) -> Self {
        Self { stream, limit, spoke, unfinished: 0, reading: None, taken: 0, writing: None }
    }

    /// Waits for the client while it has time.
    fn wait_for_room<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.writing.is_none() {
            self.taken = 0;
        }
        let limit = self.limit;
        expire(self.writing.get_or_insert_with(|| Box::pin(sleep(limit))), cx)
    }

    /// Notes that the client took bytes of those that wait.
    fn took(&mut self, bytes: usize, waiting: usize) {
        self.taken = self.taken.saturating_add(bytes);
        if bytes >= waiting || self.taken >= TAKEN_BYTES_MIN {
            self.writing = None;
        }
    }
}

/// Pending until the time is over, then an error.
fn expire<T>(time: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
    ready!(time.as_mut().poll(cx));
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.spoke.0.load(Relaxed) {
            self.reading = None;
            return read;
        }
        self.unfinished += buffer.filled().len() - before;
        if self.unfinished > LONG_HEAD_BYTES {
            let limit = self.limit;
            let time = self.reading.get_or_insert_with(|| Box::pin(sleep(limit)));
            if let Poll::Ready(late) = expire(time, cx) {
                return Poll::Ready(late);
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                self.took(*written.as_ref().unwrap_or(&0), bytes.len());
                Poll::Ready(written)
            }
            Poll::Pending => self.wait_for_room(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(cx, parts) {
            Poll::Ready(written) => {
                self.took(*written.as_ref().unwrap_or(&0), parts.iter().map(|part| part.len()).sum());
                Poll::Ready(written)
            }
            Poll::Pending => self.wait_for_room(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
