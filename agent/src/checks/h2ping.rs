//! Checks by an HTTP/2 ping: passing when the other end answers it.

use std::{sync::Arc, time::Duration};

use h2::{Ping, client};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    Observed, Status,
    dial::{self, Tls, TlsConfigs, http2_error},
    limit,
};
use crate::definition::CheckType;

const LIMIT: Duration = Duration::from_secs(10);

/// `h2ping = "localhost:443"`, over TLS unless `h2ping_use_tls = false`.
pub(super) struct H2ping {
    target: String,
    tls: Option<Tls>,
    limit: Duration,
}

impl H2ping {
    pub(super) fn new(check: &CheckType, tls: &Arc<TlsConfigs>) -> Self {
        Self {
            target: check.h2ping.clone(),
            tls: check.h2ping_use_tls.unwrap_or(true).then(|| Tls::new(check, Some("h2"), tls)),
            limit: limit(check, LIMIT),
        }
    }

    pub(super) async fn run(&self) -> Observed {
        let mut connected = false;
        match timeout(self.limit, self.ask(&mut connected)).await {
            Ok(Ok(())) => Observed::new(Status::Passing, "HTTP2 ping was successful"),
            Ok(Err(reason)) => Observed::critical(reason),
            Err(_) if connected => Observed::critical("HTTP2 ping failed: context deadline exceeded"),
            Err(_) => {
                Observed::critical(format!("Failed to dial to {}: context deadline exceeded", self.target))
            }
        }
    }

    async fn ask(&self, connected: &mut bool) -> Result<(), String> {
        let failed = |reason| format!("Failed to dial to {}: {reason}", self.target);
        let stream = dial::tcp(&self.target).await.map_err(failed)?;
        let pinged = match &self.tls {
            Some(tls) => {
                let stream = tls.over(stream, &self.target).await.map_err(failed)?;
                *connected = true;
                ping(stream).await
            }
            None => {
                *connected = true;
                ping(stream).await
            }
        };
        pinged.map_err(|reason| format!("HTTP2 ping failed: {reason}"))
    }
}

/// One ping and its answer; the connection ends with the future.
async fn ping(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    // The handle for requests keeps the connection open.
    let (_requests, mut connection) = client::handshake(stream).await.map_err(|error| http2_error(&error))?;
    let mut ping = connection.ping_pong().expect("asked for once");
    tokio::select! {
        // What became of the connection says more than that the ping is lost with it.
        biased;
        ended = connection => Err(ended.err().map_or("EOF".to_owned(), |error| http2_error(&error))),
        answered = ping.ping(Ping::opaque()) => answered.map(drop).map_err(|error| http2_error(&error)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn run(target: String, tls: bool) -> Observed {
        let check = CheckType { h2ping: target, h2ping_use_tls: Some(tls), ..CheckType::default() };
        H2ping::new(&check, &Arc::default()).run().await
    }

    #[tokio::test]
    async fn an_answered_ping_passes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while connection.accept().await.is_some() {}
        });
        let passing = Observed::new(Status::Passing, "HTTP2 ping was successful");
        assert_eq!(run(address, false).await, passing);
    }

    #[tokio::test]
    async fn a_refused_connection_and_another_protocol_are_critical() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = format!("Failed to dial to {address}: dial tcp {address}: connect: connection refused");
        assert_eq!(run(address.to_string(), true).await, Observed::critical(refused));
        let plain = super::super::tests::answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let observed = run(plain.clone(), false).await;
        assert!(observed.output.starts_with("HTTP2 ping failed: "), "{}", observed.output);
        let observed = run(plain.clone(), true).await;
        let said = format!("Failed to dial to {plain}: tls: first record does not look like a TLS handshake");
        assert_eq!(observed, Observed::critical(said));
    }
}
