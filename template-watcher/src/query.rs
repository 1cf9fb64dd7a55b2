//! Questions to the registry: how templates write them, and the one canonical form that templates share.
//!
//! `key`, `keyExists` and `keyOrDefault` on one key are one question; so are `ls`, `tree` and their safe twins on one
//! prefix. The grammar is consul-template's (its README, "Templating language").

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One question. Equal questions are asked once for all templates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Query {
    /// The value of a key.
    Key {
        /// The key without a leading slash.
        path: String,
        /// Where to ask.
        region: Region,
    },
    /// All keys that begin with a text, folder or not: `a/b` also finds `a/bc`.
    Prefix {
        /// The prefix without a leading slash.
        prefix: String,
        /// Where to ask.
        region: Region,
    },
    /// The instances of a service.
    Service {
        /// The service's name.
        name: String,
        /// Only instances with this tag; empty for all.
        tag: String,
        /// Only instances in one of these states; empty for all states.
        states: Vec<State>,
        /// Sort by distance from this node; `_agent` is the agent's own.
        near: String,
        /// Only instances of the service mesh.
        connect: bool,
        /// Where to ask.
        region: Region,
    },
    /// The names of all services with their tags.
    Services {
        /// Where to ask.
        region: Region,
    },
    /// One node with its services; an empty name is the agent's own.
    Node {
        /// The node's name.
        name: String,
        /// Where to ask.
        region: Region,
    },
    /// All nodes.
    Nodes {
        /// Sort by distance from this node.
        near: String,
        /// Where to ask.
        region: Region,
    },
    /// The names of the datacenters.
    Datacenters {
        /// Leave those out that do not answer.
        reachable_only: bool,
    },
    /// What few registries have: roots and certificates of the mesh, peers, partitions.
    Mesh {
        /// What of it.
        what: Mesh,
        /// A service or a partition; empty for none.
        name: String,
    },
    /// The contents of a file on this machine.
    File {
        /// Its path.
        path: String,
    },
}

/// What the mesh is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mesh {
    /// The roots that sign its certificates.
    Roots,
    /// A service's certificate.
    Leaf,
    /// The clusters that are peers, of a partition.
    Peerings,
    /// The partitions.
    Partitions,
    /// The services that a partition lets others use.
    Exported,
    /// The services of others that a partition may use.
    Imported,
}

/// Which part of the registry a question is for; empty fields mean the agent's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Region {
    /// A datacenter: `@dc1`.
    pub datacenter: String,
    /// A namespace: `?ns=a`.
    pub namespace: String,
    /// An admin partition: `?partition=a`.
    pub partition: String,
    /// A cluster peer: `?peer=a`.
    pub peer: String,
    /// A group of peers: `?sameness-group=a`.
    pub sameness_group: String,
}

/// The state of an instance: the worst of its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// A check fails.
    Critical,
    /// Its operator took it out of service.
    Maintenance,
    /// All checks pass, or there are none.
    Passing,
    /// A check warns.
    Warning,
}

impl State {
    /// The word for it in filters and in `.Status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Maintenance => "maintenance",
            Self::Passing => "passing",
            Self::Warning => "warning",
        }
    }
}

/// Why the argument of a data function is no question; the words are consul-template's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// The text does not follow the grammar.
    #[error("{family}: invalid format: {text:?}")]
    Format {
        /// `health.service`, `kv.get`, …
        family: &'static str,
        /// The argument.
        text: String,
    },
    /// A state that does not exist.
    #[error("{family}: invalid filter: {filter:?} in {text:?}")]
    Filter {
        /// `health.service`, for `connect` too.
        family: &'static str,
        /// The unknown state.
        filter: String,
        /// The argument.
        text: String,
    },
    /// A parameter after `?` that does not exist.
    #[error(
        "{family}: invalid query parameter key {key:?} in query {query:?}: supported keys: ns,peer,partition,sameness-group"
    )]
    Parameter {
        /// `health.service`, `kv.get`, …
        family: &'static str,
        /// The unknown key.
        key: String,
        /// All of the query.
        query: String,
    },
    /// Two parameters that exclude each other.
    #[error("{family}: cannot specify both peer and sameness-group")]
    PeerAndGroup {
        /// `health.service`, …
        family: &'static str,
    },
}

impl Query {
    /// Reads the argument of `key`, `keyExists` and `keyOrDefault`: `[/]PATH[?QUERY][@DC]`.
    pub fn key(text: &str) -> Result<Self, QueryError> {
        let parts = Parts::read("kv.get", text, Allow { query: true, datacenter: true, ..Allow::default() })?;
        let path = parts.path()?;
        Ok(Self::Key { path, region: parts.region()? })
    }

