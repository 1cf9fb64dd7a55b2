//! Three servers: how soon they take writes again after a kill, how fast they are together, how soon an empty one has caught up.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use conformance::{
    client::{self, Request},
    pause,
    subject::{self, Ports},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    measure::{self, CLIENTS, Keys, Values, median},
    process,
    subject::{self as single, Running, Subject},
};

const SERVERS: usize = 3;
/// How often the leader is killed.
const KILLS: usize = 10;
/// What an empty server has to catch up with: keys of a hundred bytes.
const KEYS: usize = 100_000;
/// Keys in one transaction.
const TOGETHER: usize = 64;
/// How long servers may take for anything.
const LIMIT: Duration = Duration::from_secs(60);
/// How often somebody is asked who is waited for.
const EVERY: Duration = Duration::from_millis(5);
/// How long an attempt may take while there may be no leader.
const ATTEMPT: Duration = Duration::from_millis(400);

/// Everything there is to measure of three servers.
pub(crate) fn measure(subject: &Subject, time: Duration) -> anyhow::Result<Values> {
    let mut values = Values::new();
    let mut cluster = Cluster::start(&subject.bin)?;
    let leader = cluster.leader()?;
    for (key, server) in [("cluster_put", leader), ("cluster_put_follower", (leader + 1) % SERVERS)] {
        let speed = measure::keys(cluster.servers[server].http(), Keys::Put, CLIENTS, time)?;
        values.insert(key, speed.per_second);
    }
    values.insert("cluster_failover", cluster.kill_leaders()?);
    values.insert("cluster_agent", cluster.agent_moves(subject)?);
    values.insert("cluster_catch_up", cluster.catch_up()?);
    let pids = cluster.servers.iter().filter_map(Server::pid);
    let memory: Vec<f64> =
        pids.map(|pid| Ok(process::memory(pid)? as f64 / 1_048_576.0)).collect::<anyhow::Result<_>>()?;
    values.insert("cluster_memory", memory.into_iter().fold(0.0, f64::max));
    Ok(values)
}

struct Cluster {
    servers: Vec<Server>,
}

struct Server {
    bin: PathBuf,
    ports: Ports,
    folder: TempDir,
    process: Option<Child>,
}

impl Cluster {
    fn start(bin: &Path) -> anyhow::Result<Self> {
        let servers: Vec<Server> = (0..SERVERS).map(|_| Server::new(bin)).collect::<anyhow::Result<_>>()?;
        let mut cluster = Self { servers };
        for server in 0..SERVERS {
            cluster.run(server)?;
        }
        cluster.leader()?;
        Ok(cluster)
    }

