//! Running a prepared query against the state.

use std::net::IpAddr;

use rand::seq::SliceRandom as _;
use registry_state::{
    Caseless, State,
    read::{AddressOwner, CatalogAddress, HealthInstance, HealthService, QueryNamed, Read as _},
};
use registry_wire::prepared::{Definition, Executed, ServiceQuery, TEMPLATE_BY_ID};

use super::{shown, template};
use crate::http::{connected::Connected, near, shape};

/// An instance of the near node comes first when sorting or shuffling left it among so many (as recorded).
const NEAR_FIRST_OF: usize = 10;

/// Who asks, and what for.
pub(crate) struct Asked<'a> {
    /// The node of the agent that was asked.
    pub(crate) agent: &'a str,
    /// The client's address, when it has one.
    pub(crate) client: Option<IpAddr>,
    /// Instead of the query's own; here `_ip` is a node's name like any other (as recorded).
    pub(crate) near: Option<&'a str>,
    /// 0 is no limit.
    pub(crate) limit: usize,
    /// Whether those are wanted that speak for the service in a mesh.
    pub(crate) connect: bool,
}

/// The query behind a name, a template filled in; `None` when there is none.
pub(crate) fn resolve(state: &State, name: &str) -> Result<Option<Definition>, String> {
    let (found, _) = QueryNamed { name: name.to_owned() }.run(state);
    let Some(found) = found else { return Ok(None) };
    let definition = shown(&found);
    if !found.template {
        return Ok(Some(definition));
    }
    if *found.id == *name.to_ascii_lowercase() {
        return Err(TEMPLATE_BY_ID.to_owned());
    }
    template::fill(&definition, name).map(Some)
}

/// What a query gives here now: shuffled, what is near first. With nothing, others may have something: `elsewhere`.
pub(crate) fn run(state: &State, query: &Definition, asked: &Asked<'_>, datacenter: &str) -> Executed {
    let wanted = &query.service;
    let ran = Executed { service: wanted.service.clone(), dns: query.dns.clone(), ..Executed::default() };
    if !wanted.peer.is_empty() {
        return Executed { peer_name: wanted.peer.clone(), ..ran };
    }
    let question = HealthService { service: Caseless::new(&wanted.service), ..HealthService::default() };
    let (mut found, _) =
        if wanted.connect || asked.connect { Connected(question).run(state) } else { question.run(state) };
    found.retain(|instance| fits(instance, wanted));
    found.shuffle(&mut rand::rng());
    if let Some(node) = near_node(state, wanted, asked) {
        near::sort(state, &node, &mut found);
        first_on_node(&mut found, &node);
    }
    if asked.limit > 0 {
        found.truncate(asked.limit);
    }
    let nodes = found.iter().map(|instance| shape::health_as_given(instance, datacenter)).collect();
    Executed { nodes, datacenter: datacenter.to_owned(), ..ran }
}

/// The node whose neighbours come first.
fn near_node(state: &State, wanted: &ServiceQuery, asked: &Asked<'_>) -> Option<Caseless> {
    match asked.near.unwrap_or(&wanted.near) {
        "" => None,
        "_agent" => Some(Caseless::new(asked.agent)),
        "_ip" if asked.near.is_none() => {
            let (owner, _) = CatalogAddress { address: asked.client? }.run(state);
            match owner? {
                AddressOwner::Node(node) => Some(Caseless::new(&node.name)),
                AddressOwner::Service(_) => None,
            }
        }
        node => Some(Caseless::new(node)),
    }
}

/// Puts an instance of this node first, if it is not too far behind.
fn first_on_node(found: &mut [HealthInstance], node: &Caseless) {
    let at = found.iter().take(NEAR_FIRST_OF).position(|instance| node.is(&instance.node.name));
    if let Some(at) = at {
        found.swap(0, at);
    }
}

fn fits(instance: &HealthInstance, wanted: &ServiceQuery) -> bool {
    let ignored = |id: &String| wanted.ignore_check_ids.iter().flatten().any(|ignored| ignored == id);
    let healthy = |status: &str| if wanted.only_passing { status == "passing" } else { status != "critical" };
    let has = |tag: &str| {
        let tag = Caseless::new(tag);
        instance.service.tags.iter().any(|own| tag.is(own))
    };
    let pairs = |wanted: &Option<_>, own: &Option<std::collections::BTreeMap<String, String>>| {
        let wanted: &Option<std::collections::BTreeMap<String, String>> = wanted;
        let has = |(key, value): (&String, &String)| own.as_ref().and_then(|own| own.get(key)) == Some(value);
        wanted.iter().flatten().all(has)
    };
    instance.checks.iter().all(|check| ignored(&check.check_id) || healthy(&check.status))
        && wanted
            .tags
            .iter()
            .flatten()
            .all(|tag| tag.strip_prefix('!').map_or_else(|| has(tag), |not| !has(not)))
        && pairs(&wanted.node_meta, &instance.node.meta)
        && pairs(&wanted.service_meta, &instance.service.meta)
}
