//! A fixture out of what a registry answered.

use std::collections::BTreeMap;

use super::{
    fixture::{Entry, Fixture, FullEntry, Part},
    instance::{Address, Instance, Listed, NodeEntry, WeightEntry},
};
use crate::{
    answers::{Answer, CatalogNode, HealthService, KeyPair},
    query::Query,
};

/// A fixture that answers these questions as they were answered.
pub(crate) fn record<'a>(answers: impl IntoIterator<Item = (&'a Query, &'a Answer)>) -> Fixture {
    let mut fixture = Fixture::default();
    let mut answers: Vec<_> = answers.into_iter().collect();
    // In one order, so that the same answers give the same file.
    answers.sort_by_key(|(query, _)| *query);
    for (query, answer) in answers {
        take(&mut fixture, query, answer);
    }
    name_own_datacenter(&mut fixture);
    fixture
}

/// No answer tells the own datacenter's name; its nodes do, and where there is but one it must be that.
fn name_own_datacenter(fixture: &mut Fixture) {
    let of_nodes = fixture.nodes.iter().map(|node| node.datacenter.clone()).find(|name| !name.is_empty());
    let first =
        fixture.datacenters.iter().find(|(_, part)| **part == Part::default()).map(|(name, _)| name.clone());
    fixture.datacenter = of_nodes.or(first).unwrap_or_default();
    fixture.datacenters.remove(&fixture.datacenter);
}

fn take(fixture: &mut Fixture, query: &Query, answer: &Answer) {
    match (query, answer) {
        (Query::Mesh { .. }, Answer::Documents(found)) => {
            fixture.documents.insert(query.to_string(), found.clone());
        }
        (Query::File { path }, Answer::File(bytes)) => {
            fixture.files.insert(path.clone(), String::from_utf8_lossy(bytes).into_owned());
        }
        (Query::Node { name, .. }, Answer::Node(CatalogNode { node: Some(node), .. })) if name.is_empty() => {
            fixture.agent.clone_from(&node.node);
        }
        _ => {}
    }
    let region = match query {
        Query::Key { region, .. }
        | Query::Prefix { region, .. }
        | Query::Service { region, .. }
        | Query::Services { region }
        | Query::Node { region, .. }
        | Query::Nodes { region, .. } => region.datacenter.clone(),
        Query::Datacenters { .. } | Query::Mesh { .. } | Query::File { .. } => {
            if let Answer::Datacenters(names) = answer {
                for name in names {
                    fixture.datacenters.entry(name.clone()).or_default();
                }
            }
            return;
        }
    };
    if region.is_empty() {
        let mut part = Part {
            kv: std::mem::take(&mut fixture.kv),
            services: std::mem::take(&mut fixture.services),
            catalog: fixture.catalog.take(),
            nodes: std::mem::take(&mut fixture.nodes),
        };
        add(&mut part, query, answer);
        let Part { kv, services, catalog, nodes } = part;
        (fixture.kv, fixture.services, fixture.catalog, fixture.nodes) = (kv, services, catalog, nodes);
    } else {
        add(fixture.datacenters.entry(region).or_default(), query, answer);
    }
}

fn add(part: &mut Part, query: &Query, answer: &Answer) {
    match (query, answer) {
        (_, Answer::Key(key)) => {
            if let Some(pair) = &key.now {
                part.kv.insert(pair.path.clone(), entry(pair));
            }
        }
        (_, Answer::Pairs(pairs)) => {
            part.kv.extend(pairs.iter().map(|pair| (pair.path.clone(), entry(pair))));
        }
        (Query::Service { name, connect, .. }, Answer::Instances(list)) => {
            for found in list {
                add_node(part, node_of(found));
                let known = part.services.entry(name.clone()).or_default();
                match known.iter_mut().find(|known| known.id == found.id && known.node == found.node) {
                    Some(known) => known.connect |= connect,
                    None => known.push(instance(found, *connect)),
                }
            }
        }
        (_, Answer::Services(list)) => {
            part.catalog = Some(list.iter().map(|s| (s.name.clone(), s.tags.clone())).collect());
        }
        (_, Answer::Nodes(nodes)) => {
            for node in nodes {
                add_node(part, node_entry(node));
            }
        }
        (_, Answer::Node(CatalogNode { node: Some(node), services })) => {
            let listed = services.iter().map(|s| Listed {
                id: s.id.clone(),
                service: s.service.clone(),
                tags: s.tags.clone(),
                meta: s.meta.clone().unwrap_or_default(),
                port: s.port,
                address: s.address.clone(),
                enable_tag_override: s.enable_tag_override,
            });
            add_node(part, NodeEntry { services: Some(listed.collect()), ..node_entry(node) });
        }
        _ => {}
    }
}

