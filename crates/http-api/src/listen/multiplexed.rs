//! One connection of HTTP/2: over TLS, for clients that ask for it.

use std::{convert::Infallible, pin::pin};

use http::{Request, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;

use super::{connection::Visit, exchange::whole, secure::TlsStream};

/// Requests at once on a connection, as many as Go's server takes.
const STREAMS_MAX: u32 = 250;

/// Serves a connection to its end.
pub(super) async fn serve(visit: Visit, stream: TlsStream) {
    let Visit { peer, service, limits, crowd: _crowd, shutdown } = visit;
    let answer = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(whole);
        request.extensions_mut().insert(peer);
        let answering = service.serve(request);
        async move {
            let mut answer = answering.await;
            // It has no meaning between the streams of a connection.
            answer.headers_mut().remove(CONNECTION);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        // A client that has gone without a word is noticed as one without a request is.
        .keep_alive_interval(limits.patience)
        .keep_alive_timeout(limits.patience)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.drain, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::trace!(target: "agent.http", %error, "a connection broke off");
    }
}
