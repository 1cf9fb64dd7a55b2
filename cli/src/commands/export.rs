//! `services export`, `services exported-services`: what other clusters may see. It is kept as a configuration entry.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    client::{AskFlags, NoWords},
    output::{failure, line, show, table},
};

const ENTRY: &str = "/v1/config/exported-services/default";
/// How often an entry that somebody else changes meanwhile is read again.
const TRIES: usize = 5;

/// Let other clusters see a service
#[derive(Args, Debug)]
#[command(
    after_help = "It is kept in the configuration entry exported-services; nothing in ryo acts on it.\n\n\
    Example:\n  ryo services export -name=web -consumer-peers=east,west\n\nExit codes: 0 kept, 1 refused or no answer"
)]
pub(crate) struct Export {
    /// Partitions that may see it, with commas between
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    consumer_partitions: Vec<String>,
    /// Peers that may see it, with commas between
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    consumer_peers: Vec<String>,
    /// The service
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Export {
    pub(super) fn run(self) -> Exit {
        if self.name.is_empty() {
            return failure("Missing the required -name flag");
        }
        let names_nobody = |names: &[String]| names.iter().all(String::is_empty);
        if names_nobody(&self.consumer_peers) && names_nobody(&self.consumer_partitions) {
            return failure("Missing the required -consumer-peers or -consumer-partitions flag");
        }
        self.ask.run(async |client| {
            for _ in 0..TRIES {
                match self.keep(&client).await {
                    Ok(true) => return self.kept(),
                    Ok(false) => {}
                    Err(why) => return failure(why),
                }
            }
            failure("Error writing config entry: somebody else changes it all the time")
        })
    }

    /// Adds to what there is; `false` when somebody else changed it meanwhile.
    async fn keep(&self, client: &Client) -> Result<bool, String> {
        let found: Option<Value> = client
            .json_if_found(&self.ask.apply(Request::get(ENTRY)))
            .await
            .map_err(|e| format!("Error reading config entry exported-services/default: {e}"))?;
        let mut entry = found.unwrap_or_else(|| json!({ "Kind": "exported-services", "Name": "default" }));
        let index = entry["ModifyIndex"].as_u64().unwrap_or(0);
        let partitions = self.consumer_partitions.iter().map(|name| json!({ "Partition": name }));
        let peers = self.consumer_peers.iter().map(|name| json!({ "Peer": name }));
        add(&mut entry, &self.name, partitions.chain(peers));
        let request = Request::put("/v1/config", entry.to_string()).with("cas", index.to_string());
        let written = client.json::<bool>(&self.ask.apply(request)).await;
        written.map_err(|e| format!("Error writing config entry: {e}"))
    }

    fn kept(&self) -> Exit {
        let mut to = Vec::new();
        for (what, names) in
            [("cluster peers", &self.consumer_peers), ("partitions", &self.consumer_partitions)]
        {
            if !names.is_empty() {
                to.push(format!("{what} {:?}", names.join(",")));
            }
        }
        let answer = json!({
            "Service": self.name,
            "Peers": self.consumer_peers,
            "Partitions": self.consumer_partitions,
        });
        show(self.ask.json(), &answer, || {
            format!("Successfully exported service {:?} to {}", self.name, to.join(" and to "))
        })
    }
}

/// Adds consumers to a service's list, each once.
fn add(entry: &mut Value, service: &str, consumers: impl Iterator<Item = Value>) {
    if !entry["Services"].is_array() {
        entry["Services"] = json!([]);
    }
    let services = entry["Services"].as_array_mut().expect("it was made one");
    let known = services.iter().position(|one| one["Name"] == service).unwrap_or_else(|| {
        services.push(json!({ "Name": service, "Consumers": [] }));
        services.len() - 1
    });
    if let Some(list) = services[known]["Consumers"].as_array_mut() {
        for consumer in consumers {
            if !list.contains(&consumer) {
                list.push(consumer);
            }
        }
    }
}

/// List the services that other clusters may see
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo services exported-services\n\n\
    Exit codes: 0 listed, also when there are none, 1 refused or no answer")]
pub(crate) struct Exported {
    /// Only what this expression selects
    #[arg(long, default_value = "", value_name = "EXPRESSION", hide_default_value = true)]
    filter: String,
    /// `pretty` or `json`
    #[arg(long, default_value = "pretty", value_name = "FORMAT")]
    format: String,
    #[command(flatten)]
    ask: AskFlags,
    #[command(flatten)]
    no_words: NoWords,
}

/// A service and who may see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Seen {
    service: String,
    consumers: BTreeMap<&'static str, Vec<String>>,
}

impl Exported {
    pub(super) fn run(self) -> Exit {
        if !["pretty", "json"].contains(&self.format.as_str()) {
            return failure("Invalid format, valid formats are {pretty|json}");
        }
        self.ask.run(async |client| {
            let found: Option<Value> = match client.json_if_found(&self.ask.apply(Request::get(ENTRY))).await
            {
                Ok(found) => found,
                Err(e) => return failure(format!("Error reading exported services: {e}")),
            };
            let seen = found.as_ref().map(seen).unwrap_or_default();
            if seen.is_empty() && self.format == "pretty" && !self.ask.json() {
                line("No exported services found");
                return Exit::Success;
            }
            show(self.format == "json" || self.ask.json(), &seen, || words(&seen))
        })
    }
}

fn seen(entry: &Value) -> Vec<Seen> {
    let one = |service: &Value| {
        let mut consumers: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for consumer in service["Consumers"].as_array().into_iter().flatten() {
            for (field, kind) in [("Peer", "Peers"), ("Partition", "Partitions")] {
                if let Some(name) = consumer[field].as_str().filter(|name| !name.is_empty()) {
                    consumers.entry(kind).or_default().push(name.to_owned());
                }
            }
        }
        Seen { service: service["Name"].as_str().unwrap_or_default().to_owned(), consumers }
    };
    let mut all: Vec<Seen> = entry["Services"].as_array().into_iter().flatten().map(one).collect();
    // Partitions are Enterprise's: those who run a single one see peers only.
    all.iter_mut().for_each(|one| _ = one.consumers.remove("Partitions"));
    all.retain(|one| !one.consumers.is_empty());
    all.sort_by(|a, b| a.service.cmp(&b.service));
    all
}

fn words(seen: &[Seen]) -> String {
    let head = ["Service", "Consumer Peers"].map(String::from).to_vec();
    let row = |one: &Seen| {
        let peers = one.consumers.get("Peers").map(|peers| peers.join(", "));
        vec![one.service.clone(), peers.unwrap_or_default()]
    };
    table(&std::iter::once(head).chain(seen.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{add, seen, words};

    #[test]
    fn consumers_are_added_once() {
        let mut entry = json!({});
        add(&mut entry, "web", [json!({"Peer": "a"})].into_iter());
        add(&mut entry, "web", [json!({"Peer": "a"}), json!({"Peer": "b"})].into_iter());
        add(&mut entry, "api", [json!({"Partition": "p"})].into_iter());
        assert_eq!(entry["Services"][0], json!({"Name": "web", "Consumers": [{"Peer": "a"}, {"Peer": "b"}]}));
        assert_eq!(words(&seen(&entry)), "Service  Consumer Peers\nweb      a, b");
    }
}
