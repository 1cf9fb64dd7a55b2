//! The listeners: HTTP that is answered here or handed to the registry, and DNS.

use std::{
    future::ready,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use daemon::Shutdown;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_api::{
    Answer, Body, BoxFuture, Peer, Rate, Router, Serve,
    answer::Layout,
    front::{Front, Network, Settings, Ui},
    listen::{BindError, Limits, Listener, Place, Secure, UnixPlace},
    table::{ENDPOINT, unknown_path},
    took_elsewhere,
};
use metrics::{Counter, counter};
use nix::unistd::{Group, User};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    StartError,
    api::Context,
    backend::{Backend, CLIENT_HEADER, NODE_HEADER},
    config::{Config, Listen},
    dns, figures, translate,
};

/// A page that shows the services, until the operator's own folder or a richer one takes its place.
const PAGE: &[u8] = include_bytes!("page.html");
/// A listener that is not bound after this time waits for its address in the background.
const BIND_LIMIT: Duration = Duration::from_millis(500);
/// How often an address that is not there yet is looked for.
const ADDRESS_PAUSE: Duration = Duration::from_millis(500);

/// Serves HTTP under the rules of the configuration in force.
pub(crate) struct Door {
    front: RwLock<Arc<Front>>,
    behind: Arc<Behind>,
}

/// What stands behind the rules: the agent's own endpoints, and the registry.
pub(crate) struct Behind {
    own: Router<Context>,
    backend: Arc<dyn Backend>,
    node: HeaderValue,
    /// `limits.rpc_rate`: what an agent hands to a registry elsewhere.
    rate: Rate,
    /// How many requests were handed on.
    calls: Counter,
    /// The own datacenter's name, where others' addresses are translated: `translate_wan_addrs`.
    translates: Option<String>,
}

/// The wrapper that lets one `Arc` serve.
struct Shared(Arc<Behind>);

impl Door {
    pub(crate) fn new(config: &Config, own: Router<Context>, backend: Arc<dyn Backend>) -> Arc<Self> {
        // A name that no header can carry is rare enough to do without the defaults that it gives.
        let node = HeaderValue::from_str(&config.node_name).unwrap_or(HeaderValue::from_static(""));
        // A server asks itself; its own limits are request_limits.
        let a_second = if config.server { f64::INFINITY } else { config.limits.rpc_rate };
        let rate = Rate::new(a_second, f64::from(config.limits.rpc_max_burst));
        let translates = config.translate_wan_addrs.then(|| config.datacenter.clone());
        let behind = Arc::new(Behind { own, backend, node, rate, translates, calls: counter!("client.rpc") });
        let front = RwLock::new(Front::new(settings(config), Arc::new(Shared(behind.clone()))));
        Arc::new(Self { front, behind })
    }

    /// Lets another configuration's rules hold from the next request on.
    pub(crate) fn set_rules(&self, config: &Config) {
        let front = Front::new(settings(config), Arc::new(Shared(self.behind.clone())));
        *self.front.write().unwrap_or_else(PoisonError::into_inner) = front;
    }

    /// What answers without the rules for clients.
    pub(crate) fn behind(&self) -> Arc<Behind> {
        self.behind.clone()
    }

