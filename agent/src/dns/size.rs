//! How much of an answer a transport carries. Pure.
//!
//! The limits are the recorded ones. A reply that was cut keeps, beside its answers, only the addresses that they point
//! to: it loses its OPT record too.

use std::collections::{HashMap, HashSet};

use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{
    encode::{Reply, encode},
    request::{Request, flags},
    settings::Settings,
};

/// What a client takes that says nothing about it (RFC 1035 §4.2.1).
pub(super) const PLAIN_UDP_BYTES: usize = 512;
/// The largest UDP payload over IPv4.
const UDP_BYTES_MAX: usize = 65_507;
/// A TCP frame less a header.
const TCP_BYTES_MAX: usize = 65_523;
/// So much of a UDP reply stays free.
const SPARE_BYTES: usize = 7;
/// So far beyond its limit, a reply is searched for what fits.
const FAR_BYTES: usize = 100;
/// More answers are never given over plain UDP, whatever `udp_answer_limit` says.
const PLAIN_UDP_ANSWERS: usize = 8;
/// Answers that can fit 64 kB at all; SRV brings its glue along.
const ANSWERS_MAX: usize = 4096;
const SRV_ANSWERS_MAX: usize = 1024;

/// The least an address takes: a compressed name, the fixed part, IPv4.
const ANSWER_BYTES_MIN: usize = 2 + 10 + 4;
/// The least an SRV record takes: a compressed name, the fixed part, three numbers, the root.
const SRV_BYTES_MIN: usize = 2 + 10 + 6 + 1;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// The limits for one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) answers: usize,
    pub(super) bytes: usize,
    /// The bytes are counted as if nothing were compressed: for clients that take 512 bytes, once the number of answers
    /// was cut.
    pub(super) count_plain: bool,
}

impl Limits {
    /// The limits for a reply with so many answers.
    pub(super) fn of(request: &Request, settings: &Settings, transport: Transport, answers: usize) -> Self {
        let most = if request.kind == RecordType::SRV { SRV_ANSWERS_MAX } else { ANSWERS_MAX };
        if transport == Transport::Tcp {
            return Self { answers: most, bytes: TCP_BYTES_MAX, count_plain: false };
        }
        let size = request.edns.as_ref().map_or(0, |edns| usize::from(edns.size));
        let size = size.clamp(PLAIN_UDP_BYTES, UDP_BYTES_MAX);
        let few = settings.udp_answer_limit.min(PLAIN_UDP_ANSWERS);
        let cut = size == PLAIN_UDP_BYTES && answers > few;
        Self { answers: if cut { few } else { most }, bytes: size - SPARE_BYTES, count_plain: cut }
    }
}

/// With so many answers a reply is cut as it would be with more of them, and gives the same.
pub(super) fn enough(request: &Request, settings: &Settings, transport: Transport) -> usize {
    let cut = Limits::of(request, settings, transport, usize::MAX);
    let fit = cut.bytes / if request.kind == RecordType::SRV { SRV_BYTES_MIN } else { ANSWER_BYTES_MIN };
    cut.answers.min(fit) + 1
}

/// The bytes of the reply, cut to what the client takes. The first answer always stays.
pub(super) fn write(
    request: &Request,
    mut reply: Reply,
    settings: &Settings,
    transport: Transport,
) -> Vec<u8> {
    let whole = fit(request, &mut reply, settings, transport);
    whole.unwrap_or_else(|| encode(request, &reply, !settings.disable_compression))
}

