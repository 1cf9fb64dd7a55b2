//! Which functions a registry, an agent and a watcher run, and how often: what the linker lays side by side, and what has
//! to be fast.
//!
//! A program's code comes into memory in pieces of 64 kB around what runs. A tenth of the binary's functions run from
//! start to idle; spread over all of it they bring nearly all of it along. Laid together they bring little else.
//! valgrind's callgrind writes down what runs, here while the three programs do what they do all day.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use conformance::{
    client,
    dns::wire::{self, Head},
    pause,
    subject::{self, Ports, Server},
};
use serde_json::{Value, json};

use crate::{fleet, subject::registry_config};

const TRACE: &str = "valgrind --tool=callgrind --demangle=no --callgrind-out-file={dir}/functions {bin}";
/// How long the programs work: longer than every pause between things that they do again and again.
const WORK: Duration = Duration::from_secs(35);
/// How long a traced program may take to end and to write down what it ran.
const END_MAX: Duration = Duration::from_secs(60);
/// What is read over HTTP, of both programs.
const READS: [&str; 8] = [
    "/v1/kv/bench/key",
    "/v1/kv/bench/?recurse",
    "/v1/catalog/services",
    "/v1/health/service/web?passing",
    "/v1/health/service/web?index=1&wait=1s",
    "/v1/agent/self",
    "/v1/agent/checks",
    "/v1/agent/metrics",
];
const TEMPLATE: &str = "\
{{ range service \"web\" }}{{ .Node }} {{ .Address }}:{{ .Port }}\n{{ end }}{{ key \"bench/key\" }}
{{ range ls \"bench\" }}{{ .Key }}={{ .Value }}\n{{ end }}{{ if keyExists \"no\" }}no{{ else }}{{ keyOrDefault \"bench/no\" \"no\" }}{{ end }}
";

/// The symbols of all functions that run, the watcher's first, then the agent's, each with the number of its calls: `_ZN1aE 12`.
///
/// `bin` must have its symbols. Errors when valgrind is not installed or a program does not do its work.
pub(crate) fn record(bin: &Path) -> anyhow::Result<Vec<String>> {
    let agent_command = format!("{TRACE} agent -config-file {{config}}");
    let registry = Server::start(
        &agent_command,
        bin,
        |ports, folder| usual(registry_config(ports, folder)),
        |server| fleet::put(server.http(), "/v1/kv/bench/key", "0").is_ok(),
    )
    .context("valgrind has to be installed (apt install valgrind)")?;
    let join = format!("127.0.0.1:{}", registry.ports.serf_lan);
    let agent = Server::start(
        &agent_command,
        bin,
        |ports, folder| agent_config(ports, folder, &join, registry.http()),
        |server| server.get("/v1/health/service/web").is_ok_and(|answer| answer.text().contains("passing")),
    )?;
    let watcher = Server::start(
        &format!("{TRACE} template -config {{dir}}/watcher.hcl -template {{dir}}/in:{{dir}}/second:true"),
        bin,
        |_, folder| {
            let write =
                |name, text: &str| fs::write(folder.join(name), text).expect("the folder is new and ours");
            write("in", TEMPLATE);
            write("watcher.hcl", &watcher_config(registry.http(), folder));
            json!({})
        },
        |server| ["first", "second"].iter().all(|name| server.folder().join(name).exists()),
    )?;
    work(&registry, &agent)?;
    let traces = [watcher, agent, registry].map(|mut server| {
        server.interrupt(END_MAX);
        let path = server.folder().join("functions");
        let trace = fs::read(&path).with_context(|| format!("no trace; it said: {}", server.log_tail()))?;
        anyhow::Ok(functions(&String::from_utf8_lossy(&trace)))
    });
    let traces = traces.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(traces.iter().all(|trace| !trace.is_empty()), "{} has no symbols", bin.display());
    Ok(in_order(&traces))
}

fn work(registry: &Server, agent: &Server) -> anyhow::Result<()> {
    let end = Instant::now() + WORK;
    let mut round = 0_u32;
    while Instant::now() < end {
        round += 1;
        for server in [registry, agent] {
            fleet::put(server.http(), "/v1/kv/bench/key", &round.to_string())?;
            for path in READS {
                client::get(server.http(), path)?;
            }
            for kind in ["A", "SRV"] {
                ask((Ipv4Addr::LOCALHOST, server.ports.dns).into(), kind)?;
            }
        }
        pause(Duration::from_secs(1));
    }
    Ok(())
}

fn ask(server: SocketAddr, kind: &str) -> anyhow::Result<()> {
    let question = ("web.service.consul".to_owned(), kind.to_owned(), "IN".to_owned());
    let message = wire::query(&Head { flags: 0x0100, edns: None }, &[question])?;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.send_to(&[&[0, 1], &message[..]].concat(), server)?;
    socket.recv(&mut [0; 512]).context("no answer over DNS")?;
    Ok(())
}

/// The log at its usual level, which is work too.
fn usual(config: Value) -> Value {
    subject::merge(config, &json!({ "log_level": "INFO" }))
}

fn agent_config(ports: &Ports, folder: &Path, join: &str, web: SocketAddr) -> Value {
    let checks = json!([
        { "http": format!("http://{web}/v1/status/leader"), "interval": "1s" },
        { "tcp": web.to_string(), "interval": "1s" },
        { "args": ["true"], "interval": "1s" },
    ]);
    let services = json!([{ "name": "web", "port": web.port(), "checks": checks }]);
    let config = crate::subject::agent_config(ports, folder, join, &services);
    usual(subject::merge(config, &json!({ "enable_local_script_checks": true })))
}

/// A template of a file, beside the one of the command line.
fn watcher_config(registry: SocketAddr, folder: &Path) -> String {
    let at = |name| folder.join(name).display().to_string();
    format!(
        "consul {{\n  address = \"{registry}\"\n}}\nlog_level = \"info\"\n\
         template {{\n  source = \"{}\"\n  destination = \"{}\"\n  perms = 0644\n  command = \"true\"\n}}\n",
        at("in"),
        at("first")
    )
}

/// How often each function is called, from callgrind's output: `fn=(12) _ZN…` runs, `cfn=…` is called, as often as the next
/// line says, `calls=3 …`. A name stands there once, later its number does.
fn functions(trace: &str) -> BTreeMap<String, u64> {
    let mut names = BTreeMap::new();
    let mut calls = BTreeMap::new();
    let mut called = String::new();
    for line in trace.lines() {
        if let Some(times) = line.strip_prefix("calls=") {
            let times = times.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1);
            *calls.entry(std::mem::take(&mut called)).or_default() += times;
        } else if let Some(function) = line.strip_prefix("fn=").or(line.strip_prefix("cfn=")) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            // A function that calls itself is written once more as `name'2`.
            let name = name.split('\'').next().unwrap_or(name);
            if !name.is_empty() {
                names.insert(number.to_owned(), name.to_owned());
            }
            called = names.get(number).cloned().unwrap_or_default();
            calls.entry(called.clone()).or_insert(0);
        }
    }
    // Places without a name are `0x4011d6` and `(below main)`.
    calls.retain(|name, _| !name.is_empty() && !name.starts_with("0x") && !name.starts_with('('));
    calls
}

