//! Writes replies.
//!
//! The names and records are hickory's, the writing is not: its encoder remembers 64 labels and compresses 120 names at
//! most, so that a long reply grows past the size at which a client was promised it whole. Here every name is
//! compressed wherever RFC 1035 §4.1.4 allows, which is also what the recorded sizes count on.

use hickory_proto::{
    rr::{Name, RData, Record, rdata::SOA},
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};

use super::request::{Edns, Rcode, Request};

const CLASS_IN: u16 = 1;
const OPT: u16 = 41;
const CLIENT_SUBNET: u16 = 8;
/// Compression pointers have 14 bits.
pub(super) const POINTER_END: usize = 0x4000;

/// A reply before it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) rcode: Rcode,
    /// Flags of the reply's own, beside those of the request.
    pub(super) flags: u16,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
    /// The client's EDNS record, to be echoed.
    pub(super) edns: Option<Edns>,
}

/// The bytes of a reply to this request. Names are compressed or each written out.
pub(super) fn encode(request: &Request, reply: &Reply, compress: bool) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::with_capacity(512), names: Names::default(), compress };
    let sections = [&reply.answers, &reply.authorities, &reply.additionals];
    let counts = sections.map(|section| section.len() as u16);
    out.header(request, reply, counts);
    out.name(&request.name, true);
    out.raw(&request.question[request.question.len() - 4..]);
    for record in sections.into_iter().flatten() {
        out.record(record);
    }
    if let Some(edns) = &reply.edns {
        out.opt(edns);
    }
    out.bytes
}

