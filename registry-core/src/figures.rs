//! What a registry counts about itself, under Consul's names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use daemon::Shutdown;
use link::calls::status;
use metrics::{Counter, counter, gauge, histogram};
use registry_state::{
    Action, Command, KvDelete, PutMode,
    read::{ConfigList, Read as _},
};
use registry_wire::config_entry;
use tokio::time::{MissedTickBehavior, interval};

use crate::{CONSUL_VERSION, Registry};

/// How often values are measured that nobody tells when they change.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// The milliseconds since a moment.
pub(crate) fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Notes that a change was made on the way in, and how long it took until it was safe.
pub(crate) fn wrote(kind: Option<&'static str>, start: Instant) {
    if let Some(kind) = kind {
        histogram!(kind).record(since(start));
    }
}

/// What a change's way in is called; `None` for those that no client asks for.
pub(crate) fn way_in(action: &Action) -> Option<&'static str> {
    Some(match action.inner() {
        Action::KvPut(_) | Action::KvDelete(_) => "kvs.apply",
        Action::Txn(_) => "txn.apply",
        Action::Register(_) => "catalog.register",
        Action::Deregister(_) => "catalog.deregister",
        Action::SessionCreate(_) | Action::SessionDestroy { .. } => "session.apply",
        Action::QuerySet { .. } | Action::QueryDelete { .. } => "prepared-query.apply",
        Action::ConfigPut(_) => "config_entry.apply",
        Action::ConfigDelete(_) => "config_entry.delete",
        _ => return None,
    })
}

/// Notes that the state machine made a change.
pub(crate) fn applied(command: &Command, start: Instant) {
    let name = match command.action.inner() {
        Action::KvPut(put) => match put.mode {
            PutMode::Plain => "fsm.kvs.set",
            PutMode::Cas(_) => "fsm.kvs.cas",
            PutMode::Acquire(_) => "fsm.kvs.lock",
            PutMode::Release(_) => "fsm.kvs.unlock",
        },
        Action::KvDelete(KvDelete::Key(_)) => "fsm.kvs.delete",
        Action::KvDelete(_) => "fsm.kvs.delete-tree",
        Action::Txn(_) => "fsm.txn",
        Action::Register(_) => "fsm.register",
        Action::Deregister(_) => "fsm.deregister",
        Action::SessionCreate(_) => "fsm.session.create",
        Action::SessionDestroy { .. } => "fsm.session.destroy",
        Action::QuerySet { .. } => "fsm.prepared-query.set",
        Action::QueryDelete { .. } => "fsm.prepared-query.delete",
        Action::UpdateCoordinate(_) => "fsm.coordinate.batch-update",
        Action::ConfigPut(put) => return made_config_entry(&put.entry.kind, "upsert", start),
        Action::ConfigDelete(delete) => return made_config_entry(&delete.kind, "delete", start),
        _ => return,
    };
    histogram!(name).record(since(start));
}

fn made_config_entry(kind: &str, op: &'static str, start: Instant) {
    histogram!(format!("fsm.config_entry.{kind}"), "op" => op).record(since(start));
}

/// Something happened to a node: `join`, `failed`, `left`, `update`.
pub(crate) fn member(what: &'static str) {
    counter!(what, "network" => "lan").increment(1);
}

/// A leader was found.
pub(crate) fn new_leader() {
    counter!("serf.events", "network" => "lan").increment(1);
    counter!("serf.events.consul:new-leader", "network" => "lan").increment(1);
}

/// How often an endpoint was asked for a service: the names of what is counted.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    query: &'static str,
    tags: &'static str,
    not_found: &'static str,
}

/// `/v1/health/service/` and DNS.
pub(crate) const HEALTH: Asked = Asked {
    query: "health.service.query",
    tags: "health.service.query-tags",
    not_found: "health.service.not-found",
};
/// `/v1/health/connect/`.
pub(crate) const HEALTH_MESH: Asked = Asked {
    query: "health.connect.query",
    tags: "health.connect.query-tags",
    not_found: "health.connect.not-found",
};
/// `/v1/catalog/service/`.
pub(crate) const CATALOG: Asked = Asked {
    query: "catalog.service.query",
    tags: "catalog.service.query-tags",
    not_found: "catalog.service.not-found",
};
/// `/v1/catalog/connect/`.
pub(crate) const CATALOG_MESH: Asked = Asked {
    query: "catalog.connect.query",
    tags: "catalog.connect.query-tags",
    not_found: "catalog.connect.not-found",
};

impl Asked {
    /// Notes a question for a service.
    pub(crate) fn asked(self, service: &str, tags: &[String]) {
        counter!(self.query, "service" => service.to_owned()).increment(1);
        if !tags.is_empty() {
            counter!(self.tags, "service" => service.to_owned(), "tag" => tags.join(".")).increment(1);
        }
    }

    /// Notes that a question found nothing.
    pub(crate) fn not_found(self, service: &str) {
        counter!(self.not_found, "service" => service.to_owned()).increment(1);
    }

    /// The counter of the questions for one service, for who asks often.
    pub(crate) fn counter(self, service: &str) -> Counter {
        counter!(self.query, "service" => service.to_owned())
    }
}

/// Measures a registry from time to time, until shutdown or its end.
pub(crate) async fn measure(registry: Weak<Registry>, shutdown: Shutdown) {
    let mut ticks = interval(MEASURE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = shutdown.requested();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            _ = ticks.tick() => {}
        }
        let Some(registry) = registry.upgrade() else { return };
        measure_log(&registry);
        measure_state(&registry);
    }
}

fn measure_log(registry: &Registry) {
    let progress = registry.replication.progress();
    let leads = registry.leadership().is_serving();
    gauge!("raft.applied_index").set(progress.applied as f64);
    gauge!("raft.last_index").set(progress.last as f64);
    gauge!("raft.peers").set(progress.voters as f64);
    gauge!("server.isLeader").set(f64::from(u8::from(leads)));
    gauge!("autopilot.healthy").set(f64::from(u8::from(leads)));
    gauge!("autopilot.failure_tolerance").set((progress.voters.saturating_sub(1) / 2) as f64);
    gauge!("version", "version" => CONSUL_VERSION, "pre_release" => "").set(1.0);
}

fn measure_state(registry: &Registry) {
    let usage = registry.store().state().usage();
    let members = registry.leases().members();
    let alive = members.iter().filter(|member| member.status == status::ALIVE).count();
    let datacenter: Arc<str> = registry.settings().datacenter.as_str().into();
    let set = |name: &'static str, count: usize| {
        gauge!(name, "datacenter" => datacenter.clone()).set(count as f64);
    };
    // The first member is this server, and there is no other.
    set("members.servers", 1);
    set("members.clients", alive.saturating_sub(1));
    set("state.kv_entries", usage.keys);
    set("state.nodes", usage.nodes);
    set("state.services", usage.services);
    set("state.service_instances", usage.instances);
    for (kind, count) in config_entries(registry) {
        gauge!("state.config_entries", "datacenter" => datacenter.clone(), "kind" => kind).set(count as f64);
    }
    gauge!("session_ttl.active").set(registry.timers().count() as f64);
}

/// How many entries there are of each kind, also of those without any.
fn config_entries(registry: &Registry) -> BTreeMap<Arc<str>, usize> {
    let none = config_entry::kinds().map(|kind| (kind.into(), 0));
    let mut counts: BTreeMap<Arc<str>, usize> = none.collect();
    let (entries, _) = ConfigList::default().run(&registry.store().state());
    for entry in entries {
        *counts.entry(entry.kind.clone()).or_default() += 1;
    }
    counts
}
