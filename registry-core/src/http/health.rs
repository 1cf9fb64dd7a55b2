//! `/v1/health/`: instances with their checks, and checks by themselves.

use std::sync::Arc;

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Check, Stored,
    read::{HealthChecks, HealthNode, HealthService, HealthState},
};
use registry_wire::{filter::fields, options::ReadOptions};

use crate::figures::HEALTH;

use super::{
    Api,
    catalog::{node_meta, tags},
    connected::of_peer,
    near,
    respond::{Encoded, Family, Form, read},
    shape,
};

/// `GET /v1/health/service/:service`.
pub(super) async fn service(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, question) = service_question(&call)?;
    refuse_sameness_group(&call)?;
    let form = Form::of(&api, &asked, &fields::HEALTH_INSTANCE).map_err(ApiError::bare)?;
    HEALTH.asked(&call.name(), &question.tags);
    let service = call.name().into_owned();
    if call.query.filled("peer").is_some() {
        return of_peer(&api, &asked).await;
    }
    api.serves(asked.datacenter.as_deref())?;
    let (from, family) = (near::From::of(&api, &call), Family::Discovery);
    let encode: fn(&Vec<_>, &Form) -> Encoded =
        |found, form| form.list(found.iter().map(|i| shape::health(i, &form.datacenter)));
    let answer = near::read(&api, from, &asked, family, question, form, encode).await?;
    if answer.is_empty_list() {
        HEALTH.not_found(&service);
    }
    Ok(answer)
}

/// What `/v1/health/service/`, `connect/` and `ingress/` ask.
pub(super) fn service_question(call: &Call) -> Result<(ReadOptions, HealthService), ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let service = Caseless::new(&call.name_or("Missing service name")?);
    let passing = passing(call)?;
    Ok((asked, HealthService { service, tags: tags(call), node_meta: node_meta(call), passing }))
}

/// `?passing`, `?passing=1`, `?passing=true` mean yes; the other words Go knows for false mean no.
fn passing(call: &Call) -> Result<bool, ApiError> {
    match call.query.text("passing").as_deref() {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("" | "1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(_) => Err(ApiError::bad_request("Invalid value for ?passing")),
    }
}

/// Sameness groups are Enterprise's.
pub(super) fn refuse_sameness_group(call: &Call) -> Result<(), ApiError> {
    match call.query.filled("sg") {
        Some(_) => Err(ApiError::internal("sameness groups are not supported in consul CE")),
        None => Ok(()),
    }
}

/// `GET /v1/health/node/:node`.
pub(super) async fn node(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let node = Caseless::new(&call.name_or("Missing node name")?);
    let form = Form::of(&api, &asked, &fields::CHECK)?;
    read(&api, &asked, Family::Discovery, HealthNode { node }, form, |found, form| checks_shown(found, form))
        .await
}

/// `GET /v1/health/checks/:service`.
pub(super) async fn checks(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let service = Caseless::new(&call.name_or("Missing service name")?);
    let question = HealthChecks { service, node_meta: node_meta(&call) };
    let form = Form::of(&api, &asked, &fields::CHECK)?;
    let family = Family::Discovery;
    near::read(&api, near::From::of(&api, &call), &asked, family, question, form, |found, form| {
        checks_shown(found, form)
    })
    .await
}

/// `GET /v1/health/state/:state`.
pub(super) async fn state(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let state = Caseless::new(&call.name_or("Missing check state")?);
    let question = HealthState { state, node_meta: node_meta(&call) };
    let form = Form::of(&api, &asked, &fields::CHECK)?;
    let family = Family::Discovery;
    near::read(&api, near::From::of(&api, &call), &asked, family, question, form, |found, form| {
        checks_shown(found, form)
    })
    .await
}

fn checks_shown(found: &[Arc<Stored<Check>>], form: &Form) -> Encoded {
    form.list(found.iter().map(|check| shape::check(check)))
}
