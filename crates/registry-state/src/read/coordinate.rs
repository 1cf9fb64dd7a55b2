//! Where nodes are.

use std::sync::Arc;

use crate::{
    Caseless, Index, NodeCoordinate, State, Stored, Topic,
    read::{Read, at_least_one},
};

/// The coordinates of all nodes, in order of node and segment: `GET /v1/coordinate/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    /// Only those of this segment; `None` is all.
    pub segment: Option<String>,
}

impl Read for Coordinates {
    type Output = Vec<Arc<Stored<NodeCoordinate>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Coordinates]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let wanted = |segment: &str| self.segment.as_deref().is_none_or(|wanted| wanted == segment);
        let found = state.coordinates.0.values().filter(|entry| wanted(&entry.segment)).cloned();
        (found.collect(), at_least_one(state.indexes.coordinates))
    }
}

/// The coordinates of one node, in order of their segments: `GET /v1/coordinate/node/:node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinateOf {
    /// The node's name.
    pub node: Caseless,
    /// Only the one of this segment; `None` is all.
    pub segment: Option<String>,
}

impl Read for CoordinateOf {
    type Output = Vec<Arc<Stored<NodeCoordinate>>>;

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::Coordinates]
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let wanted = |segment: &str| self.segment.as_deref().is_none_or(|wanted| wanted == segment);
        let found = state.coordinates.of_node(&self.node).filter(|entry| wanted(&entry.segment)).cloned();
        (found.collect(), at_least_one(state.indexes.coordinates))
    }
}
