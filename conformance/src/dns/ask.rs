//! Asks a server a scenario's questions.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use regex::Regex;

use super::{
    compare::{Got, differences},
    scenario::{Query, fill_text},
    stub::Stub,
    wire::{self, Head},
};

const WAIT: Duration = Duration::from_secs(3);
/// So often the same answer may come in the same order before it counts as never shuffled.
const SHUFFLE_TRIES: usize = 60;
/// A placeholder's value that is at least so long (an id) is found again in replies.
const ID_LENGTH_MIN: usize = 20;

static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// Who is asked, and what texts stand for.
pub struct Asker {
    /// Where its DNS listens.
    pub address: SocketAddr,
    /// The pretend name servers behind it.
    pub stubs: BTreeMap<String, Stub>,
    /// Placeholders and their values.
    pub names: BTreeMap<String, String>,
}

impl Asker {
    /// Asks one question and compares; one line for each thing that differs.
    pub fn check(&self, query: &Query) -> Vec<String> {
        let asked = || self.ask(query).unwrap_or_else(|error| Some(unreadable(&error)));
        let first = asked();
        let mut bad = differences(&query.expect, &first);
        if bad.is_empty() && query.expect.shuffled {
            let order = |got: &Got| got.as_ref().map(|(reply, _)| reply.sections[0].clone());
            let changes = (0..SHUFFLE_TRIES).any(|_| order(&asked()) != order(&first));
            if !changes {
                bad.push(format!(
                    "{SHUFFLE_TRIES} replies in the same order: the answers are to be shuffled"
                ));
            }
        }
        let label = query.raw.as_ref().map_or_else(|| format!("{} {}", query.name, query.kind), Clone::clone);
        bad.iter().map(|line| format!("{label} {}: {line}", how(query))).collect()
    }

    fn ask(&self, query: &Query) -> anyhow::Result<Got> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut message = id.to_be_bytes().to_vec();
        message.extend(self.message(query)?);
        for stub in self.stubs.values() {
            stub.take_seen();
        }
        let wait = query.with.timeout.map_or(WAIT, Duration::from_secs_f64);
        let reply = match query.with.transport.as_deref() {
            Some("tcp") => self.over_tcp(&message, wait)?,
            _ => self.over_udp(&message, wait)?,
        };
        let Some(bytes) = reply else { return Ok(None) };
        let mut reply = wire::parse(&bytes)?;
        ensure!(reply.id == id, "the reply has another id");
        for record in reply.question.iter_mut().chain(reply.sections.iter_mut().flatten()) {
            *record = self.generalise(record);
        }
        let seen = self.stubs.iter().map(|(name, stub)| (name.clone(), stub.take_seen())).collect();
        Ok(Some((reply, seen)))
    }

    fn message(&self, query: &Query) -> anyhow::Result<Vec<u8>> {
        if let Some(raw) = &query.raw {
            return wire::unhex(raw);
        }
        let with = &query.with;
        let bits = [(with.qr, 0x8000), (with.rd.unwrap_or(true), 0x0100), (with.cd, 0x0010)];
        let flags =
            bits.iter().filter(|(set, _)| *set).fold(with.opcode << 11, |flags, (_, bit)| flags | bit);
        let edns = with.edns.map(|size| (size, with.edns_version, with.wants_dnssec, with.ecs.clone()));
        let class = with.class.clone().unwrap_or_else(|| "IN".into());
        let mut questions = vec![(fill_text(&query.name, &self.names), query.kind.clone(), class)];
        questions
            .extend(with.more_questions.iter().map(|(name, kind)| (name.clone(), kind.clone(), "IN".into())));
        wire::query(&Head { flags, edns }, &questions)
    }

    fn over_udp(&self, message: &[u8], wait: Duration) -> anyhow::Result<Option<Vec<u8>>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(wait))?;
        socket.send_to(message, self.address)?;
        let mut buffer = vec![0; 65_535];
        match socket.recv(&mut buffer) {
            Ok(length) => Ok(Some(buffer[..length].to_vec())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error).context("UDP"),
        }
    }

    fn over_tcp(&self, message: &[u8], wait: Duration) -> anyhow::Result<Option<Vec<u8>>> {
        let mut stream = TcpStream::connect_timeout(&self.address, wait)?;
        stream.set_read_timeout(Some(wait))?;
        stream.write_all(&[&(message.len() as u16).to_be_bytes(), message].concat())?;
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            return Ok(None);
        }
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).context("a reply cut short")?;
        Ok(Some(reply))
    }

    /// The record with placeholders for what differs from run to run.
    fn generalise(&self, record: &str) -> String {
        static SERIAL: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"( SOA \S+ \S+ )\d+").expect("a constant pattern"));
        static VERSION: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r#"consul-version=[^"\\]+"#).expect("a constant pattern"));
        let mut text = SERIAL.replace(record, "${1}{serial}").into_owned();
        text = VERSION.replace(&text, "consul-version={version}").into_owned();
        for (name, value) in &self.names {
            if name.ends_with("_port") {
                text = port_named(&text, name, value).unwrap_or(text);
            } else if value.len() >= ID_LENGTH_MIN {
                text = text.replace(value.as_str(), &format!("{{{name}}}"));
            }
        }
        text
    }
}

/// The SRV record with the placeholder instead of this port; `None` when it is another record or port.
fn port_named(record: &str, name: &str, value: &str) -> Option<String> {
    let mut words: Vec<&str> = record.split(' ').collect();
    let placeholder = format!("{{{name}}}");
    let port = words.iter().position(|word| *word == "SRV")? + 3;
    if words.get(port) != Some(&value) {
        return None;
    }
    words[port] = &placeholder;
    Some(words.join(" "))
}

/// A reply that compares with nothing.
fn unreadable(error: &anyhow::Error) -> (wire::Reply, BTreeMap<String, Vec<String>>) {
    (wire::Reply { rcode: format!("an error: {error:#}"), ..Default::default() }, BTreeMap::new())
}

/// What is unusual about how a question is asked, for messages.
fn how(query: &Query) -> String {
    let with = &query.with;
    let mut words = Vec::new();
    words.extend(with.transport.clone());
    words.extend(with.edns.map(|size| format!("edns {size}")));
    words.extend(with.class.clone());
    words.extend(Some(format!("opcode {}", with.opcode)).filter(|_| with.opcode != 0));
    words.join(" ")
}
