//! `acl set-agent-token`.

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use serde_json::json;

use crate::{
    client::{AskFlags, succeed},
    output::{failure, show},
};

/// What an agent has tokens for; the last four are older names.
const KINDS: [&str; 9] = [
    "default",
    "agent",
    "recovery",
    "replication",
    "config_file_service_registration",
    "dns",
    "master",
    "acl_token",
    "acl_agent_token",
];

/// Give the agent a token for its own work
#[derive(Args, Debug)]
#[command(
    after_help = "TYPE is default, agent, recovery, replication, config_file_service_registration or dns.\n\n\
    Example:\n  ryo acl set-agent-token default SECRET\n\nExit codes: 0 set, 1 refused or no answer"
)]
pub(crate) struct SetAgentToken {
    #[command(flatten)]
    ask: AskFlags,
    /// What the token is for, and the token
    #[arg(value_name = "TYPE TOKEN")]
    words: Vec<String>,
}

impl SetAgentToken {
    pub(super) fn run(self) -> Exit {
        let (kind, token) = match self.words.as_slice() {
            [] => return failure("Error! Missing TYPE and TOKEN arguments"),
            [kind] if KINDS.contains(&kind.as_str()) => return failure("Error! Missing TOKEN argument"),
            [_] => return failure("Error! MISSING TYPE argument"),
            [kind, token] => (kind, token),
            more => return failure(format!("Error! Too many arguments: expected 2 got {}", more.len())),
        };
        if !KINDS.contains(&kind.as_str()) {
            return failure("Unknown token type");
        }
        self.ask.run(async |client| {
            let request = Request::put(
                Request::path_to("/v1/agent/token", kind),
                json!({ "Token": token }).to_string(),
            );
            match succeed(&client, &self.ask.apply(request)).await {
                Ok(_) => show(self.ask.json(), &json!({ "Type": kind, "Set": true }), || {
                    format!("ACL token {kind:?} set successfully")
                }),
                Err(e) => failure(format!("Failed to set ACL token {kind:?}: {e}")),
            }
        })
    }
}