/// Cuts the reply. When it had to be encoded to be counted, and stays as it is, that is what comes back.
fn fit(request: &Request, reply: &mut Reply, settings: &Settings, transport: Transport) -> Option<Vec<u8>> {
    let all = reply.answers.len();
    if all < 2 {
        return None;
    }
    let limits = Limits::of(request, settings, transport, all);
    if all > limits.answers {
        Glue::of(&reply.additionals).keep_first(reply, limits.answers);
    }
    let compress = !settings.disable_compression && !limits.count_plain;
    let encoded = encode(request, reply, compress);
    let fits = encoded.len() <= limits.bytes;
    if let Some((most, limit)) = beyond(encoded.len(), limits.bytes, reply.answers.len()) {
        Glue::of(&reply.additionals)
            .keep_most(reply, most, |reply| encode(request, reply, compress).len() <= limit);
    }
    let cut = reply.answers.len() < all;
    if cut && settings.enable_truncate {
        reply.flags |= flags::TRUNCATED;
    }
    (fits && !cut && !limits.count_plain).then_some(encoded)
}

/// When a reply of this size takes more than so many bytes: how many answers may be left, in how many bytes.
///
/// Far beyond the limit, to drop what is no glue may be enough, but a byte has to stay free; near it, an answer goes
/// first (as recorded).
fn beyond(size: usize, bytes: usize, answers: usize) -> Option<(usize, usize)> {
    let far = size > bytes + SPARE_BYTES + FAR_BYTES;
    (size > bytes).then(|| (answers - usize::from(!far), bytes - usize::from(far)))
}

/// How many answers stay of a reply of this size, given what is before them and what each takes with its glue.
pub(super) fn answers_that_fit(
    size: usize,
    bytes: usize,
    before: usize,
    each: impl ExactSizeIterator<Item = usize>,
) -> usize {
    let Some((most, limit)) = beyond(size, bytes, each.len()) else { return each.len() };
    let ends = each.take(most).scan(before, |end, size| {
        *end += size;
        Some(*end)
    });
    ends.take_while(|end| *end <= limit).count().max(1)
}

/// The first additional record of each name, in lower case.
struct Glue(HashMap<Name, Record>);

impl Glue {
    fn of(additionals: &[Record]) -> Self {
        let mut first = HashMap::new();
        for record in additionals {
            first.entry(record.name.to_lowercase()).or_insert_with(|| record.clone());
        }
        Self(first)
    }

    /// Keeps as many answers as fit, at most so many and at least one.
    fn keep_most(&self, reply: &mut Reply, most: usize, fits: impl Fn(&Reply) -> bool) {
        let whole = reply.answers.clone();
        let (mut kept, mut too_many) = (1, most + 1);
        while too_many - kept > 1 {
            let middle = kept + (too_many - kept) / 2;
            reply.answers.clone_from(&whole);
            self.keep_first(reply, middle);
            if fits(reply) { kept = middle } else { too_many = middle }
        }
        reply.answers = whole;
        self.keep_first(reply, kept);
    }

