//! One run: servers, clients, and what goes wrong between them.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use conformance::history::{self, History};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use turmoil::Sim;

use crate::{
    caller::Caller,
    client::{Client, Shared},
    locks::{self, Lock},
    server::{self, Clocks, Files, name},
    watch,
};

const CLIENTS: usize = 4;
const LOCKERS: usize = 2;
/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(40);
/// How long the servers may take afterwards until each answers.
const MENDED_LIMIT: Duration = Duration::from_secs(30);

/// Something goes wrong, or right again.
#[derive(Clone, Debug)]
enum Fault {
    Partition(usize, usize),
    OneWay(usize, usize),
    Alone(usize),
    Crash(usize),
    Restart(usize),
    Slow(usize, usize, Duration),
    /// Somebody sets the time of day of a server, by so many milliseconds.
    Jump(usize, i64),
    Mend,
}

/// A promise that is broken on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Disks say that something is written when it is not: the newest of it is lost in a crash.
    LyingDisks,
    /// Reads are answered by whoever is asked, with what it knows.
    StaleReads,
}

impl Plant {
    pub(crate) const ALL: [Self; 2] = [Self::LyingDisks, Self::StaleReads];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LyingDisks => "lying-disks",
            Self::StaleReads => "stale-reads",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plant| plant.name() == name)
    }
}

/// Makes the run of a seed; gives what happened in a line, or what was broken.
pub(crate) fn run(seed: u64, servers: usize, plant: Option<Plant>, told: bool) -> Result<String, String> {
    history::self_check()?;
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    let _clocks = mad_turmoil::time::SimClocksGuard::init();
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(600))
        .tick_duration(Duration::from_millis(2))
        .min_message_latency(Duration::from_micros(200))
        .max_message_latency(Duration::from_millis(5))
        .tcp_capacity(4096)
        .build();
    let files: Vec<Files> = (0..servers)
        .map(|n| Files::new(folder.path().join(name(n)), plant == Some(Plant::LyingDisks)))
        .collect();
    let clocks = clocks(seed, servers);
    for (number, (files, clocks)) in files.iter().zip(&clocks).enumerate() {
        let (files, clocks) = (files.clone(), clocks.clone());
        sim.host(name(number), move || {
            let others = (0..servers).filter(|other| *other != number);
            let clocks = clocks.clone();
            server::serve(
                number,
                files.clone(),
                clocks,
                others.map(|other| turmoil::lookup(name(other))).collect(),
            )
        });
    }
    let shared = Shared {
        history: Rc::new(RefCell::new(History::default())),
        next_value: Rc::default(),
        stale: plant == Some(Plant::StaleReads),
        servers: (0..servers).map(|n| SocketAddr::new(sim.lookup(name(n)), 8300)).collect(),
    };
    for number in 0..CLIENTS {
        let shared = shared.clone();
        sim.client(format!("client{number}"), async move {
            Client::new(shared).work(TROUBLE).await;
            Ok(())
        });
    }
    let lock = Rc::new(RefCell::new(Lock::default()));
    for number in 0..LOCKERS {
        let (servers, lock) = (shared.servers.clone(), lock.clone());
        sim.client(format!("locker{number}"), async move {
            Ok(locks::work(number, Caller::new(&servers), lock, TROUBLE).await?)
        });
    }
    let (acknowledged, servers) = (watch::Acknowledged::default(), shared.servers.clone());
    let told_of = acknowledged.clone();
    sim.client("counter", async move {
        watch::count(Caller::new(&servers), told_of, TROUBLE).await;
        Ok(())
    });
    let (steps, servers) = (acknowledged.clone(), shared.servers.clone());
    sim.client("follower", async move { Ok(watch::follow(Caller::new(&servers), steps, TROUBLE).await?) });
    let last = shared.clone();
    sim.client("last", async move {
        tokio::time::sleep(TROUBLE).await;
        Ok(Client::new(last).read_all(MENDED_LIMIT).await?)
    });
    let faults = go_wrong(&mut sim, &Machines { files, clocks }, seed, told)?;
    let history = shared.history.borrow();
    history.check()?;
    let (answered, unknown) = history.counts();
    let (elapsed, held, steps) = (sim.elapsed(), lock.borrow().held, acknowledged.get());
    Ok(format!(
        "{faults} faults, {answered} operations answered, {unknown} not, a lock held {held} times, \
         {steps} steps followed, {elapsed:?} simulated"
    ))
}

