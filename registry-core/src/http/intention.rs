//! `/v1/connect/intentions`: the sources of `service-intentions` entries, one by one. Data only: no mesh heeds them.

mod ids;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::Method;
use http_api::{Answer, ApiError, Call};
use registry_state::{
    Action, Caseless, ConfigDelete, ConfigEntry, ConfigPut, Outcome, Stored,
    read::{ConfigGet, ConfigList, Read as _},
};
use registry_wire::{
    config_entry::{self, Source},
    filter::fields,
    json::{Json, Unknown},
};
use serde::Deserialize;

use super::{
    Api,
    absent::NO_MESH,
    config_entry::{refused, stored_entry},
    respond::{Encoded, Family, Form, encoded, failed_read, read},
};
use crate::ReadError;

pub(super) const KIND: &str = "service-intentions";
/// How often a write is tried again when another one came between.
const TRIES: usize = 8;

pub(super) use ids::by_id;

/// `GET /v1/connect/intentions`: all; `POST`: one more.
pub(super) async fn serve(api: Api, call: Call) -> Result<Answer, ApiError> {
    understood(&call)?;
    if call.method != Method::GET {
        return ids::create(&api, call).await;
    }
    enabled(&api)?;
    let asked = call.read_options()?;
    let form = Form::of(&api, &asked, &fields::INTENTION)?;
    let encode: fn(&Entries, &Form) -> Encoded = |found, form| form.list(intentions(found).into_iter());
    read(&api, &asked, Family::Plain, all(), form, encode).await
}

/// `GET`, `PUT` and `DELETE` of `/v1/connect/intentions/exact?source=web&destination=db`.
pub(super) async fn exact(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    understood(&call)?;
    if call.method != Method::GET {
        filled(&call, "source")?;
        filled(&call, "destination")?;
    }
    let (source, destination) = (party(&call, "source")?, party(&call, "destination")?);
    match call.method {
        Method::PUT => {
            let sent: IntentionBody = call.decode(Unknown::Refuse).await?;
            may_write(&api)?;
            put(&api, &source.name, &destination.name, &sent).await?;
            Ok(Answer::encoded(Bytes::from_static(b"true")))
        }
        Method::DELETE => {
            may_write(&api)?;
            missing(&source, &destination)
                .map_err(|why| ApiError::internal(format!("Intention lookup failed: {why}")))?;
            delete(&api, &source.name, &destination.name).await?;
            Ok(Answer::encoded(Bytes::from_static(b"true")))
        }
        _ => {
            enabled(&api)?;
            source.at_home(|namespace| format!("Invalid SourceNS {namespace:?}"))?;
            destination.at_home(|namespace| format!("Invalid DestinationNS {namespace:?}"))?;
            missing(&source, &destination).map_err(ApiError::internal)?;
            let is_it = |shown: &&Json| {
                named(shown, "SourceName", &source.name) && named(shown, "DestinationName", &destination.name)
            };
            let all = known(&api).await?;
            let found = all.iter().find(is_it);
            found.map(Answer::json).ok_or_else(|| ApiError::not_found("Intention not found"))
        }
    }
}

/// `GET /v1/connect/intentions/match?by=source&name=web`: those that count for each name.
pub(super) async fn matching(api: Api, call: Call) -> Result<Answer, ApiError> {
    understood(&call)?;
    if call.query.all("by").count() > 1 {
        return Err(unset("by"));
    }
    let by = required(&call, "by")?;
    if !["source", "destination"].contains(&by.as_str()) {
        return Err(ApiError::internal("'by' parameter must be one of 'source' or 'destination'"));
    }
    required(&call, "name")?;
    let texts: Vec<String> = call.query.all("name").map(|name| name.into_owned()).collect();
    let parties: Vec<Party> = texts.iter().map(|text| Party::of(text, "name")).collect::<Result<_, _>>()?;
    enabled(&api)?;
    for party in &parties {
        party
            .at_home(|namespace| format!("Invalid match entry namespace {namespace:?}"))
            .map_err(failed_read)?;
        if party.is_abroad() {
            let partition = &party.partition;
            return Err(failed_read(ApiError::internal(format!(
                "Invalid match entry partition {partition:?}: Partitions is a Consul Enterprise feature"
            ))));
        }
    }
    let field = if by == "source" { "SourceName" } else { "DestinationName" };
    let names: Vec<(String, String)> =
        texts.into_iter().zip(parties).map(|(text, party)| (text, party.name)).collect();
    let asked = call.read_options()?;
    read(&api, &asked, Family::Discovery, all(), (field, names), |found, (field, names)| {
        let all = intentions(found);
        let shown: BTreeMap<&str, Option<Vec<&Json>>> = names
            .iter()
            .map(|(text, name)| {
                let counts = |shown: &&Json| named(shown, field, name) || named(shown, field, "*");
                let found: Vec<_> = all.iter().filter(counts).collect();
                (text.as_str(), Some(found).filter(|found| !found.is_empty()))
            })
            .collect();
        encoded(&shown)
    })
    .await
}

