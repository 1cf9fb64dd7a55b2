//! `info`: figures of the agent, by section.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use serde::Deserialize;

use crate::{
    client::{ClientFlags, NoWords},
    output::{failure, show},
};

/// Print figures of the agent
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo info\n\nExit codes: 0 printed, 1 no answer")]
pub(crate) struct Info {
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Own {
    #[serde(default)]
    stats: BTreeMap<String, BTreeMap<String, String>>,
}

impl Info {
    pub(crate) fn run(self) -> Exit {
        self.client.run(async |client| match client.json::<Own>(&Request::get("/v1/agent/self")).await {
            Ok(own) => {
                let figure = |(name, value): (&String, &String)| format!("\n\t{name} = {value}");
                let section = |(name, figures): (&String, &BTreeMap<String, String>)| {
                    format!("{name}:{}", figures.iter().map(figure).collect::<String>())
                };
                show(self.client.json, &own.stats, || {
                    own.stats.iter().map(section).collect::<Vec<_>>().join("\n")
                })
            }
            Err(e) => failure(format!("Error querying agent: {e}")),
        })
    }
}
