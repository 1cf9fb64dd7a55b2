//! `/v1/catalog/connect/`, `/v1/health/connect/` and the lists of gateways: the mesh as far as it is data.
//!
//! Whoever registers a proxy for a service finds it here; nothing configures or starts one.

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Index, Service, State, Topic,
    read::{HealthInstance, HealthService, Read},
};
use registry_wire::{filter::fields, options::ReadOptions};

use crate::figures::{Asked, CATALOG_MESH, HEALTH_MESH};

use super::{
    Api,
    gateways::{self, LetIn, Link, Links, all_services, topics_of_instances},
    health::{refuse_sameness_group, service_question},
    near,
    respond::{Encoded, Family, Form, encoded, read},
    shape,
};

/// `GET /v1/catalog/connect/:service`: who speaks for the service in a mesh.
pub(super) async fn catalog_connect(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let of = HealthService {
        service: Caseless::new(&call.name_or("Missing service name")?),
        // Consul does not look at tags here.
        tags: Vec::new(),
        node_meta: super::catalog::node_meta(&call),
        passing: false,
    };
    let form = Form::of(&api, &asked, &fields::SERVICE_NODE)?;
    if call.query.filled("peer").is_some() {
        return of_peer(&api, &asked).await;
    }
    let encode: fn(&Vec<HealthInstance>, &Form) -> Encoded = |found, form| {
        form.list(found.iter().map(|i| shape::service_node(&i.node, &i.service, &form.datacenter)))
    };
    let (service, tags) = (call.name().into_owned(), super::catalog::tags(&call));
    let answer = read(&api, &asked, Family::Discovery, Connected(of), form, encode);
    counted(&service, &CATALOG_MESH, &tags, answer).await
}

/// `GET /v1/health/connect/:service`: the same with their checks.
pub(super) async fn health_connect(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, of) = service_question(&call)?;
    refuse_sameness_group(&call)?;
    let form = Form::of(&api, &asked, &fields::HEALTH_INSTANCE).map_err(ApiError::bare)?;
    if call.query.filled("peer").is_some() {
        return of_peer(&api, &asked).await;
    }
    api.serves(asked.datacenter.as_deref())?;
    let encode: fn(&Vec<HealthInstance>, &Form) -> Encoded =
        |found, form| form.list(found.iter().map(|i| shape::health(i, &form.datacenter)));
    let (service, tags) = (call.name().into_owned(), of.tags.clone());
    let of = HealthService { tags: Vec::new(), ..of };
    let answer = read(&api, &asked, Family::Discovery, Connected(of), form, encode);
    counted(&service, &HEALTH_MESH, &tags, answer).await
}

/// An answer, counted among those to questions of its kind.
async fn counted(
    service: &str,
    counts: &Asked,
    tags: &[String],
    answer: impl Future<Output = Result<Answer, ApiError>>,
) -> Result<Answer, ApiError> {
    counts.asked(service, tags);
    let answer = answer.await?;
    if answer.is_empty_list() {
        counts.not_found(service);
    }
    Ok(answer)
}

/// `GET /v1/health/ingress/:service`: the ingress gateways that let clients in to the service.
pub(super) async fn ingress(api: Api, call: Call) -> Result<Answer, ApiError> {
    let (asked, of) = service_question(&call)?;
    refuse_sameness_group(&call)?;
    let form = Form::of(&api, &asked, &fields::HEALTH_INSTANCE).map_err(ApiError::bare)?;
    if call.query.filled("peer").is_some() {
        return of_peer(&api, &asked).await;
    }
    api.serves(asked.datacenter.as_deref())?;
    let encode: fn(&Vec<HealthInstance>, &Form) -> Encoded =
        |found, form| form.list(found.iter().map(|i| shape::health(i, &form.datacenter)));
    let from = near::From::of(&api, &call);
    // Who asks for tags is told of the service itself (as recorded).
    if call.query.has("tag") {
        return near::read(&api, from, &asked, Family::Discovery, of, form, encode).await;
    }
    near::read(&api, from, &asked, Family::Discovery, LetIn(of), form, encode).await
}

/// `GET /v1/catalog/gateway-services/:gateway`: the services that a gateway stands for.
pub(super) async fn gateway_services(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let gateway = Caseless::new(&call.name_or("Missing gateway name")?);
    let encode: fn(&Vec<Link>, &()) -> Encoded = |links, ()| encoded(links);
    read(&api, &asked, Family::Discovery, Links(Some(gateway)), (), encode).await
}

/// There are no peers, so none of them has instances.
pub(super) async fn of_peer(api: &Api, asked: &ReadOptions) -> Result<Answer, ApiError> {
    api.serves(asked.datacenter.as_deref())?;
    nothing(api, asked, Family::Discovery).await
}

/// The empty list that an endpoint answers whatever happens. Who waits for a change waits to the end.
pub(super) async fn nothing(api: &Api, asked: &ReadOptions, family: Family) -> Result<Answer, ApiError> {
    read(api, asked, family, Nothing, (), |found, ()| encoded(found)).await
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Nothing;

impl Read for Nothing {
    type Output = Vec<()>;

    fn topics(&self) -> Vec<Topic> {
        Vec::new()
    }

    fn run(&self, _: &State) -> (Self::Output, Index) {
        (Vec::new(), 1)
    }
}

/// The instances that speak for a service: proxies that name it as their destination, its own that need none, and terminating
/// gateways that stand for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Connected(pub(crate) HealthService);

impl Connected {
    fn speaks(&self, service: &Service) -> bool {
        match shape::destination(service) {
            Some(destination) => self.0.service.is(&destination),
            None => self.0.service.is(&service.name) && shape::is_native(service),
        }
    }
}

impl Read for Connected {
    type Output = Vec<HealthInstance>;

    fn topics(&self) -> Vec<Topic> {
        topics_of_instances()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (mut found, mut index) = (Vec::new(), 0);
        for service in all_services(state) {
            let (mut instances, of_service) = HealthService { service, ..self.0.clone() }.run(state);
            instances.retain(|i| self.speaks(&i.service));
            if !instances.is_empty() {
                index = index.max(of_service);
                found.append(&mut instances);
            }
        }
        if let Some((mut of_gateways, linked)) = gateways::instances(state, gateways::TERMINATING, &self.0) {
            index = index.max(linked);
            found.append(&mut of_gateways);
        }
        if found.is_empty() { (found, self.0.index_of_nothing(state)) } else { (found, index) }
    }
}
