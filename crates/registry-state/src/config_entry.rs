//! Configuration entries: kept for who asks, acted on by nobody.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{
    Caseless, ConfigEntry, Index, Outcome, State, Stored, Topic, WriteError,
    state::{Change, done},
};

/// A write of one entry: `PUT /v1/config`. An equal entry is left alone, whatever the condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPut {
    /// The entry.
    pub entry: ConfigEntry,
    /// Only if the entry's ModifyIndex is this one; 0 means that it must not exist.
    #[serde(default)]
    pub cas: Option<Index>,
}

/// Removes one entry: `DELETE /v1/config/:kind/:name`. An absent one is fine, whatever the condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDelete {
    /// The kind.
    pub kind: Arc<str>,
    /// The name, in any case.
    pub name: String,
    /// Only if the entry's ModifyIndex is this one.
    #[serde(default)]
    pub cas: Option<Index>,
}

/// The entries by kind and name, in this order.
pub(crate) type ConfigTable = OrdMap<(Arc<str>, Caseless), Arc<Stored<ConfigEntry>>>;

/// Kinds that share one set of names: the gateways that stand for services.
const SHARED_NAMES: [&str; 2] = ["ingress-gateway", "terminating-gateway"];
/// What stands for all services.
const ALL_SERVICES: &str = "*";
/// The kind that names services outside.
const SERVICE_DEFAULTS: &str = "service-defaults";

impl State {
    pub(crate) fn config_put(&mut self, change: &mut Change, put: &ConfigPut) -> Outcome {
        let key = (put.entry.kind.clone(), Caseless::new(&put.entry.name));
        let old = self.config.get(&key);
        if old.is_some_and(|old| old.value == put.entry) {
            return Outcome::Done;
        }
        if put.cas.is_some_and(|cas| old.map_or(0, |old| old.modify_index) != cas) {
            return Outcome::Refused;
        }
        if let Some(other) = self.config_name_taken(&put.entry) {
            let (kind, name) = (put.entry.kind.to_string(), put.entry.name.clone());
            return Outcome::Failed(WriteError::ConfigNameTaken { kind, name, other });
        }
        let stored = Stored::replacing(old.map(Arc::as_ref), put.entry.clone(), change.index);
        self.config.insert(key.clone(), stored);
        self.config_changed(change, key);
        Outcome::Done
    }

    pub(crate) fn config_delete(&mut self, change: &mut Change, delete: &ConfigDelete) -> Outcome {
        let key = (delete.kind.clone(), Caseless::new(&delete.name));
        let Some(old) = self.config.get(&key) else { return done(true) };
        if delete.cas.is_some_and(|cas| cas != old.modify_index) {
            return done(false);
        }
        self.config.remove(&key);
        self.config_changed(change, key);
        done(true)
    }

    /// The other kind of gateway that has this name.
    fn config_name_taken(&self, entry: &ConfigEntry) -> Option<String> {
        let name = Caseless::new(&entry.name);
        let shares = SHARED_NAMES.contains(&&*entry.kind);
        let mut others = SHARED_NAMES.iter().filter(|kind| shares && **kind != &*entry.kind);
        others
            .find(|kind| self.config.contains_key(&(Arc::from(**kind), name.clone())))
            .map(|k| (*k).to_owned())
    }

    /// Gateways in order of their names, ingress gateways first.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = &Arc<Stored<ConfigEntry>>> {
        SHARED_NAMES.into_iter().flat_map(|kind| {
            let kind = Arc::<str>::from(kind);
            let range = self.config.range((kind.clone(), Caseless::default())..);
            range.take_while(move |((k, _), _)| *k == kind).map(|(_, entry)| entry)
        })
    }

    /// A service's name came or went: gateways that stand for it have another list.
    pub(crate) fn touch_gateways_of(&mut self, change: &mut Change, service: &Caseless) {
        let stands = |gateway: &Arc<Stored<ConfigEntry>>| {
            gateway.services.iter().any(|name| name == ALL_SERVICES || service.is(name))
        };
        if self.gateways().any(stands) {
            self.touch_gateways(change);
        }
    }

    fn touch_gateways(&mut self, change: &mut Change) {
        self.indexes.gateways = change.index;
        change.topics.add(Topic::Gateways);
    }

    fn config_changed(&mut self, change: &mut Change, (kind, name): (Arc<str>, Caseless)) {
        self.indexes.config = change.index;
        if SHARED_NAMES.contains(&&*kind) {
            self.touch_gateways(change);
        } else if &*kind == SERVICE_DEFAULTS {
            self.touch_gateways_of(change, &name);
        }
        change.topics.add(Topic::ConfigEntries);
        change.topics.add(Topic::ConfigKind(kind.clone()));
        change.topics.add(Topic::ConfigEntry(kind, name));
    }
}