/// Functions that the same programs run side by side, all that the first program runs before what only others do: the smallest
/// program is to have its code in one piece, also what is folded with code of the others.
fn in_order(traces: &[BTreeMap<String, u64>]) -> Vec<String> {
    let functions: BTreeSet<&String> = traces.iter().flat_map(BTreeMap::keys).collect();
    let left_out =
        |function: &String| traces.iter().map(|trace| !trace.contains_key(function)).collect::<Vec<_>>();
    let mut order: Vec<_> = functions.into_iter().collect();
    order.sort_by_key(|function| left_out(function));
    let most = |function| traces.iter().filter_map(|trace| trace.get(function)).max().unwrap_or(&0);
    order.into_iter().map(|function| format!("{function} {}", most(function))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{functions, in_order};

    #[test]
    fn names_are_read_once_and_the_first_programs_come_first() {
        let trace = "ob=(1) /bin/x\nfn=(1) _ZN1aE\n12 3\ncfn=(2) _ZN1bE'2\ncalls=3 0\n1 2\nfn=(1)\ncfn=(3) 0x1040\ncfn=(2)\ncalls=4 +1\ncfn=(4) (below main)\n";
        let first = functions(trace);
        assert_eq!(
            first.iter().map(|(name, times)| (&**name, *times)).collect::<Vec<_>>(),
            [("_ZN1aE", 0), ("_ZN1bE", 7)]
        );
        let second = functions("fn=(1) _ZN1bE\nfn=(2) _ZN0cE\n");
        let third = functions("fn=(1) _ZN1aE\n");
        assert_eq!(in_order(&[first, second, third]), ["_ZN1bE 7", "_ZN1aE 0", "_ZN0cE 0"]);
        let (a, b) = (functions("fn=(1) _ZN1aE\n"), functions("fn=(1) _ZN1aE\nfn=(2) _ZN1bE\n"));
        assert_eq!(in_order(&[BTreeMap::new(), a, b]), ["_ZN1aE 0", "_ZN1bE 0"]);
    }
}