/// The header's 12 bytes and the flags of a reply.
pub(super) fn header(request: &Request, reply: &Reply, counts: [u16; 3]) -> [u8; 12] {
    let flags = request.reply_flags | reply.flags | reply.rcode as u16;
    let additional = counts[2] + u16::from(reply.edns.is_some());
    let words = [request.id, flags, 1, counts[0], counts[1], additional];
    let mut bytes = [0; 12];
    for (at, word) in words.into_iter().enumerate() {
        bytes[at * 2..at * 2 + 2].copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// The OPT record that answers the client's.
pub(super) fn opt(edns: &Edns) -> Vec<u8> {
    let mut data = Vec::new();
    if let Some(subnet) = &edns.subnet {
        data.extend_from_slice(&CLIENT_SUBNET.to_be_bytes());
        data.extend_from_slice(&(subnet.len() as u16).to_be_bytes());
        data.extend_from_slice(subnet);
    }
    let mut bytes = vec![0];
    bytes.extend_from_slice(&OPT.to_be_bytes());
    bytes.extend_from_slice(&edns.size.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&data);
    bytes
}

/// The record without its owner's name; `None` for data in which a name could be compressed.
pub(super) fn after_owner(record: &Record) -> Option<Vec<u8>> {
    if !matches!(record.data, RData::A(_) | RData::AAAA(_) | RData::SRV(_) | RData::TXT(_)) {
        return None;
    }
    let mut out = Writer { bytes: Vec::with_capacity(64), names: Names::default(), compress: false };
    out.after_owner(record);
    Some(out.bytes)
}

/// The name without compression: each label with its length, then a zero.
pub(super) fn plain_name(name: &Name) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

struct Writer {
    bytes: Vec<u8>,
    names: Names,
    compress: bool,
}

impl Writer {
    fn header(&mut self, request: &Request, reply: &Reply, counts: [u16; 3]) {
        self.raw(&header(request, reply, counts));
    }

    fn record(&mut self, record: &Record) {
        self.name(&record.name, true);
        self.after_owner(record);
    }

    fn after_owner(&mut self, record: &Record) {
        self.number(record.record_type().into());
        self.number(CLASS_IN);
        self.raw(&record.ttl.to_be_bytes());
        let length_at = self.bytes.len();
        self.number(0);
        self.data(&record.data);
        let length = (self.bytes.len() - length_at - 2) as u16;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn data(&mut self, data: &RData) {
        match data {
            RData::A(address) => self.raw(&address.octets()),
            RData::AAAA(address) => self.raw(&address.octets()),
            RData::CNAME(name) => self.name(&name.0, true),
            RData::NS(name) => self.name(&name.0, true),
            RData::PTR(name) => self.name(&name.0, true),
            RData::SOA(soa) => self.soa(soa),
            RData::SRV(srv) => {
                for number in [srv.priority, srv.weight, srv.port] {
                    self.number(number);
                }
                // RFC 2782: not compressed; the glue that follows may point to it.
                self.name(&srv.target, false);
            }
            other => self.uncompressed(other),
        }
    }

    fn soa(&mut self, soa: &SOA) {
        self.name(&soa.mname, true);
        self.name(&soa.rname, true);
        for number in [soa.serial, soa.refresh as u32, soa.retry as u32, soa.expire as u32, soa.minimum] {
            self.raw(&number.to_be_bytes());
        }
    }

    /// Whatever else hickory can write: TXT, and what a recursor gave.
    fn uncompressed(&mut self, data: &RData) {
        let mut bytes = Vec::new();
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        // Data that cannot be written is left empty; it can only come from a recursor, and was read from its bytes.
        if data.emit(&mut encoder).is_ok() {
            self.raw(&bytes);
        }
    }

    fn opt(&mut self, edns: &Edns) {
        self.raw(&opt(edns));
    }

    fn name(&mut self, name: &Name, may_point: bool) {
        let plain = plain_name(name);
        let mut rest = plain.as_slice();
        while rest.len() > 1 {
            if self.compress {
                match self.names.find_or_note(&self.bytes, rest) {
                    Some(at) if may_point => return self.number(0xc000 | at),
                    _ => {}
                }
            }
            let (label, after) = rest.split_at(usize::from(rest[0]) + 1);
            self.raw(label);
            rest = after;
        }
        self.raw(&[0]);
    }

    fn number(&mut self, number: u16) {
        self.raw(&number.to_be_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// Where each name, and each end of a name, was written first: a hash table of places in the message.
#[derive(Default)]
struct Names {
    /// The hash and the place; place 0 is a free slot. The length is 0 or a power of two.
    slots: Vec<(u32, u16)>,
    used: usize,
}

impl Names {
    /// The place of this name, else `None`, and the message's end is noted as its place.
    fn find_or_note(&mut self, message: &[u8], name: &[u8]) -> Option<u16> {
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = name
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        let mut slot = self.first_slot(hash);
        loop {
            match self.slots[slot] {
                (_, 0) => break,
                (known, at) if known == hash && is_written_at(message, usize::from(at), name) => {
                    return Some(at);
                }
                _ => slot = (slot + 1) % self.slots.len(),
            }
        }
        if message.len() < POINTER_END {
            self.slots[slot] = (hash, message.len() as u16);
            self.used += 1;
        }
        None
    }

    fn first_slot(&self, hash: u32) -> usize {
        // The upper bits are the better mixed ones.
        (hash ^ hash >> 15) as usize % self.slots.len()
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(32);
        let before = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for (hash, at) in before.into_iter().filter(|(_, at)| *at != 0) {
            let mut slot = self.first_slot(hash);
            while self.slots[slot].1 != 0 {
                slot = (slot + 1) % size;
            }
            self.slots[slot] = (hash, at);
        }
    }
}

/// Whether the name at this place of the message, which may end in a pointer, is this one.
fn is_written_at(message: &[u8], mut at: usize, mut name: &[u8]) -> bool {
    loop {
        match message.get(at) {
            Some(high @ 0xc0..) => {
                let Some(low) = message.get(at + 1) else { return false };
                at = usize::from(high & 0x3f) << 8 | usize::from(*low);
            }
            Some(0) => return name == [0],
            Some(length) => {
                let label = usize::from(*length) + 1;
                if message.get(at..at + label) != name.get(..label) {
                    return false;
                }
                (at, name) = (at + label, &name[label..]);
            }
            // The name is being written: its end is not there yet.
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::Message,
        rr::rdata::{A, AAAA, CNAME, NS, PTR, SRV, TXT},
    };
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::dns::request::{Received, read};

    fn request(name: &str) -> Request {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(plain_name(&Name::from_ascii(name).unwrap()));
        message.extend([0, 33, 0, 1]);
        match read(&message) {
            Received::Question(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    fn instances(count: u16) -> Reply {
        let (mut answers, mut additionals) = (Vec::new(), Vec::new());
        for i in 0..count {
            let node = Name::from_ascii(format!("n{i}.node.dc1.consul.")).unwrap();
            let srv = RData::SRV(SRV::new(1, 1, 80, node.clone()));
            answers.push(Record::from_rdata(Name::from_ascii("web.service.consul.").unwrap(), 0, srv));
            additionals.push(Record::from_rdata(node, 0, RData::A(A::new(10, 0, 0, i as u8))));
        }
        Reply { answers, additionals, ..Reply::default() }
    }

    #[test]
    fn hickory_reads_what_is_written() {
        let request = request("web.service.consul.");
        let mut reply = instances(220);
        let text = RData::TXT(TXT::new(vec!["a=b".into()]));
        reply.additionals.push(Record::from_rdata(Name::from_ascii("n1.node.dc1.consul.").unwrap(), 5, text));
        for compress in [true, false] {
            let message = Message::from_vec(&encode(&request, &reply, compress)).unwrap();
            assert_eq!(message.answers, reply.answers);
            assert_eq!(message.additionals, reply.additionals);
            assert_eq!(message.metadata.id, 0x1234);
        }
    }

    /// A name of few different labels, so that names share their ends; some labels have odd bytes.
    fn random_name(random: &mut StdRng) -> Name {
        let labels: [&[u8]; 8] = [b"a", b"A", b"web", b"consul", b"x.y", b"\\", &[0, 255, b'*'], &[b'l'; 63]];
        let count = random.random_range(0..=3);
        Name::from_labels((0..count).map(|_| labels[random.random_range(0..labels.len())])).unwrap()
    }

    fn random_record(random: &mut StdRng) -> Record {
        let target = random_name(random);
        let numbers: [u32; 7] = random.random();
        let [serial, _, _, _, minimum, ttl, small] = numbers;
        let [refresh, retry, expire] = [1, 2, 3].map(|at: usize| numbers[at] as i32);
        let data = match random.random_range(0..8) {
            0 => RData::A(A(serial.into())),
            1 => RData::AAAA(AAAA(u128::from(serial).into())),
            2 => RData::CNAME(CNAME(target)),
            3 => RData::NS(NS(target)),
            4 => RData::PTR(PTR(target)),
            5 => RData::SRV(SRV::new(small as u16, ttl as u16, serial as u16, target)),
            6 => {
                let mailbox = random_name(random);
                RData::SOA(SOA::new(target, mailbox, serial, refresh, retry, expire, minimum))
            }
            _ => RData::TXT(TXT::from_bytes(vec![&serial.to_be_bytes(), &[b't'; 255], b""])),
        };
        Record::from_rdata(random_name(random), ttl, data)
    }

    #[test]
    fn hickory_reads_whatever_is_written() {
        let mut random = StdRng::seed_from_u64(5);
        let request = request("web.service.consul.");
        for _ in 0..2_000 {
            let mut section = || -> Vec<Record> {
                (0..random.random_range(0..12)).map(|_| random_record(&mut random)).collect()
            };
            let (answers, authorities, additionals) = (section(), section(), section());
            let reply = Reply { answers, authorities, additionals, ..Reply::default() };
            let compress = random.random();
            let read = Message::from_vec(&encode(&request, &reply, compress)).unwrap();
            // As text: names compare without regard to case, and the spelling counts here.
            assert_eq!(format!("{:?}", read.answers), format!("{:?}", reply.answers));
            assert_eq!(format!("{:?}", read.authorities), format!("{:?}", reply.authorities));
            assert_eq!(format!("{:?}", read.additionals), format!("{:?}", reply.additionals));
        }
    }

    #[test]
    fn every_name_is_compressed_but_targets() {
        let request = request("web.service.consul.");
        let bytes = |count| encode(&request, &instances(count), true).len();
        // owner 2, fixed 10, numbers 6, target 20 and its glue: pointer 2, fixed 10, address 4
        assert_eq!(bytes(9) - bytes(8), 54);
        assert_eq!(bytes(200) - bytes(199), 54 + 2);
    }

    #[test]
    fn the_subnet_is_echoed() {
        let edns = Edns { size: 1232, subnet: Some(vec![0, 1, 24, 0, 192, 0, 2]) };
        let wanted =
            b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02";
        assert_eq!(opt(&edns), wanted);
    }
}
