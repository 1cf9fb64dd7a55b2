//! What the leader does for the servers: new ones get a vote once they have been well for a while, dead ones are removed, and the
//! list says where each is. Consul calls it autopilot.

use std::{collections::BTreeMap, time::Duration};

use registry_state::{Action, Autopilot, State};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Servers, ours};
use crate::replication::Listed;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a server leads before it removes others: until then every lease had the time to be kept.
const PATIENCE: Duration = Duration::from_secs(12);

/// How a server is, as the leader sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// Whether it lives and has the log.
    pub(crate) healthy: bool,
    /// Since when that is so.
    pub(crate) since: std::time::SystemTime,
    stable: Instant,
}

impl Servers {
    /// Looks after the servers while this one leads, until the end.
    pub(super) async fn tend(&self) {
        let mut leading_since = None;
        let mut told = false;
        let mut leadership = self.leadership.clone();
        loop {
            if !leadership.role().serving {
                leading_since = None;
                self.state().health.clear();
                leadership.changed().await;
                continue;
            }
            let since = *leading_since.get_or_insert_with(Instant::now);
            match self.look_after(since).await {
                Ok(()) => told = false,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(target: "agent.server.autopilot", error, "cannot change the servers; trying again");
                    }
                }
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                _ = leadership.changed() => {}
            }
        }
    }

    async fn look_after(&self, leading_since: Instant) -> Result<(), String> {
        let state = self.store.state();
        let wishes = state.autopilot().value.clone();
        let listed = self.replication.listed();
        self.note_health(&listed, &wishes);
        self.take_over_configured().await?;
        self.describe_us(&listed).await?;
        self.give_votes(&listed, &wishes).await?;
        if wishes.cleanup_dead_servers && leading_since.elapsed() >= PATIENCE {
            self.remove_dead(&listed, &wishes).await?;
        }
        Ok(())
    }

    /// Sets autopilot as configured where it was never set; from then on the configuration's block says nothing.
    async fn take_over_configured(&self) -> Result<(), String> {
        let Some(wished) = &self.settings.autopilot else { return Ok(()) };
        let known = self.store.state().autopilot();
        if known.modify_index > State::default().autopilot().modify_index {
            return Ok(());
        }
        let (settings, cas) = (Box::new(wished.clone()), Some(known.modify_index));
        let written = self.writer.write(Action::AutopilotSet { settings, cas }).await;
        written.map(drop).map_err(|e| e.to_string())
    }

    /// A server that leads says itself when it has moved.
    async fn describe_us(&self, listed: &[Listed]) -> Result<(), String> {
        let (us, now) = (self.identity.server(), ours(&self.settings));
        match listed.iter().find(|listed| listed.id == us) {
            Some(known) if known.server != now => {
                self.replication.describe(us, now).await.map_err(|e| e.to_string())
            }
            _ => Ok(()),
        }
    }

    fn note_health(&self, listed: &[Listed], wishes: &Autopilot) {
        let (us, now) = (self.identity.server(), std::time::SystemTime::now());
        let newest = listed.iter().filter_map(|listed| listed.matched).max().unwrap_or(0);
        let mut state = self.state();
        let before = std::mem::take(&mut state.health);
        state.health = listed
            .iter()
            .map(|listed| {
                let threshold =
                    Duration::from_nanos(u64::try_from(wishes.last_contact_threshold_ns).unwrap_or(0));
                let alive = self.leases.is_alive(&listed.server.name);
                let near =
                    listed.heard.is_some_and(|heard| heard < threshold.max(self.settings.pace.silent()));
                let behind = newest.saturating_sub(listed.matched.unwrap_or(0));
                let healthy = listed.id == us || (alive && near && behind <= wishes.max_trailing_logs);
                let known = before.get(&listed.id).filter(|known| known.healthy == healthy);
                let health = known.copied().unwrap_or(Health { healthy, since: now, stable: Instant::now() });
                (listed.id, health)
            })
            .collect::<BTreeMap<_, _>>();
    }

    async fn give_votes(&self, listed: &[Listed], wishes: &Autopilot) -> Result<(), String> {
        let wait = Duration::from_nanos(u64::try_from(wishes.server_stabilization_ns).unwrap_or(0));
        for new in listed.iter().filter(|listed| !listed.voter) {
            let health = self.state().health.get(&new.id).copied();
            if health.is_some_and(|health| health.healthy && health.stable.elapsed() >= wait) {
                info!(target: "agent.server.autopilot", server = new.server.name, "Promoting server");
                self.replication.give_vote(new.id).await.map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    /// Removes servers that are gone, as long as most of those that vote are well.
    async fn remove_dead(&self, listed: &[Listed], wishes: &Autopilot) -> Result<(), String> {
        let silent = self.settings.pace.silent();
        let dead: Vec<_> = listed
            .iter()
            .filter(|listed| is_gone(self.leases.has_failed(&listed.server.name), listed.heard, silent))
            .collect();
        let voters = listed.iter().filter(|listed| listed.voter).count();
        let dead_voters = dead.iter().filter(|dead| dead.voter).count();
        let stay = voters - dead_voters;
        if dead.is_empty() || dead_voters * 2 >= voters || (stay as u64) < wishes.min_quorum {
            return Ok(());
        }
        for gone in dead {
            info!(target: "agent.server.autopilot", server = gone.server.name, "Attempting removal of failed server node");
            self.replication.remove(gone.id).await.map_err(|e| e.to_string())?;
            let forgotten = self.leases.force_leave(&gone.server.name, false).await;
            forgotten.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// How the servers are, as the leader sees them, by their ids.
    pub(crate) fn health(&self) -> BTreeMap<u64, Health> {
        self.state().health.clone()
    }
}

/// Whether a server is gone: its lease has run out, and the log was not answered of late either. One that is just back
/// answers the log before it keeps its lease again.
fn is_gone(lease_ran_out: bool, heard: Option<Duration>, silent: Duration) -> bool {
    lease_ran_out && heard.is_none_or(|heard| heard >= silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answers_the_log_again_is_not_removed_before_its_lease_is_known() {
        let (silent, long_ago, just_now) =
            (Duration::from_secs(1), Duration::from_secs(5), Duration::from_millis(20));
        assert!(is_gone(true, Some(long_ago), silent));
        assert!(is_gone(true, None, silent));
        assert!(!is_gone(true, Some(just_now), silent));
        assert!(!is_gone(false, Some(long_ago), silent));
    }
}
