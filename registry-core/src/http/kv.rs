//! `/v1/kv/`: keys and values.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use http_api::{Answer, ApiError, BodyLimit, Call};
use registry_state::{
    Action, Key, KvDelete, KvEntry, KvPut, PutMode, SessionId, Stored,
    read::{KvGet, KvKeys, KvList},
};
use registry_wire::{percent::lossy, query::parse_u64};

use super::{
    Api,
    respond::{Encoded, Family, encoded, read, written},
    shape,
};

const MISSING_KEY: &str = "Missing key name";

/// GET, PUT and DELETE of a key, or of all under a prefix.
pub(super) async fn serve(api: Api, call: Call) -> Result<Answer, ApiError> {
    // Said before a namespace is refused, but only to reads.
    let names_one = !call.query.has("keys") && !call.query.has("recurse");
    if call.method == Method::GET && call.rest.is_empty() && names_one {
        call.read_options()?;
        return Err(ApiError::bad_request(MISSING_KEY));
    }
    call.refuse_enterprise()?;
    match call.method {
        Method::PUT => put(api, call).await,
        Method::DELETE => delete(api, call).await,
        _ => get(api, call).await,
    }
}

async fn get(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    let key = Key::new(&call.rest);
    if call.query.has("keys") {
        // The misspelt name is older than the right one, and clients still use it.
        let separator = call.query.bytes("separator").or_else(|| call.query.bytes("seperator"));
        let question = KvKeys { prefix: key, separator: Key::new(separator.unwrap_or_default()) };
        let form = question.prefix.as_bytes().is_empty();
        return read(&api, &asked, Family::Plain, question, form, |found, whole_store| {
            key_list(found, *whole_store)
        })
        .await;
    }
    if call.query.has("recurse") {
        return read(&api, &asked, Family::Plain, KvList { prefix: key }, (), |found, ()| entry_list(found))
            .await;
    }
    if !call.query.has("raw") {
        return read(&api, &asked, Family::Plain, KvGet { key }, (), entry).await;
    }
    let mut answer = read(&api, &asked, Family::Plain, KvGet { key }, (), raw).await?;
    if answer.headers.contains_key(CONTENT_TYPE) {
        answer = answer.as_bytes(HeaderValue::from_static("text/plain"));
        let safe: [(HeaderName, &str); 2] =
            [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CONTENT_SECURITY_POLICY, "sandbox")];
        for (name, value) in safe {
            answer.headers.insert(name, HeaderValue::from_static(value));
        }
    }
    Ok(answer)
}

fn entry(found: &Option<Arc<Stored<KvEntry>>>, (): &()) -> Encoded {
    found.as_ref().and_then(|entry| encoded(&[shape::kv(entry)]))
}

fn raw(found: &Option<Arc<Stored<KvEntry>>>, (): &()) -> Encoded {
    found.as_ref().map(|entry| entry.value.value.clone())
}

fn entry_list(found: &[Arc<Stored<KvEntry>>]) -> Encoded {
    let shown: Vec<_> = found.iter().map(|entry| shape::kv(entry)).collect();
    if shown.is_empty() { None } else { encoded(&shown) }
}

/// No key is 404, but the whole store may well be empty.
fn key_list(found: &[Key], whole_store: bool) -> Encoded {
    let shown: Vec<_> = found.iter().map(|key| lossy(key.as_bytes())).collect();
    if shown.is_empty() && !whole_store { None } else { encoded(&shown) }
}

async fn put(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    let key = named_key(&call)?;
    refuse_together(&call, &["cas", "acquire", "release"])?;
    let flags = number(&call, "flags")?.unwrap_or_default();
    let mode = put_mode(&call)?;
    let limit = BodyLimit { bytes: api.settings().kv_value_bytes_max, setting: "kv_max_value_size" };
    let value = call.body_within(limit).await?;
    api.serves(asked.datacenter.as_deref())?;
    // A body may be a slice of a much larger read buffer, which the state would keep alive with it.
    let value = Bytes::copy_from_slice(&value);
    let put = KvPut { key, value, flags, mode };
    let outcome = api.writer().write(Action::KvPut(put)).await?.outcome;
    written(outcome, "raft apply failed: ")
}

fn put_mode(call: &Call) -> Result<PutMode, ApiError> {
    let session = |name| call.query.text(name).map(|id| SessionId::from(id.to_ascii_lowercase()));
    Ok(match (number(call, "cas")?, session("acquire"), session("release")) {
        (Some(index), ..) => PutMode::Cas(index),
        (_, Some(session), _) => PutMode::Acquire(session),
        (.., Some(session)) => PutMode::Release(session),
        _ => PutMode::Plain,
    })
}

async fn delete(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    refuse_together(&call, &["recurse", "cas"])?;
    let delete = if call.query.has("recurse") {
        KvDelete::Prefix(Key::new(&call.rest))
    } else {
        let key = named_key(&call)?;
        match number(&call, "cas")? {
            Some(index) => KvDelete::Cas(key, index),
            None => KvDelete::Key(key),
        }
    };
    api.serves(asked.datacenter.as_deref())?;
    let outcome = api.writer().write(Action::KvDelete(delete)).await?.outcome;
    written(outcome, "raft apply failed: ")
}

fn named_key(call: &Call) -> Result<Key, ApiError> {
    match call.rest.is_empty() {
        true => Err(ApiError::bad_request(MISSING_KEY)),
        false => Ok(Key::new(&call.rest)),
    }
}

/// Refuses parameters that exclude each other; Consul repeats the whole query string.
fn refuse_together(call: &Call, names: &[&str]) -> Result<(), ApiError> {
    let given = names.iter().filter(|name| call.query.has(name)).count();
    match given {
        0 | 1 => Ok(()),
        _ => Err(ApiError::bad_request(format!("Conflicting flags: {}\n", call.query.sorted()))),
    }
}

/// A parameter that is a number; 500 if it is not, as Consul answers.
fn number(call: &Call, name: &str) -> Result<Option<u64>, ApiError> {
    let text = call.query.text(name);
    text.map(|text| parse_u64(&text).map_err(|e| ApiError::internal(e.to_string()))).transpose()
}
