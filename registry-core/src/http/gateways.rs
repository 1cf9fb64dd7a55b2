//! Gateways as data: which services the entries of gateways name, and the gateways' instances as somebody registered them.
//!
//! A gateway that names `*` stands for all services: a terminating gateway for those that are in no mesh, an ingress gateway for those that
//! are. Nothing is let in or out.

use std::collections::{BTreeMap, BTreeSet};

use registry_state::{
    Caseless, ConfigEntry, Index, State, Status, Stored, Topic,
    read::{
        CatalogService, CatalogServices, ConfigList, Gateways, HealthInstance, HealthService, HealthState,
        NodeMeta, Read,
    },
};
use serde::{Deserialize, Serialize};

use super::shape;

/// The name that stands for all services.
const ALL: &str = "*";
pub(super) const INGRESS: &str = "ingress-gateway";
pub(super) const TERMINATING: &str = "terminating-gateway";
const TYPICAL: &str = "service";
const OUTSIDE: &str = "destination";

/// A service that a gateway stands for, as `/v1/catalog/gateway-services` shows it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Link {
    pub(super) gateway: Named,
    pub(super) service: Named,
    pub(super) gateway_kind: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    port: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    protocol: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(rename = "CAFile", skip_serializing_if = "String::is_empty")]
    ca_file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cert_file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    key_file: String,
    #[serde(rename = "SNI", skip_serializing_if = "String::is_empty")]
    sni: String,
    #[serde(skip_serializing_if = "is_default")]
    from_wildcard: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    service_kind: &'static str,
    create_index: Index,
    modify_index: Index,
    #[serde(skip_serializing_if = "is_default")]
    auto_host_rewrite: bool,
}

impl Link {
    /// Where an ingress gateway lets clients in: at the names it was given, or at that of the service (`web.ingress.dc1.consul:8080`).
    pub(super) fn addresses(&self, datacenter: &str) -> Vec<String> {
        let at = |host: &str| format!("{host}:{}", self.port);
        match &self.hosts[..] {
            _ if self.gateway_kind != INGRESS => Vec::new(),
            [] => vec![at(&format!("{}.ingress.{datacenter}.consul", self.service.name))],
            hosts => hosts.iter().map(|host| at(host)).collect(),
        }
    }
}

/// `{"Name":"web"}`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    pub(super) name: String,
}

/// What an entry of a gateway says of services.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    listeners: Option<Vec<Listener>>,
    services: Option<Vec<Linked>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listener {
    port: i64,
    protocol: String,
    services: Option<Vec<Linked>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Linked {
    name: String,
    hosts: Option<Vec<String>>,
    #[serde(rename = "CAFile")]
    ca_file: String,
    cert_file: String,
    key_file: String,
    #[serde(rename = "SNI")]
    sni: String,
    disable_auto_host_rewrite: bool,
}

/// The names of the services that an entry stands for; none if it is no gateway's.
pub(super) fn services(kind: &str, body: &[u8]) -> Vec<String> {
    if ![INGRESS, TERMINATING].contains(&kind) {
        return Vec::new();
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let listeners = body.listeners.into_iter().flatten().flat_map(|listener| listener.services);
    listeners.chain(body.services).flatten().map(|service| service.name).collect()
}

/// The services that gateways stand for: all gateways, or one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Links(pub(super) Option<Caseless>);

impl Read for Links {
    type Output = Vec<Link>;

    fn topics(&self) -> Vec<Topic> {
        Gateways.topics()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (entries, index) = Gateways.run(state);
        let mut known = Known { state, names: None };
        let mut links = Vec::new();
        for entry in &entries {
            if self.0.as_ref().is_none_or(|wanted| wanted.is(&entry.name)) {
                links.append(&mut links_of(entry, &mut known));
            }
        }
        (links, index)
    }
}

/// Links by service and port, the order in which they are shown.
type ByName = BTreeMap<(String, i64), Link>;

/// The services of one gateway, in order of their names and ports.
fn links_of(entry: &Stored<ConfigEntry>, known: &mut Known<'_>) -> Vec<Link> {
    let body: Body = serde_json::from_slice(&entry.body).unwrap_or_default();
    let ingress = &*entry.kind == INGRESS;
    let listener = |services| Listener { services, ..Listener::default() };
    let listeners = if ingress { body.listeners.unwrap_or_default() } else { vec![listener(body.services)] };
    let (mut links, mut for_all) = (ByName::new(), Vec::new());
    for mut listener in listeners {
        for service in listener.services.take().into_iter().flatten() {
            let name = service.name.clone();
            let link = Link::new(entry, &listener, service);
            if name == ALL {
                for_all.push(link);
            } else {
                links.insert((name.clone(), link.port), link.to_named(name, known));
            }
        }
    }
    for all in for_all {
        all.spread(&mut links, known);
    }
    links.into_values().collect()
}

impl Link {
    /// A gateway and what it says of a service, before the service is known.
    fn new(entry: &Stored<ConfigEntry>, listener: &Listener, service: Linked) -> Self {
        let ingress = &*entry.kind == INGRESS;
        Self {
            gateway: Named { name: entry.name.clone() },
            gateway_kind: if ingress { INGRESS } else { TERMINATING },
            port: listener.port,
            protocol: listener.protocol.clone(),
            hosts: service.hosts.unwrap_or_default(),
            ca_file: service.ca_file,
            cert_file: service.cert_file,
            key_file: service.key_file,
            sni: service.sni,
            create_index: entry.modify_index,
            modify_index: entry.modify_index,
            auto_host_rewrite: !ingress && !service.disable_auto_host_rewrite,
            ..Self::default()
        }
    }

    /// The link to a service that is named.
    fn to_named(&self, name: String, known: &mut Known<'_>) -> Self {
        let (kind, since) = known.kind(&name);
        // An ingress gateway looks only at those that come after it (as recorded).
        let service_kind = if self.gateway_kind == INGRESS && since <= self.modify_index { "" } else { kind };
        let modify_index = self.modify_index.max(since);
        Self { service: Named { name }, service_kind, modify_index, ..self.clone() }
    }

    /// The links to all services, but to those that are named.
    fn spread(&self, links: &mut ByName, known: &mut Known<'_>) {
        for (name, named) in known.names() {
            let stands =
                named.outside || if self.gateway_kind == INGRESS { named.meshed } else { named.plain };
            if !stands {
                continue;
            }
            let since = named.since.max(self.modify_index);
            // What was there before the gateway is not told apart (as recorded).
            let service_kind = match named.outside {
                true => OUTSIDE,
                false if named.since > self.modify_index => TYPICAL,
                false => "",
            };
            links.entry((name.clone(), self.port)).or_insert_with(|| Self {
                service: Named { name: name.clone() },
                from_wildcard: true,
                service_kind,
                create_index: since,
                modify_index: since,
                ..self.clone()
            });
        }
    }
}

/// The names of services that a gateway for all of them may stand for, looked up when one does.
struct Known<'a> {
    state: &'a State,
    names: Option<BTreeMap<String, Name>>,
}

/// What there is of a service's name.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    /// Instances that are in no mesh.
    plain: bool,
    /// Instances of a mesh, or proxies for some.
    meshed: bool,
    /// An entry that says where the service is, outside.
    outside: bool,
    /// The index it is known since.
    since: Index,
}

