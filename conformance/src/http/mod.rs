//! The HTTP suite: requests to a fresh server, and their answers compared with the recorded ones.
//!
//! `scenario` is what the files say, `run` does the steps, `shape` brings an answer into the form that is compared,
//! `compare` judges it with the placeholders of `token`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    case::{Case, Verdict},
    client::{Answer, Request},
    options::Options,
    pause,
    subject::{self, Ports, Server},
};

mod compare;
mod run;
mod scenario;
mod shape;
mod stub;
mod token;

use scenario::Scenario;

/// The node id that every server is given.
const NODE_ID: &str = "11111111-2222-4333-8444-555555555555";

/// The suite's scenarios.
///
/// Errors when the program or a scenario file cannot be read.
pub fn cases(options: &Options) -> anyhow::Result<Vec<Case>> {
    let command = options.server_cmd.clone().unwrap_or_else(|| "{bin} agent -config-file={config}".into());
    let bin = if command.contains("{bin}") { subject::find(&options.bin)? } else { options.bin.clone() };
    let mut cases = Vec::new();
    for (name, path) in options.files(&options.folder())? {
        if options.wants(&name) {
            let (command, bin) = (command.clone(), bin.clone());
            cases.push(Case::new(name, move || {
                let scenario = Scenario::read(&path)?;
                judge(&scenario, &command, &bin)
            }));
        }
    }
    Ok(cases)
}

fn judge(scenario: &Scenario, command: &str, bin: &Path) -> anyhow::Result<Verdict> {
    let config = |ports: &Ports, folder: &Path| subject::merge(config(ports, folder), &scenario.config);
    let mut readiness = Readiness::new(&scenario.config);
    let server =
        Server::start(command, bin, config, |server| readiness.asked(server)).context("start the server")?;
    let baseline = baseline(&server, readiness.token.as_deref());
    Ok(Verdict::from_differences(run::run(scenario, &server, baseline)?))
}

/// What every server is told; a scenario's own configuration is merged into it.
fn config(ports: &Ports, folder: &Path) -> Value {
    json!({
        "node_name": "node1",
        "node_id": NODE_ID,
        "datacenter": "dc1",
        "domain": "consul",
        "data_dir": folder.join("data"),
        "bind_addr": "127.0.0.1",
        "advertise_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "server": true,
        "bootstrap_expect": 1,
        "ui_config": {"enabled": true},
        "log_level": "warn",
        "disable_update_check": true,
        "performance": {"raft_multiplier": 1},
        "ports": subject::ports_config(ports, true),
    })
}

/// Knows when a server has done all that it does by itself, so that a scenario's indexes are its own.
struct Readiness {
    token: Option<String>,
    to_be_bootstrapped: bool,
    last: Option<(Option<String>, Vec<u8>, Vec<u8>)>,
    since: Instant,
}

impl Readiness {
    fn new(config: &Value) -> Self {
        let token =
            config.pointer("/acl/tokens/initial_management").and_then(Value::as_str).map(str::to_owned);
        let acl = config.pointer("/acl/enabled") == Some(&Value::Bool(true));
        Self { to_be_bootstrapped: acl && token.is_none(), token, last: None, since: Instant::now() }
    }

    /// Ready means: a leader, `node1` with `serfHealth` and its meta, and no change of both for 0.3 s.
    fn asked(&mut self, server: &Server) -> bool {
        let get = |path: &str| get(server, path, self.token.as_deref());
        let Some(leader) = get("/v1/status/leader") else { return false };
        if leader.body == b"\"\"" || leader.body.is_empty() {
            return false;
        }
        if self.to_be_bootstrapped {
            // Nothing can be read before the scenario makes the first token.
            pause(Duration::from_millis(1500));
            return true;
        }
        let (Some(node), Some(health)) = (get("/v1/catalog/node/node1"), get("/v1/health/node/node1")) else {
            return false;
        };
        let has = |answer: &Answer, text: &str| answer.text().contains(text);
        if !has(&health, "serfHealth") || !has(&node, "consul-network-segment") {
            self.last = None;
            return false;
        }
        let now = (node.header("x-consul-index").map(str::to_owned), node.body, health.body);
        if self.last.as_ref() != Some(&now) {
            self.last = Some(now);
            self.since = Instant::now();
        }
        self.since.elapsed() >= Duration::from_millis(300)
    }
}

fn get(server: &Server, path: &str, token: Option<&str>) -> Option<Answer> {
    let mut request = Request::new("GET", path);
    request.headers.extend(token.map(|token| ("X-Consul-Token".to_owned(), token.to_owned())));
    request.send(server.http(), Duration::from_secs(10)).ok()
}

/// The greatest index that the server knows before the first step.
fn baseline(server: &Server, token: Option<&str>) -> u64 {
    const LISTS: [&str; 9] = [
        "catalog/nodes",
        "catalog/services",
        "health/state/any",
        "kv/?keys",
        "session/list",
        "query",
        "catalog/service/consul",
        "acl/tokens",
        "acl/policies",
    ];
    let of_list =
        |path: &&str| get(server, &format!("/v1/{path}"), token)?.header("x-consul-index")?.parse().ok();
    let applied = || {
        let me: Value = serde_json::from_slice(&get(server, "/v1/agent/self", token)?.body).ok()?;
        me.pointer("/Stats/raft/applied_index")?.as_str()?.parse().ok()
    };
    LISTS.iter().filter_map(of_list).chain(applied()).max().unwrap_or(1).max(1)
}
