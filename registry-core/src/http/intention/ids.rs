//! The old way of writing intentions: each has an id, which stands beside its source in the destination's entry.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use http::{Method, StatusCode};
use http_api::{Answer, ApiError, Call};
use registry_state::{ConfigEntry, Stored};
use registry_wire::{
    config_entry::{self, Source},
    json::{self, Json, Unknown},
};

use super::{IntentionBody, Next, change, enabled, known, may_write, named};
use crate::http::Api;

/// `POST /v1/connect/intentions`: one more, answered by its id.
pub(super) async fn create(api: &Api, mut call: Call) -> Result<Answer, ApiError> {
    let undecoded = |e: json::DecodeError| ApiError::internal(format!("Failed to decode request body: {e}"));
    let sent: IntentionBody = json::decode(&call.body().await?, Unknown::Refuse).map_err(undecoded)?;
    may_write(api)?;
    sent.in_one_partition()?;
    sent.in_one_namespace()?;
    if sent.destination_name.is_empty() {
        return Err(denied());
    }
    sent.without_peer()?;
    if !sent.id.is_empty() {
        return Err(ApiError::internal("ID must be empty when creating a new intention"));
    }
    sent.checked()?;
    let id = crate::asked::new_id().to_string();
    let destination = &sent.destination_name;
    let source = sent.source(&id, &now(), &now());
    change(api, destination, config_entry::parse_with_ids, |old| {
        all_with_ids(old, destination)?;
        let old = old.map(|old| &old.body[..]);
        Ok(Next::Body(config_entry::with_source(old, destination, Source::New, source.clone())))
    })
    .await?;
    Ok(answer(&id))
}

/// `GET`, `PUT` and `DELETE` of `/v1/connect/intentions/:id`.
pub(in crate::http) async fn by_id(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    let mut sent = IntentionBody::default();
    match call.method {
        Method::PUT => {
            sent = call.decode(Unknown::Refuse).await?;
            may_write(&api)?;
        }
        Method::DELETE => may_write(&api)?,
        _ => enabled(&api)?,
    }
    let id = call.name().into_owned();
    if uuid::Uuid::try_parse(&id).is_err() {
        let why = "failed config entry lookup: index error: UUID must be 36 characters";
        return Err(match call.method {
            Method::DELETE if id.is_empty() => denied(),
            Method::PUT | Method::DELETE => ApiError::internal(format!("Intention lookup failed: {why}")),
            _ if id.is_empty() => ApiError::not_found("Intention not found"),
            _ => ApiError::bad_request(why),
        });
    }
    match call.method {
        Method::PUT => update(&api, &sent, &id).await,
        Method::DELETE => delete(&api, &id).await,
        _ => {
            let found = find(&api, &id).await?;
            found.map(|found| Answer::json(&found)).ok_or_else(|| ApiError::not_found("Intention not found"))
        }
    }
}

async fn find(api: &Api, id: &str) -> Result<Option<Json>, ApiError> {
    Ok(known(api).await?.into_iter().find(|shown| named(shown, "ID", id)))
}

async fn update(api: &Api, sent: &IntentionBody, id: &str) -> Result<Answer, ApiError> {
    sent.without_peer()?;
    let absent = || ApiError::internal(format!("Cannot modify non-existent intention: '{id}'"));
    let old = find(api, id).await?.ok_or_else(absent)?;
    let destination = text(&old, "DestinationName");
    if sent.destination_name != destination {
        let why = "Cannot modify Destination partition/namespace/name for an intention once it exists.";
        return Err(ApiError::internal(why));
    }
    sent.in_one_namespace()?;
    sent.checked()?;
    let source = sent.source(id, text(&old, "CreatedAt"), &now());
    change(api, destination, config_entry::parse_with_ids, |old| {
        let old = old.ok_or_else(absent)?;
        all_with_ids(Some(old), destination)?;
        Ok(Next::Body(config_entry::with_source(
            Some(&old.body),
            destination,
            Source::Id(id),
            source.clone(),
        )))
    })
    .await?;
    Ok(answer(id))
}

