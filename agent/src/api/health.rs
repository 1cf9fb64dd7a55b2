//! `/v1/agent/health/service/`: whether this agent's services are well, in a status code.

use http::{HeaderName, HeaderValue, StatusCode, header::ACCEPT};
use http_api::{Answer, ApiError, Call};
use registry_wire::catalog::{HealthCheck, NodeService};
use serde_json::{Value, json};

use super::{
    Context,
    shape::{self, AgentService},
};
use crate::local::is_maintenance;

/// The worst of some checks; better ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Passing,
    Warning,
    Critical,
    Maintenance,
}

impl Health {
    fn of<'a>(checks: impl Iterator<Item = &'a HealthCheck>) -> Self {
        let one = |check: &HealthCheck| match check.status.as_str() {
            _ if is_maintenance(&check.check_id) => Self::Maintenance,
            "critical" => Self::Critical,
            "warning" => Self::Warning,
            _ => Self::Passing,
        };
        checks.map(one).max().unwrap_or(Self::Passing)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Maintenance => "maintenance",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Passing => StatusCode::OK,
            Self::Warning => StatusCode::TOO_MANY_REQUESTS,
            Self::Critical | Self::Maintenance => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// `GET /v1/agent/health/service/id/:id`.
pub(super) async fn by_id(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    if call.rest.is_empty() {
        return Err(ApiError::internal("Missing serviceID"));
    }
    let id = call.name();
    let Some(service) = context.local.services().into_iter().find(|service| service.id == *id) else {
        let reason = format!("ServiceId {id} not found");
        let nothing = json!({ "AggregatedStatus": "critical", "Service": null, "Checks": null });
        return Ok(answer(&call, StatusCode::NOT_FOUND, &reason, &nothing));
    };
    let (health, shown) = judged(&context, &service, &context.local.checks());
    Ok(answer(&call, health.status(), health.name(), &shown))
}

/// `GET /v1/agent/health/service/name/:name`.
pub(super) async fn by_name(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    if call.rest.is_empty() {
        return Err(ApiError::internal("Missing service Name"));
    }
    let name = call.name();
    let checks = context.local.checks();
    let services = context.local.services();
    let judged: Vec<_> = services
        .iter()
        .filter(|service| service.service == *name)
        .map(|service| judged(&context, service, &checks))
        .collect();
    // Of several instances, one in maintenance counts less than one that is critical.
    let rank = |health: &Health| match health {
        Health::Critical => 4,
        other => *other as u8,
    };
    let Some(worst) = judged.iter().map(|(health, _)| *health).max_by_key(rank) else {
        let reason = format!("ServiceName {name} Not Found");
        return Ok(answer(&call, StatusCode::NOT_FOUND, &reason, &json!([])));
    };
    let shown: Vec<_> = judged.into_iter().map(|(_, shown)| shown).collect();
    Ok(answer(&call, worst.status(), worst.name(), &json!(shown)))
}

/// A service's health by its own checks and the node's, and how it is shown.
fn judged(context: &Context, service: &NodeService, checks: &[HealthCheck]) -> (Health, Value) {
    let bears = |check: &&HealthCheck| check.service_id.is_empty() || check.service_id == service.id;
    let checks: Vec<_> = checks.iter().filter(bears).collect();
    let health = Health::of(checks.iter().copied());
    let shown = json!({
        "AggregatedStatus": health.name(),
        "Service": AgentService::new(service, &context.config().datacenter),
        "Checks": checks.iter().map(|check| shape::old_check(check)).collect::<Vec<_>>(),
    });
    (health, shown)
}

/// JSON, or one word for those who ask for text.
fn answer(call: &Call, status: StatusCode, reason: &str, shown: &Value) -> Answer {
    let wants_text = call.query.text("format").is_some_and(|format| format == "text")
        || call.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/plain"));
    let answer = if wants_text {
        Answer::bytes(HeaderValue::from_static("text/plain"), reason.to_owned())
    } else {
        Answer::json(shown)
    };
    let reason = HeaderValue::from_str(reason).unwrap_or_else(|_| HeaderValue::from_static("not found"));
    answer.status(status).with(HeaderName::from_static("x-consul-reason"), reason)
}
