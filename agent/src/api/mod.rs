//! `/v1/agent/` and `/v1/event/`: what the agent answers itself.
//!
//! One file a subject: `services`, `checks`, `health` of this agent's services, `node` for the agent and its fleet, `host` for the machine,
//! `event` for what was fired, `observe` for metrics and the log.
//! `shape` turns what the agent has into what the API shows. Everything else goes to the registry.

mod checks;
mod content_hash;
mod event;
mod health;
mod host;
mod node;
mod observe;
mod services;
mod shape;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_api::{Answer, ApiError, Call, Router, Table, body};
use registry_wire::filter::{Filter, FilterError, Kind};
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    backend::{Backend, NODE_HEADER, Unavailable},
    config::Config,
    coordinates::Coordinates,
    events::Events,
    local::Local,
    sync::Syncer,
};

const GET: &[Method] = &[Method::GET];
const PUT: &[Method] = &[Method::PUT];
const POST: &[Method] = &[Method::POST];

/// A registration is answered once the catalog has it, or after this time: then it follows.
const SYNC_LIMIT: Duration = Duration::from_secs(5);
/// How long the registry may take for one of our own questions; longer than it waits for a leader.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer to one of them; ten thousand members have some 6 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What the endpoints work on; cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) local: Arc<Local>,
    /// The configuration in force; changes with each reload.
    pub(crate) config: watch::Receiver<Arc<Config>>,
    /// This node's id.
    pub(crate) node_id: Arc<str>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) syncer: Syncer,
    pub(crate) events: Arc<Events>,
    pub(crate) coordinates: Arc<Coordinates>,
    /// What the program itself has to do.
    pub(crate) orders: mpsc::Sender<Order>,
    /// What this process counts.
    pub(crate) recorder: telemetry::Recorder,
    /// The end of the program, which ends streams.
    pub(crate) shutdown: daemon::Shutdown,
}

/// Something that only the program as a whole can do; the sender tells how it went.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the configuration again.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Leave the datacenter and end.
    Leave(oneshot::Sender<()>),
    /// Find the registry at one more address.
    Join(String, oneshot::Sender<Result<(), String>>),
}

/// The router of everything below `/v1/agent/`.
pub(crate) fn router(context: Context) -> Router<Context> {
    let mut table = Table::new(context.config.borrow().dev);
    table
        .add("/v1/event/fire/", PUT, event::fire)
        .add("/v1/event/list", GET, event::list)
        .add("/v1/agent/services", GET, services::list)
        .add("/v1/agent/service/", GET, services::one)
        .add("/v1/agent/service/register", PUT, services::register)
        .add("/v1/agent/service/deregister/", PUT, services::deregister)
        .add("/v1/agent/service/maintenance/", PUT, services::maintenance)
        .add("/v1/agent/checks", GET, checks::list)
        .add("/v1/agent/check/register", PUT, checks::register)
        .add("/v1/agent/check/deregister/", PUT, checks::deregister)
        .add("/v1/agent/check/pass/", PUT, checks::pass)
        .add("/v1/agent/check/warn/", PUT, checks::warn)
        .add("/v1/agent/check/fail/", PUT, checks::fail)
        .add("/v1/agent/check/update/", PUT, checks::update)
        .add("/v1/agent/health/service/id/", GET, health::by_id)
        .add("/v1/agent/health/service/name/", GET, health::by_name)
        .add("/v1/agent/self", GET, node::own)
        .add("/v1/agent/host", GET, host::host)
        .add("/v1/agent/version", GET, node::version)
        .add("/v1/agent/members", GET, node::members)
        .add("/v1/agent/maintenance", PUT, node::maintenance)
        .add("/v1/agent/reload", PUT, node::reload)
        .add("/v1/agent/join/", PUT, node::join)
        .add("/v1/agent/leave", PUT, node::leave)
        .add("/v1/agent/force-leave/", PUT, node::force_leave)
        .add("/v1/agent/monitor", GET, observe::monitor)
        .add("/v1/agent/metrics", GET, observe::metrics)
        .add("/v1/agent/metrics/stream", GET, observe::metrics_stream)
        .add("/v1/agent/token/", PUT, node::token)
        .add("/v1/agent/connect/authorize", POST, node::authorize)
        .add("/v1/agent/connect/ca/leaf/", GET, node::mesh);
    Router::new(table, context)
}

impl Context {
    fn config(&self) -> Arc<Config> {
        self.config.borrow().clone()
    }

    /// Returns when the catalog says what was just changed here, or when it takes too long.
    async fn synced(&self) {
        self.syncer.settle(SYNC_LIMIT).await;
    }

    /// Asks the registry one of our own questions; its answer's status and bytes.
    async fn ask(&self, method: Method, target: &str) -> Result<(StatusCode, Bytes), ApiError> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = method;
        *request.uri_mut() =
            target.parse().map_err(|_| ApiError::bad_request(format!("\"{target}\" is no path")))?;
        if let Ok(node) = HeaderValue::from_str(&self.config().node_name) {
            request.headers_mut().insert(NODE_HEADER, node);
        }
        let failed = |error: &dyn std::fmt::Display| ApiError::internal(error.to_string());
        let asked = async {
            let answer = self.backend.call(request).await.map_err(|error| failed(&error))?;
            let (head, mut sent) = answer.into_parts();
            let bytes = body::collect(&mut sent, ANSWER_BYTES_MAX).await.map_err(|error| failed(&error))?;
            Ok((head.status, bytes))
        };
        timeout(ASK_LIMIT, asked).await.unwrap_or_else(|_| Err(failed(&Unavailable::NoServers)))
    }

    /// Gives the program an order and waits until it is carried out.
    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, ApiError> {
        let (done, ended) = oneshot::channel();
        let ending = || ApiError::internal("the agent is shutting down");
        self.orders.send(order(done)).await.map_err(|_| ending())?;
        ended.await.map_err(|_| ending())
    }
}

/// `enable=true|false` of the maintenance endpoints.
fn enable(call: &Call) -> Result<bool, ApiError> {
    let Some(value) = call.query.text("enable") else {
        return Err(ApiError::bad_request("Missing value for enable"));
    };
    match &*value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(ApiError::bad_request(format!("Invalid value for enable: {other:?}"))),
    }
}

fn unknown_service(id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Unknown service ID {id:?}. Ensure that the service ID is passed, not the service name."
    ))
}

/// The request's filter over objects with these fields.
fn filter(call: &Call, fields: &'static Kind) -> Result<Option<Filter>, FilterError> {
    let text = call.query.filled("filter");
    text.map(|text| Filter::parse(&text, fields)).transpose()
}

/// The answer, with 500 as in Consul, to a filter that does not fit.
fn unfit(error: FilterError) -> ApiError {
    ApiError::internal(format!("{}{error}", FilterError::PREFIX))
}

/// Whether a filter, if there is one, lets an object through.
fn keeps(filter: Option<&Filter>, shown: &impl Serialize) -> bool {
    filter.is_none_or(|filter| filter.keeps(shown))
}

/// 200 without a body, as most changes are answered.
fn done() -> Result<Answer, ApiError> {
    Ok(Answer::done())
}
