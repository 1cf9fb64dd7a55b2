//! `/v1/operator/autopilot/`: how the servers look after each other, and how they are.

use std::{collections::BTreeMap, time::SystemTime};

use http::{Method, StatusCode};
use http_api::{Answer, ApiError, Call};
use link::calls;
use registry_state::{
    Action, Autopilot,
    read::{CatalogNode, Read as _},
};
use registry_wire::{
    duration::format_nanos,
    json::{self, Nanos, Unknown},
    query::parse_u64,
};
use serde::Deserialize;
use serde_json::json;

use super::{Api, operator, respond::written};
use crate::{ReadError, replication::Listed};

/// `GET` and `PUT /v1/operator/autopilot/configuration`.
pub(super) async fn configuration(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    if call.method == Method::PUT {
        let settings = settings(&call.body().await?)?;
        let number = |text| parse_u64(text);
        let cas = call.query.filled("cas").as_deref().map(number).transpose();
        let cas = cas.map_err(|e| ApiError::bad_request(format!("Error parsing cas value: {e}")))?;
        api.serves_call(&call)?;
        let action = Action::AutopilotSet { settings: Box::new(settings), cas };
        return written(api.writer().write(action).await?.outcome, "");
    }
    call.read_options()?;
    api.serves_call(&call)?;
    leading(&api).await?;
    let shown = api.registry().store().state().autopilot();
    Ok(Answer::json(&json!({
        "CleanupDeadServers": shown.cleanup_dead_servers,
        "LastContactThreshold": format_nanos(shown.last_contact_threshold_ns),
        "MaxTrailingLogs": shown.max_trailing_logs,
        "MinQuorum": shown.min_quorum,
        "ServerStabilizationTime": format_nanos(shown.server_stabilization_ns),
        "RedundancyZoneTag": shown.redundancy_zone_tag,
        "DisableUpgradeMigration": shown.disable_upgrade_migration,
        "UpgradeVersionTag": shown.upgrade_version_tag,
        "CreateIndex": shown.create_index,
        "ModifyIndex": shown.modify_index,
    })))
}

/// The body of a PUT; what it leaves out has its default.
#[derive(Deserialize)]
#[serde(rename = "api.AutopilotConfiguration", rename_all = "PascalCase", default)]
struct Sent {
    cleanup_dead_servers: bool,
    last_contact_threshold: Nanos,
    max_trailing_logs: u64,
    min_quorum: u64,
    server_stabilization_time: Nanos,
    redundancy_zone_tag: String,
    disable_upgrade_migration: bool,
    upgrade_version_tag: String,
    /// Shown, and so sent back; not used.
    #[serde(rename = "CreateIndex")]
    _create_index: u64,
    /// Shown, and so sent back; `?cas=` counts.
    #[serde(rename = "ModifyIndex")]
    _modify_index: u64,
}

impl Default for Sent {
    fn default() -> Self {
        let usual = Autopilot::default();
        Self {
            cleanup_dead_servers: usual.cleanup_dead_servers,
            last_contact_threshold: Nanos(usual.last_contact_threshold_ns),
            max_trailing_logs: usual.max_trailing_logs,
            min_quorum: usual.min_quorum,
            server_stabilization_time: Nanos(usual.server_stabilization_ns),
            redundancy_zone_tag: usual.redundancy_zone_tag,
            disable_upgrade_migration: usual.disable_upgrade_migration,
            upgrade_version_tag: usual.upgrade_version_tag,
            _create_index: 0,
            _modify_index: 0,
        }
    }
}

fn settings(body: &[u8]) -> Result<Autopilot, ApiError> {
    let sent: Sent = json::decode(body, Unknown::Refuse)
        .map_err(|e| ApiError::bad_request(format!("Error parsing autopilot config: {e}")))?;
    Ok(Autopilot {
        cleanup_dead_servers: sent.cleanup_dead_servers,
        last_contact_threshold_ns: sent.last_contact_threshold.0,
        max_trailing_logs: sent.max_trailing_logs,
        min_quorum: sent.min_quorum,
        server_stabilization_ns: sent.server_stabilization_time.0,
        redundancy_zone_tag: sent.redundancy_zone_tag,
        disable_upgrade_migration: sent.disable_upgrade_migration,
        upgrade_version_tag: sent.upgrade_version_tag,
    })
}

