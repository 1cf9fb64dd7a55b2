//! Calls of the log as an earlier release makes them are understood: servers are upgraded one after the other.
//!
//! `tests/wire/*.msgpack` were written once and are never written again: each is what version 2 of the calls sends. A change, of the
//! engine's too, that does not read them needs another version number, and both ways of speaking for one release.
//! `UPDATE_GOLDEN=1` writes files that are not there yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::PathBuf,
};

use openraft::{
    Membership,
    entry::RaftEntry as _,
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
    type_config::alias::CommittedLeaderIdOf,
    vote::RaftLeaderId as _,
};
use registry_state::{Action, Command, KvPut, SessionId};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    answer::Transfer,
    kinds::{Batch, Entry, Kinds, LogId, Payload, Server, Vote},
};

type Appended = AppendEntriesResponse<Kinds>;

#[test]
fn questions_of_version_2_are_understood() {
    understood("append", &append());
    let last = Some(position(8));
    understood("vote", &VoteRequest::<Kinds>::new(vote(), last));
    understood("transfer", &Transfer { from: vote(), to: 12, last });
}

#[test]
fn answers_of_version_2_are_understood() {
    understood("appended", &Appended::Success);
    understood("appended-in-part", &Appended::PartialSuccess(Some(position(7))));
    understood("append-conflict", &Appended::Conflict);
    understood("append-higher-vote", &Appended::HigherVote(vote()));
    understood("voted", &VoteResponse::<Kinds>::new(vote(), Some(position(8)), true));
    understood("snapshot-taken", &SnapshotResponse::<Kinds>::new(vote()));
}

#[track_caller]
fn understood<T: Serialize + DeserializeOwned + Debug>(name: &str, meaning: &T) {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "wire", &format!("{name}.msgpack")].iter().collect();
    if !path.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        let bytes = rmp_serde::to_vec_named(meaning).expect("calls are plain data");
        fs::write(&path, bytes).expect("the folder can be written");
    }
    let bytes = fs::read(&path).expect("the file is there");
    let read: T = rmp_serde::from_slice(&bytes).expect("it is read");
    assert_eq!(format!("{read:?}"), format!("{meaning:?}"), "{name}");
}

fn vote() -> Vote {
    Vote::new_committed(3, 11)
}

fn position(index: u64) -> LogId {
    LogId::new(CommittedLeaderIdOf::<Kinds>::new(3, 11), index)
}

/// An entry of each kind.
fn append() -> AppendEntriesRequest<Kinds> {
    let put = KvPut { key: "k".into(), value: vec![0, 255].into(), ..KvPut::default() };
    let actions = [Action::KvPut(put), Action::SessionDestroy { id: SessionId::from("s") }];
    let commands = actions.map(|action| Command { at_ms: 1_790_000_000_000, action }).to_vec();
    let server = Server {
        addr: "10.0.0.1:8300".into(),
        name: "s1".into(),
        node_id: "11111111-2222-4333-8444-555555555555".into(),
        version: 2,
        build: "1.21.4".into(),
        lan_port: 8301,
    };
    let members =
        Membership::new(vec![BTreeSet::from([11])], BTreeMap::from([(11, server.clone()), (12, server)]));
    let payloads = [
        Payload::Blank,
        Payload::Normal(Batch::new(commands)),
        Payload::Membership(members.expect("a voter is a member")),
    ];
    let entries = (6..).zip(payloads).map(|(index, payload)| Entry::new(position(index), payload));
    AppendEntriesRequest {
        vote: vote(),
        prev_log_id: Some(position(5)),
        entries: entries.collect(),
        leader_commit: Some(position(4)),
    }
}
