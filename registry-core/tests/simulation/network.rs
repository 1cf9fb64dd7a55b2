//! turmoil's network as links see it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use link::{Accept, BoxFuture, Connection, Listener, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// The network of the simulation that this runs in.
#[derive(Debug)]
pub(crate) struct Simulated;

struct Tcp(TcpStream);

struct Listening {
    listener: TcpListener,
    /// Where it is reached: turmoil binds every address of a host.
    address: SocketAddr,
}

impl Network for Simulated {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move { Ok(Box::new(Tcp(TcpStream::connect(address).await?)) as Stream) })
    }

    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Listener>> {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await?;
            Ok(Box::new(Listening { listener, address }) as Listener)
        })
    }
}

impl Accept for Listening {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        Box::pin(async {
            let (tcp, peer) = self.listener.accept().await?;
            Ok((Box::new(Tcp(tcp)) as Stream, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connection for Tcp {
    fn first(&mut self) -> BoxFuture<'_, Option<u8>> {
        Box::pin(async {
            let mut first = [0];
            matches!(self.0.peek(&mut first).await, Ok(1)).then_some(first[0])
        })
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
