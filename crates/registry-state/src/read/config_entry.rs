//! Configuration entries: one, those of a kind, those of gateways, or all.

use std::sync::Arc;

use crate::{
    Caseless, ConfigEntry, Index, State, Stored, Topic,
    read::{Read, at_least_one},
};

/// One entry: `GET /v1/config/:kind/:name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigGet {
    /// The kind.
    pub kind: Arc<str>,
    /// The name, in any case.
    pub name: Caseless,
}

impl Read for ConfigGet {
    type Output = Option<Arc<Stored<ConfigEntry>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::ConfigEntry(self.kind.clone(), self.name.clone())]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let found = state.config.get(&(self.kind.clone(), self.name.clone())).cloned();
        (found, at_least_one(state.indexes.config))
    }
}

/// The entries of a kind, or all, in order of kind and name: `GET /v1/config/:kind`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigList {
    /// The kind; `None` for all.
    pub kind: Option<Arc<str>>,
}

impl Read for ConfigList {
    type Output = Vec<Arc<Stored<ConfigEntry>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![self.kind.clone().map_or(Topic::ConfigEntries, Topic::ConfigKind)]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let found: Self::Output = match &self.kind {
            None => state.config.values().cloned().collect(),
            Some(kind) => {
                let from = (kind.clone(), Caseless::default());
                let range = state.config.range(from..).take_while(|((k, _), _)| k == kind);
                range.map(|(_, entry)| entry.clone()).collect()
            }
        };
        (found, at_least_one(state.indexes.config))
    }
}

/// The entries of gateways that stand for services, ingress gateways first. The index moves also when the services do that a gateway
/// for all of them stands for: `GET /v1/catalog/gateway-services/:gateway`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gateways;

impl Read for Gateways {
    type Output = Vec<Arc<Stored<ConfigEntry>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Gateways]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        (state.gateways().cloned().collect(), at_least_one(state.indexes.gateways))
    }
}
