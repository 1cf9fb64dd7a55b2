//! `operator raft`, `operator autopilot`: the servers themselves.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::{Client, Request, RequestError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};

use super::usage::Instances;
use crate::{
    client::{AskFlags, NoWords, succeed},
    flags::{go_duration, go_number},
    output::{failure, json, show, table},
};

const CONFIGURATION: &str = "/v1/operator/autopilot/configuration";

/// Look after the servers
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// How the servers look after each other
    #[command(subcommand)]
    Autopilot(Autopilot),
    /// Which servers there are
    #[command(subcommand)]
    Raft(Raft),
    /// How much there is
    #[command(subcommand)]
    Usage(Usage),
}

/// How the servers look after each other
#[derive(Debug, Subcommand)]
pub(crate) enum Autopilot {
    /// Print the settings
    #[command(
        after_help = "Example:\n  ryo operator autopilot get-config\n\nExit codes: 0 printed, 1 no answer"
    )]
    GetConfig(Common),
    /// Change settings
    SetConfig(SetConfig),
    /// Print how the servers are
    State(AutopilotState),
}

/// Which servers there are
#[derive(Debug, Subcommand)]
pub(crate) enum Raft {
    /// List the servers
    #[command(
        after_help = "Examples:\n  ryo operator raft list-peers\n  ryo operator raft list-peers -stale\n\n\
        Exit codes: 0 printed, 1 no answer"
    )]
    ListPeers(Common),
    /// Take a server out
    RemovePeer(RemovePeer),
    /// Let another server lead
    TransferLeader(TransferLeader),
}

/// How much there is
#[derive(Debug, Subcommand)]
pub(crate) enum Usage {
    /// Count services, instances and nodes
    Instances(Instances),
}

impl Operator {
    pub(crate) fn run(self) -> Exit {
        match self {
            Self::Autopilot(Autopilot::GetConfig(flags)) => {
                flags.ask("Error querying Autopilot configuration", get_config)
            }
            Self::Autopilot(Autopilot::SetConfig(command)) => command.run(),
            Self::Autopilot(Autopilot::State(command)) => command.run(),
            Self::Raft(Raft::ListPeers(flags)) => {
                flags.ask("Error getting peers: Failed to retrieve raft configuration", list_peers)
            }
            Self::Raft(Raft::RemovePeer(command)) => command.run(),
            Self::Raft(Raft::TransferLeader(command)) => command.run(),
            Self::Usage(Usage::Instances(command)) => command.run(),
        }
    }
}

/// The flags of a command that only asks
#[derive(Args, Debug)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(super) ask: AskFlags,
    #[command(flatten)]
    pub(super) no_words: NoWords,
}

impl Common {
    /// Asks, and prints what came of it, as JSON or in words, or the failure behind `wrong`.
    pub(super) fn ask(
        &self,
        wrong: &str,
        text: impl AsyncFnOnce(&Client, &AskFlags) -> Result<(Value, String), RequestError>,
    ) -> Exit {
        self.ask.run_saying("Error initializing client", async |client| {
            match text(&client, &self.ask).await {
                Ok((answer, text)) => show(self.ask.json(), &answer, || text),
                Err(e) => failure(format!("{wrong}: {e}")),
            }
        })
    }
}