/// `GET /v1/connect/intentions/check?source=web&destination=db`: what the first that counts says; without one, yes.
pub(super) async fn check(api: Api, call: Call) -> Result<Answer, ApiError> {
    understood(&call)?;
    let (source, destination) = (party(&call, "source")?, party(&call, "destination")?);
    if let Some(kind) = call.query.text("source-type").filter(|kind| kind != "consul") {
        return Err(ApiError::internal(format!("unsupported SourceType: {kind:?}")));
    }
    enabled(&api)?;
    source.at_home(|namespace| format!("Invalid source namespace {namespace:?}"))?;
    destination.at_home(|namespace| format!("Invalid destination namespace {namespace:?}"))?;
    let counts = |shown: &&Json| {
        (named(shown, "SourceName", &source.name) || named(shown, "SourceName", "*"))
            && (named(shown, "DestinationName", &destination.name) || named(shown, "DestinationName", "*"))
    };
    let all = known(&api).await?;
    let allowed = all.iter().find(counts).is_none_or(|first| named(first, "Action", "allow"));
    Ok(Answer::json(&serde_json::json!({ "Allowed": allowed })))
}

type Entries = Vec<Arc<Stored<ConfigEntry>>>;

fn all() -> ConfigList {
    ConfigList { kind: Some(KIND.into()) }
}

fn intentions(found: &Entries) -> Vec<Json> {
    let parts = found.iter().map(|e| (&e.body[..], e.create_index, e.modify_index));
    config_entry::intentions(parts)
}

async fn known(api: &Api) -> Result<Vec<Json>, ApiError> {
    api.registry().leadership().leading().await.map_err(ReadError::from)?;
    Ok(intentions(&all().run(&api.registry().store().state()).0))
}

fn named(shown: &Json, field: &str, name: &str) -> bool {
    matches!(shown.field(field), Some(Json::Text(text)) if text == name)
}

/// What every call here must not get wrong, before anything else is looked at.
fn understood(call: &Call) -> Result<(), ApiError> {
    call.read_options()?;
    call.refuse_enterprise()
}

fn enabled(api: &Api) -> Result<(), ApiError> {
    may_write(api).map_err(failed_read)
}

fn may_write(api: &Api) -> Result<(), ApiError> {
    if api.settings().connect { Ok(()) } else { Err(ApiError::internal(NO_MESH)) }
}

fn required(call: &Call, parameter: &str) -> Result<String, ApiError> {
    call.query.text(parameter).map(|text| text.into_owned()).ok_or_else(|| unset(parameter))
}

/// A service as a parameter names it: `web`, `default/web` or `default/default/web`.
struct Party {
    partition: String,
    namespace: String,
    name: String,
}

impl Party {
    fn of(text: &str, parameter: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (partition, namespace, name) = match parts.as_slice() {
            [name] => ("", "", *name),
            [namespace, name] => ("", *namespace, *name),
            [partition, namespace, name] => (*partition, *namespace, *name),
            _ => {
                let why = format!("{parameter} {text:?} is invalid: input can contain at most two '/'");
                return Err(ApiError::internal(why));
            }
        };
        let [partition, namespace, name] = [partition, namespace, name].map(str::to_owned);
        Ok(Self { partition, namespace, name })
    }

    /// Refuses another namespace than the one there is; `what` begins the text.
    fn at_home(&self, what: impl FnOnce(&str) -> String) -> Result<(), ApiError> {
        if ["", "default"].contains(&self.namespace.as_str()) {
            return Ok(());
        }
        let what = what(&self.namespace);
        Err(ApiError::internal(format!("{what}: Namespaces is a Consul Enterprise feature")))
    }

    /// Whether it names another partition than the one there is; only matches look at that (as recorded).
    fn is_abroad(&self) -> bool {
        !["", "default"].contains(&self.partition.as_str())
    }
}

/// The service of a parameter that must be there.
fn party(call: &Call, parameter: &str) -> Result<Party, ApiError> {
    Party::of(&required(call, parameter)?, parameter)
}

/// Who writes must name something.
fn filled(call: &Call, parameter: &str) -> Result<(), ApiError> {
    match required(call, parameter)?.as_str() {
        "" => Err(unset(parameter)),
        _ => Ok(()),
    }
}

