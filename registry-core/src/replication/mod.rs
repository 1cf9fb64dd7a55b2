//! The replicated log. openraft is known in this folder only.
//!
//! `kinds` says what it replicates, `log` keeps entries on disk, `machine` applies them to the state. `network` calls other
//! servers, `answer` is called by them, `image` is the whole state on its way. `members` changes who belongs to the cluster,
//! `recover` makes a server go on alone. `pace` says how long they wait for one another.
//! [`Replication`] is what the rest of the registry sees: a way to put changes in, and who leads.

mod answer;
mod image;
mod kinds;
mod log;
mod machine;
mod members;
mod network;
mod pace;
mod recover;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod wire;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use daemon::Shutdown;
use futures_util::future::{Either, ready};
use metrics::{counter, histogram};
use openraft::{
    Config, Instant as _, ReadPolicy, ServerState, SnapshotPolicy,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, RaftError},
    metrics::RaftServerMetrics,
};
use registry_state::{Command, Index, Outcome};
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{error, info};

use crate::{
    figures,
    leadership::{Confirming, Role},
    links::Links,
    storage::{Disk, Identity, snapshots::Snapshots},
    store::Store,
    writer::WriteFailed,
};
use kinds::{Batch, Kinds};
use machine::Machine;

pub(crate) use kinds::Server;
pub(crate) use machine::Enough;
pub(crate) use members::{ChangeFailed, Listed};
pub use pace::Pace;

/// How many entries before a snapshot stay in the log, for servers that lag a little.
const KEPT_ENTRIES: u64 = 128;

/// How often it is looked whether the leader, or most of the servers, still give signs of life.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// When a leader that could not make sure of it tries again.
const CONFIRM_AGAIN: Duration = Duration::from_millis(50);
/// How long the engine's last tasks may take to let go of the log's files.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

type Raft = openraft::Raft<Kinds, Machine>;

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log's files cannot be read or written, or are damaged before their end.
    #[error(
        "cannot open the log in {folder}: {source}; restore the data folder from a backup, or move it away to start empty"
    )]
    Log {
        /// The log's folder.
        folder: String,
        /// What the log says.
        source: io::Error,
    },
    /// A snapshot cannot be read or does not fit the log.
    #[error(transparent)]
    Snapshot(#[from] crate::storage::StorageError),
    /// The file that tells this server to go on alone cannot be followed.
    #[error("cannot recover by {path}: {why}")]
    Recovery {
        /// The file.
        path: String,
        /// What is wrong with it, or with the disk.
        why: String,
    },
    /// The engine does not start.
    #[error("cannot start the replicated log: {0}")]
    Engine(String),
}

/// Who leads.
struct Leading {
    id: u64,
    server: Server,
}

/// How far the log has come, for people who look at `consul info`.
pub(crate) struct Progress {
    /// `Leader`, `Follower`, `Candidate`, …
    pub(crate) state: String,
    pub(crate) term: u64,
    /// The index of the last entry.
    pub(crate) last: u64,
    /// The index of the last entry that the state holds.
    pub(crate) applied: u64,
    /// The index up to which the last snapshot holds the state.
    pub(crate) snapshot: u64,
    pub(crate) voters: usize,
    /// How long ago this server heard from the leader; `None` on the leader itself, and before the first time.
    pub(crate) contact: Option<Duration>,
}

/// What a log works with.
pub(crate) struct Means {
    pub(crate) disk: Disk,
    /// When a snapshot is made.
    pub(crate) enough: Enough,
    pub(crate) links: Links,
    pub(crate) pace: Pace,
}

/// The running log of this server.
#[derive(Clone)]
pub(crate) struct Replication {
    raft: Raft,
    open: log::Open,
    identity: Arc<Identity>,
    snapshots: Snapshots,
    /// When the leader was heard of last.
    contact: watch::Sender<Option<tokio::time::Instant>>,
    /// Held by the one snapshot that may be received.
    receiving: Arc<Semaphore>,
    moved: network::Moved,
    disk: Disk,
    pace: Pace,
}

