//! Looks at the machine and asks the agent.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket},
    path::Path,
    time::SystemTime,
};

use agent::config::{self, Config, Flags, Listen};
use registry_client::{Client, Request};
use serde_json::Value;

use super::{Finding, judge, question};
use crate::{
    client::{ClientFlags, block_on},
    commands::cluster::{CONFIGURATION_FOLDERS, reachable},
};

/// Where the data are when the configuration does not say.
const DATA: &str = "/opt/consul";

/// All that there is to say.
pub(super) fn all(given: &[String], flags: &ClientFlags) -> Vec<Finding> {
    let sources: Vec<String> = match given {
        [] => CONFIGURATION_FOLDERS.into_iter().filter(|f| Path::new(f).is_dir()).map(String::from).collect(),
        given => given.to_vec(),
    };
    let (config, problem) =
        match (!sources.is_empty()).then(|| config::load(&Flags::of_sources(sources.clone(), None))) {
            Some(Ok(config)) => (Some(config), None),
            Some(Err(e)) => (None, Some(e.to_string())),
            None => (None, None),
        };
    let mut findings = vec![judge::configuration(&sources, problem.as_deref())];
    let seen = client(flags, config.as_ref())
        .map(|client| (block_on(Seen::of(&client)), client.address().to_owned()));
    let (seen, address) = match seen {
        Ok((seen, address)) => (seen, address),
        Err(why) => (Seen { own: Err(why), ..Seen::default() }, String::new()),
    };
    let configured = config.as_ref().and_then(configured);
    let configured = configured.map(|address| address.trim_start_matches("unix://").to_owned());
    findings.push(judge::agent(&address, configured.as_deref(), &seen.own));
    let joins = config.as_ref().map(|config| config.retry_join.clone()).unwrap_or_default();
    if let Ok(own) = &seen.own {
        findings.extend(judge::name(own, &seen.known_id));
        findings.push(judge::registry(&seen.leader, &joins));
        findings.extend(judge::members(&seen.members));
        findings.extend(judge::checks(&seen.checks));
    } else if let Some(config) = &config {
        findings.extend(ports(config));
    }
    let is_registry = config.as_ref().is_some_and(|config| config.server);
    let data = config.as_ref().map_or_else(|| Some(DATA.into()), |config| config.data_dir.clone());
    if let Some(folder) = data.filter(|folder| config.is_some() || folder.exists()) {
        findings.push(judge::disk(&folder, &room(&folder)));
        findings.push(judge::clock(SystemTime::now(), newest(&folder)));
    }
    findings.push(judge::files(open_files(config.as_ref()), is_registry));
    if seen.own.is_ok() {
        findings.push(names(config.as_ref(), &seen));
    }
    findings
}

/// A client of the agent: where flags and environment say, else where its configuration says.
fn client(flags: &ClientFlags, config: Option<&Config>) -> Result<Client, String> {
    let configured = config.and_then(configured);
    match flags.elsewhere(configured.as_slice()).pop() {
        Some(client) => Ok(client),
        None => flags.client(),
    }
}

/// Where the agent listens by its configuration, as it is reached from here.
fn configured(config: &Config) -> Option<String> {
    config.http_listen.first().map(|listen| match listen {
        Listen::Tcp(address) => reachable(*address),
        Listen::Unix(path) => format!("unix://{}", path.display()),
    })
}

/// What the agent says.
struct Seen {
    own: Result<Value, String>,
    /// The id that the registry knows under this node's name; empty when it knows none.
    known_id: String,
    leader: Result<String, String>,
    members: Vec<Value>,
    checks: BTreeMap<String, Value>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            own: Err(String::new()),
            known_id: String::new(),
            leader: Err(String::new()),
            members: Vec::new(),
            checks: BTreeMap::new(),
        }
    }
}

impl Seen {
    async fn of(client: &Client) -> Self {
        let own = client.json(&Request::get("/v1/agent/self")).await.map_err(|e| e.to_string());
        let Ok(told) = &own else { return Self { own, ..Self::default() } };
        let name = told["Config"]["NodeName"].as_str().unwrap_or_default();
        let known = client.json::<Value>(&Request::get(Request::path_to("/v1/catalog/node", name))).await;
        let known_id =
            known.ok().and_then(|known| known["Node"]["ID"].as_str().map(String::from)).unwrap_or_default();
        Self {
            own,
            known_id,
            leader: client.json(&Request::get("/v1/status/leader")).await.map_err(|e| e.to_string()),
            members: client.json(&Request::get("/v1/agent/members")).await.unwrap_or_default(),
            checks: client.json(&Request::get("/v1/agent/checks")).await.unwrap_or_default(),
        }
    }
}

/// The ports that cannot be had while the agent does not run.
fn ports(config: &Config) -> Vec<Finding> {
    let tcp = config.http_listen.iter().filter_map(|listen| match listen {
        Listen::Tcp(address) => Some(("HTTP", *address)),
        Listen::Unix(_) => None,
    });
    let tried = tcp.map(|(what, at)| (what, at, TcpListener::bind(at).map(drop)));
    let dns = config.dns_listen.iter().map(|at| ("DNS", *at, UdpSocket::bind(*at).map(drop)));
    let taken: Vec<Finding> =
        tried.chain(dns).filter_map(|(what, at, bound)| judge::port(what, at, &bound)).collect();
    if taken.is_empty() { vec![Finding::good("ports", "those of HTTP and DNS can be had")] } else { taken }
}

fn room(folder: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(folder)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// When the newest file of the folder, or this program, was written.
fn newest(folder: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let written = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    files.chain(std::env::current_exe()).filter_map(|path| written(&path)).max()
}

/// How many files the agent may have open, by its pid file; this program's own limit without one.
fn open_files(config: Option<&Config>) -> Option<u64> {
    let pid = config.and_then(|config| fs::read_to_string(config.pid_file.as_ref()?).ok());
    let of = pid.map_or_else(|| "self".to_owned(), |pid| pid.trim().to_owned());
    let limits = fs::read_to_string(format!("/proc/{of}/limits")).ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn names(config: Option<&Config>, seen: &Seen) -> Finding {
    let told = seen.own.as_ref().map_or(&Value::Null, |own| &own["DebugConfig"]);
    let domain = told["DNSDomain"].as_str().unwrap_or("consul").trim_end_matches('.');
    let name = format!("consul.service.{domain}");
    let agent = served(config, told).and_then(|listen| reachable(listen).parse::<SocketAddr>().ok());
    let agent = agent.map(|address| (address, block_on(question::answers(address, &name))));
    // What the machine's programs ask: whatever its resolver is set to.
    let machine =
        (name.as_str(), 0).to_socket_addrs().is_ok_and(|found| found.map(|a| a.ip()).any(is_somewhere));
    judge::names(domain, agent, machine)
}

/// Where the agent serves DNS: as it says itself, for its flags count too, else by its configuration.
fn served(config: Option<&Config>, told: &Value) -> Option<SocketAddr> {
    if let Some(addresses) = told["DNSAddrs"].as_array() {
        return addresses.iter().find_map(|text| text.as_str()?.strip_prefix("udp://")?.parse().ok());
    }
    match config {
        Some(config) => config.dns_listen.first().copied(),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 8600))),
    }
}

fn is_somewhere(ip: IpAddr) -> bool {
    !ip.is_unspecified()
}
