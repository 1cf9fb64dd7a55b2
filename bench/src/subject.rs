//! A program to measure: a name for the table, and how to start it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use conformance::{
    client::Request,
    pause,
    subject::{self, Ports, Server},
};
use serde_json::{Value, json};

/// How often a server that starts is asked whether it is ready.
const READY_EVERY: Duration = Duration::from_millis(2);
/// How many connections one address may open: the tools open all of theirs from one.
const CONNECTIONS_MAX: u32 = 15_000;

/// `NAME=COMMAND`: a registry's binary, or a watcher's command line.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Its column in the table.
    pub(crate) name: String,
    /// The binary, with its path.
    pub(crate) bin: PathBuf,
    /// Words that always follow, such as `template`.
    pub(crate) words: Vec<String>,
}

impl FromStr for Subject {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, command) = text.split_once('=').context("write it as NAME=COMMAND")?;
        let mut words = command.split_ascii_whitespace().map(str::to_owned);
        let bin = subject::find(Path::new(&words.next().context("there is no command after the name")?))?;
        Ok(Self { name: name.into(), bin, words: words.collect() })
    }
}

/// A running server that has answered a write.
pub(crate) struct Running {
    server: Server,
    /// From the start of its process to the answer to its first write.
    pub(crate) first_write: Duration,
}

impl Running {
    /// A registry of one server, with its data on disk.
    pub(crate) fn registry(bin: &Path) -> anyhow::Result<Self> {
        Self::start(bin, registry_config)
    }

    /// An agent with these services that joins a registry.
    pub(crate) fn agent(bin: &Path, registry: &Self, services: &Value) -> anyhow::Result<Self> {
        let join = format!("127.0.0.1:{}", registry.server.ports.serf_lan);
        Self::start(bin, |ports, folder| agent_config(ports, folder, &join, services))
    }

    /// An agent without services that joins any of these.
    pub(crate) fn agent_of(bin: &Path, join: &[String]) -> anyhow::Result<Self> {
        Self::start(bin, |ports, folder| {
            let config = json!({ "retry_join": join, "retry_interval": "1s" });
            subject::merge(agent_config(ports, folder, &join[0], &json!([])), &config)
        })
    }

    fn start(bin: &Path, config: impl Fn(&Ports, &Path) -> Value) -> anyhow::Result<Self> {
        let server = Server::start("{bin} agent -config-file {config}", bin, config, takes_writes)?;
        Ok(Self { first_write: server.started().elapsed(), server })
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.server.http()
    }

    pub(crate) fn dns(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.ports.dns).into()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }
}

/// A registry of one server.
pub(crate) fn registry_config(ports: &Ports, folder: &Path) -> Value {
    let config = json!({ "server": true, "bootstrap_expect": 1, "node_name": "registry" });
    subject::merge(common_config(ports, folder), &config)
}

/// An agent with these services that joins at `join`.
pub(crate) fn agent_config(ports: &Ports, folder: &Path, join: &str, services: &Value) -> Value {
    let config = json!({
        "server": false, "node_name": "agent", "retry_join": [join], "ports": { "serf_wan": -1 },
        "services": services,
    });
    subject::merge(common_config(ports, folder), &config)
}

/// What all programs are told.
pub(crate) fn common_config(ports: &Ports, folder: &Path) -> Value {
    json!({
        "datacenter": "dc1",
        "data_dir": folder.join("data"),
        "bind_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "log_level": "ERR",
        "disable_update_check": true,
        "limits": { "http_max_conns_per_client": CONNECTIONS_MAX, "rpc_max_conns_per_client": CONNECTIONS_MAX },
        "ports": subject::ports_config(ports, false),
    })
}

/// Whether a write succeeds within a second; then it is time to see whether the process still lives.
fn takes_writes(server: &Server) -> bool {
    let end = Instant::now() + Duration::from_secs(1);
    let write = Request::with_body("PUT", "/v1/kv/bench/ready", "1");
    while Instant::now() < end {
        if write.send(server.http(), Duration::from_secs(2)).is_ok_and(|answer| answer.status == 200) {
            return true;
        }
        pause(READY_EVERY);
    }
    false
}
