//! `/v1/query`: prepared queries. The endpoints stand here, what a template and a run mean in the files beside.

mod elsewhere;
mod interpolation;
mod run;
mod template;

use std::sync::Arc;

use agent::definition::validate_meta;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use http_api::{Answer, ApiError, Call};
use registry_state::{
    Action, Outcome, Query, QueryId, State, Stored, WriteError,
    read::{QueryGet, QueryList, Read},
};
use registry_wire::{
    duration,
    json::{self, Unknown},
    options::ReadOptions,
    prepared::{Definition, Executed, Explained, Meta},
    query::{parse_bool, parse_i64},
};

pub(crate) use self::{
    elsewhere::{elsewhere, for_another},
    run::{Asked, resolve, run},
};
use super::{
    Api, asking_client, asking_node,
    cached::{self, Noted},
    respond::{Encoded, Family, encoded, failed_read, read, read_headers, reader_options},
};
use crate::{Consistency, Options};

const NOT_FOUND: &str = "Query not found";
const UUID_LENGTH: usize = 36;
const UUID_HYPHENS_MAX: usize = 4;

/// `GET` and `POST /v1/query`.
pub(super) async fn all(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    if call.method == Method::POST {
        api.serves_call(&call)?;
        let sent: Definition = call.decode(Unknown::Refuse).await?;
        if !sent.id.is_empty() {
            return Err(ApiError::internal("ID must be empty when creating a new prepared query"));
        }
        let id = api.writer().session_id();
        set(&api, Definition { id: id.to_string(), ..sent }, false).await?;
        return Ok(Answer::json(&serde_json::json!({ "ID": &*id })));
    }
    let encode = |found: &Vec<Arc<Stored<Query>>>, (): &()| -> Encoded {
        encoded(&found.iter().map(|query| shown(query)).collect::<Vec<_>>())
    };
    read(&api, &call.read_options()?, Family::Discovery, QueryList, (), encode).await
}

/// `/v1/query/…`: one query, whose endpoint tells of its methods in its own way.
pub(super) async fn one(api: Api, call: Call) -> Result<Answer, ApiError> {
    let name = call.name().into_owned();
    // With nothing before it, `execute` is both the name and what is done with it (as in Consul).
    let part = |end: &str| match name.strip_suffix(end) {
        None if name == end[1..] => Some(name.clone()),
        name => name.map(str::to_owned),
    };
    let running = part("/execute").map(|n| (n, true)).or_else(|| part("/explain").map(|n| (n, false)));
    let methods = if running.is_some() { "GET" } else { "GET,PUT,DELETE" };
    match (&call.method, running) {
        (&Method::GET, Some((name, true))) => {
            let noted = Noted::of(&cached::QUERY, &api, &call);
            let answer = execute(api, call, &name).await.map_err(|error| match error.status {
                // Out of the cache comes no such status (as recorded).
                StatusCode::NOT_FOUND if noted.is_some() => {
                    ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, ..error }
                }
                _ => error,
            })?;
            Ok(match noted {
                Some(noted) => noted.tell(answer),
                None => answer,
            })
        }
        (&Method::GET, Some((name, false))) => explain(api, call, &name).await,
        (&Method::GET, None) => get(api, call, &name).await,
        (&Method::PUT, None) => update(api, call, &name).await,
        (&Method::DELETE, None) => delete(api, call, &name).await,
        (&Method::OPTIONS, _) => {
            let allow = HeaderValue::from_str(&format!("OPTIONS,{methods}")).expect("plain letters");
            Ok(Answer::encoded(Bytes::from_static(b"{}")).with(ALLOW, allow))
        }
        (method, _) => Err(ApiError::method(method, methods)),
    }
}

async fn get(api: Api, call: Call, id: &str) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
    let id = query_id(id).map_err(|why| failed_read(ApiError::internal(why)))?;
    let question = QueryGet { id };
    if find(&api, &question).await?.is_empty() {
        return Err(failed_read(ApiError::not_found(NOT_FOUND)));
    }
    let encode = |found: &Vec<Arc<Stored<Query>>>, (): &()| -> Encoded {
        encoded(&found.iter().map(|query| shown(query)).collect::<Vec<_>>()).filter(|_| !found.is_empty())
    };
    let answer = read(&api, &asked, Family::Discovery, question, (), encode).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Err(failed_read(ApiError::not_found(NOT_FOUND)));
    }
    Ok(answer)
}

