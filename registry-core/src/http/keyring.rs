//! `/v1/operator/keyring`: the keys that nodes share. Each datacenter's leader changes its own; the answer tells of all.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, Request};
use http_api::{Answer, ApiError, Call, body};
use link::calls::{self, KeyringAsked, KeyringReport, NodeKeys};
use registry_wire::{base64, json::Unknown};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Api;
use crate::{keys, wan};

/// How many others may pass a request on, at most.
const RELAY_FACTOR_MAX: i64 = 5;
/// How long another datacenter may take: its nodes have to say that they have what they were told.
const REPORT_LIMIT: Duration = Duration::from_secs(12);
/// The longest report; ten thousand nodes have some 2 MB.
const REPORT_BYTES_MAX: usize = 64 << 20;

/// `GET`, `POST`, `PUT` and `DELETE`.
pub(super) async fn serve(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    let changes = matches!(call.method, Method::POST | Method::PUT | Method::DELETE);
    let body: Body = if changes { call.decode(Unknown::Refuse).await? } else { Body::default() };
    if let Some(factor) = call.query.filled("relay-factor") {
        check_relay_factor(&factor)?;
    }
    let local_only = match call.query.filled("local-only").as_deref() {
        None | Some("false" | "0" | "f") => false,
        Some("true" | "1" | "t") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Error parsing local-only: strconv.ParseBool: parsing {other:?}: invalid syntax"
            )));
        }
    };
    if local_only && call.method != Method::GET {
        return Err(ApiError::bad_request(
            "Invalid use of local-only: local-only can only be set for list requests",
        ));
    }
    // A text that is no key is refused before any node is asked.
    let text = base64::decode(&body.key).err().filter(|_| changes).map(|fault| fault.to_string());
    let asked = match (&call.method, text.is_some()) {
        (_, true) | (&Method::GET, _) => KeyringAsked::List,
        (&Method::POST, _) => KeyringAsked::Install(body.key),
        (&Method::PUT, _) => KeyringAsked::Use(body.key),
        _ => KeyringAsked::Remove(body.key),
    };
    let pools = pools(
        reports(&api, &asked, !local_only).await,
        !local_only && api.registry().settings().serf_wan.is_some(),
    );
    let failures = failures(&pools, text.as_deref());
    match (failures, asked) {
        (Some(failures), _) => Err(ApiError::internal(failures)),
        (None, KeyringAsked::List) => Ok(Answer::json(&pools.iter().map(Pool::shown).collect::<Vec<_>>())),
        (None, _) => Ok(Answer::done()),
    }
}

/// What became of it in this datacenter and, beyond local questions, in all others.
async fn reports(api: &Api, asked: &KeyringAsked, everywhere: bool) -> Vec<KeyringReport> {
    let registry = api.registry();
    let mut reports = vec![keys::here(registry, asked).await];
    if !everywhere || registry.settings().serf_wan.is_none() {
        return reports;
    }
    let sent = serde_json::to_vec(asked).expect("texts are JSON");
    for datacenter in registry.wan().datacenters().split_off(1) {
        let request =
            Request::put(calls::WAN_KEYRING).body(body::full(sent.clone())).expect("a fixed target");
        let there = async {
            let answer =
                registry.wan().call(&datacenter, request).await.map_err(|error| error.to_string())?;
            wan::read::<KeyringReport>(answer, REPORT_BYTES_MAX).await.map_err(|error| error.to_string())
        };
        let there =
            timeout(REPORT_LIMIT, there).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        reports.push(match there {
            Ok(report) => report,
            Err(why) => KeyringReport { datacenter, unasked: Some(why), ..KeyringReport::default() },
        });
    }
    reports
}

/// Nodes that share keys, and what they answered.
struct Pool {
    wan: bool,
    datacenter: String,
    nodes: Vec<NodeKeys>,
    unasked: Option<String>,
}

