//! Questions as HTTP requests, and what their answers mean.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_client::{Request, RequestError, Response};
use registry_wire::{
    catalog::{CheckServiceNode, HealthCheck, Node, NodeService},
    kv::KvPair,
};
use serde::Deserialize;

use crate::{
    answers::{Answer, CatalogNode, CatalogNodeService, CatalogSnippet, HealthService, KeyAnswer, KeyPair},
    query::{Mesh, Query, Region, State},
};

/// The request for a question; `None` for those that are no single request (files, the agent's own node, reachable
/// datacenters).
pub fn request(query: &Query) -> Option<Request> {
    Some(match query {
        Query::Key { path, region } => within(Request::get(Request::kv_path(&as_served(path))), region),
        Query::Prefix { prefix, region } => {
            within(Request::get(Request::kv_path(&as_served(prefix))).with("recurse", ""), region)
        }
        Query::Service { name, tag, states, near, connect, region } => {
            let folder = if *connect { "/v1/health/connect" } else { "/v1/health/service" };
            let request = Request::get(Request::path_to(folder, name));
            let passing = if states.as_slice() == [State::Passing] { "1" } else { "" };
            let request = request.with_unless_empty("passing", passing).with_unless_empty("tag", tag);
            within(request.with_unless_empty("near", near), region)
        }
        Query::Services { region } => within(Request::get("/v1/catalog/services"), region),
        Query::Node { name, .. } if name.is_empty() => return None,
        Query::Node { name, region } => node(name, region),
        Query::Nodes { near, region } => {
            within(Request::get("/v1/catalog/nodes").with_unless_empty("near", near), region)
        }
        Query::Datacenters { reachable_only: false } => Request::get("/v1/catalog/datacenters"),
        Query::Mesh { what, name } => mesh(*what, name),
        Query::Datacenters { reachable_only: true } | Query::File { .. } => return None,
    })
}

/// A key with each row of slashes as one: where the registry would send us anyway.
fn as_served(path: &str) -> String {
    let mut served = String::with_capacity(path.len());
    for c in path.trim_start_matches('/').chars() {
        if c != '/' || !served.ends_with('/') {
            served.push(c);
        }
    }
    served
}

fn mesh(what: Mesh, name: &str) -> Request {
    let of_partition = |path| Request::get(path).with_unless_empty("partition", name);
    match what {
        Mesh::Roots => Request::get("/v1/agent/connect/ca/roots"),
        Mesh::Leaf => Request::get(Request::path_to("/v1/agent/connect/ca/leaf", name)),
        Mesh::Peerings => of_partition("/v1/peerings"),
        Mesh::Partitions => Request::get("/v1/partitions"),
        Mesh::Exported => of_partition("/v1/exported-services"),
        Mesh::Imported => of_partition("/v1/imported-services"),
    }
}

/// The request for one node.
pub fn node(name: &str, region: &Region) -> Request {
    within(Request::get(Request::path_to("/v1/catalog/node", name)), region)
}

fn within(request: Request, region: &Region) -> Request {
    let request = request.with_unless_empty("dc", &region.datacenter);
    region.parameters().fold(request, |request, (name, value)| request.with(name, value))
}

/// What a response says. Errors when it is not of the shape that its question has.
pub fn answer(query: &Query, response: &Response) -> Result<Answer, RequestError> {
    let absent = response.status == 404;
    Ok(match query {
        Query::Key { .. } if absent => Answer::Key(KeyAnswer::default()),
        Query::Key { .. } => {
            let pairs: Vec<KvPair> = response.json()?;
            let now = pairs.into_iter().next().map(|pair| key_pair(pair, "")).transpose()?;
            Answer::Key(KeyAnswer { now, last: None })
        }
        Query::Prefix { .. } if absent => Answer::Pairs(Vec::new()),
        Query::Prefix { prefix, .. } => {
            let pairs: Vec<KvPair> = response.json()?;
            let pairs = pairs.into_iter().map(|pair| key_pair(pair, prefix));
            Answer::Pairs(pairs.collect::<Result<_, _>>()?)
        }
        Query::Service { states, near, .. } => {
            let entries: Vec<CheckServiceNode> = response.json()?;
            let mut instances: Vec<_> =
                entries.into_iter().filter_map(|entry| instance(entry, states)).collect();
            if near.is_empty() {
                instances.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
            }
            Answer::Instances(instances)
        }
        Query::Services { .. } => {
            let services: BTreeMap<String, Option<Vec<String>>> = response.json()?;
            let services =
                services.into_iter().map(|(name, tags)| CatalogSnippet { name, tags: sorted(tags) });
            Answer::Services(services.collect())
        }
        Query::Node { .. } => {
            let found: Option<NodeWithServices> = response.json()?;
            Answer::Node(found.map(catalog_node).unwrap_or_default())
        }
        Query::Nodes { near, .. } => {
            let mut nodes: Vec<Node> = response.json()?;
            if near.is_empty() {
                nodes.sort_by(|a, b| (&a.node, &a.address).cmp(&(&b.node, &b.address)));
            }
            Answer::Nodes(nodes)
        }
        Query::Datacenters { .. } => {
            let mut names: Vec<String> = response.json()?;
            names.sort();
            Answer::Datacenters(names)
        }
        Query::Mesh { what, .. } => Answer::Documents(documents(*what, response.json()?)),
        Query::File { .. } => Answer::File(response.body.to_vec()),
    })
}