impl Replication {
    /// Opens the log in `folder`, and replays what the last snapshot does not hold.
    pub(crate) async fn open(
        folder: &Path,
        identity: Arc<Identity>,
        ours: &Server,
        store: Arc<Store>,
        means: Means,
    ) -> Result<(Self, Arc<Notify>), OpenError> {
        let Means { disk, enough, links, pace } = means;
        let mut log = log::Log::open(&folder.join("log"), disk.clone())?;
        let open = log.while_open();
        let snapshots = Snapshots::open(folder.join("snapshots"))?;
        let full = Arc::new(Notify::new());
        let mut machine =
            Machine::open(store, snapshots.clone(), log.purged(), disk.clone(), enough, full.clone())?;
        recover::recover(folder, &identity, ours, &mut log, &mut machine).await?;
        let config = Arc::new(config(pace).validate().expect("the multiples of a pace fit together"));
        let moved = network::Moved::default();
        let peers = network::Peers::new(identity.clone(), links, moved.clone(), disk.clone());
        let raft = Raft::new(identity.server(), config, peers, log, machine).await;
        let raft = raft.map_err(|e| OpenError::Engine(e.to_string()))?;
        let us = identity.server();
        let alone =
            raft.with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([us]));
        if alone.await.map_err(|e| OpenError::Engine(e.to_string()))? {
            // Nobody else votes, so there is nobody to wait for. What fails here is tried again by the engine's clock.
            let _ = raft.trigger().elect(false).await;
        }
        let contact = watch::channel(None).0;
        let receiving = Arc::new(Semaphore::new(1));
        Ok((Self { raft, open, identity, snapshots, contact, receiving, moved, disk, pace }, full))
    }

    /// Whether this server belongs to a cluster, or has begun one.
    pub(crate) async fn is_initialized(&self) -> Result<bool, OpenError> {
        self.raft.is_initialized().await.map_err(|e| OpenError::Engine(e.to_string()))
    }

    /// Begins a cluster with these servers. All of them must have empty disks, and one alone may call this.
    pub(crate) async fn initialize(&self, servers: BTreeMap<u64, Server>) -> Result<(), OpenError> {
        self.raft.initialize(servers).await.map_err(|e| OpenError::Engine(e.to_string()))
    }

    /// Notes where a server was found that the list of members may have elsewhere.
    pub(crate) fn found(&self, id: u64, address: &str) {
        self.moved.note(id, address);
    }

    /// Puts a batch into the log; gives its outcomes once it is on disk and applied.
    pub(crate) async fn propose(&self, commands: Vec<Command>) -> Result<Vec<(Index, Outcome)>, WriteFailed> {
        match self.raft.client_write(Batch::new(commands)).await {
            Ok(written) => Ok(written.data.0),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(WriteFailed::NoLeader),
            Err(_) => Err(WriteFailed::Unknown),
        }
    }

    /// Whether this server, which leads and has its state complete, still does: asks the others, if there are others.
    pub(crate) fn confirm(&self) -> Confirming {
        counter!("raft.verify_leader").increment(1);
        if self.leads_alone() {
            return Either::Left(ready(true));
        }
        let replication = self.clone();
        Either::Right(Box::pin(async move { replication.ask_others().await }))
    }

    /// Whether this server, which leads, may answer without asking: nobody else votes, or most have heard it so shortly ago
    /// that they do not vote for another yet. The clock is one that nobody sets.
    pub(crate) fn lease_holds(&self) -> bool {
        self.leads_alone() || self.quorum_heard().is_some_and(|ago| ago < self.pace.read_lease())
    }

    /// How long ago this server said what most of the others have acknowledged; only on a leader.
    fn quorum_heard(&self) -> Option<Duration> {
        let metrics = self.raft.data_metrics();
        let heard = metrics.borrow_watched().last_quorum_acked?;
        Some(heard.elapsed())
    }

    /// Whether this server leads and nobody else votes. Then nobody else can have acknowledged a write, and its state
    /// holds all that it has acknowledged itself. The engine shows another voter before that one counts.
    fn leads_alone(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let now = metrics.borrow_watched();
        let members = now.membership_config.membership().get_joint_config();
        let alone = matches!(members.as_slice(), [voters] if voters.len() == 1 && voters.contains(&now.id));
        alone && now.state == ServerState::Leader
    }

    /// Whether this server still leads: asks the others, and waits until the state holds what they know.
    async fn ask_others(&self) -> bool {
        let asked = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        matches!(timeout(self.pace.silent(), asked).await, Ok(Ok(_)))
    }

    /// How far the log has come.
    pub(crate) fn progress(&self) -> Progress {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let members = now.membership_config.membership();
        let index = |id: Option<kinds::LogId>| id.map_or(0, |id| id.index());
        Progress {
            state: format!("{:?}", now.state),
            term: now.current_term,
            last: now.last_log_index.unwrap_or(0),
            applied: index(now.last_applied),
            snapshot: index(now.snapshot),
            voters: members.voter_ids().count(),
            contact: self.heard_ago().filter(|_| now.state != ServerState::Leader),
        }
    }

    /// How long ago the leader was heard of.
    pub(crate) fn heard_ago(&self) -> Option<Duration> {
        self.contact.borrow().map(|at| at.elapsed())
    }

    /// Follows who leads, makes snapshots when the log is `full`, and ends the engine on shutdown.
    ///
    /// `ours` is this server as it is now: its address may have changed since the members were written down.
    pub(crate) fn follow(
        self,
        ours: Server,
        role: watch::Sender<Role>,
        full: Arc<Notify>,
        shutdown: Shutdown,
    ) -> JoinHandle<()> {
        tokio::spawn(async move {
            tokio::select! {
                () = self.follow_role(&ours, &role, &shutdown) => {}
                () = self.make_snapshots(&full) => {}
                () = shutdown.requested() => {}
            }
            role.send_replace(Role::default());
            if let Err(error) = self.raft.shutdown().await {
                error!(target: "agent.server", %error, "the replicated log ended badly");
            }
            // The engine's last tasks let go of the files only now; the next process must find them free.
            if timeout(CLOSE_LIMIT, self.open.closed()).await.is_err() {
                error!(target: "agent.server", "the log's files are still open");
            }
        })
    }

    async fn follow_role(&self, ours: &Server, role: &watch::Sender<Role>, shutdown: &Shutdown) {
        // Those of the server, which stay the same from write to write.
        let mut metrics = self.raft.server_metrics();
        // A restarted leader may know less than it acknowledged until everything in its log is applied.
        if let Err(error) = self.raft.wait_for_recovery(None).await {
            error!(target: "agent.server", %error, "the log could not be replayed");
        }
        let mut state = None;
        loop {
            let now = metrics.borrow_watched().clone();
            if state.replace(now.state) != Some(now.state) {
                count_state(now.state);
            }
            let settled = self.take_role(ours, role, &now).await;
            // Nobody tells that a leader is silent; a lone server has nobody to listen to.
            let alone = now.membership_config.membership().nodes().count() <= 1;
            let changed = tokio::select! {
                changed = metrics.changed() => changed.is_ok(),
                () = sleep(CONFIRM_AGAIN), if !settled => true,
                () = sleep(LISTEN_EVERY), if settled && !alone => true,
            };
            if !changed {
                return self.tell_failure(shutdown);
            }
        }
    }

    /// Says why the engine has ended, and ends the program with it, unless it was asked to.
    fn tell_failure(&self, shutdown: &Shutdown) {
        if let Err(fatal) = &self.raft.metrics().borrow_watched().running_state
            && !shutdown.is_requested()
        {
            error!(target: "agent.server", error = %fatal, "the replicated log failed; stopping");
            shutdown.request();
        }
    }

    /// Publishes who leads; false when this server leads but could not make sure of it.
    async fn take_role(
        &self,
        ours: &Server,
        role: &watch::Sender<Role>,
        now: &RaftServerMetrics<Kinds>,
    ) -> bool {
        let (was, start) = (role.borrow().clone(), Instant::now());
        let leads = now.state == ServerState::Leader;
        let serving = leads && self.is_heard() && (was.serving || self.ask_others().await);
        let leader = match leads {
            true => self.is_heard().then(|| Leading { id: now.id, server: ours.clone() }),
            false => self.leader_of(now),
        };
        let next = Role {
            leader: leader.as_ref().map(|leader| leader.server.addr.clone()),
            id: leader.as_ref().map_or(0, |leader| leader.id),
            serving,
        };
        if next == was {
            return serving == leads;
        }
        if serving && !was.serving {
            info!(target: "agent.server", "cluster leadership acquired");
            histogram!("leader.barrier").record(figures::since(start));
            figures::new_leader();
        } else if was.serving && !serving {
            info!(target: "agent.server", "cluster leadership lost");
        }
        if let Some(leader) = leader.filter(|leader| leader.id != was.id && (!leads || serving)) {
            info!(target: "agent.server", payload = leader.server.name, "New leader elected");
        }
        role.send_replace(next);
        serving == leads
    }

    /// Whether most of the servers have heard this one, which leads, of late.
    fn is_heard(&self) -> bool {
        self.leads_alone() || self.quorum_heard().is_none_or(|ago| ago < self.pace.silent())
    }

    /// Who leads, as long as it gives signs of life.
    fn leader_of(&self, now: &RaftServerMetrics<Kinds>) -> Option<Leading> {
        let id = now.current_leader.filter(|id| *id != now.id)?;
        self.heard_ago().filter(|ago| *ago < self.pace.silent())?;
        let server = now.membership_config.membership().get_node(&id)?.clone();
        Some(Leading { id, server })
    }

    async fn make_snapshots(&self, full: &Notify) {
        loop {
            full.notified().await;
            if self.raft.trigger().snapshot().await.is_err() {
                // The engine has stopped, and `follow_role` says why.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Counts what this server began to be.
fn count_state(state: ServerState) {
    match state {
        ServerState::Follower => counter!("raft.state.follower").increment(1),
        ServerState::Candidate => counter!("raft.state.candidate").increment(1),
        ServerState::Leader => counter!("raft.state.leader").increment(1),
        ServerState::Learner | ServerState::Shutdown => {}
    }
}

fn config(pace: Pace) -> Config {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "ryo".to_owned(),
        heartbeat_interval: ms(pace.heartbeat()),
        election_timeout_min: ms(pace.election_min()),
        election_timeout_max: ms(pace.election_max()),
        enable_pre_vote: Some(true),
        // Who led before it started has itself elected anew. The engine sends entries to others while they are written here;
        // one that a crash took from this disk may be on theirs, and another one in its place would have the same name.
        enable_leader_restore: Some(false),
        install_snapshot_timeout: Duration::from_secs(60).as_millis() as u64,
        // Entries differ in size a thousandfold, so the machine counts bytes and asks for a snapshot.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        ..Config::default()
    }
}
