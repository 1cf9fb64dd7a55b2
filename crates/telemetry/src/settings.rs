//! The `telemetry` block of the configuration, checked.

use std::{path::PathBuf, time::Duration};

/// How names are written, which are kept, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `metrics_prefix`: `consul`.
    pub prefix: String,
    /// The host's name, which stands in gauges' names: `consul.web1.runtime.alloc_bytes`. `None` is `disable_hostname`.
    pub hostname: Option<String>,
    /// `prefix_filter` and `filter_default`.
    pub filters: Filters,
    /// `prometheus_retention_time`: how long a series that rests is shown; zero turns the format off.
    pub prometheus_retention: Duration,
    /// `statsd_address`: `127.0.0.1:8125`, over UDP.
    pub statsd: Option<String>,
    /// `statsite_address`: `127.0.0.1:8125`, over TCP.
    pub statsite: Option<String>,
    /// `dogstatsd_addr`: `127.0.0.1:8125`, over UDP.
    pub dogstatsd: Option<String>,
    /// `dogstatsd_tags`: `region:eu`, on everything sent there.
    pub dogstatsd_tags: Vec<String>,
    /// `enable_host_metrics`: processors, memory and uptime of the machine too.
    pub host_metrics: bool,
    /// A path on the disk that these metrics tell of: the data folder.
    pub disk: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "consul".to_owned(),
            hostname: None,
            filters: Filters::default(),
            prometheus_retention: Duration::ZERO,
            statsd: None,
            statsite: None,
            dogstatsd: None,
            dogstatsd_tags: Vec::new(),
            host_metrics: false,
            disk: None,
        }
    }
}

/// Which names are kept: the longest rule that a name begins with decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Beginnings with what they decide: true keeps.
    pub rules: Vec<(String, bool)>,
    /// What holds for all other names: `filter_default`.
    pub otherwise: bool,
}

impl Default for Filters {
    fn default() -> Self {
        Self { rules: Vec::new(), otherwise: true }
    }
}

impl Filters {
    /// Whether a whole name, `consul.raft.apply`, is kept.
    pub fn keeps(&self, name: &str) -> bool {
        let fitting = self.rules.iter().filter(|(prefix, _)| name.starts_with(prefix.as_str()));
        // Of two equal rules the one that refuses wins, in whatever order they stand.
        let decisive = fitting.max_by_key(|(prefix, keep)| (prefix.len(), !keep));
        decisive.map_or(self.otherwise, |(_, keep)| *keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_decides() {
        let rules = [
            ("consul.rpc", false),
            ("consul.rpc.query", true),
            ("consul.raft", true),
            ("consul.raft", false),
        ];
        let rules = rules.map(|(prefix, keep)| (prefix.to_owned(), keep)).to_vec();
        let filters = Filters { rules, otherwise: true };
        assert!(filters.keeps("consul.rpc.query") && filters.keeps("consul.kvs.apply"));
        assert!(!filters.keeps("consul.rpc.request") && !filters.keeps("consul.raft.apply"));
        assert!(!Filters { otherwise: false, ..Filters::default() }.keeps("consul.kvs.apply"));
    }
}
