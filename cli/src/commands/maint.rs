//! `maint`: takes a node or an instance out of service, and back.

use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request};
use serde_json::Value;

use crate::{
    client::{ClientFlags, NoWords, succeed},
    output::{failure, line},
};

/// Take this node or one of its services out of service, and back
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo maint -enable -reason='new disks'\n  ryo maint -disable -service=web-1\n  \
    ryo maint\n\nExit codes: 0 done, 1 refused or no answer"
)]
pub(crate) struct Maint {
    /// Back into service
    #[arg(long)]
    disable: bool,
    /// Out of service
    #[arg(long)]
    enable: bool,
    /// Why, for those who look
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    reason: String,
    /// A service by its id, instead of the node
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    service: String,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Maint {
    pub(crate) fn run(self) -> Exit {
        if self.enable && self.disable {
            return failure("Only one of -enable or -disable may be provided");
        }
        if !self.enable && !self.reason.is_empty() {
            return failure("Reason may only be provided with -enable");
        }
        if !self.enable && !self.disable && !self.service.is_empty() {
            return failure("Service requires either -enable or -disable");
        }
        self.client.run(async |client| match self.enable || self.disable {
            true => self.switch(&client).await,
            false => list(&client).await,
        })
    }

    async fn switch(&self, client: &Client) -> Exit {
        let (path, what) = match &*self.service {
            "" => ("/v1/agent/maintenance".to_owned(), "node"),
            id => (Request::path_to("/v1/agent/service/maintenance", id), "service"),
        };
        let request = Request::put(path, "").with("enable", self.enable.to_string());
        let request = if self.enable { request.with("reason", self.reason.as_str()) } else { request };
        let (doing, done) = if self.enable { ("enabling", "enabled") } else { ("disabling", "disabled") };
        if let Err(e) = succeed(client, &request).await {
            return failure(format!("Error {doing} {what} maintenance: {e}"));
        }
        line(match &*self.service {
            "" => format!("Node maintenance is now {done}"),
            id => format!("Service maintenance is now {done} for {id:?}"),
        });
        Exit::Success
    }
}

/// What is out of service.
async fn list(client: &Client) -> Exit {
    let own: Value = match client.json(&Request::get("/v1/agent/self")).await {
        Ok(own) => own,
        Err(e) => return failure(format!("Error querying Consul agent: {e}")),
    };
    let checks: Value = match client.json(&Request::get("/v1/agent/checks")).await {
        Ok(checks) => checks,
        Err(e) => return failure(format!("Error getting checks: {e}")),
    };
    for check in checks.as_object().into_iter().flat_map(|checks| checks.values()) {
        let text = |name: &str| check[name].as_str().unwrap_or_default();
        let (id, reason) = (text("CheckID"), text("Notes"));
        if id == "_node_maintenance" {
            let node = own["Config"]["NodeName"].as_str().unwrap_or_default();
            line(format!("Node:\n  Name:   {node}\n  Reason: {reason}\n"));
        } else if let Some(service) = id.strip_prefix("_service_maintenance:") {
            line(format!("Service:\n  ID:     {service}\n  Reason: {reason}\n"));
        }
    }
    Exit::Success
}
