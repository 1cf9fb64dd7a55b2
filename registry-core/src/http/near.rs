//! `?near=`: what is on the nearest nodes first.
//!
//! [`sort`] is for whoever has a list of things on nodes, [`read`] for endpoints that answer with such a list.

use std::{hash::Hash, sync::Arc};

use http_api::{Answer, ApiError, Call};
use registry_state::{
    Caseless, Check, Index, Node, State, Stored, Topic,
    read::{CoordinateOf, Coordinates, HealthInstance, Read, ServiceInstance},
};
use registry_wire::{coordinate::Coordinate, options::ReadOptions};

use super::{
    Api, asking_node,
    respond::{self, Encoded, Family},
    shape,
};

/// What stands for the node of the agent that was asked.
const AGENT: &str = "_agent";

/// Something that is on a node.
pub(crate) trait OnNode {
    /// The node's name.
    fn node(&self) -> &str;
}

/// Sorts by the round trip from a node, the nearest first; nodes without a coordinate last, and equals as they were.
///
/// A node of which no coordinate is known leaves the order as it is.
pub(crate) fn sort<T: OnNode>(state: &State, from: &Caseless, found: &mut [T]) {
    let here = places(state, from.clone());
    if !here.is_empty() {
        found.sort_by_cached_key(|item| Distance::between(&here, &places(state, Caseless::new(item.node()))));
    }
}

/// The node from which an answer is sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct From {
    node: Caseless,
    /// The index of the coordinates when it was asked: an answer encoded before they changed is another's.
    coordinates: Index,
}

impl From {
    /// The node that `?near=` names, if it names one.
    pub(super) fn of(api: &Api, call: &Call) -> Option<Self> {
        let near = call.query.filled("near")?;
        let own = || asking_node(call).unwrap_or(&api.0.registry.settings().node_name);
        let node = Caseless::new(if near == AGENT { own() } else { &near });
        let (_, coordinates) = Coordinates::default().run(&api.0.registry.store().state());
        Some(Self { node, coordinates })
    }
}

/// A question whose answer comes sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Near<R> {
    question: R,
    from: From,
}

impl<R, T> Read for Near<R>
where
    R: Read<Output = Vec<T>>,
    T: OnNode,
{
    type Output = Vec<T>;

    fn topics(&self) -> Vec<Topic> {
        self.question.topics()
    }

    fn run(&self, state: &State) -> (Self::Output, Index) {
        let (mut found, index) = self.question.run(state);
        sort(state, &self.from.node, &mut found);
        (found, index)
    }
}

/// Answers a question, sorted if it is asked for from somewhere; as [`respond::read`] otherwise.
pub(super) async fn read<R, T, F>(
    api: &Api,
    from: Option<From>,
    asked: &ReadOptions,
    family: Family,
    question: R,
    form: F,
    encode: fn(&Vec<T>, &F) -> Encoded,
) -> Result<Answer, ApiError>
where
    R: Read<Output = Vec<T>> + Hash + Send + Sync + 'static,
    T: OnNode + Send + 'static,
    F: Hash + Send + Sync + 'static,
{
    match from {
        Some(from) => respond::read(api, asked, family, Near { question, from }, form, encode).await,
        None => respond::read(api, asked, family, question, form, encode).await,
    }
}

/// A node's coordinates by segment.
fn places(state: &State, node: Caseless) -> Vec<(String, Coordinate)> {
    let (found, _) = CoordinateOf { node, segment: None }.run(state);
    let places = found.iter().map(|entry| shape::coordinate(entry));
    places.map(|entry| (entry.segment, entry.coord)).collect()
}

/// A round trip, in an order that puts the unknown last.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Distance(f64);

impl Distance {
    /// The round trip in the first segment that both are in; coordinates of different segments cannot be compared.
    fn between(here: &[(String, Coordinate)], there: &[(String, Coordinate)]) -> Self {
        let in_one = here.iter().find_map(|(segment, from)| {
            let (_, to) = there.iter().find(|(other, _)| other == segment)?;
            Some(from.distance(to))
        });
        Self(in_one.unwrap_or(f64::INFINITY))
    }
}

impl Eq for Distance {}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl OnNode for Arc<Stored<Node>> {
    fn node(&self) -> &str {
        &self.name
    }
}

impl OnNode for Arc<Stored<Check>> {
    fn node(&self) -> &str {
        &self.node
    }
}

impl OnNode for ServiceInstance {
    fn node(&self) -> &str {
        &self.node.name
    }
}

impl OnNode for HealthInstance {
    fn node(&self) -> &str {
        &self.node.name
    }
}

#[cfg(test)]
mod tests {
    use registry_state::{
        Action, Command, Coordinate as Place, CoordinateUpdate, Register, read::CatalogNodes,
    };

    use super::*;

    fn state() -> State {
        let mut state = State::default();
        for (name, place) in
            [("a", Some(0.01)), ("b", None), ("c", Some(0.002)), ("d", Some(0.03)), ("e", None)]
        {
            let node = Node { name: name.into(), address: "10.0.0.1".into(), ..Node::default() };
            let mut actions = vec![Action::Register(Box::new(Register { node, ..Register::default() }))];
            actions.extend(place.map(|x| {
                let coordinate = Place { vec: [x, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], ..Place::default() };
                let node = name.to_owned();
                Action::UpdateCoordinate(CoordinateUpdate { node, coordinate, segment: String::new() })
            }));
            actions.into_iter().for_each(|action| drop(state.apply(&Command { at_ms: 1, action })));
        }
        state
    }

    fn nodes_near(node: &str) -> String {
        let from = From { node: Caseless::new(node), coordinates: 0 };
        let question = Near { question: CatalogNodes::default(), from };
        question.run(&state()).0.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn the_nearest_come_first_and_those_nobody_knows_last() {
        assert_eq!(nodes_near("D"), "dacbe");
        assert_eq!(nodes_near("c"), "cadbe");
        assert_eq!(nodes_near("b"), "abcde", "nothing is near to a place that nobody knows");
        assert_eq!(nodes_near("nope"), "abcde");
    }
}
