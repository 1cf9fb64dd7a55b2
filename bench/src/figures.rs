//! The figures, in the order of the table, and what each should be.

use crate::measure::Values;

/// One figure.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Its key in [`Values`].
    pub(crate) key: &'static str,
    /// Its row's title, with the unit.
    pub(crate) title: &'static str,
    /// What it should be.
    pub(crate) goal: Goal,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// This much or less.
    AtMost(f64),
    /// So many times the peer's, or more; the peer is the second subject.
    OfPeer(f64),
    /// This share of what the machine can do, or more, by the limit's key.
    OfLimit(f64, &'static str),
    /// None; it explains others.
    Open,
}

impl Goal {
    /// As a cell of the table.
    pub(crate) fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most}"),
            Self::OfPeer(times) => format!("≥ {times} × peer"),
            Self::OfLimit(share, limit) => {
                let title = title(limit);
                format!("≥ {share} × {}", title.split(',').next().unwrap_or(title))
            }
            Self::Open => String::new(),
        }
    }

    /// Whether a value reaches it; `None` when there is nothing to compare with.
    pub(crate) fn is_met(self, value: f64, peer: Option<f64>, limits: &Values) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value <= most),
            Self::OfPeer(times) => Some(value >= times * peer?),
            Self::OfLimit(share, limit) => Some(value >= share * limits.get(limit)?),
            Self::Open => None,
        }
    }
}

