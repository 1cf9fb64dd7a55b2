//! `monitor`: the log of a running agent.

use std::io::{self, Write as _};

use clap::Args;
use daemon::Exit;
use registry_client::Request;

use crate::{
    client::{ClientFlags, NoWords},
    output::failure,
};

/// Follow the log of a running agent, at a level of your own
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo monitor -log-level=debug\n\nExit codes: 0 stopped with Ctrl-C, 1 no answer, or the agent ended"
)]
pub(crate) struct Monitor {
    /// trace, debug, info, warn or err
    #[arg(long, default_value = "INFO", value_name = "LEVEL")]
    log_level: String,
    /// One JSON object a line
    #[arg(long)]
    log_json: bool,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Monitor {
    pub(crate) fn run(self) -> Exit {
        self.client.run(async |client| {
            let request = Request::get("/v1/agent/monitor").with_unless_empty("loglevel", &self.log_level);
            let request = if self.log_json || self.client.json { request.with("logjson", "") } else { request };
            let mut log = match client.stream(&request).await {
                Ok(log) => log,
                Err(error) => return failure(format!("Error starting monitor: {error}")),
            };
            loop {
                let piece = tokio::select! {
                    piece = log.next() => piece,
                    _ = tokio::signal::ctrl_c() => return Exit::Success,
                };
                let Some(piece) = piece else {
                    return failure(
                        "\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.",
                    );
                };
                let mut out = io::stdout().lock();
                if out.write_all(&piece).and_then(|()| out.flush()).is_err() {
                    // The reader went away (`| head`): there is nobody to follow the log for.
                    return Exit::Success;
                }
            }
        })
    }
}
