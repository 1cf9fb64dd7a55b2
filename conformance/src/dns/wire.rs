//! A small DNS codec of the suite's own: builds questions (odd ones too) and reads replies into text.
//!
//! It shares nothing with the programs under test, so that a fault there cannot hide here.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("OPT", 41),
    ("DS", 43),
    ("DNSKEY", 48),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("CAA", 257),
];
const CLASSES: &[(&str, u16)] = &[("IN", 1), ("CH", 3), ("HS", 4), ("NONE", 254), ("ANY", 255)];
const RCODES: &[(&str, u16)] = &[
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("BADVERS", 16),
];
const FLAGS: &[(&str, u16)] = &[
    ("QR", 0x8000),
    ("AA", 0x0400),
    ("TC", 0x0200),
    ("RD", 0x0100),
    ("RA", 0x0080),
    ("AD", 0x0020),
    ("CD", 0x0010),
];
const POINTERS_MAX: usize = 60;

/// A message to send, beside its question.
#[derive(Clone, Debug)]
pub struct Head {
    /// The header's flags and opcode.
    pub flags: u16,
    /// The EDNS record: size, version, the DO bit, a client subnet such as `192.0.2.0/24`.
    pub edns: Option<(u16, u8, bool, Option<String>)>,
}

/// A message's bytes after its id. `questions` are name, type and class.
///
/// Errors when a name, a type, a class or the subnet is not one.
pub fn query(head: &Head, questions: &[(String, String, String)]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for word in [head.flags, questions.len() as u16, 0, 0, u16::from(head.edns.is_some())] {
        bytes.extend(word.to_be_bytes());
    }
    for (name, kind, class) in questions {
        bytes.extend(encode_name(name)?);
        bytes.extend(type_number(kind)?.to_be_bytes());
        bytes.extend(number_of(CLASSES, class).with_context(|| format!("no class {class}"))?.to_be_bytes());
    }
    if let Some((size, version, wants_dnssec, subnet)) = &head.edns {
        let data = subnet.as_deref().map(subnet_option).transpose()?.unwrap_or_default();
        bytes.extend([0, 0, 41]);
        bytes.extend(size.to_be_bytes());
        bytes.extend([0, *version, if *wants_dnssec { 0x80 } else { 0 }, 0]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    Ok(bytes)
}

fn subnet_option(text: &str) -> anyhow::Result<Vec<u8>> {
    let (address, bits) = text.split_once('/').context("a subnet has a slash")?;
    let bits: u8 = bits.parse()?;
    let (family, octets) = match address.parse::<Ipv4Addr>() {
        Ok(v4) => (1, v4.octets().to_vec()),
        Err(_) => (2, address.parse::<Ipv6Addr>()?.octets().to_vec()),
    };
    let kept = usize::from(bits).div_ceil(8);
    let mut data = vec![0, 8, 0, (4 + kept) as u8, 0, family, bits, 0];
    data.extend(&octets[..kept]);
    Ok(data)
}

/// A reply in text. Records are `name ttl class type data`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The message's id.
    pub id: u16,
    /// `NOERROR`, …
    pub rcode: String,
    /// The opcode's number.
    pub opcode: u16,
    /// The names of the flags that are set.
    pub flags: Vec<String>,
    /// The questions, `name class type`.
    pub question: Vec<String>,
    /// The OPT record, or null.
    pub edns: Value,
    /// The answer, the authority and the additional section.
    pub sections: [Vec<String>; 3],
    /// Whether a name in it is compressed.
    pub compressed: bool,
}

/// Reads a reply. Errors when it is malformed.
pub fn parse(message: &[u8]) -> anyhow::Result<Reply> {
    let mut reader = Reader { message, at: 0, pointed: false };
    let (id, bits) = (reader.number()?, reader.number()?);
    let mut reply = Reply { id, opcode: (bits >> 11) & 15, ..Reply::default() };
    reply.flags =
        FLAGS.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| (*name).to_owned()).collect();
    let counts = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
    for _ in 0..counts[0] {
        let name = reader.name()?;
        let kind = type_name(reader.number()?);
        let class = class_name(reader.number()?);
        reply.question.push(format!("{name} {class} {kind}"));
    }
    reader.pointed = false;
    let mut rcode = bits & 15;
    for (section, count) in counts[1..].iter().enumerate() {
        for _ in 0..*count {
            match reader.record()? {
                Read::Record(line) => reply.sections[section].push(line),
                Read::Edns(edns, high) => {
                    rcode |= high << 4;
                    reply.edns = edns;
                }
            }
        }
    }
    reply.compressed = reader.pointed;
    reply.rcode = name_of(RCODES, rcode).map_or_else(|| format!("RCODE{rcode}"), str::to_owned);
    Ok(reply)
}

