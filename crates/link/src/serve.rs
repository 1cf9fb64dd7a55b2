//! The listener's end.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use daemon::Shutdown;
use http::{Request, Response, Version};
use http_api::{Body, body};
use hyper::{body::Incoming, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{task::JoinSet, time::timeout};

use crate::{Accept, Key, Keyring, Stream, keyed::opened, unproven::Unproven, wire};

/// Peers that may be connected at once; a fleet of ours has hundreds of agents at most.
const CONNECTIONS_MAX: usize = 10_000;
/// How long calls may take to end once shutdown was asked for, or the key is gone with which they came.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Accepts links on `listener` and answers every call by `handler`, until shutdown. An address may have at most
/// `per_client` of them, where that is given; further ones are closed at once.
///
/// `handler` gets the peer's address and the request; when the peer goes away its future is dropped. Returns once all
/// connections have ended, at most two seconds after shutdown was asked for. Peers must prove one of the
/// listener's keys, and are let go when that one is removed.
pub async fn serve<H, F>(listener: impl Accept, per_client: Option<usize>, handler: H, shutdown: Shutdown)
where
    H: Fn(SocketAddr, Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut clients = Clients { per_client: per_client.unwrap_or(CONNECTIONS_MAX), ..Clients::default() };
    let (unproven, keys) = (Unproven::default(), listener.keys().cloned());
    let mut end = pin!(shutdown.requested());
    let mut failing = false;
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                // A task is not aborted here, and one that panicked is our own fault: its client keeps a place less.
                if let Ok(ip) = ended {
                    clients.left(ip);
                }
            }
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    metrics::counter!("rpc.accept_conn").increment(1);
                    let ip = peer.ip().to_canonical();
                    if clients.admits(ip) {
                        let (unproven, keys) = (unproven.clone(), keys.clone());
                        let (handler, shutdown) = (handler.clone(), shutdown.clone());
                        connections.spawn(async move {
                            let settled = settled(stream, peer, &unproven, keys.as_ref(), &shutdown).await;
                            if let Some((stream, key)) = settled {
                                let lost = lost(keys, key);
                                connection(stream, peer, handler, lost, shutdown).await;
                            }
                            ip
                        });
                    }
                }
                Err(error) => {
                    // Out of descriptors, or the peer was gone before it was accepted: neither ends the listener.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(target: "agent.server", %error, "cannot accept links; trying again");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What has not ended by then is aborted with the set.
    let _ = timeout(DRAIN_LIMIT, drained).await;
}

/// How many connections each address has.
#[derive(Default)]
struct Clients {
    per_client: usize,
    counts: HashMap<IpAddr, usize>,
    /// Whether the log says that somebody has too many.
    told: HashSet<IpAddr>,
}

impl Clients {
    fn admits(&mut self, ip: IpAddr) -> bool {
        let count = self.counts.entry(ip).or_default();
        if *count < self.per_client {
            *count += 1;
            return true;
        }
        if self.told.insert(ip) {
            tracing::warn!(target: "agent.server", client = %ip, limit = self.per_client, "a client has too many links: limits.rpc_max_conns_per_client");
        }
        false
    }

    fn left(&mut self, ip: IpAddr) {
        if let Some(count) = self.counts.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&ip);
                self.told.remove(&ip);
            }
        }
    }
}

/// The stream of a peer that has begun to speak, and has proved the key where there is one. Whoever connects and says nothing
/// would keep its place for ever: pings begin with the first words only.
async fn settled(
    stream: Stream,
    peer: SocketAddr,
    unproven: &Unproven,
    keys: Option<&Keyring>,
    shutdown: &Shutdown,
) -> Option<(Stream, Option<Key>)> {
    let settled = tokio::select! {
        settled = unproven.settle(peer, opened(stream, keys)) => settled,
        () = shutdown.requested() => return None,
    };
    match settled {
        Ok(settled) => Some(settled),
        Err(error) => {
            tracing::debug!(target: "agent.server", %peer, %error, "a link was not made");
            None
        }
    }
}

/// Returns once the key is no longer installed with which somebody came in.
async fn lost(keys: Option<Keyring>, key: Option<Key>) {
    match keys.zip(key) {
        Some((keys, key)) => keys.lost(&key).await,
        None => std::future::pending().await,
    }
}

async fn connection<H, F>(
    stream: Stream,
    peer: SocketAddr,
    handler: H,
    lost: impl Future<Output = ()>,
    shutdown: Shutdown,
) where
    H: Fn(SocketAddr, Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = handler(peer, request.map(|incoming| body::arriving(Version::HTTP_2, incoming)));
        async move {
            let mut answer = answer.await;
            wire::leave_hop_headers(answer.headers_mut());
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(
        Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(wire::STREAMS_MAX)
            .max_pending_accept_reset_streams(wire::RESETS_MAX)
            .initial_stream_window_size(wire::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(wire::CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(wire::PING)
            .keep_alive_timeout(wire::PING)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = lost => {
            connection.as_mut().graceful_shutdown();
            // Who knows the new key calls again with it; who does not has no more time than that.
            timeout(DRAIN_LIMIT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "agent.server", %peer, %error, "a link ended");
    }
}
