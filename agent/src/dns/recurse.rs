//! Questions about other domains: asked of the recursors, one after the other.
//!
//! hickory-resolver would ask in its own words (its own EDNS, its own choice of transport, answers from its cache). A
//! forwarder has to pass on the client's message as it came and the reply as it came back, so the exchange is done on
//! sockets of ours.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{Name, Record, RecordType},
};
use rand::{RngExt, seq::SliceRandom};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    request::{Request, flags},
    settings::{RecursorStrategy, Settings},
    size::{PLAIN_UDP_BYTES, Transport},
};

const RCODE: u16 = 0xf;
const NO_ERROR: u16 = 0;
const NAME_ERROR: u16 = 3;

/// Passes the client's question on. The first reply that says yes or no counts; `None` when no recursor gave one.
pub(super) async fn forward(request: &Request, transport: Transport, settings: &Settings) -> Option<Vec<u8>> {
    let size = request.edns.as_ref().map_or(0, |edns| usize::from(edns.size)).max(PLAIN_UDP_BYTES);
    for recursor in in_turn(settings) {
        let question = (request.message.as_slice(), request.question.as_slice());
        let mut reply = match ask(question, transport, recursor, size, settings.recursor_timeout).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!(target: "agent.dns", %recursor, %error, "recurse failed");
                continue;
            }
        };
        if matches!(bits(&reply) & RCODE, NO_ERROR | NAME_ERROR) {
            reply[..2].copy_from_slice(&request.id.to_be_bytes());
            return Some(reply);
        }
        tracing::debug!(target: "agent.dns", %recursor, rcode = bits(&reply) & RCODE, "recurse failed for question");
    }
    None
}

/// What a name outside the domain leads to: always its A records, over UDP. Empty when that cannot be found out.
pub(super) async fn addresses(name: &Name, settings: &Settings) -> Vec<Record> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), RecordType::A));
    let Ok(bytes) = message.to_vec() else { return Vec::new() };
    for recursor in in_turn(settings) {
        let question = (bytes.as_slice(), &bytes[12..]);
        let asked = ask(question, Transport::Udp, recursor, PLAIN_UDP_BYTES, settings.recursor_timeout).await;
        match asked.map(|reply| Message::from_vec(&reply)) {
            Ok(Ok(reply)) => return reply.answers,
            Ok(Err(error)) => {
                tracing::debug!(target: "agent.dns", %name, %recursor, %error, "cname recurse failed")
            }
            Err(error) => {
                tracing::debug!(target: "agent.dns", %name, %recursor, %error, "cname recurse failed")
            }
        }
    }
    if !settings.recursors.is_empty() {
        tracing::error!(target: "agent.dns", %name, "all resolvers failed for name");
    }
    Vec::new()
}

fn in_turn(settings: &Settings) -> Vec<SocketAddr> {
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
