//! What only several servers need: `autopilot`, and how patient they are with a leader.

use std::time::Duration;

use super::Reader;
use crate::config::{ConfigError, settings::Autopilot};

/// The block `autopilot`; what it leaves out has Consul's default. `None` without it.
pub(super) fn autopilot(r: &mut Reader<'_>) -> Result<Option<Autopilot>, ConfigError> {
    if !r.has("autopilot") {
        return Ok(None);
    }
    let trailing: i64 = r.number("autopilot.max_trailing_logs", 250);
    Ok(Some(Autopilot {
        cleanup_dead_servers: r.bool("autopilot.cleanup_dead_servers", true),
        last_contact_threshold: r.duration("autopilot.last_contact_threshold", Duration::from_millis(200)),
        max_trailing_logs: u64::try_from(trailing).map_err(|_| {
            ConfigError::new(format!(
                "autopilot.max_trailing_logs cannot be {trailing}. Must be greater than or equal to zero"
            ))
        })?,
        min_quorum: r.number("autopilot.min_quorum", 0),
        server_stabilization_time: r.duration("autopilot.server_stabilization_time", Duration::from_secs(10)),
    }))
}

/// `performance.raft_multiplier`, 1 to 10.
pub(super) fn raft_multiplier(r: &mut Reader<'_>) -> Result<u32, ConfigError> {
    let given: i64 = r.number("performance.raft_multiplier", 1);
    let fitting = u32::try_from(given).ok().filter(|multiplier| (1..=10).contains(multiplier));
    fitting.ok_or_else(|| {
        ConfigError::new(format!("performance.raft_multiplier cannot be {given}. Must be between 1 and 10"))
    })
}
