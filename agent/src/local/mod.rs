//! What this agent has: its services, their checks and what the checks last said.
//!
//! The one place that changes them, from files, the API and the checks themselves. Whoever wants to follow changes
//! ([`sync`](crate::sync), blocking readers) subscribes to [`Local::changes`]. What was registered over the API is kept
//! on disk ([`store`]).

mod alias;
mod containers;
mod error;
mod keep;
mod maintenance;
mod read;
mod reload;
mod sidecar;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use registry_wire::catalog::{HealthCheck, NodeService};
use tokio::{sync::watch, time::Instant};

use self::{
    keep::Disk,
    store::{Folder, KeptCheck, KeptService, KeptWord, Store},
};
use crate::{
    backend::Backend,
    checks::{self, Checks, Observed, Running, Status, Ttl},
    config::{Config, ScriptChecks},
    definition::{CheckDefinition, CheckType, ServiceDefinition, Source, duration},
};

pub(crate) use error::{AddError, WordError, judge_check, judge_service};
pub(crate) use maintenance::is_maintenance;
pub(crate) use store::write_aside;

/// The shortest `deregister_critical_service_after`; anything shorter means this.
const DEREGISTER_AFTER_MIN: Duration = Duration::from_secs(60);

/// The services and checks of this node. Shared; every method locks for the time of the call only.
pub(crate) struct Local {
    own: Weak<Self>,
    node: String,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    runner: Checks,
    store: Store,
    settings: Settings,
}

/// What of the configuration matters here.
#[derive(Clone, Copy, Debug)]
struct Settings {
    scripts: ScriptChecks,
    output_bytes_max: usize,
    update_interval: Duration,
    discard_output: bool,
    sidecar_ports: Option<(u16, u16)>,
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, Service>,
    checks: BTreeMap<String, Check>,
    unsynced: BTreeSet<Item>,
}

struct Service {
    service: NodeService,
    token: String,
    source: Source,
    is_sidecar: bool,
}

struct Check {
    check: HealthCheck,
    runs: Option<CheckType>,
    /// Ends the check when dropped.
    running: Option<Running>,
    source: Source,
    critical_since: Option<Instant>,
    /// Output that changed alone goes out at this time.
    output_due: Option<Instant>,
}

/// Something that the catalog has to be told about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Service(String),
    Check(String),
}

/// A copy of everything, to be compared with the catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) services: BTreeMap<String, NodeService>,
    pub(crate) checks: BTreeMap<String, HealthCheck>,
    /// Checks whose output may differ for now.
    pub(crate) output_waits: BTreeSet<String>,
}

impl Local {
    /// Nothing registered yet; see [`Local::load`]. Aliases of other nodes are asked of the backend.
    pub(crate) fn new(config: &Config, backend: Option<Arc<dyn Backend>>) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            own: own.clone(),
            node: config.node_name.clone(),
            state: Mutex::default(),
            changes: watch::channel(0).0,
            runner: Checks::new(config.check_output_max_size, config.node_name.clone(), backend),
            store: Store::new(config.data_dir.clone()),
            settings: Settings {
                scripts: config.script_checks,
                output_bytes_max: config.check_output_max_size,
                update_interval: config.check_update_interval,
                discard_output: config.discard_check_output,
                sidecar_ports: config.ports.sidecar,
            },
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that grows with every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Registers a service with its checks, or changes it.
    ///
    /// A check that is there already keeps its status unless the definition gives one. With `replace_checks`, checks of
    /// the service that the definition does not name are removed. Errors change nothing.
    pub(crate) fn add_service(
        &self,
        definition: ServiceDefinition,
        source: Source,
        replace_checks: bool,
    ) -> Result<(), AddError> {
        self.put_service(definition, source, replace_checks, Disk::Write)
    }