/// The records of an answer, in the order in which templates see them.
fn documents(what: Mesh, json: serde_json::Value) -> Vec<serde_json::Value> {
    let text = |json: &serde_json::Value, name: &str| {
        json.get(name).and_then(|text| text.as_str()).unwrap_or_default().to_owned()
    };
    let mut found = match (what, json) {
        (Mesh::Roots, mut json) => match json.get_mut("Roots").map(serde_json::Value::take) {
            Some(serde_json::Value::Array(roots)) => roots,
            _ => Vec::new(),
        },
        (_, serde_json::Value::Array(list)) => list,
        (Mesh::Leaf, leaf) => vec![leaf],
        _ => Vec::new(),
    };
    match what {
        Mesh::Peerings => {
            found.sort_by_key(|peer| ["State", "Partition", "Name"].map(|name| text(peer, name)))
        }
        Mesh::Exported | Mesh::Imported => found.sort_by_key(|service| text(service, "Service")),
        Mesh::Partitions => found.sort_by_key(|partition| text(partition, "Name")),
        Mesh::Roots | Mesh::Leaf => {}
    }
    found
}

fn key_pair(pair: KvPair, prefix: &str) -> Result<KeyPair, RequestError> {
    let value = match &pair.value {
        Some(text) => {
            STANDARD.decode(text).map_err(|e| RequestError::Decode(format!("{}: {e}", pair.key)))?
        }
        None => Vec::new(),
    };
    let key = pair.key.strip_prefix(prefix).unwrap_or(&pair.key).trim_start_matches('/').to_owned();
    Ok(KeyPair {
        key,
        path: pair.key,
        value,
        create_index: pair.create_index,
        modify_index: pair.modify_index,
        lock_index: pair.lock_index,
        flags: pair.flags,
        session: pair.session,
    })
}

/// An instance, unless its state is not among those asked for.
fn instance(entry: CheckServiceNode, states: &[State]) -> Option<HealthService> {
    let CheckServiceNode { node, service, checks } = entry;
    let state = aggregate(&checks);
    if !states.is_empty() && !state.is_some_and(|state| states.contains(&state)) {
        return None;
    }
    let address = if service.address.is_empty() { node.address.clone() } else { service.address };
    Some(HealthService {
        node: node.node,
        node_id: node.id,
        node_address: node.address,
        node_tagged_addresses: node.tagged_addresses,
        node_meta: node.meta,
        service_meta: service.meta,
        address,
        service_tagged_addresses: service.tagged_addresses,
        id: service.id,
        name: service.service,
        tags: sorted(service.tags),
        checks,
        status: state.map_or("", State::name).to_owned(),
        port: service.port,
        weights: service.weights,
    })
}

/// The worst state of some checks: maintenance before all others; `None` when a check has a state nobody knows.
pub(crate) fn aggregate(checks: &[HealthCheck]) -> Option<State> {
    let maintenance = |check: &HealthCheck| {
        check.check_id == "_node_maintenance" || check.check_id.starts_with("_service_maintenance:")
    };
    if checks.iter().any(maintenance) {
        return Some(State::Maintenance);
    }
    let mut worst = State::Passing;
    for check in checks {
        worst = match (check.status.as_str(), worst) {
            ("critical", _) | ("passing" | "warning", State::Critical) => State::Critical,
            ("warning", _) | ("passing", State::Warning) => State::Warning,
            ("passing", worst) => worst,
            _ => return None,
        };
    }
    Some(worst)
}

