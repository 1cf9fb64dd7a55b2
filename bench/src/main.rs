//! Load tools that take any address or binary, and `compare`, which sets subjects side by side in one run.
//!
//! `http` and `dns` make load, `watcher` makes work for a watcher, `limits` finds what the machine can do at best, for which
//! `held` serves, `agents` starts agents with services, `cluster` three servers, `leases` simulates thousands of agents. `subject`
//! starts programs, `process` asks the kernel about them, `fleet` fills a registry. `measure` is one round, `figures` the
//! table with its goals, `compare` runs the rounds.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, ValueEnum as _};

mod agents;
mod cluster;
mod compare;
mod dns;
mod figures;
mod fleet;
mod flushed;
mod functions;
mod held;
mod http;
mod leases;
mod limits;
mod measure;
mod process;
mod subject;
mod watcher;

use compare::Comparison;
use held::Holder;
use http::{load::Speed, waiters};
use measure::{Effort, Keys, Part};
use subject::{Running, Subject};

/// Measures registries, agents and watchers
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  \
    bench compare ryo=target/release/ryo consul=consul --rounds 3\n  \
    bench compare ryo=target/release/ryo --watcher 'ryo=target/release/ryo template' --only watcher\n  \
    bench kv put --http 127.0.0.1:8500 --clients 64\n  \
    bench waiters key --http 127.0.0.1:8500 --pid 4711\n  \
    bench agent ryo=target/release/ryo\n  \
    bench watcher ryo=target/release/ryo 'ryo=target/release/ryo template' consul-template=consul-template")]
