//! `info`: figures of the agent, by section.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use serde::Deserialize;

use crate::{
    client::ClientFlags,
    output::{failure, line},
};

/// Print figures of the agent
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo info\n\nExit codes: 0 printed, 1 no answer")]
pub(crate) struct Info {
    #[command(flatten)]
    client: ClientFlags,
    #[arg(hide = true)]
    words: Vec<String>,
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
                for (section, figures) in own.stats {
                    line(format!("{section}:"));
                    figures.iter().for_each(|(name, value)| line(format!("\t{name} = {value}")));
                }
                Exit::Success
            }
            Err(e) => failure(format!("Error querying agent: {e}")),
        })
    }
}
