//! Where nodes are in the space whose distances are round trips.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{Caseless, CoordinateUpdate, State, Stored, Topic, state::Change};

/// A point with a height and an adjustment, all in seconds. Two are equal when all their bits are.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Coordinate {
    /// The point.
    pub vec: [f64; 8],
    /// How far it may be off, relative to the distance.
    pub error: f64,
    /// What trips are longer or shorter than the space says.
    pub adjustment: f64,
    /// What the node adds to every trip.
    pub height: f64,
}

impl Coordinate {
    fn bits(&self) -> impl Iterator<Item = u64> {
        let [a, b, c, d, e, f, g, h] = self.vec;
        let numbers = [a, b, c, d, e, f, g, h, self.error, self.adjustment, self.height];
        numbers.into_iter().map(f64::to_bits)
    }
}

impl PartialEq for Coordinate {
    fn eq(&self, other: &Self) -> bool {
        self.bits().eq(other.bits())
    }
}

impl Eq for Coordinate {}

/// A node's coordinate in one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeCoordinate {
    /// The node's name as the catalog spells it.
    pub node: String,
    /// The network segment; empty is the usual one.
    pub segment: String,
    /// Where it is.
    pub coordinate: Coordinate,
}

/// A coordinate's entry, as reads hand it out.
pub(crate) type CoordinateEntry = Arc<Stored<NodeCoordinate>>;

/// The coordinates, by node and segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Coordinates(pub(crate) OrdMap<(Caseless, String), CoordinateEntry>);

impl Coordinates {
    /// A node's coordinates, in order of their segments.
    pub(crate) fn of_node<'a>(&'a self, node: &'a Caseless) -> impl Iterator<Item = &'a CoordinateEntry> {
        let from = (node.clone(), String::new());
        self.0.range(from..).take_while(move |((n, _), _)| n == node).map(|(_, entry)| entry)
    }

    /// Takes an entry as it is.
    pub(crate) fn load(&mut self, entry: CoordinateEntry) {
        self.0.insert((Caseless::new(&entry.node), entry.segment.clone()), entry);
    }
}

impl State {
    /// Writes where a node is. The same again, and an unknown node, change nothing.
    pub(crate) fn update_coordinate(&mut self, change: &mut Change, update: &CoordinateUpdate) {
        let name = Caseless::new(&update.node);
        let Some(node) = self.catalog.nodes.get(&name) else { return };
        let old = self.coordinates.0.get(&(name, update.segment.clone()));
        if old.is_some_and(|old| old.coordinate == update.coordinate) {
            return;
        }
        let value = NodeCoordinate {
            node: node.name.clone(),
            segment: update.segment.clone(),
            coordinate: update.coordinate,
        };
        let entry = Stored::replacing(old.map(|old| &**old), value, change.index);
        self.coordinates.load(entry);
        self.coordinates_changed(change);
    }

    /// A node is gone, and where it was with it.
    pub(crate) fn drop_coordinates(&mut self, change: &mut Change, node: &Caseless) {
        let segments: Vec<String> =
            self.coordinates.of_node(node).map(|entry| entry.segment.clone()).collect();
        if segments.is_empty() {
            return;
        }
        for segment in segments {
            self.coordinates.0.remove(&(node.clone(), segment));
        }
        self.coordinates_changed(change);
    }

    fn coordinates_changed(&mut self, change: &mut Change) {
        self.indexes.coordinates = change.index;
        change.topics.add(Topic::Coordinates);
    }
}