/// The title of a figure's row; its key, if it has none.
pub(crate) fn title(key: &'static str) -> &'static str {
    FIGURES.iter().find(|figure| figure.key == key).map_or(key, |figure| figure.title)
}

const fn row(key: &'static str, title: &'static str, goal: Goal) -> Figure {
    Figure { key, title, goal }
}

/// All figures.
pub(crate) const FIGURES: &[Figure] = &[
    row("limit_syncs", "fdatasync, per s", Goal::Open),
    row("limit_http", "HAProxy's static answer, 64 clients, per s", Goal::Open),
    row("limit_dns", "unbound's own A record, per s", Goal::Open),
    row("limit_put_1", "hyper and a file alone: 1 client, flushed writes per s", Goal::Open),
    row("limit_put_64", "hyper and a file alone: 64 clients, flushed writes per s", Goal::Open),
    row("limit_waiters_bare", "waiters on bare sockets: last answer, ms", Goal::Open),
    row("limit_waiters_hyper", "waiters on hyper alone: last answer, ms", Goal::Open),
    row("binary", "binary, MB", Goal::AtMost(15.0)),
    row("start", "start to first durable write, s", Goal::AtMost(0.1)),
    row("idle_memory", "memory, registry idle, MB", Goal::AtMost(12.0)),
    row("loaded_memory", "memory after all loads, MB", Goal::AtMost(30.0)),
    row("agent_memory", "memory, agent with 20 checks, MB", Goal::AtMost(8.0)),
    row("agent_idle_cpu", "agent with 20 checks, % of a processor", Goal::AtMost(0.2)),
    row("agent_disk", "agent with 20 checks, disk writes, kB/min", Goal::AtMost(0.0)),
    row("agent_busy_cpu", "agent with 200 checks a second, % of a processor", Goal::AtMost(10.0)),
    row("agent_busy_memory", "memory, agent with 200 checks a second, MB", Goal::Open),
    row("idle_disk", "idle disk writes, kB/min", Goal::AtMost(0.0)),
    row("put_1", "KV put, 1 client, per s", Goal::OfLimit(0.7, "limit_syncs")),
    row("put_1_p99", "KV put, 1 client, p99 ms", Goal::Open),
    row("put_64", "KV put, 64 clients, per s", Goal::OfPeer(5.0)),
    row("put_64_p99", "KV put, 64 clients, p99 ms", Goal::Open),
    row("get", "KV get, 64 clients, per s", Goal::OfLimit(0.8, "limit_http")),
    row("get_p99", "KV get, 64 clients, p99 ms", Goal::Open),
    row("get_stale", "KV get stale, 64 clients, per s", Goal::OfLimit(0.8, "limit_http")),
    row("get_stale_p99", "KV get stale, 64 clients, p99 ms", Goal::Open),
    row("get_consistent", "KV get consistent, 64 clients, per s", Goal::OfLimit(0.7, "limit_http")),
    row("get_consistent_p99", "KV get consistent, 64 clients, p99 ms", Goal::Open),
    row("health", "health of 50 instances, 64 clients, per s", Goal::OfPeer(12.0)),
    row("health_p99", "health of 50 instances, 64 clients, p99 ms", Goal::Open),
    row("dns_a", "DNS A, per s", Goal::OfLimit(0.9, "limit_dns")),
    row("dns_srv", "DNS SRV of 50 instances, 512 bytes, per s", Goal::OfPeer(15.0)),
    row("dns_srv_edns", "DNS SRV of 50 instances, EDNS 4096, per s", Goal::OfPeer(15.0)),
    row("refused", "loads: errors and lost answers", Goal::AtMost(0.0)),
    row("waiter_memory", "memory per held query, kB", Goal::AtMost(8.0)),
    row("waiters_key", "waiters on one key: last answer, ms", Goal::AtMost(150.0)),
    row("waiters_service", "waiters on one service: last answer, ms", Goal::AtMost(150.0)),
    row("waiters_services", "waiters on the list of services: last answer, ms", Goal::AtMost(150.0)),
    row("waiters_missed", "waiters: answers that did not come", Goal::AtMost(0.0)),
    row("waiters_needless", "waiters: woken without need", Goal::AtMost(0.0)),
    row("cluster_failover", "three servers, leader killed: first write again, ms", Goal::AtMost(1500.0)),
    row(
        "cluster_agent",
        "three servers, one killed: an agent's first answer again, ms",
        Goal::AtMost(1000.0),
    ),
    row("cluster_put", "three servers: KV put at the leader, 64 clients, per s", Goal::Open),
    row("cluster_put_follower", "three servers: KV put at a follower, 64 clients, per s", Goal::Open),
    row("cluster_catch_up", "three servers: an empty one has 100,000 keys, s", Goal::Open),
    row("cluster_memory", "three servers with 100,000 keys: memory of the largest, MB", Goal::Open),
    row("agents_memory", "simulated agents: memory of the largest server, MB", Goal::Open),
    row("agents_cpu", "simulated agents: % of a processor of the busiest server", Goal::Open),
    row("agents_failed", "simulated agents: calls that failed", Goal::AtMost(0.0)),
    row("watcher_memory_1", "watcher, 1 template: memory, MB", Goal::AtMost(4.0)),
    row("watcher_memory_100", "watcher, 100 templates: memory, MB", Goal::AtMost(8.0)),
    row("watcher_memory_1000", "watcher, 1,000 templates: memory, MB", Goal::Open),
    row("watcher_file_1", "watcher, 1 template: put to new file, ms", Goal::AtMost(2.0)),
    row("watcher_p99_1", "watcher, 1 template: put to new file, p99 ms", Goal::Open),
    row("watcher_file_100", "watcher, 100 templates: put to new file, ms", Goal::AtMost(2.0)),
    row("watcher_p99_100", "watcher, 100 templates: put to new file, p99 ms", Goal::Open),
    row("watcher_file_1000", "watcher, 1,000 templates: put to new file, ms", Goal::Open),
    row("watcher_p99_1000", "watcher, 1,000 templates: put to new file, p99 ms", Goal::Open),
    row("watcher_cpu_1", "watcher, 1 template: CPU of 1,000 changes, s", Goal::AtMost(0.3)),
    row("watcher_cpu_100", "watcher, 100 templates: CPU of 1,000 changes, s", Goal::AtMost(0.3)),
    row("watcher_cpu_1000", "watcher, 1,000 templates: CPU of 1,000 changes, s", Goal::Open),
];

#[cfg(test)]
mod tests {
    use super::{FIGURES, Goal};
    use crate::measure::Values;

    #[test]
    fn goals_are_told_by_what_they_compare_with() {
        let limits = Values::from([("limit_syncs", 100.0)]);
        assert_eq!(Goal::OfLimit(0.7, "limit_syncs").text(), "≥ 0.7 × fdatasync");
        assert_eq!(Goal::OfLimit(0.7, "limit_syncs").is_met(69.0, None, &limits), Some(false));
        assert_eq!(Goal::OfLimit(0.7, "limit_dns").is_met(69.0, None, &limits), None);
        assert_eq!(Goal::OfPeer(5.0).is_met(50.0, Some(10.0), &limits), Some(true));
        assert_eq!(Goal::OfPeer(5.0).is_met(50.0, None, &limits), None);
    }

    #[test]
    fn limits_that_goals_name_are_figures() {
        for figure in FIGURES {
            if let Goal::OfLimit(_, limit) = figure.goal {
                assert!(FIGURES.iter().any(|other| other.key == limit), "{limit}");
            }
        }
    }
}
