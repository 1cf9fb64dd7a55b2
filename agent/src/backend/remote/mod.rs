//! A registry elsewhere, reached over the internal link.
//!
//! [`Remote`] finds registries by the names and addresses of the configuration (`join`), keeps this node's lease there
//! (`lease`), hands requests on as they came, and answers DNS from the last known state while no registry answers
//! (`remember`).

mod join;
mod lease;
mod remember;

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use daemon::Shutdown;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_api::{Body, body};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use link::{
    Keyring, LinkError, Servers, Unanswered,
    calls::{self, HOLD_HEADER, Lease, REQUEST_HEADER, UNSERVED_HEADER},
    join::Directions,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use registry_wire::{
    catalog::{CheckServiceNode, Node, TextMap},
    prepared::{self, Executed},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::remember::Remembered;
use crate::coordinates::Coordinates;

use super::{
    AddressOwner, Backend, BoxFuture, CLIENT_HEADER, Found, Lookup, NODE_HEADER, Reach, Unavailable,
};

pub use join::{JoinError, Joins, reachable, reason, resolve, several};

/// How long DNS waits for a registry before it answers from what it knows.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);
/// The same while the registry is away and an answer is known: a machine that is gone refuses nothing, and many resolvers
/// give up after those two seconds.
const LOOKUP_LIMIT_AWAY: Duration = Duration::from_millis(100);
/// A write up to this size is kept until its answer is there, to be sent again.
const KEPT_BYTES_MAX: usize = 2 << 20;
/// How long one of several servers may look for a leader, in milliseconds, before another one is asked.
const HOLD_MS: u64 = 500;
/// The pauses between two attempts: the first, doubled with each further one, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The longest answer to one of our own questions; a service of 10,000 instances has some 10 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What a [`Remote`] must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are, as the lease says it.
    pub lease: Lease,
    /// Where registries may be found.
    pub joins: Joins,
    /// The keys of the network that they are on, which follow the registry's; `None` where it asks for none.
    pub keys: Option<Keyring>,
    /// The longest pause between two attempts to join: `retry_interval`.
    pub retry_interval: Duration,
    /// After how many failed attempts to join for the first time to give up: `retry_max`; 0 is never.
    pub retry_max: u32,
    /// How long DNS answers are given from the last known state while no registry answers.
    pub remember: Duration,
    /// How long a request that was not sent, or may be sent twice, is tried again while servers cannot be reached:
    /// `rpc_hold_timeout`. A registry that is only being restarted costs its clients a wait, not an error.
    pub hold: Duration,
}

/// Whether a registry holds our lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// None has taken it yet.
    Never,
    /// One did, but now none answers.
    Away,
    /// One does.
    Attached,
}

/// The registries of this agent's datacenter.
pub struct Remote {
    servers: Servers,
    settings: Settings,
    /// Who we are now: a reload may change the meta.
    lease: RwLock<Lease>,
    remembered: Mutex<Remembered>,
    attachment: watch::Sender<Attachment>,
    /// How often there was reason to compare everything with the catalog.
    returns: watch::Sender<u64>,
    coordinates: Arc<Coordinates>,
    /// The version of the calls that the servers speak, as the last lease told.
    version: AtomicU32,
}

impl Remote {
    /// Starts looking for registries and keeping the lease; the task ends with shutdown, or with [`JoinError::GaveUp`].
    pub fn start(settings: Settings, shutdown: Shutdown) -> (Arc<Self>, JoinHandle<Result<(), JoinError>>) {
        let remote = Arc::new(Self {
            servers: Servers::over(settings.joins.network.clone()),
            remembered: Mutex::new(Remembered::new(settings.remember)),
            lease: RwLock::new(settings.lease.clone()),
            settings,
            attachment: watch::channel(Attachment::Never).0,
            returns: watch::channel(0).0,
            coordinates: Arc::default(),
            version: AtomicU32::new(0),
        });
        let task = tokio::spawn(lease::keep(remote.clone(), shutdown));
        (remote, task)
    }

