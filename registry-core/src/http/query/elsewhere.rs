//! A prepared query that finds nothing here: the same in the datacenters that it names, and in those that are near.

use http::{Request, Response, StatusCode};
use http_api::{Body, body};
use link::calls;
use registry_wire::prepared::{Definition, Executed};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::run::{Asked, run};
use crate::{Registry, server, wan};

/// How long another datacenter may take for its answer.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A query to be run in another datacenter, which does not know it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ForAnother {
    query: Definition,
    limit: usize,
    connect: bool,
}

/// Where to look next.
enum Place {
    Datacenter(String),
    Peer(String),
}

/// What was found here, or else in the first place that has something. Datacenters that nobody knows, and this one, are passed over;
/// what was tried is counted, and a peer has nothing.
pub(crate) async fn elsewhere(
    registry: &Registry,
    query: &Definition,
    asked: &Asked<'_>,
    mut ran: Executed,
) -> Executed {
    if !ran.nodes.is_empty() || !query.service.peer.is_empty() {
        return ran;
    }
    for place in places(registry, query) {
        ran.failovers += 1;
        match place {
            Place::Peer(peer) => (ran.peer_name, ran.datacenter) = (peer, String::new()),
            Place::Datacenter(datacenter) => match run_there(registry, &datacenter, query, asked).await {
                Ok(found) => {
                    (ran.datacenter, ran.peer_name) = (found.datacenter, String::new());
                    ran.nodes = found.nodes;
                }
                Err(error) => tracing::warn!(
                    target: "agent.server.prepared_query",
                    service = query.service.service,
                    datacenter,
                    error,
                    "Failed querying for service in datacenter"
                ),
            },
        }
        if !ran.nodes.is_empty() {
            break;
        }
    }
    ran
}

fn places(registry: &Registry, query: &Definition) -> Vec<Place> {
    let failover = &query.service.failover;
    let known = registry.wan().datacenters();
    // The own one comes first of all and is not another place.
    let others = &known[1..];
    let known = |datacenter: &str| others.iter().any(|other| other == datacenter);
    let targets: Vec<_> = failover
        .targets
        .iter()
        .flatten()
        .filter_map(|target| match target.peer.is_empty() {
            false => Some(Place::Peer(target.peer.clone())),
            true => known(&target.datacenter).then(|| Place::Datacenter(target.datacenter.clone())),
        })
        .collect();
    if !targets.is_empty() {
        return targets;
    }
    let nearest = usize::try_from(failover.nearest_n).unwrap_or_default();
    let mut datacenters: Vec<&String> = others.iter().take(nearest).collect();
    for named in failover.datacenters.iter().flatten() {
        if known(named) && !datacenters.contains(&named) {
            datacenters.push(named);
        }
    }
    datacenters.into_iter().cloned().map(Place::Datacenter).collect()
}

async fn run_there(
    registry: &Registry,
    datacenter: &str,
    query: &Definition,
    asked: &Asked<'_>,
) -> Result<Executed, String> {
    let sent = ForAnother { query: query.clone(), limit: asked.limit, connect: asked.connect };
    let sent = serde_json::to_vec(&sent).expect("a definition is plain data");
    let request = Request::put(calls::WAN_QUERY).body(body::full(sent)).expect("a fixed target");
    let answered = async {
        let answer = registry.wan().call(datacenter, request).await;
        wan::read(answer.map_err(|error| error.to_string())?, ANSWER_BYTES_MAX).await
    };
    timeout(LIMIT, answered).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// Runs another datacenter's query here: no nearness counts, and nothing is passed on.
pub(crate) fn for_another(registry: &Registry, sent: &[u8]) -> Response<Body> {
    let sent: ForAnother = match serde_json::from_slice(sent) {
        Ok(sent) => sent,
        Err(error) => return server::said(StatusCode::BAD_REQUEST, &format!("not a query: {error}")),
    };
    let asked = Asked { agent: "", client: None, near: Some(""), limit: sent.limit, connect: sent.connect };
    let state = registry.store().state();
    server::json(&run(&state, &sent.query, &asked, &registry.settings().datacenter))
}
