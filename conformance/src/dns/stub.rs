//! A tiny name server on loopback (UDP and TCP on one port) that plays the upstream recursor and notes what it was asked.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{scenario::Rule, wire};

const PORT_TRIES: usize = 50;

/// The running name server. It ends when it is dropped.
pub struct Stub {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    zone: BTreeMap<String, Rule>,
    seen: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Stub {
    /// Serves a zone. Errors when no port is free for both UDP and TCP.
    pub fn start(zone: BTreeMap<String, Rule>) -> anyhow::Result<Self> {
        let (udp, tcp) = bind()?;
        let address = udp.local_addr()?;
        let shared = Arc::new(Shared { zone, seen: Mutex::default(), ended: AtomicBool::new(false) });
        let (a, b) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || a.serve_udp(&udp));
        thread::spawn(move || b.serve_tcp(&tcp));
        Ok(Self { shared, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked since the last call, `udp name. TYPE rd=1`.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Both wake the threads, which then see that it is over.
        drop(TcpStream::connect(self.address));
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            drop(socket.send_to(&[], self.address));
        }
    }
}

fn bind() -> anyhow::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("no port"), Into::into))
}

impl Shared {
    fn serve_udp(self: &Arc<Self>, socket: &UdpSocket) {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            if let Ok(Some(reply)) = self.answer(&buffer[..length], "udp") {
                drop(socket.send_to(&reply, client));
            }
        }
    }

    fn serve_tcp(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let (Ok(stream), shared) = (stream, Arc::clone(self)) else { continue };
            thread::spawn(move || shared.converse(stream));
        }
    }

    fn converse(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message)?;
            let Some(reply) = self.answer(&message, "tcp")? else { return Ok(()) };
            stream.write_all(&[&(reply.len() as u16).to_be_bytes(), reply.as_slice()].concat())?;
        }
    }

    fn answer(&self, message: &[u8], transport: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let (name, kind, end) = wire::question(message)?;
        let wants_recursion = message[2] & 1 != 0;
        let line = format!("{transport} {name} {kind} rd={}", u8::from(wants_recursion));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        let unknown = Rule { rcode: Some("NXDOMAIN".into()), ..Rule::default() };
        let rule = self.zone.get(&format!("{} {kind}", name.to_lowercase())).or_else(|| self.zone.get("*"));
        let rule = rule.unwrap_or(&unknown);
        if rule.drop {
            return Ok(None);
        }
        crate::pause(Duration::from_millis(rule.delay_ms));
        let rcode = wire::rcode_number(rule.rcode.as_deref().unwrap_or("NOERROR")).unwrap_or_default();
        let cut = rule.tc_udp && transport == "udp";
        let bits = [(true, 0x8080), (wants_recursion, 0x0100), (rule.aa, 0x0400), (cut, 0x0200)];
        let flags = bits.iter().filter(|(set, _)| *set).fold(rcode, |flags, (_, bit)| flags | bit);
        let sections = [&rule.answer, &rule.authority, &rule.additional];
        let counts = sections.map(|section| if cut { 0 } else { section.len() as u16 });
        let mut reply = message[..2].to_vec();
        for word in [flags, 1, counts[0], counts[1], counts[2]] {
            reply.extend(word.to_be_bytes());
        }
        reply.extend(&message[12..end]);
        for (name, ttl, kind, data) in sections.into_iter().flatten().filter(|_| !cut) {
            reply.extend(wire::record(name, *ttl, kind, data)?);
        }
        Ok(Some(reply))
    }
}
