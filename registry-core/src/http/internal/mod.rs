//! `/v1/internal/ui/`: what the web interface shows, each page in one answer. Lists of services stand in `services`.

mod services;

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;
use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Check, Index, Node, Service, State, Status, Stored, Topic,
    read::{CatalogNode, CatalogNodes, CatalogServices, HealthNode, HealthState, Read},
};
use registry_wire::{
    catalog::{HealthCheck, NodeService, TextMap},
    filter::fields,
};
use serde::Serialize;

use super::{
    Api, absent,
    respond::{Encoded, Family, Form, encoded, read},
    shape,
};
use crate::ReadError;
use services::Instances;
pub(super) use services::{of_gateway, services};

/// A node with everything on it.
struct NodeInfo {
    node: Arc<Stored<Node>>,
    services: Vec<Arc<Stored<Service>>>,
    checks: Vec<Arc<Stored<Check>>>,
}

/// All nodes, or one by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NodeInfos(Option<String>);

impl Read for NodeInfos {
    type Output = Vec<NodeInfo>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Nodes, Topic::Services, Topic::Checks]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (nodes, _) = CatalogNodes::default().run(state);
        let wanted =
            |node: &Node| self.0.as_ref().is_none_or(|w| Caseless::new(w) == Caseless::new(&node.name));
        let infos = nodes.into_iter().filter(|node| wanted(node)).map(|node| {
            let (found, _) = CatalogNode { node: node.name.clone() }.run(state);
            let (checks, _) = HealthNode { node: Caseless::new(&node.name) }.run(state);
            NodeInfo { node, services: found.map(|f| f.services).unwrap_or_default(), checks }
        });
        (infos.collect(), tables_index(state))
    }
}

/// The newest change of nodes, services or checks.
fn tables_index(state: &State) -> Index {
    let (_, nodes) = CatalogNodes::default().run(state);
    let (_, services) = CatalogServices::default().run(state);
    let nothing = HealthState { state: Caseless::default(), node_meta: Vec::new() };
    nodes.max(services).max(nothing.run(state).1)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownNode {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    tagged_addresses: Option<TextMap>,
    meta: Option<TextMap>,
    services: Vec<NodeService>,
    checks: Vec<HealthCheck>,
}

fn shown_node(info: &NodeInfo) -> ShownNode {
    ShownNode {
        id: info.node.id.clone(),
        node: info.node.name.clone(),
        address: info.node.address.clone(),
        tagged_addresses: info.node.tagged_addresses.clone(),
        meta: info.node.meta.clone(),
        services: info.services.iter().map(|s| shape::service_as_given(s)).collect(),
        checks: info.checks.iter().map(|c| shape::check_as_given(c)).collect(),
    }
}

/// `GET /v1/internal/ui/nodes`.
pub(super) async fn nodes(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let form = Form::of(&api, &asked, &fields::NODE_INFO)?;
    let encode: fn(&Vec<NodeInfo>, &Form) -> Encoded = |found, form| form.list(found.iter().map(shown_node));
    read(&api, &asked, Family::Plain, NodeInfos(None), form, encode).await
}

/// `GET /v1/internal/ui/node/:node`.
pub(super) async fn node(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let question = NodeInfos(Some(call.name_or("Missing node name")?));
    if call.query.filled("peer").is_some() {
        return Ok(Answer::empty().status(StatusCode::NOT_FOUND));
    }
    let encode: fn(&Vec<NodeInfo>, &()) -> Encoded =
        |found, ()| found.first().and_then(|info| encoded(&shown_node(info)));
    let found = read(&api, &asked, Family::Plain, question, (), encode).await?;
    match found.status {
        StatusCode::NOT_FOUND => Ok(Answer::empty().status(StatusCode::NOT_FOUND)),
        _ => Ok(found),
    }
}

/// How many there are, by their health.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Count {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    total: u64,
    passing: u64,
    warning: u64,
    critical: u64,
}

impl Count {
    fn add(&mut self, status: Status) {
        self.total += 1;
        match status {
            Status::Passing => self.passing += 1,
            Status::Warning => self.warning += 1,
            Status::Critical => self.critical += 1,
        }
    }
}

/// Counts what has the same name together.
fn counted<'a>(all: impl Iterator<Item = (&'a str, Status)>) -> Vec<Count> {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for (name, status) in all {
        let count = counts.entry(name).or_insert_with(|| Count { name: name.to_owned(), ..Count::default() });
        count.add(status);
    }
    counts.into_values().collect()
}

/// `GET /v1/internal/ui/catalog-overview`: nodes, instances and checks counted by health.
pub(super) async fn overview(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    api.registry().leadership().leading().await.map_err(ReadError::from)?;
    let state = api.registry().store().state();
    let ((nodes, _), (instances, _)) = (NodeInfos(None).run(&state), Instances.run(&state));
    let of_node = nodes.iter().map(|info| {
        let own = info.checks.iter().filter(|check| check.service_id.is_empty());
        ("", own.map(|check| check.state()).max().unwrap_or(Status::Passing))
    });
    let of_instance = instances.iter().map(|i| (i.service.name.as_str(), i.status()));
    let of_check = nodes.iter().flat_map(|info| &info.checks).map(|c| (c.name.as_str(), c.state()));
    Ok(Answer::json(&serde_json::json!({
        "Nodes": counted(of_node),
        "Services": counted(of_instance),
        "Checks": counted(of_check),
    })))
}

/// `GET /v1/internal/ui/service-topology/:service`: there is no mesh to have a topology.
pub(super) async fn service_topology(_: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    call.refuse_enterprise()?;
    call.name_or("Missing service name")?;
    if !call.query.has("kind") {
        return Err(ApiError::bad_request("Missing service kind"));
    }
    match call.query.filled("kind").as_deref() {
        None | Some("ingress-gateway") => Err(ApiError::internal(absent::NO_MESH)),
        Some(kind) => Err(ApiError::bad_request(format!("Unsupported service kind {kind:?}"))),
    }
}
