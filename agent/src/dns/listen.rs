//! The sockets: datagrams and TCP frames in, replies out.
//!
//! A question that is answered from memory is answered where it was read, without a task of its own. Only one that has
//! to wait (a recursor, a registry elsewhere) gets one.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZero,
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use daemon::Shutdown;
use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    datagram::{Datagrams, Peer},
    request::{Received, Request, read},
    resolve::Resolver,
    settings::Settings,
    size::Transport,
};
use crate::backend::Backend;

/// Room for questions that come at once, as the kernel counts it: its default holds about 250. The kernel gives no
/// more than `net.core.rmem_max`, and doubles that.
const BURST_BYTES: usize = 1 << 20;
/// More UDP sockets for one address than this do not pay.
const UDP_SOCKETS_MAX: usize = 4;
/// Questions of one UDP socket that wait for somebody else; further ones are dropped, and their clients ask again.
const WAITING_MAX: usize = 4096;
/// Datagrams taken in one go before other tasks get their turn.
const BATCH: usize = 64;
const CONNECTIONS_MAX: usize = 1024;
/// How long a connection may stay without a question, or take for one.
const IDLE: Duration = Duration::from_secs(8);
/// How long replies under way may take once the end is asked for.
const DRAIN: Duration = Duration::from_secs(1);
/// How often a free port is looked for that both UDP and TCP can have.
const PORT_TRIES: usize = 16;

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Listeners {
    udp: Vec<Datagrams>,
    tcp: Vec<TcpListener>,
}

impl Listeners {
    /// Binds UDP and TCP on each of these addresses; port 0 finds one that is free for both. To be called on a runtime.
    ///
    /// Errors when an address is not there or is taken; the text names it.
    pub fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut listeners = Self { udp: Vec::new(), tcp: Vec::new() };
        for address in addresses {
            let (tcp, udp) = bind_both(*address)
                .map_err(|error| io::Error::new(error.kind(), format!("DNS on {address}: {error}")))?;
            listeners.tcp.push(tcp);
            listeners.udp.extend(udp);
        }
        Ok(listeners)
    }

    /// Where the listeners are, an address for each one given to [`bind`](Self::bind).
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// Answers questions until the end is asked for.
///
/// A new value on `settings` holds from the next question on. Ends within about a second of the request to end.
pub async fn serve(
    listeners: Listeners,
    settings: watch::Receiver<Arc<Settings>>,
    backend: Arc<dyn Backend>,
    shutdown: Shutdown,
) {
    let own: Arc<[SocketAddr]> = listeners.addresses().into();
    let first = without_own(&settings.borrow(), &own);
    let server = Server { resolver: Resolver::new(backend, first), settings, own };
    let mut tasks = JoinSet::new();
    for socket in listeners.udp {
        tasks.spawn(serve_udp(Arc::new(socket), server.clone(), shutdown.clone()));
    }
    for listener in listeners.tcp {
        tasks.spawn(serve_tcp(listener, server.clone(), shutdown.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(Ok(reason)) = ended.map_err(tokio::task::JoinError::try_into_panic) {
            std::panic::resume_unwind(reason);
        }
    }
}

/// What each socket's task works with.
#[derive(Clone)]
struct Server {
    resolver: Resolver,
    settings: watch::Receiver<Arc<Settings>>,
    own: Arc<[SocketAddr]>,
}

impl Server {
    /// The resolver with the settings that hold now.
    fn resolver(&mut self) -> &Resolver {
        if self.settings.has_changed().unwrap_or(false) {
            self.resolver.settings = without_own(&self.settings.borrow_and_update(), &self.own);
        }
        &self.resolver
    }
}

/// The settings without recursors that are this listener: a question would go round until its client gives up.
fn without_own(settings: &Arc<Settings>, own: &[SocketAddr]) -> Arc<Settings> {
    let is_own = |at: &SocketAddr| {
        let reaches =
            |own: &SocketAddr| own.ip() == at.ip() || own.ip().is_unspecified() && at.ip().is_loopback();
        own.iter().any(|own| own.port() == at.port() && reaches(own))
    };
    if !settings.recursors.iter().any(is_own) {
        return Arc::clone(settings);
    }
    let mut others = Settings::clone(settings);
    others.recursors.retain(|at| !is_own(at));
    Arc::new(others)
}

async fn serve_udp(socket: Arc<Datagrams>, mut server: Server, shutdown: Shutdown) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut waiting = JoinSet::new();
    let ended = shutdown.requested();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => break,
            Some(_) = waiting.join_next() => {}
            ready = socket.readable() => match ready {
                Ok(()) => take_batch(&socket, &mut server, &mut buffer, &mut waiting),
                Err(error) => return tracing::error!(target: "agent.dns", %error, "UDP listener failed"),
            },
        }
    }
    drain(waiting).await;
}