/// The question of a message that a stub got: its name, its type, and where it ends.
pub(super) fn question(message: &[u8]) -> anyhow::Result<(String, String, usize)> {
    let mut reader = Reader { message, at: 12, pointed: false };
    let name = reader.name()?;
    let kind = type_name(reader.number()?);
    reader.number()?;
    Ok((name, kind, reader.at))
}

/// One record's bytes without compression, from name, TTL, type and data in text; strings of a TXT have `|` between them.
///
/// Errors when the data do not fit the type.
pub(super) fn record(name: &str, ttl: u32, kind: &str, data: &str) -> anyhow::Result<Vec<u8>> {
    let words: Vec<&str> = data.split(' ').collect();
    let data = match (kind, words.as_slice()) {
        ("A", _) => data.parse::<Ipv4Addr>()?.octets().to_vec(),
        ("AAAA", _) => data.parse::<Ipv6Addr>()?.octets().to_vec(),
        ("NS" | "CNAME" | "PTR", _) => encode_name(data)?,
        ("MX", [preference, host]) => {
            [&preference.parse::<u16>()?.to_be_bytes()[..], &encode_name(host)?].concat()
        }
        ("SRV", [numbers @ .., host]) => {
            [numbers_of::<u16, 2>(numbers, u16::to_be_bytes)?, encode_name(host)?].concat()
        }
        ("SOA", [master, mailbox, numbers @ ..]) => {
            [encode_name(master)?, encode_name(mailbox)?, numbers_of::<u32, 4>(numbers, u32::to_be_bytes)?]
                .concat()
        }
        ("TXT", _) => data.split('|').flat_map(|s| [&[s.len() as u8][..], s.as_bytes()].concat()).collect(),
        _ => bail!("no data of type {kind}: {data}"),
    };
    let mut bytes = encode_name(name)?;
    bytes.extend(type_number(kind)?.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    Ok(bytes)
}

fn numbers_of<T: std::str::FromStr, const N: usize>(
    words: &[&str],
    bytes: impl Fn(T) -> [u8; N],
) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    for word in words {
        all.extend(bytes(word.parse::<T>().ok().with_context(|| format!("no number: {word}"))?));
    }
    Ok(all)
}

/// The rcode's number.
pub(super) fn rcode_number(name: &str) -> Option<u16> {
    number_of(RCODES, name)
}

