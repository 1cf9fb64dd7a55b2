//! Agents with a service each, and what the catalog says of them meanwhile.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::{network::Network, node::Node, place::Place};
use crate::{client::Request, pause};

pub(super) const AGENTS: usize = 20;
/// The last number of the first agent's address.
const FIRST_HOST: u8 = 101;
/// How often each says that its service is well, and how often the catalog is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// Without a word of its service for so long it is critical.
const TTL: &str = "20s";
const PATIENCE: Duration = Duration::from_secs(1);
/// How many may be called dead or unwell at a time though nothing was done to them: one that a busy machine kept waiting.
const FALSE_MAX: usize = 2;

pub(super) fn hosts() -> impl Iterator<Item = u8> {
    (0..AGENTS).map(|number| FIRST_HOST + number as u8)
}

/// The agents. Killed when they are dropped.
#[derive(Debug)]
pub(super) struct Agents {
    nodes: Vec<Node>,
    network: Option<Network>,
    servers: Vec<IpAddr>,
}

impl Agents {
    /// Starts all, with a service `web` each: a check of theirs asks by HTTP, and one waits to be told.
    pub(super) fn start(bin: &Path, place: &Place, servers: Vec<IpAddr>) -> anyhow::Result<Self> {
        let node = |(number, host)| place.node(bin, name(number), host);
        let mut agents =
            Self { nodes: hosts().enumerate().map(node).collect(), network: place.network, servers };
        for agent in 0..AGENTS {
            agents.run(agent)?;
        }
        Ok(agents)
    }

    fn run(&mut self, agent: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[agent];
        let (address, ttl) = (node.address, ttl_check(agent));
        let asked = json!({"http": format!("http://{address}:8500/v1/agent/self"), "interval": "2s"});
        let config = json!({
            "datacenter": "dc1", "node_name": node.name, "data_dir": node.folder.join("data"), "bind_addr": address,
            "client_addr": address, "retry_join": self.servers, "retry_interval": "1s", "log_level": "info",
            "leave_on_terminate": false,
            "services": [{
                "name": "web", "id": format!("web-{agent}"), "port": 8080,
                "checks": [asked, {"id": ttl, "name": "told", "ttl": TTL}],
            }],
        });
        node.start(&config)
    }

    /// Does something to one of them; gives which.
    pub(super) fn disturb(&mut self, how: Disturb) -> anyhow::Result<usize> {
        let agent = rand::random_range(0..AGENTS);
        let node = &mut self.nodes[agent];
        match how {
            Disturb::Kill => node.kill(),
            Disturb::Stop => node.stop()?,
            Disturb::Cut => {
                let last = |address: &IpAddr| match address {
                    IpAddr::V4(address) => address.octets()[3],
                    IpAddr::V6(_) => 0,
                };
                let servers: Vec<u8> = self.servers.iter().map(last).collect();
                if let (Some(network), Some(host)) = (self.network, node.host) {
                    network.deafen(host, &servers)?;
                }
            }
        }
        Ok(agent)
    }

    /// Undoes all that was done to them.
    pub(super) fn repair(&mut self) -> anyhow::Result<()> {
        for agent in 0..AGENTS {
            let node = &mut self.nodes[agent];
            node.go_on()?;
            if let (Some(network), Some(host)) = (self.network, node.host) {
                network.mend(host);
            }
            if node.process.is_none() {
                self.run(agent)?;
            }
        }
        Ok(())
    }

    /// Where each serves HTTP.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::http).collect()
    }

    /// Waits until each server shows all services with all checks passing.
    pub(super) fn await_well(&self, servers: &[SocketAddr], limit: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        for at in servers {
            while let Err(why) = all_pass(*at) {
                if Instant::now() > end {
                    let told: String = self.nodes.iter().take(3).map(|node| node.told(10)).collect();
                    bail!("{limit:?} after the repair {at} shows not all agents well: {why:#}{told}");
                }
                pause(EVERY);
            }
        }
        Ok(())
    }
}

/// What can be done to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturb {
    Kill,
    Stop,
    Cut,
}

fn name(agent: usize) -> String {
    format!("agent-{agent}")
}

fn ttl_check(agent: usize) -> String {
    format!("told-{agent}")
}

/// Whether a server, by what it knows itself, shows every agent's service with its node's and its own two checks passing.
fn all_pass(server: SocketAddr) -> anyhow::Result<()> {
    let answer = Request::new("GET", "/v1/health/service/web?stale").send(server, PATIENCE)?;
    let shown: Vec<Value> = serde_json::from_slice(&answer.body)?;
    ensure!(shown.len() == AGENTS, "{} of {AGENTS} services", shown.len());
    for instance in shown {
        let checks = instance["Checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let passing = checks.iter().filter(|check| check["Status"] == "passing").count();
        ensure!(checks.len() == 3 && passing == 3, "{}: {}", instance["Node"]["Node"], instance["Checks"]);
    }
    Ok(())
}

/// Looks at the catalog while things go wrong, and tells agents that their services are well.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// To whom something was done, so that they may be unwell.
    troubled: Mutex<BTreeSet<usize>>,
    /// Who was shown critical though nothing was done to them, since the last fault.
    falsely: Mutex<BTreeSet<String>>,
    over: AtomicBool,
}

impl Watch {
    /// Tells agents until the end, one thread for all: whoever does not answer is passed over.
    pub(super) fn tell(&self, agents: &[SocketAddr]) {
        while !self.over.load(SeqCst) {
            for (number, at) in agents.iter().enumerate() {
                let pass = format!("/v1/agent/check/pass/{}", ttl_check(number));
                // One that is killed or stopped hears it later.
                let _ = Request::new("PUT", &pass).send(*at, PATIENCE);
            }
            pause(EVERY);
        }
    }

    /// Looks at one server after the other until the end.
    pub(super) fn look(&self, servers: &[SocketAddr]) {
        for at in servers.iter().cycle() {
            if self.over.load(SeqCst) {
                return;
            }
            let before = self.troubled().clone();
            let answer = Request::new("GET", "/v1/health/state/critical?stale").send(*at, PATIENCE);
            let shown =
                answer.ok().and_then(|answer| serde_json::from_slice::<Vec<Value>>(&answer.body).ok());
            self.note(&shown.unwrap_or_default(), &before);
            pause(EVERY);
        }
    }

    /// Notes who is critical, but for those in trouble now or before it was asked.
    fn note(&self, critical: &[Value], before: &BTreeSet<usize>) {
        let may: BTreeSet<String> = self.troubled().union(before).map(|agent| name(*agent)).collect();
        let shown = critical.iter().filter_map(|check| check["Node"].as_str());
        let falsely = shown.filter(|node| node.starts_with("agent-") && !may.contains(*node));
        self.falsely().extend(falsely.map(str::to_owned));
    }

    fn troubled(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn falsely(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.falsely.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this one may be unwell.
    pub(super) fn trouble(&self, agent: usize) {
        self.troubled().insert(agent);
    }

    /// All are well again: how many were called unwell for nothing; errors when these were many.
    pub(super) fn all_well(&self) -> anyhow::Result<usize> {
        self.troubled().clear();
        let falsely = std::mem::take(&mut *self.falsely());
        ensure!(falsely.len() <= FALSE_MAX, "critical though nothing was done to them: {falsely:?}");
        Ok(falsely.len())
    }

    pub(super) fn end(&self) {
        self.over.store(true, SeqCst);
    }
}
