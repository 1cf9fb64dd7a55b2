//! `/v1/coordinate/`: where nodes are in the space of round trips.

use std::sync::Arc;

use http::StatusCode;
use http_api::{Answer, ApiError, Call};
use registry_state::{
    Action, Caseless, CoordinateUpdate, NodeCoordinate, Stored,
    read::{CoordinateOf, Coordinates},
};
use registry_wire::{
    coordinate::{Coordinate, DatacenterCoordinates, NodeCoordinate as Shown},
    json::{Json, Unknown},
    options::refuse_partition,
};
use serde::Deserialize;

use super::{
    Api,
    respond::{Encoded, Family, encoded, read},
    shape,
};

/// The body of `PUT /v1/coordinate/update`.
#[derive(Default, Deserialize)]
#[serde(rename = "structs.CoordinateUpdateRequest", rename_all = "PascalCase", default)]
struct UpdateBody {
    /// Taken and not looked at, as the registry asked is the one that writes.
    #[serde(rename = "Datacenter")]
    _datacenter: String,
    node: String,
    segment: String,
    #[serde(rename = "Partition")]
    _partition: String,
    coord: Coordinate,
    #[serde(rename = "WriteRequest")]
    _write_request: Json,
}

/// `GET /v1/coordinate/datacenters`: the servers of all datacenters, if they can reach each other.
pub(super) async fn datacenters(api: Api, _: Call) -> Result<Answer, ApiError> {
    enabled(&api)?;
    if api.registry().settings().serf_wan.is_none() {
        return Ok(Answer::json(&[(); 0]));
    }
    let of = |(datacenter, servers): (String, std::collections::BTreeMap<String, Coordinate>)| {
        let shown = |(node, coord)| Shown { node, segment: String::new(), coord };
        let coordinates = servers.into_iter().map(shown).collect();
        DatacenterCoordinates { datacenter, area_id: "wan".to_owned(), coordinates }
    };
    Ok(Answer::json(&api.registry().wan().coordinates().into_iter().map(of).collect::<Vec<_>>()))
}

/// `GET /v1/coordinate/nodes`.
pub(super) async fn nodes(api: Api, call: Call) -> Result<Answer, ApiError> {
    enabled(&api)?;
    let asked = call.read_options()?;
    refuse_partition(&call.query, &call.headers)?;
    let question = Coordinates { segment: segment(&call) };
    read(&api, &asked, Family::Plain, question, (), |found, ()| list(found)).await
}

/// `GET /v1/coordinate/node/:node`: 404 when nothing is known of it. The name is shown as it was asked.
pub(super) async fn node(api: Api, call: Call) -> Result<Answer, ApiError> {
    enabled(&api)?;
    let asked = call.read_options()?;
    let spelling = call.name().to_string();
    refuse_partition(&call.query, &call.headers)?;
    let question = CoordinateOf { node: Caseless::new(&spelling), segment: segment(&call) };
    let answer = read(&api, &asked, Family::Plain, question, spelling, |found, spelling| {
        let shown = found.iter().map(|entry| Shown { node: spelling.clone(), ..shape::coordinate(entry) });
        if found.is_empty() { None } else { encoded(&shown.collect::<Vec<_>>()) }
    })
    .await?;
    Ok(if answer.status == StatusCode::NOT_FOUND { Answer::empty().status(answer.status) } else { answer })
}

/// `PUT /v1/coordinate/update`. An unknown node is no error: it may be on its way into the catalog.
pub(super) async fn update(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    enabled(&api)?;
    let body: UpdateBody = call.decode(Unknown::Refuse).await?;
    call.refuse_enterprise()?;
    api.serves_call(&call)?;
    if !body.coord.is_valid() {
        return Err(ApiError::internal("incompatible coordinate"));
    }
    let coordinate = shape::coordinate_from(&body.coord);
    let UpdateBody { node, segment, .. } = body;
    let update = CoordinateUpdate { node, segment, coordinate };
    api.writer().write(Action::UpdateCoordinate(update)).await?;
    Ok(Answer::done())
}

fn enabled(api: &Api) -> Result<(), ApiError> {
    match api.settings().coordinates {
        true => Ok(()),
        false => Err(ApiError::new(StatusCode::UNAUTHORIZED, "Coordinate support disabled")),
    }
}

fn segment(call: &Call) -> Option<String> {
    call.query.filled("segment").map(|segment| segment.into_owned())
}

fn list(found: &[Arc<Stored<NodeCoordinate>>]) -> Encoded {
    encoded(&found.iter().map(|entry| shape::coordinate(entry)).collect::<Vec<_>>())
}