fn unset(parameter: &str) -> ApiError {
    ApiError::internal(format!("required query parameter '{parameter}' not set"))
}

fn missing(source: &Party, destination: &Party) -> Result<(), String> {
    let named = [("Source", source), ("Destination", destination)].into_iter();
    let missing = named.filter(|(_, party)| party.name.is_empty());
    config_entry::several(missing.map(|(side, _)| format!("{side}Name is missing")).collect())
}

/// The body of `PUT …/exact`; the names of the query count.
#[derive(Default, Deserialize)]
#[serde(
    rename = "struct { Hash string; CreatedAt string; UpdatedAt string; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
struct IntentionBody {
    #[serde(rename = "ID")]
    id: String,
    description: String,
    source_peer: String,
    source_sameness_group: String,
    source_partition: String,
    #[serde(rename = "SourceNS")]
    source_ns: String,
    source_name: String,
    destination_partition: String,
    #[serde(rename = "DestinationNS")]
    destination_ns: String,
    destination_name: String,
    source_type: String,
    action: String,
    permissions: Json,
    #[serde(rename = "JWT")]
    jwt: Json,
    default_addr: String,
    default_port: i64,
    meta: BTreeMap<String, String>,
    precedence: i64,
    created_at: String,
    updated_at: String,
    hash: String,
    create_index: u64,
    modify_index: u64,
}

async fn put(api: &Api, source: &str, destination: &str, sent: &IntentionBody) -> Result<(), ApiError> {
    sent.without_peer()?;
    if !sent.meta.is_empty() {
        let why = "Meta must not be specified, or should be unchanged during an update.";
        return Err(ApiError::internal(why));
    }
    if !sent.source_sameness_group.is_empty() {
        let why = "Sources[0].SamenessGroup: Sameness groups are a Consul Enterprise feature. ";
        return Err(ApiError::internal(why));
    }
    let text = |text: &str| Json::Text(text.to_owned());
    let fields = [
        ("Name", text(source)),
        ("Action", text(&sent.action)),
        ("Permissions", sent.permissions.clone()),
        ("Type", text(&sent.source_type)),
        ("Description", text(&sent.description)),
    ];
    let name = source.to_owned();
    let source = Json::Object(fields.map(|(name, value)| (name.to_owned(), value)).into());
    change(api, destination, config_entry::parse, |old| {
        let older = Source::Name(&name);
        Ok(Next::Body(config_entry::with_source(
            old.map(|o| &o.body[..]),
            destination,
            older,
            source.clone(),
        )))
    })
    .await
}

async fn delete(api: &Api, source: &str, destination: &str) -> Result<(), ApiError> {
    change(api, destination, config_entry::parse, |old| {
        let Some(old) = old else { return Ok(Next::Same) };
        Ok(Next::without(old, Source::Name(source)).unwrap_or(Next::Same))
    })
    .await
}

/// What becomes of an entry.
enum Next {
    Same,
    Gone,
    Body(Vec<u8>),
}

impl Next {
    /// An entry without this source, and none without its last one; `None` when it has no such source.
    fn without(old: &Stored<ConfigEntry>, source: Source<'_>) -> Option<Self> {
        let left = config_entry::without_source(&old.body, source).ok()?;
        Some(left.map_or(Self::Gone, Self::Body))
    }
}

/// Changes the entry of a destination to what `to` makes of it, which `parse` reads and checks.
async fn change(
    api: &Api,
    destination: &str,
    parse: fn(&[u8]) -> Result<config_entry::ConfigEntry, config_entry::ConfigError>,
    to: impl Fn(Option<&Stored<ConfigEntry>>) -> Result<Next, ApiError>,
) -> Result<(), ApiError> {
    for _ in 0..TRIES {
        let question = ConfigGet { kind: KIND.into(), name: Caseless::new(destination) };
        let (old, _) = question.run(&api.registry().store().state());
        let cas = Some(old.as_ref().map_or(0, |old| old.modify_index));
        let action = match to(old.as_deref())? {
            Next::Same => return Ok(()),
            Next::Gone => {
                Action::ConfigDelete(ConfigDelete { kind: KIND.into(), name: destination.to_owned(), cas })
            }
            Next::Body(body) => {
                let entry = parse(&body).map_err(refused)?;
                Action::ConfigPut(Box::new(ConfigPut { entry: stored_entry(entry), cas }))
            }
        };
        match api.writer().write(action).await?.outcome {
            Outcome::Refused => {}
            Outcome::Failed(why) => return Err(ApiError::internal(why.to_string())),
            _ => return Ok(()),
        }
    }
    Err(ApiError::internal("the intentions change too fast; try again"))
}
