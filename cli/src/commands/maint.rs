//! `maint`: takes a node or an instance out of service, and back.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    client::{ClientFlags, NoWords, succeed},
    output::{failure, line, show},
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
            false => list(&client).await.map_or_else(failure, |listed| self.print(&listed)),
        })
    }

    fn print(&self, listed: &[Out]) -> Exit {
        if self.client.json {
            return show(true, listed, String::new);
        }
        for Out { kind, name, reason } in listed {
            let title = if *kind == "Node" { "Name:  " } else { "ID:    " };
            line(format!("{kind}:\n  {title} {name}\n  Reason: {reason}\n"));
        }
        Exit::Success
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
        let answer = json!({ "Service": self.service, "Maintenance": self.enable, "Reason": self.reason });
        show(self.client.json, &answer, || match &*self.service {
            "" => format!("Node maintenance is now {done}"),
            id => format!("Service maintenance is now {done} for {id:?}"),
        })
    }
}

/// What is out of service, and why.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Out {
    /// `Node` or `Service`.
    kind: &'static str,
    /// The node's name, or the instance's id.
    name: String,
    reason: String,
}

async fn list(client: &Client) -> Result<Vec<Out>, String> {
    let own: Result<Value, _> = client.json(&Request::get("/v1/agent/self")).await;
    let own = own.map_err(|e| format!("Error querying Consul agent: {e}"))?;
    let checks: Result<BTreeMap<String, Value>, _> = client.json(&Request::get("/v1/agent/checks")).await;
    let checks = checks.map_err(|e| format!("Error getting checks: {e}"))?;
    let out = checks.values().filter_map(|check| {
        let text = |name: &str| check[name].as_str().unwrap_or_default();
        let (kind, name) = match text("CheckID") {
            "_node_maintenance" => ("Node", own["Config"]["NodeName"].as_str().unwrap_or_default()),
            id => ("Service", id.strip_prefix("_service_maintenance:")?),
        };
        Some(Out { kind, name: name.to_owned(), reason: text("Notes").to_owned() })
    });
    Ok(out.collect())
}