    fn put_service(
        &self,
        definition: ServiceDefinition,
        source: Source,
        replace_checks: bool,
        disk: Disk,
    ) -> Result<(), AddError> {
        for check in &definition.checks {
            self.allowed(&check.runs, source)?;
        }
        let id = definition.service.id.clone();
        warn_about_names(&definition.service);
        {
            let mut state = self.state();
            if disk == Disk::Write {
                self.keep_service(&state, &definition, source)?;
            }
            let wanted: Vec<&str> = definition.checks.iter().map(|check| check.id.as_str()).collect();
            let gone: Vec<String> = state
                .checks
                .values()
                .filter(|held| held.check.service_id == id && !wanted.contains(&held.check.check_id.as_str()))
                .filter(|held| held.check.kind != maintenance::KIND)
                .map(|held| held.check.check_id.clone())
                .collect();
            for check in gone.into_iter().filter(|_| replace_checks) {
                self.drop_check(&mut state, &check);
            }
            let service = definition.service.clone();
            let held =
                Service { service, token: definition.token, source, is_sidecar: definition.is_sidecar };
            state.services.insert(id.clone(), held);
            state.unsynced.insert(Item::Service(id));
            for check in definition.checks {
                self.hold_check(&mut state, check, source);
            }
            let State { services, checks, .. } = &mut *state;
            for held in checks.values_mut().filter(|held| held.check.service_id == definition.service.id) {
                name_service(&mut held.check, services);
            }
            alias::evaluate(&mut state, &self.node);
        }
        self.changed();
        match definition.sidecar {
            Some(sidecar) => self.add_sidecar(sidecar, source, replace_checks),
            None => Ok(()),
        }
    }

    /// Registers a check, or changes it; it keeps its status unless the definition gives one. Errors change nothing.
    pub(crate) fn add_check(&self, definition: CheckDefinition, source: Source) -> Result<(), AddError> {
        self.put_check(definition, source, Disk::Write)
    }

    fn put_check(&self, definition: CheckDefinition, source: Source, disk: Disk) -> Result<(), AddError> {
        self.allowed(&definition.runs, source)?;
        {
            let mut state = self.state();
            let service = &definition.service_id;
            if !service.is_empty() && !state.services.contains_key(service) {
                return Err(AddError::NoService(service.clone()));
            }
            if disk == Disk::Write {
                let service = state.services.get(service).map(|held| &held.service);
                self.keep_check(&definition, service, source)?;
            }
            self.hold_check(&mut state, definition, source);
            alias::evaluate(&mut state, &self.node);
        }
        self.changed();
        Ok(())
    }

    /// Removes a service with its checks and its sidecar; `false` if there is none of this id.
    pub(crate) fn remove_service(&self, id: &str) -> bool {
        let sidecar = self.sidecar_of(id);
        {
            let mut state = self.state();
            if state.services.remove(id).is_none() {
                return false;
            }
            self.store.forget(Folder::Services, id);
            let its = |held: &&Check| held.check.service_id == id;
            let checks: Vec<_> =
                state.checks.values().filter(its).map(|held| held.check.check_id.clone()).collect();
            for check in checks {
                self.drop_check(&mut state, &check);
            }
            state.unsynced.insert(Item::Service(id.to_owned()));
            alias::evaluate(&mut state, &self.node);
        }
        self.changed();
        if let Some(sidecar) = sidecar {
            self.remove_service(&sidecar);
        }
        true
    }

    /// Removes a check; `false` if there is none of this id.
    pub(crate) fn remove_check(&self, id: &str) -> bool {
        {
            let mut state = self.state();
            if !self.drop_check(&mut state, id) {
                return false;
            }
            alias::evaluate(&mut state, &self.node);
        }
        self.changed();
        true
    }

    /// Takes a program's word about its TTL check.
    pub(crate) fn word(&self, id: &str, status: Status, output: String) -> Result<(), WordError> {
        let ttl: Ttl = {
            let state = self.state();
            let held = state.checks.get(id).ok_or_else(|| WordError::Unknown(id.to_owned()))?;
            let ttl = held.running.as_ref().and_then(Running::ttl);
            ttl.ok_or_else(|| WordError::NoTtl(id.to_owned()))?.clone()
        };
        let output = cut(output, self.settings.output_bytes_max);
        let (status_name, kept) = (status.name().to_owned(), output.clone());
        ttl.update(status, output);
        let expires = store::expires_in(ttl.remaining());
        let word = KeptWord { check_id: id.to_owned(), output: kept, status: status_name, expires };
        if let Err(error) = self.store.keep(Folder::Words, id, &word) {
            tracing::warn!(target: "agent", check = id, %error, "cannot keep the check's state on disk");
        }
        Ok(())
    }

