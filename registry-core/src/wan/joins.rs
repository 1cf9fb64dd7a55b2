//! Joining servers of other datacenters, as the configuration or an operator asks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use agent::backend::remote::{reachable, reason, resolve};
use link::join;
use tokio::time::sleep;

use super::{Wan, table::Standing, talk};

/// The port that other datacenters' servers answer joins on: `ports.serf_wan`.
const JOIN_PORT: u16 = 8302;
/// How often it is looked whether all servers of this datacenter are known.
const TOGETHER_EVERY: Duration = Duration::from_secs(5);
/// The first pause after a round in which somebody did not answer; doubled up to `retry_interval_wan`.
const PAUSE_MIN: Duration = Duration::from_secs(1);

impl Wan {
    /// Joins the configured servers: each once, however long that takes. A line is logged when one cannot be joined and when
    /// it could at last, none for the attempts between.
    pub(crate) async fn keep_joining(self: Arc<Self>) {
        let mut waiting: Vec<(String, bool)> =
            self.settings.joins.iter().map(|target| (target.clone(), false)).collect();
        let (mut joined, mut rounds) = (0, 0);
        while !waiting.is_empty() && !self.shutdown.is_requested() {
            let mut still = Vec::new();
            for (target, told) in waiting {
                match self.join(&target).await {
                    Ok(()) => {
                        joined += 1;
                        tracing::info!(target: "agent", address = target, number_of_nodes = 1, "(WAN) joined");
                    }
                    Err(error) => {
                        if !told {
                            tracing::warn!(target: "agent", cluster = "WAN", error, "Join cluster failed, will retry");
                        }
                        still.push((target, true));
                    }
                }
            }
            waiting = still;
            rounds += 1;
            if joined == 0 && self.settings.retry_max > 0 && rounds >= self.settings.retry_max {
                tracing::error!(target: "agent", error = "agent: max join retry exhausted, exiting", cluster = "WAN", "Retry join failed");
                self.gave_up.store(true, std::sync::atomic::Ordering::Relaxed);
                self.shutdown.request();
                return;
            }
            let pause = PAUSE_MIN.saturating_mul(1 << rounds.min(16)) / 2;
            let pause = pause.min(self.settings.retry_interval).mul_f64(rand::random_range(0.75..1.25));
            tokio::select! {
                () = sleep(pause), if !waiting.is_empty() => {}
                () = self.shutdown.requested(), if !waiting.is_empty() => {}
                () = async {}, if waiting.is_empty() => {}
            }
        }
    }

    /// Lets the servers of this datacenter know each other here too, until shutdown: one that joins another datacenter is
    /// enough for all of them.
    pub(crate) async fn keep_together(self: Arc<Self>, own_cluster: impl Fn() -> Vec<SocketAddr>) {
        while !self.shutdown.is_requested() {
            for address in own_cluster() {
                // Whoever does not answer now is asked again.
                if !self.has_at(address) && self.meet(address).await.is_ok() {
                    tracing::debug!(target: "agent.server", %address, "a server of this datacenter is known to the others");
                }
            }
            tokio::select! {
                () = sleep(TOGETHER_EVERY) => {}
                () = self.shutdown.requested() => {}
            }
        }
    }

    /// Whether the server whose link is here is known, and here for good.
    fn has_at(&self, address: SocketAddr) -> bool {
        let state = self.state();
        let mut others = state.table.others().iter();
        others.any(|(name, known)| {
            let found_at = state.peers.get(name).and_then(|peer| peer.found_at);
            known.standing != Standing::Left
                && (known.server.links.contains(&address) || found_at == Some(address))
        })
    }

    /// Joins the server at a place: `10.0.0.1`, `[fd10::1]:8302`, `registry.example:8302`.
    ///
    /// Errors in Consul's words when nobody answers there.
    pub(crate) async fn join(&self, target: &str) -> Result<(), String> {
        let failed = |why: String| format!("Failed to join {target}: {why}");
        let mut last = failed("the name has no address".to_owned());
        let unresolved = |why: String| format!("Failed to resolve {target}: {why}");
        for address in resolve(target, JOIN_PORT).await.map_err(unresolved)? {
            match self.join_at(address).await {
                Ok(()) => return Ok(()),
                Err(why) => last = failed(why),
            }
        }
        Err(last)
    }

    async fn join_at(&self, address: SocketAddr) -> Result<(), String> {
        let directions =
            join::ask(&**self.links.network(), address).await.map_err(|error| reason(address, &error))?;
        // Where it says that it is, or where it was found: between both may be a translation of addresses.
        let told = reachable(directions.server, address);
        let found = SocketAddr::new(address.ip(), told.port());
        match self.meet(told).await {
            Err(_) if found != told => self.meet(found).await,
            met => met,
        }
    }

    /// Speaks with the server whose link is here, and knows it from then on.
    async fn meet(&self, at: SocketAddr) -> Result<(), String> {
        let link = self.links.to(at);
        let news = self.news(&self.state(), true);
        let told = talk::ask(&link, &news, "").await?;
        let name = told.from.name();
        if name == news.from.name() {
            return match told.from.id == news.from.id {
                true => Ok(()),
                false => {
                    Err(format!("the server at {at} is called {name} too: one of both needs another name"))
                }
            };
        }
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let (changes, _) = state.table.merge(told.servers.into_iter().chain([told.from]).collect(), now_ms);
        drop(state);
        self.changed(&changes, true);
        let mut state = self.state();
        if let Some(peer) = state.peers.get_mut(&name) {
            peer.found_at = Some(at);
            (peer.link, peer.failures, peer.next) = (link, 0, tokio::time::Instant::now());
        }
        let alive = state.table.alive(&name, now_ms);
        drop(state);
        self.changed(alive.as_slice(), true);
        Ok(())
    }
}
