//! A network whose peers must prove a shared key: TLS around the connections of another network.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_rustls::TlsStream;

use crate::{
    Accept, BoxFuture, Connection, Key, Keyring, Listener, Network, Stream, Tcp,
    key::{self, KeyFault},
};

/// The first byte of every TLS handshake (RFC 8446 §5.1); HTTP/2 begins with `P`.
const HANDSHAKE: u8 = 0x16;
/// "unknown_psk_identity" as a fatal alert: what a peer is told that shows a key where nobody has one.
const NO_KEY_HERE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 115];
/// An empty SETTINGS frame and GOAWAY with INADEQUATE_SECURITY (RFC 9113 §6.5, §6.8, §7): what a peer is told that shows none.
const KEY_WANTED: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0c];
/// How long somebody who is refused may take to read why.
const REFUSAL_LIMIT: Duration = Duration::from_secs(1);
/// What somebody who is refused may have sent already: read, for a socket closed over it would take the reason along.
const REFUSED_BYTES_MAX: u64 = 64 << 10;

/// The network of the machine; with keys, every peer must prove one of them.
pub fn network(keys: Option<Keyring>) -> Arc<dyn Network> {
    match keys {
        Some(keys) => Arc::new(Keyed { network: Arc::new(Tcp), keys }),
        None => Arc::new(Tcp),
    }
}

/// Another network, on which every peer must prove a key.
#[derive(Debug)]
pub struct Keyed {
    /// What carries the bytes.
    pub network: Arc<dyn Network>,
    /// Of these, peers must prove one.
    pub keys: Keyring,
}

impl Network for Keyed {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let mut refused = KeyFault::Other.into();
            // With the primary key; who was away while it became that may know another one only.
            for key in self.keys.now().all() {
                let stream = self.network.connect(address).await?;
                match key.connector().connect(key.server_name(), stream).await.map_err(named) {
                    Ok(secret) => return Ok(Box::new(TlsStream::Client(secret)) as Stream),
                    Err(error) if KeyFault::of(&error) == Some(KeyFault::Other) => refused = error,
                    Err(error) => return Err(error),
                }
            }
            Err(refused)
        })
    }

    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Listener>> {
        Box::pin(async move {
            let listener = self.network.bind(address).await?;
            Ok(Box::new(KeyedListener { listener, keys: self.keys.clone() }) as Listener)
        })
    }

    fn keys(&self) -> Option<&Keyring> {
        Some(&self.keys)
    }
}

/// Gives connections before the proof: it takes a round trip, in which others are accepted.
struct KeyedListener {
    listener: Listener,
    keys: Keyring,
}

impl Accept for KeyedListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        self.listener.accept()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn keys(&self) -> Option<&Keyring> {
        Some(&self.keys)
    }
}

impl Connection for TlsStream<Stream> {
    fn first(&mut self) -> BoxFuture<'_, Option<u8>> {
        self.get_mut().0.first()
    }
}

/// An accepted connection of a peer that speaks first, once it has spoken and proved a key where there are some, and that key. A
/// peer that is refused is told why.
///
/// Errors with a [`KeyFault`] when the peer has another key or none. The caller bounds the time.
pub(crate) async fn opened(mut stream: Stream, keys: Option<&Keyring>) -> io::Result<(Stream, Option<Key>)> {
    let shows_key = shows_key(&mut stream).await.ok_or(io::ErrorKind::UnexpectedEof)?;
    match (keys, shows_key) {
        (None, false) => Ok((stream, None)),
        (None, true) => {
            refuse(&mut stream, NO_KEY_HERE).await;
            Err(KeyFault::OursMissing.into())
        }
        (Some(_), false) => {
            refuse(&mut stream, KEY_WANTED).await;
            Err(KeyFault::TheirsMissing.into())
        }
        (Some(keys), true) => proved(stream, keys).await.map(|(stream, key)| (stream, Some(key))),
    }
}

/// The same for a peer that has begun a handshake.
pub(crate) async fn proved(stream: Stream, keys: &Keyring) -> io::Result<(Stream, Key)> {
    let keys = keys.now();
    let secret = keys.acceptor().accept(stream).await.map_err(named)?;
    let shown = secret.get_ref().1.peer_certificates().and_then(|shown| keys.shown(shown));
    let key = shown.expect("the handshake lets nobody through who shows no key");
    Ok((Box::new(TlsStream::Server(secret)), key))
}

/// Whether a peer's first byte begins a handshake; `None` when it has ended without a word.
pub(crate) async fn shows_key(stream: &mut Stream) -> Option<bool> {
    stream.first().await.map(|first| first == HANDSHAKE)
}

/// Tells why, and gives the peer the time to read it.
pub(crate) async fn refuse(stream: &mut Stream, reason: &[u8]) {
    let told = async {
        stream.write_all(reason).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(REFUSED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whoever does not want to know the reason goes without.
    let _ = timeout(REFUSAL_LIMIT, told).await;
}

/// The error in our words where it is about keys.
fn named(error: io::Error) -> io::Error {
    match key::fault(&error) {
        Some(fault) => fault.into(),
        None => error,
    }
}
