//! A fixture: what the registry of a test knows, as a file for people.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use registry_wire::catalog::{Node, TextMap};
use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

use super::instance::{Instance, NodeEntry};
use crate::{
    answers::{Answer, CatalogSnippet, KeyAnswer, KeyPair, Surroundings},
    query::{Query, Region},
};

/// What the registry of a test knows.
///
/// ```yaml
/// kv: { app/port: 8080 }
/// services:
///   web:
///     - { node: node-1, address: 10.0.0.1, port: 8080, tags: [v1], status: passing }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fixture {
    /// The name of the own datacenter; `dc1` when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub datacenter: String,
    /// The agent's own node; the first one when none is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// What `item` is, where no list of `for_each` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What `timestamp` tells.
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    pub time: Option<DateTime<Utc>>,
    /// What `env` finds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: TextMap,
    /// What `file` reads, by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: TextMap,
    /// Keys and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kv: BTreeMap<String, Entry>,
    /// Instances by the service's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Vec<Instance>>,
    /// What `services` lists, when it is more than the services above: names and tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<BTreeMap<String, Vec<String>>>,
    /// Nodes, where more matters than that an instance names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeEntry>,
    /// What `caRoots`, `caLeaf`, `peerings` and the like give, in the registry's own form, by the question's id:
    /// `connect.caroots`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, Vec<serde_json::Value>>,
    /// The other datacenters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub datacenters: BTreeMap<String, Part>,
}

/// What another datacenter knows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Part {
    /// Keys and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kv: BTreeMap<String, Entry>,
    /// Instances by the service's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Vec<Instance>>,
    /// What `services` lists, when it is more than the services above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<BTreeMap<String, Vec<String>>>,
    /// Nodes, where more matters than that an instance names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeEntry>,
}

/// A key's value: a text, a number, a truth value, or an object with more than the value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// The value alone.
    Value(String),
    /// The value and what stands beside it.
    #[default]
    Empty,
    /// All of the key.
    Full(FullEntry),
}

/// A key with its value and what stands beside it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FullEntry {
    /// The value as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The value's bytes in base64, when they are no text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub base64: String,
    /// The client's own number.
    #[serde(skip_serializing_if = "is_nought")]
    pub flags: u64,
    /// The session that holds the key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The index of the write that made the key.
    #[serde(skip_serializing_if = "is_nought")]
    pub create_index: u64,
    /// The index of the last write.
    #[serde(skip_serializing_if = "is_nought")]
    pub modify_index: u64,
    /// How often the key was locked.
    #[serde(skip_serializing_if = "is_nought")]
    pub lock_index: u64,
}

/// Why a fixture cannot be used.
#[derive(Debug, Error)]
pub enum FixtureError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that no fixture has.
    #[error("{path}: {reason}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong, with its place.
        reason: String,
    },
}

/// A datacenter's data, wherever it stands.
struct View<'a> {
    kv: &'a BTreeMap<String, Entry>,
    services: &'a BTreeMap<String, Vec<Instance>>,
    catalog: Option<&'a BTreeMap<String, Vec<String>>>,
    /// Those that are listed, then those that only instances name.
    nodes: Vec<NodeEntry>,
    datacenter: &'a str,
}

