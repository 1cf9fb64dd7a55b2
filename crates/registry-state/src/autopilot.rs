//! The operator's settings for how servers look after each other. Kept and shown; one server needs none of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Index, Outcome, State, Stored, Topic,
    state::{Change, START, done},
};

/// The settings: `/v1/operator/autopilot/configuration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Autopilot {
    /// Whether servers that are gone are taken out of the cluster.
    pub cleanup_dead_servers: bool,
    /// How long a healthy server may not have heard of the leader, in nanoseconds.
    pub last_contact_threshold_ns: i64,
    /// How many entries a healthy server may lag behind.
    pub max_trailing_logs: u64,
    /// Below how many servers none is taken out.
    pub min_quorum: u64,
    /// How long a new server must have been healthy, in nanoseconds.
    pub server_stabilization_ns: i64,
    /// Enterprise; kept.
    pub redundancy_zone_tag: String,
    /// Enterprise; kept.
    pub disable_upgrade_migration: bool,
    /// Enterprise; kept.
    pub upgrade_version_tag: String,
}

impl Default for Autopilot {
    fn default() -> Self {
        Self {
            cleanup_dead_servers: true,
            last_contact_threshold_ns: 200_000_000,
            max_trailing_logs: 250,
            min_quorum: 0,
            server_stabilization_ns: 10_000_000_000,
            redundancy_zone_tag: String::new(),
            disable_upgrade_migration: false,
            upgrade_version_tag: String::new(),
        }
    }
}

impl State {
    /// The settings of now; what was never set has its default and the index before all writes.
    pub fn autopilot(&self) -> Arc<Stored<Autopilot>> {
        let unset =
            || Arc::new(Stored { value: Autopilot::default(), create_index: START, modify_index: START });
        self.autopilot.clone().unwrap_or_else(unset)
    }

    pub(crate) fn autopilot_set(
        &mut self,
        change: &mut Change,
        to: &Autopilot,
        cas: Option<Index>,
    ) -> Outcome {
        let old = self.autopilot();
        if cas.is_some_and(|cas| cas != old.modify_index) {
            return done(false);
        }
        self.autopilot = Some(Stored::replacing(Some(&old), to.clone(), change.index));
        change.topics.add(Topic::Autopilot);
        done(true)
    }
}
