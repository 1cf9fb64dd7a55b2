//! Thousands of held blocking queries, one write, and when each of them is answered.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use mio::{Events, Poll};

use super::{Answer, Connection, connection::READ_MAX, get, put};
use crate::{
    fleet,
    process::{self, Bytes},
};

/// How long all answers of one write may take.
const ANSWERS_MAX: Duration = Duration::from_secs(30);
/// How long the queries rest before memory is read, and after each write to see who else is woken.
const REST: Duration = Duration::from_secs(2);
/// Services of which the waiters of [`Mode::OtherServices`] take one each, over and over.
const SERVICES: usize = 1_000;

/// What is waited for, and what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// All wait for one key, which is written.
    Key,
    /// Each waits for a key of its own; the first one's is written, and nobody else may wake.
    OtherKeys,
    /// All wait for the passing instances of one service, whose check changes.
    Service,
    /// All wait for the list of services, in which a tag changes.
    Services,
    /// Each waits for one of a thousand services; a check of the first one's changes, and nobody else may wake.
    OtherServices,
}

impl Mode {
    fn path(self, waiter: usize) -> String {
        match self {
            Self::Key => "/v1/kv/bench/wait".into(),
            Self::OtherKeys if waiter == 0 => "/v1/kv/bench/wait".into(),
            Self::OtherKeys => format!("/v1/kv/bench/wait-{waiter}"),
            Self::Service => "/v1/health/service/wait-0?passing".into(),
            Self::Services => "/v1/catalog/services".into(),
            Self::OtherServices if waiter == 0 => "/v1/health/service/wait-0?passing".into(),
            Self::OtherServices => {
                format!("/v1/health/service/wait-{}?passing", 1 + waiter % (SERVICES - 1))
            }
        }
    }

    fn blocking(self, waiter: usize, index: u64) -> Vec<u8> {
        let path = self.path(waiter);
        let sign = if path.contains('?') { '&' } else { '?' };
        get(&format!("{path}{sign}index={index}&wait=300s"))
    }

    fn write(self, round: u32) -> Vec<u8> {
        match self {
            Self::Key | Self::OtherKeys => put("/v1/kv/bench/wait", &round.to_string()),
            Self::Service | Self::OtherServices => {
                let status = if round.is_multiple_of(2) { "critical" } else { "passing" };
                put("/v1/catalog/register", &fleet::check("wait-0", status).to_string())
            }
            Self::Services => {
                put("/v1/catalog/register", &fleet::tagged("wait-0", &round.to_string()).to_string())
            }
        }
    }

    fn prepare(self, address: SocketAddr) -> anyhow::Result<()> {
        match self {
            // No round writes this value: writing what is there already wakes nobody.
            Self::Key | Self::OtherKeys => fleet::put(address, "/v1/kv/bench/wait", "start"),
            Self::Service | Self::Services => fleet::register(address, &fleet::checked("wait-0")),
            Self::OtherServices => (0..SERVICES)
                .try_for_each(|i| fleet::register(address, &fleet::checked(&format!("wait-{i}")))),
        }
    }

    /// How many a write has to wake.
    fn woken(self, waiters: usize) -> usize {
        match self {
            Self::Key | Self::Service | Self::Services => waiters,
            Self::OtherKeys | Self::OtherServices => 1,
        }
    }
}

/// What to hold.
pub(crate) struct Waiters {
    pub(crate) address: SocketAddr,
    pub(crate) number: usize,
    /// Writes, one after the other.
    pub(crate) rounds: u32,
    pub(crate) mode: Mode,
    /// The server's process, for its memory.
    pub(crate) pid: Option<u32>,
}

/// How it went.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The server's memory with the queries held, less what it had before, for each.
    pub(crate) bytes_each: Option<f64>,
    /// For each write, the milliseconds until the last answer.
    pub(crate) last_ms: Vec<f64>,
    /// Answers that did not come.
    pub(crate) missed: usize,
    /// Answers that should not have come.
    pub(crate) needless: usize,
}

impl Waiters {
    /// Opens the queries, writes, and counts.
    ///
    /// Errors when a connection fails; both sides need more open files than there are waiters (`ulimit -n`).
    pub(crate) fn run(&self) -> anyhow::Result<Report> {
        self.mode.prepare(self.address)?;
        let before = self.pid.map(process::memory).transpose()?;
        let mut crowd = Crowd::gather(self)?;
        let mut needless = crowd.rest()?;
        let held = self.pid.map(process::memory).transpose()?;
        let (mut last_ms, mut missed) = (Vec::new(), 0);
        for round in 0..self.rounds {
            let woken = crowd.write(round)?;
            last_ms.push(woken.last.as_secs_f64() * 1000.0);
            missed += woken.missed;
            needless += woken.needless + crowd.rest()?;
        }
        let bytes_each = before.zip(held).map(|(before, held)| self.each(before, held));
        Ok(Report { bytes_each, last_ms, missed, needless })
    }