async fn get_config(client: &Client, server: &AskFlags) -> Result<(Value, String), RequestError> {
    let found: Value = client.json(&server.apply(Request::get(CONFIGURATION))).await?;
    let shown = [
        "CleanupDeadServers",
        "LastContactThreshold",
        "MaxTrailingLogs",
        "MinQuorum",
        "ServerStabilizationTime",
        "RedundancyZoneTag",
        "DisableUpgradeMigration",
        "UpgradeVersionTag",
    ]
    .map(|name| match &found[name] {
        Value::String(text) if name.ends_with("Tag") => format!("{name} = {text:?}"),
        Value::String(text) => format!("{name} = {text}"),
        other => format!("{name} = {other}"),
    });
    let text = shown.join("\n");
    Ok((found, text))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Servers {
    servers: Vec<Server>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    leader: bool,
    protocol_version: String,
    voter: bool,
    #[serde(default)]
    last_index: u64,
}

async fn list_peers(client: &Client, server: &AskFlags) -> Result<(Value, String), RequestError> {
    let answer: Value = client.json(&server.apply(Request::get("/v1/operator/raft/configuration"))).await?;
    let text = peers(&answer).map_err(|e| RequestError::Decode(e.to_string()))?;
    Ok((answer, text))
}

/// The servers as a table. Errors when the answer is of another shape.
pub(crate) fn peers(answer: &Value) -> Result<String, serde_json::Error> {
    let found = Servers::deserialize(answer)?;
    let newest = found.servers.iter().find(|s| s.leader).map_or(0, |leader| leader.last_index);
    let head =
        ["Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"];
    let rows = found.servers.into_iter().map(|s| {
        let behind = newest.saturating_sub(s.last_index);
        let trails = if s.leader { "-".to_owned() } else { format!("{behind} commits") };
        let state = if s.leader { "leader" } else { "follower" };
        let index = s.last_index.to_string();
        vec![s.node, s.id, s.address, state.into(), s.voter.to_string(), s.protocol_version, index, trails]
    });
    Ok(table(&std::iter::once(head.map(String::from).to_vec()).chain(rows).collect::<Vec<_>>()))
}

/// Change settings
#[derive(Args, Debug)]
#[command(
    after_help = "What is not given stays.\n\nExample:\n  ryo operator autopilot set-config -min-quorum=3\n\n\
    Exit codes: 0 changed, 1 refused, somebody else changed them meanwhile, or no answer"
)]
pub(crate) struct SetConfig {
    /// Take servers out that are gone: true or false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cleanup_dead_servers: Option<String>,
    /// How long a healthy server may not have heard of the leader
    #[arg(long, value_name = "DURATION", value_parser = go_duration)]
    last_contact_threshold: Option<String>,
    /// How many entries a healthy server may lag behind
    #[arg(long, value_name = "NUMBER", value_parser = go_number)]
    max_trailing_logs: Option<u64>,
    /// Below how many servers none is taken out
    #[arg(long, value_name = "NUMBER", value_parser = go_number)]
    min_quorum: Option<u64>,
    /// How long a new server must have been healthy
    #[arg(long, value_name = "DURATION", value_parser = go_duration)]
    server_stabilization_time: Option<String>,
    /// For Consul Enterprise; kept
    #[arg(long, value_name = "TEXT", hide = true)]
    redundancy_zone_tag: Option<String>,
    /// For Consul Enterprise; kept
    #[arg(long, value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    disable_upgrade_migration: Option<String>,
    /// For Consul Enterprise; kept
    #[arg(long, value_name = "TEXT", hide = true)]
    upgrade_version_tag: Option<String>,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl SetConfig {
    fn run(self) -> Exit {
        let given = match self.given() {
            Ok(given) => given,
            Err(why) => return failure(why),
        };
        self.ask.run_saying("Error initializing client", async |client| {
            let known = client.json(&self.ask.apply(Request::get(CONFIGURATION))).await;
            let mut settings: Value = match known {
                Ok(settings) => settings,
                Err(e) => return failure(format!("Error querying Autopilot configuration: {e}")),
            };
            let cas = settings["ModifyIndex"].to_string();
            for (name, value) in given {
                settings[name] = value;
            }
            let request = Request::put(CONFIGURATION, settings.to_string()).with("cas", cas);
            match succeed(&client, &self.ask.apply(request)).await {
                Ok(answer) if answer.body.trim_ascii() == b"true" => {
                    show(self.ask.json(), &settings, || "Configuration updated!".into())
                }
                Ok(_) => failure("Configuration could not be atomically updated, please try again"),
                Err(e) => failure(format!("Error setting Autopilot configuration: {e}")),
            }
        })
    }

    fn given(&self) -> Result<Vec<(&'static str, Value)>, String> {
        let flag = |name: &str, text: &Option<String>| -> Result<Option<Value>, String> {
            let Some(text) = text else { return Ok(None) };
            match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(value!(true))),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(value!(false))),
                _ => Err(format!(
                    "invalid boolean value {text:?} for -{name}: strconv.ParseBool: parsing {text:?}: invalid syntax"
                )),
            }
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| value!(text));
        let number = |number: Option<u64>| number.map(|number| value!(number));
        let all = [
            ("CleanupDeadServers", flag("cleanup-dead-servers", &self.cleanup_dead_servers)?),
            ("LastContactThreshold", text(&self.last_contact_threshold)),
            ("MaxTrailingLogs", number(self.max_trailing_logs)),
            ("MinQuorum", number(self.min_quorum)),
            ("ServerStabilizationTime", text(&self.server_stabilization_time)),
            ("RedundancyZoneTag", text(&self.redundancy_zone_tag)),
            ("DisableUpgradeMigration", flag("disable-upgrade-migration", &self.disable_upgrade_migration)?),
            ("UpgradeVersionTag", text(&self.upgrade_version_tag)),
        ];
        Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// Print how the servers are
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo operator autopilot state -format=json\n\nExit codes: 0 printed, 1 no answer"
)]
pub(crate) struct AutopilotState {
    /// `pretty` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    format: String,
    #[command(flatten)]
    common: Common,
}