/// The servers of all datacenters, and the nodes of each.
fn pools(reports: Vec<KeyringReport>, wan: bool) -> Vec<Pool> {
    let mut pools = Vec::new();
    if let Some(own) = reports.first().filter(|_| wan) {
        let servers = |report: &KeyringReport| {
            let servers: Vec<_> = report.nodes.iter().filter(|node| node.server).cloned().collect();
            let named =
                |node: NodeKeys| NodeKeys { node: format!("{}.{}", node.node, report.datacenter), ..node };
            servers.into_iter().map(named).collect::<Vec<_>>()
        };
        let nodes = reports.iter().flat_map(servers).collect();
        pools.push(Pool { wan, datacenter: own.datacenter.clone(), nodes, unasked: None });
    }
    pools.extend(reports.into_iter().map(|report| {
        let KeyringReport { datacenter, nodes, unasked } = report;
        Pool { wan: false, datacenter, nodes, unasked }
    }));
    pools
}

impl Pool {
    fn name(&self) -> String {
        if self.wan { "WAN".to_owned() } else { format!("{} (LAN)", self.datacenter) }
    }

    /// How many nodes have each key.
    fn shown(&self) -> PoolKeys<'_> {
        let (mut keys, mut primary_keys) = (BTreeMap::new(), BTreeMap::new());
        for node in &self.nodes {
            node.keys.iter().for_each(|key| *keys.entry(&**key).or_default() += 1);
            node.keys.first().into_iter().for_each(|key| *primary_keys.entry(&**key).or_default() += 1);
        }
        let (wan, datacenter, num_nodes) = (self.wan, &*self.datacenter, self.nodes.len());
        PoolKeys { wan, datacenter, segment: "", keys, primary_keys, num_nodes }
    }

    /// What went wrong, line by line.
    fn failures(&self) -> Vec<String> {
        let (name, count) = (self.name(), self.nodes.len());
        if let Some(why) = &self.unasked {
            return vec![format!("{name} error: {why}")];
        }
        let refused = |node: &NodeKeys| node.refused.as_ref().map(|why| format!("{}: {why}", node.node));
        let refused: Vec<_> = self.nodes.iter().filter_map(refused).collect();
        let answered = self.nodes.iter().filter(|node| node.answered).count();
        if !refused.is_empty() {
            let head = format!("{name} error: {}/{count} nodes reported failure", refused.len());
            return std::iter::once(head).chain(refused).collect();
        }
        (answered < count)
            .then(|| format!("{name} error: {answered}/{count} nodes reported success"))
            .into_iter()
            .collect()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PoolKeys<'a> {
    #[serde(rename = "WAN")]
    wan: bool,
    datacenter: &'a str,
    segment: &'static str,
    keys: BTreeMap<&'a str, usize>,
    primary_keys: BTreeMap<&'a str, usize>,
    num_nodes: usize,
}

/// What went wrong in all pools as one text, `None` when nothing did; or that the key's text is none.
fn failures(pools: &[Pool], text: Option<&str>) -> Option<String> {
    let lines: Vec<_> = match text {
        Some(why) => pools.iter().map(|pool| format!("{} error: {why}", pool.name())).collect(),
        None => pools.iter().flat_map(Pool::failures).collect(),
    };
    let errors = if lines.len() == 1 { "error" } else { "errors" };
    (!lines.is_empty())
        .then(|| format!("{} {errors} occurred:\n\t* {}\n\n", lines.len(), lines.join("\n\t* ")))
}

#[derive(Default, Deserialize)]
#[serde(rename = "agent.keyringArgs", rename_all = "PascalCase", default)]
struct Body {
    key: String,
}

fn check_relay_factor(text: &str) -> Result<(), ApiError> {
    let factor: i64 = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "Error parsing relay factor: strconv.Atoi: parsing {text:?}: invalid syntax"
        ))
    })?;
    if (0..=RELAY_FACTOR_MAX).contains(&factor) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid relay-factor: Relay factor must be in range: [0, {RELAY_FACTOR_MAX}]"
    )))
}
