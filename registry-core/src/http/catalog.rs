//! `/v1/catalog/`: nodes, services and instances.

use std::collections::{BTreeMap, BTreeSet};

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Index, State, Topic,
    read::{
        CatalogNode, CatalogNodes, CatalogService, CatalogServices, NodeMeta, NodeServices, Read,
        ServiceInstance,
    },
};
use registry_wire::{
    catalog::NodeService,
    filter::fields,
    options::{OptionsError, ReadOptions, refuse_partition},
};
use serde::Serialize;

use crate::figures::CATALOG;

use super::{
    Api,
    connected::of_peer,
    near,
    respond::{Encoded, Family, Form, encoded, read},
    shape,
};

/// `GET /v1/catalog/datacenters`.
pub(super) async fn datacenters(api: Api, call: Call) -> Result<Answer, ApiError> {
    match ReadOptions::parse(&call.query, &call.headers) {
        // There is nothing to wait for, so what cannot be read of it is not looked at.
        Err(OptionsError::Index | OptionsError::Wait) => {}
        asked => drop(asked?),
    }
    Ok(Answer::json(&api.registry().wan().datacenters()))
}

/// `GET /v1/catalog/nodes`.
pub(super) async fn nodes(api: Api, call: Call) -> Result<Answer, ApiError> {
    refuse_partition(&call.query, &call.headers)?;
    let asked = call.read_options()?;
    let question = CatalogNodes { node_meta: node_meta(&call) };
    let form = Form::of(&api, &asked, &fields::NODE)?;
    near::read(&api, near::From::of(&api, &call), &asked, Family::Discovery, question, form, |nodes, form| {
        form.list(nodes.iter().map(|node| shape::node(node, &form.datacenter)))
    })
    .await
}

/// `GET /v1/catalog/services`.
pub(super) async fn services(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let question = CatalogServices { node_meta: node_meta(&call) };
    let form = Form::of(&api, &asked, &fields::SERVICE_NODE)?;
    if form.filter.is_some() {
        return read(&api, &asked, Family::Discovery, AllInstances(question), form, |i, form| names(i, form))
            .await;
    }
    let encode: fn(&BTreeMap<String, BTreeSet<String>>, &()) -> Encoded = |services, ()| encoded(services);
    read(&api, &asked, Family::Discovery, question, (), encode).await
}

/// The instances behind the names of [`CatalogServices`], which a filter looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AllInstances(CatalogServices);

impl Read for AllInstances {
    type Output = Vec<ServiceInstance>;

    fn topics(&self) -> Vec<Topic> {
        self.0.topics()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (services, index) = self.0.run(state);
        let services: BTreeSet<Caseless> = services.keys().map(|name| Caseless::new(name)).collect();
        let instances = services.into_iter().flat_map(|service| {
            let node_meta = self.0.node_meta.clone();
            CatalogService { service, tags: Vec::new(), node_meta }.run(state).0
        });
        (instances.collect(), index)
    }
}

/// The names of the services whose instances the filter lets through, with those instances' tags.
fn names(found: &[ServiceInstance], form: &Form) -> Encoded {
    let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for instance in
        found.iter().filter(|i| form.keeps(&shape::service_node(&i.node, &i.service, &form.datacenter)))
    {
        let tags = instance.service.tags.iter().map(String::as_str);
        services.entry(&instance.service.name).or_default().extend(tags);
    }
    encoded(&services)
}

/// `GET /v1/catalog/service/:service`.
pub(super) async fn service(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, question) = service_question(&call)?;
    let form = Form::of(&api, &asked, &fields::SERVICE_NODE)?;
    if call.query.filled("peer").is_some() {
        return of_peer(&api, &asked).await;
    }
    CATALOG.asked(&call.name(), &question.tags);
    let service = call.name().into_owned();
    let (from, family) = (near::From::of(&api, &call), Family::Discovery);
    let encode: fn(&Vec<ServiceInstance>, &Form) -> Encoded = |found, form| {
        form.list(found.iter().map(|i| shape::service_node(&i.node, &i.service, &form.datacenter)))
    };
    let answer = near::read(&api, from, &asked, family, question, form, encode).await?;
    if answer.is_empty_list() {
        CATALOG.not_found(&service);
    }
    Ok(answer)
}

fn service_question(call: &Call) -> Result<(ReadOptions, CatalogService), ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let service = Caseless::new(&call.name_or("Missing service name")?);
    Ok((asked, CatalogService { service, tags: tags(call), node_meta: node_meta(call) }))
}

/// `GET /v1/catalog/node/:node`: the instances as an object.
pub(super) async fn node(api: Api, call: Call) -> Result<Answer, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        node: registry_wire::catalog::Node,
        services: BTreeMap<String, NodeService>,
    }
    let (asked, question) = node_question(&call)?;
    let form = Form::of(&api, &asked, &fields::SERVICE)?;
    read(&api, &asked, Family::Discovery, question, form, |found, form| {
        let shown = found.as_ref().map(|found| Shown {
            node: shape::node(&found.node, &form.datacenter),
            services: services_kept(found, form).map(|s| (s.id.clone(), s)).collect(),
        });
        encoded(&shown)
    })
    .await
}

/// `GET /v1/catalog/node-services/:node`: the instances as a list.
pub(super) async fn node_services(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, question) = node_question(&call)?;
    let form = Form::of(&api, &asked, &fields::SERVICE)?;
    read(&api, &asked, Family::Discovery, question, form, node_with_list).await
}

fn services_kept(found: &NodeServices, form: &Form) -> impl Iterator<Item = NodeService> {
    found.services.iter().map(|s| shape::service(s)).filter(|s| form.keeps(s))
}

/// No node is `null`; no instances are `null` too, but `[]` once they went through a filter.
fn node_with_list(found: &Option<NodeServices>, form: &Form) -> Encoded {
    #[derive(Default, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        node: Option<registry_wire::catalog::Node>,
        services: Option<Vec<NodeService>>,
    }
    let node = found.as_ref().map(|found| shape::node(&found.node, &form.datacenter));
    let services: Vec<_> = found.iter().flat_map(|found| services_kept(found, form)).collect();
    let shown = !services.is_empty() || form.filter.is_some();
    encoded(&Shown { node, services: shown.then_some(services) })
}

fn node_question(call: &Call) -> Result<(ReadOptions, CatalogNode), ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    Ok((asked, CatalogNode { node: call.name_or("Missing node name")? }))
}

/// The pairs of `?node-meta=rack:r1`; without a colon, the value is empty.
pub(super) fn node_meta(call: &Call) -> NodeMeta {
    let pair = |text: std::borrow::Cow<'_, str>| {
        let (key, value) = text.split_once(':').unwrap_or((&text, ""));
        (key.to_owned(), value.to_owned())
    };
    call.query.all("node-meta").map(pair).collect()
}

/// The tags of `?tag=v1&tag=primary`.
pub(super) fn tags(call: &Call) -> Vec<String> {
    call.query.all("tag").map(|tag| tag.into_owned()).collect()
}
