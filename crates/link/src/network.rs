//! What links are made of: TCP, or what a simulation puts in its place.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::Keyring;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A connection of any kind.
pub type Stream = Box<dyn Connection>;
/// A listener of any kind.
pub type Listener = Box<dyn Accept>;

/// Makes connections and listeners; [`Tcp`] in every program.
pub trait Network: fmt::Debug + Send + Sync {
    /// Connects to `address` (`10.0.0.1:8300`). Has no limit of its own.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>>;

    /// Listens at `address`; port 0 takes a free one.
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Listener>>;

    /// The keys of which every peer must prove one, if they must.
    fn keys(&self) -> Option<&Keyring> {
        None
    }
}

/// Two directions of bytes, sent as soon as they are written.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    /// Waits for the other end's first byte without taking it; `None` when it left instead.
    fn first(&mut self) -> BoxFuture<'_, Option<u8>>;
}

/// Takes connections.
pub trait Accept: Send + Sync {
    /// The next connection, and whose it is.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>>;

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The keys of which those who connect must prove one, if they must.
    fn keys(&self) -> Option<&Keyring> {
        None
    }
}

/// The network of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Network for Tcp {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move { Ok(at_once(TcpStream::connect(address).await?)) })
    }

    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Listener>> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(address).await?) as Listener) })
    }
}

impl Connection for TcpStream {
    fn first(&mut self) -> BoxFuture<'_, Option<u8>> {
        Box::pin(async {
            let mut first = [0];
            matches!(self.peek(&mut first).await, Ok(1)).then_some(first[0])
        })
    }
}

impl Accept for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        Box::pin(async {
            let (tcp, peer) = Self::accept(self).await?;
            Ok((at_once(tcp), peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Accept for Listener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        (**self).accept()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        (**self).local_addr()
    }

    fn keys(&self) -> Option<&Keyring> {
        (**self).keys()
    }
}

fn at_once(tcp: TcpStream) -> Stream {
    // Without it small messages wait for the peer's acknowledgement; a failure costs only that.
    let _ = tcp.set_nodelay(true);
    Box::new(tcp)
}
