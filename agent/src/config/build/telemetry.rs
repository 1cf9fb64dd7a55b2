//! The `telemetry` block.

use std::{path::PathBuf, time::Duration};

use telemetry::{Filters, Settings};

use super::{Reader, host_name};

/// Reads the block; a filter rule that is none is a warning, in Consul's words.
pub(super) fn read(r: &mut Reader<'_>, warnings: &mut Vec<String>) -> Settings {
    let mut rules = Vec::new();
    for rule in r.texts("telemetry.prefix_filter") {
        match (rule.strip_prefix('+'), rule.strip_prefix('-')) {
            (Some(kept), _) => rules.push((kept.to_owned(), true)),
            (_, Some(refused)) => rules.push((refused.to_owned(), false)),
            _ if rule.is_empty() => warnings.push("Cannot have empty filter rule in prefix_filter".into()),
            _ => warnings.push(format!("Filter rule must begin with either '+' or '-': {rule:?}")),
        }
    }
    let prefix = r.text("telemetry.metrics_prefix").unwrap_or("consul").to_owned();
    Settings {
        prefix,
        hostname: Some(host_name()).filter(|_| !r.bool("telemetry.disable_hostname", false)),
        filters: Filters { rules, otherwise: r.bool("telemetry.filter_default", true) },
        prometheus_retention: r.duration("telemetry.prometheus_retention_time", Duration::ZERO),
        statsd: r.owned("telemetry.statsd_address"),
        statsite: r.owned("telemetry.statsite_address"),
        dogstatsd: r.owned("telemetry.dogstatsd_addr"),
        dogstatsd_tags: r.texts("telemetry.dogstatsd_tags"),
        host_metrics: r.bool("telemetry.enable_host_metrics", false),
        disk: r.owned("data_dir").map(PathBuf::from),
    }
}
