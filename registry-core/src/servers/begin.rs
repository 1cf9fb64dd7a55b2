//! Beginning a cluster with several servers that have empty disks.
//!
//! Of those that expect so many, the one with the lowest id alone proposes. Each of the others agrees, and writes the new
//! cluster's id down, before the proposer begins: from then on it takes calls of that cluster only. It may still agree with a
//! lower proposer until a first call of the log came; then the other one's calls are refused, so that it never has a majority.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};
use link::calls::{self, Begin, ServerSeen};
use tracing::{info, warn};

use super::{Refused, Servers, call::speaks, ours};
use crate::replication::Server;

impl Servers {
    /// Begins a cluster with the others, if there are enough and it is for this one to do. Whether there are enough.
    pub(super) async fn begin_together(&self, others: &[ServerSeen]) -> bool {
        let expect = self.settings.bootstrap_expect;
        let with: Vec<_> = others.iter().filter(|other| fits(other, expect)).collect();
        if expect < 2 || with.len() + 1 < expect {
            return false;
        }
        let us = self.identity.server();
        let lower = |other: &&&ServerSeen| other.expect as usize == expect && other.id < us;
        if with.iter().any(|other| lower(&other)) {
            return true;
        }
        match self.propose(&with).await {
            Ok(()) => {}
            Err(why) => {
                warn!(target: "agent.server", error = why, "cannot begin a cluster yet; trying again")
            }
        }
        true
    }

    async fn propose(&self, with: &[&ServerSeen]) -> Result<(), String> {
        // Its own id for each proposal: what somebody else has proposed may have begun somewhere.
        let cluster = {
            let mut state = self.state();
            state.proposed.get_or_insert_with(|| uuid::Uuid::new_v4().to_string()).clone()
        };
        self.identity.take_cluster(&cluster).map_err(|e| e.to_string())?;
        let begin = Begin { cluster: cluster.clone(), proposer: self.identity.server() };
        let mut servers = BTreeMap::from([(self.identity.server(), ours(&self.settings))]);
        for other in with {
            let address = link::resolve(&other.address).await.map_err(|e| e.to_string())?;
            let agreed = self.call(address, Method::PUT, calls::BEGIN, &begin).await;
            agreed.map_err(|error| format!("{}: {error}", other.node))?;
            servers.insert(other.id, described(other));
        }
        let peers: Vec<_> = servers.values().map(|server| server.addr.as_str()).collect();
        let peers = peers.join(",");
        info!(target: "agent.server", peers, "Found expected number of peers, attempting bootstrap");
        self.replication.initialize(servers).await.map_err(|e| e.to_string())
    }

    /// Whether this server begins a cluster with another that proposes it.
    pub(crate) async fn agree(&self, headers: &HeaderMap, begin: &Begin) -> Result<(), Refused> {
        speaks(headers)?;
        if self.has_begun().await {
            let cluster = self.identity.cluster();
            return Err(Refused::Unfit(format!("this server belongs to cluster '{cluster}' already")));
        }
        {
            let mut state = self.state();
            if let Some(lower) = state.agreed_with.filter(|lower| *lower < begin.proposer) {
                return Err(Refused::NotNow(format!("this server has agreed with server {lower}")));
            }
            state.agreed_with = Some(begin.proposer);
        }
        self.identity.take_cluster(&begin.cluster).map_err(|e| Refused::NotNow(e.to_string()))
    }
}

/// Whether a server can begin a cluster with one that expects so many.
fn fits(other: &ServerSeen, expect: usize) -> bool {
    !other.begun && (other.expect == 0 || other.expect as usize == expect)
}

fn described(seen: &ServerSeen) -> Server {
    Server {
        addr: seen.address.clone(),
        name: seen.node.clone(),
        node_id: seen.node_id.clone(),
        version: seen.version,
        build: seen.build.clone(),
        lan_port: seen.lan_port,
    }
}
