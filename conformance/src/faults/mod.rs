//! Three real servers under load, while they are killed, stopped and cut off from one another; then what clients saw is judged.
//!
//! `servers` has their processes and networks, `load` the clients, `crate::history` the judgement: the operations on each key must
//! have an order in which one register answers as they were answered, so that no acknowledged write is lost and no
//! fresh read is old; a lock is never held twice.

mod load;
mod servers;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use rand::seq::IndexedRandom as _;

use crate::{history, pause};
use load::Load;
use servers::Servers;

/// How long servers may take to be well again after a fault is repaired.
const WELL_MAX: Duration = Duration::from_secs(60);

/// What happens to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// `kill -9` of the leader.
    KillLeader,
    /// `kill -9` of one, whoever it is.
    KillOne,
    /// `kill -9` of two, so that nothing can be written.
    KillTwo,
    /// The leader stands still, and goes on as if nothing had been.
    StopLeader,
    /// The leader neither hears nor is heard.
    CutLeader,
    /// The leader is heard, and does not hear.
    DeafLeader,
    /// The first and the second do not reach one another; the third reaches both.
    Bridge,
}

const FAULTS: [Fault; 7] = [
    Fault::KillLeader,
    Fault::KillOne,
    Fault::KillTwo,
    Fault::StopLeader,
    Fault::CutLeader,
    Fault::DeafLeader,
    Fault::Bridge,
];

/// How it went.
#[derive(Debug)]
pub struct Report {
    /// Faults that were made and repaired.
    pub faults: usize,
    /// Whether networks were cut, which only root can do.
    pub with_cuts: bool,
    /// Operations that were answered.
    pub answered: usize,
    /// Operations whose outcome nobody knows.
    pub unanswered: usize,
    /// How often a lock was taken.
    pub locks: usize,
    /// The longest time from a repair until the servers took writes again.
    pub slowest: Duration,
}

/// Runs the program's servers with faults for a time and judges what was seen.
///
/// Errors when they are not well again within a minute after a repair, and when what clients saw has no order; then with the
/// operations of that key.
pub fn run(bin: &Path, time: Duration) -> anyhow::Result<Report> {
    history::self_check().map_err(anyhow::Error::msg)?;
    let mut servers = Servers::start(bin)?;
    servers.await_well(WELL_MAX)?;
    let load = Load::new(servers.addresses(), servers.network());
    let end = Instant::now() + time;
    let (faults, slowest) = std::thread::scope(|threads| {
        let clients = load.start(threads);
        let told = servers.inside(|servers| disturb(servers, end));
        load.end();
        for client in clients {
            ensure!(client.join().is_ok(), "a client failed, see above");
        }
        told
    })?;
    load.look_at_all()?;
    let (answered, unanswered) = load.counts();
    ensure!(answered > 0, "no operation was answered");
    load.check()?;
    Ok(Report {
        faults,
        with_cuts: servers.network().is_some(),
        answered,
        unanswered,
        locks: load.locks(),
        slowest,
    })
}

/// Makes and repairs one fault after the other; their number, and the longest time until all was well again.
fn disturb(servers: &mut Servers, end: Instant) -> anyhow::Result<(usize, Duration)> {
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < end {
        pause(Duration::from_millis(rand::random_range(500..2_000)));
        let cuts = servers.network().is_some();
        let possible: Vec<Fault> = FAULTS.into_iter().filter(|fault| cuts || !fault.is_cut()).collect();
        let fault = *possible.choose(&mut rand::rng()).expect("some need no root");
        tracing(&format!("{fault:?}"));
        fault.make(servers)?;
        pause(Duration::from_millis(rand::random_range(500..4_000)));
        servers.repair()?;
        let start = Instant::now();
        if let Err(error) = servers.await_well(WELL_MAX) {
            bail!("after {fault:?}: {error:#}");
        }
        slowest = slowest.max(start.elapsed());
        count += 1;
    }
    Ok((count, slowest))
}

impl Fault {
    fn is_cut(self) -> bool {
        matches!(self, Self::CutLeader | Self::DeafLeader | Self::Bridge)
    }

    fn make(self, servers: &mut Servers) -> anyhow::Result<()> {
        let leader = servers.leader().unwrap_or(0);
        let (second, third) = ((leader + 1) % 3, (leader + 2) % 3);
        match self {
            Self::KillLeader => servers.kill(leader),
            Self::KillOne => servers.kill(rand::random_range(0..3)),
            Self::KillTwo => {
                servers.kill(leader);
                servers.kill(second);
            }
            Self::StopLeader => servers.stop(leader)?,
            Self::CutLeader => {
                servers.deafen(leader, &[second, third])?;
                servers.deafen(second, &[leader])?;
                servers.deafen(third, &[leader])?;
            }
            Self::DeafLeader => servers.deafen(leader, &[second, third])?,
            Self::Bridge => {
                servers.deafen(0, &[1])?;
                servers.deafen(1, &[0])?;
            }
        }
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "a long run says where it is")]
fn tracing(text: &str) {
    eprintln!("  {text}");
}