/// The answer of `/v1/catalog/node/:name`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeWithServices {
    node: Option<Node>,
    #[serde(default)]
    services: Option<BTreeMap<String, NodeService>>,
}

fn catalog_node(found: NodeWithServices) -> CatalogNode {
    let services = found.services.unwrap_or_default().into_values().map(|service| CatalogNodeService {
        id: service.id,
        service: service.service,
        tags: sorted(service.tags),
        meta: service.meta,
        port: service.port,
        address: service.address,
        enable_tag_override: service.enable_tag_override,
    });
    let mut services: Vec<_> = services.collect();
    services.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    CatalogNode { node: found.node, services }
}

fn sorted(tags: Option<Vec<String>>) -> Vec<String> {
    let mut tags = tags.unwrap_or_default();
    tags.sort();
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: Result<Query, crate::query::QueryError>) -> String {
        request(&query.unwrap()).unwrap().path_and_query()
    }

    fn response(status: u16, body: &str) -> Response {
        let body = body.to_owned().into();
        Response { status, index: 1, known_leader: true, last_contact: std::time::Duration::ZERO, body }
    }

    #[test]
    fn questions_as_requests() {
        assert_eq!(asked(Query::key("/a b@dc1")), "/v1/kv/a%20b?dc=dc1");
        assert_eq!(asked(Query::prefix("ports")), "/v1/kv/ports?recurse=");
        assert_eq!(asked(Query::service("web")), "/v1/health/service/web?passing=1");
        assert_eq!(asked(Query::service("v1.web|any")), "/v1/health/service/web?tag=v1");
        assert_eq!(
            asked(Query::service("web?ns=n@dc1~_agent|any")),
            "/v1/health/service/web?dc=dc1&near=_agent&ns=n"
        );
        assert_eq!(asked(Query::connect("web")), "/v1/health/connect/web?passing=1");
        assert_eq!(asked(Query::node("n1")), "/v1/catalog/node/n1");
        assert_eq!(asked(Query::nodes("~n1")), "/v1/catalog/nodes?near=n1");
    }

    #[test]
    fn keys_below_a_prefix_are_relative_to_it() {
        let query = Query::prefix("a/b").unwrap();
        let body =
            r#"[{"Key":"a/b/","Value":null},{"Key":"a/b/c/d","Value":"eA=="},{"Key":"a/bc","Value":"eQ=="}]"#;
        let Ok(Answer::Pairs(pairs)) = answer(&query, &response(200, body)) else { panic!("pairs") };
        let keys: Vec<&str> = pairs.iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(keys, ["", "c/d", "c"]);
        assert_eq!(pairs.iter().map(KeyPair::is_child).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(pairs.iter().map(KeyPair::is_leaf).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(pairs[1].value, b"x");
        assert_eq!(answer(&query, &response(404, "")), Ok(Answer::Pairs(Vec::new())));
        assert!(answer(&query, &response(200, "no")).is_err());
    }

    #[test]
    fn instances_have_the_state_of_their_worst_check() {
        let entry = |id: &str, checks: &str| {
            let checks = checks.split(' ').filter(|check| !check.is_empty()).map(|check| {
                let (id, status) = check.split_once('=').unwrap();
                format!(r#"{{"CheckID":"{id}","Status":"{status}"}}"#)
            });
            let checks = checks.collect::<Vec<_>>().join(",");
            format!(
                r#"{{"Node":{{"Node":"n","Address":"10.0.0.1"}},"Service":{{"ID":"{id}","Service":"web","Tags":["b","a"]}},"Checks":[{checks}]}}"#
            )
        };
        let body = format!(
            "[{},{},{},{},{}]",
            entry("d", "a=passing b=critical c=warning"),
            entry("c", "a=critical _service_maintenance:c=critical"),
            entry("b", "a=warning b=passing"),
            entry("e", "a=asleep"),
            entry("a", "")
        );
        let told = |text: &str| {
            let query = Query::service(text).unwrap();
            let Ok(Answer::Instances(all)) = answer(&query, &response(200, &body)) else {
                panic!("instances")
            };
            all.iter().map(|one| format!("{}={}", one.id, one.status)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("web|any"), "a=passing b=warning c=maintenance d=critical e=");
        assert_eq!(told("web"), "a=passing");
        assert_eq!(told("web|critical,maintenance"), "c=maintenance d=critical");
    }
}