async fn delete(api: &Api, id: &str) -> Result<Answer, ApiError> {
    let absent = || ApiError::internal(format!("Cannot delete non-existent intention: '{id}'"));
    let old = find(api, id).await?.ok_or_else(absent)?;
    change(api, text(&old, "DestinationName"), config_entry::parse_with_ids, |old| {
        old.and_then(|old| Next::without(old, Source::Id(id))).ok_or_else(absent)
    })
    .await?;
    Ok(Answer::encoded(bytes::Bytes::from_static(b"true")))
}

/// Entries that were written in the new way have sources without ids, and stay so.
fn all_with_ids(old: Option<&Stored<ConfigEntry>>, destination: &str) -> Result<(), ApiError> {
    let shown = old.map(|old| config_entry::intentions([(&old.body[..], 0, 0)].into_iter()));
    if shown.unwrap_or_default().iter().all(|shown| shown.field("ID").is_some()) {
        return Ok(());
    }
    Err(ApiError::internal(format!(
        "cannot use legacy intention API to edit intentions with a destination of {destination:?} after editing them \
         via a service-intentions config entry"
    )))
}

impl IntentionBody {
    /// The source as it stands in an entry.
    fn source(&self, id: &str, created: &str, updated: &str) -> Json {
        let text = |text: &str| Json::Text(text.to_owned());
        let meta = self.meta.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let fields = [
            ("Name", text(&self.source_name)),
            ("Action", text(&self.action)),
            ("LegacyID", text(id)),
            ("Description", text(&self.description)),
            ("LegacyMeta", Json::Object(meta)),
            ("LegacyCreateTime", text(created)),
            ("LegacyUpdateTime", text(updated)),
        ];
        Json::Object(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn in_one_partition(&self) -> Result<(), ApiError> {
        for (side, partition) in
            [("source", &self.source_partition), ("destination", &self.destination_partition)]
        {
            if !partition.is_empty() {
                let why = format!("Cannot specify a {side} partition with this endpoint");
                return Err(ApiError::bad_request(why));
            }
        }
        Ok(())
    }

    fn in_one_namespace(&self) -> Result<(), ApiError> {
        for (side, namespace) in [("Source", &self.source_ns), ("Destination", &self.destination_ns)] {
            if !["", "default"].contains(&namespace.as_str()) {
                return Err(ApiError::bad_request(format!(
                    "Invalid {side}NS({namespace}): Namespaces is a Consul Enterprise feature"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn without_peer(&self) -> Result<(), ApiError> {
        if self.source_peer.is_empty() {
            return Ok(());
        }
        let why = "SourcePeer field is not supported on this endpoint. Use config entries instead";
        Err(ApiError::internal(why))
    }

    /// What the old way asks for; all complaints together.
    fn checked(&self) -> Result<(), ApiError> {
        let mut complaints = Vec::new();
        for (field, name) in [("SourceName", &self.source_name), ("DestinationName", &self.destination_name)]
        {
            if name.is_empty() {
                complaints.push(format!("{field} must be set"));
            } else if name.contains('*') && name != "*" {
                complaints
                    .push(format!("{field}: wildcard character '*' cannot be used with partial values"));
            }
        }
        if !["allow", "deny"].contains(&self.action.as_str()) {
            complaints.push("Action must be set to 'allow' or 'deny'".to_owned());
        }
        if matches!(&self.permissions, Json::List(given) if !given.is_empty()) {
            complaints.push("Permissions must not be set when using the legacy APIs".to_owned());
        }
        if !["", "consul"].contains(&self.source_type.as_str()) {
            complaints.push("SourceType must be set to 'consul'".to_owned());
        }
        config_entry::several(complaints).map_err(ApiError::internal)
    }
}

/// Who names nothing has, for Consul, no right to it.
fn denied() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "Permission denied")
}

fn text<'a>(shown: &'a Json, field: &str) -> &'a str {
    match shown.field(field) {
        Some(Json::Text(text)) => text,
        _ => "",
    }
}

fn now() -> String {
    DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn answer(id: &str) -> Answer {
    Answer::json(&serde_json::json!({ "ID": id }))
}
