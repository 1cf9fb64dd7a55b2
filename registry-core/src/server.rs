//! The registry's own listeners: the link on 8300, and the answers to joins on 8301 and 8302.
//!
//! Over the link come the calls that are ours alone, under `/internal/`, and clients' requests as agents hand them on,
//! which go to the same routes as everything else.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_api::{Body, Forwarded, Serve, body};
use http_body_util::BodyExt as _;
use link::{
    calls::{self, Granted, Lease},
    join::Directions,
};
use metrics::counter;
use registry_state::{
    Action, Event,
    read::{AddressOwner, CatalogAddress, EventsAfter},
};
use registry_wire::{duration::format_nanos, event::UserEvent};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::{
    Consistency, LeaseRefused, Options, Registry, StartError, Wait, WriteFailed,
    http::{datacenter, forward, shape},
    keys,
    servers::Refused,
};

/// What the paths of calls begin with that are ours alone.
pub(crate) const INTERNAL: &str = "/internal/";

/// A call of ours is small.
const CALL_BYTES_MAX: usize = 1 << 20;

/// The listeners, bound before anything starts.
pub(crate) struct Listeners {
    link: link::Listener,
    /// Each with whether it is for other datacenters.
    joins: Vec<(bool, link::Listener)>,
}

impl Listeners {
    /// Binds all of them, and puts the ports that the system chose into the settings.
    ///
    /// Waits for addresses that this machine does not have yet.
    pub(crate) async fn bind(
        settings: &mut crate::Settings,
        shutdown: &daemon::Shutdown,
    ) -> Result<Self, StartError> {
        let network = settings.network.clone();
        let link = bind(&*network, &mut settings.server, shutdown).await?;
        let mut joins = Vec::new();
        for (wan, address) in [(false, &mut settings.serf_lan), (true, &mut settings.serf_wan)] {
            if let Some(address) = address {
                joins.push((wan, bind(&*network, address, shutdown).await?));
            }
        }
        Ok(Self { link, joins })
    }

    /// Serves until shutdown.
    pub(crate) fn serve(self, registry: &Arc<Registry>, routes: Arc<dyn Serve>) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        for (wan, listener) in self.joins {
            let asked = Arc::downgrade(registry);
            tasks.push(tokio::spawn(link::join::answer(
                listener,
                move || asked.upgrade().map(|registry| directions(&registry, wan)),
                registry.shutdown().clone(),
            )));
        }
        // Not the registry itself: it owns the task that owns the listener.
        let registry_weak = Arc::downgrade(registry);
        let answer = move |_: SocketAddr, mut request: Request<Body>| {
            let (registry, routes) = (registry_weak.upgrade(), routes.clone());
            counter!("rpc.request").increment(1);
            request.extensions_mut().insert(Forwarded);
            async move {
                match registry {
                    None => said(StatusCode::SERVICE_UNAVAILABLE, "the registry is shutting down"),
                    Some(registry) if request.uri().path().starts_with(INTERNAL) => {
                        internal(&registry, request).await
                    }
                    Some(_) => failures_counted(routes.serve(request).await),
                }
            }
        };
        let per_client = registry.settings().links_per_client;
        tasks.push(tokio::spawn(link::serve(self.link, per_client, answer, registry.shutdown().clone())));
        tasks
    }
}

/// Counts an answer if it says that this side failed.
fn failures_counted(answer: Response<Body>) -> Response<Body> {
    if answer.status().is_server_error() {
        counter!("rpc.request_error").increment(1);
    }
    answer
}

async fn bind(
    network: &dyn link::Network,
    address: &mut SocketAddr,
    shutdown: &daemon::Shutdown,
) -> Result<link::Listener, StartError> {
    let failed = |source| StartError::Bind { address: *address, source };
    let listener = link::bind(network, *address, shutdown).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    *address = bound;
    Ok(listener)
}

