//! The engine's HTTP API, as far as it is needed: the running containers, one of them, and what happens to them.
//!
//! Docker and podman answer alike here. Only the fields that are read are named, and all may be missing: engines of
//! many ages differ in the others, which is why this is not left to the generated types of a library.

use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use registry_client::innermost;
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::mpsc, time::timeout};

/// Where engines are found that nobody names.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer; a container's description has some 10 kB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The longest description of one event.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// Events of this time before a subscription are told again, so that none is missed; to look twice does no harm.
const OVERLAP: Duration = Duration::from_secs(10);
/// What may change the services of a container, in Docker's words and podman's.
const ACTIONS: [&str; 9] = ["start", "restart", "stop", "die", "died", "kill", "destroy", "remove", "rename"];

/// Why the engine gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// It is not there, or hung up.
    #[error("the container engine at {place} does not answer: {reason}")]
    Away {
        /// Its address.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// It refused.
    #[error("the container engine refuses {path}: {status} {text}")]
    Refused {
        /// What was asked.
        path: String,
        /// Its status.
        status: StatusCode,
        /// Its words.
        text: String,
    },
    /// It said what nobody understands.
    #[error("the container engine's answer to {path} cannot be read: {reason}")]
    Unreadable {
        /// What was asked.
        path: String,
        /// Why.
        reason: String,
    },
}

/// An engine at a socket or an address; clones share its client.
#[derive(Clone)]
pub(super) struct Engine {
    place: String,
    /// What asks it and what its paths begin with, or why it cannot be asked.
    client: Result<(Client, String), String>,
}

/// A container as the engine describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Container {
    pub(super) id: String,
    name: String,
    state: State,
    config: Config,
    host_config: HostConfig,
    pub(super) network_settings: Settings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: Option<String>,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: Option<String>,
}

/// Where a container is reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Settings {
    #[serde(rename = "IPAddress")]
    pub(super) ip_address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) global_ipv6_address: Option<String>,
    /// By `80/tcp`; nothing beside it when the port is not published.
    pub(super) ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    pub(super) networks: Option<BTreeMap<String, Network>>,
}

/// A container's place on a network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Network {
    #[serde(rename = "IPAddress")]
    pub(super) ip_address: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) global_ipv6_address: Option<String>,
}

/// A port of the host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

impl Binding {
    /// `0.0.0.0` when the engine names no address.
    pub(super) fn place(&self) -> Option<SocketAddr> {
        let port = self.host_port.as_deref()?.parse().ok()?;
        let address = self.host_ip.as_deref().and_then(|text| text.parse().ok());
        Some(SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port))
    }
}

impl Container {
    /// The name without the slash that Docker puts before it.
    pub(super) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    pub(super) fn is_running(&self) -> bool {
        self.state.running
    }

    pub(super) fn image(&self) -> &str {
        self.config.image.as_deref().unwrap_or_default()
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.config.labels.clone().unwrap_or_default()
    }

    pub(super) fn environment(&self) -> &[String] {
        self.config.env.as_deref().unwrap_or_default()
    }

    /// `80/tcp`, whether it is published or not.
    pub(super) fn exposed(&self) -> impl Iterator<Item = &str> {
        self.config.exposed_ports.iter().flatten().map(|(port, _)| port.as_str())
    }

    pub(super) fn uses_host_network(&self) -> bool {
        self.host_config.network_mode.as_deref() == Some("host")
    }

    /// The container whose network this one uses.
    pub(super) fn network_of(&self) -> Option<&str> {
        self.host_config.network_mode.as_deref()?.strip_prefix("container:")
    }
}

impl Engine {
    /// The engine at `unix:///run/podman/podman.sock` or `tcp://10.0.0.2:2375`; without a place at `DOCKER_HOST`, else at
    /// the usual socket of Docker or podman.
    pub(super) fn new(place: Option<&str>) -> Self {
        let place = place.map(str::to_owned).or_else(|| env::var("DOCKER_HOST").ok());
        let place = place.filter(|place| !place.is_empty()).unwrap_or_else(|| {
            let there = SOCKETS.into_iter().find(|path| Path::new(path).exists());
            format!("unix://{}", there.unwrap_or(SOCKETS[0]))
        });
        let client = client(&place);
        Self { place, client }
    }