    /// Keeps so many answers, and of the additional records what the SRV records among them point to.
    fn keep_first(&self, reply: &mut Reply, answers: usize) {
        reply.answers.truncate(answers);
        reply.edns = None;
        reply.additionals.clear();
        let mut seen = HashSet::new();
        for answer in &reply.answers {
            let RData::SRV(srv) = &answer.data else { continue };
            let mut target = srv.target.to_lowercase();
            while seen.insert(target.clone()) {
                let Some(record) = self.0.get(&target) else { break };
                reply.additionals.push(record.clone());
                let RData::CNAME(next) = &record.data else { break };
                target = next.0.to_lowercase();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::rdata::{A, SRV, TXT};

    use super::*;
    use crate::dns::{encode::plain_name, request::Edns};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn request(kind: RecordType, size: Option<u16>) -> Request {
        let mut question = plain_name(&name("web.service.consul."));
        question.extend(u16::from(kind).to_be_bytes());
        question.extend([0, 1]);
        let edns = size.map(|size| Edns { size, subnet: None });
        let name = name("web.service.consul.");
        Request { id: 1, reply_flags: flags::RESPONSE, name, kind, question, edns, message: Vec::new() }
    }

    fn addresses(count: u8) -> Vec<Record> {
        let one = |i| RData::A(A(Ipv4Addr::new(10, 50, 0, i)));
        (1..=count).map(|i| Record::from_rdata(name("web.service.consul."), 0, one(i))).collect()
    }

    fn services(count: u8) -> Reply {
        let mut reply = Reply::default();
        for i in 1..=count {
            let node = name(&format!("n{i}.node.dc1.consul."));
            let srv = RData::SRV(SRV::new(1, 1, 8000, node.clone()));
            reply.answers.push(Record::from_rdata(name("web.service.consul."), 0, srv));
            let glue = RData::A(A(Ipv4Addr::new(10, 50, 0, i)));
            reply.additionals.push(Record::from_rdata(node.clone(), 0, glue));
            let text = RData::TXT(TXT::new(vec!["a=b".into()]));
            reply.additionals.push(Record::from_rdata(node, 0, text));
        }
        reply
    }

    /// What stays: answers, additional records, and whether the reply says that it was cut.
    fn fitted(kind: RecordType, size: Option<u16>, limit: usize, mut reply: Reply) -> (usize, usize, bool) {
        let settings = Settings { udp_answer_limit: limit, enable_truncate: true, ..Settings::default() };
        let request = request(kind, size);
        reply.edns = request.edns.clone();
        fit(&request, &mut reply, &settings, Transport::Udp);
        let cut = reply.flags & flags::TRUNCATED != 0;
        assert!(!(cut && reply.edns.is_some()), "a cut reply has no OPT");
        (reply.answers.len(), reply.additionals.len(), cut)
    }

    #[test]
    fn addresses_over_udp() {
        let table = [
            (12, None, 3, (3, 0, true)),
            (3, None, 3, (3, 0, false)),
            (12, Some(512), 3, (3, 0, true)),
            (12, Some(100), 3, (3, 0, true)),
            (12, None, 20, (8, 0, true)),
            (73, Some(1232), 3, (73, 0, false)),
            (100, Some(1232), 3, (74, 0, true)),
        ];
        for (count, size, limit, wanted) in table {
            let reply = Reply { answers: addresses(count), ..Reply::default() };
            assert_eq!(fitted(RecordType::A, size, limit, reply), wanted, "{count} {size:?} {limit}");
        }
    }

    #[test]
    fn services_keep_their_glue() {
        assert_eq!(fitted(RecordType::SRV, None, 3, services(12)), (3, 3, true));
        assert_eq!(fitted(RecordType::SRV, None, 20, services(12)), (5, 5, true), "512 bytes, uncompressed");
        assert_eq!(fitted(RecordType::SRV, Some(1232), 3, services(25)), (21, 21, true));
        assert_eq!(fitted(RecordType::SRV, Some(4096), 3, services(25)), (25, 50, false));
    }

    #[test]
    fn enough_answers_are_cut_as_all_of_them() {
        for (size, limit) in [(None, 3), (None, 20), (Some(512), 3), (Some(1232), 3), (Some(4096), 3)] {
            let settings = Settings { udp_answer_limit: limit, ..Settings::default() };
            let enough = enough(&request(RecordType::SRV, size), &settings, Transport::Udp);
            let fewer = u8::try_from(enough.min(250)).unwrap();
            let cut = |count| fitted(RecordType::SRV, size, limit, services(count));
            assert_eq!(cut(fewer), cut(250), "{size:?} {limit}");
        }
    }

    #[test]
    fn tcp_takes_64_kilobytes() {
        let answers = addresses(200);
        let mut reply =
            Reply { answers: (0..30).flat_map(|_| answers.clone()).collect(), ..Reply::default() };
        fit(&request(RecordType::A, None), &mut reply, &Settings::default(), Transport::Tcp);
        assert_eq!(reply.answers.len(), (TCP_BYTES_MAX - 36) / 16);
    }

    #[test]
    fn a_single_answer_stays_whatever_its_size() {
        let mut reply = Reply { answers: addresses(1), ..Reply::default() };
        reply.additionals = (0..60).flat_map(|_| addresses(1)).collect();
        assert_eq!(fitted(RecordType::A, None, 3, reply), (1, 60, false));
    }
}
