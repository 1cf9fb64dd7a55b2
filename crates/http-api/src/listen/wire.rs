//! A client's socket, with what was read from it ahead of time.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read while nobody parses it: most requests are smaller.
const AHEAD_BYTES: usize = 512;

/// A socket that can be looked at before hyper gets it, and handed from one connection of hyper's to the next.
pub(super) struct Wire<S> {
    stream: S,
    /// What the next reader gets first.
    ahead: Bytes,
    blocked: Blocked,
}

/// Whether the socket took the last write; clones share it.
#[derive(Clone, Default)]
pub(super) struct Blocked(Arc<AtomicBool>);

impl Blocked {
    /// True while hyper holds bytes that the socket did not take.
    pub(super) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.0.store(written.is_pending(), Relaxed);
        written
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, ahead: Bytes::new(), blocked: Blocked::default() }
    }

    pub(super) fn blocked(&self) -> Blocked {
        self.blocked.clone()
    }

    /// Whether bytes are there that nobody has parsed.
    pub(super) fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Puts a copy of these bytes before all that comes.
    pub(super) fn put_back(&mut self, first: &[u8]) {
        self.ahead = [first, &self.ahead].concat().into();
    }

    /// Waits for bytes and keeps them; false when the client has gone.
    pub(super) async fn look(&mut self) -> bool {
        poll_fn(|cx| {
            // Not part of the future, which is what a quiet connection holds.
            let mut space = [0; AHEAD_BYTES];
            let mut read = ReadBuf::new(&mut space);
            let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
            self.ahead = Bytes::copy_from_slice(read.filled());
            Poll::Ready(outcome.is_ok() && self.is_ahead())
        })
        .await
    }

    /// Returns when the client has gone; never once it has sent more, for then nobody can tell without reading on.
    pub(super) async fn gone(&mut self) {
        if self.is_ahead() || self.look().await {
            std::future::pending().await
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let length = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead[..length]);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.blocked.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.blocked.note(written)
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
