//! Checks of this agent: list, register, remove, and the word of programs about their TTL checks.

use std::collections::BTreeMap;

use http::StatusCode;
use http_api::{Answer, ApiError, Call};
use registry_wire::{
    catalog::HealthCheck,
    filter::{FilterError, fields},
    json::{DecodeError, Unknown},
};
use serde::Deserialize;

use super::{Context, done, filter, keeps, services::refused, shape, unfit};
use crate::{
    checks::Status,
    definition::{CheckDefinition, Source, is_status},
    local::WordError,
};

/// `GET /v1/agent/checks`.
pub(super) async fn list(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let checks = context.local.checks();
    let filter = match filter(&call, &fields::CHECK) {
        Err(syntax @ FilterError::Syntax(_)) => return Err(unfit(syntax)),
        // Here, and only here, Consul looks at the fields when it sees the first check, and says so without a prefix.
        Err(_) if checks.is_empty() => None,
        Err(error) => return Err(ApiError::internal(error.to_string())),
        Ok(filter) => filter,
    };
    let shown: BTreeMap<String, HealthCheck> = checks
        .iter()
        .map(|check| (check.check_id.clone(), shape::check(check)))
        .filter(|(_, shown)| keeps(filter.as_ref(), shown))
        .collect();
    Ok(Answer::json(&shown))
}

/// `PUT /v1/agent/check/register`.
pub(super) async fn register(context: Context, mut call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let sent = call.body().await?;
    let definition = CheckDefinition::from_api(&sent).map_err(undecoded)?;
    if definition.name.is_empty() {
        return Err(ApiError::bad_request("Missing check name"));
    }
    if !is_status(&definition.runs.status) {
        return Err(ApiError::bad_request("Bad check status"));
    }
    let invalid = |reason| ApiError::bad_request(format!("Invalid check: {reason}"));
    definition.runs.validate().map_err(invalid)?;
    context.local.add_check(definition, Source::Api).map_err(refused)?;
    context.synced().await;
    done()
}

/// The answer, in Consul's words to the byte, to a definition that cannot be read.
///
/// What became of the old field `Script` is said in the log, for clients compare the answer.
pub(super) fn undecoded(error: DecodeError) -> ApiError {
    if matches!(&error, DecodeError::UnknownField(name) if name.eq_ignore_ascii_case("script")) {
        tracing::warn!(
            target: "agent.http",
            "a check with the field \"Script\" was refused; use \"Args\": [\"sh\", \"-c\", \"…\"] instead"
        );
    }
    ApiError::bad_request(format!("Request decode failed: {error}"))
}

/// `PUT /v1/agent/check/deregister/:id`.
pub(super) async fn deregister(context: Context, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let id = call.name();
    if !context.local.remove_check(&id) {
        return Err(unknown(WordError::Unknown(id.into_owned())));
    }
    context.synced().await;
    done()
}

/// `PUT /v1/agent/check/pass/:id`.
pub(super) async fn pass(context: Context, call: Call) -> Result<Answer, ApiError> {
    word(context, call, Status::Passing).await
}

/// `PUT /v1/agent/check/warn/:id`.
pub(super) async fn warn(context: Context, call: Call) -> Result<Answer, ApiError> {
    word(context, call, Status::Warning).await
}

/// `PUT /v1/agent/check/fail/:id`.
pub(super) async fn fail(context: Context, call: Call) -> Result<Answer, ApiError> {
    word(context, call, Status::Critical).await
}

async fn word(context: Context, call: Call, status: Status) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let note = call.query.text("note").unwrap_or_default().into_owned();
    context.local.word(&call.name(), status, note).map_err(unknown)?;
    context.synced().await;
    done()
}

/// `PUT /v1/agent/check/update/:id` with `{"Status":"passing","Output":"fine"}`.
pub(super) async fn update(context: Context, mut call: Call) -> Result<Answer, ApiError> {
    #[derive(Default, Deserialize)]
    #[serde(rename = "agent.checkUpdate", rename_all = "PascalCase", default)]
    struct Update {
        status: String,
        output: String,
    }
    let update: Update = call.decode(Unknown::Refuse).await?;
    let Some(status) = Status::from_name(&update.status) else {
        return Err(ApiError::bad_request(format!("Invalid check status: '{}'", update.status)));
    };
    call.refuse_enterprise()?;
    context.local.word(&call.name(), status, update.output).map_err(unknown)?;
    context.synced().await;
    done()
}

fn unknown(error: WordError) -> ApiError {
    let status = match error {
        WordError::Unknown(_) => StatusCode::NOT_FOUND,
        WordError::NoTtl(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, error.to_string())
}
