//! Alias checks: they say what other checks of this node say.

use super::{Check, Item, State};
use crate::{
    checks::{Observed, Status, worst},
    definition::Kind,
};

/// Brings all alias checks up to date; called after every change.
pub(super) fn evaluate(state: &mut State, node: &str) {
    let said: Vec<(String, Observed)> = state
        .checks
        .values()
        .filter_map(|held| {
            let runs = held.runs.as_ref().filter(|runs| runs.kind() == Some(Kind::Alias))?;
            if runs.is_of_other_node(node) {
                return None;
            }
            // Consul's text names the node that the check names, be it none.
            let says = verdict(state, &held.check.check_id, &runs.alias_service, &runs.alias_node);
            let same = held.check.status == says.status.name() && held.check.output == says.output;
            (!same).then(|| (held.check.check_id.clone(), says))
        })
        .collect();
    for (id, Observed { status, output }) in said {
        if let Some(held) = state.checks.get_mut(&id) {
            held.critical_since = (status == Status::Critical)
                .then(|| held.critical_since.unwrap_or_else(tokio::time::Instant::now));
            held.check.status = status.name().to_owned();
            held.check.output = output;
            state.unsynced.insert(Item::Check(id));
        }
    }
}

/// The worst of a service's checks and the node's; a check does not look at itself or at other aliases.
fn verdict(state: &State, own: &str, service: &str, node: &str) -> Observed {
    if !service.is_empty() && !state.services.contains_key(service) {
        return Observed {
            status: Status::Critical,
            output: format!("Service {service} could not be found on node {node}"),
        };
    }
    let counts = |held: &&Check| {
        let of = &held.check.service_id;
        held.check.check_id != own
            && (of.is_empty() || of == service)
            && held.runs.as_ref().is_none_or(|runs| runs.kind() != Some(Kind::Alias))
    };
    worst(state.checks.values().filter(counts).map(|held| &held.check))
}
