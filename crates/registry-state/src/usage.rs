//! How much the state holds.

use crate::State;

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys.
    pub keys: usize,
    /// Nodes.
    pub nodes: usize,
    /// Services, by their names in any case.
    pub services: usize,
    /// Instances of services.
    pub instances: usize,
    /// Sessions.
    pub sessions: usize,
}

impl State {
    /// Counts what is there; takes a moment for each service.
    pub fn usage(&self) -> Usage {
        let mut names: Vec<_> = self.catalog.by_name.keys().map(|(service, ..)| service).collect();
        names.dedup();
        Usage {
            keys: self.kv.entries.len(),
            nodes: self.catalog.nodes.len(),
            services: names.len(),
            instances: self.catalog.services.len(),
            sessions: self.sessions.by_id.len(),
        }
    }
}
