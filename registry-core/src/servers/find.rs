//! Finding the other servers: those whom the configuration or `join` names are asked where their link is, and each one that
//! is found tells of all it knows. So one that knows another is enough, whichever of them was told of it.

use std::{collections::HashSet, net::SocketAddr, sync::atomic::Ordering::Relaxed, time::Duration};

use agent::backend::remote::{JoinError, Joins};
use link::calls::{Hello, ServerSeen};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Refused, Servers};

/// How often it is looked for others while this server belongs to no cluster or knows no leader.
const SEARCH_EVERY: Duration = Duration::from_millis(500);
/// How often names that do not answer are tried at most, while there is no cluster: their look-up may cost something.
const SEARCH_MAX: Duration = Duration::from_secs(2);
/// How often the others are told what this one knows while all is well.
const CALM_EVERY: Duration = Duration::from_secs(5);
/// A server of which nothing was heard for so long is not counted when a cluster begins.
pub(super) const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// More servers than this are not remembered.
const KNOWN_MAX: usize = 64;
/// After how long alone the log says so.
const ALONE_AFTER: Duration = Duration::from_secs(2);

/// What was said already: one line for each change.
#[derive(Default)]
struct Told {
    failed: bool,
    alone: bool,
    joined: bool,
    attempts: u32,
    foreign: HashSet<String>,
}

impl Servers {
    /// Looks for the others, until the end.
    pub(super) async fn find(&self) {
        let start = Instant::now();
        let mut told = Told::default();
        let mut failures = 0;
        loop {
            let settled = self.look_around(&mut told, &mut failures).await;
            self.settle(&mut told, start).await;
            let pause = match settled && self.leadership.knows_leader() {
                true => CALM_EVERY,
                false if failures > 4 => SEARCH_MAX.min(self.settings.retry_interval),
                false => SEARCH_EVERY.min(self.settings.retry_interval),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.news.notified() => {}
            }
        }
    }

    /// Asks everybody; whether somebody answered, or there was nobody to ask.
    async fn look_around(&self, told: &mut Told, failures: &mut u32) -> bool {
        let targets = self.state().targets.clone();
        let mut addresses = self.known_addresses();
        let mut reached = targets.is_empty();
        let belongs = self.has_begun().await && self.leadership.knows_leader();
        if !belongs && !targets.is_empty() {
            match self.joins(targets).find_each().await {
                Ok(found) => {
                    reached = true;
                    addresses.extend(found);
                }
                Err(error) if addresses.is_empty() => self.tell_failure(told, &error),
                Err(_) => reached = true,
            }
        }
        addresses.sort();
        addresses.dedup();
        for address in addresses {
            match self.hello(address).await {
                Ok(_) => reached = true,
                Err(error) => {
                    tracing::debug!(target: "agent.server", %address, %error, "a server does not answer")
                }
            }
        }
        *failures = if reached { 0 } else { failures.saturating_add(1) };
        reached
    }

    fn joins(&self, targets: Vec<String>) -> Joins {
        let (datacenter, network) = (self.settings.datacenter.clone(), self.settings.network.clone());
        Joins { targets, datacenter, network }
    }

    fn tell_failure(&self, told: &mut Told, error: &JoinError) {
        let error = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if !std::mem::replace(&mut told.failed, true) {
            warn!(target: "agent", cluster = "LAN", error, "Join cluster failed, will retry");
        }
        told.attempts += 1;
        if self.settings.retry_max > 0 && told.attempts >= self.settings.retry_max && !told.joined {
            tracing::error!(target: "agent", error, "Retry join failed: max join retry exhausted, exiting");
            self.gave_up.store(true, Relaxed);
            self.shutdown.request();
        }
    }

    /// Goes on with what is known: joins a cluster that has begun, or begins one.
    async fn settle(&self, told: &mut Told, start: Instant) {
        let others = self.others();
        if !others.is_empty() && !std::mem::replace(&mut told.joined, true) {
            let count = others.len() + 1;
            info!(target: "agent", cluster = "LAN", num_agents = count, "Join cluster completed. Synced with initial agents");
        }
        if self.has_begun().await {
            self.tell_foreign(told, &others);
            return;
        }
        if let Some(member) = others.iter().find(|other| other.begun) {
            return self.ask_in(member).await;
        }
        let expect = self.settings.bootstrap_expect;
        if self.begin_together(&others).await {
            return;
        }
        if start.elapsed() >= ALONE_AFTER && !std::mem::replace(&mut told.alone, true) {
            let there = others.len() + 1;
            if others.is_empty() {
                warn!(target: "agent.server.raft", there, expect, "no known peers, aborting election");
            } else {
                warn!(target: "agent.server", there, expect, "too few servers to begin a cluster; waiting for more");
            }
        }
    }

