//! One connection: HTTP/1.1 until the client goes, or until the end is asked for.

use std::{convert::Infallible, sync::Arc, time::Duration};

use daemon::Shutdown;
use http::Request;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{Limits, Stream, write_refusal};
use crate::{Body, Peer, Serve, body};

/// hyper's smallest buffer; less would make it panic.
const HEADER_BYTES_MIN: usize = 8192;

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: Stream,
    peer: Peer,
    service: Arc<dyn Serve>,
    limits: Limits,
    shutdown: Shutdown,
) {
    match stream {
        Stream::Tcp(stream) => serve_io(stream, peer, service, limits, shutdown).await,
        Stream::Unix(stream) => serve_io(stream, peer, service, limits, shutdown).await,
    }
}

async fn serve_io<S>(stream: S, peer: Peer, service: Arc<dyn Serve>, limits: Limits, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(whole);
        request.extensions_mut().insert(peer);
        let answering = service.serve(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(limits.header_bytes.max(HEADER_BYTES_MIN))
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            match timeout(limits.drain, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(target: "agent.http", %error, "a connection broke off");
    }
}

fn whole(incoming: Incoming) -> Body {
    match incoming.is_end_stream() {
        true => body::empty(),
        false => incoming.map_err(Into::into).boxed_unsync(),
    }
}

/// Answers 429 to a client with too many connections.
pub(super) async fn refuse(stream: Stream) {
    match stream {
        Stream::Tcp(stream) => refuse_io(stream).await,
        Stream::Unix(stream) => refuse_io(stream).await,
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
