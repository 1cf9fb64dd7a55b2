//! One round of figures of one subject.

use std::{collections::BTreeMap, fs, net::SocketAddr, time::Duration};

use clap::ValueEnum;
use conformance::pause;

use crate::{
    agents, cluster,
    dns::{Questions, Rate},
    fleet,
    http::{
        self,
        load::{Load, Speed},
        waiters::{Mode, Waiters},
    },
    process,
    subject::{Running, Subject},
    watcher,
};

/// Figures by their key in [`crate::figures::FIGURES`].
pub(crate) type Values = BTreeMap<&'static str, f64>;

/// Clients of the loads that are not for one client.
pub(crate) const CLIENTS: usize = 64;
/// What the loads write.
pub(crate) const VALUE: [u8; 64] = [b'x'; 64];
/// Keys that the loads write and read.
const KEYS: usize = 1_000;
/// How long a program rests after its start before it is measured.
const SETTLE: Duration = Duration::from_secs(8);
/// How long it rests before it counts as idle: a server writes its own network coordinate once, up to 30 s after its start.
const IDLE_AFTER: Duration = Duration::from_secs(35);
/// How long idle writes to disk are counted.
const IDLE: Duration = Duration::from_secs(20);
pub(crate) const MEGABYTE: f64 = 1_048_576.0;
const KILOBYTE: f64 = 1_024.0;

/// Figures that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// What the machine can do at best.
    Limits,
    /// Memory and disk writes of a registry with nothing to do.
    Idle,
    /// Keys, written and read.
    Kv,
    /// The health of a service of fifty instances.
    Health,
    /// DNS questions.
    Dns,
    /// Held blocking queries.
    Waiters,
    /// Memory and processor time of an agent with services, idle and with many checks.
    Agent,
    /// Three servers: writes, a killed leader, an empty server.
    Cluster,
    /// Memory, delay and processor time of watchers.
    Watcher,
}

/// How hard to measure.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// For how long each load runs.
    pub(crate) time: Duration,
    /// How many blocking queries are held.
    pub(crate) waiters: usize,
    pub(crate) parts: Vec<Part>,
}

impl Effort {
    /// Whether a part is asked for.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// All parts of a registry and its agents.
    pub(crate) fn registry(&self, subject: &Subject) -> anyhow::Result<Values> {
        let mut values = Values::from([("binary", fs::metadata(&subject.bin)?.len() as f64 / 1e6)]);
        if [Part::Idle, Part::Kv, Part::Health, Part::Dns].iter().any(|part| self.wants(*part)) {
            let running = Running::registry(&subject.bin)?;
            values.insert("start", running.first_write.as_secs_f64());
            self.loads(&running, &mut values)?;
        }
        if self.wants(Part::Waiters) {
            self.waiters(subject, &mut values)?;
        }
        if self.wants(Part::Agent) {
            values.extend(agents::measure(subject)?);
        }
        if self.wants(Part::Cluster) {
            values.extend(cluster::measure(subject, self.time)?);
        }
        Ok(values)
    }

    fn loads(&self, running: &Running, values: &mut Values) -> anyhow::Result<()> {
        if self.wants(Part::Idle) {
            idle(running, values)?;
        }
        if self.wants(Part::Kv) {
            values.extend(self.keys(running.http())?);
        }
        if self.wants(Part::Health) || self.wants(Part::Dns) {
            fleet::services(running.http())?;
        }
        if self.wants(Part::Health) {
            let speed = health(running.http(), self.time)?;
            values.extend([("health", speed.per_second), ("health_p99", speed.p99_ms)]);
            refused(values, speed.refused);
        }
        if self.wants(Part::Dns) {
            for (key, service, kind, edns) in DNS_LOADS {
                let rate = dns(running.dns(), service, kind, edns, self.time)?;
                values.insert(key, rate.per_second);
                refused(values, rate.lost + rate.empty);
            }
        }
        values.insert("loaded_memory", megabytes(running.pid())?);
        Ok(())
    }

    fn keys(&self, address: SocketAddr) -> anyhow::Result<Values> {
        let mut values = Values::new();
        for (rate, slowest, what, clients) in KEY_LOADS {
            let speed = keys(address, what, clients, self.time)?;
            values.extend([(rate, speed.per_second), (slowest, speed.p99_ms)]);
            refused(&mut values, speed.refused);
        }
        Ok(values)
    }

    fn waiters(&self, subject: &Subject, values: &mut Values) -> anyhow::Result<()> {
        for (mode, each, last, needless) in WAITER_LOADS {
            let running = Running::registry(&subject.bin)?;
            pause(SETTLE / 4);
            let (address, pid) = (running.http(), Some(running.pid()));
            let report = Waiters { address, number: self.waiters, rounds: 5, mode, pid }.run()?;
            values
                .extend(report.bytes_each.filter(|_| !each.is_empty()).map(|bytes| (each, bytes / KILOBYTE)));
            if !last.is_empty() {
                values.insert(last, median(&report.last_ms));
            }
            *values.entry(needless).or_default() += report.needless as f64;
            *values.entry("waiters_missed").or_default() += report.missed as f64;
        }
        Ok(())
    }
}

