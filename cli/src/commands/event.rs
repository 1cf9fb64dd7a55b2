//! `event`: fires a user event.

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use registry_wire::regexp;
use serde_json::Value;

use super::cluster::usage;
use crate::{
    client::ClientFlags,
    output::{failure, show},
};

/// Fire a user event
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo event -name=deploy v1.2\n  ryo event -name=restart -node='web.*' -service=web\n\n\
    Exit codes: 0 fired, 1 refused or no answer"
)]
pub(crate) struct Event {
    /// What happened
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// Only for nodes whose name matches
    #[arg(long, default_value = "", value_name = "REGEX", hide_default_value = true)]
    node: String,
    /// Only for nodes with a service whose name matches
    #[arg(long, default_value = "", value_name = "REGEX", hide_default_value = true)]
    service: String,
    /// Only for nodes where a tag of that service matches
    #[arg(long, default_value = "", value_name = "REGEX", hide_default_value = true)]
    tag: String,
    #[command(flatten)]
    client: ClientFlags,
    /// What comes with it
    #[arg(value_name = "PAYLOAD")]
    words: Vec<String>,
}

impl Event {
    pub(crate) fn run(self) -> Exit {
        if let Err(why) = self.check() {
            return failure(format!("{why}\n\n{}", usage(&["event"])));
        }
        let payload = self.words.first().cloned().unwrap_or_default();
        self.client.run(async |client| {
            if let Err(e) = client.json::<Value>(&Request::get("/v1/agent/self")).await {
                return failure(format!("Error querying Consul agent: {e}"));
            }
            let request = Request::put(Request::path_to("/v1/event/fire", &self.name), payload);
            let filters = [("node", &self.node), ("service", &self.service), ("tag", &self.tag)];
            let request =
                filters.iter().fold(request, |request, (name, value)| request.with_unless_empty(name, value));
            match client.json::<Value>(&request).await {
                Ok(fired) => {
                    let id = fired["ID"].as_str().unwrap_or_default();
                    show(self.client.json, &fired, || format!("Event ID: {id}"))
                }
                Err(e) => failure(format!("Error firing event: {e}")),
            }
        })
    }

    /// What is found wrong before anybody is asked.
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("Event name must be specified".into());
        }
        if !self.tag.is_empty() && self.service.is_empty() {
            return Err("Cannot provide tag filter without service filter.".into());
        }
        for (what, pattern) in [("node", &self.node), ("service", &self.service), ("tag", &self.tag)] {
            regexp::compile(pattern).map_err(|e| format!("Failed to compile {what} filter regexp: {e}"))?;
        }
        if self.words.len() > 1 { Err("Too many command line arguments.".into()) } else { Ok(()) }
    }
}
