//! Health: instances with their checks, and checks by service, node and state.

use std::sync::Arc;

use crate::{
    Caseless, Check, Index, Node, Service, State, Status, Stored, Topic,
    read::{
        NodeMeta, Read, at_least_one,
        catalog::{node_of, service_index},
        has_meta, has_tags, nodes_with,
    },
};

/// An instance, its node and all checks that bear on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthInstance {
    /// The node.
    pub node: Arc<Stored<Node>>,
    /// The instance.
    pub service: Arc<Stored<Service>>,
    /// The node's own checks, then the instance's, each in order of their ids.
    pub checks: Vec<Arc<Stored<Check>>>,
}

impl HealthInstance {
    /// The worst status of its checks; passing without checks.
    pub fn status(&self) -> Status {
        self.checks.iter().map(|check| check.state()).max().unwrap_or(Status::Passing)
    }
}

/// The instances of a service with their health, in order of node and id: `GET /v1/health/service/:service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HealthService {
    /// The service's name.
    pub service: Caseless,
    /// Only instances with all of these tags, in any case.
    pub tags: Vec<String>,
    /// Only instances on nodes with these pairs.
    pub node_meta: NodeMeta,
    /// Only instances all of whose checks pass.
    pub passing: bool,
}

impl HealthService {
    /// The index of an answer that shows nothing that hangs on the service, as when no proxy speaks for it: that of the last service to
    /// vanish, before any vanished its own.
    pub fn index_of_nothing(&self, state: &State) -> Index {
        match state.indexes.service_extinction {
            0 => self.run(state).1,
            vanished => vanished,
        }
    }
}

impl Read for HealthService {
    type Output = Vec<HealthInstance>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Service(self.service.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let mut instances = Vec::new();
        for (name, service) in state.catalog.instances_of(&self.service) {
            let node = node_of(state, name);
            if !has_tags(&service.tags, &self.tags) || !has_meta(node, &self.node_meta) {
                continue;
            }
            let own = Caseless::new(&service.id);
            let of_node = state.catalog.checks_on(name, &Caseless::default());
            let checks = of_node.chain(state.catalog.checks_on(name, &own)).cloned().collect();
            let instance = HealthInstance { node: node.clone(), service: service.clone(), checks };
            if !self.passing || instance.status() == Status::Passing {
                instances.push(instance);
            }
        }
        let tables = state.indexes.nodes.max(state.indexes.services).max(state.indexes.checks);
        (instances, service_index(state, &self.service, tables))
    }
}

/// The checks of a service's instances, in order of node and id: `GET /v1/health/checks/:service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HealthChecks {
    /// The service's name.
    pub service: Caseless,
    /// Only checks on nodes with these pairs.
    pub node_meta: NodeMeta,
}

impl Read for HealthChecks {
    type Output = Vec<Arc<Stored<Check>>>;

    fn topics(&self) -> Vec<Topic> {
        let service = if self.node_meta.is_empty() { Topic::ServiceChecks } else { Topic::Service };
        vec![service(self.service.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let mut found = Vec::new();
        for (name, service) in state.catalog.instances_of(&self.service) {
            if has_meta(node_of(state, name), &self.node_meta) {
                let checks = state.catalog.checks_on(name, &Caseless::new(&service.id));
                found.extend(checks.map(|check| (name, Caseless::new(&check.check_id), check)));
            }
        }
        found.sort_by(|(n1, c1, _), (n2, c2, _)| (n1, c1).cmp(&(n2, c2)));
        let checks = found.into_iter().map(|(.., check)| check.clone()).collect();
        let index = if self.node_meta.is_empty() {
            at_least_one(state.indexes.checks)
        } else {
            service_index(state, &self.service, state.indexes.checks)
        };
        (checks, index)
    }
}

/// The checks on a node, its own and its instances', in order of their ids: `GET /v1/health/node/:node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HealthNode {
    /// The node's name.
    pub node: Caseless,
}

impl Read for HealthNode {
    type Output = Vec<Arc<Stored<Check>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::NodeChecks(self.node.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let checks = state.catalog.checks_of(&self.node).cloned().collect();
        (checks, at_least_one(state.indexes.checks))
    }
}

/// The checks in a state, in order of node and id: `GET /v1/health/state/:state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HealthState {
    /// `passing`, `warning`, `critical` or another word that was stored, in any case; `any` is every state.
    pub state: Caseless,
    /// Only checks on nodes with these pairs.
    pub node_meta: NodeMeta,
}

impl HealthState {
    /// The word for every state.
    const ANY: &str = "any";
}

impl Read for HealthState {
    type Output = Vec<Arc<Stored<Check>>>;

    fn topics(&self) -> Vec<Topic> {
        let any = self.state.as_str() == Self::ANY;
        let checks = if any { Topic::Checks } else { Topic::ChecksInState(self.state.clone()) };
        [checks].into_iter().chain(nodes_with(&self.node_meta)).collect()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let any = self.state.as_str() == Self::ANY;
        let mut checks = Vec::new();
        for ((node, _), check) in &state.catalog.checks {
            let fits = any || self.state.is(&check.status);
            if fits && (self.node_meta.is_empty() || has_meta(node_of(state, node), &self.node_meta)) {
                checks.push(check.clone());
            }
        }
        (checks, at_least_one(state.indexes.checks))
    }
}
