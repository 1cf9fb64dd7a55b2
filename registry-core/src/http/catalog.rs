//! `/v1/catalog/`: nodes, services and instances.

use std::collections::{BTreeMap, BTreeSet};

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless,
    read::{
        CatalogNode, CatalogNodes, CatalogService, CatalogServices, NodeMeta, NodeServices, ServiceInstance,
    },
};
use registry_wire::{
    catalog::NodeService,
    options::{ReadOptions, refuse_partition},
};
use serde::Serialize;

use super::{
    Api,
    respond::{Encoded, Family, Form, encoded, mark_cached, read, read_headers},
    shape,
};

/// `GET /v1/catalog/datacenters`.
pub(super) async fn datacenters(api: Api, call: Call) -> Result<Answer, ApiError> {
    let mut answer = Answer::json(&[&**api.datacenter()]);
    if call.read_options()?.cached {
        mark_cached(&mut answer);
    }
    Ok(answer)
}

/// `GET /v1/catalog/nodes`.
pub(super) async fn nodes(api: Api, call: Call) -> Result<Answer, ApiError> {
    refuse_partition(&call.query, &call.headers)?;
    let asked = call.read_options()?;
    let question = CatalogNodes { node_meta: node_meta(&call) };
    read(&api, &asked, Family::Discovery, question, Form::new(&api), |nodes, form| {
        let shown: Vec<_> = nodes.iter().map(|node| shape::node(node, &form.datacenter)).collect();
        encoded(&shown)
    })
    .await
}

/// `GET /v1/catalog/services`.
pub(super) async fn services(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let question = CatalogServices { node_meta: node_meta(&call) };
    let encode: fn(&BTreeMap<String, BTreeSet<String>>, &()) -> Encoded = |services, ()| encoded(services);
    read(&api, &asked, Family::Cached, question, (), encode).await
}

/// `GET /v1/catalog/service/:service`.
pub(super) async fn service(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, question) = service_question(&call)?;
    read(&api, &asked, Family::Cached, question, Form::new(&api), |found, form| instances(found, form, false))
        .await
}

/// `GET /v1/catalog/connect/:service`: the instances that say they are part of a mesh.
pub(super) async fn connect(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, question) = service_question(&call)?;
    read(&api, &asked, Family::Discovery, question, Form::new(&api), |found, form| {
        instances(found, form, true)
    })
    .await
}

fn service_question(call: &Call) -> Result<(ReadOptions, CatalogService), ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let service = Caseless::new(&call.name_or("Missing service name")?);
    Ok((asked, CatalogService { service, tags: tags(call), node_meta: node_meta(call) }))
}

fn instances(found: &[ServiceInstance], form: &Form, mesh_only: bool) -> Encoded {
    let wanted = found.iter().filter(|i| !mesh_only || is_native(&i.service.connect));
    let shown: Vec<_> = wanted.map(|i| shape::service_node(i, &form.datacenter)).collect();
    encoded(&shown)
}

/// Whether an instance said `"Connect": {"Native": true}`.
pub(super) fn is_native(connect: &str) -> bool {
    !connect.is_empty()
        && serde_json::from_str::<serde_json::Value>(connect)
            .is_ok_and(|c| c["Native"] == serde_json::json!(true))
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
    read(&api, &asked, Family::Discovery, question, Form::new(&api), |found, form| {
        let shown = found.as_ref().map(|found| Shown {
            node: shape::node(&found.node, &form.datacenter),
            services: found.services.iter().map(|s| (s.id.clone(), shape::service(s))).collect(),
        });
        encoded(&shown)
    })
    .await
}

/// `GET /v1/catalog/node-services/:node`: the instances as a list.
pub(super) async fn node_services(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, question) = node_question(&call)?;
    read(&api, &asked, Family::Discovery, question, Form::new(&api), node_with_list).await
}

/// No node and no instances are both `null`.
fn node_with_list(found: &Option<NodeServices>, form: &Form) -> Encoded {
    #[derive(Default, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        node: Option<registry_wire::catalog::Node>,
        services: Option<Vec<NodeService>>,
    }
    let Some(found) = found else { return encoded(&Shown::default()) };
    let services: Vec<_> = found.services.iter().map(|s| shape::service(s)).collect();
    encoded(&Shown {
        node: Some(shape::node(&found.node, &form.datacenter)),
        services: (!services.is_empty()).then_some(services),
    })
}

fn node_question(call: &Call) -> Result<(ReadOptions, CatalogNode), ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    Ok((asked, CatalogNode { node: call.name_or("Missing node name")? }))
}

/// `GET /v1/catalog/gateway-services/:gateway`, and other lists of a mesh that is not there: `[]`.
pub(super) async fn nothing(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    let known = api.0.registry.leadership().leader().is_some();
    let mut answer = Answer::json(&[(); 0]);
    read_headers(&mut answer, 1, known, 0, Family::Discovery, &asked);
    Ok(answer)
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