    /// Where this node is, as the round trips to the registry tell.
    pub(crate) fn coordinates(&self) -> Arc<Coordinates> {
        self.coordinates.clone()
    }

    /// Lets the next sign of life say another meta.
    pub(crate) fn set_meta(&self, meta: TextMap) {
        self.lease.write().unwrap_or_else(PoisonError::into_inner).meta = meta;
    }

    /// Who we are, as a call's body.
    fn sign(&self) -> Vec<u8> {
        let mut lease = self.lease.read().unwrap_or_else(PoisonError::into_inner).clone();
        lease.keys = self.settings.keys.as_ref().map(|keys| keys.now().seen());
        serde_json::to_vec(&lease).expect("a lease is plain data")
    }

    /// Follows whether a registry holds our lease.
    pub fn attachment(&self) -> watch::Receiver<Attachment> {
        self.attachment.subscribe()
    }

    /// Changes whenever the catalog may lack what it was told: a registry answers again, or took this node in anew.
    pub(crate) fn returns(&self) -> watch::Receiver<u64> {
        self.returns.subscribe()
    }

    /// Finds the registry at one more address, as `join` on the command line asks, and takes the lease there: whoever
    /// asks for the members next sees this node.
    ///
    /// Errors when nobody answers there, or the registry refuses this node.
    pub async fn join(&self, target: &str) -> Result<(), JoinError> {
        let found = self.settings.joins.with(target).find().await?;
        self.learn(&found);
        lease::take(self).await
    }

    /// Where others find the registry that this agent knows; `None` before it knows one.
    pub(crate) fn directions(&self) -> Option<Directions> {
        Some(Directions {
            datacenter: self.settings.joins.datacenter.clone(),
            server: *self.servers.addresses().first()?,
            cluster: String::new(),
            version: calls::VERSION,
            id: 0,
            node: String::new(),
        })
    }

    /// Gives the lease back: the node leaves the catalog at once.
    ///
    /// Errors when no registry answers; the lease then runs out by itself.
    pub async fn leave(&self) -> Result<(), Unavailable> {
        let request = Request::delete(calls::LEASE).body(body::full(self.sign())).expect("a fixed target");
        let answer = self.ask(request, LOOKUP_LIMIT).await?;
        if answer.status().is_success() { Ok(()) } else { Err(Unavailable::NoLeader) }
    }

    /// Adds servers to those known.
    fn learn(&self, found: &[std::net::SocketAddr]) {
        let mut addresses = self.servers.addresses();
        addresses.extend(found);
        addresses.sort();
        addresses.dedup();
        self.servers.set(&addresses);
    }

