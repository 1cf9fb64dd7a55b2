//! `debug`: what an agent tells of itself over a time, as an archive for those who help.
//!
//! `capture` asks the agent and writes files, `archive` packs them.

mod archive;
mod capture;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use daemon::{Exit, shutdown::Signals};
use registry_client::{Client, Request};
use registry_wire::duration;
use serde_json::Value;

use self::capture::{Capture, Target};
use crate::{
    client::{ClientFlags, NoWords},
    flags::go_bool,
    output::{failure, line, note},
};

/// The shortest time, and the shortest interval, as in Consul.
const SHORTEST: Duration = Duration::from_secs(10);
/// How much longer than the last interval the log and the metrics are listened to.
const GRACE: Duration = Duration::from_secs(2);

/// Record what an agent tells of itself, as an archive
#[derive(Args, Debug)]
#[command(
    after_help = "Secrets are left out by the agent; look through the archive before you give it away.\n\n\
    Examples:\n  ryo debug\n  ryo debug -duration=1m -interval=20s -capture=metrics -capture=logs\n\n\
    Exit codes: 0 recorded, also when it was interrupted, 1 refused or no answer"
)]
pub(crate) struct Debug {
    /// Pack it as NAME.tar.gz
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_name = "BOOLEAN", value_parser = go_bool)]
    archive: bool,
    /// What to record: metrics, logs, host, agent, members (repeatable); all without
    #[arg(long, value_name = "WHAT")]
    capture: Vec<String>,
    /// How long
    #[arg(long, default_value = "5m0s", value_name = "DURATION", value_parser = duration::parse_nanos)]
    duration: i64,
    /// How often metrics are read
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration::parse_nanos)]
    interval: i64,
    /// The folder, and the archive's name without its ending
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    output: String,
    /// How far back; kept for scripts, an agent keeps no past
    #[arg(long, default_value = "0s", value_name = "DURATION", hide = true, value_parser = duration::parse_nanos)]
    since: i64,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Debug {
    pub(crate) fn run(self) -> Exit {
        if !self.no_words.words().is_empty() {
            return failure("==> debug: Too many arguments provided, expected 0");
        }
        self.client.run_saying("==> Error connecting to Consul agent", async |client| {
            match self.plan(&client).await {
                Ok(capture) => self.record(&client, capture).await.unwrap_or_else(failure),
                Err(why) => failure(format!("==> Capture validation failed: {why}")),
            }
        })
    }

    /// What is to be done, or why it cannot be.
    async fn plan(&self, client: &Client) -> Result<Capture, String> {
        let nanos = |count: i64| Duration::from_nanos(u64::try_from(count).unwrap_or(0));
        let (duration, interval) = (nanos(self.duration), nanos(self.interval));
        let own: Value = client.json(&Request::get("/v1/agent/self")).await.map_err(|e| {
            format!("error querying target agent: {e}. verify connectivity and agent address")
        })?;
        if duration < SHORTEST {
            return Err(format!("duration must be longer than {}", duration::format(SHORTEST)));
        }
        if interval < SHORTEST {
            return Err(format!("interval must be longer than {}", duration::format(SHORTEST)));
        }
        if duration < interval {
            let (duration, interval) = (duration::format(duration), duration::format(interval));
            return Err(format!("duration ({duration}) must be longer than interval ({interval})"));
        }
        let mut targets = Vec::new();
        for word in &self.capture {
            match Target::named(word) {
                Some(target) => targets.push(target),
                None if word == "pprof" => {
                    note("[WARN] Unable to capture pprof. ryo is no Go program: there is no such profile.");
                }
                None => return Err(format!("target not found: {word}")),
            }
        }
        if targets.is_empty() {
            targets = Target::ALL.to_vec();
        }
        let name = match &*self.output {
            "" => format!("consul-debug-{}", chrono::Utc::now().format("%Y-%m-%dT%H-%M-%SZ")),
            name => name.to_owned(),
        };
        let folder = PathBuf::from(&name);
        if folder.exists() {
            return Err(format!("output directory already exists: {name}"));
        }
        let archive = PathBuf::from(format!("{name}.tar.gz"));
        if self.archive && archive.exists() {
            return Err(format!("archive already exists: {}", archive.display()));
        }
        let version = own.pointer("/Config/Version").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Capture { folder, archive, targets, version, duration, interval })
    }

    async fn record(&self, client: &Client, capture: Capture) -> Result<Exit, String> {
        line("==> Starting debugger and capturing static information...");
        let written = if self.archive { capture.archive.display() } else { capture.folder.display() };
        for (name, value) in [
            ("Agent Version", capture.version.clone()),
            ("Interval", duration::format(capture.interval)),
            ("Duration", duration::format(capture.duration)),
            ("Output", written.to_string()),
            ("Capture", capture.names().join(", ")),
        ] {
            line(format!("{name:>18}: '{value}'"));
        }
        std::fs::create_dir_all(&capture.folder).map_err(|e| {
            format!("==> could not create output directory: {}", crate::client::system_words(&e))
        })?;
        let mut signals = Signals::new().map_err(|e| format!("cannot listen to signals: {e}"))?;
        capture.once(client).await?;
        if capture.goes_on() {
            line(format!("==> Beginning capture interval {} (0)", go_now()));
            tokio::select! {
                recorded = capture.follow(client) => recorded?,
                _ = signals.next() => line("==> Capture interrupted, saving what there is"),
            }
        }
        capture.index()?;
        if self.archive {
            archive::pack(&capture.folder, &capture.archive)
                .map_err(|e| format!("==> Archive creation failed: {e}"))?;
        }
        line(format!("    Saved debug archive: {written}"));
        Ok(Exit::Success)
    }
}

/// Now, as Go prints a time.
fn go_now() -> String {
    chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}
