//! Questions about other domains: asked of the recursors, one after the other.
//!
//! hickory-resolver would ask in its own words (its own EDNS, its own choice of transport, answers from its cache). A
//! forwarder has to pass on the client's message as it came and the reply as it came back, so the exchange is done on
//! sockets of ours.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{Name, Record, RecordType},
};
use rand::{RngExt, seq::SliceRandom};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket, lookup_host},
    sync::Semaphore,
    time::timeout,
};

use super::{
    request::{Request, flags},
    settings::{RecursorStrategy, Settings},
    size::{PLAIN_UDP_BYTES, Transport},
};

/// How long a recursor's name may take to be looked up.
const LOOK_UP_MAX: Duration = Duration::from_secs(5);
const RCODE: u16 = 0xf;
const NO_ERROR: u16 = 0;
const NAME_ERROR: u16 = 3;

/// Questions to recursors under way at once: each takes a socket.
const UNDER_WAY_MAX: usize = 256;
/// Where a recursor listens that is given without a port.
const PORT: u16 = 53;

/// Asks the recursors, so many questions at once, and says in the log when none answers any more and when one does again.
pub(super) struct Recursion {
    places: Semaphore,
    failing: AtomicBool,
}

impl Recursion {
    pub(super) fn new() -> Self {
        Self { places: Semaphore::new(UNDER_WAY_MAX), failing: AtomicBool::new(false) }
    }

    /// Passes the client's question on. The first reply that says yes or no counts; `None` when no recursor gave one.
    pub(super) async fn forward(
        &self,
        request: &Request,
        transport: Transport,
        client: SocketAddr,
        settings: &Settings,
    ) -> Option<Vec<u8>> {
        let size = request.edns.as_ref().map_or(0, |edns| usize::from(edns.size)).max(PLAIN_UDP_BYTES);
        let question = (request.message.as_slice(), request.question.as_slice());
        let decided =
            |reply: &[u8]| matches!(bits(reply) & RCODE, NO_ERROR | NAME_ERROR).then(|| reply.to_vec());
        let mut reply = self.in_turn(question, transport, size, settings, decided).await;
        if self.changed(reply.is_none()) {
            tracing::error!(
                target: "agent.dns",
                question = %request.name,
                kind = %request.kind,
                %client,
                client_network = match transport { Transport::Udp => "udp", Transport::Tcp => "tcp" },
                "all resolvers failed for question from client"
            );
        }
        if let Some(reply) = &mut reply {
            reply[..2].copy_from_slice(&request.id.to_be_bytes());
        }
        reply
    }

    /// What a name outside the domain leads to: always its A records, over UDP. Empty when that cannot be found out.
    pub(super) async fn addresses(&self, name: &Name, settings: &Settings) -> Vec<Record> {
        if settings.recursors.is_empty() {
            return Vec::new();
        }
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Query;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name.clone(), RecordType::A));
        let Ok(bytes) = message.to_vec() else { return Vec::new() };
        let question = (bytes.as_slice(), &bytes[12..]);
        let readable = |reply: &[u8]| Message::from_vec(reply).ok();
        let reply = self.in_turn(question, Transport::Udp, PLAIN_UDP_BYTES, settings, readable).await;
        if self.changed(reply.is_none()) {
            tracing::error!(target: "agent.dns", %name, "all resolvers failed for name");
        }
        reply.map(|reply| reply.answers).unwrap_or_default()
    }

    /// Asks one recursor after the other until one gives a reply that is `wanted`.
    async fn in_turn<R>(
        &self,
        question: (&[u8], &[u8]),
        transport: Transport,
        size: usize,
        settings: &Settings,
        wanted: impl Fn(&[u8]) -> Option<R>,
    ) -> Option<R> {
        let limit = settings.recursor_timeout;
        // A place gets free in the time that a recursor has, or the question goes the way of one that none answered.
        let _place = timeout(limit, self.places.acquire()).await.ok()?.ok()?;
        for recursor in order(settings) {
            match ask(question, transport, recursor, size, limit).await {
                Ok(reply) => match wanted(&reply) {
                    Some(reply) => return Some(reply),
                    None => {
                        let rcode = bits(&reply) & RCODE;
                        tracing::debug!(target: "agent.dns", %recursor, rcode, "recurse failed for question");
                    }
                },
                Err(error) => tracing::debug!(target: "agent.dns", %recursor, %error, "recurse failed"),
            }
        }
        None
    }

    /// Whether recursors fail from now on. That they answer again is said here.
    fn changed(&self, failed: bool) -> bool {
        let changed = self.failing.swap(failed, Ordering::Relaxed) != failed;
        if changed && !failed {
            tracing::info!(target: "agent.dns", "resolvers answer again");
        }
        changed && failed
    }
}

/// The recursors that the configuration names, in its order: `10.0.0.2`, `10.0.0.2:5353`, `::1`, `[::1]:53`, or a host's
/// name, which is looked up this once.
///
/// Errors when an entry is none of these, or the name is unknown.
pub async fn find_recursors(texts: &[String]) -> Result<Vec<SocketAddr>, BadRecursor> {
    let mut found = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let bare = text.strip_suffix(':').unwrap_or(text);
        let address = match bare.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, PORT),
            Err(_) => look_up(bare).await.map_err(|source| BadRecursor { text: text.clone(), source })?,
        };
        found.push(address);
    }
    Ok(found)
}