    /// Reads the argument of `ls`, `tree`, `safeLs` and `safeTree`: `[/]PREFIX[?QUERY][@DC]`.
    pub fn prefix(text: &str) -> Result<Self, QueryError> {
        let parts =
            Parts::read("kv.list", text, Allow { query: true, datacenter: true, ..Allow::default() })?;
        let prefix = parts.path()?;
        Ok(Self::Prefix { prefix, region: parts.region()? })
    }

    /// Reads the argument of `service`, several arguments joined by `|`: `[TAG.]NAME[?QUERY][@DC][~NEAR][|FILTER]`.
    ///
    /// Without a filter only passing instances are asked for.
    pub fn service(text: &str) -> Result<Self, QueryError> {
        Self::instances("health.service", text, false)
    }

    /// Reads the argument of `connect`, which is that of [`Query::service`].
    pub fn connect(text: &str) -> Result<Self, QueryError> {
        Self::instances("health.service", text, true)
    }

    fn instances(family: &'static str, text: &str, connect: bool) -> Result<Self, QueryError> {
        let parts = Parts::read(family, text, Allow::ALL)?;
        let (tag, name) = parts.head.rsplit_once('.').unwrap_or(("", parts.head));
        let tag_written = parts.head.contains('.');
        if (tag_written && !is_made_of(tag, "=:.-_")) || !is_made_of(name, "-_") {
            return Err(parts.invalid());
        }
        let states = match parts.filter {
            None => vec![State::Passing],
            Some(filter) => parts.states(filter)?,
        };
        Ok(Self::Service {
            name: name.to_owned(),
            tag: tag.to_owned(),
            states,
            near: parts.near.unwrap_or("").to_owned(),
            connect,
            region: parts.region()?,
        })
    }

    /// Reads the argument of `services`: `[?QUERY][@DC]`.
    pub fn services(text: &str) -> Result<Self, QueryError> {
        let allow = Allow { query: true, datacenter: true, ..Allow::default() };
        let parts = Parts::read("catalog.services", text, allow)?;
        if parts.head.is_empty() {
            Ok(Self::Services { region: parts.region()? })
        } else {
            Err(parts.invalid())
        }
    }

    /// Reads the argument of `node`: `[NAME][?QUERY][@DC]`; empty means the agent's own node.
    pub fn node(text: &str) -> Result<Self, QueryError> {
        let parts =
            Parts::read("catalog.node", text, Allow { query: true, datacenter: true, ..Allow::default() })?;
        if !(text.is_empty() || is_made_of(parts.head, ".-_")) {
            return Err(parts.invalid());
        }
        Ok(Self::Node { name: parts.head.to_owned(), region: parts.region()? })
    }

    /// Reads the argument of `nodes`: `[?QUERY][@DC][~NEAR]`.
    pub fn nodes(text: &str) -> Result<Self, QueryError> {
        let parts = Parts::read("catalog.nodes", text, Allow { filter: false, ..Allow::ALL })?;
        if !parts.head.is_empty() {
            return Err(parts.invalid());
        }
        Ok(Self::Nodes { near: parts.near.unwrap_or("").to_owned(), region: parts.region()? })
    }

    /// Asks for the names of the datacenters, as `datacenters` does.
    pub fn datacenters(reachable_only: bool) -> Self {
        Self::Datacenters { reachable_only }
    }

    /// What is asked for by name: a service, a key, a prefix, a node; `None` for whole lists.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Key { path: name, .. }
            | Self::Prefix { prefix: name, .. }
            | Self::Service { name, .. }
            | Self::Node { name, .. }
            | Self::Mesh { name, .. }
            | Self::File { path: name } => Some(name),
            Self::Services { .. } | Self::Nodes { .. } | Self::Datacenters { .. } => None,
        }
    }

    /// Whether the configuration means it by this name: its id, or what was asked for.
    pub fn is_called(&self, name: &str) -> bool {
        self.name() == Some(name) || self.to_string() == name
    }

    /// Asks for a file's contents, as `file` does.
    pub fn file(path: &str) -> Self {
        Self::File { path: path.to_owned() }
    }
}

