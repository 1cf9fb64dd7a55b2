//! `/v1/operator/autopilot/`: how the servers look after each other, and how they are.

use http::Method;
use http_api::{Answer, ApiError, Call};
use registry_state::{Action, Autopilot};
use registry_wire::{
    duration::format_nanos,
    json::{self, Nanos, Unknown},
    query::parse_u64,
};
use serde::Deserialize;
use serde_json::json;

use super::{Api, respond::written};
use crate::ReadError;

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

/// `GET /v1/operator/autopilot/health`: the one server, which is healthy while it answers.
pub(super) async fn health(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    leading(&api).await?;
    let server = OwnServer::of(&api);
    Ok(Answer::json(&json!({
        "Healthy": true,
        "FailureTolerance": 0,
        "Servers": [{
            "ID": server.id,
            "Name": server.name,
            "Address": server.address,
            "SerfStatus": "alive",
            "Version": agent::CONSUL_VERSION,
            "Leader": true,
            "LastContact": "0s",
            "LastTerm": server.term,
            "LastIndex": server.index,
            "Healthy": true,
            "Voter": true,
            "StableSince": server.stable_since,
        }],
    })))
}

/// `GET /v1/operator/autopilot/state`: the same, and who votes.
pub(super) async fn state(api: Api, call: Call) -> Result<Answer, ApiError> {
    call.read_options()?;
    api.serves_call(&call)?;
    leading(&api).await?;
    let server = OwnServer::of(&api);
    let mut meta = api.registry().settings().meta.clone();
    meta.insert("consul-network-segment".to_owned(), String::new());
    meta.insert("consul-version".to_owned(), agent::CONSUL_VERSION.to_owned());
    let shown = json!({
        "ID": server.id,
        "Name": server.name,
        "Address": server.address,
        "NodeStatus": "alive",
        "Version": agent::CONSUL_VERSION,
        "LastContact": "0s",
        "LastTerm": server.term,
        "LastIndex": server.index,
        "Healthy": true,
        "StableSince": server.stable_since,
        "ReadReplica": false,
        "Status": "leader",
        "Meta": meta,
        "NodeType": "voter",
    });
    Ok(Answer::json(&json!({
        "Healthy": true,
        "FailureTolerance": 0,
        "OptimisticFailureTolerance": 0,
        "Servers": { &server.id: shown },
        "Leader": server.id,
        "Voters": [server.id],
    })))
}

/// The server that answers: the only one.
struct OwnServer {
    id: String,
    name: String,
    address: String,
    term: u64,
    index: u64,
    stable_since: String,
}

impl OwnServer {
    fn of(api: &Api) -> Self {
        let registry = api.registry();
        let (settings, progress) = (registry.settings(), registry.progress());
        let since: chrono::DateTime<chrono::Utc> = registry.started().into();
        Self {
            id: settings.node_id.clone(),
            name: settings.node_name.clone(),
            address: registry.peers().into_iter().next().unwrap_or_default(),
            term: progress.term,
            index: progress.applied,
            stable_since: since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        }
    }
}

async fn leading(api: &Api) -> Result<(), ApiError> {
    Ok(api.registry().leadership().leading().await.map_err(ReadError::from)?)
}
