//! A server that goes on alone after most of the others were lost, because a file says so.
//!
//! `raft/peers.json` in the data folder names this server, in Consul's format: `[{"id":"<node id>","address":"10.0.0.1:8300"}]`.
//! The server then takes over all that stands in its log, acknowledged or not, as a snapshot of which it is the only member, and
//! removes the file. Its cluster gets another id: should a lost server come back, its calls are refused, for it knows another
//! history. Others join with empty data folders. Consul takes several servers in the file; here that would let those that were
//! not the last to write go on, so one begins alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::Arc,
};

use openraft::{
    Membership, RaftLogReader as _,
    storage::{RaftLogStorage as _, RaftStateMachine as _},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use super::{
    OpenError,
    kinds::{Server, StoredMembership},
    log::Log,
    machine::Machine,
};
use crate::storage::Identity;

/// A server, as Consul's file names it.
#[derive(Debug, Deserialize)]
struct Peer {
    id: String,
    #[serde(default)]
    address: String,
}

/// Makes this server the only member if the file is there.
pub(super) async fn recover(
    folder: &Path,
    identity: &Arc<Identity>,
    ours: &Server,
    log: &mut Log,
    machine: &mut Machine,
) -> Result<(), OpenError> {
    let path = folder.join("peers.json");
    let refused = |why: String| OpenError::Recovery { path: path.display().to_string(), why };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error.to_string())),
    };
    let peers: Vec<Peer> = serde_json::from_slice(&text).map_err(|e| refused(e.to_string()))?;
    match peers.as_slice() {
        [peer] if peer.id == ours.node_id => {}
        _ => {
            let (id, addr) = (&ours.node_id, &ours.addr);
            return Err(refused(format!(
                "it must name this server alone, [{{\"id\":\"{id}\",\"address\":\"{addr}\"}}]; others join with empty data folders"
            )));
        }
    }
    warn!(target: "agent.server", address = peers[0].address, "found peers.json file, recovering Raft configuration...");
    alone(identity, ours, log, machine).await.map_err(|e| refused(e.to_string()))?;
    fs::remove_file(&path).map_err(|e| refused(e.to_string()))?;
    info!(target: "agent.server", "deleted peers.json file after successful recovery");
    Ok(())
}

async fn alone(identity: &Identity, ours: &Server, log: &mut Log, machine: &mut Machine) -> io::Result<()> {
    let end = log.get_log_state().await?.last_log_id;
    loop {
        let (applied, _) = machine.applied_state().await?;
        let from = applied.map_or(0, |id| id.index() + 1);
        let to = end.map_or(0, |id| id.index() + 1);
        if from >= to {
            break;
        }
        let entries = log.limited_get_log_entries(from, to).await?;
        machine.apply(futures_util::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))))).await?;
    }
    let (applied, _) = machine.applied_state().await?;
    let us = identity.server();
    let nodes = BTreeMap::from([(us, ours.clone())]);
    let members = Membership::new(vec![BTreeSet::from([us])], nodes).map_err(io::Error::other)?;
    machine.take_members(StoredMembership::new(applied, members)).await?;
    if let Some(last) = end {
        log.purge(last).await?;
    }
    let cluster = another(&identity.cluster(), us);
    identity.take_cluster(&cluster).map_err(io::Error::other)
}

/// The id of the cluster that goes on: the same again if the recovery is broken off and made again.
fn another(cluster: &str, us: u64) -> String {
    let sum = Sha256::digest(format!("{cluster} alone {us}"));
    let bytes = *sum.first_chunk().expect("a sum has 32 bytes");
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