    /// Sends a request on. What no server got is held until one can be reached again. What may have got there is asked
    /// again too: a read by its nature, a write under an id by which the servers know what was made. So is what a server
    /// cannot answer that knows no leader, while another one may.
    async fn forward(&self, request: Request<Body>) -> Result<Response<Body>, Unavailable> {
        let end = Instant::now() + self.settings.hold;
        let (mut attempt, again) = Again::of(request, self.knows_requests()).await?;
        if again.is_some() && self.servers.addresses().len() > 1 {
            attempt.headers_mut().insert(HOLD_HEADER, HOLD_MS.into());
        }
        let again = again.map(|again| Again { headers: attempt.headers().clone(), ..again });
        let mut pause = PAUSE_MIN;
        loop {
            let (error, unsent) = match self.servers.try_call(attempt).await {
                Some(Ok(answer)) if !answer.headers().contains_key(UNSERVED_HEADER) => return Ok(answer),
                Some(Ok(answer)) => {
                    self.servers.prefer_next();
                    if again.is_none() || Instant::now() >= end {
                        return Ok(answer);
                    }
                    (None, None)
                }
                Some(Err(Unanswered { error, unsent })) => (Some(error), unsent),
                None => return Err(Unavailable::NoServers),
            };
            let failed = error.as_ref().map_or(Unavailable::NoLeader, unavailable);
            attempt = match (unsent, &again) {
                (Some(request), _) => *request,
                (None, Some(again)) => again.request(),
                (None, None) => return Err(failed),
            };
            if Instant::now() >= end {
                return Err(failed);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether the servers know which requests were made, so that a write may come again.
    fn knows_requests(&self) -> bool {
        self.version.load(Relaxed) >= calls::REQUESTS_SINCE
    }

    /// Asks one of our own questions, whose whole answer is of interest.
    async fn ask(&self, request: Request<Body>, limit: Duration) -> Result<Response<Bytes>, Unavailable> {
        let asked = async {
            let answer = match self.servers.call(request).await {
                Some(Ok(answer)) => answer,
                Some(Err(error)) => return Err(unavailable(&error)),
                None => return Err(Unavailable::NoServers),
            };
            let (head, sent) = answer.into_parts();
            let bytes = whole(sent).await.ok_or(Unavailable::NoServers)?;
            Ok(Response::from_parts(head, bytes))
        };
        timeout(limit, asked).await.unwrap_or(Err(Unavailable::NoServers))
    }

    /// The answer to a question of DNS: the registry's, or the last known one while none answers.
    async fn look_up(&self, lookup: Lookup) -> Result<Found, Unavailable> {
        let mut request = Request::get(target(&lookup));
        if let Lookup::Query { client, .. } = &lookup {
            request = request.header(CLIENT_HEADER, client.to_string());
            request = request.header(NODE_HEADER, &self.settings.lease.node);
        }
        let request = request.body(body::empty()).map_err(|_| Unavailable::NoServers)?;
        let away = matches!(*self.attachment.borrow(), Attachment::Away);
        let may_be_short = away && self.remembered().recall(&lookup).is_some();
        let limit = if may_be_short { LOOKUP_LIMIT_AWAY } else { LOOKUP_LIMIT };
        match self.ask(request, limit).await.and_then(|answer| self.understand(&lookup, &answer)) {
            Ok(found) => Ok(found),
            Err(Unavailable::NoPathToDatacenter) => Err(Unavailable::NoPathToDatacenter),
            Err(error) => {
                let found = self.remembered().recall(&lookup).ok_or(error)?;
                metrics::counter!("dns.stale_queries").increment(1);
                Ok(found)
            }
        }
    }

    fn understand(&self, lookup: &Lookup, answer: &Response<Bytes>) -> Result<Found, Unavailable> {
        if !answer.status().is_success() {
            return failed(lookup, answer);
        }
        // Equal bytes are an equal answer: the one known already is given again, with all that DNS derived from it.
        if let Some(found) = self.remembered().same(lookup, answer.body()) {
            return Ok(found);
        }
        let found = decode(lookup, answer.body()).ok_or(Unavailable::NoLeader)?;
        self.remembered().remember(lookup.clone(), answer.body().clone(), found.clone());
        Ok(found)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Remote {
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        Box::pin(self.forward(request))
    }

    fn lookup(&self, lookup: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(self.look_up(lookup))
    }
}

/// A body's bytes; `None` when it broke off or is longer than any answer of a registry.
async fn whole(mut sent: Body) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = sent.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    Some(bytes.freeze())
}

/// How to send a request again.
struct Again {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Again {
    /// The request as it is to be sent, and how to send it again, if that may be: a read, or a write that is not too long to
    /// be kept, when the servers know requests by their ids.
    async fn of(request: Request<Body>, marks: bool) -> Result<(Request<Body>, Option<Self>), Unavailable> {
        let reads = request.method() == Method::GET || request.method() == Method::HEAD;
        let fits = request.body().size_hint().upper().is_some_and(|bytes| bytes <= KEPT_BYTES_MAX as u64);
        let may_come_again = reads || (marks && fits);
        if !may_come_again {
            return Ok((request, None));
        }
        let (mut head, mut sent) = request.into_parts();
        let mut bytes = Bytes::new();
        if !reads {
            // A client that breaks off has no use for an answer.
            let collected = body::collect(&mut sent, KEPT_BYTES_MAX).await;
            bytes = collected.map_err(|_| Unavailable::Interrupted)?;
            if let Ok(id) = HeaderValue::try_from(uuid::Uuid::new_v4().to_string()) {
                head.headers.insert(REQUEST_HEADER, id);
            }
        }
        let again = Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            headers: head.headers.clone(),
            body: bytes.clone(),
        };
        Ok((Request::from_parts(head, body::full(bytes)), Some(again)))
    }

    fn request(&self) -> Request<Body> {
        let mut again = Request::new(body::full(self.body.clone()));
        (*again.method_mut(), *again.uri_mut()) = (self.method.clone(), self.uri.clone());
        *again.headers_mut() = self.headers.clone();
        again
    }
}

/// What a client is told when a call has no answer.
pub fn unavailable(error: &LinkError) -> Unavailable {
    tracing::debug!(target: "agent.link", %error, "a call has no answer");
    match error {
        LinkError::Connect { address, reason } => {
            Unavailable::Unreachable(format!("dial tcp <nil>->{address}: {}", words(reason)))
        }
        LinkError::Ended { .. } | LinkError::Target(_) => Unavailable::Interrupted,
    }
}

/// The system's words as Go has them: `connect: connection refused`.
fn words(reason: &str) -> String {
    match reason.split(" (os error").next() {
        Some("Connection refused") => "connect: connection refused".to_owned(),
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;

/// What an answer to [`target`] means that is none of success.
pub fn failed(lookup: &Lookup, answer: &Response<Bytes>) -> Result<Found, Unavailable> {
    let text = String::from_utf8_lossy(answer.body());
    if text.contains("No path to datacenter") {
        return Err(Unavailable::NoPathToDatacenter);
    }
    match (lookup, answer.status()) {
        (Lookup::Query { .. }, StatusCode::NOT_FOUND) => Ok(Found::Query(None)),
        (Lookup::Query { .. }, _) if text == prepared::TEMPLATE_BY_ID => {
            Ok(Found::Refused(text.into_owned()))
        }
        _ => Err(Unavailable::NoLeader),
    }
}

/// Where a registry answers a question of DNS. Any server may answer.
pub fn target(lookup: &Lookup) -> String {
    let place = |path: &str, name: &str, end: &str, datacenter: &Option<String>| {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let name = encode(name);
        match datacenter {
            Some(dc) => format!("{path}{name}{end}?stale&dc={}", encode(dc)),
            None => format!("{path}{name}{end}?stale"),
        }
    };
    match lookup {
        Lookup::Service { name, reach, datacenter } => {
            let path = match reach {
                Reach::Itself => "/v1/health/service/",
                Reach::Connect => "/v1/health/connect/",
                Reach::Ingress => "/v1/health/ingress/",
            };
            place(path, name, "", datacenter)
        }
        Lookup::Node { name, datacenter } => place("/v1/catalog/node/", name, "", datacenter),
        Lookup::Query { name, datacenter, .. } => place("/v1/query/", name, "/execute", datacenter),
        Lookup::Address(address) => format!("{}{address}", calls::ADDRESS),
    }
}

/// What the answer to [`target`] says; `None` when it cannot be read.
pub fn decode(lookup: &Lookup, bytes: &[u8]) -> Option<Found> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct CatalogNode {
        node: Option<Node>,
    }
    Some(match lookup {
        Lookup::Service { .. } => {
            Found::Service(Arc::new(serde_json::from_slice::<Vec<CheckServiceNode>>(bytes).ok()?))
        }
        Lookup::Node { .. } => {
            let answer: Option<CatalogNode> = serde_json::from_slice(bytes).ok()?;
            Found::Node(answer.and_then(|answer| answer.node).map(Arc::new))
        }
        Lookup::Query { .. } => Found::Query(Some(serde_json::from_slice::<Executed>(bytes).ok()?.into())),
        Lookup::Address(_) => {
            let owner: Option<calls::AddressOwner> = serde_json::from_slice(bytes).ok()?;
            Found::Address(owner.map(|owner| match owner {
                calls::AddressOwner::Node(name) => AddressOwner::Node(name),
                calls::AddressOwner::Service(name) => AddressOwner::Service(name),
            }))
        }
    })
}
