//! Belonging to a cluster: a server keeps a lease at the leader as every agent does, and says with it who it is and where. The
//! leader takes in those it does not know, and describes those anew that have moved.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use http::{Method, StatusCode};
use link::{
    Keyring,
    calls::{self, Granted, KeysTold, Lease, ServerSeen},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Refused, Servers, call::CallFailed};
use crate::{
    leases::{LEASE_TTL, own_lease},
    replication::{ChangeFailed, Server},
    storage::MeshRoots,
};

/// How often the lease is kept.
const BEAT: Duration = Duration::from_secs(1);
/// When one that failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a server that was removed by hand stays out though it is there.
const REMOVED_FOR: Duration = Duration::from_secs(60);

impl Servers {
    /// Keeps this server's lease while another one leads, until the end.
    pub(super) async fn belong(&self) {
        let mut told = false;
        loop {
            let pause = match self.sign_of_life().await {
                Ok(says_more) => {
                    told = false;
                    if says_more { Duration::ZERO } else { BEAT }
                }
                // Without a leader there is nobody to say it to, and the log tells that elsewhere.
                Err(error) if self.leadership.knows_leader() && !std::mem::replace(&mut told, true) => {
                    warn!(target: "agent.server", %error, "the leader does not take this server's sign of life; trying again");
                    AGAIN
                }
                Err(_) => AGAIN,
            };
            sleep(pause).await;
        }
    }

    /// Whether there is more to say at once, about keys. Errors also while nobody is known: a server that is just back has as
    /// little time as is left of its lease.
    async fn sign_of_life(&self) -> Result<bool, CallFailed> {
        if self.leadership.is_serving() || self.identity.cluster().is_empty() || self.state().leaving {
            return Ok(false);
        }
        let mut last = Err(nobody_leads().into());
        for address in self.ways_to_leader() {
            let address = link::resolve(&address).await?;
            match self.call(address, Method::PUT, calls::LEASE, &self.lease()).await {
                Ok(answer) => {
                    let granted = serde_json::from_slice::<Granted>(&answer).unwrap_or_default();
                    if let Some(departed) = granted.departed {
                        self.leases.learn_departed(departed);
                    }
                    let root = granted.mesh_root.and_then(|root| serde_json::from_value(root).ok());
                    if let Some((roots, root)) = self.mesh_roots.as_ref().zip(root) {
                        roots.take_over(root);
                    }
                    return Ok(self.follow_keys(granted.keys, granted.keys_wanted).await);
                }
                Err(error) => last = Err(error),
            }
        }
        last
    }

    /// Does as the leader says about keys. Whether it waits for word of that.
    async fn follow_keys(&self, told: Option<KeysTold>, wanted: bool) -> bool {
        let Some(keys) = &self.settings.keys else { return false };
        // What was asked for is said once.
        let asks = wanted && !self.tell_keys.swap(wanted, Relaxed);
        match told {
            Some(told) => keys.clone().follow(told).await,
            None => asks,
        }
    }

    /// Where the leader is, or somebody who may know it.
    fn ways_to_leader(&self) -> Vec<String> {
        if let Some(leader) = self.leadership.leader() {
            return vec![leader];
        }
        let ours = self.identity.cluster();
        let members = self.others().into_iter().filter(|other| other.begun && *other.cluster == *ours);
        members.map(|member| member.address).collect()
    }

    /// This server's sign of life.
    pub(super) fn lease(&self) -> Lease {
        let departed_mark = self.leases.departed_mark();
        let known = |roots: &Arc<MeshRoots>| roots.known().map_or_else(String::new, |root| root.id);
        let mesh_root = self.mesh_roots.as_ref().map(known);
        let mut lease =
            Lease { boot_ms: self.boot_ms, departed_mark, mesh_root, ..own_lease(&self.settings) };
        if let Some(server) = &mut lease.server {
            server.id = self.identity.server();
            server.cluster = self.identity.cluster().to_string();
        }
        if let Some(keys) = self.settings.keys.as_ref().map(Keyring::now) {
            lease.keys = Some(keys.seen());
            lease.keys_told = self.tell_keys.swap(false, Relaxed).then(|| keys.told());
        }
        lease
    }

