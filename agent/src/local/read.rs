//! What others read of the agent's services and checks.

use registry_wire::catalog::{HealthCheck, NodeService};

use super::Local;

impl Local {
    /// All services, in order of their ids.
    pub(crate) fn services(&self) -> Vec<NodeService> {
        self.state().services.values().map(|held| held.service.clone()).collect()
    }

    /// All checks, in order of their ids.
    pub(crate) fn checks(&self) -> Vec<HealthCheck> {
        self.state().checks.values().map(|held| held.check.clone()).collect()
    }
}
