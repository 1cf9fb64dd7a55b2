//! Reads what came off the wire: a question, a question to turn down, or nothing worth a word.
//!
//! The rules are the recorded ones. They are laxer than a decoder's (a question may lack its type and class, bytes may
//! follow it), so the message is taken apart here with hickory's decoder, not by its `Message`.

use std::net::IpAddr;

use hickory_proto::{
    rr::{Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

use super::{encode::plain_name, options};

const HEADER_BYTES: usize = 12;
const OPT: u16 = 41;
/// Text as in TXT records, RFC 4408.
const SPF: RecordType = RecordType::Unknown(99);
/// Opcodes that are answered: QUERY, and NOTIFY as if it were one.
const QUERY: u8 = 0;
const NOTIFY: u8 = 4;

/// The header's flag bits, RFC 1035 §4.1.1 and RFC 4035 §3.
pub(super) mod flags {
    pub(crate) const RESPONSE: u16 = 0x8000;
    pub(crate) const AUTHORITATIVE: u16 = 0x0400;
    pub(crate) const TRUNCATED: u16 = 0x0200;
    pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
    pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
    pub(crate) const OPCODE: u16 = 0x7800;
    /// Always 0 in what is sent.
    pub(crate) const RESERVED: u16 = 0x0040;
}

/// The response codes in use here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rcode {
    #[default]
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
}

/// What a message is to us.
#[derive(Debug)]
pub(super) enum Received {
    /// A question to answer.
    Question(Box<Request>),
    /// Not a question for us: send these bytes back.
    Refusal(Vec<u8>),
    /// No message, or somebody's answer: an answer to it could make two servers talk to each other for ever.
    Silence,
}

/// One question and all of its message that bears on the reply.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) id: u16,
    /// Opcode and flags of the reply as far as the request decides them.
    pub(super) reply_flags: u16,
    pub(super) name: Name,
    pub(super) kind: RecordType,
    /// The question as it came, to be repeated in the reply: name, type, class.
    pub(super) question: Vec<u8>,
    pub(super) edns: Option<Edns>,
    /// The whole message, to be passed on to recursors.
    pub(super) message: Vec<u8>,
}

/// The client's EDNS record (RFC 6891).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    /// The largest UDP reply the client takes.
    pub(super) size: u16,
    /// The client-subnet option's data (RFC 7871), if any; its scope is 0.
    pub(super) subnet: Option<Vec<u8>>,
}