fn number_of(table: &[(&str, u16)], name: &str) -> Option<u16> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn name_of(table: &[(&'static str, u16)], number: u16) -> Option<&'static str> {
    table.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

fn type_number(name: &str) -> anyhow::Result<u16> {
    let number = number_of(TYPES, name).or_else(|| name.strip_prefix("TYPE")?.parse().ok());
    number.with_context(|| format!("no type {name}"))
}

fn type_name(number: u16) -> String {
    name_of(TYPES, number).map_or_else(|| format!("TYPE{number}"), str::to_owned)
}

fn class_name(number: u16) -> String {
    name_of(CLASSES, number).map_or_else(|| format!("CLASS{number}"), str::to_owned)
}

/// The name's bytes. In the text `\.` is a dot within a label and `\ddd` a byte.
fn encode_name(text: &str) -> anyhow::Result<Vec<u8>> {
    let (mut bytes, mut label, mut rest) = (Vec::new(), Vec::new(), text.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (*byte, after) {
            (b'\\', [a, b, c, after @ ..]) if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                label.push(str::from_utf8(&[*a, *b, *c])?.parse()?);
                rest = after;
            }
            (b'\\', [literal, after @ ..]) => {
                label.push(*literal);
                rest = after;
            }
            (b'.', _) => put_label(&mut bytes, &mut label)?,
            (byte, _) => label.push(byte),
        }
    }
    put_label(&mut bytes, &mut label)?;
    bytes.push(0);
    Ok(bytes)
}

fn put_label(bytes: &mut Vec<u8>, label: &mut Vec<u8>) -> anyhow::Result<()> {
    ensure!(label.len() < 64, "a label of {} bytes", label.len());
    if !label.is_empty() {
        bytes.push(label.len() as u8);
        bytes.append(label);
    }
    Ok(())
}

enum Read {
    Record(String),
    /// The record in JSON, and the upper bits of the response code.
    Edns(Value, u16),
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
    /// Whether a compressed name was met.
    pointed: bool,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> anyhow::Result<&[u8]> {
        let bytes = self.message.get(self.at..self.at + length).context("the message is cut short")?;
        self.at += length;
        Ok(bytes)
    }

    fn number(&mut self) -> anyhow::Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn long(&mut self) -> anyhow::Result<u32> {
        Ok(u32::from(self.number()?) << 16 | u32::from(self.number()?))
    }

    fn name(&mut self) -> anyhow::Result<String> {
        let (mut text, mut after, mut pointers) = (String::new(), None, 0);
        loop {
            let length = self.take(1)?[0];
            match length {
                0 => break,
                1..64 => {
                    let label = self.take(usize::from(length))?.to_vec();
                    text += &escape(&label);
                    text.push('.');
                }
                _ => {
                    let low = self.take(1)?[0];
                    after.get_or_insert(self.at);
                    self.pointed = true;
                    self.at = usize::from(length & 0x3f) << 8 | usize::from(low);
                    pointers += 1;
                    ensure!(pointers <= POINTERS_MAX, "a name that leads in circles");
                }
            }
        }
        self.at = after.unwrap_or(self.at);
        Ok(if text.is_empty() { ".".into() } else { text })
    }

    fn record(&mut self) -> anyhow::Result<Read> {
        let name = self.name()?;
        let (kind, class, ttl) = (self.number()?, self.number()?, self.long()?);
        let length = usize::from(self.number()?);
        let end = self.at + length;
        ensure!(end <= self.message.len(), "the message is cut short");
        let read = if type_name(kind) == "OPT" {
            Read::Edns(self.edns(class, ttl, end)?, (ttl >> 24) as u16)
        } else {
            let data = self.data(kind, end)?;
            Read::Record(format!("{name} {ttl} {} {} {data}", class_name(class), type_name(kind)))
        };
        self.at = end;
        Ok(read)
    }

    fn data(&mut self, kind: u16, end: usize) -> anyhow::Result<String> {
        Ok(match type_name(kind).as_str() {
            "A" => Ipv4Addr::from(self.long()?).to_string(),
            "AAAA" => Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?)?).to_string(),
            "NS" | "CNAME" | "PTR" => self.name()?,
            "MX" => format!("{} {}", self.number()?, self.name()?),
            "SRV" => format!("{} {} {} {}", self.number()?, self.number()?, self.number()?, self.name()?),
            "SOA" => {
                let mut words = vec![self.name()?, self.name()?];
                for _ in 0..5 {
                    words.push(self.long()?.to_string());
                }
                words.join(" ")
            }
            "TXT" => {
                let mut strings = Vec::new();
                while self.at < end {
                    let length = usize::from(self.take(1)?[0]);
                    strings.push(quote(self.take(length)?));
                }
                strings.join(" ")
            }
            _ => {
                let bytes = self.take(end - self.at)?;
                format!("\\# {} {}", bytes.len(), hex(bytes))
            }
        })
    }

    fn edns(&mut self, size: u16, ttl: u32, end: usize) -> anyhow::Result<Value> {
        let mut options = Vec::new();
        while self.at < end {
            let (code, length) = (self.number()?, self.number()?);
            options.push(format!("{code}:{}", hex(self.take(usize::from(length))?)));
        }
        let mut edns = json!({"size": size, "version": (ttl >> 16) & 255});
        if !options.is_empty() {
            edns["options"] = json!(options);
        }
        Ok(edns)
    }
}

fn escape(label: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'.' | b'\\' => format!("\\{}", char::from(*byte)),
        33..=126 => char::from(*byte).to_string(),
        _ => format!("\\{byte:03}"),
    };
    label.iter().map(one).collect()
}

fn quote(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        32..=126 => char::from(*byte).to_string(),
        _ => format!("\\{byte:03}"),
    };
    format!("\"{}\"", bytes.iter().map(one).collect::<String>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes in a text of hex digits. Errors when it is not one.
pub fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let head = Head { flags: 0x0100, edns: Some((1232, 0, false, Some("192.0.2.0/24".into()))) };
        let asked = [("we\\.b.a\\195.consul.".to_owned(), "SRV".to_owned(), "CH".to_owned())];
        let mut message = vec![0, 7];
        message.extend(query(&head, &asked).unwrap());
        message[7] = 2;
        let end = message.len() - 22;
        let srv = record("A.b.", 5, "SRV", "1 2 3 c.d.").unwrap();
        let txt = record("x.", 0, "TXT", "a\"b|c").unwrap();
        message.splice(end..end, [srv, txt].concat());
        let reply = parse(&message).unwrap();
        assert_eq!(reply.question, ["we\\.b.a\\195.consul. CH SRV"]);
        assert_eq!(reply.sections[0], ["A.b. 5 IN SRV 1 2 3 c.d.", "x. 0 IN TXT \"a\\\"b\" \"c\""]);
        assert_eq!(reply.edns, json!({"size": 1232, "version": 0, "options": ["8:00011800c00002"]}));
        assert_eq!((reply.id, reply.flags, reply.compressed), (7, vec!["RD".to_owned()], false));
    }

    #[test]
    fn a_reply_cut_short_or_in_circles_is_an_error() {
        assert!(parse(&[0; 11]).is_err());
        assert!(parse(&[0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]).is_err());
    }
}
