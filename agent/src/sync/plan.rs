//! What must be done so that the catalog says what the agent has: pure.

use std::collections::BTreeMap;

use registry_wire::catalog::{HealthCheck, NodeService, no_proxy};
use serde_json::Value;

use super::Snapshot;

/// The service that every server has, kept by the registry itself.
const SERVER_SERVICE: &str = "consul";
/// The node's own health, kept by the registry's leases.
const NODE_HEALTH: &str = "serfHealth";

/// What the catalog says of the node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Catalog {
    pub(super) services: Vec<NodeService>,
    pub(super) checks: Vec<HealthCheck>,
}

/// One call that brings the catalog nearer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Register a service with those of its checks that differ.
    Service(Box<NodeService>, Vec<HealthCheck>),
    /// Register checks whose services are as they should be.
    Checks(Vec<HealthCheck>),
    /// Remove a service, and its checks with it.
    RemoveService(String),
    /// Remove a check.
    RemoveCheck(String),
    /// Take over the catalog's tags of a service.
    AdoptTags(String, Vec<String>),
}

/// The steps from `catalog` to `local`, and the checks of which only the output differs.
///
/// Such an output travels when `output_is_due` says so for the check's id, or with the next change of its status.
pub(super) fn plan(
    local: &Snapshot,
    catalog: &Catalog,
    output_is_due: impl Fn(&str) -> bool,
) -> (Vec<Step>, Vec<String>) {
    let mut steps = Vec::new();
    let mut only_output = Vec::new();
    let mut checks = differing(local, catalog, output_is_due, &mut only_output);
    for service in &local.services {
        let known = catalog.services.iter().find(|known| known.id.eq_ignore_ascii_case(&service.id));
        let mut wanted = service.clone();
        if let Some(known) = known.filter(|_| service.enable_tag_override)
            && tags(known) != tags(service)
        {
            wanted.tags.clone_from(&known.tags);
            steps.push(Step::AdoptTags(service.id.clone(), tags(known).to_vec()));
        }
        if !known.is_some_and(|known| same_service(known, &wanted)) {
            let own = checks.remove(&service.id).unwrap_or_default();
            steps.push(Step::Service(Box::new(wanted), own));
        }
    }
    let rest: Vec<_> = checks.into_values().flatten().collect();
    if !rest.is_empty() {
        steps.push(Step::Checks(rest));
    }
    steps.extend(removals(local, catalog));
    (steps, only_output)
}

/// The checks that the catalog lacks or has otherwise, by their service.
fn differing(
    local: &Snapshot,
    catalog: &Catalog,
    output_is_due: impl Fn(&str) -> bool,
    only_output: &mut Vec<String>,
) -> BTreeMap<String, Vec<HealthCheck>> {
    let mut differing: BTreeMap<String, Vec<HealthCheck>> = BTreeMap::new();
    for check in &local.checks {
        let known = catalog.checks.iter().find(|known| known.check_id.eq_ignore_ascii_case(&check.check_id));
        match known {
            Some(known) if same_check(known, check) && known.output == check.output => continue,
            Some(known) if same_check(known, check) && !output_is_due(&check.check_id) => {
                only_output.push(check.check_id.clone());
                continue;
            }
            _ => differing.entry(check.service_id.clone()).or_default().push(check.clone()),
        }
    }
    differing
}

/// What the catalog has and the agent does not.
fn removals(local: &Snapshot, catalog: &Catalog) -> Vec<Step> {
    let has_service = |id: &str| local.services.iter().any(|service| service.id.eq_ignore_ascii_case(id));
    let kept = |id: &str| has_service(id) || (local.server && id == SERVER_SERVICE);
    let has_check = |id: &str| local.checks.iter().any(|check| check.check_id.eq_ignore_ascii_case(id));
    let services = catalog.services.iter().map(|service| &service.id).filter(|id| !kept(id));
    // A check goes with its service.
    let checks = catalog.checks.iter().filter(|check| {
        let service_stays = check.service_id.is_empty() || kept(&check.service_id);
        service_stays && check.check_id != NODE_HEALTH && !has_check(&check.check_id)
    });
    let services = services.cloned().map(Step::RemoveService);
    services.chain(checks.map(|check| Step::RemoveCheck(check.check_id.clone()))).collect()
}

fn tags(service: &NodeService) -> &[String] {
    service.tags.as_deref().unwrap_or_default()
}

/// Whether two records say the same; indexes do not count, and nothing is the same as an empty list.
fn same_service(known: &NodeService, wanted: &NodeService) -> bool {
    let pairs = |service: &NodeService| service.meta.clone().unwrap_or_default();
    let addresses = |service: &NodeService| service.tagged_addresses.clone().unwrap_or_default();
    known.id == wanted.id
        && known.service == wanted.service
        && known.kind == wanted.kind
        && tags(known) == tags(wanted)
        && known.address == wanted.address
        && addresses(known) == addresses(wanted)
        && pairs(known) == pairs(wanted)
        && known.port == wanted.port
        && known.socket_path == wanted.socket_path
        && known.weights == wanted.weights
        && known.enable_tag_override == wanted.enable_tag_override
        && known.locality == wanted.locality
        && same_data(&known.proxy, &wanted.proxy)
        && same_data(&known.connect, &wanted.connect)
}

