//! Three servers, each in a network namespace of its own where root runs them, else on loopback addresses.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::{Pid, getuid},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    client::{self, Request},
    pause,
};

const SERVERS: usize = 3;
/// How often somebody is asked who is waited for.
const EVERY: Duration = Duration::from_millis(50);

/// A bridge with a namespace for each server; clients are on the bridge. Deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Network {
    name: String,
}

/// The servers, their folders and networks. Killed when they are dropped.
#[derive(Debug)]
pub(super) struct Servers {
    bin: PathBuf,
    folder: TempDir,
    network: Option<Arc<Network>>,
    addresses: Vec<IpAddr>,
    processes: Vec<Option<Child>>,
    stopped: Vec<usize>,
}

impl Network {
    /// `None` where none may be made.
    fn new() -> anyhow::Result<Option<Self>> {
        if !getuid().is_root() {
            return Ok(None);
        }
        let network = Self { name: format!("ryo-faults-{}", std::process::id()) };
        if ip(&format!("netns add {}", network.hub())).is_err() {
            return Ok(None);
        }
        let hub = network.hub();
        ip(&format!("-n {hub} link set lo up"))?;
        ip(&format!("-n {hub} link add bridge type bridge"))?;
        ip(&format!("-n {hub} address add 10.77.0.1/24 dev bridge"))?;
        ip(&format!("-n {hub} link set bridge up"))?;
        for server in 0..SERVERS {
            let (name, address) = (network.of(server), network.address(server));
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {hub} link add plug{server} type veth peer name eth0 netns {name}"))?;
            ip(&format!("-n {hub} link set plug{server} master bridge up"))?;
            ip(&format!("-n {name} address add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
        }
        Ok(Some(network))
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn of(&self, server: usize) -> String {
        format!("{}-{server}", self.name)
    }

    fn address(&self, server: usize) -> IpAddr {
        Ipv4Addr::new(10, 77, 0, 11 + server as u8).into()
    }

    /// Lets the calling thread see the servers.
    pub(super) fn enter(&self) -> anyhow::Result<()> {
        let place = File::open(Path::new("/run/netns").join(self.hub()))?;
        setns(&place, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in (0..SERVERS).map(|server| self.of(server)).chain([self.hub()]) {
            // One that was not made cannot be deleted either.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(words.split(' ')))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Servers {
    /// Starts three that find one another.
    pub(super) fn start(bin: &Path) -> anyhow::Result<Self> {
        let network = Network::new()?.map(Arc::new);
        let (x, y) = (rand::random_range(1..=254), rand::random_range(0..=255));
        let address = |server: usize| match &network {
            Some(network) => network.address(server),
            None => Ipv4Addr::new(127, x, y, 11 + server as u8).into(),
        };
        let mut servers = Self {
            bin: bin.canonicalize().with_context(|| format!("there is no {}", bin.display()))?,
            folder: tempfile::Builder::new().prefix("ryo-faults-").tempdir()?,
            addresses: (0..SERVERS).map(address).collect(),
            network,
            processes: (0..SERVERS).map(|_| None).collect(),
            stopped: Vec::new(),
        };
        for server in 0..SERVERS {
            servers.run(server)?;
        }
        Ok(servers)
    }

    fn run(&mut self, server: usize) -> anyhow::Result<()> {
        let folder = self.folder.path().join(server.to_string());
        fs::create_dir_all(&folder)?;
        let address = self.addresses[server];
        let config = json!({
            "datacenter": "dc1", "node_name": format!("server-{server}"), "data_dir": folder.join("data"), "server": true,
            "bootstrap_expect": SERVERS, "bind_addr": address, "client_addr": address, "log_level": "info",
            "retry_join": self.addresses, "retry_interval": "1s", "performance": {"raft_multiplier": 1},
        });
        fs::write(folder.join("config.json"), config.to_string())?;
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let mut command = match &self.network {
            Some(network) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &network.of(server)]).arg(&self.bin);
                command
            }
            None => Command::new(&self.bin),
        };
        command.arg("agent").arg("-config-file").arg(folder.join("config.json")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        self.processes[server] = Some(child.with_context(|| format!("cannot start {}", self.bin.display()))?);
        Ok(())
    }

    /// Where each serves HTTP.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(*address, 8500)).collect()
    }

    pub(super) fn network(&self) -> Option<Arc<Network>> {
        self.network.clone()
    }

    /// Does something in a thread that sees the servers.
    pub(super) fn inside<T: Send>(
        &mut self,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let network = self.network();
        let work = || {
            if let Some(network) = &network {
                network.enter()?;
            }
            work(self)
        };
        std::thread::scope(|threads| threads.spawn(work).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Which one leads, as any of them says.
    pub(super) fn leader(&self) -> Option<usize> {
        let told = self.addresses().into_iter().filter_map(|at| {
            let answer = Request::new("GET", "/v1/status/leader").send(at, Duration::from_secs(1)).ok()?;
            let leader: SocketAddr = answer.text().trim_matches('"').parse().ok()?;
            self.addresses.iter().position(|address| *address == leader.ip())
        });
        told.into_iter().next()
    }

    /// Waits until all three vote, and each passes a write on.
    pub(super) fn await_well(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.inside(|servers| {
            let end = Instant::now() + limit;
            for at in servers.addresses() {
                while let Err(why) = is_well(at) {
                    if Instant::now() > end {
                        bail!("{at} is not well after {limit:?}: {why:#}; {}", servers.logs());
                    }
                    pause(EVERY);
                }
            }
            Ok(())
        })
    }

    /// The last lines of each log.
    fn logs(&self) -> String {
        let of = |server: usize| {
            let log =
                fs::read_to_string(self.folder.path().join(format!("{server}/log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("\n---- server {server}\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        (0..SERVERS).map(of).collect()
    }

    pub(super) fn kill(&mut self, server: usize) {
        if let Some(mut child) = self.processes[server].take() {
            // Errors mean that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets one stand still.
    pub(super) fn stop(&mut self, server: usize) -> anyhow::Result<()> {
        self.signal(server, Signal::SIGSTOP)?;
        self.stopped.push(server);
        Ok(())
    }

    fn signal(&self, server: usize, signal: Signal) -> anyhow::Result<()> {
        if let Some(child) = &self.processes[server] {
            kill(Pid::from_raw(child.id() as i32), signal)?;
        }
        Ok(())
    }

    /// Lets one hear nothing more of others.
    pub(super) fn deafen(&self, server: usize, others: &[usize]) -> anyhow::Result<()> {
        let Some(network) = &self.network else { return Ok(()) };
        let from: Vec<String> = others.iter().map(|other| network.address(*other).to_string()).collect();
        let rules = format!(
            "table inet cut {{ chain input {{ type filter hook input priority 0; ip saddr {{ {} }} drop; }}; }}",
            from.join(", ")
        );
        run(Command::new("ip").args(["netns", "exec", &network.of(server), "nft", &rules]))
    }

    /// Undoes all that was done to them.
    pub(super) fn repair(&mut self) -> anyhow::Result<()> {
        for server in std::mem::take(&mut self.stopped) {
            self.signal(server, Signal::SIGCONT)?;
        }
        if let Some(network) = &self.network {
            for server in 0..SERVERS {
                // Who was not cut off has no such table.
                let _ = run(Command::new("ip").args([
                    "netns",
                    "exec",
                    &network.of(server),
                    "nft",
                    "delete table inet cut",
                ]));
            }
        }
        for server in 0..SERVERS {
            if self.processes[server].is_none() {
                self.run(server)?;
            }
        }
        Ok(())
    }
}

/// Whether a server knows three voters and takes a write.
fn is_well(at: SocketAddr) -> anyhow::Result<()> {
    let raft = client::get(at, "/v1/operator/raft/configuration")?.text();
    let voters = raft.matches("\"Voter\":true").count() + raft.matches("\"Voter\": true").count();
    ensure!(voters == SERVERS, "{voters} voters: {raft}");
    let put = Request::with_body("PUT", "/v1/kv/well", "1").send(at, Duration::from_secs(10))?;
    ensure!(put.status == 200, "{}: {}", put.status, put.text());
    Ok(())
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in 0..SERVERS {
            self.kill(server);
        }
    }
}
