//! Listeners: TCP and unix sockets, their limits and their end.
//!
//! `place` says where, `secure` speaks TLS, `connection` serves one client over HTTP/1.1 and `multiplexed` over HTTP/2,
//! `exchange` hands its requests on, `wire` is its socket, `patience` how long it is waited for, `owed` the same for the
//! answers that share a connection.

mod connection;
mod exchange;
mod multiplexed;
mod owed;
mod patience;
mod place;
mod secure;
mod wire;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daemon::Shutdown;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinSet,
    time::sleep,
};

pub use place::{BindError, Place, UnixPlace};
pub use secure::Secure;

use crate::{Peer, Serve};
use connection::Visit;

/// With more connections than this, those without a request give up their buffers.
const ROOMY: usize = 256;

/// What a listener takes from its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `limits.http_max_conns_per_client`: connections from one address; 0 means any number.
    pub connections_per_client: usize,
    /// `http_config.max_header_bytes`.
    pub header_bytes: usize,
    /// How long a client may take for its headers, and keep a connection without a request.
    pub header_read: Duration,
    /// How long a client may take for the next 16 kB of an answer, and for the rest of a first head beyond 64 kB.
    pub patience: Duration,
    /// How long requests may go on once the end has been asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_client: 200,
            header_bytes: 1 << 20,
            header_read: Duration::from_secs(300),
            patience: Duration::from_secs(60),
            drain: Duration::from_secs(5),
        }
    }
}

/// A bound listener that does not serve yet.
pub struct Listener {
    socket: Socket,
    place: Place,
    secure: Option<Secure>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds. While the address is not on this machine yet, tries again until it is or the end is asked for.
    pub async fn bind(place: Place, shutdown: &Shutdown) -> Result<Self, BindError> {
        let socket = match &place {
            Place::Tcp(address) => Socket::Tcp(place::bind_tcp(*address, shutdown).await?),
            Place::Unix(unix) => Socket::Unix(place::bind_unix(unix)?),
        };
        Ok(Self { socket, place, secure: None })
    }

    /// The same listener, speaking TLS.
    pub fn secured(self, secure: Secure) -> Self {
        Self { secure: Some(secure), ..self }
    }

    /// Where it listens; with the port that was chosen for port 0. `None` for a unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Serves until the end is asked for, then until every request has been answered or [`Limits::drain`] is over.
    pub async fn serve(self, service: Arc<dyn Serve>, limits: Limits, shutdown: Shutdown) {
        let mut connections = JoinSet::new();
        let (clients, crowd) = (Clients::default(), Crowd::default());
        let mut accepting = Accepting::default();
        let end = shutdown.requested();
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.accept() => match accepted {
                    Ok((stream, peer)) => {
                        accepting.worked();
                        let secure = self.secure.clone();
                        let Some(seat) = clients.admit(peer, limits.connections_per_client) else {
                            connections.spawn(async move {
                                if let Some(stream) = Box::pin(secure::open(secure, stream)).await {
                                    connection::refuse(stream).await;
                                }
                            });
                            continue;
                        };
                        let (service, crowd, shutdown) = (service.clone(), crowd.clone(), shutdown.clone());
                        let visit = Visit { peer, service, limits, crowd, shutdown };
                        connections.spawn(async move {
                            if let Some(stream) = Box::pin(secure::open(secure, stream)).await {
                                visit.serve(stream).await;
                            }
                            drop(seat);
                        });
                    }
                    Err(error) => accepting.failed(&self.place, &error).await,
                },
            }
        }
        let place = self.place.clone();
        drop(self);
        place.remove();
        // Each connection knows its own limit; this one only guards against one that does not hold to it.
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.drain + Duration::from_secs(1), all).await.is_err() {
            tracing::warn!(target: "agent.http", %place, "closing connections whose requests did not end");
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // An answer is one write: waiting for more only makes it late.
                stream.set_nodelay(true)?;
                // An IPv4 client of a listener for both is known by its IPv4 address.
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Socket::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), Peer::Unix)),
        }
    }
}

/// An accepted connection.
enum Stream {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
    Tls(Box<secure::TlsStream>),
}

/// Whether accepting works; says so once when it changes.
#[derive(Default)]
struct Accepting {
    failures: u32,
}

impl Accepting {
    fn worked(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!(target: "agent.http", "accepting connections again");
        }
    }

    /// Waits a little: the process is out of files, or the client has gone already.
    async fn failed(&mut self, place: &Place, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        if self.failures == 0 {
            tracing::error!(target: "agent.http", %place, %error, "cannot accept connections");
        }
        self.failures = self.failures.saturating_add(1);
        sleep(Duration::from_millis(10 << self.failures.min(6))).await;
    }
}

/// How many connections a listener has: each holds a clone.
#[derive(Clone, Default)]
struct Crowd(Arc<()>);

impl Crowd {
    fn is_large(&self) -> bool {
        Arc::strong_count(&self.0) > ROOMY
    }
}

/// How many connections each client holds.
#[derive(Clone, Default)]
struct Clients(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A client's place among its connections; given back when dropped.
struct Seat {
    clients: Clients,
    client: Option<IpAddr>,
}

impl Clients {
    fn admit(&self, peer: Peer, most: usize) -> Option<Seat> {
        let client = match peer {
            Peer::Tcp(address) if most > 0 => address.ip().to_canonical(),
            _ => return Some(Seat { clients: self.clone(), client: None }),
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { clients: self.clone(), client: Some(client) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut held = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                held.remove(&client);
            }
        }
    }
}

/// Tells a client that it has too many connections, and waits for it to go.
async fn write_refusal(stream: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
    let text = "Your IP is issuing too many concurrent connections, please rate limit your calls\n";
    let (status, kind) = ("HTTP/1.1 429 Too Many Requests", "Content-Type: text/plain");
    let head = format!("{status}\r\n{kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    stream.write_all(format!("{head}{text}").as_bytes()).await?;
    stream.shutdown().await
}
