//! The services as the web interface lists them: all, and those of a gateway.

use std::collections::{BTreeMap, BTreeSet};

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Index, State, Status, Topic,
    read::{HealthInstance, HealthService, Read},
};
use registry_wire::filter::fields;
use serde::Serialize;

use super::tables_index;
use crate::http::{
    Api,
    gateways::{self, Link, Links},
    respond::{Encoded, Family, Form, encoded, failed_read, read},
    shape,
};

/// The instances of all services.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Instances;

impl Read for Instances {
    type Output = Vec<HealthInstance>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Nodes, Topic::Services, Topic::Checks]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let of = |service| HealthService { service, ..HealthService::default() }.run(state).0;
        (gateways::all_services(state).into_iter().flat_map(of).collect(), tables_index(state))
    }
}

/// All that the lists show: the instances, and what gateways stand for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fleet {
    gateway: Option<Caseless>,
}

struct Found {
    instances: Vec<HealthInstance>,
    links: Vec<Link>,
}

impl crate::Absent for Found {}

impl Read for Fleet {
    type Output = Found;

    fn topics(&self) -> Vec<Topic> {
        let links = Links(self.gateway.clone()).topics();
        Instances.topics().into_iter().chain(links).collect()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (instances, index) = Instances.run(state);
        let (links, linked) = Links(self.gateway.clone()).run(state);
        let index = if self.gateway.is_some() && links.is_empty() { linked } else { index.max(linked) };
        (Found { instances, links }, index)
    }
}

/// A service in a list.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    name: String,
    datacenter: String,
    tags: Option<BTreeSet<String>>,
    nodes: Option<BTreeSet<String>>,
    external_sources: Option<BTreeSet<String>>,
    instance_count: u64,
    checks_passing: u64,
    checks_warning: u64,
    checks_critical: u64,
    gateway_config: GatewayConfig,
    transparent_proxy: bool,
    connect_native: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_with_proxy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_with_gateway: Option<bool>,
    /// Checks by node and id: one of a node counts once for all instances there.
    #[serde(skip)]
    counted: BTreeSet<(String, String)>,
}

/// What a gateway is to a service, or how many services a gateway stands for.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayConfig {
    #[serde(skip_serializing_if = "is_zero")]
    associated_service_count: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Summary {
    fn add(&mut self, instance: &HealthInstance, datacenter: &str) {
        let service = &instance.service;
        self.kind.clone_from(&service.kind);
        datacenter.clone_into(&mut self.datacenter);
        self.instance_count += 1;
        self.nodes.get_or_insert_default().insert(instance.node.name.clone());
        self.connect_native |= shape::is_native(service);
        if !service.tags.is_empty() {
            self.tags.get_or_insert_default().extend(service.tags.iter().cloned());
        }
        if let Some(source) = service.meta.as_ref().and_then(|meta| meta.get("external-source")) {
            self.external_sources.get_or_insert_default().insert(source.clone());
        }
        self.add_checks(instance);
    }

    fn add_checks(&mut self, instance: &HealthInstance) {
        for check in &instance.checks {
            if !self.counted.insert((instance.node.name.clone(), check.check_id.clone())) {
                continue;
            }
            match check.state() {
                Status::Passing => self.checks_passing += 1,
                Status::Warning => self.checks_warning += 1,
                Status::Critical => self.checks_critical += 1,
            }
        }
    }
}

type Summaries = BTreeMap<String, Summary>;

fn named<'a>(summaries: &'a mut Summaries, name: &str) -> &'a mut Summary {
    let new = || Summary { name: name.to_owned(), ..Summary::default() };
    summaries.entry(name.to_owned()).or_insert_with(new)
}

/// The instances that the filter lets through by their services; a service that only has proxies is listed too.
fn summaries(found: &Found, form: &Form) -> Summaries {
    let mut summaries = Summaries::new();
    for instance in found.instances.iter().filter(|i| form.keeps(&shape::health(i, &form.datacenter))) {
        named(&mut summaries, &instance.service.name).add(instance, &form.datacenter);
        if let Some(destination) = shape::destination(&instance.service) {
            let served = named(&mut summaries, &destination);
            served.connected_with_proxy = Some(true);
            served.add_checks(instance);
        }
    }
    summaries
}

/// `GET /v1/internal/ui/services`.
pub(in crate::http) async fn services(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let asked = call.read_options()?;
    let form = Form::of(&api, &asked, &fields::HEALTH_INSTANCE)?;
    if call.query.filled("peer").is_some() {
        return read(&api, &asked, Family::Plain, Fleet { gateway: None }, (), |_, ()| encoded(&[(); 0]))
            .await;
    }
    let encode: fn(&Found, &Form) -> Encoded = |found, form| {
        let mut summaries = summaries(found, form);
        for link in &found.links {
            let of_gateway = summaries.get_mut(&link.gateway.name).filter(|s| s.kind == link.gateway_kind);
            of_gateway.into_iter().for_each(|gateway| gateway.gateway_config.associated_service_count += 1);
            if let Some(service) = summaries.get_mut(&link.service.name)
                && link.gateway_kind == gateways::TERMINATING
            {
                service.connected_with_gateway = Some(true);
            }
        }
        let shown = summaries.into_values().map(|summary| Summary {
            connected_with_proxy: summary.connected_with_proxy.or(Some(false)),
            connected_with_gateway: summary.connected_with_gateway.or(Some(false)),
            ..summary
        });
        encoded(&shown.collect::<Vec<_>>())
    };
    read(&api, &asked, Family::Plain, Fleet { gateway: None }, form, encode).await
}

/// `GET /v1/internal/ui/gateway-services-nodes/:gateway`: the services that a gateway stands for.
pub(in crate::http) async fn of_gateway(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    call.refuse_enterprise()?;
    let gateway = Some(Caseless::new(&call.name_or("Missing gateway name")?));
    api.serves(asked.datacenter.as_deref()).map_err(failed_read)?;
    let form = Form { datacenter: api.datacenter().clone(), filter: None };
    let encode: fn(&Found, &Form) -> Encoded = |found, form| {
        let mut all = summaries(found, form);
        let mut listed = Summaries::new();
        for link in &found.links {
            let name = &link.service.name;
            if !listed.contains_key(name) {
                let known = all.remove(name).filter(|summary| summary.instance_count > 0);
                let new = || Summary { name: name.clone(), ..Summary::default() };
                let known = known.unwrap_or_else(new);
                listed.insert(name.clone(), Summary { connected_with_proxy: None, ..known });
            }
            let addresses = &mut named(&mut listed, name).gateway_config.addresses;
            addresses.extend(link.addresses(&form.datacenter));
        }
        encoded(&listed.into_values().collect::<Vec<_>>())
    };
    read(&api, &asked, Family::Plain, Fleet { gateway }, form, encode).await
}