impl Fixture {
    /// Reads a fixture: JSON from a `.json` file, YAML from any other.
    pub fn read(path: &Path) -> Result<Self, FixtureError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| FixtureError::Read { path: shown.clone(), source })?;
        let json = path.extension().is_some_and(|extension| extension == "json");
        Self::parse(&text, json).map_err(|reason| FixtureError::Parse { path: shown, reason })
    }

    /// Reads a fixture out of a text. The error says where and what.
    pub fn parse(text: &str, json: bool) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if json {
            return serde_json::from_str(text).map_err(|error| error.to_string());
        }
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    /// What functions see around a template that is rendered from this fixture.
    pub fn surroundings(&self, like: &Surroundings) -> Surroundings {
        Surroundings {
            environment: self.env.clone().into_iter().collect(),
            item: like.item.clone().or_else(|| self.item.clone()),
            offline: Some(super::Offline { time: self.time }),
            ..like.clone()
        }
    }

    /// What the registry would answer. Errors when the fixture has no such part, or no such file.
    pub fn answer(&self, query: &Query) -> Result<Answer, String> {
        Ok(match query {
            Query::Key { path, region } => {
                let now = self.view(region)?.kv.get(path).map(|entry| entry.pair(path, path)).transpose()?;
                Answer::Key(KeyAnswer { last: now.clone(), now })
            }
            Query::Prefix { prefix, region } => {
                let view = self.view(region)?;
                let below = view.kv.iter().filter(|(path, _)| path.starts_with(prefix.as_str()));
                let pairs =
                    below.map(|(path, entry)| entry.pair(path, path[prefix.len()..].trim_start_matches('/')));
                Answer::Pairs(pairs.collect::<Result<_, _>>()?)
            }
            Query::Service { name, region, .. } => {
                let view = self.view(region)?;
                let instances = view.services.get(name).map(Vec::as_slice).unwrap_or_default();
                Answer::Instances(super::instance::chosen(name, instances, &view.nodes, query))
            }
            Query::Services { region } => Answer::Services(self.view(region)?.snippets()),
            Query::Node { name, region } => {
                let view = self.view(region)?;
                let first = view.nodes().first().map(|node| node.node.clone()).unwrap_or_default();
                let own = if self.agent.is_empty() { first } else { self.agent.clone() };
                Answer::Node(view.node(if name.is_empty() { &own } else { name }))
            }
            Query::Nodes { region, .. } => Answer::Nodes(self.view(region)?.nodes()),
            Query::Mesh { .. } => {
                let found = self.documents.get(&query.to_string());
                Answer::Documents(found.ok_or("the fixture has no such document")?.clone())
            }
            Query::Datacenters { .. } => {
                let mut names: Vec<String> = self.datacenters.keys().cloned().collect();
                names.push(self.own_datacenter().to_owned());
                names.sort();
                names.dedup();
                Answer::Datacenters(names)
            }
            Query::File { path } => {
                let text = self.files.get(path).ok_or("the fixture has no such file")?;
                Answer::File(text.clone().into_bytes())
            }
        })
    }

    fn own_datacenter(&self) -> &str {
        if self.datacenter.is_empty() { "dc1" } else { &self.datacenter }
    }

    fn view(&self, region: &Region) -> Result<View<'_>, String> {
        if region.parameters().next().is_some() {
            return Err("a fixture has no namespaces, partitions or peers".to_owned());
        }
        if region.datacenter.is_empty() || region.datacenter == self.own_datacenter() {
            return Ok(View {
                kv: &self.kv,
                services: &self.services,
                catalog: self.catalog.as_ref(),
                nodes: all_nodes(&self.nodes, &self.services),
                datacenter: self.own_datacenter(),
            });
        }
        let (name, part) = self
            .datacenters
            .get_key_value(&region.datacenter)
            .ok_or_else(|| format!("the fixture has no datacenter {:?}", region.datacenter))?;
        let Part { kv, services, catalog, nodes } = part;
        let nodes = all_nodes(nodes, services);
        Ok(View { kv, services, catalog: catalog.as_ref(), nodes, datacenter: name })
    }
}

impl View<'_> {
    fn snippets(&self) -> Vec<CatalogSnippet> {
        let derived = || {
            let tags = |instances: &Vec<Instance>| instances.iter().flat_map(|i| i.tags.clone()).collect();
            self.services.iter().map(|(name, instances)| (name.clone(), tags(instances))).collect()
        };
        let catalog: BTreeMap<String, Vec<String>> = self.catalog.cloned().unwrap_or_else(derived);
        let snippet = |(name, mut tags): (String, Vec<String>)| {
            tags.sort();
            tags.dedup();
            CatalogSnippet { name, tags }
        };
        catalog.into_iter().map(snippet).collect()
    }

    fn nodes(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = self.nodes.iter().map(|entry| entry.as_node(self.datacenter)).collect();
        nodes.sort_by(|a, b| (&a.node, &a.address).cmp(&(&b.node, &b.address)));
        nodes
    }

    fn node(&self, name: &str) -> crate::answers::CatalogNode {
        let node = self.nodes().into_iter().find(|node| node.node == name);
        let listed =
            self.nodes.iter().find(|entry| entry.node == name).and_then(|entry| entry.services.clone());
        let derived = || {
            let all = self.services.iter().flat_map(|(service, list)| list.iter().map(move |i| (service, i)));
            all.filter(|(_, instance)| instance.on_node(&self.nodes).node == name)
                .map(|(service, instance)| instance.as_listed(service))
                .collect()
        };
        let mut services: Vec<_> = match (&node, listed) {
            (None, _) => Vec::new(),
            (Some(_), Some(listed)) => listed.iter().map(super::instance::Listed::service).collect(),
            (Some(_), None) => derived(),
        };
        services.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
        crate::answers::CatalogNode { node, services }
    }
}

/// The nodes that are listed, then those that only instances name; one of these that has an address tells it for all.
fn all_nodes(listed: &[NodeEntry], services: &BTreeMap<String, Vec<Instance>>) -> Vec<NodeEntry> {
    let mut nodes = listed.to_vec();
    for named in services.values().flatten().map(|instance| instance.on_node(listed)) {
        match nodes.iter_mut().find(|known| known.node == named.node) {
            None => nodes.push(named),
            Some(known) if known.address.is_empty() => known.address = named.address,
            Some(_) => {}
        }
    }
    nodes
}

