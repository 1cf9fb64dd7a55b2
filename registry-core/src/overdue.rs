//! Instances whose check stays critical: where no agent looks after the node, the registry keeps the promise of
//! `DeregisterCriticalServiceAfter` and removes them.
//!
//! An agent's node is known by its check `serfHealth`; its services are the agent's to remove. The time counts from when this leader saw the
//! check critical: after a restart, a change of leader or a restore it starts anew, so that nobody is removed too early.

use std::{collections::BTreeMap, time::Duration};

use registry_state::{
    Action, Caseless, Check, Deregister, State,
    read::{HealthNode, HealthState, Read as _},
};
use registry_wire::duration::parse_nanos;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::{leases::SERF_HEALTH, store::Store, writer::Writer};

/// Anything shorter means this, as with agents.
const AFTER_MIN: Duration = Duration::from_secs(60);
/// How soon after a change it is looked again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// When something that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A check by its node and id.
type Key = (Caseless, Caseless);

/// A check that has been critical since some time.
#[derive(Clone, Debug)]
struct Waiting {
    node: String,
    service_id: String,
    since: Instant,
    after: Duration,
}

impl Waiting {
    fn end(&self) -> Instant {
        self.since + self.after
    }
}

/// Removes instances whose time is over, while this server leads.
pub(crate) async fn remove(store: &Store, writer: &Writer) {
    let critical = HealthState { state: Caseless::new("critical"), ..HealthState::default() };
    let subscription = store.watch().subscribe(critical.topics());
    let mut listener = subscription.listen();
    let mut waiting = BTreeMap::new();
    let mut told = false;
    loop {
        listener.seen();
        waiting = follow(&store.state(), &critical, &waiting, Instant::now());
        let next = waiting.values().map(Waiting::end).min();
        tokio::select! {
            // Many changes cost one look; nobody waits for a second of a minute.
            () = async { listener.changed().await; sleep(LOOK_AGAIN).await } => continue,
            () = async { sleep_until(next.expect("the branch's condition")).await }, if next.is_some() => {}
        }
        let now = Instant::now();
        for (key, over) in waiting.iter().filter(|(_, waiting)| waiting.end() <= now) {
            let (node, service, check) = (&over.node, &over.service_id, key.1.as_str());
            let gone =
                Deregister { node: node.as_str().into(), service_id: Some(service.clone()), check_id: None };
            match writer.write(Action::Deregister(gone)).await {
                Ok(_) => {
                    told = false;
                    info!(target: "agent.server", node, service, check, "Deregistered service with too long critical checks");
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(target: "agent.server", node, service, %error, "cannot remove a service with too long critical checks; trying again");
                    }
                    sleep(AGAIN).await;
                    break;
                }
            }
        }
    }
}

/// The checks that may cost their instances the place, with those that were there before as old as they are.
fn follow(
    state: &State,
    critical: &HealthState,
    before: &BTreeMap<Key, Waiting>,
    now: Instant,
) -> BTreeMap<Key, Waiting> {
    let (checks, _) = critical.run(state);
    let waiting = checks.iter().filter_map(|check| {
        let after = patience(check).filter(|_| !has_agent(state, &check.node))?;
        let key = (Caseless::new(&check.node), Caseless::new(&check.check_id));
        let known = before.get(&key).filter(|known| known.service_id == check.service_id);
        let since = known.map_or(now, |known| known.since);
        let (node, service_id) = (check.node.clone(), check.service_id.clone());
        Some((key, Waiting { node, service_id, since, after }))
    });
    waiting.collect()
}

/// How long an instance may stay with this check critical; `None` if for ever.
fn patience(check: &Check) -> Option<Duration> {
    if check.service_id.is_empty() || check.definition.is_empty() {
        return None;
    }
    let definition: serde_json::Value = serde_json::from_str(&check.definition).ok()?;
    let nanos = parse_nanos(definition["DeregisterCriticalServiceAfter"].as_str()?).ok()?;
    let after = u64::try_from(nanos).ok().filter(|nanos| *nanos > 0)?;
    Some(Duration::from_nanos(after).max(AFTER_MIN))
}