enum Tool {
    /// Write or read a thousand keys
    Kv {
        /// What to do with them.
        what: Keys,
        #[command(flatten)]
        load: LoadFlags,
        /// Requests under way at a time.
        #[arg(long, default_value_t = measure::CLIENTS)]
        clients: usize,
    },
    /// Register a service of fifty instances and read its health with 64 clients
    Health {
        #[command(flatten)]
        load: LoadFlags,
    },
    /// Register a service of one and one of fifty instances and ask for them by DNS
    Dns {
        #[command(flatten)]
        load: LoadFlags,
        /// Where DNS listens.
        #[arg(long, default_value = "127.0.0.1:8600")]
        dns: SocketAddr,
    },
    /// Hold blocking queries, write, and see when each is answered
    Waiters(WaiterFlags),
    /// Start a registry and agents with services, and see what they take
    Agent {
        /// NAME=BIN, a program that answers to `agent -config-file FILE`.
        subject: Subject,
    },
    /// Start three servers, kill leaders, and see how soon and how fast they write
    Cluster {
        /// NAME=BIN, a program that answers to `agent -config-file FILE`.
        subject: Subject,
        /// Seconds that each load runs.
        #[arg(long, default_value_t = 6)]
        seconds: u64,
    },
    /// Simulate agents of ours at running servers: a link, a sign of life a second and a service each
    Agents {
        /// A server's internal address (repeatable).
        #[arg(long = "server", default_value = "127.0.0.1:8300")]
        servers: Vec<SocketAddr>,
        /// A server's process, to see its memory and processor time (repeatable).
        #[arg(long = "pid")]
        pids: Vec<u32>,
        /// How many; each needs an open file here and there.
        #[arg(long, default_value_t = 5_000)]
        number: u32,
        /// Seconds they are looked at once all are there.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Start a registry, and watchers beside it in turn, and see what they take
    Watcher(WatcherFlags),
    /// Measure what this machine can do at best
    Limits {
        /// Seconds that each load runs.
        #[arg(long, default_value_t = 6)]
        seconds: u64,
        /// Blocking queries to hold.
        #[arg(long, default_value_t = 10_000)]
        waiters: usize,
    },
    /// Hold blocking queries and answer them with ready-made bytes, for `limits`
    #[command(hide = true)]
    Hold {
        /// How they are answered.
        holder: Holder,
        /// Where to listen.
        #[arg(long)]
        http: SocketAddr,
    },
    /// Print the functions that a registry, an agent and a watcher run, in the order the linker should lay them out, with their calls
    Functions {
        /// A binary with its symbols.
        bin: PathBuf,
    },
    /// Run subjects in turn and print medians and ratios as a table
    Compare(CompareFlags),
}

#[derive(Debug, Args)]
struct LoadFlags {
    /// Where HTTP listens.
    #[arg(long, default_value = "127.0.0.1:8500")]
    http: SocketAddr,
    /// Seconds that each load runs.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
}

impl LoadFlags {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[derive(Debug, Args)]
struct WaiterFlags {
    /// What they wait for.
    mode: waiters::Mode,
    /// Where HTTP listens.
    #[arg(long, default_value = "127.0.0.1:8500")]
    http: SocketAddr,
    /// The server's process, to see its memory.
    #[arg(long)]
    pid: Option<u32>,
    /// How many to hold; each needs an open file here and there.
    #[arg(long, default_value_t = 10_000)]
    number: usize,
    /// Writes, one after the other.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

#[derive(Debug, Args)]
struct WatcherFlags {
    /// NAME=BIN, a program that answers to `agent -config-file FILE`.
    registry: Subject,
    /// NAME='COMMAND WORDS', programs that answer to consul-template's flags.
    #[arg(required = true)]
    watchers: Vec<Subject>,
    /// Templates, each with a key and a folder of its own and a service that all share (repeatable, or with commas).
    #[arg(long, value_delimiter = ',', default_values_t = measure::TEMPLATES.map(|(number, _)| number))]
    templates: Vec<usize>,
}

#[derive(Debug, Args)]
struct CompareFlags {
    /// NAME=BIN, a program that answers to `agent -config-file FILE`; goals are for the first, its peer is the second.
    #[arg(required = true)]
    registries: Vec<Subject>,
    /// NAME='COMMAND WORDS', a program that answers to consul-template's flags (repeatable).
    #[arg(long = "watcher")]
    watchers: Vec<Subject>,
    /// Times that everything is measured; medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds that each load runs.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Blocking queries to hold.
    #[arg(long, default_value_t = 10_000)]
    waiters: usize,
    /// Only these parts (repeatable, or with commas).
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
}

fn main() -> anyhow::Result<()> {
    match Tool::parse() {
        Tool::Kv { what, load, clients } => {
            if what != Keys::Put {
                measure::keys(load.http, Keys::Put, clients, Duration::from_secs(2))?;
            }
            print_speed("keys", &measure::keys(load.http, what, clients, load.time())?);
        }
        Tool::Health { load } => {
            fleet::services(load.http)?;
            print_speed("health of 50 instances", &measure::health(load.http, load.time())?);
        }
        Tool::Dns { load, dns } => run_dns(&load, dns)?,
        Tool::Waiters(flags) => run_waiters(&flags)?,
        Tool::Agent { subject } => {
            for (key, value) in agents::measure(&subject)? {
                print(&format!("{}: {value:.2}", figures::title(key)));
            }
        }
        Tool::Cluster { subject, seconds } => {
            for (key, value) in cluster::measure(&subject, Duration::from_secs(seconds))? {
                print(&format!("{}: {value:.1}", figures::title(key)));
            }
        }
        Tool::Agents { servers, pids, number, seconds } => {
            let agents = leases::Agents { servers, number, time: Duration::from_secs(seconds), pids };
            for (key, value) in agents.run()? {
                print(&format!("{}: {value:.1}", figures::title(key)));
            }
        }
        Tool::Watcher(flags) => run_watchers(&flags)?,
        Tool::Limits { seconds, waiters } => {
            for (key, value) in limits::measure(Duration::from_secs(seconds), waiters)? {
                print(&format!("{}: {value:.0}", figures::title(key)));
            }
        }
        Tool::Hold { holder, http } => held::serve(holder, http)?,
        Tool::Functions { bin } => print(&functions::record(&bin)?.join("\n")),
        Tool::Compare(flags) => run_comparison(&flags)?,
    }
    Ok(())
}

fn run_dns(load: &LoadFlags, address: SocketAddr) -> anyhow::Result<()> {
    fleet::services(load.http)?;
    for (service, kind, edns) in
        [(fleet::SMALL, "A", None), (fleet::LARGE, "SRV", None), (fleet::LARGE, "SRV", Some(4096))]
    {
        let rate = measure::dns(address, service, kind, edns, load.time())?;
        let size = edns.unwrap_or(512);
        let (speed, lost, empty) = (rate.per_second, rate.lost, rate.empty);
        print(&format!("{service} {kind}, {size} bytes: {speed:.0}/s, {lost} lost, {empty} without records"));
    }
    Ok(())
}

fn run_waiters(flags: &WaiterFlags) -> anyhow::Result<()> {
    let WaiterFlags { mode, http: address, pid, number, rounds } = *flags;
    let report = waiters::Waiters { address, number, rounds, mode, pid }.run()?;
    if let Some(bytes) = report.bytes_each {
        print(&format!("{:.2} kB each", bytes / 1024.0));
    }
    let last: Vec<String> = report.last_ms.iter().map(|ms| format!("{ms:.1}")).collect();
    print(&format!("last answer after ms: {}", last.join(" ")));
    print(&format!("{} answers did not come, {} came without need", report.missed, report.needless));
    Ok(())
}

fn run_watchers(flags: &WatcherFlags) -> anyhow::Result<()> {
    for &templates in &flags.templates {
        for subject in &flags.watchers {
            let running = Running::registry(&flags.registry.bin)?;
            let report = watcher::run(running.http(), subject, templates)?;
            let watcher::Report { memory, memory_after, first, to_file_ms, to_file_p99_ms, processor } =
                report;
            let megabytes = |bytes: process::Bytes| bytes as f64 / measure::MEGABYTE;
            print(&format!(
                "{}, {templates} templates: {:.1} MB, {:.1} MB after the changes; all files after {first:.2?}; put to \
                 file {to_file_ms:.2} ms, p99 {to_file_p99_ms:.2} ms; {processor:.2?} of a processor for 1,000 changes",
                subject.name,
                megabytes(memory),
                megabytes(memory_after),
            ));
        }
    }
    Ok(())
}

fn run_comparison(flags: &CompareFlags) -> anyhow::Result<()> {
    let parts = if flags.only.is_empty() { Part::value_variants().to_vec() } else { flags.only.clone() };
    let effort = Effort { time: Duration::from_secs(flags.seconds), waiters: flags.waiters, parts };
    let comparison = Comparison {
        registries: &flags.registries,
        watchers: &flags.watchers,
        effort: &effort,
        rounds: flags.rounds,
    };
    print(&comparison.run()?);
    Ok(())
}

fn print_speed(what: &str, speed: &Speed) {
    let Speed { per_second, median_ms, p99_ms, refused } = speed;
    print(&format!(
        "{what}: {per_second:.0}/s, median {median_ms:.2} ms, p99 {p99_ms:.2} ms, {refused} refused"
    ));
}

#[expect(clippy::print_stdout, reason = "what was measured")]
fn print(text: &str) {
    println!("{text}");
}
