//! How long servers wait for one another.

use std::time::Duration;

/// How often a leader tells the others that it lives.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// The waiting times between servers, all of them multiples of the leader's heartbeat: `performance.raft_multiplier` stretches it.
///
/// The same on all servers of a cluster: one that is much quicker than the leader takes it for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    heartbeat: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { heartbeat: HEARTBEAT }
    }
}

impl Pace {
    /// So many times as patient as usual: a dead leader is replaced within about a second times this.
    pub fn times(multiplier: u32) -> Self {
        Self { heartbeat: HEARTBEAT * multiplier }
    }

    /// For simulations: that of a server whose clock goes so much faster than the others', 1.0 being the same.
    pub fn by_clock(rate: f64) -> Self {
        Self { heartbeat: HEARTBEAT.div_f64(rate) }
    }

    /// How often a leader tells the others that it lives.
    pub(super) fn heartbeat(self) -> Duration {
        self.heartbeat
    }

    /// The shortest wait before an election once the leader's lease is over: more than a call between servers may take, which is
    /// much more than a flush.
    pub(super) fn election_min(self) -> Duration {
        self.heartbeat * 4
    }

    /// The longest wait before an election, and the lease: so long after a sign of life nobody votes for another.
    pub(super) fn election_max(self) -> Duration {
        self.heartbeat * 6
    }

    /// For how long a leader answers questions after it told the others that it lives, and most have heard it. Two thirds of the
    /// lease that they give: the clocks may run that much apart.
    pub(super) fn read_lease(self) -> Duration {
        self.election_max() * 2 / 3
    }

    /// After how long without a sign of life nobody leads any more, for whoever asks.
    pub(crate) fn silent(self) -> Duration {
        self.election_max() + self.election_min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_times_grow_with_the_multiplier_and_the_read_lease_ends_before_the_vote_is_free() {
        for multiplier in 1..=10 {
            let pace = Pace::times(multiplier);
            assert_eq!(pace.silent(), Duration::from_secs(1) * multiplier);
            assert!(pace.heartbeat() * 2 < pace.election_min());
            assert_eq!(pace.read_lease() * 3, pace.election_max() * 2);
        }
        assert_eq!(Pace::default(), Pace::times(1));
    }
}