impl fmt::Display for Query {
    /// The canonical id: `kv.get(app/name@dc1)`, `health.service(v1.web|critical,warning)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { path, region } => write!(f, "kv.get({path}{region})"),
            Self::Prefix { prefix, region } => write!(f, "kv.list({prefix}{region})"),
            Self::Service { name, tag, states, near, connect, region } => {
                write!(f, "health.{}(", if *connect { "connect" } else { "service" })?;
                if !tag.is_empty() {
                    write!(f, "{tag}.")?;
                }
                write!(f, "{name}{region}{}", Near(near))?;
                match states.as_slice() {
                    [] => write!(f, "|any")?,
                    states => {
                        for (i, state) in states.iter().enumerate() {
                            write!(f, "{}{}", if i == 0 { "|" } else { "," }, state.name())?;
                        }
                    }
                }
                write!(f, ")")
            }
            Self::Services { region } => write!(f, "catalog.services({region})"),
            Self::Node { name, region } => write!(f, "catalog.node({name}{region})"),
            Self::Nodes { near, region } => write!(f, "catalog.nodes({region}{})", Near(near)),
            Self::Datacenters { reachable_only: false } => write!(f, "catalog.datacenters"),
            Self::Datacenters { reachable_only: true } => write!(f, "catalog.datacenters(reachable)"),
            Self::Mesh { what, name } => match (what, name.as_str()) {
                (Mesh::Roots, _) => write!(f, "connect.caroots"),
                (Mesh::Leaf, name) => write!(f, "connect.caleaf({name})"),
                (Mesh::Peerings, "") => write!(f, "list.peerings"),
                (Mesh::Peerings, name) => write!(f, "list.peerings?partition={name}"),
                (Mesh::Partitions, _) => write!(f, "list.partitions"),
                (Mesh::Exported, name) => write!(f, "list.exportedServices({name})"),
                (Mesh::Imported, name) => write!(f, "list.importedServices({name})"),
            },
            Self::File { path } => write!(f, "file({path})"),
        }
    }
}

impl Region {
    /// The region's own parameters and their values, those that are set.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("ns", self.namespace.as_str()),
            ("partition", &self.partition),
            ("peer", &self.peer),
            ("sameness-group", &self.sameness_group),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '?';
        for (name, value) in self.parameters() {
            write!(f, "{separator}{name}={value}")?;
            separator = '&';
        }
        if self.datacenter.is_empty() { Ok(()) } else { write!(f, "@{}", self.datacenter) }
    }
}

struct Near<'a>(&'a str);

impl fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "~{}", self.0) }
    }
}

/// Which parts may follow the head.
#[derive(Clone, Copy, Default)]
struct Allow {
    query: bool,
    datacenter: bool,
    near: bool,
    filter: bool,
}

impl Allow {
    const ALL: Self = Self { query: true, datacenter: true, near: true, filter: true };
}

/// A question taken apart at `?`, `@`, `~` and `|`, in this order.
struct Parts<'a> {
    family: &'static str,
    text: &'a str,
    head: &'a str,
    query: Option<&'a str>,
    datacenter: Option<&'a str>,
    near: Option<&'a str>,
    filter: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn read(family: &'static str, text: &'a str, allow: Allow) -> Result<Self, QueryError> {
        let mut parts =
            Self { family, text, head: text, query: None, datacenter: None, near: None, filter: None };
        if allow.filter {
            parts.filter = parts.cut('|', ",_")?;
        }
        if allow.near {
            parts.near = parts.cut('~', ".-_")?;
        }
        if allow.datacenter {
            parts.datacenter = parts.cut('@', ".-_")?;
        }
        if allow.query {
            parts.query = parts.cut('?', "-_=&")?;
        }
        Ok(parts)
    }

    /// Takes the part after the first `mark` off the head; it must be made of word characters and `also`.
    fn cut(&mut self, mark: char, also: &str) -> Result<Option<&'a str>, QueryError> {
        let Some((head, part)) = self.head.split_once(mark) else { return Ok(None) };
        if !is_made_of(part, also) {
            return Err(self.invalid());
        }
        self.head = head;
        Ok(Some(part))
    }

    fn invalid(&self) -> QueryError {
        QueryError::Format { family: self.family, text: self.text.to_owned() }
    }

    fn path(&self) -> Result<String, QueryError> {
        let path = self.head.strip_prefix('/').unwrap_or(self.head);
        if self.head.is_empty() { Err(self.invalid()) } else { Ok(path.to_owned()) }
    }

    fn states(&self, filter: &str) -> Result<Vec<State>, QueryError> {
        let mut states = Vec::new();
        let mut any = false;
        for name in filter.split(',') {
            match name {
                "any" => any = true,
                "passing" => states.push(State::Passing),
                "warning" => states.push(State::Warning),
                "critical" => states.push(State::Critical),
                "maintenance" => states.push(State::Maintenance),
                "" => {}
                unknown => {
                    let (filter, text) = (unknown.to_owned(), self.text.to_owned());
                    return Err(QueryError::Filter { family: self.family, filter, text });
                }
            }
        }
        if any {
            states.clear();
        }
        states.sort_unstable();
        states.dedup();
        Ok(states)
    }

    fn region(&self) -> Result<Region, QueryError> {
        let mut region = Region { datacenter: self.datacenter.unwrap_or("").to_owned(), ..Region::default() };
        let query = self.query.unwrap_or("");
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match key {
                "ns" => &mut region.namespace,
                "partition" => &mut region.partition,
                "peer" => &mut region.peer,
                "sameness-group" => &mut region.sameness_group,
                _ => {
                    let (key, query) = (key.to_owned(), query.to_owned());
                    return Err(QueryError::Parameter { family: self.family, key, query });
                }
            };
            value.clone_into(field);
        }
        if !region.peer.is_empty() && !region.sameness_group.is_empty() {
            return Err(QueryError::PeerAndGroup { family: self.family });
        }
        Ok(region)
    }
}

