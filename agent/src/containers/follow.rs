//! Keeping this agent's services in step with the engine's containers.
//!
//! At the start, after a lost connection and from time to time everything is compared; between these each event makes
//! one container be looked at. A look is always at the present state, so that late, doubled and lost events do no harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use daemon::Shutdown;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{
    convention::{self, Rules},
    engine::{Container, Engine, EngineError},
};
use crate::local::Local;

/// Events that wait; more wait in the engine's socket.
const EVENTS_MAX: usize = 256;
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Follows one engine.
pub(super) struct Follower {
    pub(super) engine: Engine,
    pub(super) rules: Rules,
    /// Whether services are removed that a registrator left.
    pub(super) cleanup: bool,
    /// The longest time between two comparisons of everything.
    pub(super) resync: Duration,
    pub(super) local: Arc<Local>,
    /// Which container each of our services belongs to: another one of the same name may have taken it over.
    pub(super) owners: BTreeMap<String, String>,
    /// What was said about containers that cannot be registered as they wish: once, until it changes.
    pub(super) faults: BTreeMap<String, Vec<String>>,
}

impl Follower {
    /// Follows until the end. While the engine is away, its services stay as they are: their checks tell more.
    pub(super) async fn run(mut self, end: Shutdown) {
        let (mut failures, mut told_away) = (0u32, false);
        loop {
            let began = Instant::now();
            let lost = tokio::select! {
                lost = self.follow(&mut told_away) => lost,
                () = end.requested() => return,
            };
            if !std::mem::replace(&mut told_away, true) {
                tracing::warn!(target: "agent.containers", "{lost}; services of containers stay as they are until it does");
            }
            // A connection that held begins anew.
            failures = if began.elapsed() > PAUSE_MAX { 0 } else { failures.saturating_add(1) };
            let pause = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX);
            tokio::select! {
                () = sleep(pause.mul_f64(rand::random_range(0.75..1.25))) => {}
                () = end.requested() => return,
            }
        }
    }

    /// Follows one connection until it is lost.
    async fn follow(&mut self, told_away: &mut bool) -> EngineError {
        let (seen, mut ids) = mpsc::channel(EVENTS_MAX);
        let engine = self.engine.clone();
        let events = engine.tell_events(seen);
        tokio::pin!(events);
        if let Err(error) = self.compare().await {
            return error;
        }
        let place = self.engine.place();
        match std::mem::take(told_away) {
            true => tracing::info!(target: "agent.containers", place, "the container engine answers again"),
            false => tracing::info!(target: "agent.containers", place, "following the container engine"),
        }
        let mut next = Instant::now() + self.resync;
        loop {
            let looked = tokio::select! {
                error = &mut events => return error,
                Some(id) = ids.recv() => self.look_at(&id).await,
                () = sleep_until(next) => {
                    next = Instant::now() + self.resync;
                    self.compare().await
                }
            };
            if let Err(error) = looked {
                return error;
            }
        }
    }

    /// Looks at every container, and removes what belongs to none.
    async fn compare(&mut self) -> Result<(), EngineError> {
        let mut owners = BTreeMap::new();
        let running = self.engine.running().await?;
        for id in &running {
            let services = self.register(id).await?;
            owners.extend(services.into_iter().map(|service| (service, id.clone())));
        }
        // Also what the disk kept from an earlier life of this agent.
        self.local.forget_containers(|service| owners.contains_key(service));
        if self.cleanup {
            let left = |id: &str| is_of_registrator(id, &self.rules.host) && !owners.contains_key(id);
            for id in self.local.remove_registered(left) {
                tracing::info!(target: "agent.containers", service = id, "removed a service whose container is gone");
            }
        }
        self.owners = owners;
        self.faults.retain(|id, faults| running.contains(id) && !faults.is_empty());
        Ok(())
    }

    /// Looks at one container that something happened to.
    async fn look_at(&mut self, id: &str) -> Result<(), EngineError> {
        let services = self.register(id).await?;
        let gone: Vec<String> = self
            .owners
            .iter()
            .filter(|(service, owner)| *owner == id && !services.contains(*service))
            .map(|(service, _)| service.clone())
            .collect();
        for service in gone {
            self.owners.remove(&service);
            if self.local.forget_containers(|other| other != service) > 0 {
                tracing::info!(target: "agent.containers", service, "removed");
            }
        }
        self.owners.extend(services.into_iter().map(|service| (service, id.to_owned())));
        Ok(())
    }

    /// Registers what a container runs; the ids of its services, none when it does not run.
    async fn register(&mut self, id: &str) -> Result<BTreeSet<String>, EngineError> {
        let Some(container) = self.engine.container(id).await?.filter(Container::is_running) else {
            self.faults.remove(id);
            return Ok(BTreeSet::new());
        };
        let neighbour = match container.network_of() {
            Some(other) => self.engine.container(other).await?,
            None => None,
        };
        let (services, mut faults) = convention::services(&container, neighbour.as_ref(), &self.rules);
        let mut registered = BTreeSet::new();
        for service in services {
            let service_id = service.service.id.clone();
            match self.local.take_container(service) {
                Ok(changed) => {
                    if changed {
                        tracing::info!(target: "agent.containers", service = service_id, "added");
                    }
                    registered.insert(service_id);
                }
                Err(error) => faults.push(format!("{service_id}: {error}")),
            }
        }
        let told = self.faults.insert(id.to_owned(), faults.clone()).unwrap_or_default();
        for fault in faults.iter().filter(|fault| !told.contains(fault)) {
            tracing::warn!(target: "agent.containers", container = container.name(), "not registered: {fault}");
        }
        Ok(registered)
    }
}

/// Whether an id is one that a registrator on this host gives: `<host>:<container>:<port>[:udp]`.
fn is_of_registrator(id: &str, host: &str) -> bool {
    let Some(rest) = id.strip_prefix(host).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let rest = rest.strip_suffix(":udp").unwrap_or(rest);
    rest.split_once(':').is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