    fn front(&self) -> Arc<Front> {
        self.front.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A door as the listeners take it.
pub(crate) struct Through(pub(crate) Arc<Door>);

impl Serve for Through {
    fn serve(&self, request: Request<Body>) -> BoxFuture<Response<Body>> {
        self.0.front().serve(request)
    }
}

impl Serve for Shared {
    fn serve(&self, request: Request<Body>) -> BoxFuture<Response<Body>> {
        let path = request.uri().path();
        if is_own(path) {
            return self.0.own.serve(request);
        }
        // Nothing but the API goes on: the registry has calls of its own that no client may make.
        if !path.starts_with("/v1/") {
            let answer = unknown_path(path);
            return Box::pin(async move { answer });
        }
        self.0.clone().hand_on(request)
    }

    fn knows(&self, path: &str) -> bool {
        if is_own(path) { self.0.own.knows(path) } else { path.starts_with("/v1/") }
    }
}

/// Whether the agent itself answers here, or says that nothing does. A mesh's root certificate is the registry's under both
/// its names.
fn is_own(path: &str) -> bool {
    path != "/v1/agent/connect/ca/roots" && (path.starts_with("/v1/agent/") || path.starts_with("/v1/event/"))
}

impl Behind {
    /// Answers a request of the agent's own.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        Shared(self).serve(request).await
    }

    /// What waits for the registry holds the request once, and little else.
    fn hand_on(self: Arc<Self>, mut request: Request<Body>) -> BoxFuture<Response<Body>> {
        self.sign(&mut request);
        let (start, method) = (Instant::now(), request.method().clone());
        let call = figures::call(request.uri().path());
        self.calls.increment(1);
        if !self.rate.admits() {
            counter!("client.rpc.exceeded").increment(1);
            let text = "RPC rate limit exceeded";
            let answer = Answer::text(StatusCode::TOO_MANY_REQUESTS, text);
            return Box::pin(ready(answer.into_endpoint_response(Layout::Compact)));
        }
        Box::pin(async move {
            let foreign =
                self.translates.as_deref().and_then(|own| Some((translate::foreign(&request, own)?, own)));
            let mut answered = self.backend.call(request).await;
            if let Some((foreign, own)) = foreign
                && let Ok(answer) = answered
            {
                answered = Ok(translate::translated(answer, foreign, own).await);
            }
            if let Some(call) = call {
                figures::called(&self.node, call, &answered);
            }
            match answered {
                Ok(mut answer) => {
                    // Only a registry elsewhere tells; the one in this process has timed the request itself.
                    if let Some(name) = answer.headers_mut().remove(ENDPOINT) {
                        took_elsewhere(&method, name.to_str().unwrap_or_default(), start);
                    }
                    answer
                }
                Err(error) => {
                    counter!("client.rpc.failed").increment(1);
                    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
                        .into_response(Layout::Compact)
                }
            }
        })
    }

    /// Writes into a request whose agent and which client it comes from.
    fn sign(&self, request: &mut Request<Body>) {
        if !self.node.is_empty() {
            request.headers_mut().insert(NODE_HEADER, self.node.clone());
        }
        match request.extensions().get().copied() {
            Some(Peer::Tcp(address)) if request.uri().path().starts_with("/v1/query/") => {
                let text = HeaderValue::from_str(&address.ip().to_canonical().to_string());
                request.headers_mut().insert(CLIENT_HEADER, text.expect("an address is plain letters"));
            }
            _ => drop(request.headers_mut().remove(CLIENT_HEADER)),
        }
    }
}

fn settings(config: &Config) -> Settings {
    let mut response_headers = HeaderMap::new();
    for (name, value) in &config.http.response_headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response_headers.insert(name, value);
        }
    }
    let allow_write_from =
        config.http.allow_write_http_from.iter().filter_map(|text| network(text)).collect();
    Settings {
        response_headers,
        block_endpoints: config.http.block_endpoints.clone(),
        allow_write_from,
        unprintable_paths: config.allow_unprintable_paths,
        translates_addresses: config.translate_wan_addrs,
        ui: config.ui.enabled.then(|| Ui { path: config.ui.content_path.clone(), page: page(config) }),
    }
}

fn page(config: &Config) -> Bytes {
    let own = config.ui.dir.as_ref().and_then(|dir| std::fs::read(dir.join("index.html")).ok());
    own.map_or(Bytes::from_static(PAGE), Bytes::from)
}

/// `10.0.0.0/8`, or one address.
pub(crate) fn network(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = if bits.is_empty() { most } else { bits.parse().ok().filter(|bits| *bits <= most)? };
    Some(Network { address, bits })
}

