//! Finding registries by what the configuration says: names and addresses, with or without a port.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use link::{KeyFault, Network, join::ask};
use tokio::{net::lookup_host, time::timeout};

use super::words;

/// The port a registry answers joins on: `ports.serf_lan`.
const JOIN_PORT: u16 = 8301;
/// A name is looked up within this time or not at all.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// Why no registry could be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Each place that was tried, with its reason.
    #[error("{}", several(.0))]
    Nobody(Vec<String>),
    /// The registry there belongs to another datacenter.
    #[error("{target} is a registry of datacenter \"{theirs}\", this agent belongs to \"{ours}\"")]
    OtherDatacenter {
        /// What was tried.
        target: String,
        /// The registry's datacenter.
        theirs: String,
        /// Our datacenter.
        ours: String,
    },
    /// The registry there has another key, or only one of both has one.
    #[error("{target}: {fault}")]
    Key {
        /// What was tried.
        target: String,
        /// What does not fit.
        fault: KeyFault,
    },
    /// `retry_max` attempts have failed.
    #[error("max join retry exhausted, exiting: {0}")]
    GaveUp(Box<Self>),
}

/// Errors as Consul lists them: `2 errors occurred:` and a line each.
pub fn several(errors: &[String]) -> String {
    let word = if errors.len() == 1 { "error" } else { "errors" };
    let lines: String = errors.iter().map(|error| format!("\n\t* {error}")).collect();
    format!("{} {word} occurred:{lines}\n\n", errors.len())
}

/// What the system says of a connection that it did not make, in Go's words.
pub fn reason(address: SocketAddr, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => format!("dial tcp {address}: {}", words(&error.to_string())),
        None => error.to_string(),
    }
}

/// Where registries may be found, and what they must be.
#[derive(Clone, Debug)]
pub struct Joins {
    /// The configuration's words: `10.0.0.1`, `fd10::1`, `[fd10::1]:8301`, `registry.lxdbr0`, `registry:8301`.
    pub targets: Vec<String>,
    /// The datacenter they must belong to.
    pub datacenter: String,
    /// How they are reached.
    pub network: Arc<dyn Network>,
}

impl Joins {
    /// The same with one target only.
    pub(super) fn with(&self, target: &str) -> Self {
        Self { targets: vec![target.to_owned()], ..self.clone() }
    }

    /// Asks every target where its registry's link is; names are looked up anew each time.
    ///
    /// Errors when none told, naming each target's reason, or the one whose key does not fit.
    pub async fn find(&self) -> Result<Vec<SocketAddr>, JoinError> {
        self.ask(true).await
    }

    /// The same, and every address of a target is asked, as servers do: a name may stand for all of them.
    pub async fn find_each(&self) -> Result<Vec<SocketAddr>, JoinError> {
        self.ask(false).await
    }

    async fn ask(&self, first: bool) -> Result<Vec<SocketAddr>, JoinError> {
        let mut found = Vec::new();
        let (mut errors, mut unfit) = (Vec::new(), None);
        for target in &self.targets {
            match self.of(target, first).await {
                Ok(servers) => found.extend(servers),
                Err(error @ JoinError::OtherDatacenter { .. }) if self.targets.len() == 1 => {
                    return Err(error);
                }
                Err(error @ JoinError::Key { .. }) => unfit = Some(error),
                Err(JoinError::Nobody(reasons)) => {
                    errors.push(format!("Failed to join {target}: {}", reasons.join("; ")));
                }
                Err(error) => errors.push(format!("Failed to join {target}: {error}")),
            }
        }
        match (found.is_empty(), unfit) {
            (false, _) => Ok(found),
            // Others may only be away; this one stays until somebody mends it.
            (true, Some(unfit)) => Err(unfit),
            (true, None) => Err(JoinError::Nobody(errors)),
        }
    }