fn has_agent(state: &State, node: &str) -> bool {
    let (checks, _) = HealthNode { node: Caseless::new(node) }.run(state);
    checks.iter().any(|check| check.check_id == SERF_HEALTH)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use registry_state::read::HealthService;

    use super::*;
    use crate::{simulated::Simulated, timers::Timers};

    fn check(id: &str, service: &str, status: &str, after: &str) -> Check {
        Check {
            check_id: id.into(),
            service_id: service.into(),
            status: status.into(),
            definition: format!(r#"{{"DeregisterCriticalServiceAfter":"{after}"}}"#),
            ..Check::default()
        }
    }

    fn there(engine: &Simulated, service: &str) -> bool {
        let asked = HealthService { service: Caseless::new(service), ..HealthService::default() };
        !asked.run(&engine.store.state()).0.is_empty()
    }

    fn start() -> Simulated {
        let engine = Simulated::start();
        lead(&engine);
        engine
    }

    /// What a server does that begins to lead.
    fn lead(engine: &Simulated) {
        let (store, writer) = (engine.store.clone(), engine.writer.clone());
        let timers = Arc::new(Timers::new(store, writer, engine.leadership.clone()));
        tokio::spawn(timers.run(engine.shutdown.clone()));
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_without_an_agent_goes_when_its_check_stays_critical() {
        let engine = start();
        for (service, after) in [("a", "90s"), ("short", "1s"), ("never", "0s")] {
            engine.register("ext", Some(service), Some(check(service, service, "critical", after))).await;
        }
        engine.register("ext", Some("fine"), Some(check("fine", "fine", "passing", "60s"))).await;
        engine.register("ext", None, Some(check("of-node", "", "critical", "60s"))).await;
        pass(59).await;
        assert!(there(&engine, "short"), "a minute is the least");
        pass(4).await;
        assert!(!there(&engine, "short") && there(&engine, "a"));
        pass(30).await;
        assert!(!there(&engine, "a"));
        let before = engine.batches();
        pass(3600).await;
        assert!(there(&engine, "never") && there(&engine, "fine"));
        assert_eq!(engine.batches(), before, "and then nothing is written");
    }

    #[tokio::test(start_paused = true)]
    async fn passing_in_between_starts_the_time_anew() {
        let engine = start();
        engine.register("ext", Some("a"), Some(check("c", "a", "critical", "60s"))).await;
        pass(50).await;
        engine.register("ext", Some("a"), Some(check("c", "a", "passing", "60s"))).await;
        pass(3).await;
        let mut again = check("c", "a", "critical", "60s");
        engine.register("ext", Some("a"), Some(again.clone())).await;
        pass(40).await;
        again.output = "still not".into();
        engine.register("ext", Some("a"), Some(again)).await;
        pass(15).await;
        assert!(there(&engine, "a"), "55 s");
        pass(7).await;
        assert!(!there(&engine, "a"), "another output is no other state");
    }

    #[tokio::test(start_paused = true)]
    async fn services_of_agents_are_theirs_to_remove() {
        let engine = start();
        let lease = Check { check_id: SERF_HEALTH.into(), status: "critical".into(), ..Check::default() };
        engine.register("n1", Some("a"), Some(check("c", "a", "critical", "60s"))).await;
        engine.register("n1", None, Some(lease)).await;
        pass(3600).await;
        assert!(there(&engine, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_gives_the_whole_time_again_and_a_broken_log_only_delays() {
        let engine = Simulated::start();
        engine.register("ext", Some("a"), Some(check("c", "a", "critical", "60s"))).await;
        pass(100).await;
        lead(&engine);
        pass(59).await;
        assert!(there(&engine, "a"));
        engine.broken.store(true, std::sync::atomic::Ordering::Relaxed);
        pass(60).await;
        assert!(there(&engine, "a"));
        engine.broken.store(false, std::sync::atomic::Ordering::Relaxed);
        pass(3).await;
        assert!(!there(&engine, "a"));
    }
}