/// What a join is told. An address that is a name stays unspecified: who asks knows where it found us.
fn directions(registry: &Registry, wan: bool) -> Directions {
    let settings = registry.settings();
    let elsewhere = settings.wan.addresses.first().copied().filter(|_| wan);
    let ip = elsewhere.or(settings.advertise.parse().ok()).unwrap_or(settings.server.ip());
    Directions {
        datacenter: settings.datacenter.clone(),
        server: SocketAddr::new(ip, settings.server.port()),
        cluster: registry.cluster().to_string(),
        version: calls::VERSION,
        id: registry.servers().id(),
        node: settings.node_name.clone(),
    }
}

/// How long a call of an agent waits for a leader; it asks again by itself.
const CALL_HOLD_MS: u64 = 1500;

/// Answers a call that is ours alone: here, or by the leader where only that one can.
pub(crate) async fn internal(registry: &Registry, mut request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    if path.starts_with(calls::WAN) && path != calls::WAN_KEYRING {
        return crate::wan::answer(registry, request).await;
    }
    if let Some(datacenter) = datacenter::named_in(&request)
        && datacenter != registry.settings().datacenter
    {
        return datacenter::elsewhere(registry, &datacenter, request).await;
    }
    let path = request.uri().path();
    let leaders = [calls::LEASE, calls::EVENT, calls::MEMBERS, calls::WAN_KEYRING];
    let leaders_all = [calls::FORCE_LEAVE, calls::PRUNE];
    if !leaders.contains(&path) && !leaders_all.iter().any(|call| path.starts_with(call)) {
        return here(registry, request).await;
    }
    let members = path == calls::MEMBERS;
    request.headers_mut().insert(calls::HOLD_HEADER, CALL_HOLD_MS.into());
    let answer = forward::answer(registry, request, |request| here(registry, request)).await;
    if members && answer.headers().contains_key(calls::UNSERVED_HEADER) {
        // Without a leader nobody knows who is alive now; what the catalog says is better than nothing.
        return json(&registry.leases().members_by_catalog());
    }
    answer
}

async fn here(registry: &Registry, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    match (&head.method, path) {
        (&Method::PUT, calls::HELLO) => match read(body, "a hello").await {
            Ok(hello) => answered(registry.servers().answer_hello(&head.headers, &hello).await),
            Err(answer) => answer,
        },
        (&Method::PUT, calls::BEGIN) => match read(body, "a proposal").await {
            Ok(begin) => answered(registry.servers().agree(&head.headers, &begin).await),
            Err(answer) => answer,
        },
        (&Method::PUT, calls::LEASE) => match read(body, "a lease").await {
            Ok(lease) => keep(registry, lease).await,
            Err(answer) => answer,
        },
        (&Method::DELETE, calls::LEASE) => match read(body, "a lease").await {
            Ok(lease) => release(registry, &lease).await,
            Err(answer) => answer,
        },
        (&Method::PUT, calls::EVENT) => fire_event(registry, body).await,
        (&Method::PUT, calls::WAN_KEYRING) => match read(body, "a question about keys").await {
            Ok(asked) => json(&keys::here(registry, &asked).await),
            Err(answer) => answer,
        },
        (&Method::GET, _) if path.starts_with(calls::EVENTS) => {
            events(registry, &path[calls::EVENTS.len()..]).await
        }
        (&Method::POST, _) if path.starts_with(calls::RAFT) => {
            registry.replication.answer(Request::from_parts(head, body)).await
        }
        (&Method::GET, calls::MEMBERS) => json(&registry.leases().members()),
        (&Method::GET, calls::STATS) => json(&stats(registry)),
        (&Method::PUT, _) if path.starts_with(calls::FORCE_LEAVE) => {
            force_leave(registry, &path[calls::FORCE_LEAVE.len()..], false).await
        }
        (&Method::PUT, _) if path.starts_with(calls::PRUNE) => {
            force_leave(registry, &path[calls::PRUNE.len()..], true).await
        }
        (&Method::GET, _) if path.starts_with(calls::ADDRESS) => {
            address(registry, &path[calls::ADDRESS.len()..]).await
        }
        _ => unknown(),
    }
}

/// The answer to a call that this release does not have.
pub(crate) fn unknown() -> Response<Body> {
    said(StatusCode::NOT_FOUND, "this registry does not know that call; it may be older than its caller")
}

