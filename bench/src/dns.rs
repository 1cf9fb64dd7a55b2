//! Load over DNS and UDP: a fixed number of questions under way, each answer followed by the next question.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use conformance::dns::wire::{self, Head};
use mio::{Events, Interest, Poll, Token, net::UdpSocket};

/// Sockets, and so source ports, that the questions come from.
const SOCKETS: usize = 8;
/// Questions under way on each.
const UNDER_WAY: u32 = 25;
/// A socket without an answer for so long has lost all it asked.
const LOST: Duration = Duration::from_secs(1);
const RECURSION_DESIRED: u16 = 0x0100;

/// What to ask, and for how long.
pub(crate) struct Questions {
    pub(crate) address: SocketAddr,
    /// Such as `web.service.consul`.
    pub(crate) name: String,
    /// Such as `SRV`.
    pub(crate) kind: String,
    /// The size that EDNS tells; without it answers end at 512 bytes.
    pub(crate) edns: Option<u16>,
    pub(crate) time: Duration,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// Questions without an answer.
    pub(crate) lost: u64,
    /// Answers that are errors or have no records.
    pub(crate) empty: u64,
}

impl Questions {
    /// Asks to the end of the time.
    ///
    /// Errors when the question cannot be written or nobody listens at the address.
    pub(crate) fn run(&self) -> anyhow::Result<Rate> {
        let head = Head { flags: RECURSION_DESIRED, edns: self.edns.map(|size| (size, 0, false, None)) };
        let question = (self.name.clone(), self.kind.clone(), "IN".to_owned());
        let message = wire::query(&head, &[question])?;
        let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(SOCKETS));
        let mut askers = Vec::new();
        for place in 0..SOCKETS {
            let mut asker = Asker::open(self.address, &message)?;
            poll.registry().register(&mut asker.socket, Token(place), Interest::READABLE)?;
            askers.push(asker);
        }
        let (start, mut rate, mut answers) = (Instant::now(), Rate::default(), 0_u64);
        while start.elapsed() < self.time {
            for asker in askers.iter_mut().filter(|asker| asker.last.elapsed() > LOST) {
                rate.lost += u64::from(std::mem::take(&mut asker.under_way));
            }
            for asker in &mut askers {
                asker.fill()?;
            }
            let before = answers;
            for asker in &mut askers {
                answers += asker.receive(&mut rate.empty)?;
            }
            if answers == before {
                poll.poll(&mut events, Some(LOST))?;
            }
        }
        rate.per_second = answers as f64 / start.elapsed().as_secs_f64();
        Ok(rate)
    }
}

struct Asker {
    socket: UdpSocket,
    /// The question with two bytes before it for its id.
    packet: Vec<u8>,
    id: u16,
    under_way: u32,
    last: Instant,
}

impl Asker {
    fn open(server: SocketAddr, message: &[u8]) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        socket.connect(server)?;
        let packet = [&[0, 0], message].concat();
        Ok(Self { socket, packet, id: 0, under_way: 0, last: Instant::now() })
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        while self.under_way < UNDER_WAY {
            self.ask()?;
        }
        Ok(())
    }

    fn ask(&mut self) -> anyhow::Result<()> {
        self.id = self.id.wrapping_add(1);
        self.packet[..2].copy_from_slice(&self.id.to_be_bytes());
        self.socket.send(&self.packet).context("cannot send a question")?;
        self.under_way += 1;
        if self.under_way == 1 {
            self.last = Instant::now();
        }
        Ok(())
    }

    /// Reads the answers that are there, asks again for each, and says how many; so many at once that no other socket
    /// waits while a fast server answers this one again and again.
    fn receive(&mut self, empty: &mut u64) -> anyhow::Result<u64> {
        let (mut buffer, mut answers) = ([0; 4096], 0);
        while answers < u64::from(UNDER_WAY) {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    *empty += u64::from(!has_records(&buffer[..length]));
                    answers += 1;
                    // An answer later than `LOST` was given up already.
                    self.under_way = self.under_way.saturating_sub(1);
                    self.ask()?;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e).context("nobody answers DNS at this address"),
            }
        }
        if answers > 0 {
            self.last = Instant::now();
        }
        Ok(answers)
    }
}

/// Whether the header says NOERROR and counts at least one answer.
fn has_records(message: &[u8]) -> bool {
    message.get(..12).is_some_and(|head| head[3] & 0x0f == 0 && (head[6], head[7]) != (0, 0))
}

#[cfg(test)]
mod tests {
    use super::has_records;

    #[test]
    fn only_answers_with_records_count() {
        let answer = [0, 1, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        assert!(has_records(&answer));
        let (mut none, mut failed) = (answer, answer);
        none[7] = 0;
        failed[3] |= 3;
        assert!(!has_records(&none) && !has_records(&failed) && !has_records(&answer[..8]));
    }
}