    /// Asks a member of a cluster to take this server in, which belongs to none: first for the cluster's id alone, for the
    /// leader's calls must find it written down here.
    pub(super) async fn ask_in(&self, member: &ServerSeen) {
        let asked = async {
            let address: SocketAddr = link::resolve(&member.address).await?;
            let mut lease = self.lease();
            if let Some(server) = &mut lease.server {
                server.cluster = String::new();
            }
            let answer = self.call(address, Method::PUT, calls::LEASE, &lease).await?;
            let granted: Granted =
                serde_json::from_slice(&answer).map_err(|e| CallFailed::Unreadable(e.to_string()))?;
            if granted.cluster.is_empty() {
                return Err(CallFailed::Unreadable("it names no cluster".to_owned()));
            }
            if *granted.cluster != *self.identity.cluster() && !self.has_begun().await {
                self.identity
                    .take_cluster(&granted.cluster)
                    .map_err(|e| CallFailed::Unreadable(e.to_string()))?;
                info!(target: "agent.server", cluster = granted.cluster, through = member.node, "joining a cluster");
            }
            self.call(address, Method::PUT, calls::LEASE, &self.lease()).await.map(drop)
        };
        if let Err(error) = asked.await {
            let status = match &error {
                CallFailed::Refused { status, .. } => *status,
                _ => StatusCode::OK,
            };
            let why = error.to_string();
            if status == StatusCode::CONFLICT && self.state().refused.replace(why.clone()) != Some(why) {
                warn!(target: "agent.server", through = member.node, %error, "a cluster refuses this server");
            } else {
                tracing::debug!(target: "agent.server", through = member.node, %error, "cannot join yet");
            }
        }
    }

    /// Takes in the server of a lease, on the leader. `Some` is the answer to one that only asks for the cluster's id.
    pub(crate) async fn take_in(&self, lease: &Lease) -> Result<Option<Granted>, Refused> {
        let Some(tags) = &lease.server else { return Ok(None) };
        if lease.datacenter != self.settings.datacenter {
            let (node, theirs, ours) = (&lease.node, &lease.datacenter, &self.settings.datacenter);
            return Err(Refused::Unfit(format!(
                "Member '{node}' part of wrong datacenter '{theirs}'; expected '{ours}'"
            )));
        }
        let cluster = self.identity.cluster().to_string();
        if tags.cluster.is_empty() {
            let ttl_ms = LEASE_TTL.as_millis() as u64;
            return Ok(Some(Granted { version: calls::VERSION, ttl_ms, cluster, ..Granted::default() }));
        }
        if tags.cluster != cluster {
            let theirs = &tags.cluster;
            return Err(Refused::Unfit(format!("this cluster is '{cluster}', the server's '{theirs}'")));
        }
        self.leadership.leading().await.map_err(|e| Refused::NotNow(e.to_string()))?;
        self.name_is_free(lease, tags.id)?;
        let server = Server {
            addr: tags.address.clone(),
            name: lease.node.clone(),
            node_id: lease.id.clone(),
            version: tags.version,
            build: lease.build.clone(),
            lan_port: lease.port,
        };
        let changed = self.list(tags.id, server).await;
        changed.map_err(|error| match error {
            ChangeFailed::Refused(why) => Refused::Unfit(why),
            ChangeFailed::NoLeader | ChangeFailed::Unknown => Refused::NotNow(error.to_string()),
        })?;
        Ok(None)
    }

