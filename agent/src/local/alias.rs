//! Alias checks: they say what other checks of this node say.

use super::{Check, Item, State};
use crate::definition::Kind;

/// Brings all alias checks up to date; called after every change.
pub(super) fn evaluate(state: &mut State, node: &str) {
    let said: Vec<(String, &'static str, String)> = state
        .checks
        .values()
        .filter_map(|held| {
            let runs = held.runs.as_ref().filter(|runs| runs.kind() == Some(Kind::Alias))?;
            let (status, output) = verdict(state, &held.check.check_id, &runs.alias_service, node);
            let same = held.check.status == status && held.check.output == output;
            (!same).then(|| (held.check.check_id.clone(), status, output))
        })
        .collect();
    for (id, status, output) in said {
        if let Some(held) = state.checks.get_mut(&id) {
            held.critical_since =
                (status == "critical").then(|| held.critical_since.unwrap_or_else(tokio::time::Instant::now));
            held.check.status = status.to_owned();
            held.check.output = output;
            state.unsynced.insert(Item::Check(id));
        }
    }
}

/// The worst of a service's checks and the node's; a check does not look at itself or at other aliases of it.
fn verdict(state: &State, own: &str, service: &str, node: &str) -> (&'static str, String) {
    if !service.is_empty() && !state.services.contains_key(service) {
        return ("critical", format!("Service {service} could not be found on node {node}"));
    }
    let counts = |held: &&Check| {
        let of = &held.check.service_id;
        held.check.check_id != own
            && (of.is_empty() || of == service)
            && held.runs.as_ref().is_none_or(|runs| runs.kind() != Some(Kind::Alias))
    };
    let mut worst = None;
    let mut any = false;
    for held in state.checks.values().filter(counts) {
        any = true;
        let told = || format!("Aliased check {:?} failing: {}", held.check.name, held.check.output);
        match held.check.status.as_str() {
            "critical" => return ("critical", told()),
            "warning" => worst = Some(("warning", told())),
            _ => {}
        }
    }
    worst.unwrap_or_else(|| match any {
        true => ("passing", "All checks passing.".into()),
        false => ("passing", "No checks found.".into()),
    })
}
