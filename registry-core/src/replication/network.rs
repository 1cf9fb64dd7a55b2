//! Calls between servers. This release runs one server a datacenter, so there is nobody to call yet.

use std::{future::Future, io};

use openraft::{
    BasicNode, OptionalSend,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetworkFactory, RaftNetworkV2},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
    type_config::alias::SnapshotOf,
};

use super::{
    kinds::{Kinds, Vote},
    machine::Image,
};

/// Makes connections to the other servers.
pub(super) struct Peers;

/// A connection to another server.
pub(super) struct Peer(u64);

impl RaftNetworkFactory<Kinds> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &BasicNode) -> Peer {
        Peer(target)
    }
}

impl Peer {
    fn unreachable(&self) -> Unreachable<Kinds> {
        let why = format!("server {}: this release runs one server a datacenter", self.0);
        Unreachable::new(&io::Error::other(why))
    }
}

impl RaftNetworkV2<Kinds> for Peer {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<Kinds>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Kinds>, RPCError<Kinds>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn vote(
        &mut self,
        _: VoteRequest<Kinds>,
        _: RPCOption,
    ) -> Result<VoteResponse<Kinds>, RPCError<Kinds>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn pre_vote(
        &mut self,
        _: VoteRequest<Kinds>,
        _: RPCOption,
    ) -> Result<VoteResponse<Kinds>, RPCError<Kinds>> {
        Err(RPCError::Unreachable(self.unreachable()))
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: SnapshotOf<Kinds, Image>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Kinds>, StreamingError<Kinds>> {
        Err(StreamingError::Unreachable(self.unreachable()))
    }
}
