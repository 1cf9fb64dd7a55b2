//! The DNS suite: a fresh server for each scenario, its fixture over HTTP, its questions over UDP and TCP.
//!
//! Questions marked `quirk`, where one may want to do better than what was recorded, are not asked.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use self::{
    ask::Asker,
    scenario::{Scenario, fill, fill_text},
    stub::Stub,
};
use crate::{
    case::{Case, Verdict},
    client::Request,
    options::Options,
    pause,
    subject::{self, Server},
};

pub mod ask;
pub mod compare;
pub mod scenario;
pub mod stub;
pub mod wire;

const SERVER_CMD: &str = "{bin} agent -dev -config-file={config}";
const NODE: &str = "srv1";
/// How long a fixture's step may take to show.
const AWAIT_MAX: Duration = Duration::from_secs(15);
const CALL_MAX: Duration = Duration::from_secs(10);
/// A real agent adds meta of its own to its node a moment after the start.
const META_MAX: Duration = Duration::from_secs(3);

/// The suite's scenarios. Errors when the program or the folder with the scenarios is not there.
pub fn cases(options: &Options) -> anyhow::Result<Vec<Case>> {
    let command = options.server_cmd.clone().unwrap_or_else(|| SERVER_CMD.into());
    let bin = if command.contains("{bin}") { subject::find(&options.bin)? } else { options.bin.clone() };
    let files = options.files(&options.folder())?.into_iter().filter(|(name, _)| options.wants(name));
    let case = |(name, path): (String, std::path::PathBuf)| {
        let (command, bin) = (command.clone(), bin.clone());
        Case::new(name, move || run(&command, &bin, &Scenario::read(&path)?))
    };
    Ok(files.map(case).collect())
}

fn run(command: &str, bin: &Path, scenario: &Scenario) -> anyhow::Result<Verdict> {
    let mut stubs = BTreeMap::new();
    for (name, zone) in &scenario.stubs {
        stubs.insert(name.clone(), Stub::start(zone.clone())?);
    }
    let upstream: BTreeMap<String, String> =
        stubs.iter().map(|(name, stub)| (name.clone(), stub.address().to_string())).collect();
    let config = |ports: &subject::Ports, _: &Path| {
        let base = json!({
            "node_name": NODE, "disable_update_check": true, "log_level": "warn",
            "ports": subject::ports_config(ports, false),
        });
        subject::merge(base, &fill(&json!(scenario.config.clone().unwrap_or_default()), &upstream))
    };
    let server = Server::start(command, bin, config, is_ready)?;
    wait_for(META_MAX, || shows(&server, &format!("/v1/catalog/node/{NODE}"), "consul-network-segment"));
    let mut names = upstream.clone();
    let ports = [
        ("http_port", server.ports.http),
        ("dns_port", server.ports.dns),
        ("server_port", server.ports.server),
    ];
    names.extend(ports.map(|(name, port)| (name.to_owned(), port.to_string())));
    for step in &scenario.fixture {
        prepare(&server, step, &mut names).with_context(|| format!("fixture {step}"))?;
    }
    let address = ([127, 0, 0, 1], server.ports.dns).into();
    let asker = Asker { address, stubs, names };
    let asked = scenario.queries.iter().filter(|query| query.quirk.is_none());
    Ok(Verdict::from_differences(asked.flat_map(|query| asker.check(query)).collect()))
}

fn is_ready(server: &Server) -> bool {
    shows(server, "/v1/health/service/consul", "serfHealth")
}

fn shows(server: &Server, path: &str, text: &str) -> bool {
    server.get(path).is_ok_and(|answer| answer.status == 200 && answer.text().contains(text))
}

fn wait_for(limit: Duration, what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !what() {
        if Instant::now() > end {
            return false;
        }
        pause(Duration::from_millis(20));
    }
    true
}

/// One step: waits for a text, or calls once or for each number of a range.
fn prepare(server: &Server, step: &Value, names: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    if let Some(path) = step["await"].as_str() {
        let text = step["contains"].as_str().context("`await` goes with `contains`")?;
        if !wait_for(AWAIT_MAX, || shows(server, path, text)) {
            bail!("waited in vain for {text:?}");
        }
        return Ok(());
    }
    let bound = |at: usize| step["repeat"][at].as_u64().unwrap_or_default();
    for i in bound(0)..=bound(1) {
        let mut filled = names.clone();
        filled.extend([("i".to_owned(), i.to_string()), ("hex".to_owned(), format!("{i:02x}"))]);
        call(server, step, &filled, names)?;
    }
    Ok(())
}

fn call(
    server: &Server,
    step: &Value,
    filled: &BTreeMap<String, String>,
    names: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let (method, path) = match (step["put"].as_str(), step["post"].as_str()) {
        (Some(path), _) => ("PUT", path),
        (None, Some(path)) => ("POST", path),
        (None, None) => bail!("neither `put` nor `post`"),
    };
    let body = step.get("body").map(|body| fill(body, filled).to_string().into_bytes());
    let request = Request { body, ..Request::new(method, &fill_text(path, filled)) };
    let answer = request.send(server.http(), CALL_MAX)?;
    if u64::from(answer.status) != step["status"].as_u64().unwrap_or(200) {
        bail!("{} {}", answer.status, answer.text());
    }
    if let Some(kept) = step["save"].as_object() {
        let json: Value = serde_json::from_slice(&answer.body)?;
        for (name, key) in kept {
            let value = key.as_str().and_then(|key| json[key].as_str()).context("`save` names a text")?;
            names.insert(name.clone(), value.to_owned());
        }
    }
    Ok(())
}
