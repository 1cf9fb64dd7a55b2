//! `/v1/config`: configuration entries, kept as data.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_api::{Answer, ApiError, Call};
use registry_state::{
    Action, Caseless, ConfigDelete, ConfigEntry, ConfigPut, Index, Outcome, Stored,
    read::{ConfigGet, ConfigList},
};
use registry_wire::{
    config_entry::{self, ConfigError},
    filter::{Filter, FilterError},
    query::parse_u64,
};

use super::{
    Api, absent, gateways, intention,
    respond::{Encoded, Family, read, written},
};

/// `PUT /v1/config`.
pub(super) async fn put(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    let entry = config_entry::parse(&call.body().await?).map_err(refused)?;
    call.refuse_enterprise()?;
    let cas = condition(&call)?;
    refuse_intentions_when_off(&api, &entry.kind)?;
    let entry = stored_entry(entry);
    let put = Action::ConfigPut(Box::new(ConfigPut { entry, cas }));
    written(api.writer().write(put).await?.outcome, "")
}

/// `GET` and `DELETE` of `/v1/config/:kind` and `/v1/config/:kind/:name`.
pub(super) async fn serve(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let path = call.name().into_owned();
    match (&call.method, path.split_once('/')) {
        (&Method::DELETE, Some((kind, name))) => delete(api, call, kind, name).await,
        (&Method::DELETE, None) => Err(ApiError::not_found("Must provide both a kind and name to delete")),
        (_, Some((kind, name))) => get(api, call, kind, name).await,
        (_, None) => list(api, call, &path).await,
    }
}

async fn get(api: Api, call: Call, kind: &str, name: &str) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    let question =
        ConfigGet { kind: known_kind(kind).map_err(ApiError::internal)?, name: Caseless::new(name) };
    let encode: fn(&Option<Arc<Stored<ConfigEntry>>>, &()) -> Encoded =
        |found, ()| found.as_ref().map(|entry| shown(entry).into());
    let found = read(&api, &asked, Family::Plain, question, (), encode).await?;
    if found.status != StatusCode::NOT_FOUND {
        return Ok(found);
    }
    let why = format!("Config entry not found for {kind:?} / {name:?}");
    let mut absent = Answer::text(StatusCode::NOT_FOUND, why);
    absent.headers.extend(found.headers);
    Ok(absent)
}

async fn list(api: Api, call: Call, kind: &str) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    let question = match kind {
        "" => ConfigList { kind: None },
        kind => ConfigList { kind: Some(known_kind(kind).map_err(ApiError::internal)?) },
    };
    let filter = asked.filter.as_deref().map(|text| filter(text, kind)).transpose()?;
    read(&api, &asked, Family::Plain, question, filter, |found, filter| Some(encode_list(found, filter)))
        .await
}

fn filter(text: &str, kind: &str) -> Result<Filter, ApiError> {
    let Some(fields) = config_entry::filter_fields(kind) else {
        return Err(ApiError::internal(format!("filtering not supported for config entry kind={kind}")));
    };
    Filter::parse(text, fields).map_err(|e| ApiError::internal(format!("{}{e}", FilterError::PREFIX)))
}

fn encode_list(found: &[Arc<Stored<ConfigEntry>>], filter: &Option<Filter>) -> Bytes {
    let keeps = |body: &[u8]| {
        let shown: Option<serde_json::Value> =
            filter.as_ref().and_then(|_| serde_json::from_slice(body).ok());
        filter.as_ref().zip(shown).is_none_or(|(filter, shown)| filter.keeps(&shown))
    };
    let mut out = vec![b'['];
    for entry in found.iter().filter(|entry| keeps(&entry.body)) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&shown(entry));
    }
    out.push(b']');
    out.into()
}

fn shown(entry: &Stored<ConfigEntry>) -> Vec<u8> {
    config_entry::shown(&entry.body, entry.create_index, entry.modify_index)
}

async fn delete(api: Api, call: Call, kind: &str, name: &str) -> Result<Answer, ApiError> {
    let kind = known_kind(kind).map_err(ApiError::bad_request)?;
    let cas = condition(&call)?;
    match &*kind {
        "bound-api-gateway" => return Err(refused(ConfigError::NotYours)),
        "proxy-defaults" if name != "global" => {
            return Err(ApiError::internal(format!("invalid name ({name:?}), only \"global\" is supported")));
        }
        _ => refuse_intentions_when_off(&api, &kind)?,
    }
    let delete = ConfigDelete { kind, name: name.to_owned(), cas };
    match api.writer().write(Action::ConfigDelete(delete)).await?.outcome {
        Outcome::Done if cas.is_none() => Ok(Answer::encoded(Bytes::from_static(b"{}"))),
        outcome => written(outcome, ""),
    }
}

/// With Connect off intentions are neither written nor deleted, as entries no more than one by one.
fn refuse_intentions_when_off(api: &Api, kind: &str) -> Result<(), ApiError> {
    match kind {
        intention::KIND if !api.settings().connect => Err(ApiError::internal(absent::NO_MESH)),
        _ => Ok(()),
    }
}

/// An entry as the state keeps it.
pub(super) fn stored_entry(entry: config_entry::ConfigEntry) -> ConfigEntry {
    let services = gateways::services(&entry.kind, &entry.body);
    ConfigEntry { kind: entry.kind.into(), name: entry.name, body: entry.body.into(), services }
}

fn known_kind(kind: &str) -> Result<Arc<str>, String> {
    if config_entry::is_kind(kind) {
        Ok(kind.into())
    } else {
        Err(format!("invalid config entry kind: {kind}"))
    }
}

/// `?cas=`; an empty one is none, 500 if it is no number.
fn condition(call: &Call) -> Result<Option<Index>, ApiError> {
    let number = |text| parse_u64(text).map_err(|e| ApiError::internal(e.to_string()));
    call.query.filled("cas").as_deref().map(number).transpose()
}

pub(super) fn refused(error: ConfigError) -> ApiError {
    let status = match error {
        ConfigError::Body(_) => StatusCode::BAD_REQUEST,
        ConfigError::Refused(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ConfigError::NotYours => StatusCode::FORBIDDEN,
    };
    ApiError::new(status, error.to_string())
}
