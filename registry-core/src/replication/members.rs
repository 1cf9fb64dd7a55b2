//! Who belongs to the cluster: servers are added without a vote, given one, described anew, and removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{
    ChangeMembers, Instant as _, ServerState,
    async_runtime::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::ClientWriteResponse,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Replication,
    kinds::{Kinds, Server},
};

/// How long a change may take: most of the servers must write it down.
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// When a change that found another one under way is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// A server as the cluster lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    pub(crate) server: Server,
    pub(crate) voter: bool,
    pub(crate) leader: bool,
    /// Up to which entry it has the log; known on the leader only.
    pub(crate) matched: Option<u64>,
    /// How long ago it answered the leader; known on the leader only.
    pub(crate) heard: Option<Duration>,
}

/// Why the cluster stays as it was, or nobody can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeFailed {
    /// Another server leads, or none: ask that one.
    #[error("No cluster leader")]
    NoLeader,
    /// Too few servers wrote it down in time; it may still happen.
    #[error("timed out; whether the servers were changed is unknown")]
    Unknown,
    /// The change makes no sense.
    #[error("{0}")]
    Refused(String),
}

impl From<RaftError<Kinds, ClientWriteError<Kinds>>> for ChangeFailed {
    fn from(error: RaftError<Kinds, ClientWriteError<Kinds>>) -> Self {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Self::NoLeader,
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) | RaftError::Fatal(_) => {
                Self::Unknown
            }
            RaftError::APIError(other) => Self::Refused(other.to_string()),
        }
    }
}

type Changed = Result<ClientWriteResponse<Kinds>, RaftError<Kinds, ClientWriteError<Kinds>>>;

impl Replication {
    /// The servers, in order of their ids.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let members = now.membership_config.membership();
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let leader = match now.state {
            ServerState::Leader => Some(now.id),
            _ => now.current_leader,
        };
        let matched = |id| Some(now.replication.as_ref()?.get(&id)?.as_ref()?.index());
        let heard = |id| Some(now.heartbeat.as_ref()?.get(&id)?.as_ref()?.elapsed());
        let list = members.nodes().map(|(id, server)| Listed {
            id: *id,
            server: server.clone(),
            voter: voters.contains(id),
            leader: leader == Some(*id),
            matched: matched(*id).or_else(|| now.last_log_index.filter(|_| *id == now.id)),
            heard: heard(*id),
        });
        list.collect()
    }

    /// Adds a server that does not vote yet: it gets the log from now on.
    pub(crate) async fn add(&self, id: u64, server: Server) -> Result<(), ChangeFailed> {
        self.change(|| self.raft.add_learner(id, server.clone(), false)).await
    }

    /// Gives a server that has the log a vote.
    pub(crate) async fn give_vote(&self, id: u64) -> Result<(), ChangeFailed> {
        let change = || ChangeMembers::AddVoterIds(BTreeSet::from([id]));
        self.change(|| self.raft.change_membership(change(), true)).await
    }

    /// Describes a server anew: it has another address, name or version.
    pub(crate) async fn describe(&self, id: u64, server: Server) -> Result<(), ChangeFailed> {
        let change = || ChangeMembers::SetNodes(BTreeMap::from([(id, server.clone())]));
        self.change(|| self.raft.change_membership(change(), true)).await
    }

    /// Removes a server; the last one that votes stays.
    pub(crate) async fn remove(&self, id: u64) -> Result<(), ChangeFailed> {
        let Some(listed) = self.listed().into_iter().find(|listed| listed.id == id) else { return Ok(()) };
        let ids = BTreeSet::from([id]);
        if listed.voter {
            let change = || ChangeMembers::RemoveVoters(ids.clone());
            self.change(|| self.raft.change_membership(change(), false)).await
        } else {
            let change = || ChangeMembers::RemoveNodes(ids.clone());
            self.change(|| self.raft.change_membership(change(), true)).await
        }
    }

    /// Hands leadership to a server that votes, or to the one that has most of the log; waits until another one leads.
    pub(crate) async fn transfer(&self, to: Option<u64>) -> Result<(), ChangeFailed> {
        let others = self.listed().into_iter().filter(|listed| listed.voter && !listed.leader);
        let next = match to {
            Some(id) => Some(id),
            None => others.max_by_key(|listed| listed.matched).map(|listed| listed.id),
        };
        let next = next.ok_or_else(|| ChangeFailed::Refused("cannot find peer".to_owned()))?;
        self.raft.trigger().transfer_leader(next).await.map_err(|_| ChangeFailed::Unknown)?;
        let mut metrics = self.raft.server_metrics();
        let handed = async {
            while metrics.borrow_watched().state == ServerState::Leader {
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(CHANGE_LIMIT, handed).await.map_err(|_| ChangeFailed::Unknown)
    }

    /// Makes a change, and tries again while another one is under way.
    async fn change<F: Future<Output = Changed>>(&self, change: impl Fn() -> F) -> Result<(), ChangeFailed> {
        let end = Instant::now() + CHANGE_LIMIT;
        loop {
            let changed = timeout(CHANGE_LIMIT, change()).await.map_err(|_| ChangeFailed::Unknown)?;
            let under_way = |error: &ChangeMembershipError<_, _>| {
                matches!(
                    error,
                    ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_)
                )
            };
            match changed {
                Ok(_) => return Ok(()),
                Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error)))
                    if under_way(&error) && Instant::now() < end => {}
                Err(error) => return Err(error.into()),
            }
            sleep(AGAIN).await;
        }
    }
}