async fn find(api: &Api, question: &QueryGet) -> Result<Vec<Arc<Stored<Query>>>, ApiError> {
    Ok(api.reader().look_up(Consistency::Default, |state| question.run(state)).await?.value)
}

async fn update(api: Api, mut call: Call, id: &str) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    let body = call.body().await?;
    // No body is no definition: that there is no such query, or what the definition lacks, is told instead.
    let sent: Definition = if body.is_empty() {
        Definition::default()
    } else {
        let undecoded = |error| ApiError::bad_request(format!("Request decode failed: {error}"));
        json::decode(&body, Unknown::Refuse).map_err(undecoded)?
    };
    set(&api, Definition { id: id.to_owned(), ..sent }, true).await?;
    Ok(empty())
}

async fn delete(api: Api, call: Call, text: &str) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    let id = id_to_change(text)?;
    written(api.writer().write(Action::QueryDelete { id }).await?.outcome, text)?;
    Ok(empty())
}

/// Writes a definition. What is wrong with it is told in Consul's order: that there is none to change, its fields, its
/// name and its session, its template.
async fn set(api: &Api, sent: Definition, update: bool) -> Result<(), ApiError> {
    let id = id_to_change(&sent.id)?;
    if update && find(api, &QueryGet { id: id.clone() }).await?.is_empty() {
        return Err(missing(&sent.id));
    }
    vet(&sent).map_err(|why| ApiError::internal(format!("Invalid prepared query: {why}")))?;
    let session = Some(sent.session.as_str()).filter(|s| !s.is_empty()).map(Into::into);
    let template = !sent.template.kind.is_empty();
    let definition = String::from_utf8(json::to_vec(&sent)).expect("JSON is text");
    let query = Query { id, name: sent.name.clone(), session, template, definition };
    if let Some(fault) = Some(&sent).filter(|_| template).and_then(|sent| template::vet(sent).err()) {
        let refused =
            api.reader().look_up(Consistency::Default, |state| (state.vet_query(&query, update), 1));
        let first = refused.await?.value.err();
        let why = first.map_or_else(|| format!("failed compiling template: {fault}"), |e| e.to_string());
        return Err(ApiError::internal(format!("raft apply failed: {why}")));
    }
    let action = Action::QuerySet { query: Box::new(query), update };
    written(api.writer().write(action).await?.outcome, &sent.id)
}

/// The id that a query is kept under: as UUIDs are compared, without regard to case and to where the hyphens stand.
fn query_id(text: &str) -> Result<QueryId, String> {
    let refused = |why: &str| Err(format!("failed prepared query lookup: index error: {why}"));
    if text.len() != UUID_LENGTH {
        return refused("UUID must be 36 characters");
    }
    let hyphens = text.matches('-').count();
    if hyphens > UUID_HYPHENS_MAX {
        return refused(&format!("UUID should have maximum of 4 \"-\"; got {hyphens}"));
    }
    let digits: String = text.to_ascii_lowercase().split('-').collect();
    if let Some(odd) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        let code = u32::from(odd);
        return refused(&format!("Invalid UUID: encoding/hex: invalid byte: U+{code:04X} {odd:?}"));
    }
    match uuid::Uuid::try_parse(&digits) {
        Ok(id) => Ok(QueryId::from(id.to_string())),
        // Fewer hyphens than four leave more digits than an id has: there is none like it.
        Err(_) => Ok(QueryId::from(digits)),
    }
}

fn id_to_change(text: &str) -> Result<QueryId, ApiError> {
    query_id(text).map_err(|why| ApiError::internal(format!("Prepared Query lookup failed: {why}")))
}

fn missing(id: &str) -> ApiError {
    ApiError::internal(WriteError::MissingQuery(id.to_owned()).to_string())
}

/// What a write answers; `id` is the query's as the client wrote it.
fn written(outcome: Outcome, id: &str) -> Result<(), ApiError> {
    match outcome {
        Outcome::Failed(WriteError::MissingQuery(_)) => Err(missing(id)),
        Outcome::Failed(why) => Err(ApiError::internal(format!("raft apply failed: {why}"))),
        _ => Ok(()),
    }
}

