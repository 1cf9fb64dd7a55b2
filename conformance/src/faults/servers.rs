//! Three servers, each on a host and a disk of its own where root runs them, else on loopback addresses.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use serde_json::json;

use super::{
    disk::{Disk, Limits},
    network::Network,
    node::Node,
    place::Place,
};
use crate::{
    client::{self, Request},
    pause,
};

pub(super) const SERVERS: usize = 3;
/// How often somebody is asked who is waited for.
const EVERY: Duration = Duration::from_millis(50);
/// How long one of several tries at a write may take.
const ONE_WRITE: Duration = Duration::from_secs(1);

/// The servers, their disks and networks. Killed when they are dropped.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) nodes: Vec<Node>,
    network: Option<Network>,
    /// Empty without root.
    disks: Vec<Disk>,
    limits: Option<Limits>,
    /// Whose disks are full, or were: these may have ended by themselves.
    filled: Vec<usize>,
}

impl Servers {
    /// Starts three that find one another.
    pub(super) fn start(bin: &Path, place: &Place) -> anyhow::Result<Self> {
        let nodes: Vec<Node> = (0..SERVERS)
            .map(|number| place.node(bin, format!("server-{number}"), 11 + number as u8))
            .collect();
        let mut disks = Vec::new();
        if place.network.is_some() {
            for node in &nodes {
                disks.push(Disk::new(&node.folder.join("disk"))?);
            }
        }
        let limits = if disks.is_empty() { None } else { Limits::new() };
        let mut servers = Self { nodes, network: place.network, disks, limits, filled: Vec::new() };
        for server in 0..SERVERS {
            servers.run(server)?;
        }
        Ok(servers)
    }

    fn run(&mut self, server: usize) -> anyhow::Result<()> {
        let all: Vec<_> = self.nodes.iter().map(|node| node.address).collect();
        let node = &mut self.nodes[server];
        let config = json!({
            "datacenter": "dc1", "node_name": node.name, "data_dir": node.folder.join("disk/data"), "server": true,
            "bootstrap_expect": SERVERS, "bind_addr": node.address, "client_addr": node.address, "log_level": "info",
            "retry_join": all, "retry_interval": "1s", "performance": {"raft_multiplier": 1},
        });
        node.start(&config)?;
        if let (Some(limits), Some(process)) = (&self.limits, &node.process) {
            limits.take_in(process)?;
        }
        Ok(())
    }

    /// Where each serves HTTP.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::http).collect()
    }

    /// Whether networks can be cut.
    pub(super) fn can_cut(&self) -> bool {
        self.network.is_some()
    }

    /// Whether disks can be filled.
    pub(super) fn can_fill(&self) -> bool {
        !self.disks.is_empty()
    }

    /// Whether disks can be slowed down.
    pub(super) fn can_slow(&self) -> bool {
        self.limits.is_some()
    }

    /// Which one leads, as any of them says.
    pub(super) fn leader(&self) -> Option<usize> {
        let told = self.nodes.iter().filter_map(|node| {
            let answer = node.ask("GET", "/v1/status/leader", Duration::from_secs(1))?;
            let leader: SocketAddr = answer.text().trim_matches('"').parse().ok()?;
            self.nodes.iter().position(|node| node.address == leader.ip())
        });
        told.into_iter().next()
    }

    /// Waits until one of these, which go on alone, has taken a write; gives how long that took. `None` at once when they are too few.
    pub(super) fn await_write(&self, alone: &[usize], limit: Duration) -> anyhow::Result<Option<Duration>> {
        if alone.len() * 2 < SERVERS {
            return Ok(None);
        }
        let start = Instant::now();
        while start.elapsed() < limit {
            for server in alone {
                if self.nodes[*server].ask("PUT", "/v1/kv/well", ONE_WRITE).is_some() {
                    return Ok(Some(start.elapsed()));
                }
            }
            pause(EVERY);
        }
        bail!("no write within {limit:?} at servers that should go on: {}", self.told());
    }

    /// Waits until each passes a write on.
    pub(super) fn await_writes(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.await_all(limit, takes_write)
    }

    /// Waits until all three vote. One that was dead for some seconds has lost its vote, and has it again once it was well for ten.
    pub(super) fn await_votes(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.await_all(limit, knows_three)?;
        self.filled.clear();
        Ok(())
    }

    /// Waits until all are well in one round: one that was just removed does not know of it.
    fn await_all(
        &mut self,
        limit: Duration,
        is_well: impl Fn(SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        loop {
            let unwell = self.addresses().into_iter().find_map(|at| Some((at, is_well(at).err()?)));
            let Some((at, why)) = unwell else { return Ok(()) };
            if Instant::now() > end {
                bail!("{at} is not well after {limit:?}: {why:#}; {}", self.told());
            }
            pause(EVERY);
            self.revive()?;
        }
    }

    /// Starts those again that have ended over a full disk, as a supervisor does.
    fn revive(&mut self) -> anyhow::Result<()> {
        for server in self.filled.clone() {
            if self.nodes[server].has_ended() {
                self.run(server)?;
            }
        }
        Ok(())
    }

    /// The last lines of each log.
    pub(super) fn told(&self) -> String {
        self.nodes.iter().map(|node| node.told(40)).collect()
    }

    pub(super) fn fill(&mut self, server: usize) -> anyhow::Result<()> {
        self.filled.push(server);
        self.disks[server].fill()
    }

    pub(super) fn slow_down(&self, server: usize) -> anyhow::Result<()> {
        match &self.limits {
            Some(limits) => limits.slow_down(&self.disks[server]),
            None => Ok(()),
        }
    }

    /// Lets one hear nothing more of others.
    pub(super) fn deafen(&self, server: usize, others: &[usize]) -> anyhow::Result<()> {
        let host = |server: &usize| self.nodes[*server].host;
        let others: Vec<u8> = others.iter().filter_map(host).collect();
        match (self.network, host(&server)) {
            (Some(network), Some(host)) => network.deafen(host, &others),
            _ => Ok(()),
        }
    }

    /// Undoes all that was done to them.
    pub(super) fn repair(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.go_on()?;
            if let (Some(network), Some(host)) = (self.network, node.host) {
                network.mend(host);
            }
        }
        for disk in &self.disks {
            disk.empty();
            if let Some(limits) = &self.limits {
                limits.lift(disk)?;
            }
        }
        for server in 0..SERVERS {
            if self.nodes[server].process.is_none() {
                self.run(server)?;
            }
        }
        Ok(())
    }
}

/// Whether a server knows three voters.
fn knows_three(at: SocketAddr) -> anyhow::Result<()> {
    let raft = client::get(at, "/v1/operator/raft/configuration")?.text();
    let voters = raft.matches("\"Voter\":true").count() + raft.matches("\"Voter\": true").count();
    ensure!(voters == SERVERS, "{voters} voters: {raft}");
    Ok(())
}

/// Whether a server takes a write, or passes it on to who does.
fn takes_write(at: SocketAddr) -> anyhow::Result<()> {
    let put = Request::with_body("PUT", "/v1/kv/well", "1").send(at, Duration::from_secs(10))?;
    ensure!(put.status == 200, "{}: {}", put.status, put.text());
    Ok(())
}