    /// Refuses a server that calls itself as another one does that lives: taking its place would cost a vote.
    fn name_is_free(&self, lease: &Lease, id: u64) -> Result<(), Refused> {
        let node = &lease.node;
        let listed = self.replication.listed();
        let holder = listed.iter().find(|listed| {
            listed.id != id
                && (listed.server.name.eq_ignore_ascii_case(node) || listed.server.node_id == lease.id)
        });
        let Some(holder) = holder else { return Ok(()) };
        let (name, address) = (&holder.server.name, &holder.server.addr);
        if holder.id == self.identity.server() || self.leases.is_alive(name) {
            return Err(Refused::Unfit(format!(
                "server '{name}' at {address} has the node name '{node}' or this node's id, and it is alive; give this one another \
                 node_name and an own data folder"
            )));
        }
        Ok(())
    }

    /// Puts a server into the list of members, if it is not there as it is now.
    async fn list(&self, id: u64, server: Server) -> Result<(), ChangeFailed> {
        if self.state().removed.get(&id).is_some_and(|until| Instant::now() < *until) {
            return Ok(());
        }
        let listed: BTreeMap<u64, Server> =
            self.replication.listed().into_iter().map(|listed| (listed.id, listed.server)).collect();
        match listed.get(&id) {
            Some(known) if *known == server => Ok(()),
            Some(_) => {
                info!(target: "agent.server", server = server.name, address = server.addr, "a server has changed");
                self.replication.describe(id, server).await
            }
            None => {
                info!(target: "agent.server", server = server.name, address = server.addr, "Adding LAN server");
                self.replication.add(id, server.clone()).await?;
                // A new disk under the same name: the old one does not come back.
                let same = |other: &Server| other.name == server.name || other.node_id == server.node_id;
                for (old, _) in listed.iter().filter(|(_, other)| same(other)) {
                    info!(target: "agent.server", server = server.name, "a server has a new disk: removing the old one");
                    self.replication.remove(*old).await?;
                }
                Ok(())
            }
        }
    }

    /// Removes a server by hand; it stays out for a while even if it is there.
    pub(crate) async fn remove(&self, id: u64) -> Result<(), ChangeFailed> {
        self.state().removed.insert(id, Instant::now() + REMOVED_FOR);
        self.replication.remove(id).await
    }

    /// A server of this name has left or is forgotten: the log goes there no more.
    pub(crate) async fn let_go(&self, node: &str) -> Result<(), ChangeFailed> {
        let of_name = |name: &str| name.eq_ignore_ascii_case(node);
        for listed in self.replication.listed() {
            if of_name(&listed.server.name) && listed.id != self.identity.server() {
                info!(target: "agent.server", server = node, "removing a server that left");
                self.replication.remove(listed.id).await?;
            }
        }
        Ok(())
    }

    /// Leaves the cluster, as `leave` asks: another one leads, and the log goes here no more. A server that is alone stays what
    /// it is, for its data and its place are all there is.
    pub(crate) async fn leave(&self) -> Result<(), String> {
        let us = self.identity.server();
        let others = self.replication.listed().into_iter().filter(|listed| listed.voter && listed.id != us);
        if others.count() == 0 || self.identity.cluster().is_empty() {
            return Ok(());
        }
        self.state().leaving = true;
        if self.leadership.is_serving() {
            self.replication.transfer(None).await.map_err(|e| e.to_string())?;
        }
        let end = Instant::now() + LEAVE_LIMIT;
        loop {
            match self.say_goodbye().await {
                Ok(()) => break,
                Err(error) if Instant::now() >= end => return Err(error.to_string()),
                Err(_) => sleep(AGAIN).await,
            }
        }
        info!(target: "agent.server", "left the cluster; waiting for clients to find other servers");
        sleep(self.settings.leave_drain).await;
        Ok(())
    }

    async fn say_goodbye(&self) -> Result<(), CallFailed> {
        let leader = self.leadership.leader().filter(|leader| *leader != self.settings.server_address());
        let address = link::resolve(&leader.ok_or_else(nobody_leads)?).await?;
        self.call(address, Method::DELETE, calls::LEASE, &self.lease()).await.map(drop)
    }
}

fn nobody_leads() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "nobody leads")
}

/// How long a server tries to say goodbye.
const LEAVE_LIMIT: Duration = Duration::from_secs(7);
