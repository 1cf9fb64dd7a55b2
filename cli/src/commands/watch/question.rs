//! What is watched: which request, and which part of its answer.

use registry_client::{Request, RequestError, Response};
use registry_wire::{event::UserEvent, json};
use serde::de::DeserializeOwned;

use super::{Watch, shape};

/// A question and where it stands.
pub(super) struct Question {
    kind: Kind,
    request: Request,
    /// The index of the last answer; 0 asks for one at once.
    index: u64,
}

/// How an answer is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    KeyPrefix,
    Services,
    Nodes,
    Service,
    Checks,
    Event,
}

impl Question {
    /// The question that flags ask. Errors, in Consul's words, when they do not fit together.
    pub(super) fn of(flags: &Watch) -> Result<Self, String> {
        let passing = match &*flags.passingonly {
            "" => None,
            text => Some(crate::flags::go_bool(text).map_err(|_| {
                format!(
                    "Failed to parse passingonly flag: strconv.ParseBool: parsing {text:?}: invalid syntax"
                )
            })?),
        };
        if matches!(&*flags.kind, "connect_roots" | "connect_leaf") {
            return Err(format!("Type {} is not supported in the CLI tool", flags.kind));
        }
        let known: &[&str] = match &*flags.kind {
            "key" => &["key"],
            "keyprefix" => &["prefix"],
            "services" | "nodes" => &["filter"],
            "service" => &["filter", "passingonly", "service", "tag"],
            "checks" => &["filter", "service", "state"],
            "event" => &["name"],
            "agent_service" => &[],
            other => return Err(format!("Unsupported watch type: {other}")),
        };
        let (kind, request) = Self::request_of(flags, passing)?;
        let given = flags.given();
        let unknown: Vec<&str> = given.into_iter().filter(|name| !known.contains(name)).collect();
        if !unknown.is_empty() {
            return Err(format!("Invalid parameters: [{}]", unknown.join(" ")));
        }
        let kind = kind.ok_or("Must specify a single service id to watch")?;
        Ok(Self { kind, request: request.with_unless_empty("filter", &flags.filter), index: 0 })
    }

    fn request_of(flags: &Watch, passing: Option<bool>) -> Result<(Option<Kind>, Request), String> {
        let one = |value: &str, what: &str| match value {
            "" => Err(format!("Must specify a single {what} to watch")),
            _ => Ok(()),
        };
        let (kind, request) = match &*flags.kind {
            "key" => {
                one(&flags.key, "key")?;
                (Kind::Key, Request::get(Request::kv_path(&flags.key)))
            }
            "keyprefix" => {
                one(&flags.prefix, "prefix")?;
                (Kind::KeyPrefix, Request::get(Request::kv_path(&flags.prefix)).with("recurse", ""))
            }
            "services" => (Kind::Services, Request::get("/v1/catalog/services")),
            "nodes" => (Kind::Nodes, Request::get("/v1/catalog/nodes")),
            "service" => {
                one(&flags.service, "service")?;
                let request = Request::get(Request::path_to("/v1/health/service", &flags.service));
                let request =
                    flags.tag.iter().fold(request, |request, tag| request.with("tag", tag.as_str()));
                let request = if passing == Some(true) { request.with("passing", "1") } else { request };
                (Kind::Service, request)
            }
            "checks" if !flags.service.is_empty() && !flags.state.is_empty() => {
                return Err("Cannot specify service and state".into());
            }
            "checks" => {
                let state = if flags.state.is_empty() { "any" } else { &flags.state };
                let path = match &*flags.service {
                    "" => Request::path_to("/v1/health/state", state),
                    service => Request::path_to("/v1/health/checks", service),
                };
                (Kind::Checks, Request::get(path))
            }
            "event" => (Kind::Event, Request::get("/v1/event/list").with_unless_empty("name", &flags.name)),
            _ => return Ok((None, Request::get(""))),
        };
        Ok((Some(kind), request))
    }

    /// The request for the next answer.
    pub(super) fn request(&self) -> Request {
        let request = self.request.clone();
        if self.index == 0 { request } else { request.with("index", self.index.to_string()) }
    }

    /// The next answer is wanted at once, whatever it is.
    pub(super) fn forget(&mut self) {
        self.index = 0;
    }

    /// The JSON for handlers with its index; `None` when there is nothing new.
    pub(super) fn read(&mut self, answer: Response) -> Result<Option<(Vec<u8>, u64)>, RequestError> {
        let index = answer.index;
        let absent_is_fine = matches!(self.kind, Kind::Key | Kind::KeyPrefix);
        let answer = if absent_is_fine { answer.found()? } else { Some(answer.success()?) };
        if self.index != 0 && self.index == index {
            return Ok(None);
        }
        let known = std::mem::replace(&mut self.index, index);
        let Some(answer) = answer else { return Ok(Some((b"null".to_vec(), index))) };
        if self.kind == Kind::Event {
            return Ok(Some((newer_events(&answer, known)?, index)));
        }
        if index < known {
            self.index = 0;
        }
        let data = match self.kind {
            Kind::Key => {
                let pairs: Vec<shape::Pair> = answer.json()?;
                json::to_vec(&pairs.first())
            }
            Kind::KeyPrefix => reshaped::<Vec<shape::Pair>>(&answer)?,
            Kind::Services => reshaped::<std::collections::BTreeMap<String, Option<Vec<String>>>>(&answer)?,
            Kind::Nodes => reshaped::<Vec<shape::Node>>(&answer)?,
            Kind::Service => reshaped::<Vec<shape::Instance>>(&answer)?,
            Kind::Checks => reshaped::<Vec<shape::Check>>(&answer)?,
            Kind::Event => unreachable!("read above"),
        };
        Ok(Some((data, index)))
    }
}

/// The answer's JSON in the order of fields that Consul's own client writes.
fn reshaped<T: DeserializeOwned + serde::Serialize>(answer: &Response) -> Result<Vec<u8>, RequestError> {
    Ok(json::to_vec(&answer.json::<T>()?))
}

/// The events after the one that an index stands for; all of them when it is not there.
fn newer_events(answer: &Response, known: u64) -> Result<Vec<u8>, RequestError> {
    let events: Vec<UserEvent> = answer.json()?;
    let from = events.iter().rposition(|event| event.index() == known).map_or(0, |at| at + 1);
    Ok(json::to_vec(&events[from..]))
}

impl Watch {
    /// The parameters that were given, in order of their names.
    fn given(&self) -> Vec<&'static str> {
        let texts = [
            ("filter", self.filter.is_empty()),
            ("key", self.key.is_empty()),
            ("name", self.name.is_empty()),
            ("passingonly", self.passingonly.is_empty()),
            ("prefix", self.prefix.is_empty()),
            ("service", self.service.is_empty()),
            ("state", self.state.is_empty()),
            ("tag", self.tag.is_empty()),
        ];
        texts.into_iter().filter(|(_, empty)| !empty).map(|(name, _)| name).collect()
    }
}
