//! What to tell the catalog. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use registry_wire::catalog::{HealthCheck, NodeService, ServiceAddress, TextMap};

use crate::local::{Item, Snapshot};

/// The check that the registry keeps by the node's lease.
const LEASE_CHECK: &str = "serfHealth";
/// The service that a server is registered as.
const SERVER_SERVICE: &str = "consul";

/// What the catalog says about this node.
#[derive(Debug, Default)]
pub(super) struct Remote {
    pub(super) services: BTreeMap<String, NodeService>,
    pub(super) checks: BTreeMap<String, HealthCheck>,
}

/// One thing to tell the catalog.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Register a service together with these checks of it.
    Service(String, Vec<String>),
    /// Register a check.
    Check(String),
    /// Deregister a service with its checks.
    DropService(String),
    /// Deregister a check.
    DropCheck(String),
}

/// What the whole comparison gives.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Tags that the catalog is right about: `enable_tag_override`.
    pub(super) tags: Vec<(String, Option<Vec<String>>)>,
}

/// Compares everything.
pub(super) fn full(local: &Snapshot, remote: &Remote, server: bool) -> Plan {
    let mut plan = Plan::default();
    let dropped: BTreeSet<&str> = remote
        .services
        .keys()
        .map(String::as_str)
        .filter(|id| !local.services.contains_key(*id) && (!server || *id != SERVER_SERVICE))
        .collect();
    plan.steps.extend(dropped.iter().map(|id| Step::DropService((*id).to_owned())));
    for (id, check) in &remote.checks {
        let with_its_service = dropped.contains(check.service_id.as_str());
        let servers_own = server && check.service_id == SERVER_SERVICE;
        if !local.checks.contains_key(id) && id != LEASE_CHECK && !with_its_service && !servers_own {
            plan.steps.push(Step::DropCheck(id.clone()));
        }
    }
    let mut checks_of: HashMap<&str, Vec<String>> = HashMap::new();
    for (id, check) in &local.checks {
        checks_of.entry(&check.service_id).or_default().push(id.clone());
    }
    let mut told = BTreeSet::new();
    for (id, service) in &local.services {
        let there = remote.services.get(id);
        if let Some(there) = there.filter(|there| service.enable_tag_override && tags(there) != tags(service))
        {
            plan.tags.push((id.clone(), there.tags.clone()));
        }
        if there.is_some_and(|there| same_service(service, there)) {
            continue;
        }
        let checks = checks_of.remove(id.as_str()).unwrap_or_default();
        told.extend(checks.iter().cloned());
        plan.steps.push(Step::Service(id.clone(), checks));
    }
    for (id, check) in &local.checks {
        let same = remote
            .checks
            .get(id)
            .is_some_and(|there| same_check(check, there, local.output_waits.contains(id)));
        if !same && !told.contains(id) {
            plan.steps.push(Step::Check(id.clone()));
        }
    }
    plan
}

/// What a few local changes mean, without asking the catalog first. `local` need hold no more than what changed.
pub(super) fn partial(local: &Snapshot, changed: &BTreeSet<Item>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut told = BTreeSet::new();
    let mut checks_of: HashMap<&str, Vec<String>> = HashMap::new();
    for item in changed {
        if let Item::Check(id) = item
            && let Some(check) = local.checks.get(id)
        {
            checks_of.entry(&check.service_id).or_default().push(id.clone());
        }
    }
    for item in changed {
        let Item::Service(id) = item else { continue };
        if !local.services.contains_key(id) {
            steps.push(Step::DropService(id.clone()));
            continue;
        }
        let checks = checks_of.remove(id.as_str()).unwrap_or_default();
        told.extend(checks.iter().cloned());
        steps.push(Step::Service(id.clone(), checks));
    }
    for item in changed {
        let Item::Check(id) = item else { continue };
        if told.contains(id) {
            continue;
        }
        steps.push(match local.checks.contains_key(id) {
            true => Step::Check(id.clone()),
            false => Step::DropCheck(id.clone()),
        });
    }
    steps
}

/// Which items a step stands for, to give them back when it failed.
pub(super) fn items(step: &Step) -> Vec<Item> {
    match step {
        Step::Service(id, checks) => {
            let checks = checks.iter().map(|check| Item::Check(check.clone()));
            std::iter::once(Item::Service(id.clone())).chain(checks).collect()
        }
        Step::DropService(id) => vec![Item::Service(id.clone())],
        Step::Check(id) | Step::DropCheck(id) => vec![Item::Check(id.clone())],
    }
}

fn tags(service: &NodeService) -> &[String] {
    service.tags.as_deref().unwrap_or_default()
}

fn same_service(ours: &NodeService, there: &NodeService) -> bool {
    let pairs = |meta: &Option<TextMap>| meta.clone().unwrap_or_default();
    // Tagged addresses that others added stay, where their names say that they are the registry's own.
    let addresses = |service: &NodeService| -> BTreeMap<String, ServiceAddress> {
        let all = service.tagged_addresses.clone().unwrap_or_default();
        all.into_iter().filter(|(tag, _)| !tag.starts_with("consul-")).collect()
    };
    // The registry keeps no empty one.
    let locality = |service: &NodeService| {
        let given = service.locality.clone();
        given.filter(|halves| halves.as_object().is_none_or(|halves| !halves.is_empty()))
    };
    ours.kind == there.kind
        && locality(ours) == locality(there)
        && ours.service == there.service
        && (ours.enable_tag_override || tags(ours) == tags(there))
        && ours.address == there.address
        && addresses(ours) == addresses(there)
        && pairs(&ours.meta) == pairs(&there.meta)
        && ours.port == there.port
        && ours.socket_path == there.socket_path
        && ours.weights == there.weights
        && ours.enable_tag_override == there.enable_tag_override
        && ours.proxy() == there.proxy()
        && ours.is_native() == there.is_native()
}

