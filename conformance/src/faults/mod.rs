//! Three real servers with agents and under load, while they are killed, stopped, cut off from one another and their disks fill up
//! or grow slow; then what clients saw is judged.
//!
//! `servers` and `agents` have the processes, `network` and `disk` what can be done to them from outside, `apart` and `place` keep all of it
//! away from the rest of the machine. `load` has the clients, `crate::history` the judgement: the operations on each key must have an order
//! in which one register answers as they were answered, so that no acknowledged write is lost and no fresh read is old;
//! a lock is never held twice; no agent is called dead for what happened to servers.

mod agents;
mod apart;
mod disk;
mod fault;
mod load;
mod network;
mod node;
mod place;
mod servers;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{history, options::Options, pause};
use agents::{Agents, Watch};
pub use apart::enter;
use fault::Fault;
use load::Load;
use place::Place;
use servers::{SERVERS, Servers};

/// How long servers may take to be well again after a fault is repaired, and agents after that.
const WELL_MAX: Duration = Duration::from_secs(60);

/// How long writes may stop at servers that nothing was done to, as long as they are most of all.
const WRITES_MAX: Duration = Duration::from_secs(10);

/// How it went.
#[derive(Debug, Default)]
pub struct Report {
    /// Faults that were made and repaired.
    pub faults: usize,
    /// What of networks and disks was left alone, and why.
    pub left_out: Vec<&'static str>,
    /// Operations that were answered.
    pub answered: usize,
    /// Operations whose outcome nobody knows.
    pub unanswered: usize,
    /// How often a lock was taken.
    pub locks: usize,
    /// The longest time from a fault that leaves most of the servers alone until these took a write.
    pub slowest_write: Duration,
    /// The longest time from a repair until each server took writes again.
    pub slowest: Duration,
    /// How often an agent was shown as critical though nothing was done to it.
    pub falsely: usize,
}

/// Runs the program's servers and agents with faults for a time and judges what was seen.
///
/// Errors when most of the servers are left alone and take no write within ten seconds, when they are not well again within a minute after a repair, when many agents are called critical for nothing, and when
/// what clients saw has no order; then with the operations of that key.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    history::self_check().map_err(anyhow::Error::msg)?;
    let bin = options.bin.canonicalize();
    let bin = bin.with_context(|| format!("there is no {}", options.bin.display()))?;
    let place = Place::new((0..SERVERS as u8).map(|server| 11 + server).chain(agents::hosts()))?;
    let mut servers = Servers::start(&bin, &place)?;
    servers.await_votes(WELL_MAX)?;
    servers.await_writes(WELL_MAX)?;
    let addresses = servers.nodes.iter().map(|node| node.address).collect();
    let mut agents = Agents::start(&bin, &place, addresses)?;
    let load = Load::new(servers.addresses());
    let watch = Watch::default();
    let mut report = Report { left_out: left_out(&servers), ..Report::default() };
    let (told, asked) = (agents.addresses(), servers.addresses());
    std::thread::scope(|threads| {
        let teller = threads.spawn(|| watch.tell(&told));
        let mut others = Vec::new();
        let outcome = agents.await_well(&asked, WELL_MAX).and_then(|()| {
            others = load.start(threads);
            others.push(threads.spawn(|| watch.look(&asked)));
            disturb(&mut servers, &mut agents, &watch, options, &mut report)
        });
        load.end();
        watch.end();
        for thread in others.into_iter().chain([teller]) {
            ensure!(thread.join().is_ok(), "a client failed, see above");
        }
        outcome
    })?;
    load.look_at_all()?;
    (report.answered, report.unanswered) = load.counts();
    report.locks = load.locks();
    ensure!(report.answered > 0, "no operation was answered");
    load.check()?;
    Ok(report)
}

fn left_out(servers: &Servers) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    if !servers.can_cut() {
        left_out.push("networks left whole and disks empty, which takes root");
    } else if !servers.can_slow() {
        left_out.push("disks left fast, for the kernel shows no control group `blkio`");
    }
    left_out
}

/// Makes and repairs one fault after the other.
fn disturb(
    servers: &mut Servers,
    agents: &mut Agents,
    watch: &Watch,
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(60.0 * options.minutes);
    let mut next = Vec::new();
    // What agents were called before anything happened to anybody is for nothing, too.
    report.falsely += watch.all_well()?;
    while Instant::now() < end {
        pause(Duration::from_millis(rand::random_range(500..2_000)));
        if next.is_empty() {
            next = Fault::shuffled(servers, options);
        }
        let fault = next.pop().context("none of the faults asked for is possible here")?;
        once(fault, servers, agents, watch, report).with_context(|| format!("after {fault:?}"))?;
        report.faults += 1;
    }
    Ok(())
}

/// Makes a fault, repairs it, and waits until all are well.
fn once(
    fault: Fault,
    servers: &mut Servers,
    agents: &mut Agents,
    watch: &Watch,
    report: &mut Report,
) -> anyhow::Result<()> {
    let alone = fault.make(servers, agents, watch)?;
    let went_on = servers.await_write(&alone, WRITES_MAX)?;
    report.slowest_write = report.slowest_write.max(went_on.unwrap_or_default());
    pause(Duration::from_millis(rand::random_range(500..6_000)));
    servers.repair()?;
    agents.repair()?;
    let start = Instant::now();
    servers.await_writes(WELL_MAX)?;
    let took = start.elapsed();
    report.slowest = report.slowest.max(took);
    servers.await_votes(WELL_MAX)?;
    let voted = start.elapsed();
    agents.await_well(&servers.addresses(), WELL_MAX)?;
    let went_on = went_on.map_or("nobody was to take any".to_owned(), |went_on| format!("{went_on:.1?}"));
    say(&format!(
        "{fault:?}: writes went on after {went_on}; repaired, at each server after {took:.1?}, three vote after {voted:.1?}, agents well after {:.1?}",
        start.elapsed()
    ));
    report.falsely += watch.all_well().with_context(|| servers.told())?;
    Ok(())
}

/// Runs a program to its end; errors with what it said.
fn run_program(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a long run says where it is")]
fn say(text: &str) {
    eprintln!("  {text}");
}