impl Known<'_> {
    fn names(&mut self) -> &BTreeMap<String, Name> {
        let state = self.state;
        self.names.get_or_insert_with(|| names(state))
    }

    /// What an explicitly named service is, and since when.
    fn kind(&mut self, name: &str) -> (&'static str, Index) {
        let question = CatalogService { service: Caseless::new(name), ..CatalogService::default() };
        let (instances, _) = question.run(self.state);
        let plain = instances.iter().filter(|i| i.service.kind.is_empty());
        if let Some(since) = plain.map(|i| i.service.create_index).min() {
            return (TYPICAL, since);
        }
        match self.names().get(name) {
            Some(named) if named.outside => (OUTSIDE, named.since),
            _ => ("", 0),
        }
    }
}

fn names(state: &State) -> BTreeMap<String, Name> {
    let mut names: BTreeMap<String, Name> = BTreeMap::new();
    for service in all_services(state).into_iter().filter(|service| service.as_str() != "consul") {
        let (instances, _) = CatalogService { service, ..CatalogService::default() }.run(state);
        for instance in instances.iter().map(|i| &i.service) {
            let (native, plain) = (shape::is_native(instance), instance.kind.is_empty());
            let name = match shape::destination(instance) {
                Some(destination) => destination,
                None if plain => instance.name.clone(),
                None => continue,
            };
            let known = names.entry(name).or_insert(Name { since: Index::MAX, ..Name::default() });
            known.plain |= plain && !native;
            known.meshed |= native || !plain;
            known.since = known.since.min(instance.create_index);
        }
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Defaults {
        destination: Option<serde_json::Value>,
    }
    let (entries, _) = ConfigList { kind: Some("service-defaults".into()) }.run(state);
    for entry in entries {
        let defaults: Defaults = serde_json::from_slice(&entry.body).unwrap_or_default();
        if defaults.destination.is_some() {
            let known = names.entry(entry.name.clone()).or_default();
            (known.outside, known.since) = (true, known.since.max(entry.modify_index));
        }
    }
    names
}

/// The instances of the gateways of a kind that stand for a service, with the index of all that; `None` without any gateway.
pub(super) fn instances(
    state: &State,
    kind: &'static str,
    of: &HealthService,
) -> Option<(Vec<HealthInstance>, Index)> {
    let (links, _) = Links(None).run(state);
    let stands = |link: &&Link| link.gateway_kind == kind && of.service.is(&link.service.name);
    let stands: Vec<&Link> = links.iter().filter(stands).collect();
    let linked = stands.iter().map(|link| link.modify_index).max()?;
    let gateways: BTreeSet<Caseless> = stands.iter().map(|link| Caseless::new(&link.gateway.name)).collect();
    let (mut found, mut index) = (Vec::new(), linked);
    for service in gateways {
        let (mut instances, of_service) = HealthService { service, passing: false, ..of.clone() }.run(state);
        instances.retain(|instance| instance.service.kind == kind);
        if !instances.is_empty() {
            index = index.max(of_service);
        }
        instances.retain(|instance| !of.passing || instance.status() == Status::Passing);
        found.append(&mut instances);
    }
    Some((found, index))
}

/// The instances of ingress gateways that let clients in to a service: `GET /v1/health/ingress/:service`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LetIn(pub(crate) HealthService);

impl Read for LetIn {
    type Output = Vec<HealthInstance>;

    fn topics(&self) -> Vec<Topic> {
        topics_of_instances()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        instances(state, INGRESS, &self.0).unwrap_or_else(|| (Vec::new(), Gateways.run(state).1))
    }
}

/// The names of all services that have instances.
pub(super) fn all_services(state: &State) -> BTreeSet<Caseless> {
    let (services, _) = CatalogServices::default().run(state);
    services.keys().map(|name| Caseless::new(name)).collect()
}

/// What changes the instances behind any gateway or proxy.
pub(super) fn topics_of_instances() -> Vec<Topic> {
    let services = CatalogServices { node_meta: NodeMeta::new() }.topics();
    let checks = HealthState { state: Caseless::new("any"), node_meta: NodeMeta::new() }.topics();
    services.into_iter().chain(checks).chain([Topic::Nodes, Topic::Gateways]).collect()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