fn same_check(ours: &HealthCheck, there: &HealthCheck, output_waits: bool) -> bool {
    ours.name == there.name
        && ours.status == there.status
        && ours.notes == there.notes
        && (output_waits || ours.output == there.output)
        && ours.service_id == there.service_id
        && ours.service_name == there.service_name
        && ours.kind == there.kind
        && ours.interval == there.interval
        && ours.timeout == there.timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, port: i64) -> (String, NodeService) {
        (name.into(), NodeService { id: name.into(), service: name.into(), port, ..NodeService::default() })
    }

    fn check(id: &str, of: &str, status: &str) -> (String, HealthCheck) {
        let check = HealthCheck {
            check_id: id.into(),
            status: status.into(),
            service_id: of.into(),
            service_name: of.into(),
            ..HealthCheck::default()
        };
        (id.into(), check)
    }

    fn local() -> Snapshot {
        Snapshot {
            services: [service("web", 80)].into(),
            checks: [check("c", "web", "passing"), check("n", "", "passing")].into(),
            output_waits: BTreeSet::new(),
        }
    }

    fn remote() -> Remote {
        Remote {
            services: [service("web", 80)].into(),
            checks: [
                check("c", "web", "passing"),
                check("n", "", "passing"),
                check("serfHealth", "", "critical"),
            ]
            .into(),
        }
    }

    #[test]
    fn equal_needs_nothing_and_the_lease_check_is_not_ours() {
        assert_eq!(full(&local(), &remote(), false), Plan::default());
    }

    #[test]
    fn an_empty_catalog_gets_everything_a_service_with_its_checks() {
        let plan = full(&local(), &Remote::default(), false);
        assert_eq!(plan.steps, [Step::Service("web".into(), vec!["c".into()]), Step::Check("n".into())]);
    }

    #[test]
    fn edits_and_additions_in_the_catalog_are_undone() {
        let mut there = remote();
        there.services.extend([service("stranger", 1), service("consul", 8300)]);
        there.services.insert("web".into(), service("web", 81).1);
        there.checks.extend([check("s", "stranger", "passing"), check("x", "", "passing")]);
        let dropped = |server| full(&local(), &there, server).steps;
        assert_eq!(
            dropped(true),
            [
                Step::DropService("stranger".into()),
                Step::DropCheck("x".into()),
                Step::Service("web".into(), vec!["c".into()]),
            ]
        );
        assert!(dropped(false).contains(&Step::DropService("consul".into())));
    }

    #[test]
    fn proxies_are_compared_and_what_is_empty_is_as_good_as_missing() {
        let (mut ours, mut there) = (local(), remote());
        let web = there.services.get_mut("web").unwrap();
        (web.proxy, web.connect) = (registry_wire::catalog::no_proxy(), serde_json::json!({}));
        assert_eq!(full(&ours, &there, false), Plan::default());
        let proxy = serde_json::json!({"DestinationServiceName": "db", "Mode": ""});
        ours.services.get_mut("web").unwrap().proxy = proxy;
        assert_eq!(full(&ours, &there, false).steps, [Step::Service("web".into(), vec!["c".into()])]);
    }

    #[test]
    fn tags_of_the_catalog_win_where_allowed() {
        let (mut ours, mut there) = (local(), remote());
        ours.services.get_mut("web").unwrap().enable_tag_override = true;
        let web = there.services.get_mut("web").unwrap();
        (web.enable_tag_override, web.tags) = (true, Some(vec!["new".into()]));
        let plan = full(&ours, &there, false);
        assert_eq!(plan, Plan { steps: vec![], tags: vec![("web".into(), Some(vec!["new".into()]))] });
    }

    #[test]
    fn output_that_waits_is_no_difference_but_status_is() {
        let (mut ours, there) = (local(), remote());
        ours.checks.get_mut("c").unwrap().output = "new".into();
        assert_eq!(full(&ours, &there, false).steps, [Step::Check("c".into())]);
        ours.output_waits.insert("c".into());
        assert_eq!(full(&ours, &there, false).steps, []);
        ours.checks.get_mut("c").unwrap().status = "critical".into();
        assert_eq!(full(&ours, &there, false).steps, [Step::Check("c".into())]);
    }

    #[test]
    fn changes_alone_tell_what_is_there_and_drop_what_is_not() {
        let changed = [Item::Service("web".into()), Item::Check("c".into()), Item::Check("n".into())];
        let gone = [Item::Service("old".into()), Item::Check("old:1".into())];
        let steps = partial(&local(), &changed.into_iter().chain(gone).collect());
        assert_eq!(
            steps,
            [
                Step::DropService("old".into()),
                Step::Service("web".into(), vec!["c".into()]),
                Step::Check("n".into()),
                Step::DropCheck("old:1".into()),
            ]
        );
    }
}