/// Binds and serves HTTP and HTTPS everywhere the configuration says; returns once each listener is bound or waits for its address.
///
/// Errors when an address is taken or forbidden.
pub(crate) async fn serve_http(
    config: &Config,
    door: &Arc<Door>,
    secure: &Secure,
    shutdown: &Shutdown,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let limits = Limits {
        connections_per_client: config.limits.http_max_conns_per_client,
        header_bytes: config.http.max_header_bytes.unwrap_or(Limits::default().header_bytes),
        ..Limits::default()
    };
    let mut tasks = Vec::new();
    let plain = config.http_listen.iter().map(|listen| (listen, None));
    let mut listens: Vec<(&Listen, Option<Secure>)> =
        plain.chain(config.https_listen.iter().map(|listen| (listen, Some(secure.clone())))).collect();
    // `0.0.0.0` takes the port for IPv6 too unless that is taken: IPv6 addresses that are listed come first.
    listens.sort_by_key(|(listen, _)| !matches!(listen, Listen::Tcp(address) if address.is_ipv6()));
    for (listen, secure) in listens {
        let place = match listen {
            Listen::Tcp(address) => Place::Tcp(*address),
            Listen::Unix(path) => Place::Unix(unix_place(config, path)?),
        };
        let bound_shutdown = shutdown.clone();
        let mut binding = Box::pin(async move { Listener::bind(place, &bound_shutdown).await });
        let bound = match timeout(BIND_LIMIT, &mut binding).await {
            Ok(bound) => Some(bound?),
            Err(_) => None,
        };
        let (service, shutdown): (Arc<dyn Serve>, _) = (Arc::new(Through(door.clone())), shutdown.clone());
        tasks.push(tokio::spawn(async move {
            let listener = match bound {
                Some(listener) => listener,
                None => match binding.await {
                    Ok(listener) => listener,
                    Err(BindError::Stopped(_)) => return,
                    Err(error) => return tracing::error!(target: "agent.http", %error, "HTTP is not served"),
                },
            };
            let listener = match secure {
                Some(secure) => listener.secured(secure),
                None => listener,
            };
            listener.serve(service, limits, shutdown).await;
        }));
    }
    Ok(tasks)
}

/// A unix socket with the owner and mode of the configuration. Errors when there is no such user, group or mode.
fn unix_place(config: &Config, path: &std::path::Path) -> Result<UnixPlace, StartError> {
    let sockets = &config.unix_sockets;
    let number = |key: &str, text: &Option<String>, by_name: &dyn Fn(&str) -> Option<u32>| {
        let Some(text) = text else { return Ok(None) };
        let found = text.parse().ok().or_else(|| by_name(text));
        let unknown = || StartError::Definition(format!("unix_sockets.{key}: there is no {key} {text:?}"));
        found.map(Some).ok_or_else(unknown)
    };
    let user = |name: &str| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    let group = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    let mode = sockets.mode.as_ref().map(|text| {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| {
            StartError::Definition(format!("unix_sockets.mode: {text:?} is no mode such as \"0660\""))
        })
    });
    Ok(UnixPlace {
        path: path.to_owned(),
        mode: mode.transpose()?,
        user: number("user", &sockets.user, &user)?,
        group: number("group", &sockets.group, &group)?,
    })
}

/// Binds and serves DNS; an address that this machine does not have yet is waited for.
///
/// Errors when an address is taken or forbidden.
pub(crate) fn serve_dns(
    addresses: &[SocketAddr],
    settings: watch::Receiver<Arc<dns::Settings>>,
    backend: Arc<dyn Backend>,
    shutdown: &Shutdown,
) -> io::Result<Vec<JoinHandle<()>>> {
    let mut tasks = Vec::new();
    // `0.0.0.0` takes the port for IPv6 too unless that is taken: IPv6 addresses that are listed come first.
    let (v6, v4): (Vec<SocketAddr>, _) = addresses.iter().copied().partition(SocketAddr::is_ipv6);
    for address in v6.into_iter().chain(v4) {
        let bound = match dns::Listeners::bind(&[address]) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(target: "agent.dns", %address, "this machine does not have the address yet: waiting");
                None
            }
            bound => Some(bound?),
        };
        let (settings, backend, shutdown) = (settings.clone(), backend.clone(), shutdown.clone());
        tasks.push(tokio::spawn(async move {
            let listeners = match bound {
                Some(listeners) => listeners,
                None => match wait_for(address, &shutdown).await {
                    Some(listeners) => listeners,
                    None => return,
                },
            };
            for network in ["udp", "tcp"] {
                tracing::info!(target: "agent", %address, network, "Started DNS server");
            }
            dns::serve(listeners, settings, backend, shutdown).await;
        }));
    }
    Ok(tasks)
}

async fn wait_for(address: SocketAddr, shutdown: &Shutdown) -> Option<dns::Listeners> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(ADDRESS_PAUSE) => {}
            () = shutdown.requested() => return None,
        }
        match dns::Listeners::bind(&[address]) {
            Ok(listeners) => return Some(listeners),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(error) => {
                tracing::error!(target: "agent.dns", %error, "DNS is not served");
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_people_write_them() {
        assert_eq!(network("10.0.0.0/8").map(|n| n.bits), Some(8));
        assert_eq!(network("::1").map(|n| n.bits), Some(128));
        assert_eq!(network("10.0.0.0/33"), None);
        assert_eq!(network("lan"), None);
    }
}
