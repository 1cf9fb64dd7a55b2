//! One connection of HTTP/2: over TLS, for clients that ask for it.

use std::{convert::Infallible, pin::pin};

use http::{Request, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{connection::Visit, exchange::whole, owed::Owed};

/// Requests at once on a connection, as many as Go's server takes.
const STREAMS_MAX: u32 = 250;

/// Serves a connection to its end, which comes early for a client that gives an answer no room.
pub(super) async fn serve<S>(visit: Visit, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Visit { peer, service, limits, crowd: _crowd, shutdown } = visit;
    let owed = Owed::default();
    let answer = service_fn(|request: Request<Incoming>| {
        let mut request = whole(request);
        request.extensions_mut().insert(peer);
        let (answering, owed) = (service.serve(request), owed.clone());
        async move {
            let mut answer = answering.await;
            // It has no meaning between the streams of a connection.
            answer.headers_mut().remove(CONNECTION);
            Ok::<_, Infallible>(answer.map(|body| owed.answer(body)))
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
        () = owed.overdue(limits.patience) => return,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.drain, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::trace!(target: "agent.http", %error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use daemon::Shutdown;
    use http::Response;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        Body, BoxFuture, Peer, Serve, body,
        listen::{Crowd, Limits},
    };

    const ANSWER_BYTES: usize = 100_000;

    struct Large;

    impl Serve for Large {
        fn serve(&self, _: Request<Body>) -> BoxFuture<Response<Body>> {
            Box::pin(async { Response::new(body::full(vec![b'x'; ANSWER_BYTES])) })
        }

        fn knows(&self, _: &str) -> bool {
            true
        }
    }

    /// How long the connection of a client lives whose answers have this much room, and how much it got of one.
    async fn ask(window: u32) -> (Duration, usize) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (limits, shutdown) = (Limits::default(), Shutdown::default());
        let visit =
            Visit { peer: Peer::Unix, service: Arc::new(Large), limits, crowd: Crowd::default(), shutdown };
        let start = Instant::now();
        let served = tokio::spawn(serve(visit, ours));
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .handshake::<_, bytes::Bytes>(theirs)
            .await
            .unwrap();
        // Reads, and answers pings.
        let pumping = tokio::spawn(connection);
        let (answer, _) = client.ready().await.unwrap().send_request(Request::new(()), true).unwrap();
        let mut answer = answer.await.unwrap().into_body();
        let mut got = 0;
        while let Some(Ok(data)) = answer.data().await {
            got += data.len();
            if window as usize >= ANSWER_BYTES {
                answer.flow_control().release_capacity(data.len()).unwrap();
            }
        }
        drop(answer);
        if got == ANSWER_BYTES {
            pumping.abort();
        }
        served.await.unwrap();
        (start.elapsed(), got)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_gives_an_answer_no_room_is_let_go() {
        let patience = Limits::default().patience;
        for window in [0, 20_000] {
            let (lived, got) = ask(window).await;
            assert!((patience..patience * 2).contains(&lived), "{lived:?} with {window} bytes of room");
            assert_eq!(got, window as usize);
        }
        let (lived, got) = ask(200_000).await;
        assert_eq!((lived.as_secs(), got), (0, ANSWER_BYTES));
    }
}