    /// Everything there is now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        Snapshot {
            services: state.services.iter().map(|(id, held)| (id.clone(), held.service.clone())).collect(),
            checks: state.checks.iter().map(|(id, held)| (id.clone(), held.check.clone())).collect(),
            output_waits: state
                .checks
                .iter()
                .filter(|(_, held)| held.output_due.is_some())
                .map(|(id, _)| id.clone())
                .collect(),
        }
    }

    /// What there is now of these items.
    pub(crate) fn snapshot_of(&self, items: &BTreeSet<Item>) -> Snapshot {
        let (state, mut snapshot) = (self.state(), Snapshot::default());
        for item in items {
            match item {
                Item::Service(id) => {
                    let held = state.services.get(id);
                    snapshot.services.extend(held.map(|held| (id.clone(), held.service.clone())));
                }
                Item::Check(id) => {
                    let held = state.checks.get(id);
                    snapshot.checks.extend(held.map(|held| (id.clone(), held.check.clone())));
                }
            }
        }
        snapshot
    }

    /// What has to be told to the catalog now; the caller gives back with [`Local::not_synced`] what it could not tell.
    pub(crate) fn take_unsynced(&self) -> BTreeSet<Item> {
        let mut state = self.state();
        let now = Instant::now();
        let State { checks, unsynced, .. } = &mut *state;
        for (id, held) in checks {
            if held.output_due.is_some_and(|due| due <= now) {
                held.output_due = None;
                unsynced.insert(Item::Check(id.clone()));
            }
        }
        std::mem::take(&mut state.unsynced)
    }

    /// Gives back what could not be told.
    pub(crate) fn not_synced(&self, items: impl IntoIterator<Item = Item>) {
        self.state().unsynced.extend(items);
    }

    /// When the next held-back output is to go out.
    pub(crate) fn next_output(&self) -> Option<Instant> {
        self.state().checks.values().filter_map(|held| held.output_due).min()
    }

    /// Takes over tags that were changed in the catalog, where the service allows it.
    pub(crate) fn take_tags(&self, id: &str, tags: Option<Vec<String>>) {
        if let Some(held) = self.state().services.get_mut(id) {
            held.service.tags = tags;
        }
        self.changed();
    }

    /// Removes services whose checks have been critical for longer than they allow, and returns their ids.
    pub(crate) fn remove_critical(&self) -> Vec<String> {
        let overdue: BTreeSet<String> = {
            let state = self.state();
            let now = Instant::now();
            let over = |held: &&Check| {
                let after = held
                    .runs
                    .as_ref()
                    .map_or(Duration::ZERO, |r| duration(r.deregister_critical_service_after));
                let limit = after.max(DEREGISTER_AFTER_MIN);
                let since = held.critical_since.map(|since| now.duration_since(since));
                !after.is_zero()
                    && !held.check.service_id.is_empty()
                    && since.is_some_and(|since| since >= limit)
            };
            state.checks.values().filter(over).map(|held| held.check.service_id.clone()).collect()
        };
        overdue.into_iter().filter(|id| self.remove_service(id)).collect()
    }

    /// How many checks there are: `(at intervals, with a TTL)`.
    pub(crate) fn check_counts(&self) -> (usize, usize) {
        let state = self.state();
        let ttls =
            state.checks.values().filter(|held| held.running.as_ref().is_some_and(|r| r.ttl().is_some()));
        let running = state.checks.values().filter(|held| held.running.is_some()).count();
        let ttls = ttls.count();
        (running - ttls, ttls)
    }

    fn allowed(&self, runs: &CheckType, source: Source) -> Result<(), AddError> {
        error::allowed(runs, source, self.settings.scripts)
    }

    /// Puts a check into its place and starts it.
    fn hold_check(&self, state: &mut State, definition: CheckDefinition, source: Source) {
        let id = definition.id.clone();
        let mut check = definition.health_check(&self.node);
        let mut critical_since = (check.status == "critical").then(Instant::now);
        // Taken out in any case: what runs ends here.
        let old = state.checks.remove(&id);
        if let Some(old) = old.filter(|_| definition.runs.status.is_empty()) {
            (check.status, check.output) = (old.check.status.clone(), old.check.output.clone());
            critical_since = old.critical_since;
        }
        name_service(&mut check, &state.services);
        if duration(definition.runs.interval) < Duration::from_secs(1) && definition.runs.interval.0 > 0 {
            tracing::warn!(target: "agent", check = id, "check has interval below minimum of 1s");
        }
        let running = Some(self.runner.start(&definition.runs, self.report_for(&id)));
        let runs = Some(definition.runs);
        let held = Check { check, runs, running, source, critical_since, output_due: None };
        state.checks.insert(id.clone(), held);
        state.unsynced.insert(Item::Check(id));
    }

    fn drop_check(&self, state: &mut State, id: &str) -> bool {
        let there = state.checks.remove(id).is_some();
        if there {
            self.store.forget(Folder::Checks, id);
            self.store.forget(Folder::Words, id);
            state.unsynced.insert(Item::Check(id.to_owned()));
        }
        there
    }

    fn report_for(&self, id: &str) -> checks::Report {
        let (own, id) = (self.own.clone(), id.to_owned());
        Arc::new(move |observed| {
            if let Some(local) = own.upgrade() {
                local.observed(&id, observed);
            }
        })
    }

    /// A check said something.
    fn observed(&self, id: &str, observed: Observed) {
        {
            let mut state = self.state();
            let State { checks, unsynced, .. } = &mut *state;
            let Some(held) = checks.get_mut(id) else { return };
            let output = if self.settings.discard_output { String::new() } else { observed.output };
            let status = observed.status.name();
            if held.check.status == status && held.check.output == output {
                return;
            }
            if held.check.status != status {
                log_change(&held.check, observed.status, &output);
                held.check.status = status.to_owned();
                held.critical_since = (observed.status == Status::Critical).then(Instant::now);
                held.output_due = None;
                unsynced.insert(Item::Check(id.to_owned()));
            } else if self.settings.update_interval.is_zero() {
                unsynced.insert(Item::Check(id.to_owned()));
            } else if held.output_due.is_none() {
                // Half to one and a half intervals: many checks that started together do not write together.
                let wait = self.settings.update_interval.mul_f64(rand::random_range(0.5..1.5));
                held.output_due = Some(Instant::now() + wait);
            }
            held.check.output = output;
            alias::evaluate(&mut state, &self.node);
        }
        self.changed();
    }
}

