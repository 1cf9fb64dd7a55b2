//! Calls to other servers: what the engine asks them, over the link.
//!
//! Each call says which cluster it comes from, which server it is for and which version it speaks, so that an address which
//! has gone to somebody else is noticed before anything is taken over.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{Either, select};
use http::Request;
use http_api::{Body, body};
use link::{
    Link, LinkError,
    calls::{self, CLUSTER_HEADER, TARGET_HEADER, VERSION_HEADER},
};
use openraft::{
    OptionalSend,
    entry::RaftEntry,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::SnapshotOf,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::{
    answer::{APPEND, PRE_VOTE, SNAPSHOT, TRANSFER, Transfer, VOTE},
    image::{self, Image},
    kinds::{Kinds, LogId, Server, Vote},
};
use crate::{
    links::{self, AnswerFailed, Links},
    storage::{Disk, Identity},
};

/// The longest answer to a call of the engine.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a server may take to write down entries; sending them again would only make it slower.
const APPEND_LIMIT: Duration = Duration::from_secs(5);
/// How long a snapshot may take to arrive and be taken over.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(600);
/// A connection on which nothing was answered for so long, while a call waits, is given up: its peer may have moved on.
const SILENT_LIMIT: Duration = Duration::from_secs(1);
/// What is wrong with a server that lacks what it acknowledged: an older copy of its disk, or a disk that lied.
const FORGETFUL: &str = "a server lacks entries that it has acknowledged: its data folder is an older copy, or its disk lost \
                         what it had confirmed; stop it, remove its data folder's raft and start it: it joins as a new server";

/// Makes connections to the other servers; one for calls and one for snapshots to each.
#[derive(Clone)]
pub(super) struct Peers {
    identity: Arc<Identity>,
    links: Links,
    lines: Arc<Mutex<HashMap<SocketAddr, Arc<Line>>>>,
    moved: Moved,
    held: Held,
    disk: Disk,
}

/// The last entry that each server has acknowledged to us as its leader, by their ids.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<HashMap<u64, (Vote, LogId)>>>);

impl Held {
    /// Notes what a server has acknowledged under a vote.
    fn note(&self, id: u64, vote: Vote, last: Option<LogId>) {
        let Some(last) = last else { return };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.entry(id).or_insert((vote, last));
        if known.0 != vote || known.1 < last {
            *known = (vote, last);
        }
    }

    /// Whether a server that lacks this entry has acknowledged it, or a later one, under the same vote.
    fn had(&self, id: u64, vote: Vote, lacking: Option<LogId>) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&id).is_some_and(|(under, last)| *under == vote && lacking <= Some(*last))
    }
}

/// Where servers are that were found elsewhere than the list of members says, by their ids.
#[derive(Clone, Default)]
pub(super) struct Moved(Arc<Mutex<HashMap<u64, String>>>);

impl Moved {
    /// Notes where a server is; the list of members follows once somebody leads.
    pub(super) fn note(&self, id: u64, address: &str) {
        self.locked().insert(id, address.to_owned());
    }

    fn of(&self, id: u64) -> Option<String> {
        self.locked().get(&id).cloned()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers {
    pub(super) fn new(identity: Arc<Identity>, links: Links, moved: Moved, disk: Disk) -> Self {
        Self { identity, links, lines: Arc::default(), moved, held: Held::default(), disk }
    }

    fn line(&self, address: SocketAddr) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|known, line| *known == address || Arc::strong_count(line) > 1);
        lines.entry(address).or_insert_with(|| Arc::new(Line::new(self.links.to(address)))).clone()
    }
}

impl RaftNetworkFactory<Kinds> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, server: &Server) -> Peer {
        let (name, addr) = (server.name.clone(), server.addr.clone());
        Peer { peers: self.clone(), target, name, addr, line: None, told_forgetful: false }
    }
}

/// One connection, shared by all that goes to its server.
struct Line {
    link: Arc<Link>,
    state: Mutex<Answering>,
}

/// When a server answered last, and whether the log says that it does not.
struct Answering {
    last: Instant,
    away: bool,
}

impl Line {
    fn new(link: Arc<Link>) -> Self {
        Self { link, state: Mutex::new(Answering { last: Instant::now(), away: false }) }
    }

    fn answered(&self, name: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = Instant::now();
        if std::mem::replace(&mut state.away, false) {
            info!(target: "agent.server.raft", peer = name, address = %self.link.address(), "a server answers again");
        }
    }

    /// Says once that a server does not answer; whether that has been so for long.
    fn silent(&self, name: &str, error: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let long = state.last.elapsed() >= SILENT_LIMIT;
        if long && !std::mem::replace(&mut state.away, true) {
            warn!(target: "agent.server.raft", peer = name, address = %self.link.address(), error, "a server does not answer; trying until it does");
        }
        long
    }
}

/// Another server, as the engine calls it.
pub(super) struct Peer {
    peers: Peers,
    target: u64,
    name: String,
    addr: String,
    line: Option<Arc<Line>>,
    /// Whether the log says that it has forgotten entries.
    told_forgetful: bool,
}

impl Peer {
    /// The connection to it. A name is looked up anew while nothing answers there.
    async fn line(&mut self) -> Result<Arc<Line>, io::Error> {
        if let Some(line) = &self.line {
            return Ok(line.clone());
        }
        let line = self.peers.line(self.address().await?);
        self.line = Some(line.clone());
        Ok(line)
    }

    /// Where it was found last, or where the list of members has it.
    async fn address(&self) -> Result<SocketAddr, io::Error> {
        let found = self.peers.moved.of(self.target);
        link::resolve(found.as_deref().unwrap_or(&self.addr)).await
    }

