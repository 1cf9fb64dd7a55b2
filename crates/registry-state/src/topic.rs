//! What changed, and who waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use crate::{Caseless, Key, QueryId, SessionId};

/// A part of the state that a reader can wait for.
///
/// A write names exactly what it changed; [`Interests`] finds who waits. Only [`Topic::KeyPrefix`] and
/// [`Topic::NodeIdPrefix`] are never named by a write: they stand for every [`Topic::Key`] and [`Topic::NodeId`] that
/// starts with them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// One key, there or not.
    Key(Key),
    /// For waiters: every key that starts with these bytes.
    KeyPrefix(Key),
    /// The list of nodes. Instances coming and going move its index, as in Consul, but wake nobody, as there.
    Nodes,
    /// The nodes that have this pair in their metadata.
    NodesWith(String, String),
    /// One node by name: its record and its instances.
    Node(Caseless),
    /// One node by id, together with [`Topic::Node`].
    NodeId(Caseless),
    /// For waiters: every node whose id starts with this.
    NodeIdPrefix(Caseless),
    /// The list of services with their tags.
    Services,
    /// Everything an answer about one service shows: instances, their nodes, all checks that bear on them.
    Service(Caseless),
    /// The checks that belong to one service's instances.
    ServiceChecks(Caseless),
    /// All checks.
    Checks,
    /// The checks in one state.
    ChecksInState(Caseless),
    /// The checks on one node, its own and its instances'.
    NodeChecks(Caseless),
    /// The coordinates of nodes.
    Coordinates,
    /// The user events.
    Events,
    /// All sessions.
    Sessions,
    /// One session.
    Session(SessionId),
    /// The sessions of one node.
    NodeSessions(Caseless),
    /// All prepared queries.
    Queries,
    /// One prepared query.
    Query(QueryId),
    /// The autopilot's settings.
    Autopilot,
    /// All configuration entries.
    ConfigEntries,
    /// The configuration entries of one kind.
    ConfigKind(Arc<str>),
    /// Which services gateways stand for.
    Gateways,
    /// One configuration entry, by kind and name.
    ConfigEntry(Arc<str>, Caseless),
}

/// The parts of the state that one command changed; empty when nothing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    some: BTreeSet<Topic>,
    /// The whole state was replaced.
    all: bool,
}

impl Topics {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        !self.all && self.some.is_empty()
    }

    /// Whether everything changed, as by a restore: every waiter wakes, whatever it waits for.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// The topics, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.some.iter()
    }

    /// Takes in another command's topics, so that a batch wakes each waiter once.
    pub fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.some.extend(other.some);
    }

    pub(crate) fn add(&mut self, topic: Topic) {
        self.some.insert(topic);
    }

    pub(crate) fn add_all(&mut self) {
        self.all = true;
    }
}

/// Who waits for what: one `W` for each topic somebody waits for.
///
/// A changed key finds the waiters on its prefixes by walking down the prefixes that are waited for, not by trying
/// every length.
#[derive(Clone, Debug)]
pub struct Interests<W> {
    exact: BTreeMap<Topic, W>,
    key_prefixes: BTreeMap<Vec<u8>, W>,
    node_id_prefixes: BTreeMap<Vec<u8>, W>,
}

impl<W> Default for Interests<W> {
    fn default() -> Self {
        Self { exact: BTreeMap::new(), key_prefixes: BTreeMap::new(), node_id_prefixes: BTreeMap::new() }
    }
}

impl<W> Interests<W> {
    /// What waits for this topic; made with `W::default()` at first.
    pub fn entry(&mut self, topic: &Topic) -> &mut W
    where
        W: Default,
    {
        match topic {
            Topic::KeyPrefix(prefix) => self.key_prefixes.entry(prefix.as_bytes().to_vec()).or_default(),
            Topic::NodeIdPrefix(prefix) => {
                self.node_id_prefixes.entry(prefix.as_str().as_bytes().to_vec()).or_default()
            }
            topic => self.exact.entry(topic.clone()).or_default(),
        }
    }

    /// What waits for this topic, if anything does.
    pub fn get(&self, topic: &Topic) -> Option<&W> {
        match topic {
            Topic::KeyPrefix(prefix) => self.key_prefixes.get(prefix.as_bytes()),
            Topic::NodeIdPrefix(prefix) => self.node_id_prefixes.get(prefix.as_str().as_bytes()),
            topic => self.exact.get(topic),
        }
    }