async fn look_up(text: &str) -> io::Result<SocketAddr> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "no such host");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    let found = match port {
        Some(Err(_)) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "invalid port")),
        Some(Ok(_)) => {
            timeout(LOOK_UP_MAX, lookup_host(text)).await.map(|found| found.map(|mut all| all.next()))
        }
        None => {
            timeout(LOOK_UP_MAX, lookup_host((text, PORT))).await.map(|found| found.map(|mut all| all.next()))
        }
    };
    found.map_err(|_| io::ErrorKind::TimedOut)??.ok_or_else(unknown)
}

/// A recursor of the configuration is not to be found.
#[derive(Debug, thiserror::Error)]
#[error("Invalid recursor address: {text}: {source}; an IP address is wanted, with or without a port")]
pub struct BadRecursor {
    text: String,
    source: io::Error,
}

fn order(settings: &Settings) -> Vec<SocketAddr> {
    let mut recursors = settings.recursors.clone();
    if settings.recursor_strategy == RecursorStrategy::Random {
        recursors.shuffle(&mut rand::rng());
    }
    recursors
}

/// One exchange: the message under an id of our own, and the reply that repeats both that and the question.
async fn ask(
    (message, question): (&[u8], &[u8]),
    transport: Transport,
    recursor: SocketAddr,
    size: usize,
    limit: Duration,
) -> io::Result<Vec<u8>> {
    let mut message = message.to_vec();
    let id: [u8; 2] = rand::rng().random();
    message[..2].copy_from_slice(&id);
    let answers = |reply: &[u8]| is_reply(reply, id, question);
    let exchange = async {
        match transport {
            Transport::Udp => over_udp(&message, recursor, size, answers).await,
            Transport::Tcp => over_tcp(&message, recursor, answers).await,
        }
    };
    timeout(limit, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn over_udp(
    message: &[u8],
    recursor: SocketAddr,
    size: usize,
    answers: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let any = if recursor.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind::<SocketAddr>(any).await?;
    socket.connect(recursor).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(&buffer[..length]) {
            // The client was promised no more than it said it takes, and so was the recursor.
            return if length <= size {
                Ok(buffer[..length].to_vec())
            } else {
                Err(io::Error::other("the reply is larger than asked for"))
            };
        }
    }
}

async fn over_tcp(
    message: &[u8],
    recursor: SocketAddr,
    answers: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(recursor).await?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    if answers(&reply) { Ok(reply) } else { Err(io::Error::other("the reply is to another question")) }
}

/// Whether this is the reply to the question with this id. Letters may come back in another case.
fn is_reply(reply: &[u8], id: [u8; 2], question: &[u8]) -> bool {
    let repeated = reply.get(12..12 + question.len());
    reply.starts_with(&id)
        && bits(reply) & flags::RESPONSE != 0
        && repeated.is_some_and(|repeated| repeated.eq_ignore_ascii_case(question))
}

/// The reply's flags; only read once it is known to have a header.
fn bits(reply: &[u8]) -> u16 {
    reply.get(2..4).map_or(0, |bits| u16::from_be_bytes([bits[0], bits[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn recursors_are_addresses_with_or_without_a_port() {
        let found = |text: &str| {
            let texts = [text.to_owned()];
            async move { find_recursors(&texts).await.map_err(|error| error.to_string()) }
        };
        for (text, wanted) in [
            ("10.0.0.2", "10.0.0.2:53"),
            ("10.0.0.2:5353", "10.0.0.2:5353"),
            ("127.0.0.1:", "127.0.0.1:53"),
            ("::1", "[::1]:53"),
            ("[::1]:54", "[::1]:54"),
        ] {
            assert_eq!(found(text).await, Ok(vec![wanted.parse().unwrap()]), "{text}");
        }
        assert_eq!(found("").await, Ok(vec![]));
        for bad in ["127.0.0.1:x", "127.0.0.1:99999"] {
            let said = found(bad).await.unwrap_err();
            assert!(said.starts_with(&format!("Invalid recursor address: {bad}: invalid port")), "{said}");
        }
    }

    #[test]
    fn only_a_change_is_said() {
        let recursion = Recursion::new();
        let said = [true, true, false, false, true].map(|failed| recursion.changed(failed));
        assert_eq!(said, [true, false, false, false, true]);
    }

    #[test]
    fn only_the_reply_to_the_question_counts() {
        let question = b"\x03web\x00\x00\x01\x00\x01";
        let reply =
            [&[1, 2, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], &b"\x03wEb\x00\x00\x01\x00\x01"[..]].concat();
        assert!(is_reply(&reply, [1, 2], question));
        assert!(!is_reply(&reply, [1, 3], question), "another id");
        assert!(!is_reply(&reply, [1, 2], b"\x03wob\x00\x00\x01\x00\x01"), "another question");
        assert!(!is_reply(&reply[..14], [1, 2], question), "cut short");
    }
}