    fn request(&self, path: &str, sent: Body) -> Request<Body> {
        let request = Request::post(path)
            .header(VERSION_HEADER, calls::VERSION)
            .header(CLUSTER_HEADER, &*self.peers.identity.cluster())
            .header(TARGET_HEADER, self.target)
            .body(sent);
        request.expect("ids and numbers are headers")
    }

    async fn call<A: DeserializeOwned>(
        &mut self,
        kind: RPCTypes,
        path: &str,
        question: &(impl Serialize + Sync),
        limit: Duration,
    ) -> Result<A, RPCError<Kinds>> {
        let bytes = rmp_serde::to_vec_named(question).expect("the engine's questions are plain data");
        let request = self.request(path, body::full(bytes));
        let line = self.line().await.map_err(|e| unreachable(&e))?;
        let asked = timeout(limit, links::ask(&line.link, request, ANSWER_BYTES_MAX)).await;
        let failed = match asked {
            Ok(Ok(bytes)) => {
                line.answered(&self.name);
                return rmp_serde::from_slice(&bytes).map_err(|e| RPCError::Network(NetworkError::new(&e)));
            }
            Ok(Err(error)) => error.into(),
            Err(_) => {
                let (id, target) = (self.peers.identity.server(), self.target);
                CallFailed::Late(Timeout { action: kind, id, target, timeout: limit })
            }
        };
        if line.silent(&self.name, &failed.to_string()) {
            if matches!(failed, CallFailed::Late(_)) {
                line.link.give_up();
            }
            self.line = None;
        }
        Err(failed.into())
    }
}

/// Why the engine has no answer.
#[derive(Debug, thiserror::Error)]
enum CallFailed {
    #[error(transparent)]
    Answer(#[from] AnswerFailed),
    #[error("{0}")]
    Late(Timeout<Kinds>),
}

impl From<CallFailed> for RPCError<Kinds> {
    fn from(failed: CallFailed) -> Self {
        match failed {
            CallFailed::Late(late) => Self::Timeout(late),
            // Whoever refuses a call does so again: wait as for one that is away.
            CallFailed::Answer(
                AnswerFailed::Link(LinkError::Connect { .. } | LinkError::Target(_))
                | AnswerFailed::Refused { .. },
            ) => Self::Unreachable(Unreachable::new(&failed)),
            CallFailed::Answer(AnswerFailed::Link(LinkError::Ended { .. }) | AnswerFailed::BrokeOff(_)) => {
                Self::Network(NetworkError::new(&failed))
            }
        }
    }
}

fn unreachable(error: &io::Error) -> RPCError<Kinds> {
    RPCError::Unreachable(Unreachable::new(error))
}

impl RaftNetworkV2<Kinds> for Peer {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Kinds>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Kinds>, RPCError<Kinds>> {
        let limit = if rpc.entries.is_empty() { option.hard_ttl() } else { APPEND_LIMIT };
        let answer = self.call(RPCTypes::AppendEntries, APPEND, &rpc, limit).await?;
        let held = &self.peers.held;
        match &answer {
            AppendEntriesResponse::Success => {
                let last = rpc.entries.last().map(RaftEntry::log_id).or(rpc.prev_log_id);
                held.note(self.target, rpc.vote, last);
            }
            AppendEntriesResponse::PartialSuccess(last) => held.note(self.target, rpc.vote, *last),
            // The engine counts on what was acknowledged: to go on would be to forget that others need it.
            AppendEntriesResponse::Conflict if held.had(self.target, rpc.vote, rpc.prev_log_id) => {
                if !std::mem::replace(&mut self.told_forgetful, true) {
                    error!(target: "agent.server.raft", peer = self.name, "{FORGETFUL}");
                }
                return Err(unreachable(&io::Error::other(FORGETFUL)));
            }
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => {}
        }
        Ok(answer)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Kinds>,
        option: RPCOption,
    ) -> Result<VoteResponse<Kinds>, RPCError<Kinds>> {
        self.call(RPCTypes::Vote, VOTE, &rpc, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Kinds>,
        option: RPCOption,
    ) -> Result<VoteResponse<Kinds>, RPCError<Kinds>> {
        self.call(RPCTypes::Vote, PRE_VOTE, &rpc, option.hard_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<Kinds>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Kinds>, RPCError<Kinds>> {
        let transfer =
            Transfer { from: *rpc.from_leader(), to: *rpc.to_node_id(), last: rpc.last_log_id().copied() };
        self.call(RPCTypes::TransferLeader, TRANSFER, &transfer, option.hard_ttl()).await
    }

    /// Over a connection of its own, so that heartbeats do not wait behind it.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Kinds, Image>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Kinds>, StreamingError<Kinds>> {
        let own = self.peers.links.own(self.address().await.map_err(|e| unreachable(&e))?);
        let sent =
            image::outgoing(vote, snapshot, self.peers.disk.clone()).map_err(|e| NetworkError::new(&e))?;
        let sending =
            pin!(timeout(SNAPSHOT_LIMIT, links::ask(&own, self.request(SNAPSHOT, sent), ANSWER_BYTES_MAX)));
        let arrived = match select(sending, pin!(cancel)).await {
            Either::Left((arrived, _)) => arrived,
            Either::Right((closed, _)) => return Err(closed.into()),
        };
        let (id, target) = (self.peers.identity.server(), self.target);
        let late = |_| Timeout { action: RPCTypes::InstallSnapshot, id, target, timeout: SNAPSHOT_LIMIT };
        let bytes = arrived.map_err(late)?.map_err(|e| RPCError::from(CallFailed::from(e)))?;
        rmp_serde::from_slice(&bytes).map_err(|e| NetworkError::new(&e).into())
    }
}
