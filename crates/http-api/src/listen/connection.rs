//! One connection: HTTP/1.1 until the client goes, or until the end is asked for.
//!
//! hyper's part of a connection has buffers of 16 kB, so that a connection has it only while it is of use. A blocking
//! query waits without it; its answer is written by a new one, which is made to read a request like the one that waited.
//! While there are many connections, those without a request do without it too.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use daemon::Shutdown;
use http::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    Crowd, Limits, Stream,
    exchange::{Desk, Exchange, Pause, Waiting},
    multiplexed,
    patience::{Patient, Spoke},
    secure,
    wire::Wire,
    write_refusal,
};
use crate::{Body, Peer, Serve};

/// hyper's smallest buffer; less would make it panic.
const HEADER_BYTES_MIN: usize = 8192;

/// What a connection is served with.
pub(super) struct Visit {
    pub(super) peer: Peer,
    pub(super) service: Arc<dyn Serve>,
    pub(super) limits: Limits,
    pub(super) crowd: Crowd,
    pub(super) shutdown: Shutdown,
}

impl Visit {
    /// Serves a connection to its end.
    pub(super) async fn serve(self, stream: Stream) {
        match stream {
            Stream::Tcp(stream) => self.serve_io(stream).await,
            Stream::Unix(stream) => self.serve_io(stream).await,
            Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(secure::HTTP_2) => {
                // On the heap, so that other connections do not hold the place for it.
                Box::pin(multiplexed::serve(self, *stream)).await;
            }
            Stream::Tls(stream) => self.serve_io(stream).await,
        }
    }

    async fn serve_io<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let spoke = Spoke::default();
        let stream = Patient::new(stream, self.limits.patience, spoke.clone());
        let (mut wire, mut due) = (Wire::new(stream), None);
        loop {
            if due.is_none() && !wire.is_ahead() && !self.is_asked(&mut wire).await {
                return;
            }
            // On the heap, so that a connection that waits does not hold the place for it.
            let talk: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(self.talk(wire, due.take(), spoke.clone()));
            let Some((quiet, pause)) = talk.await else { return };
            wire = quiet;
            if let Pause::Waiting(waiting) = pause {
                let head = waiting.head.clone();
                due = tokio::select! {
                    response = self.answer(waiting) => response,
                    () = wire.gone() => return,
                };
                if due.is_none() {
                    return;
                }
                wire.put_back(&head);
            }
        }
    }

    /// Waits for a request's first bytes; false at the end of the client, of its time, or of the program.
    async fn is_asked<S: AsyncRead + Unpin>(&self, wire: &mut Wire<S>) -> bool {
        tokio::select! {
            asked = timeout(self.limits.header_read, wire.look()) => asked.unwrap_or(false),
            () = self.shutdown.requested() => false,
        }
    }

    /// Lets hyper speak until it is not needed for now; `None` when the connection has ended.
    async fn talk<S>(
        &self,
        wire: Wire<S>,
        due: Option<Response<Body>>,
        spoke: Spoke,
    ) -> Option<(Wire<S>, Pause)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (exchange, blocked) = (Exchange::new(due), wire.blocked());
        let desk = Desk { exchange: exchange.clone(), service: self.service.clone(), peer: self.peer, spoke };
        // A request may have a hundred headers, hyper's own limit: with another one it makes room for that many on the heap
        // for each request, which cost more than many an answer.
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read)
            .max_buf_size(self.limits.header_bytes.max(HEADER_BYTES_MIN))
            .title_case_headers(true)
            .serve_connection(TokioIo::new(wire), desk);
        let speaking = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending => match exchange.pause(&blocked, self.crowd.is_large()) {
                Some(pause) => Poll::Ready(Ok(pause)),
                None => Poll::Pending,
            },
        });
        let ended = tokio::select! {
            // First, so that a request that is there already is taken before the end is.
            biased;
            spoken = speaking => match spoken {
                Err(ended) => ended,
                Ok(pause) => {
                    let parts = connection.into_parts();
                    let mut wire = parts.io.into_inner();
                    wire.put_back(&parts.read_buf);
                    return Some((wire, pause));
                }
            },
            () = self.shutdown.requested() => {
                Pin::new(&mut connection).graceful_shutdown();
                timeout(self.limits.drain, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::trace!(target: "agent.http", %error, "a connection broke off");
        }
        None
    }

    /// The answer to a request that waits; `None` if it takes too long after the end was asked for.
    async fn answer(&self, waiting: Waiting) -> Option<Response<Body>> {
        let mut answering = waiting.answering;
        tokio::select! {
            response = &mut answering => Some(response),
            () = self.shutdown.requested() => timeout(self.limits.drain, answering).await.ok(),
        }
    }
}

/// Answers 429 to a client with too many connections.
pub(super) async fn refuse(stream: Stream) {
    match stream {
        Stream::Tcp(stream) => refuse_io(stream).await,
        Stream::Unix(stream) => refuse_io(stream).await,
        Stream::Tls(stream) => refuse_io(stream).await,
    }
}

async fn refuse_io(mut stream: impl AsyncRead + AsyncWriteExt + Unpin) {
    let telling = async {
        write_refusal(&mut stream).await?;
        // Closing with unread bytes would reset the connection before the client has read its answer.
        let mut sent = [0; 1024];
        while stream.read(&mut sent).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A client that does not listen has lost nothing.
    let _ = timeout(Duration::from_millis(500), telling).await;
}