impl AutopilotState {
    fn run(self) -> Exit {
        if !["pretty", "json"].contains(&self.format.as_str()) {
            return failure(format!("Unknown format: {}", self.format));
        }
        self.common.ask("Error querying Autopilot state", async |client, server| {
            let found: Value =
                client.json(&server.apply(Request::get("/v1/operator/autopilot/state"))).await?;
            let state = State::deserialize(&found).map_err(|e| RequestError::Decode(e.to_string()))?;
            let text = match self.format.as_str() {
                "json" => json(&state),
                _ => state.words(),
            };
            Ok((found, text))
        })
    }
}

/// How the servers are, in the order that Consul shows it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    healthy: bool,
    failure_tolerance: i64,
    #[serde(default)]
    optimistic_failure_tolerance: i64,
    servers: BTreeMap<String, ServerState>,
    leader: String,
    voters: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_replicas: Option<Vec<String>>,
}

/// How one server is.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServerState {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    address: String,
    node_status: String,
    version: String,
    last_contact: String,
    last_term: u64,
    last_index: u64,
    healthy: bool,
    stable_since: String,
    #[serde(default)]
    read_replica: bool,
    status: String,
    #[serde(default)]
    meta: BTreeMap<String, String>,
    node_type: String,
}

impl State {
    fn words(&self) -> String {
        let list = |ids: &[String]| ids.iter().map(|id| format!("   {id}\n")).collect::<String>();
        let mut out = format!(
            "Healthy:                      {}\nFailure Tolerance:            {}\n\
             Optimistic Failure Tolerance: {}\nLeader:                       {}\nVoters:\n{}",
            self.healthy,
            self.failure_tolerance,
            self.optimistic_failure_tolerance,
            self.leader,
            list(&self.voters)
        );
        if let Some(replicas) = self.read_replicas.as_ref().filter(|ids| !ids.is_empty()) {
            out += &format!("Read Replicas:\n{}", list(replicas));
        }
        out += "Servers:\n";
        for (id, server) in &self.servers {
            out += &format!("   {id}\n{}", server.words());
        }
        out
    }
}

impl ServerState {
    fn words(&self) -> String {
        let rows = [
            ("Name", self.name.clone()),
            ("Address", self.address.clone()),
            ("Version", self.version.clone()),
            ("Status", self.status.clone()),
            ("Node Type", self.node_type.clone()),
            ("Node Status", self.node_status.clone()),
            ("Healthy", self.healthy.to_string()),
            ("Last Contact", self.last_contact.clone()),
            ("Last Term", self.last_term.to_string()),
            ("Last Index", self.last_index.to_string()),
        ];
        let mut out: String =
            rows.iter().map(|(name, value)| format!("      {:<17}{value}\n", format!("{name}:"))).collect();
        if !self.meta.is_empty() {
            out += "      Meta\n";
            out += &self
                .meta
                .iter()
                .map(|(name, value)| format!("         {name:?}: {value:?}\n"))
                .collect::<String>();
        }
        out
    }
}

/// Take a server out
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo operator raft remove-peer -address=10.1.1.13:8300\n\n\
    Exit codes: 0 removed, 1 refused or no answer")]
pub(crate) struct RemovePeer {
    /// Its address, `IP:PORT`
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    address: String,
    /// Its id
    #[arg(long, value_name = "ID", default_value = "")]
    id: String,
    #[command(flatten)]
    common: Common,
}

impl RemovePeer {
    fn run(self) -> Exit {
        let (name, value) = match (self.address.as_str(), self.id.as_str()) {
            ("", "") => {
                return failure("Error removing peer: an address or id is required for the peer to remove");
            }
            (address, "") => ("address", address),
            ("", id) => ("id", id),
            _ => return failure("Error removing peer: cannot give both an address and id"),
        };
        self.common.ask("Error removing peer", async |client, server| {
            let request = Request::delete("/v1/operator/raft/peer").with(name, value);
            succeed(client, &server.apply(request)).await?;
            Ok((value!({ "Removed": value }), format!("Removed peer with {name} {value:?}")))
        })
    }
}

/// Let another server lead
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo operator raft transfer-leader\n\nExit codes: 0 done, 1 refused or no answer"
)]
pub(crate) struct TransferLeader {
    /// Which one; any when it is not given
    #[arg(long, value_name = "ID", default_value = "")]
    id: String,
    #[command(flatten)]
    common: Common,
}

impl TransferLeader {
    fn run(self) -> Exit {
        let wrong = "Error transfering leadership: Failed to transfer leadership";
        self.common.ask.run_saying("Error initializing client", async |client| {
            let request =
                Request::new("POST", "/v1/operator/raft/transfer-leader").with_unless_empty("id", &self.id);
            match succeed(&client, &self.common.ask.apply(request)).await {
                Ok(_) => show(self.common.ask.json(), &value!({ "Transferred": true }), || "Success".into()),
                Err(e) => failure(format!("{wrong} {e}")),
            }
        })
    }
}