/// Gives a check its service's name and tags.
fn name_service(check: &mut HealthCheck, services: &BTreeMap<String, Service>) {
    name_after(check, services.get(&check.service_id).map(|held| &held.service));
}

fn name_after(check: &mut HealthCheck, service: Option<&NodeService>) {
    check.service_name = service.map(|service| service.service.clone()).unwrap_or_default();
    check.service_tags = service.and_then(|service| service.tags.clone());
}

fn log_change(check: &HealthCheck, status: Status, output: &str) {
    let id = check.check_id.as_str();
    match status {
        Status::Critical if output.starts_with("TTL expired") => {
            tracing::warn!(target: "agent", check = id, output, "Check missed TTL, is now critical");
        }
        Status::Critical => tracing::warn!(target: "agent", check = id, output, "Check is now critical"),
        Status::Passing | Status::Warning => {
            tracing::info!(target: "agent", check = id, status = status.name(), "Check status updated");
        }
    }
}

fn warn_about_names(service: &NodeService) {
    let bad = |name: &str| name.len() > 63 || name.chars().any(|c| !c.is_ascii_alphanumeric() && c != '-');
    if bad(&service.service) {
        tracing::warn!(target: "agent", service = service.service, "Service name will not be discoverable via DNS due to invalid characters. Valid characters include all alpha-numerics and dashes.");
    }
    for tag in service.tags.iter().flatten().filter(|tag| bad(tag)) {
        tracing::debug!(target: "agent", service = service.service, tag, "Service tag will not be discoverable via DNS due to invalid characters. Valid characters include all alpha-numerics and dashes.");
    }
}

/// Cuts output that came over the API: its first bytes, and a word about the rest.
fn cut(output: String, bytes_max: usize) -> String {
    if output.len() <= bytes_max {
        return output;
    }
    let mut end = bytes_max;
    while !output.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ... (captured {bytes_max} of {} bytes)", &output[..end], output.len())
}

#[cfg(test)]
mod tests;