impl Edns {
    /// The address in the client-subnet option, its bits behind the prefix 0; `None` when there is none.
    pub(super) fn client(&self) -> Option<IpAddr> {
        let [_, family, _bits, _scope, address @ ..] = self.subnet.as_deref()? else { return None };
        let mut bytes = [0; 16];
        bytes.get_mut(..address.len())?.copy_from_slice(address);
        match family {
            1 => Some(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
            2 => Some(IpAddr::from(bytes)),
            _ => None,
        }
    }

    /// Says in the client-subnet option that the answer holds for the client's own subnet only (RFC 7871 §7.2.1).
    pub(super) fn narrow(&mut self) {
        if let Some([_, _, bits, scope, ..]) = self.subnet.as_deref_mut() {
            *scope = *bits;
        }
    }
}

/// Reads one message. Never panics, whatever the bytes.
pub(super) fn read(message: &[u8]) -> Received {
    let Some(header) = message.first_chunk::<HEADER_BYTES>() else { return Received::Silence };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (id, bits) = (word(0), word(2));
    if bits & flags::RESPONSE != 0 {
        return Received::Silence;
    }
    let opcode = ((bits & flags::OPCODE) >> 11) as u8;
    if opcode != QUERY && opcode != NOTIFY {
        return refusal(id, bits, Rcode::NotImp, &[]);
    }
    let counts = [word(4), word(6), word(8), word(10)];
    // One question; one record each where NOTIFY and IXFR put their SOA; OPT and TSIG.
    if counts[0] != 1 || counts[1] > 1 || counts[2] > 1 || counts[3] > 2 {
        return refusal(id, bits & !flags::OPCODE, Rcode::FormErr, &[]);
    }
    if message.len() == HEADER_BYTES {
        return refusal(id, bits & !flags::OPCODE, Rcode::Refused, &[]);
    }
    let malformed = |question: &[u8]| refusal(id, bits & !flags::OPCODE, Rcode::FormErr, question);
    let mut decoder = BinDecoder::new(message);
    let Some(question) = read_question(&mut decoder) else { return malformed(&[]) };
    let Some(edns) = read_edns(&mut decoder, counts[1] + counts[2], counts[3]) else {
        return malformed(&question.bytes);
    };
    let echoed = if opcode == QUERY {
        bits & (flags::RECURSION_DESIRED | flags::CHECKING_DISABLED)
    } else {
        bits & flags::OPCODE
    };
    let reply_flags = flags::RESPONSE | echoed;
    let Question { name, kind, bytes: question } = question;
    Received::Question(Box::new(Request {
        id,
        reply_flags,
        name,
        kind,
        question,
        edns,
        message: message.to_vec(),
    }))
}

struct Question {
    name: Name,
    kind: RecordType,
    bytes: Vec<u8>,
}

fn read_question(decoder: &mut BinDecoder<'_>) -> Option<Question> {
    decoder.read_slice(HEADER_BYTES).ok()?;
    let name = Name::read(decoder).ok()?;
    // Consul reads a message that ends after the name or within the class, but none that ends within the type.
    let kind = if decoder.is_empty() { 0 } else { decoder.read_u16().ok()?.unverified() };
    let class = or_zero(decoder);
    let mut bytes = plain_name(&name);
    for number in [kind, class] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    Some(Question { name, kind: RecordType::from(kind), bytes })
}

/// The next number; 0 when the message ends before it is whole.
fn or_zero(decoder: &mut BinDecoder<'_>) -> u16 {
    let read = decoder.read_u16().ok().map(|number| number.unverified());
    read.unwrap_or_else(|| {
        // Whatever stands there is no part of anything.
        let _ = decoder.read_slice(decoder.len());
        0
    })
}

/// Walks over the records that follow the question: first others, then the additional ones, of which one may be the EDNS
/// record. A message may end before all of them have come. The outer `None` means that something is malformed.
fn read_edns(decoder: &mut BinDecoder<'_>, others: u16, additional: u16) -> Option<Option<Edns>> {
    let mut edns = None;
    for at in 0..others + additional {
        if decoder.is_empty() {
            break;
        }
        Name::read(decoder).ok()?;
        let kind = decoder.read_u16().ok()?.unverified();
        let class = decoder.read_u16().ok()?.unverified();
        decoder.read_u32().ok()?;
        let length = decoder.read_u16().ok()?.unverified();
        let mut from_data = decoder.clone(u16::try_from(decoder.index()).ok()?);
        let data = decoder.read_slice(usize::from(length)).ok()?.unverified();
        if kind == OPT {
            let read = Edns { size: class, subnet: options::subnet(data)? };
            edns = if at < others { edns } else { Some(read) };
        } else if !data.is_empty() && !is_whole(kind.into(), data, &mut from_data) {
            return None;
        }
    }
    Some(edns)
}

/// Whether a record's data can be of its type. Only types are looked at whose data cannot just end early.
fn is_whole(kind: RecordType, data: &[u8], decoder: &mut BinDecoder<'_>) -> bool {
    match kind {
        RecordType::A => data.len() == 4,
        RecordType::AAAA => data.len() == 16,
        RecordType::CNAME | RecordType::NS | RecordType::PTR => {
            let end = decoder.index() + data.len();
            Name::read(decoder).is_ok() && decoder.index() == end
        }
        RecordType::TXT | SPF => {
            let mut rest = data;
            while let Some((length, after)) = rest.split_first() {
                let Some(after) = after.get(usize::from(*length)..) else { return false };
                rest = after;
            }
            true
        }
        _ => true,
    }
}

/// A header with the request's flags, and its question as far as that could be read.
fn refusal(id: u16, bits: u16, rcode: Rcode, question: &[u8]) -> Received {
    let cleared = flags::AUTHORITATIVE | flags::RESERVED | 0xf;
    let bits = (bits | flags::RESPONSE) & !cleared | rcode as u16;
    let questions = u16::from(!question.is_empty());
    let words = [id, bits, questions, 0, 0, 0];
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
    bytes.extend_from_slice(question);
    Received::Refusal(bytes)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    /// `web.service.consul. A IN`, from the question on.
    const WEB: &[u8] = b"\x03web\x07service\x06consul\x00\x00\x01\x00\x01";

    fn message(bits: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let words = [0x1234, bits].into_iter().chain(counts);
        let mut bytes: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        bytes.extend_from_slice(rest);
        bytes
    }

    fn question(bytes: &[u8]) -> Request {
        match read(bytes) {
            Received::Question(request) => *request,
            other => panic!("not a question: {other:?}"),
        }
    }

    #[test]
    fn a_question_keeps_its_spelling_and_flags() {
        let it = question(&message(0x0110, [1, 0, 0, 0], b"\x03wEb\x06Consul\x00\x00\x21\x00\x03"));
        assert_eq!(it.name.to_ascii(), "wEb.Consul.");
        assert_eq!((it.kind, it.reply_flags, it.edns), (RecordType::SRV, 0x8110, None));
        assert_eq!(it.question, b"\x03wEb\x06Consul\x00\x00\x21\x00\x03");
    }

    #[test]
    fn type_and_class_may_be_missing_and_bytes_may_follow() {
        assert_eq!(question(&message(0, [1, 0, 0, 0], &WEB[..WEB.len() - 4])).kind, RecordType::from(0));
        let half = question(&message(0, [1, 0, 0, 0], &WEB[..WEB.len() - 1]));
        assert!(half.question.ends_with(&[0, 1, 0, 0]), "the class counts as 0");
        let lax = [WEB, &[0xff, 0xff]].concat();
        assert_eq!(question(&message(0, [1, 0, 0, 0], &lax)).question, WEB);
    }

    #[test]
    fn edns_gives_size_and_subnet() {
        let opt = b"\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02";
        let it = question(&message(0, [1, 0, 0, 1], &[WEB, opt].concat()));
        let subnet = Some(vec![0, 1, 24, 0, 192, 0, 2]);
        assert_eq!(it.edns, Some(Edns { size: 1232, subnet }));
    }

    #[test]
    fn the_subnet_is_the_clients_address_and_can_be_the_answers_scope() {
        let edns = |data: &[u8]| Edns { size: 1232, subnet: Some(data.to_vec()) };
        assert_eq!(edns(&[0, 1, 24, 0, 192, 0, 2]).client(), Some([192, 0, 2, 0].into()));
        assert_eq!(edns(&[0, 2, 16, 0, 0x20, 1]).client(), Some("2001::".parse().unwrap()));
        assert_eq!(edns(&[0, 0, 0, 0]).client(), None);
        assert_eq!(Edns { size: 512, subnet: None }.client(), None);
        let mut narrowed = edns(&[0, 1, 24, 0, 192, 0, 2]);
        narrowed.narrow();
        assert_eq!(narrowed.subnet, Some(vec![0, 1, 24, 24, 192, 0, 2]));
    }

    #[test]
    fn what_is_no_question_is_turned_down_or_ignored() {
        let refused = |bytes: Vec<u8>| match read(&bytes) {
            Received::Refusal(reply) => u16::from_be_bytes([reply[2], reply[3]]),
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(refused(message(0x0100, [2, 0, 0, 0], WEB)), 0x8101, "two questions");
        assert_eq!(refused(message(0x0100, [0; 4], &[])), 0x8101, "none");
        assert_eq!(refused(message(0x2900, [1, 0, 0, 0], WEB)), 0xa904, "UPDATE");
        assert_eq!(refused(message(0x2940, [1, 0, 0, 0], WEB)), 0xa904, "the reserved bit stays 0");
        assert_eq!(refused(message(0, [1, 0, 0, 0], &WEB[..WEB.len() - 3])), 0x8001, "half a type");
        assert_eq!(
            refused(message(0x0100, [1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01")),
            0x8101,
            "a name's loop"
        );
        assert_eq!(refused(message(0x0100, [1, 0, 0, 0], &[])), 0x8105, "a question that is not there");
        let cut = message(0x0100, [1, 0, 0, 1], &[WEB, b"\0\0\x29"].concat());
        assert!(matches!(read(&cut), Received::Refusal(reply) if reply[12..] == *WEB), "a record cut short");
        assert!(matches!(read(&message(0x8100, [1, 0, 0, 0], WEB)), Received::Silence), "an answer");
        assert!(matches!(read(&[0; 11]), Received::Silence), "a header cut short");
    }

    #[test]
    fn names_may_point_into_the_header() {
        // Four bytes in stands the high byte of the count of questions: a zero, which ends the name.
        let it = question(&message(0x0100, [1, 0, 0, 0], b"\x03web\xc0\x04\x00\x01\x00\x01"));
        assert_eq!(it.question, b"\x03web\x00\x00\x01\x00\x01");
    }

    #[test]
    fn records_beside_the_question_are_looked_at() {
        let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
        let with = |counts: [u16; 4], records: &[u8]| read(&message(0, counts, &[WEB, records].concat()));
        let Received::Question(it) = with([1, 1, 0, 0], opt) else { panic!("refused") };
        assert_eq!(it.edns, None, "OPT belongs among the additional records");
        let record = |kind: u8, data: &[u8]| {
            [b"\0\0", &[kind][..], b"\0\x01\0\0\0\0\0", &[data.len() as u8], data].concat()
        };
        for (kind, data, good) in [
            (1, &b"\x0a\0\0\x01"[..], true),
            (1, b"\x0a\0\0", false),
            (1, b"", true),
            (28, b"\0\0\0\0", false),
            (16, b"\x03abc\0", true),
            (16, b"\x05abc", false),
            (5, b"\x01a\0", true),
            (5, b"\x01", false),
            (12, b"\x01a\0\0", false),
            (65, b"\0", true),
        ] {
            let read = with([1, 0, 0, 1], &record(kind, data));
            assert_eq!(matches!(read, Received::Question(_)), good, "{kind} {data:?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let mut bytes = message(0x0100, [1, 0, 0, 1], WEB);
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            bytes.truncate(random.random_range(0..=bytes.len()));
            read(&bytes);
            random.fill_bytes(&mut bytes);
            read(&bytes);
        }
    }
}
