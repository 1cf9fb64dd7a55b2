//! TLS before HTTP.

use std::{
    io,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server};

use super::Stream;

/// HTTP/2 as ALPN names it.
pub(super) const HTTP_2: &[u8] = b"h2";
/// The first byte of every TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// A connection over TLS.
pub(super) type TlsStream = server::TlsStream<Opened>;

/// How a listener speaks TLS; clones share it. What is set holds for connections from then on, and open ones go on.
#[derive(Clone, Debug)]
pub struct Secure {
    config: Arc<RwLock<Option<Arc<ServerConfig>>>>,
    handshake_limit: Duration,
}

impl Secure {
    /// Without a configuration every connection is closed, until [`Secure::set`] gives one.
    ///
    /// `handshake_limit` is `limits.https_handshake_timeout`: how long a client may take to begin.
    pub fn new(config: Option<ServerConfig>, handshake_limit: Duration) -> Self {
        let secure = Self { config: Arc::default(), handshake_limit };
        secure.set(config);
        secure
    }

    /// Serves further connections with this certificate and these rules.
    pub fn set(&self, config: Option<ServerConfig>) {
        // HTTP/2 for whoever knows it, as Consul offers it over TLS and only there.
        let config = config.map(|mut config| {
            config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
            Arc::new(config)
        });
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    async fn accept(&self, stream: Box<dyn Wire>) -> io::Result<TlsStream> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let config = config.ok_or_else(|| io::Error::other("tls: no certificates configured"))?;
        let mut stream = Opened { first: None, stream };
        let first = stream.read_u8().await?;
        if first.is_ascii_uppercase() {
            let told = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            stream.write_all(told.as_bytes()).await?;
            stream.shutdown().await?;
            return Err(io::Error::other("client sent an HTTP request to an HTTPS server"));
        }
        if first != HANDSHAKE {
            return Err(io::Error::other("tls: first record does not look like a TLS handshake"));
        }
        stream.first = Some(first);
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// The stream as HTTP reads it; `None` when TLS cannot be agreed on.
pub(super) async fn open(secure: Option<Secure>, stream: Stream) -> Option<Stream> {
    let Some(secure) = secure else { return Some(stream) };
    let plain: Box<dyn Wire> = match stream {
        Stream::Tcp(stream) => Box::new(stream),
        Stream::Unix(stream) => Box::new(stream),
        Stream::Tls(_) => return Some(stream),
    };
    let accepted = timeout(secure.handshake_limit, secure.accept(plain)).await;
    match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => Some(Stream::Tls(Box::new(stream))),
        Err(error) => {
            tracing::debug!(target: "agent.http", %error, "TLS handshake error");
            None
        }
    }
}

/// A socket of either kind.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// A socket whose first byte was looked at.
pub(super) struct Opened {
    first: Option<u8>,
    stream: Box<dyn Wire>,
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() > 0
            && let Some(first) = self.first.take()
        {
            into.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