    /// Nobody waits for this topic any more.
    pub fn remove(&mut self, topic: &Topic) -> Option<W> {
        match topic {
            Topic::KeyPrefix(prefix) => self.key_prefixes.remove(prefix.as_bytes()),
            Topic::NodeIdPrefix(prefix) => self.node_id_prefixes.remove(prefix.as_str().as_bytes()),
            topic => self.exact.remove(topic),
        }
    }

    /// How many topics are waited for.
    pub fn len(&self) -> usize {
        self.exact.len() + self.key_prefixes.len() + self.node_id_prefixes.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything that waits, for a change of the whole state (a restored snapshot).
    pub fn all(&self) -> impl Iterator<Item = &W> {
        self.exact.values().chain(self.key_prefixes.values()).chain(self.node_id_prefixes.values())
    }

    /// Calls `wake` for everything that waits for one of these topics; more than once for a waiter on several of them.
    pub fn woken_by<'a>(&'a self, topics: &Topics, mut wake: impl FnMut(&'a W)) {
        if topics.all {
            return self.all().for_each(wake);
        }
        for topic in topics.iter() {
            if let Some(waiting) = self.exact.get(topic) {
                wake(waiting);
            }
            match topic {
                Topic::Key(key) => prefixes_of(&self.key_prefixes, key.as_bytes(), &mut wake),
                Topic::NodeId(id) => prefixes_of(&self.node_id_prefixes, id.as_str().as_bytes(), &mut wake),
                _ => {}
            }
        }
    }
}

/// Visits every entry whose key is a prefix of `bytes`, longest first.
///
/// Prefixes of `bytes` sort at or before it. The greatest entry at or before the current bound is either such a prefix,
/// or it shows, by what it has in common with `bytes`, how long the next one can be at most.
fn prefixes_of<'a, W>(map: &'a BTreeMap<Vec<u8>, W>, bytes: &[u8], visit: &mut impl FnMut(&'a W)) {
    let mut length = bytes.len();
    while let Some((candidate, waiting)) = map.range::<[u8], _>(up_to(&bytes[..length])).next_back() {
        let common = candidate.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        if common < candidate.len() {
            length = common;
            continue;
        }
        visit(waiting);
        let Some(shorter) = candidate.len().checked_sub(1) else { return };
        length = shorter;
    }
}

fn up_to(bytes: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(waiting: &[&str], key: &str) -> Vec<String> {
        let mut interests = Interests::<String>::default();
        for prefix in waiting {
            *interests.entry(&Topic::KeyPrefix(Key::from(*prefix))) = (*prefix).to_owned();
        }
        let mut topics = Topics::default();
        topics.add(Topic::Key(Key::from(key)));
        let mut found = Vec::new();
        interests.woken_by(&topics, |w| found.push(w.clone()));
        found
    }

    #[test]
    fn a_key_wakes_every_prefix_on_its_path_and_no_other() {
        let waiting = ["", "a", "a/", "a/b", "a/b/c", "a/b/x", "a0", "b", "a/b/c/d"];
        assert_eq!(woken(&waiting, "a/b/c"), ["a/b/c", "a/b", "a/", "a", ""]);
        assert_eq!(woken(&waiting, "a/c"), ["a/", "a", ""]);
        assert_eq!(woken(&waiting, "c"), [""]);
        assert_eq!(woken(&waiting[1..], "c"), [] as [&str; 0]);
        assert_eq!(woken(&["ab", "abz", "abc\u{ff}"], "abd"), ["ab"]);
    }

    #[test]
    fn an_exact_waiter_wakes_for_its_own_topic() {
        let mut interests = Interests::<u8>::default();
        *interests.entry(&Topic::Key(Key::from("a"))) = 1;
        *interests.entry(&Topic::Service("web".into())) = 2;
        *interests.entry(&Topic::NodeIdPrefix("9f1c".into())) = 3;
        let mut topics = Topics::default();
        topics.add(Topic::Service("WEB".into()));
        topics.add(Topic::NodeId("9F1C1A34".into()));
        let mut found = Vec::new();
        interests.woken_by(&topics, |w| found.push(*w));
        assert_eq!(found, [3, 2]);
        assert_eq!(interests.remove(&Topic::Service("web".into())), Some(2));
        assert_eq!(interests.len(), 2);
    }
}
