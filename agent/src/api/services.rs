//! Services of this agent: list, look, register, remove, maintenance.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};
use http_api::{Answer, ApiError, Call};
use registry_wire::{filter::fields, options};
use tokio::time::{Instant, timeout_at};

use super::{Context, done, enable, filter, keeps, shape::AgentService, unfit, unknown_service};
use crate::{
    definition::{ServiceDefinition, Source},
    local::AddError,
};

/// How long a hash is waited on when the client does not say, and the longest it may ask for.
const WAIT_DEFAULT: Duration = Duration::from_secs(300);
const WAIT_MAX: Duration = Duration::from_secs(600);

/// `GET /v1/agent/services`.
pub(super) async fn list(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let filter = filter(&call, &fields::SERVICE).map_err(unfit)?;
    let datacenter = &context.config().datacenter;
    let shown: BTreeMap<String, AgentService> = context
        .local
        .services()
        .iter()
        .map(|service| (service.id.clone(), AgentService::new(service, datacenter)))
        .filter(|(_, shown)| keeps(filter.as_ref(), shown))
        .collect();
    Ok(Answer::json(&shown))
}

/// `GET /v1/agent/service/:id`, which waits while the service's hash stays `?hash=`.
pub(super) async fn one(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let id = call.name().into_owned();
    let hash = call.query.filled("hash").map(|hash| hash.into_owned()).unwrap_or_default();
    let (_, asked) = options::blocking(&call.query)?;
    let ends = Instant::now() + wait(asked);
    let mut changes = context.local.changes();
    loop {
        let service = context.local.services().into_iter().find(|service| service.id == id);
        let service = service.ok_or_else(|| ApiError::not_found(format!("unknown service ID: {id}")))?;
        let shown = AgentService::new(&service, &context.config().datacenter).with_hash();
        let same = !hash.is_empty() && shown.content_hash == hash;
        if !same || timeout_at(ends, changes.changed()).await.is_err() {
            let hash = HeaderValue::from_str(&shown.content_hash).expect("a hash is hexadecimal");
            return Ok(Answer::json(&shown).with(HeaderName::from_static("x-consul-contenthash"), hash));
        }
    }
}

fn wait(asked: Option<Duration>) -> Duration {
    let wait = asked.map_or(WAIT_DEFAULT, |asked| asked.min(WAIT_MAX));
    wait + wait.mul_f64(rand::random_range(0.0..1.0 / 16.0))
}

/// `PUT /v1/agent/service/register`.
pub(super) async fn register(context: Context, mut call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let sent = call.body().await?;
    let definition = ServiceDefinition::from_api(&sent).map_err(super::checks::undecoded)?;
    definition.validate().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let replace = call.query.text("replace-existing-checks");
    let replace = replace.is_some_and(|value| value.is_empty() || value == "true");
    context.local.add_service(definition, Source::Api, replace).map_err(refused)?;
    context.synced().await;
    done()
}

/// `PUT /v1/agent/service/deregister/:id`.
pub(super) async fn deregister(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let id = call.name();
    if !context.local.remove_service(&id) {
        return Err(unknown_service(&id));
    }
    context.synced().await;
    done()
}

/// `PUT /v1/agent/service/maintenance/:id`.
pub(super) async fn maintenance(context: Context, call: Call) -> Result<Answer, ApiError> {
    let id = call.name_or("Missing service ID")?;
    let enable = enable(&call)?;
    call.refuse_enterprise()?;
    let reason = call.query.text("reason").unwrap_or_default();
    if !context.local.service_maintenance(&id, enable, &reason) {
        return Err(unknown_service(&id));
    }
    context.synced().await;
    done()
}

/// Why something was not registered, as the API says it.
pub(super) fn refused(error: AddError) -> ApiError {
    let status = match error {
        AddError::NoService(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, error.to_string())
}
