//! Consul's HTTP API over the registry: one file for each family of endpoints.
//!
//! `routes` is the table, `respond` puts answers and their headers together, `shape` is the one translator between the
//! state's types and Consul's JSON. `/v1/agent/*` is not here: every node's agent answers it.

mod absent;
mod autopilot;
mod cached;
mod catalog;
mod config_entry;
pub(crate) mod connected;
mod coordinate;
pub mod datacenter;
pub mod forward;
pub(crate) mod gateways;
mod health;
mod intention;
mod internal;
mod keyring;
mod kv;
pub mod limit;
mod mesh;
mod near;
mod operator;
pub(crate) mod query;
mod recent;
mod register;
mod respond;
mod routes;
mod session;
pub mod shape;
mod snapshot;
mod status;
mod txn;
mod usage;

use std::{net::IpAddr, sync::Arc, time::Duration};

use http_api::{ApiError, Call, Router};
use registry_wire::options;

use crate::{Reader, Registry, Writer};

/// What the configuration says about the API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `limits.kv_max_value_size`.
    pub kv_value_bytes_max: usize,
    /// `limits.txn_max_req_len`.
    pub txn_bytes_max: usize,
    /// `session_ttl_min`.
    pub session_ttl_min: Duration,
    /// `default_query_time`: how long a blocking query waits when it does not say.
    pub wait_default: Duration,
    /// `max_query_time`: how long a blocking query can wait; more than 10 minutes is 10 minutes.
    pub wait_max: Duration,
    /// `connect.enabled`: whether intentions can be read and written.
    pub connect: bool,
    /// Whether there are network coordinates: not with `disable_coordinates`.
    pub coordinates: bool,
    /// `-dev`: JSON is always laid out for people.
    pub indented: bool,
}

impl Settings {
    /// What a server's configuration says about the API.
    pub fn of(config: &agent::config::Config) -> Self {
        let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            kv_value_bytes_max: bytes(config.limits.kv_max_value_size),
            txn_bytes_max: bytes(config.limits.txn_max_req_len),
            session_ttl_min: config.session_ttl_min,
            wait_default: config.default_query_time,
            wait_max: config.max_query_time,
            connect: config.connect,
            coordinates: config.coordinates,
            indented: config.dev,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kv_value_bytes_max: 524_288,
            txn_bytes_max: 524_288,
            session_ttl_min: Duration::from_secs(10),
            wait_default: Duration::from_secs(300),
            wait_max: Duration::from_secs(600),
            connect: true,
            coordinates: true,
            indented: false,
        }
    }
}

/// What every handler works with; cloning it copies a pointer.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    registry: Arc<Registry>,
    settings: Settings,
    /// The datacenter's name, shared with the answers that show it.
    datacenter: Arc<str>,
    recent: recent::Recent,
    asked_before: cached::AskedBefore,
}

/// The router of all endpoints but `/v1/agent/*`.
pub fn router(registry: Arc<Registry>, settings: Settings) -> Router<Api> {
    let table = routes::table(settings.indented);
    let datacenter = Arc::from(registry.settings().datacenter.as_str());
    let (recent, asked_before) = (recent::Recent::default(), cached::AskedBefore::default());
    Router::new(table, Api(Arc::new(Inner { registry, settings, datacenter, recent, asked_before })))
}

impl Api {
    fn registry(&self) -> &Registry {
        &self.0.registry
    }

    fn reader(&self) -> &Reader {
        self.0.registry.reader()
    }

    fn writer(&self) -> &Writer {
        self.0.registry.writer()
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn datacenter(&self) -> &Arc<str> {
        &self.0.datacenter
    }

    /// Refuses a datacenter that is not this one: there is no way to others yet.
    fn serves(&self, datacenter: Option<&str>) -> Result<(), ApiError> {
        match datacenter {
            Some(name) if !name.is_empty() && name != &*self.0.datacenter => {
                Err(ApiError::internal("No path to datacenter"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a request whose query string names another datacenter.
    fn serves_call(&self, call: &Call) -> Result<(), ApiError> {
        self.serves(options::datacenter(&call.query).as_deref())
    }
}

/// The address of the client that asks, if it has one: its agent puts it into the request.
fn asking_client(call: &Call) -> Option<IpAddr> {
    call.headers.get(agent::backend::CLIENT_HEADER)?.to_str().ok()?.parse().ok()
}

/// The node that asks: its agent puts its name into the request.
fn asking_node(call: &Call) -> Option<&str> {
    call.headers.get(agent::backend::NODE_HEADER)?.to_str().ok()
}