impl Entry {
    fn pair(&self, path: &str, key: &str) -> Result<KeyPair, String> {
        use base64::Engine as _;
        let full = match self {
            Self::Value(value) => FullEntry { value: value.clone(), ..FullEntry::default() },
            Self::Empty => FullEntry::default(),
            Self::Full(full) => full.clone(),
        };
        let value = if full.base64.is_empty() {
            full.value.into_bytes()
        } else {
            base64::engine::general_purpose::STANDARD
                .decode(&full.base64)
                .map_err(|error| format!("base64 of {path}: {error}"))?
        };
        Ok(KeyPair {
            path: path.to_owned(),
            key: key.to_owned(),
            value,
            create_index: full.create_index,
            modify_index: full.modify_index,
            lock_index: full.lock_index,
            flags: full.flags,
            session: full.session,
        })
    }
}

fn is_nought(number: &u64) -> bool {
    *number == 0
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Entry;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key's value, or an object with value, base64, flags, session and indexes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Value(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Entry, E> {
                Ok(Entry::Value(number.to_string()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Entry, E> {
                Ok(Entry::Value(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Entry, E> {
                Ok(Entry::Value(number.to_string()))
            }
            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Entry, E> {
                Ok(Entry::Value(truth.to_string()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Entry, E> {
                Ok(Entry::Empty)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                FullEntry::deserialize(de::value::MapAccessDeserializer::new(map)).map(Entry::Full)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Times as RFC 3339 text.
mod rfc3339 {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        let text = String::deserialize(from)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(|error| {
            D::Error::custom(format!("time {text:?}: {error}; write 2026-03-07T09:05:01Z"))
        })?;
        Ok(Some(time.to_utc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(text: &str) -> Fixture {
        Fixture::parse(text, false).unwrap()
    }

    #[test]
    fn values_of_keys_are_written_as_they_come() {
        let fixture = fixture(
            "kv:\n  a: text\n  b: 8080\n  c: true\n  d:\n  e: {base64: aGk=, flags: 3}\n  f: \"007\"\n",
        );
        let value = |key: &str| match fixture.answer(&Query::key(key).unwrap()) {
            Ok(Answer::Key(KeyAnswer { now: Some(pair), .. })) => {
                (String::from_utf8(pair.value).unwrap(), pair.flags)
            }
            other => panic!("{key}: {other:?}"),
        };
        for (key, expected, flags) in [
            ("a", "text", 0),
            ("b", "8080", 0),
            ("c", "true", 0),
            ("d", "", 0),
            ("e", "hi", 3),
            ("f", "007", 0),
        ] {
            assert_eq!(value(key), (expected.to_owned(), flags), "{key}");
        }
    }

    #[test]
    fn what_no_fixture_has_is_refused_with_its_place() {
        for text in ["kv: {a: 1}\nservces: {}\n", "services: {web: [{adress: x}]}", "kv: {a: {valu: x}}"] {
            let error = Fixture::parse(text, false).unwrap_err();
            assert!(error.contains("unknown field"), "{error}");
        }
        assert!(Fixture::parse("{\"time\": \"noon\"}", true).unwrap_err().contains("write 2026"));
    }

    #[test]
    fn nodes_and_services_follow_from_instances() {
        let fixture = fixture(
            "services:\n  web:\n    - {node: n2, address: 10.0.0.2, tags: [b, a]}\n    - {node: n1, node_address: 10.0.0.1, tags: [b]}\n",
        );
        let Ok(Answer::Nodes(nodes)) = fixture.answer(&Query::nodes("").unwrap()) else { panic!("nodes") };
        let names: Vec<_> = nodes.iter().map(|n| format!("{} {}", n.node, n.address)).collect();
        assert_eq!(names, ["n1 10.0.0.1", "n2 10.0.0.2"]);
        let Ok(Answer::Services(list)) = fixture.answer(&Query::services("").unwrap()) else {
            panic!("services")
        };
        assert_eq!(list, [CatalogSnippet { name: "web".into(), tags: vec!["a".into(), "b".into()] }]);
        let Ok(Answer::Node(node)) = fixture.answer(&Query::node("n2").unwrap()) else { panic!("a node") };
        assert_eq!(node.services.len(), 1);
    }

    #[test]
    fn another_datacenter_and_what_is_not_there() {
        let fixture = fixture("kv: {a: 1}\ndatacenters:\n  dc2:\n    kv: {a: 2}\n");
        let value = |key: &str| match fixture.answer(&Query::key(key).unwrap()) {
            Ok(Answer::Key(KeyAnswer { now, .. })) => now.map(|pair| pair.value),
            other => panic!("{other:?}"),
        };
        assert_eq!(value("a@dc2"), Some(b"2".to_vec()));
        assert_eq!(value("a@dc1"), Some(b"1".to_vec()));
        assert_eq!(value("b"), None);
        assert!(fixture.answer(&Query::key("a@dc3").unwrap()).is_err());
        assert!(fixture.answer(&Query::key("a?ns=x").unwrap()).is_err());
        assert!(fixture.answer(&Query::file("/nope")).is_err());
    }
}
