//! `/v1/operator/usage`: how many nodes, services and instances there are.

use std::{collections::BTreeMap, sync::Arc};

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Index, Service, State, Topic,
    read::{CatalogNode, CatalogNodes, CatalogServices, Read},
};
use registry_wire::options::ReadOptions;
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::{
    Api,
    respond::{Family, encoded, read},
    shape,
};
use crate::Absent;

/// The kinds of instances that a mesh counts; all are shown.
const CONNECT_KINDS: [&str; 6] = [
    "api-gateway",
    "connect-native",
    "connect-proxy",
    "ingress-gateway",
    "mesh-gateway",
    "terminating-gateway",
];

/// The counts of a datacenter.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    services: usize,
    service_instances: usize,
    connect_service_instances: BTreeMap<&'static str, usize>,
    billable_service_instances: usize,
    nodes: usize,
}

/// Everything counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Usage;

impl Absent for Counts {}

impl Read for Usage {
    type Output = Counts;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Nodes, Topic::Services]
    }

    fn run(&self, state: &State) -> (Counts, Index) {
        let (nodes, nodes_index) = CatalogNodes::default().run(state);
        let (services, services_index) = CatalogServices::default().run(state);
        let mut counts = Counts { services: services.len(), nodes: nodes.len(), ..Counts::default() };
        counts.connect_service_instances = CONNECT_KINDS.map(|kind| (kind, 0)).into();
        for node in &nodes {
            let (found, _) = CatalogNode { node: node.name.clone() }.run(state);
            found.iter().flat_map(|found| &found.services).for_each(|service| counts.add(service));
        }
        (counts, nodes_index.max(services_index))
    }
}

impl Counts {
    fn add(&mut self, service: &Service) {
        self.service_instances += 1;
        let native = shape::is_native(service);
        let kind = if native { "connect-native" } else { service.kind.as_str() };
        if let Some(count) = self.connect_service_instances.get_mut(kind) {
            *count += 1;
        }
        // The registry itself is not billed, nor what serves the mesh only.
        if service.kind.is_empty() && Caseless::new(&service.name) != Caseless::new("consul") {
            self.billable_service_instances += 1;
        }
    }
}

/// The counts of one datacenter.
enum UsageOf<'a> {
    Here(&'a Counts),
    There(&'a str),
}

impl Serialize for UsageOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Here(counts) => counts.serialize(serializer),
            Self::There(told) => {
                let told: &RawValue = serde_json::from_str(told).map_err(S::Error::custom)?;
                told.serialize(serializer)
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    usage: BTreeMap<&'a str, UsageOf<'a>>,
    index: Index,
    last_contact: u64,
    known_leader: bool,
    consistency_level: &'a str,
    not_modified: bool,
    backend: u8,
    #[serde(rename = "ResultsFilteredByACLs")]
    filtered: bool,
}

/// `GET /v1/operator/usage`; with `?global` of all datacenters that answer.
pub(super) async fn usage(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    // One datacenter is counted, whichever is named (as recorded).
    let asked = ReadOptions { datacenter: None, ..call.read_options()? };
    let others = if call.query.has("global") { others(&api).await } else { BTreeMap::new() };
    let form = Form { datacenter: api.datacenter().clone(), consistency: asked.consistency.name(), others };
    let question = Indexed(Usage);
    read(&api, &asked, Family::Discovery, question, form, |(counts, index), form| {
        let own = (&*form.datacenter, UsageOf::Here(counts));
        let others = form.others.iter().map(|(name, counts)| (name.as_str(), UsageOf::There(counts)));
        encoded(&Shown {
            usage: others.chain([own]).collect(),
            index: *index,
            last_contact: 0,
            known_leader: true,
            consistency_level: form.consistency,
            not_modified: false,
            backend: 0,
            filtered: false,
        })
    })
    .await
}

/// What the answer shows beside the counts.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Form {
    datacenter: Arc<str>,
    consistency: &'static str,
    /// Other datacenters' counts, as they tell them.
    others: BTreeMap<String, String>,
}

/// What the other datacenters tell.
async fn others(api: &Api) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Told {
        usage: BTreeMap<String, Box<RawValue>>,
    }
    let wan = api.registry().wan();
    let mut all = BTreeMap::new();
    for datacenter in &wan.datacenters()[1..] {
        let told: Option<Told> = wan.get(datacenter, "/v1/operator/usage?stale").await;
        let told = told.into_iter().flat_map(|told| told.usage);
        all.extend(told.map(|(name, counts)| (name, String::from(Box::<str>::from(counts)))));
    }
    all
}

/// A question whose answer's body shows its index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Indexed(Usage);

impl Absent for (Counts, Index) {}

impl Read for Indexed {
    type Output = (Counts, Index);

    fn topics(&self) -> Vec<Topic> {
        self.0.topics()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (counts, index) = self.0.run(state);
        let index = index.max(state.restored_at());
        ((counts, index), index)
    }
}