/// Whether a text is not empty and made of ASCII letters, digits and the characters of `also`.
fn is_made_of(text: &str, also: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_ids() {
        let id = |query: Result<Query, QueryError>| query.unwrap().to_string();
        for (text, expected) in [
            ("web", "health.service(web|passing)"),
            ("web|passing", "health.service(web|passing)"),
            ("web|any", "health.service(web|any)"),
            ("web|any,critical", "health.service(web|any)"),
            ("web|warning,critical", "health.service(web|critical,warning)"),
            ("a.b.web", "health.service(a.b.web|passing)"),
            ("a:b=c.web@dc1~_agent|any", "health.service(a:b=c.web@dc1~_agent|any)"),
            ("web?ns=x&partition=p@dc1", "health.service(web?ns=x&partition=p@dc1|passing)"),
            ("web~near.node", "health.service(web~near.node|passing)"),
        ] {
            assert_eq!(id(Query::service(text)), expected, "{text}");
        }
        assert_eq!(id(Query::connect("web")), "health.connect(web|passing)");
        assert_eq!(id(Query::key("/a/b c.d~e|f@dc1")), "kv.get(a/b c.d~e|f@dc1)");
        assert_eq!(id(Query::key("a")), id(Query::key("/a")));
        assert_eq!(id(Query::prefix("/")), "kv.list()");
        assert_eq!(id(Query::prefix("a/?ns=n")), "kv.list(a/?ns=n)");
        assert_eq!(id(Query::services("@dc1")), "catalog.services(@dc1)");
        assert_eq!(id(Query::node("")), "catalog.node()");
        assert_eq!(id(Query::node("a.b@dc1")), "catalog.node(a.b@dc1)");
        assert_eq!(id(Query::nodes("@dc1~n")), "catalog.nodes(@dc1~n)");
    }

    #[test]
    fn refused_in_the_recorded_words() {
        let said = |query: Result<Query, QueryError>| query.unwrap_err().to_string();
        assert_eq!(
            said(Query::service("web|any|passing")),
            "health.service: invalid format: \"web|any|passing\""
        );
        assert_eq!(said(Query::service("we b")), "health.service: invalid format: \"we b\"");
        assert_eq!(
            said(Query::service("path=/shop.web")),
            "health.service: invalid format: \"path=/shop.web\""
        );
        assert_eq!(
            said(Query::service("web|sleepy")),
            "health.service: invalid filter: \"sleepy\" in \"web|sleepy\""
        );
        assert_eq!(said(Query::services("web")), "catalog.services: invalid format: \"web\"");
        assert_eq!(said(Query::nodes("web-1")), "catalog.nodes: invalid format: \"web-1\"");
        assert_eq!(said(Query::key("a@")), "kv.get: invalid format: \"a@\"");
        assert!(
            said(Query::key("a?bogus=1"))
                .starts_with("kv.get: invalid query parameter key \"bogus\" in query")
        );
        assert!(said(Query::service("w?peer=a&sameness-group=b")).contains("both peer and sameness-group"));
        for text in ["", ".web", "web@", "web~", "web|", "web@a@b", "web~a@b"] {
            assert!(Query::service(text).is_err(), "{text}");
        }
    }
}