    fn each(&self, before: Bytes, held: Bytes) -> f64 {
        (held as f64 - before as f64) / self.number as f64
    }
}

struct Woken {
    last: Duration,
    missed: usize,
    needless: usize,
}

struct Waiter {
    connection: Connection,
    index: u64,
}

struct Crowd {
    mode: Mode,
    poll: Poll,
    events: Events,
    scratch: Box<[u8; READ_MAX]>,
    waiters: Vec<Waiter>,
    writer: Connection,
}

/// An answer, and the place of the waiter that got it; the writer's place is the number of waiters.
type Arrival = (usize, Answer);

impl Crowd {
    /// Connects all, lets each ask once for its index, and then wait.
    fn gather(plan: &Waiters) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut waiters = Vec::with_capacity(plan.number);
        for place in 0..plan.number {
            let connection = Connection::open(plan.address, poll.registry(), place)?;
            waiters.push(Waiter { connection, index: 0 });
        }
        let writer = Connection::open(plan.address, poll.registry(), plan.number)?;
        let (events, scratch) = (Events::with_capacity(1024), Box::new([0; READ_MAX]));
        let mut crowd = Self { mode: plan.mode, poll, events, scratch, waiters, writer };
        crowd.learn_indexes()?;
        Ok(crowd)
    }

    fn learn_indexes(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + ANSWERS_MAX;
        for (place, waiter) in self.waiters.iter_mut().enumerate() {
            waiter.connection.send(&get(&self.mode.path(place)))?;
        }
        let mut left = self.waiters.len();
        while left > 0 {
            ensure!(Instant::now() < end, "{left} first answers did not come");
            for arrival in self.arrivals(end)? {
                self.wait_on(arrival)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// Writes, and waits for the answers that this has to cause; everyone asks again at once, as clients do.
    fn write(&mut self, round: u32) -> anyhow::Result<Woken> {
        let (start, want) = (Instant::now(), self.mode.woken(self.waiters.len()));
        let mut seen = vec![false; self.waiters.len()];
        let mut woken = Woken { last: Duration::ZERO, missed: want, needless: 0 };
        let mut is_written = false;
        self.writer.send(&self.mode.write(round))?;
        while (woken.missed > 0 || !is_written) && start.elapsed() < ANSWERS_MAX {
            for (place, answer) in self.arrivals(start + ANSWERS_MAX)? {
                if place == self.waiters.len() {
                    ensure!(answer.status == 200, "the write was refused with {}", answer.status);
                    is_written = true;
                    continue;
                }
                if place < want && !seen[place] {
                    seen[place] = true;
                    woken.missed -= 1;
                    woken.last = start.elapsed();
                } else {
                    woken.needless += 1;
                }
                self.wait_on((place, answer))?;
            }
        }
        ensure!(is_written, "the write was not answered");
        Ok(woken)
    }

    /// Lets everyone wait for a while; how many answers came all the same.
    fn rest(&mut self) -> anyhow::Result<usize> {
        let (end, mut came) = (Instant::now() + REST, 0);
        while Instant::now() < end {
            for arrival in self.arrivals(end)? {
                self.wait_on(arrival)?;
                came += 1;
            }
        }
        Ok(came)
    }

    fn wait_on(&mut self, (place, answer): Arrival) -> anyhow::Result<()> {
        let waiter = self.waiters.get_mut(place).context("the writer got an answer too many")?;
        waiter.index = answer.index;
        waiter.connection.send(&self.mode.blocking(place, waiter.index))
    }

    /// What came in, or nothing when the time is up.
    fn arrivals(&mut self, end: Instant) -> anyhow::Result<Vec<Arrival>> {
        self.poll.poll(&mut self.events, Some(end.saturating_duration_since(Instant::now())))?;
        let mut arrivals = Vec::new();
        for event in &self.events {
            let place = event.token().0;
            let connection = match self.waiters.get_mut(place) {
                Some(waiter) => &mut waiter.connection,
                None => &mut self.writer,
            };
            let answer = connection.receive(&mut self.scratch);
            if let Some(answer) = answer.with_context(|| format!("waiter {place}"))? {
                arrivals.push((place, answer));
            }
        }
        Ok(arrivals)
    }
}