fn vet(query: &Definition) -> Result<(), String> {
    if query.name.is_empty() && query.session.is_empty() && query.template.kind.is_empty() {
        return Err("Must be bound to a session".to_owned());
    }
    if query.service.service.is_empty() {
        return Err("Must provide a Service name to query".to_owned());
    }
    let nearest = query.service.failover.nearest_n;
    if nearest < 0 {
        return Err(format!("Bad NearestN '{nearest}', must be >= 0"));
    }
    let failover = &query.service.failover;
    let elsewhere = nearest > 0 || failover.datacenters.iter().flatten().next().is_some();
    if elsewhere && failover.targets.iter().flatten().next().is_some() {
        return Err("Targets cannot be populated with NearestN or Datacenters".to_owned());
    }
    validate_meta(query.service.node_meta.iter().flatten(), false)?;
    if !query.service.sameness_group.is_empty() {
        return Err("sameness-groups are an enterprise-only feature".to_owned());
    }
    if !query.dns.ttl.is_empty() {
        let ttl = &query.dns.ttl;
        let nanos = duration::parse_nanos(ttl).map_err(|e| format!("Bad DNS TTL '{ttl}': {e}"))?;
        if nanos < 0 {
            return Err(format!("DNS TTL '{nanos}', must be >=0"));
        }
    }
    Ok(())
}

async fn execute(api: Api, call: Call, name: &str) -> Result<Answer, ApiError> {
    let limit = limit(&call)?;
    let near = call.query.filled("near").map(|near| near.into_owned());
    let agent = asking_node(&call).unwrap_or(&api.0.registry.settings().node_name).to_owned();
    let bad = |error| ApiError::internal(format!("Error parsing 'connect' value: {error}"));
    let connect = call.query.filled("connect").map_or(Ok(false), |text| parse_bool(&text)).map_err(bad)?;
    let datacenter = api.datacenter().clone();
    let client = asking_client(&call);
    let asked = Asked { agent: &agent, client, near: near.as_deref(), limit, connect };
    let look = |state: &State, meta| {
        let Some(query) = resolve(state, name)? else { return Ok(None) };
        let ran = run(state, &query, &asked, &datacenter);
        Ok(Some((query, Executed { meta, ..ran })))
    };
    let options = call.read_options()?;
    about(&api, options, Family::Discovery, look, async |(query, ran)| {
        encoded(&elsewhere(api.registry(), &query, &asked, ran).await)
    })
    .await
}

async fn explain(api: Api, call: Call, name: &str) -> Result<Answer, ApiError> {
    limit(&call)?;
    let look = |state: &State, meta| Ok(resolve(state, name)?.map(|query| Explained { query, meta }));
    about(&api, call.read_options()?, Family::Discovery, look, async |explained| encoded(&explained)).await
}

async fn about<T>(
    api: &Api,
    asked: ReadOptions,
    family: Family,
    look: impl FnOnce(&State, Meta) -> Result<Option<T>, String>,
    show: impl AsyncFnOnce(T) -> Encoded,
) -> Result<Answer, ApiError> {
    api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
    let options = Options { wait: None, ..reader_options(api, &asked) };
    let meta = Meta { consistency_level: asked.consistency.name().to_owned(), ..Meta::default() };
    let found = api.reader().look_up(options.consistency, |state| (look(state, meta), 1)).await?;
    let looked = found.value.map_err(|why| failed_read(ApiError::internal(why)))?;
    let body = match looked {
        Some(looked) => show(looked).await,
        None => None,
    };
    let body = body.ok_or_else(|| failed_read(ApiError::not_found(NOT_FOUND)))?;
    let mut answer = Answer::encoded(body);
    read_headers(&mut answer, 1, found.known_leader, found.last_contact_ms, family, &asked);
    Ok(answer)
}

/// `?limit=3`; none, 0 and less are no limit.
fn limit(call: &Call) -> Result<usize, ApiError> {
    let Some(text) = call.query.filled("limit") else { return Ok(0) };
    let number = parse_i64(&text).map_err(|e| ApiError::internal(format!("Bad limit: {e}")))?;
    Ok(usize::try_from(number).unwrap_or(0))
}

/// A query as it is shown.
fn shown(query: &Stored<Query>) -> Definition {
    let definition: Definition = serde_json::from_str(&query.definition).unwrap_or_default();
    let (create_index, modify_index) = (query.create_index, query.modify_index);
    Definition { create_index, modify_index, ..definition }
}

/// 200 without a body, called JSON as recorded.
fn empty() -> Answer {
    Answer::encoded(Bytes::new())
}