/// What servers run on.
struct Machines {
    files: Vec<Files>,
    clocks: Vec<Clocks>,
}

/// Clocks that show different times, by up to hours, and go at different rates: as much apart as the lease of reads bears.
fn clocks(seed: u64, servers: usize) -> Vec<Clocks> {
    let mut chance = StdRng::seed_from_u64(seed.wrapping_mul(31));
    (0..servers)
        .map(|_| Clocks::new(chance.random_range(-JUMP_MS_MAX..JUMP_MS_MAX), chance.random_range(0.83..1.22)))
        .collect()
}

/// How far apart times of day are set.
const JUMP_MS_MAX: i64 = 3 * 3_600_000;

/// Steps to the end, with faults in between; gives how many there were.
fn go_wrong(sim: &mut Sim<'_>, machines: &Machines, seed: u64, told: bool) -> Result<usize, String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut down = vec![false; machines.files.len()];
    let (mut faults, mut next, mut mended) = (0, Duration::from_secs(3), false);
    loop {
        if !mended && sim.elapsed() >= next {
            let fault = if sim.elapsed() >= TROUBLE { Fault::Mend } else { choose(&mut chance, &down) };
            if told {
                println!("{:>8.3} s {fault:?}", sim.elapsed().as_secs_f64());
            }
            apply(sim, machines, &mut down, &fault);
            mended = sim.elapsed() >= TROUBLE;
            faults += 1;
            next = (sim.elapsed() + Duration::from_millis(chance.random_range(200..5000))).min(TROUBLE);
        }
        if sim.step().map_err(|e| e.to_string())? {
            return Ok(faults);
        }
    }
}

fn choose(chance: &mut StdRng, down: &[bool]) -> Fault {
    let servers = down.len();
    let one = chance.random_range(0..servers);
    // Nobody is cut off from itself: a sole server only crashes.
    let (first, other) =
        if servers == 1 { (4, one) } else { (0, (one + chance.random_range(1..servers)) % servers) };
    let dead: Vec<usize> = (0..servers).filter(|n| down[*n]).collect();
    match chance.random_range(first..12) {
        0 => Fault::Partition(one, other),
        1 => Fault::OneWay(one, other),
        2 | 3 => Fault::Alone(one),
        4 | 5 if !down[one] => Fault::Crash(one),
        6 if one != other => Fault::Slow(one, other, Duration::from_millis(chance.random_range(20..800))),
        7 | 8 => dead.choose(chance).map_or(Fault::Mend, |dead| Fault::Restart(*dead)),
        9 => Fault::Jump(one, chance.random_range(-JUMP_MS_MAX..JUMP_MS_MAX)),
        10 => Fault::Jump(one, chance.random_range(-5_000..5_000)),
        _ => Fault::Mend,
    }
}

fn apply(sim: &mut Sim<'_>, machines: &Machines, down: &mut [bool], fault: &Fault) {
    match *fault {
        Fault::Partition(one, other) => sim.partition(name(one), name(other)),
        Fault::OneWay(one, other) => sim.partition_oneway(name(one), name(other)),
        Fault::Alone(one) => {
            for other in (0..machines.files.len()).filter(|other| *other != one) {
                sim.partition(name(one), name(other));
            }
        }
        Fault::Crash(one) => {
            machines.files[one].crash();
            sim.crash(name(one));
            down[one] = true;
        }
        Fault::Restart(one) => restart(sim, down, one),
        Fault::Jump(one, by_ms) => machines.clocks[one].jump(by_ms),
        Fault::Slow(one, other, latency) => sim.set_link_latency(name(one), name(other), latency),
        Fault::Mend => {
            for one in 0..machines.files.len() {
                for other in 0..one {
                    sim.repair(name(one), name(other));
                    sim.set_link_latency(name(one), name(other), Duration::from_millis(1));
                }
                if down[one] {
                    restart(sim, down, one);
                }
            }
        }
    }
}

fn restart(sim: &mut Sim<'_>, down: &mut [bool], one: usize) {
    sim.bounce(name(one));
    down[one] = false;
}