/// Answers a call of the program that this server runs in.
pub(crate) async fn own(registry: &Registry, path: &str) -> Response<Body> {
    let done = match path.strip_prefix(calls::JOIN) {
        Some(target) => {
            let target = percent_encoding::percent_decode_str(target).decode_utf8_lossy();
            registry.servers().join(&target).await
        }
        None if path == calls::LEAVE => registry.servers().leave().await,
        None => return said(StatusCode::NOT_FOUND, "this server does not know that call"),
    };
    match done {
        Ok(()) => said(StatusCode::OK, ""),
        Err(why) => said(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

/// What `consul info` shows of a server, by section; all of it texts.
fn stats(registry: &Registry) -> serde_json::Value {
    let (progress, settings) = (registry.replication.progress(), registry.settings());
    let members = registry.leases().members();
    let servers = registry.wan().members();
    let of = |members: &[calls::Member], status| {
        members.iter().filter(|member| member.status == status).count().to_string()
    };
    let leader = registry.leadership().leader().unwrap_or_default();
    let encrypted = settings.keys.is_some().to_string();
    serde_json::json!({
        "raft": {
            "state": progress.state,
            "term": progress.term.to_string(),
            "num_peers": progress.voters.saturating_sub(1).to_string(),
            "last_log_index": progress.last.to_string(),
            "last_log_term": progress.term.to_string(),
            "commit_index": progress.applied.to_string(),
            "applied_index": progress.applied.to_string(),
            "last_snapshot_index": progress.snapshot.to_string(),
            "last_contact": match progress.contact {
                None if progress.state == "Leader" => "0".to_owned(),
                None => "never".to_owned(),
                Some(ago) => format_nanos(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)),
            },
            "fsm_pending": "0",
            "protocol_version": "3",
        },
        "consul": {
            "leader": registry.leadership().is_serving().to_string(),
            "leader_addr": leader,
            "bootstrap": (settings.bootstrap_expect == 1).to_string(),
            "known_datacenters": registry.wan().datacenters().len().to_string(),
            "server": "true",
            "acl": "disabled",
        },
        "serf_lan": {
            "members": members.len().to_string(),
            "failed": of(&members, calls::status::FAILED),
            "left": of(&members, calls::status::LEFT),
            "health_score": "0",
            "encrypted": encrypted,
        },
        "serf_wan": {
            "members": servers.len().to_string(),
            "failed": of(&servers, calls::status::FAILED),
            "left": of(&servers, calls::status::LEFT),
            "health_score": "0",
            "encrypted": encrypted,
        },
    })
}

/// A call's body as `what` it must be.
async fn read<T: DeserializeOwned>(body: Body, what: &str) -> Result<T, Response<Body>> {
    let unfit = |why: String| said(StatusCode::BAD_REQUEST, &format!("not {what}: {why}"));
    let bytes = whole(body).await.map_err(unfit)?;
    serde_json::from_slice(&bytes).map_err(|e| unfit(e.to_string()))
}

/// The answer to another server.
fn answered<T: serde::Serialize>(result: Result<T, Refused>) -> Response<Body> {
    match result {
        Ok(value) => json(&value),
        Err(refused) => refusal(&refused),
    }
}

fn refusal(refused: &Refused) -> Response<Body> {
    let status = match refused {
        Refused::Unfit(_) => StatusCode::CONFLICT,
        Refused::NotNow(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    said(status, &refused.to_string())
}

/// A call's whole body; errors when it breaks off or is longer than any call.
pub(crate) async fn whole(mut body: Body) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|e| e.to_string())?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > CALL_BYTES_MAX {
            return Err(format!("longer than {CALL_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

async fn keep(registry: &Registry, mut lease: Lease) -> Response<Body> {
    match registry.servers().take_in(&lease).await {
        Ok(None) => {}
        Ok(Some(granted)) => return json(&granted),
        Err(refused) => return refusal(&refused),
    }
    let known_root = lease.mesh_root.take();
    let (seen, told) = (lease.keys.take(), lease.keys_told.take());
    let (node, server) = (lease.node.clone(), lease.server.is_some());
    match registry.leases().keep(lease).await {
        Ok(mut granted) => {
            if let Some(seen) = seen {
                (granted.keys, granted.keys_wanted) = keys::heard(registry, &node, server, seen, told).await;
            }
            let root = known_root.and_then(|known| registry.mesh_root().filter(|root| root.id != known));
            let mesh_root = root.and_then(|root| serde_json::to_value(root).ok());
            json(&Granted { mesh_root, ..granted })
        }
        Err(LeaseRefused::Unfit(why)) => said(StatusCode::CONFLICT, &why),
        Err(LeaseRefused::Failed(why)) => said(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(LeaseRefused::Unavailable(error)) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A node says goodbye; a server is no longer sent the log.
async fn release(registry: &Registry, lease: &Lease) -> Response<Body> {
    if lease.server.is_some()
        && let Err(error) = registry.servers().let_go(&lease.node).await
    {
        return said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    done(registry.leases().release(lease).await)
}

async fn force_leave(registry: &Registry, node: &str, prune: bool) -> Response<Body> {
    let node = percent_encoding::percent_decode_str(node).decode_utf8_lossy();
    let failed = registry.leases().has_failed(&node);
    match registry.leases().force_leave(&node, prune).await {
        Ok(false) => said(StatusCode::NOT_FOUND, &format!("agent: No node found with name '{node}'")),
        Ok(true) if failed => match registry.servers().let_go(&node).await {
            Ok(()) => said(StatusCode::OK, ""),
            Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        known => done(known.map(drop)),
    }
}

async fn address(registry: &Registry, address: &str) -> Response<Body> {
    let Ok(address) = address.parse() else {
        return said(StatusCode::BAD_REQUEST, "not an IP address");
    };
    let options = Options { consistency: Consistency::Stale, wait: None };
    let found = registry.reader().read(&CatalogAddress { address }, options).await;
    match found {
        Ok(found) => json(&found.value.map(|owner| match owner {
            AddressOwner::Node(node) => calls::AddressOwner::Node(node.name.clone()),
            AddressOwner::Service(service) => calls::AddressOwner::Service(service.name.clone()),
        })),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Fires an event that an agent has checked.
async fn fire_event(registry: &Registry, body: Body) -> Response<Body> {
    let unfit = |why: String| said(StatusCode::BAD_REQUEST, &format!("not an event: {why}"));
    let event = match whole(body).await.map(|bytes| serde_json::from_slice::<UserEvent>(&bytes)) {
        Ok(Ok(event)) => shape::event_from(event),
        Ok(Err(error)) => return unfit(error.to_string()),
        Err(why) => return unfit(why),
    };
    match registry.writer().write(Action::FireEvent(Box::new(event))).await {
        Ok(written) => with_index(said(StatusCode::OK, ""), written.index),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The events after an index. All agents that know the same wait for one answer.
async fn events(registry: &Registry, after: &str) -> Response<Body> {
    let after = match after {
        "" => None,
        text => match text.parse() {
            Ok(index) => Some(index),
            Err(_) => return said(StatusCode::BAD_REQUEST, "not an index"),
        },
    };
    let wait = after.map(|index| Wait { index, limit: calls::EVENTS_HELD });
    // Any server has them in the same order; an event fired elsewhere comes with the log.
    let options = Options { consistency: Consistency::Stale, wait };
    let encode: fn(&Vec<_>, &()) -> Bytes = |events, ()| {
        let shown: Vec<UserEvent> = events.iter().map(|event: &Arc<Event>| shape::event(event)).collect();
        registry_wire::json::to_vec(&shown).into()
    };
    match registry.reader().encoded(EventsAfter { after }, (), options, encode).await {
        Ok(found) => with_index(Response::new(body::full(found.value)), found.index),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn with_index(mut answer: Response<Body>, index: u64) -> Response<Body> {
    answer.headers_mut().insert(registry_wire::header::INDEX, index.into());
    answer
}

fn done(result: Result<(), WriteFailed>) -> Response<Body> {
    match result {
        Ok(()) => said(StatusCode::OK, ""),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(value).expect("the calls' shapes are plain data");
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
    answer.body(body::full(bytes)).expect("a fixed header")
}

pub(crate) fn said(status: StatusCode, text: &str) -> Response<Body> {
    let mut answer = Response::new(body::full(text.to_owned()));
    *answer.status_mut() = status;
    answer
}