fn take_batch(socket: &Arc<Datagrams>, server: &mut Server, buffer: &mut [u8], waiting: &mut JoinSet<()>) {
    for _ in 0..BATCH {
        match socket.try_receive(buffer) {
            Ok((length, peer)) => take_datagram(socket, server, &buffer[..length], peer, waiting),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // A former reply's ICMP error, for one: nothing to do with the next datagram.
            Err(error) => tracing::debug!(target: "agent.dns", %error, "datagram not received"),
        }
    }
}

fn take_datagram(
    socket: &Arc<Datagrams>,
    server: &mut Server,
    bytes: &[u8],
    peer: Peer,
    waiting: &mut JoinSet<()>,
) {
    let request = match read(bytes) {
        Received::Question(request) => request,
        Received::Refusal(reply) => return send(socket, &reply, peer),
        Received::Silence => return,
    };
    let mut reply = Box::pin(reply_to(server.resolver().clone(), request, Transport::Udp, peer.client));
    if let Some(reply) = reply.as_mut().now_or_never() {
        send(socket, &reply, peer);
    } else if waiting.len() < WAITING_MAX {
        let socket = Arc::clone(socket);
        waiting.spawn(async move { send(&socket, &reply.await, peer) });
    }
}

/// Sends if there is room for it: a datagram may get lost, and here is where it does.
fn send(socket: &Datagrams, reply: &[u8], peer: Peer) {
    if let Err(error) = socket.try_send(reply, peer) {
        tracing::debug!(target: "agent.dns", client = %peer.client, %error, "reply not sent");
    }
}

async fn reply_to(
    resolver: Resolver,
    request: Box<Request>,
    transport: Transport,
    client: SocketAddr,
) -> Vec<u8> {
    resolver.reply(&request, transport, client).await
}

async fn serve_tcp(listener: TcpListener, mut server: Server, shutdown: Shutdown) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let ended = shutdown.requested();
    tokio::pin!(ended);
    loop {
        let accepted = async {
            let place = Arc::clone(&free).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut ended => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let (mut server, end) = (server.clone(), shutdown.requested());
                server.resolver();
                connections.spawn(async move {
                    let _place = place;
                    tokio::select! {
                        () = end => {}
                        _ = converse(stream, &mut server, client) => {}
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: the connections that are there have to end first.
                tracing::debug!(target: "agent.dns", %error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        server.resolver();
    }
    drain(connections).await;
}

/// Answers the questions of one connection, one after the other (RFC 7766), until it is idle for too long.
async fn converse(mut stream: TcpStream, server: &mut Server, client: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let message = timeout(IDLE, read_frame(&mut stream)).await??;
        let reply = match read(&message) {
            Received::Question(request) => {
                reply_to(server.resolver().clone(), request, Transport::Tcp, client).await
            }
            Received::Refusal(reply) => reply,
            Received::Silence => continue,
        };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        timeout(IDLE, stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())).await??;
    }
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Waits for what is under way, to a limit.
async fn drain(mut tasks: JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        tasks.shutdown().await;
    }
}

/// Binds a port for both. `0.0.0.0` means the machine's IPv6 addresses too where that can be had, as it does in Consul.
fn bind_both(address: SocketAddr) -> io::Result<(TcpListener, Vec<Datagrams>)> {
    if address.ip() == Ipv4Addr::UNSPECIFIED
        && let Ok(bound) = bind_family((Ipv6Addr::UNSPECIFIED, address.port()).into())
    {
        return Ok(bound);
    }
    bind_family(address)
}

fn bind_family(address: SocketAddr) -> io::Result<(TcpListener, Vec<Datagrams>)> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::from_std(bind_tcp(address)?.into())?;
        match bind_udp(tcp.local_addr()?) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    bind_to(&socket, address)?;
    socket.listen(1024)?;
    Ok(socket)
}

/// A socket for each core: the kernel spreads the clients over them.
fn bind_udp(address: SocketAddr) -> io::Result<Vec<Datagrams>> {
    let socket = |shared: bool| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_port(shared)?;
        socket.set_recv_buffer_size(BURST_BYTES)?;
        bind_to(&socket, address)?;
        Ok::<_, io::Error>(socket)
    };
    // Sockets that share a port would share it with another program's too: the first one finds out whether it is free.
    drop(socket(false)?);
    let count = available_parallelism().map_or(1, NonZero::get).min(UDP_SOCKETS_MAX);
    (0..count).map(|_| Datagrams::new(UdpSocket::from_std(socket(true)?.into())?)).collect()
}

/// `[::]` means IPv4 too, whatever the system's default is; any other IPv6 address does not.
fn bind_to(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_of_questions_waits_its_turn() {
        const BURST: usize = 300;
        let listeners = Listeners::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let client = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..BURST {
            client.send_to(&[0; 60], listeners.addresses()[0]).unwrap();
        }
        let (first, last) = (listeners.udp.first().unwrap(), listeners.udp.last().unwrap());
        let asked = tokio::select! {
            _ = first.readable() => first,
            _ = last.readable() => last,
        };
        let mut buffer = [0; 64];
        let waiting = std::iter::from_fn(|| asked.try_receive(&mut buffer).ok()).count();
        assert_eq!(waiting, BURST);
    }
}