fn same_data(known: &Value, wanted: &Value) -> bool {
    let empty =
        |value: &Value| *value == Value::Null || *value == no_proxy() || *value == serde_json::json!({});
    known == wanted || (empty(known) && empty(wanted))
}

/// Whether two checks say the same but for their output.
fn same_check(known: &HealthCheck, wanted: &HealthCheck) -> bool {
    known.check_id == wanted.check_id
        && known.name == wanted.name
        && known.status == wanted.status
        && known.notes == wanted.notes
        && known.service_id == wanted.service_id
        && known.kind == wanted.kind
        && known.interval == wanted.interval
        && known.timeout == wanted.timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(id: &str) -> NodeService {
        NodeService { id: id.into(), service: id.into(), ..NodeService::default() }
    }

    fn check(id: &str, service: &str, status: &str, output: &str) -> HealthCheck {
        HealthCheck {
            check_id: id.into(),
            service_id: service.into(),
            status: status.into(),
            output: output.into(),
            ..HealthCheck::default()
        }
    }

    fn local(services: &[NodeService], checks: &[HealthCheck]) -> Snapshot {
        Snapshot { services: services.to_vec(), checks: checks.to_vec(), ..Snapshot::default() }
    }

    fn catalog(services: &[NodeService], checks: &[HealthCheck]) -> Catalog {
        Catalog { services: services.to_vec(), checks: checks.to_vec() }
    }

    fn steps(local: &Snapshot, catalog: &Catalog) -> Vec<Step> {
        plan(local, catalog, |_| false).0
    }

    #[test]
    fn nothing_to_do_when_both_say_the_same() {
        let seen = NodeService {
            tags: Some(vec![]),
            meta: Some(BTreeMap::new()),
            proxy: no_proxy(),
            connect: serde_json::json!({}),
            create_index: 7,
            modify_index: 9,
            ..service("web")
        };
        let health = check("serfHealth", "", "passing", "Agent alive and reachable");
        let ours = check("c", "web", "passing", "fine");
        let known = catalog(&[seen], &[health, HealthCheck { modify_index: 9, ..ours.clone() }]);
        assert_eq!(steps(&local(&[service("web")], &[ours]), &known), []);
    }

    #[test]
    fn a_missing_service_comes_with_its_checks() {
        let own = check("c", "web", "critical", "");
        let node = check("n", "", "passing", "");
        let found = steps(&local(&[service("web")], &[own.clone(), node.clone()]), &Catalog::default());
        assert_eq!(found, [Step::Service(Box::new(service("web")), vec![own]), Step::Checks(vec![node])]);
    }

    #[test]
    fn edits_of_others_are_undone() {
        let moved = NodeService { port: 81, ..service("web") };
        let ours = NodeService { port: 80, ..service("web") };
        let found =
            steps(&local(std::slice::from_ref(&ours), &[]), &catalog(&[moved, service("stray")], &[]));
        assert_eq!(found, [Step::Service(Box::new(ours), vec![]), Step::RemoveService("stray".into())]);
    }

    #[test]
    fn what_the_registry_keeps_stays() {
        let health = check("serfHealth", "", "passing", "");
        let stray = check("stray", "", "passing", "");
        let known = catalog(&[service("consul")], &[health, stray]);
        let server = Snapshot { server: true, ..Snapshot::default() };
        assert_eq!(steps(&server, &known), [Step::RemoveCheck("stray".into())]);
        let client = Snapshot::default();
        assert_eq!(
            steps(&client, &known),
            [Step::RemoveService("consul".into()), Step::RemoveCheck("stray".into())]
        );
    }

    #[test]
    fn a_check_of_a_removed_service_goes_with_it() {
        let known = catalog(&[service("web")], &[check("c", "web", "passing", "")]);
        assert_eq!(steps(&Snapshot::default(), &known), [Step::RemoveService("web".into())]);
    }

    #[test]
    fn an_output_alone_waits_until_it_is_due() {
        let (old, new) = (check("c", "", "passing", "1"), check("c", "", "passing", "2"));
        let (ours, known) = (local(&[], std::slice::from_ref(&new)), catalog(&[], &[old]));
        assert_eq!(plan(&ours, &known, |_| false), (vec![], vec!["c".to_owned()]));
        assert_eq!(plan(&ours, &known, |id| id == "c"), (vec![Step::Checks(vec![new])], vec![]));
    }

    #[test]
    fn a_new_status_takes_its_output_along() {
        let (old, new) = (check("c", "", "passing", "1"), check("c", "", "critical", "2"));
        assert_eq!(
            steps(&local(&[], std::slice::from_ref(&new)), &catalog(&[], &[old])),
            [Step::Checks(vec![new])]
        );
    }

    #[test]
    fn tags_of_others_are_taken_over_when_allowed() {
        let ours = NodeService { enable_tag_override: true, tags: Some(vec!["a".into()]), ..service("web") };
        let theirs = NodeService { tags: Some(vec!["b".into()]), ..ours.clone() };
        let found = steps(&local(&[ours], &[]), &catalog(&[theirs], &[]));
        assert_eq!(found, [Step::AdoptTags("web".into(), vec!["b".into()])]);
    }
}
