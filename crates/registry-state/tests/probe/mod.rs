//! Every read over every name that random commands use.

use std::fmt::Debug;

use registry_state::{
    Caseless, Index, Key, State, Topic,
    read::{
        CatalogAddress, CatalogNode, CatalogNodes, CatalogService, CatalogServices, CoordinateOf,
        Coordinates, EventsAfter, HealthChecks, HealthNode, HealthService, HealthState, KvGet, KvKeys,
        KvList, Read, SessionInfo, SessionList, SessionsOfNode,
    },
};

use crate::names::{KEYS, NODES, PREFIXES, SERVICES, SESSIONS, STATES};

/// A read whose answer is compared as text.
pub(crate) trait Probe {
    fn name(&self) -> String;
    fn topics(&self) -> Vec<Topic>;
    fn ask(&self, state: &State) -> (String, Index);
}

impl<R: Read + Debug> Probe for R
where
    R::Output: Debug,
{
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn topics(&self) -> Vec<Topic> {
        Read::topics(self)
    }

    fn ask(&self, state: &State) -> (String, Index) {
        let (output, index) = self.run(state);
        (format!("{output:?}"), index)
    }
}

/// Every read whose index tells of its answer alone.
pub(crate) fn probes() -> Vec<Box<dyn Probe>> {
    let mut probes: Vec<Box<dyn Probe>> = vec![
        Box::new(CatalogNodes::default()),
        Box::new(CatalogServices::default()),
        Box::new(SessionList),
        Box::new(Coordinates::default()),
        Box::new(EventsAfter { after: Some(0) }),
        Box::new(CatalogAddress { address: [10, 0, 0, 1].into() }),
        Box::new(HealthState { state: "any".into(), node_meta: Vec::new() }),
    ];
    for key in KEYS {
        probes.push(Box::new(KvGet { key: key.into() }));
    }
    for prefix in PREFIXES {
        probes.push(Box::new(KvList { prefix: prefix.into() }));
        probes.push(Box::new(KvKeys { prefix: prefix.into(), separator: Key::from("/") }));
    }
    for node in NODES {
        probes.push(Box::new(CatalogNode { node: node.to_owned() }));
        probes.push(Box::new(CoordinateOf { node: node.into(), segment: None }));
        probes.push(Box::new(HealthNode { node: node.into() }));
        probes.push(Box::new(SessionsOfNode { node: node.into() }));
    }
    for service in SERVICES {
        let service = Caseless::new(service);
        probes.push(Box::new(CatalogService { service: service.clone(), ..CatalogService::default() }));
        let passing = true;
        probes.push(Box::new(HealthService {
            service: service.clone(),
            passing,
            ..HealthService::default()
        }));
        probes.push(Box::new(HealthService { service: service.clone(), ..HealthService::default() }));
        probes.push(Box::new(HealthChecks { service, node_meta: Vec::new() }));
    }
    for state in STATES {
        probes.push(Box::new(HealthState { state: state.into(), node_meta: Vec::new() }));
    }
    for id in SESSIONS {
        probes.push(Box::new(SessionInfo { id: id.into() }));
    }
    probes
}
