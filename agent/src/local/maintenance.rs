//! Maintenance mode: a critical check that takes a node or a service out of everybody's answers.

use registry_wire::catalog::HealthCheck;

use super::{Check, Folder, Item, KeptCheck, Local, Source, alias, name_service};

/// The type that such checks are shown with.
pub(super) const KIND: &str = "maintenance";
const NODE: &str = "_node_maintenance";
const SERVICE: &str = "_service_maintenance";

impl Local {
    /// Turns the node's maintenance mode on or off. Turning it on again keeps the first reason.
    pub(crate) fn node_maintenance(&self, enable: bool, reason: &str) {
        if !enable {
            self.remove_check(NODE);
            return;
        }
        self.put_maintenance(HealthCheck {
            check_id: NODE.into(),
            name: "Node Maintenance Mode".into(),
            notes: reason_or(reason, "node"),
            ..HealthCheck::default()
        });
    }

    /// The same for a service; `false` if there is none of this id.
    pub(crate) fn service_maintenance(&self, id: &str, enable: bool, reason: &str) -> bool {
        if !self.state().services.contains_key(id) {
            return false;
        }
        let check_id = format!("{SERVICE}:{id}");
        if enable {
            self.put_maintenance(HealthCheck {
                check_id,
                name: "Service Maintenance Mode".into(),
                notes: reason_or(reason, "service"),
                service_id: id.to_owned(),
                ..HealthCheck::default()
            });
        } else {
            self.remove_check(&check_id);
        }
        true
    }

    fn put_maintenance(&self, check: HealthCheck) {
        let check =
            HealthCheck { node: self.node.clone(), status: "critical".into(), kind: KIND.into(), ..check };
        let kept = KeptCheck { check: check.clone(), source: "remote".into(), ..KeptCheck::default() };
        if !self.hold(check) {
            return;
        }
        let id = kept.check.check_id.clone();
        self.kept(self.store.keep(Folder::Checks, &id, &kept), &id);
        self.changed();
    }

    /// Puts a check that runs nothing; `false` when it is there.
    pub(super) fn hold(&self, mut check: HealthCheck) -> bool {
        let mut state = self.state();
        let id = check.check_id.clone();
        if state.checks.contains_key(&id) {
            return false;
        }
        name_service(&mut check, &state.services);
        let held = Check {
            check,
            runs: None,
            running: None,
            source: Source::Api,
            critical_since: None,
            output_due: None,
        };
        state.checks.insert(id.clone(), held);
        state.unsynced.insert(Item::Check(id));
        alias::evaluate(&mut state, &self.node);
        true
    }
}

/// Whether a check is one of maintenance mode.
pub(crate) fn is_maintenance(check_id: &str) -> bool {
    check_id == NODE || check_id.starts_with(SERVICE)
}

fn reason_or(reason: &str, of: &str) -> String {
    if reason.is_empty() {
        return format!(
            "Maintenance mode is enabled for this {of}, but no reason was provided. This is a default message."
        );
    }
    reason.to_owned()
}