    fn run(&mut self, server: usize) -> anyhow::Result<()> {
        let join: Vec<String> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.ports.serf_lan)).collect();
        self.servers[server].start(server, &join)
    }

    /// Who leads and takes writes; waits until somebody does.
    fn leader(&self) -> anyhow::Result<usize> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            for server in self.servers.iter().filter(|server| server.process.is_some()) {
                let Ok(answer) = client::get(server.http(), "/v1/status/leader") else { continue };
                let port = |server: &Server| format!("127.0.0.1:{}", server.ports.server);
                let leads = |server: &&Server| answer.text().trim_matches('"') == port(server);
                let leader = self.servers.iter().find(leads);
                if leader.is_some_and(|leader| leader.process.is_some() && takes_write(leader.http(), LIMIT))
                {
                    return Ok(self.servers.iter().position(|server| leads(&server)).unwrap_or(0));
                }
            }
            pause(EVERY);
        }
        bail!("there is no leader after {LIMIT:?}: {}", self.servers[0].log())
    }

    /// Kills the leader, again and again: milliseconds until a write to another succeeds.
    fn kill_leaders(&mut self) -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for _ in 0..KILLS {
            let leader = self.leader()?;
            self.servers[leader].kill();
            let start = Instant::now();
            self.first_write(leader)?;
            times.push(start.elapsed().as_secs_f64() * 1_000.0);
            self.run(leader)?;
            self.has_all(leader)?;
        }
        Ok(median(&times))
    }

    fn first_write(&self, without: usize) -> anyhow::Result<()> {
        let end = Instant::now() + LIMIT;
        let others = self.servers.iter().enumerate().filter(|(number, _)| *number != without);
        for (_, server) in others.cycle() {
            if takes_write(server.http(), ATTEMPT) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "no writes after {LIMIT:?}: {}", server.log());
            pause(EVERY);
        }
        bail!("there is no other server")
    }

    /// Milliseconds until an agent is answered again after its server was killed; the worst of three servers killed in turn.
    fn agent_moves(&mut self, subject: &Subject) -> anyhow::Result<f64> {
        let join: Vec<String> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.ports.serf_lan)).collect();
        let agent = Running::agent_of(&subject.bin, &join)?;
        let mut slowest: f64 = 0.0;
        for server in 0..SERVERS {
            self.servers[server].kill();
            let (start, end) = (Instant::now(), Instant::now() + LIMIT);
            // Any server's answer will do.
            let read = Request::new("GET", "/v1/kv/bench/ready?stale");
            while !read.send(agent.http(), ATTEMPT).is_ok_and(|answer| answer.status == 200) {
                ensure!(Instant::now() < end, "the agent has no answer after {LIMIT:?}");
                pause(EVERY);
            }
            slowest = slowest.max(start.elapsed().as_secs_f64() * 1_000.0);
            self.run(server)?;
            self.has_all(server)?;
        }
        Ok(slowest)
    }

    /// Seconds until a server that lost its disk has all keys again.
    fn catch_up(&mut self) -> anyhow::Result<f64> {
        let leader = self.leader()?;
        fill(self.servers[leader].http())?;
        let empty = (leader + 1) % SERVERS;
        self.servers[empty].kill();
        self.servers[empty].empty()?;
        let start = Instant::now();
        self.run(empty)?;
        self.has_all(empty)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Waits until a server has, by itself, what was written just now.
    fn has_all(&self, server: usize) -> anyhow::Result<()> {
        let leader = self.leader()?;
        let mark = format!("/v1/kv/bench/mark/{}", self.servers[server].pid().unwrap_or(0));
        let put = Request::with_body("PUT", &mark, "1").send(self.servers[leader].http(), LIMIT)?;
        ensure!(put.status == 200, "the leader refuses a write: {}", put.text());
        let end = Instant::now() + LIMIT;
        let read = Request::new("GET", &format!("{mark}?stale"));
        while !read.send(self.servers[server].http(), LIMIT).is_ok_and(|answer| answer.status == 200) {
            ensure!(Instant::now() < end, "not caught up after {LIMIT:?}: {}", self.servers[server].log());
            pause(EVERY);
        }
        Ok(())
    }
}

impl Server {
    fn new(bin: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-cluster-").tempdir()?;
        Ok(Self { bin: bin.to_owned(), ports: Ports::free(), folder, process: None })
    }

    fn start(&mut self, number: usize, join: &[String]) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let config = json!({
            "server": true, "bootstrap_expect": SERVERS, "node_name": format!("server{number}"),
            "retry_join": join, "retry_interval": "1s",
        });
        let config = subject::merge(single::common_config(&self.ports, folder), &config);
        let path = folder.join("config.json");
        fs::write(&path, config.to_string())?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(&self.bin);
        command.args(["agent", "-config-file"]).arg(path).stdin(Stdio::null());
        let process = command.stdout(log.try_clone()?).stderr(log).spawn();
        self.process = Some(process.with_context(|| format!("cannot start {}", self.bin.display()))?);
        Ok(())
    }

    fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Removes everything it has on disk.
    fn empty(&self) -> anyhow::Result<()> {
        Ok(fs::remove_dir_all(self.folder.path().join("data"))?)
    }

    /// The end of its log.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().rev().take(8).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn takes_write(address: SocketAddr, limit: Duration) -> bool {
    let write = Request::with_body("PUT", "/v1/kv/bench/ready", "1");
    write.send(address, limit).is_ok_and(|answer| answer.status == 200)
}

/// Writes the keys that an empty server has to catch up with.
fn fill(address: SocketAddr) -> anyhow::Result<()> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let value = STANDARD.encode([b'x'; 100]);
    for first in (0..KEYS).step_by(TOGETHER) {
        let key = |number| json!({ "KV": { "Verb": "set", "Key": format!("bench/fill/{number:06}"), "Value": value } });
        let body: Vec<_> = (first..KEYS.min(first + TOGETHER)).map(key).collect();
        let written = Request::with_body("PUT", "/v1/txn", json!(body).to_string()).send(address, LIMIT)?;
        ensure!(written.status == 200, "a transaction was refused: {}", written.text());
    }
    Ok(())
}