    /// The links that are told at the addresses of a target; the first is enough, or not. Never none.
    async fn of(&self, target: &str, first: bool) -> Result<Vec<SocketAddr>, JoinError> {
        let mut found = Vec::new();
        let mut last = JoinError::Nobody(vec!["the name has no address".into()]);
        for address in resolve(target, JOIN_PORT).await.map_err(|reason| JoinError::Nobody(vec![reason]))? {
            match ask(&*self.network, address).await {
                Ok(directions) if directions.datacenter == self.datacenter => {
                    found.push(reachable(directions.server, address));
                    if first {
                        return Ok(found);
                    }
                }
                Ok(directions) => {
                    last = JoinError::OtherDatacenter {
                        target: target.to_owned(),
                        theirs: directions.datacenter,
                        ours: self.datacenter.clone(),
                    }
                }
                Err(error) => {
                    last = match KeyFault::of(&error) {
                        Some(fault) => JoinError::Key { target: address.to_string(), fault },
                        None => JoinError::Nobody(vec![reason(address, &error)]),
                    }
                }
            }
        }
        if found.is_empty() { Err(last) } else { Ok(found) }
    }
}

/// The link's address as we can reach it: a registry that listens everywhere is where we found it.
pub fn reachable(server: SocketAddr, found_at: SocketAddr) -> SocketAddr {
    if server.ip().is_unspecified() { SocketAddr::new(found_at.ip(), server.port()) } else { server }
}

/// All addresses that a join target means, with this port where it has none: `10.0.0.1`, `[fd10::1]:8301`, `registry:8301`.
///
/// Errors with the reason when it is malformed or its name is not to be found.
pub async fn resolve(target: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = split(target, port)?;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // The system's own, as for every other name: /etc/hosts goes before DNS, and a name may have what DNS labels may not, `server_a`.
    match timeout(RESOLVE_LIMIT, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(format!("lookup {host}: {error}")),
        Err(_) => Err(format!("lookup {host}: no answer within {} s", RESOLVE_LIMIT.as_secs())),
    }
}

/// Splits a target into host and port; an IPv6 address needs no brackets as long as it has no port.
fn split(target: &str, usual: u16) -> Result<(&str, u16), String> {
    if target.contains('=') {
        let provider = target.split_whitespace().find_map(|word| word.strip_prefix("provider="));
        let provider = provider.unwrap_or("");
        return Err(format!("discover: unknown provider {provider}: give the registry's address instead"));
    }
    let bad_port = |_| format!("\"{target}\" has a bad port");
    if let Some(rest) = target.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| format!("\"{target}\" lacks its \"]\""))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, port.parse().map_err(bad_port)?)),
            None if after.is_empty() => Ok((host, usual)),
            None => Err(format!("\"{target}\" has something after its \"]\"")),
        };
    }
    match target.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, port.parse().map_err(bad_port)?)),
        _ => Ok((target, usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_split_as_people_write_them() {
        for (target, host, port) in [
            ("10.0.0.1", "10.0.0.1", 8301),
            ("10.0.0.1:7", "10.0.0.1", 7),
            ("fd10:10:10:1::1:1", "fd10:10:10:1::1:1", 8301),
            ("[fd10::1]", "fd10::1", 8301),
            ("[fd10::1]:9", "fd10::1", 9),
            ("registry.lxdbr0", "registry.lxdbr0", 8301),
            ("registry:8302", "registry", 8302),
        ] {
            assert_eq!(split(target, 8301), Ok((host, port)), "{target}");
        }
        for target in ["[fd10::1", "[fd10::1]x", "host:port", "provider=aws tag_key=x"] {
            split(target, 8301).unwrap_err();
        }
    }

    #[tokio::test]
    async fn names_are_the_systems() {
        let found = resolve("localhost:7", JOIN_PORT).await.unwrap();
        assert!(found.contains(&"127.0.0.1:7".parse().unwrap()), "{found:?}");
    }

    #[tokio::test]
    async fn nobody_there_names_each_target() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let targets = vec![free.to_string(), "provider=aws x=y".into()];
        let joins = Joins { targets, datacenter: "dc1".into(), network: link::network(None) };
        let said = joins.find().await.unwrap_err().to_string();
        assert!(said.starts_with("2 errors occurred:"), "{said}");
        assert!(said.contains(&format!("Failed to join {free}: ")), "{said}");
        assert!(said.contains("unknown provider aws"), "{said}");
    }
}
