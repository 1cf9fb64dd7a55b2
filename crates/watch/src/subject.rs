//! What is watched: which request asks for it, and which part of the answer handlers get.

use std::collections::BTreeMap;

use registry_client::{Request, RequestError, Response};
use registry_wire::{event::UserEvent, json};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Parameters, shape};

/// A part of the registry's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One key; handlers get its entry, or `null`.
    Key(String),
    /// The keys below a prefix; handlers get a list, or `null`.
    KeyPrefix(String),
    /// The names of all services with their tags.
    Services {
        /// Only what this expression selects.
        filter: String,
    },
    /// The nodes.
    Nodes {
        /// Only what this expression selects.
        filter: String,
    },
    /// The instances of a service with their nodes and checks.
    Service {
        /// Its name.
        service: String,
        /// Only instances with all these tags.
        tags: Vec<String>,
        /// Only instances whose checks pass.
        passing_only: bool,
        /// Only what this expression selects.
        filter: String,
    },
    /// Checks: of a service, or in a state.
    Checks {
        /// The service's name; empty for any.
        service: String,
        /// `passing`, `warning`, `critical`; empty for any.
        state: String,
        /// Only what this expression selects.
        filter: String,
    },
    /// User events; handlers get those they have not had.
    Event {
        /// The event's name; empty for any.
        name: String,
    },
    /// A service of the agent that is asked, as it has it.
    AgentService {
        /// The service's id.
        id: String,
    },
}

impl Subject {
    /// Reads the subject of a type, and takes what belongs to it out of the parameters.
    ///
    /// Errors, in Consul's words, when the type is unknown or its parameters do not fit together.
    pub fn take(kind: &str, parameters: &mut Parameters) -> Result<Self, String> {
        let one = |value: String, what: &str| match value.is_empty() {
            true => Err(format!("Must specify a single {what} to watch")),
            false => Ok(value),
        };
        Ok(match kind {
            "key" => Self::Key(one(parameters.text("key")?, "key")?),
            "keyprefix" => Self::KeyPrefix(one(parameters.text("prefix")?, "prefix")?),
            "services" => Self::Services { filter: parameters.text("filter")? },
            "nodes" => Self::Nodes { filter: parameters.text("filter")? },
            "service" => Self::Service {
                service: one(parameters.text("service")?, "service")?,
                tags: parameters.texts("tag")?,
                passing_only: parameters.bool("passingonly")?,
                filter: parameters.text("filter")?,
            },
            "checks" => {
                let (service, state) = (parameters.text("service")?, parameters.text("state")?);
                if !service.is_empty() && !state.is_empty() {
                    return Err("Cannot specify service and state".into());
                }
                Self::Checks { service, state, filter: parameters.text("filter")? }
            }
            "event" => Self::Event { name: parameters.text("name")? },
            "agent_service" => Self::AgentService { id: parameters.text("service_id")? },
            other => return Err(format!("Unsupported watch type: {other}")),
        })
    }

    /// The type's name, as it is written: `keyprefix`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::KeyPrefix(_) => "keyprefix",
            Self::Services { .. } => "services",
            Self::Nodes { .. } => "nodes",
            Self::Service { .. } => "service",
            Self::Checks { .. } => "checks",
            Self::Event { .. } => "event",
            Self::AgentService { .. } => "agent_service",
        }
    }

    /// Whether any server may answer, maybe from an older state, when that is asked for.
    pub fn may_be_stale(&self) -> bool {
        !matches!(self, Self::Event { .. } | Self::AgentService { .. })
    }

    /// The request for it, without an index.
    pub(crate) fn request(&self) -> Request {
        match self {
            Self::Key(key) => Request::get(Request::kv_path(key)),
            Self::KeyPrefix(prefix) => Request::get(Request::kv_path(prefix)).with("recurse", ""),
            Self::Services { filter } => {
                Request::get("/v1/catalog/services").with_unless_empty("filter", filter)
            }
            Self::Nodes { filter } => Request::get("/v1/catalog/nodes").with_unless_empty("filter", filter),
            Self::Service { service, tags, passing_only, filter } => {
                let mut request = Request::get(Request::path_to("/v1/health/service", service));
                for tag in tags {
                    request = request.with("tag", tag.as_str());
                }
                request
                    .with_unless_empty("passing", if *passing_only { "1" } else { "" })
                    .with_unless_empty("filter", filter)
            }
            Self::Checks { service, state, filter } => {
                let path = match (&**service, &**state) {
                    ("", "") => "/v1/health/state/any".to_owned(),
                    ("", state) => Request::path_to("/v1/health/state", state),
                    (service, _) => Request::path_to("/v1/health/checks", service),
                };
                Request::get(path).with_unless_empty("filter", filter)
            }
            Self::Event { name } => Request::get("/v1/event/list").with_unless_empty("name", name),
            Self::AgentService { id } => Request::get(Request::path_to("/v1/agent/service", id)),
        }
    }

    /// Whether it is an answer that it is not there.
    pub(crate) fn may_be_absent(&self) -> bool {
        matches!(self, Self::Key(_) | Self::KeyPrefix(_))
    }

    /// The JSON for handlers; `known` is the index of the answer before.
    pub(crate) fn read(&self, answer: &Response, known: u64) -> Result<Vec<u8>, RequestError> {
        match self {
            Self::Key(_) => {
                let pairs: Vec<shape::Pair> = answer.json()?;
                Ok(json::to_vec(&pairs.first()))
            }
            Self::KeyPrefix(_) => reshaped::<Vec<shape::Pair>>(answer),
            Self::Services { .. } => reshaped::<BTreeMap<String, Option<Vec<String>>>>(answer),
            Self::Nodes { .. } => reshaped::<Vec<shape::Node>>(answer),
            Self::Service { .. } => reshaped::<Vec<shape::Instance>>(answer),
            Self::Checks { .. } => reshaped::<Vec<shape::Check>>(answer),
            Self::Event { .. } => newer_events(answer, known),
            Self::AgentService { .. } => Ok(answer.body.trim_ascii().to_vec()),
        }
    }
}

/// The answer's JSON in the order of fields that Consul's own client writes.
fn reshaped<T: DeserializeOwned + Serialize>(answer: &Response) -> Result<Vec<u8>, RequestError> {
    Ok(json::to_vec(&answer.json::<T>()?))
}

/// The events after the one that an index stands for; all of them when it is not there.
fn newer_events(answer: &Response, known: u64) -> Result<Vec<u8>, RequestError> {
    let events: Vec<UserEvent> = answer.json()?;
    let from = events.iter().rposition(|event| event.index() == known).map_or(0, |at| at + 1);
    Ok(json::to_vec(&events[from..]))
}