/// `GET /v1/operator/autopilot/health`: how the servers are; 429 unless all are well.
pub(super) async fn health(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    leading(&api).await?;
    let servers = Condition::of_all(&api);
    let shown = servers.iter().map(|server| {
        json!({
            "ID": server.id,
            "Name": server.name,
            "Address": server.address,
            "SerfStatus": server.status,
            "Version": server.version,
            "Leader": server.leader,
            "LastContact": format_nanos(server.contact_ns),
            "LastTerm": server.term,
            "LastIndex": server.index,
            "Healthy": server.healthy,
            "Voter": server.voter,
            "StableSince": since(server, chrono::SecondsFormat::Secs),
        })
    });
    let healthy = servers.iter().all(|server| server.healthy);
    let answer = Answer::json(&json!({
        "Healthy": healthy,
        "FailureTolerance": tolerance(&servers),
        "Servers": shown.collect::<Vec<_>>(),
    }));
    Ok(if healthy { answer } else { answer.status(StatusCode::TOO_MANY_REQUESTS) })
}

/// `GET /v1/operator/autopilot/state`: the same, and who votes.
pub(super) async fn state(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    leading(&api).await?;
    let servers = Condition::of_all(&api);
    let shown = servers.iter().map(|server| {
        let state = json!({
            "ID": server.id,
            "Name": server.name,
            "Address": server.address,
            "NodeStatus": server.status,
            "Version": server.version,
            "LastContact": format_nanos(server.contact_ns),
            "LastTerm": server.term,
            "LastIndex": server.index,
            "Healthy": server.healthy,
            "StableSince": since(server, chrono::SecondsFormat::Nanos),
            "ReadReplica": false,
            "Status": match (server.leader, server.voter) {
                (true, _) => "leader",
                (false, true) => "voter",
                (false, false) => "non-voter",
            },
            "Meta": server.meta,
            "NodeType": "voter",
        });
        (server.id.clone(), state)
    });
    let tolerance = tolerance(&servers);
    let voters: Vec<_> = servers.iter().filter(|server| server.voter).map(|server| &server.id).collect();
    Ok(Answer::json(&json!({
        "Healthy": servers.iter().all(|server| server.healthy),
        "FailureTolerance": tolerance,
        "OptimisticFailureTolerance": tolerance,
        "Servers": shown.collect::<serde_json::Map<_, _>>(),
        "Leader": servers.iter().find(|server| server.leader).map_or("", |server| &server.id),
        "Voters": voters,
    })))
}

/// How a server is.
struct Condition {
    id: String,
    name: String,
    address: String,
    version: String,
    status: &'static str,
    leader: bool,
    voter: bool,
    healthy: bool,
    contact_ns: i64,
    term: u64,
    index: u64,
    since: SystemTime,
    meta: BTreeMap<String, String>,
}

impl Condition {
    fn of_all(api: &Api) -> Vec<Self> {
        let registry = api.registry();
        let (progress, health) = (registry.progress(), registry.servers().health());
        let us = registry.servers().id();
        let state = registry.store().state();
        let condition = |listed: Listed| {
            let known = health.get(&listed.id);
            let (node, _) = CatalogNode { node: listed.server.name.clone() }.run(&state);
            let contact = listed.heard.filter(|_| !listed.leader).unwrap_or_default();
            Self {
                status: match registry.leases().status_of(&listed.server.name) {
                    calls::status::FAILED => "failed",
                    calls::status::LEFT => "left",
                    _ => "alive",
                },
                leader: listed.leader,
                voter: listed.voter,
                healthy: listed.id == us || known.is_some_and(|known| known.healthy),
                contact_ns: i64::try_from(contact.as_nanos()).unwrap_or(i64::MAX),
                term: progress.term,
                index: if listed.leader { progress.last } else { listed.matched.unwrap_or(0) },
                since: known.map_or(registry.started(), |known| known.since),
                meta: node.and_then(|found| found.node.meta.clone()).unwrap_or_default(),
                id: listed.server.node_id,
                name: listed.server.name,
                address: listed.server.addr,
                version: listed.server.build,
            }
        };
        operator::servers(api).into_iter().map(condition).collect()
    }
}

/// How many of the servers may still be lost.
fn tolerance(servers: &[Condition]) -> usize {
    let voters = servers.iter().filter(|server| server.voter).count();
    let well = servers.iter().filter(|server| server.voter && server.healthy).count();
    well.saturating_sub(voters / 2 + 1)
}

fn since(server: &Condition, format: chrono::SecondsFormat) -> String {
    chrono::DateTime::<chrono::Utc>::from(server.since).to_rfc3339_opts(format, true)
}

async fn leading(api: &Api) -> Result<(), ApiError> {
    Ok(api.registry().leadership().leading().await.map_err(ReadError::from)?)
}
