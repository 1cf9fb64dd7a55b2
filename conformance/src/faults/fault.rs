//! What happens to servers and agents.

use rand::seq::IndexedRandom as _;

use super::{
    agents::{Agents, Disturb, Watch},
    servers::{SERVERS, Servers},
};
use crate::options::Options;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9` of the leader.
    KillLeader,
    /// `kill -9` of one, whoever it is.
    KillOne,
    /// `kill -9` of two, so that nothing can be written.
    KillTwo,
    /// The leader stands still, and goes on as if nothing had been.
    StopLeader,
    /// Another one than the leader stands still.
    StopOther,
    /// The leader neither hears nor is heard by the other servers.
    CutLeader,
    /// The leader is heard, and does not hear.
    DeafLeader,
    /// The leader hears, and is not heard.
    MuteLeader,
    /// Two do not reach one another; the third reaches both.
    Bridge,
    /// The leader's disk is full.
    FullLeader,
    /// Another one's disk is full.
    FullOther,
    /// The leader's disk makes a few writes a second.
    SlowLeader,
    /// Another one's disk makes a few writes a second.
    SlowOther,
    /// Something happens to an agent.
    Agent(Disturb),
}

const ALL: [Fault; 16] = [
    Fault::KillLeader,
    Fault::KillOne,
    Fault::KillTwo,
    Fault::StopLeader,
    Fault::StopOther,
    Fault::CutLeader,
    Fault::DeafLeader,
    Fault::MuteLeader,
    Fault::Bridge,
    Fault::FullLeader,
    Fault::FullOther,
    Fault::SlowLeader,
    Fault::SlowOther,
    Fault::Agent(Disturb::Kill),
    Fault::Agent(Disturb::Stop),
    Fault::Agent(Disturb::Cut),
];

impl Fault {
    /// The next ones in a new order: all that are asked for and possible here.
    pub(super) fn shuffled(servers: &Servers, options: &Options) -> Vec<Self> {
        let wanted = ALL.into_iter().filter(|fault| options.wants(&format!("{fault:?}")));
        let possible: Vec<Self> = wanted.filter(|fault| fault.is_possible(servers)).collect();
        possible.sample(&mut rand::rng(), possible.len()).copied().collect()
    }

    fn is_possible(self, servers: &Servers) -> bool {
        match self {
            Self::CutLeader
            | Self::DeafLeader
            | Self::MuteLeader
            | Self::Bridge
            | Self::Agent(Disturb::Cut) => servers.can_cut(),
            Self::FullLeader | Self::FullOther => servers.can_fill(),
            Self::SlowLeader | Self::SlowOther => servers.can_slow(),
            _ => true,
        }
    }

    /// Makes it; gives the servers that go on without the others, if they are most of all.
    pub(super) fn make(
        self,
        servers: &mut Servers,
        agents: &mut Agents,
        watch: &Watch,
    ) -> anyhow::Result<Vec<usize>> {
        let leader = servers.leader().unwrap_or(0);
        let (second, third) = ((leader + 1) % SERVERS, (leader + 2) % SERVERS);
        let one = rand::random_range(0..SERVERS);
        match self {
            Self::KillLeader => servers.nodes[leader].kill(),
            Self::KillOne => servers.nodes[one].kill(),
            Self::KillTwo => {
                servers.nodes[leader].kill();
                servers.nodes[second].kill();
            }
            Self::StopLeader => servers.nodes[leader].stop()?,
            Self::StopOther => servers.nodes[second].stop()?,
            Self::CutLeader => {
                servers.deafen(leader, &[second, third])?;
                servers.deafen(second, &[leader])?;
                servers.deafen(third, &[leader])?;
            }
            Self::DeafLeader => servers.deafen(leader, &[second, third])?,
            Self::MuteLeader => {
                servers.deafen(second, &[leader])?;
                servers.deafen(third, &[leader])?;
            }
            Self::Bridge => {
                servers.deafen(leader, &[second])?;
                servers.deafen(second, &[leader])?;
            }
            Self::FullLeader => servers.fill(leader)?,
            Self::FullOther => servers.fill(second)?,
            Self::SlowLeader => servers.slow_down(leader)?,
            Self::SlowOther => servers.slow_down(second)?,
            Self::Agent(how) => watch.trouble(agents.disturb(how)?),
        }
        Ok(match self {
            Self::KillOne => (0..SERVERS).filter(|server| *server != one).collect(),
            Self::KillTwo => vec![third],
            Self::StopOther | Self::FullOther | Self::SlowOther | Self::Bridge => vec![leader, third],
            Self::Agent(_) => (0..SERVERS).collect(),
            _ => vec![second, third],
        })
    }
}
