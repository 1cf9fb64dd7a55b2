//! Servers in a simulation: the code that ships, with only network, clock, chance and disk exchanged.
//!
//! A run is decided by its seed: who is cut off from whom and when, which server crashes, how long a message or a flush
//! takes. Each run is a process of its own, for chance and clock are the process's.
//!
//!     cargo test -p registry-core --test simulation                      the runs of every day
//!     cargo test -p registry-core --test simulation -- --runs 5000       more of them; `--from N` begins at another seed
//!     cargo test -p registry-core --test simulation -- --seed 17         one again, with what happened
//!
//! `--plant FAULT` (see [`run::Plant`]) breaks a promise on purpose, and the runs succeed when it is noticed; the runs of
//! every day end with those.

#![expect(clippy::print_stdout, reason = "a program of its own, for whoever runs the tests")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the run")]

mod caller;
mod client;
#[path = "../folder/mod.rs"]
mod folder;
mod locks;
mod network;
mod run;
mod server;
mod watch;

use std::process::{Child, Command, ExitCode, Stdio};

use run::Plant;

/// The runs of every day, besides those of `FOUND`.
const RUNS: u64 = 12;
/// Seeds that have found something: 130 and 310 a leader that went on in its term after a crash had taken its last entry, 3271 a
/// write whose bytes the connection took along and that was made as an empty one. What a seed leads to changes with the clients;
/// tests of their own are what holds such faults off.
const FOUND: [u64; 3] = [130, 310, 3271];
/// Servers of a run, unless `--servers` says how many; each fourth seed has a sole one.
const SERVERS: usize = 3;
/// Runs at the same time.
const AT_ONCE: usize = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test NAME` asks every test program for its tests of that name.
    if args.get(1).is_some_and(|arg| !arg.starts_with("--")) {
        return ExitCode::SUCCESS;
    }
    let after = |name: &str| args.get(args.iter().position(|arg| arg == name)? + 1);
    let number = |name| after(name).and_then(|text| text.parse::<u64>().ok());
    let servers = number("--servers").map(|servers| servers as usize);
    let plant = after("--plant").map(|name| Plant::named(name).expect("--plant takes a fault's name"));
    if let Some(seed) = number("--seed") {
        let servers = servers.unwrap_or(if seed.is_multiple_of(4) { 1 } else { SERVERS });
        return one(seed, servers, plant, args.iter().any(|arg| arg == "--quietly"));
    }
    let (from, runs) = (number("--from").unwrap_or(1), number("--runs").unwrap_or(RUNS));
    let mut seeds: Vec<u64> = (from..from + runs).collect();
    if number("--from").or(number("--runs")).is_none() {
        seeds.extend(FOUND);
    }
    let mut good = plant.is_some() || promises_kept(&seeds, servers);
    for plant in Plant::ALL.into_iter().filter(|other| plant.is_none_or(|plant| plant == *other)) {
        good &= noticed(plant, &seeds, servers);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn promises_kept(seeds: &[u64], servers: Option<usize>) -> bool {
    let runs = seeds.len();
    let failed = failures(seeds, servers, None, usize::MAX);
    if failed.is_empty() {
        println!("{runs} simulated runs: all kept their promises");
    } else {
        println!("of {runs} simulated runs, these seeds failed: {failed:?}; each again by -- --seed N");
    }
    failed.is_empty()
}

fn noticed(plant: Plant, seeds: &[u64], servers: Option<usize>) -> bool {
    let failed = failures(seeds, servers, Some(plant), 1);
    match failed.first() {
        Some(seed) => println!("planted fault {}: noticed at seed {seed}", plant.name()),
        None => println!("planted fault {}: nothing noticed", plant.name()),
    }
    !failed.is_empty()
}

fn one(seed: u64, servers: usize, plant: Option<Plant>, quiet: bool) -> ExitCode {
    match run::run(seed, servers, plant, !quiet) {
        Ok(told) => {
            println!("seed {seed}: {told}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("seed {seed}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The seeds that failed, `enough` at most; shows why, unless that was the plan.
fn failures(seeds: &[u64], servers: Option<usize>, plant: Option<Plant>, enough: usize) -> Vec<u64> {
    let mut running: Vec<(u64, Child)> = Vec::new();
    let mut failed = Vec::new();
    let mut end = |(seed, child): (u64, Child)| {
        let ended = child.wait_with_output().unwrap();
        if !ended.status.success() {
            if plant.is_none() {
                println!("{}", String::from_utf8_lossy(&ended.stdout));
                println!("{}", String::from_utf8_lossy(&ended.stderr));
            }
            failed.push(seed);
        }
        failed.len() < enough
    };
    for &seed in seeds {
        if running.len() == AT_ONCE && !end(running.remove(0)) {
            break;
        }
        running.push((seed, start(seed, servers, plant)));
    }
    for child in running {
        end(child);
    }
    failed
}

fn start(seed: u64, servers: Option<usize>, plant: Option<Plant>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--seed", &seed.to_string(), "--quietly"]);
    if let Some(servers) = servers {
        command.args(["--servers", &servers.to_string()]);
    }
    if let Some(plant) = plant {
        command.args(["--plant", plant.name()]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}