    /// Two clusters do not become one: says so once for each.
    fn tell_foreign(&self, told: &mut Told, others: &[ServerSeen]) {
        let ours = self.identity.cluster();
        for other in others.iter().filter(|other| other.begun && *other.cluster != *ours) {
            if told.foreign.insert(other.cluster.clone()) {
                warn!(
                    target: "agent.server",
                    node = other.node, address = other.address, theirs = other.cluster, ours = &*ours,
                    "another server belongs to another cluster, and both have data: empty the data folder of one to join it"
                );
            }
        }
    }

    /// Looks for servers at one more place, as `join` asks, and goes on looking there.
    ///
    /// Errors with Consul's words when nobody answers there.
    pub(crate) async fn join(&self, target: &str) -> Result<(), String> {
        let found =
            self.joins(vec![target.to_owned()]).find_each().await.map_err(|error| error.to_string())?;
        {
            let mut state = self.state();
            if !state.targets.iter().any(|known| known == target) {
                state.targets.push(target.to_owned());
            }
        }
        let mut said = Err("nobody is there".to_owned());
        for address in found {
            let hello = self.hello(address).await;
            said = said.or(hello.map(drop).map_err(|error| error.to_string()));
        }
        self.news.notify_one();
        said
    }

    /// The servers that this one knows, itself first.
    pub(super) async fn known(&self) -> Hello {
        let mut servers = vec![self.seen().await];
        servers.extend(self.others());
        Hello { datacenter: self.settings.datacenter.clone(), servers }
    }

    /// The other servers of which something was heard of late.
    pub(super) fn others(&self) -> Vec<ServerSeen> {
        let state = self.state();
        let heard = state.known.values().filter(|(_, at)| at.elapsed() < HEARD_WITHIN);
        heard.map(|(seen, _)| seen.clone()).collect()
    }

    /// Where the links of the others are, as far as an address says it without a name.
    fn known_addresses(&self) -> Vec<SocketAddr> {
        let heard = self.state().known.values().map(|(seen, _)| seen.address.clone()).collect::<Vec<_>>();
        let listed = self.addresses();
        let ours = self.settings.server_address();
        let all = heard.into_iter().chain(listed).filter(|address| *address != ours);
        all.filter_map(|address| address.parse().ok()).collect()
    }

    /// Takes in what another server knows. What it says of itself is fresh; the rest only tells where to look.
    pub(super) fn learn(&self, hello: &Hello) -> Result<(), Refused> {
        let ours = &self.settings.datacenter;
        if hello.datacenter != *ours {
            let theirs = &hello.datacenter;
            return Err(Refused::Unfit(format!(
                "this server belongs to datacenter '{ours}', the caller to '{theirs}'"
            )));
        }
        let us = self.identity.server();
        let now = Instant::now();
        let mut news = false;
        let mut state = self.state();
        for (place, seen) in hello.servers.iter().enumerate() {
            if seen.id == us || seen.id == 0 {
                continue;
            }
            let known = state.known.get(&seen.id);
            let fresh = place == 0;
            if known.is_none() || (fresh && known.is_some_and(|(known, _)| known != seen)) {
                news = true;
                self.replication.found(seen.id, &seen.address);
            } else if !fresh {
                continue;
            }
            // Hearsay is not heard: it must answer itself before it counts.
            let at = if fresh { now } else { now.checked_sub(HEARD_WITHIN).unwrap_or(now) };
            state.known.insert(seen.id, (seen.clone(), at));
        }
        if state.known.len() > KNOWN_MAX {
            state.known.retain(|_, (_, at)| at.elapsed() < HEARD_WITHIN);
        }
        drop(state);
        if news {
            self.news.notify_one();
        }
        Ok(())
    }
}