    /// Where it is: `unix:///var/run/docker.sock`.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The ids of all running containers.
    pub(super) async fn running(&self) -> Result<Vec<String>, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            id: String,
        }
        let all: Vec<Listed> = self.ask("/containers/json").await?.unwrap_or_default();
        Ok(all.into_iter().map(|listed| listed.id).collect())
    }

    /// One container; `None` when there is none.
    pub(super) async fn container(&self, id: &str) -> Result<Option<Container>, EngineError> {
        self.ask(&format!("/containers/{id}/json")).await
    }

    /// Sends the ids of containers that something happens to, until the engine hangs up.
    pub(super) async fn tell_events(&self, seen: mpsc::Sender<String>) -> EngineError {
        match self.read_events(&seen).await {
            Ok(()) => self.away("it ended the list of events"),
            Err(error) => error,
        }
    }

    async fn read_events(&self, seen: &mpsc::Sender<String>) -> Result<(), EngineError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(OVERLAP);
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%7D";
        let path = format!("/events?since={}&filters={filters}", since.as_secs());
        // Podman sends not even the head before the first event: there is no limit to this wait.
        let mut answer = self.get(&path).await?;
        if !answer.status().is_success() {
            return Err(refused(&path, answer).await);
        }
        let mut rest: Vec<u8> = Vec::new();
        while let Some(bytes) = answer.chunk().await.map_err(|error| self.away(innermost(&error)))? {
            rest.extend_from_slice(&bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if let Some(id) = event(&line)
                    && seen.send(id).await.is_err()
                {
                    return Ok(());
                }
            }
            if rest.len() > EVENT_BYTES_MAX {
                return Err(EngineError::Unreadable { path, reason: "an event without end".into() });
            }
        }
        Ok(())
    }

    /// Asks for JSON; `None` for what is not there.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, EngineError> {
        let asked = async {
            let mut answer = self.get(path).await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if !answer.status().is_success() {
                return match refused(path, answer).await {
                    // So says podman while it removes one.
                    EngineError::Refused { text, .. } if text.contains("no such container") => Ok(None),
                    other => Err(other),
                };
            }
            let mut body = Vec::new();
            while let Some(bytes) = answer.chunk().await.map_err(|error| self.away(innermost(&error)))? {
                body.extend_from_slice(&bytes);
                if body.len() > ANSWER_BYTES_MAX {
                    return Err(unreadable(path, "it is too long"));
                }
            }
            serde_json::from_slice(&body).map(Some).map_err(|error| unreadable(path, error))
        };
        timeout(ANSWER_LIMIT, asked).await.unwrap_or_else(|_| Err(self.away("it takes too long")))
    }

    async fn get(&self, path: &str) -> Result<Response, EngineError> {
        let (client, base) = self.client.as_ref().map_err(|reason| self.away(reason))?;
        client.get(format!("{base}{path}")).send().await.map_err(|error| self.away(innermost(&error)))
    }

    fn away(&self, reason: impl ToString) -> EngineError {
        EngineError::Away { place: self.place.clone(), reason: reason.to_string() }
    }
}

fn client(place: &str) -> Result<(Client, String), String> {
    crate::tls::choose_provider();
    // No certificates: an image without any must do.
    let builder = Client::builder().no_proxy().tls_certs_only([]).connect_timeout(ANSWER_LIMIT);
    let (builder, base) = match place.split_once("://") {
        Some(("unix", socket)) => (builder.unix_socket(Path::new(socket)), "http://engine".to_owned()),
        Some(("tcp" | "http", host)) => (builder, format!("http://{}", host.trim_end_matches('/'))),
        _ => return Err("only unix:// and tcp:// are spoken".to_owned()),
    };
    builder.build().map(|client| (client, base)).map_err(|error| innermost(&error))
}

/// The container that an event is about, when it is one that matters.
fn event(line: &[u8]) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Event {
        action: String,
        actor: Actor,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Actor {
        #[serde(rename = "ID")]
        id: String,
    }
    let event: Event = serde_json::from_slice(line).ok()?;
    (ACTIONS.contains(&event.action.as_str()) && !event.actor.id.is_empty()).then_some(event.actor.id)
}

async fn refused(path: &str, mut answer: Response) -> EngineError {
    let status = answer.status();
    // The first piece has the reason; nobody reads more of it.
    let said = timeout(ANSWER_LIMIT, answer.chunk()).await.ok().and_then(Result::ok).flatten();
    let text = String::from_utf8_lossy(&said.unwrap_or_default()).trim().chars().take(200).collect();
    EngineError::Refused { path: path.to_owned(), status, text }
}

fn unreadable(path: &str, reason: impl ToString) -> EngineError {
    EngineError::Unreadable { path: path.to_owned(), reason: reason.to_string() }
}