fn add_node(part: &mut Part, node: NodeEntry) {
    match part.nodes.iter_mut().find(|known| known.node == node.node) {
        None => part.nodes.push(node),
        Some(known) => known.services = known.services.take().or(node.services),
    }
}

fn entry(pair: &KeyPair) -> Entry {
    use base64::Engine as _;
    let plain = pair.flags == 0 && pair.session.is_empty() && pair.lock_index == 0;
    let text = String::from_utf8(pair.value.clone());
    match text {
        Ok(text) if plain => Entry::Value(text),
        text => {
            let (value, base64) = match text {
                Ok(text) => (text, String::new()),
                Err(error) => {
                    (String::new(), base64::engine::general_purpose::STANDARD.encode(error.as_bytes()))
                }
            };
            Entry::Full(FullEntry {
                value,
                base64,
                flags: pair.flags,
                session: pair.session.clone(),
                create_index: pair.create_index,
                modify_index: pair.modify_index,
                lock_index: pair.lock_index,
            })
        }
    }
}

fn node_of(found: &HealthService) -> NodeEntry {
    NodeEntry {
        node: found.node.clone(),
        id: found.node_id.clone(),
        address: found.node_address.clone(),
        tagged_addresses: found.node_tagged_addresses.clone().unwrap_or_default(),
        meta: found.node_meta.clone().unwrap_or_default(),
        ..NodeEntry::default()
    }
}

fn node_entry(node: &registry_wire::catalog::Node) -> NodeEntry {
    NodeEntry {
        node: node.node.clone(),
        id: node.id.clone(),
        address: node.address.clone(),
        datacenter: node.datacenter.clone(),
        tagged_addresses: node.tagged_addresses.clone().unwrap_or_default(),
        meta: node.meta.clone().unwrap_or_default(),
        services: None,
    }
}

fn instance(found: &HealthService, connect: bool) -> Instance {
    let addresses: BTreeMap<String, Address> = found
        .service_tagged_addresses
        .iter()
        .flatten()
        .map(|(name, a)| (name.clone(), Address { address: a.address.clone(), port: a.port }))
        .collect();
    Instance {
        id: found.id.clone(),
        node: found.node.clone(),
        node_address: String::new(),
        address: if found.address == found.node_address { String::new() } else { found.address.clone() },
        port: found.port,
        tags: found.tags.clone(),
        meta: found.service_meta.clone().unwrap_or_default(),
        tagged_addresses: addresses,
        status: if found.checks.is_empty() { found.status.clone() } else { String::new() },
        checks: found.checks.clone(),
        weights: Some(WeightEntry { passing: found.weights.passing, warning: found.weights.warning }),
        connect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::QueryError;

    #[test]
    fn what_was_recorded_answers_the_same() {
        let world = Fixture::parse(
            "kv: {app/a: x, app/b: {value: y, flags: 7}}
services:
  web:
    - {id: w1, node: n1, node_address: 10.0.0.1, port: 80, tags: [v1], meta: {k: v}}
    - {id: w2, node: n2, address: 10.0.0.2, status: critical, tagged_addresses: {lan: {address: a, port: 1}}}
  db: [{node: n1, tags: [primary]}]
datacenters: {dc2: {kv: {z: 1}}}
",
            false,
        )
        .unwrap();
        let questions: Vec<Result<Query, QueryError>> = vec![
            Query::key("app/a"),
            Query::key("nope"),
            Query::key("z@dc2"),
            Query::prefix("app"),
            Query::service("web"),
            Query::service("web|any"),
            Query::service("v1.web"),
            Query::services(""),
            Query::node("n1"),
            Query::nodes(""),
            Ok(Query::datacenters(false)),
        ];
        let questions: Vec<Query> = questions.into_iter().map(Result::unwrap).collect();
        let answers: Vec<Answer> = questions.iter().map(|query| world.answer(query).unwrap()).collect();
        let recorded = record(questions.iter().zip(&answers));
        // As a file, and read again.
        let text = serde_yaml::to_string(&recorded).unwrap();
        let read = Fixture::parse(&text, false).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for (query, answer) in questions.iter().zip(answers) {
            assert_eq!(read.answer(query), Ok(answer), "{query}\n{text}");
        }
    }
}
