//! `catalog datacenters`, `catalog nodes`, `catalog services`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request, RequestError};
use serde::{Deserialize, Serialize};

use crate::{
    client::{AskFlags, NoWords},
    flags::{Pair, pair},
    output::{aligned, failure, note, show, table},
};

/// List datacenters, nodes and services.
#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// List the datacenters, nearest first
    Datacenters(Datacenters),
    /// List the nodes
    Nodes(Nodes),
    /// List the services
    Services(Services),
}

impl Catalog {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::Datacenters(command) => command.run(),
            Self::Nodes(command) => command.run(),
            Self::Services(command) => command.run(),
        }
    }
}

/// List the datacenters, nearest first
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo catalog datacenters\n\nExit codes: 0 listed, 1 no answer")]
pub(crate) struct Datacenters {
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Datacenters {
    fn run(self) -> Exit {
        if let Some(refused) = self.no_words.refused() {
            return refused;
        }
        self.ask.run(async |client| {
            let request = self.ask.apply(Request::get("/v1/catalog/datacenters"));
            match client.json::<Vec<String>>(&request).await {
                Ok(names) => show(self.ask.json(), &names, || names.join("\n")),
                Err(e) => failure(format!("Error listing datacenters: {e}")),
            }
        })
    }
}

/// List the nodes
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo catalog nodes\n  ryo catalog nodes -service=web -detailed\n  \
    ryo catalog nodes -filter 'Meta.rack == r1'\n\nExit codes: 0 listed (also when none fits), 1 no answer")]
pub(crate) struct Nodes {
    /// Print whole ids, tagged addresses and meta
    #[arg(long)]
    detailed: bool,
    /// Only nodes that this expression selects
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Nearest to this node first; `_agent` for the asked one
    #[arg(long, value_name = "NODE")]
    near: Option<String>,
    /// Only nodes with this meta, `key=value` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    node_meta: Vec<Pair>,
    /// Only nodes with an instance of this service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

/// A node, from the list of nodes or of a service's instances.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: Option<BTreeMap<String, String>>,
    #[serde(alias = "NodeMeta")]
    meta: Option<BTreeMap<String, String>>,
}

impl Nodes {
    fn run(self) -> Exit {
        if let Some(refused) = self.no_words.refused() {
            return refused;
        }
        self.ask.run(async |client| match client.json::<Vec<Node>>(&self.request()).await {
            Ok(nodes) if nodes.is_empty() && !self.ask.json() => nothing_fits("nodes"),
            Ok(nodes) => show(self.ask.json(), &nodes, || table(&self.rows(&nodes))),
            Err(e) => failure(format!("Error listing nodes: {e}")),
        })
    }

    fn request(&self) -> Request {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let path = match &self.service {
            Some(service) => Request::path_to("/v1/catalog/service", service),
            None => "/v1/catalog/nodes".into(),
        };
        let request = Request::get(path)
            .with_unless_empty("filter", &text(&self.filter))
            .with_unless_empty("near", &text(&self.near));
        self.ask.apply(with_node_meta(request, &self.node_meta))
    }

    fn rows(&self, nodes: &[Node]) -> Vec<Vec<String>> {
        let mut header = vec!["Node", "ID", "Address", "DC"];
        if self.detailed {
            header.extend(["TaggedAddresses", "Meta"]);
        }
        let header = header.into_iter().map(str::to_owned).collect();
        let row = |node: &Node| {
            let id =
                if self.detailed { node.id.as_str() } else { node.id.split('-').next().unwrap_or_default() };
            let mut row = [&node.node, id, &node.address, &node.datacenter].map(str::to_owned).to_vec();
            if self.detailed {
                row.extend([pairs(node.tagged_addresses.as_ref()), pairs(node.meta.as_ref())]);
            }
            row
        };
        std::iter::once(header).chain(nodes.iter().map(row)).collect()
    }
}

/// List the services
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo catalog services\n  ryo catalog services -node=web1 -tags\n\n\
    Exit codes: 0 listed (also when none fits), 1 no answer")]
pub(crate) struct Services {
    /// Only services of this node, by name or id
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only services of nodes with this meta, `key=value` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    node_meta: Vec<Pair>,
    /// Print their tags too
    #[arg(long)]
    tags: bool,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfNode {
    services: BTreeMap<String, Instance>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    service: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Services {
    fn run(self) -> Exit {
        if let Some(refused) = self.no_words.refused() {
            return refused;
        }
        self.ask.run(async |client| match self.tags_by_name(&client).await {
            Ok(services) if services.is_empty() && !self.ask.json() => nothing_fits("services"),
            Ok(services) => show(self.ask.json(), &services, || self.words(&services)),
            Err(e) if self.node.is_none() => failure(format!("Error listing services: {e}")),
            Err(e) => failure(format!("Error listing services for node: {e}")),
        })
    }

    fn words(&self, services: &BTreeMap<String, Vec<String>>) -> String {
        if self.tags {
            let rows = aligned(services.iter().map(|(name, tags)| (name.as_str(), tags.join(","))));
            return rows.trim_end().to_owned();
        }
        services.keys().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The services and their tags, both in order.
    async fn tags_by_name(&self, client: &Client) -> Result<BTreeMap<String, Vec<String>>, RequestError> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Some(node) = &self.node {
            let request = self.ask.apply(Request::get(Request::path_to("/v1/catalog/node", node)));
            let of_node: Option<OfNode> = client.json(&request).await?;
            for instance in of_node.into_iter().flat_map(|of_node| of_node.services.into_values()) {
                found.entry(instance.service).or_default().extend(instance.tags.unwrap_or_default());
            }
        } else {
            let request = with_node_meta(Request::get("/v1/catalog/services"), &self.node_meta);
            found = client.json(&self.ask.apply(request)).await?;
        }
        for tags in found.values_mut() {
            tags.sort();
            tags.dedup();
        }
        Ok(found)
    }
}

fn with_node_meta(request: Request, pairs: &[Pair]) -> Request {
    // Of a name that is given twice the last value counts.
    let meta: BTreeMap<_, _> = pairs.iter().map(|pair| (&pair.name, &pair.value)).collect();
    meta.into_iter()
        .fold(request, |request, (name, value)| request.with("node-meta", format!("{name}:{value}")))
}

fn pairs(map: Option<&BTreeMap<String, String>>) -> String {
    let pairs = map.into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

fn nothing_fits(what: &str) -> Exit {
    note(format!("No {what} match the given query - try expanding your search."));
    Exit::Success
}