/// What to send for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// Write small values.
    Put,
    /// Read them, as anyone does who gives no other wish.
    Get,
    /// Read what may be old.
    Stale,
    /// Read what is certainly new.
    Consistent,
}

const KEY_LOADS: [(&str, &str, Keys, usize); 5] = [
    ("put_1", "put_1_p99", Keys::Put, 1),
    ("put_64", "put_64_p99", Keys::Put, CLIENTS),
    ("get", "get_p99", Keys::Get, CLIENTS),
    ("get_stale", "get_stale_p99", Keys::Stale, CLIENTS),
    ("get_consistent", "get_consistent_p99", Keys::Consistent, CLIENTS),
];

const DNS_LOADS: [(&str, &str, &str, Option<u16>); 3] = [
    ("dns_a", fleet::SMALL, "A", None),
    ("dns_srv", fleet::LARGE, "SRV", None),
    ("dns_srv_edns", fleet::LARGE, "SRV", Some(4096)),
];

/// Mode, and the keys of memory for each, last answer and needless answers; empty where another mode tells it.
const WAITER_LOADS: [(Mode, &str, &str, &str); 5] = [
    (Mode::Key, "waiter_memory", "waiters_key", "waiters_needless"),
    (Mode::Service, "", "waiters_service", "waiters_needless"),
    (Mode::Services, "", "waiters_services", "waiters_needless"),
    (Mode::OtherKeys, "", "", "waiters_needless"),
    (Mode::OtherServices, "", "", "waiters_needless"),
];

/// Writes or reads a thousand keys in turn.
pub(crate) fn keys(address: SocketAddr, what: Keys, clients: usize, time: Duration) -> anyhow::Result<Speed> {
    let value = String::from_utf8_lossy(&VALUE);
    let request = |key: usize| match what {
        Keys::Put => http::put(&format!("/v1/kv/bench/w{key}"), &value),
        Keys::Get => http::get(&format!("/v1/kv/bench/w{key}")),
        Keys::Stale => http::get(&format!("/v1/kv/bench/w{key}?stale")),
        Keys::Consistent => http::get(&format!("/v1/kv/bench/w{key}?consistent")),
    };
    Load { address, clients, time, requests: (0..KEYS).map(request).collect() }.run()
}

/// Reads the passing instances of the large service, which [`fleet::services`] has registered.
pub(crate) fn health(address: SocketAddr, time: Duration) -> anyhow::Result<Speed> {
    let requests = vec![http::get(&format!("/v1/health/service/{}?passing", fleet::LARGE))];
    Load { address, clients: CLIENTS, time, requests }.run()
}

/// Asks for a service by DNS.
pub(crate) fn dns(
    address: SocketAddr,
    service: &str,
    kind: &str,
    edns: Option<u16>,
    time: Duration,
) -> anyhow::Result<Rate> {
    Questions { address, name: format!("{service}.service.consul"), kind: kind.into(), edns, time }.run()
}

/// Numbers of templates, each with the keys of its figures.
pub(crate) const TEMPLATES: [(usize, [&str; 4]); 3] = [
    (1, ["watcher_memory_1", "watcher_file_1", "watcher_p99_1", "watcher_cpu_1"]),
    (100, ["watcher_memory_100", "watcher_file_100", "watcher_p99_100", "watcher_cpu_100"]),
    (1_000, ["watcher_memory_1000", "watcher_file_1000", "watcher_p99_1000", "watcher_cpu_1000"]),
];

/// All figures of a watcher; the registry beside it is fresh each time.
pub(crate) fn watcher(registry: &Subject, watcher: &Subject) -> anyhow::Result<Values> {
    let mut values = Values::new();
    for (templates, [memory, to_file, p99, processor]) in TEMPLATES {
        let running = Running::registry(&registry.bin)?;
        let report = watcher::run(running.http(), watcher, templates)?;
        values.insert(memory, report.memory as f64 / MEGABYTE);
        values.insert(to_file, report.to_file_ms);
        values.insert(p99, report.to_file_p99_ms);
        values.insert(processor, report.processor.as_secs_f64());
    }
    Ok(values)
}

fn idle(running: &Running, values: &mut Values) -> anyhow::Result<()> {
    pause(IDLE_AFTER);
    let before = process::written(running.pid())?;
    pause(IDLE);
    let written = process::written(running.pid())? - before;
    let minutes = IDLE.as_secs_f64() / 60.0;
    values.insert("idle_disk", written as f64 / KILOBYTE / minutes);
    values.insert("idle_memory", megabytes(running.pid())?);
    Ok(())
}

fn megabytes(pid: u32) -> anyhow::Result<f64> {
    Ok(process::memory(pid)? as f64 / MEGABYTE)
}

/// Counts what was lost or answered otherwise than it should have been.
fn refused(values: &mut Values, count: u64) {
    *values.entry("refused").or_default() += count as f64;
}

/// The middle of some values, NaN when there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.len()) {
        (None, _) => f64::NAN,
        (Some(middle), length) if length % 2 == 1 => *middle,
        (Some(upper), length) => f64::midpoint(sorted[length / 2 - 1], *upper),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
