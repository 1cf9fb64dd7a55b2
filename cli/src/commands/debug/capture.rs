//! The files: what is asked once, what is listened to.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    time::Duration,
};

use registry_client::{Client, Request};
use registry_wire::duration;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, interval_at, sleep};

use super::{GRACE, go_now};
use crate::{
    client::system_words,
    commands::operator,
    output::{line, note},
};

/// What can be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Metrics,
    Logs,
    Host,
    Agent,
    Members,
}

impl Target {
    pub(super) const ALL: [Self; 5] = [Self::Metrics, Self::Logs, Self::Host, Self::Agent, Self::Members];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Host => "host",
            Self::Agent => "agent",
            Self::Members => "members",
        }
    }
}

/// What is to be recorded, and where.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) folder: PathBuf,
    pub(super) archive: PathBuf,
    pub(super) targets: Vec<Target>,
    pub(super) version: String,
    pub(super) duration: Duration,
    pub(super) interval: Duration,
}

/// What was recorded, for whoever opens the archive.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Index<'c> {
    version: u32,
    agent_version: &'c str,
    interval: String,
    duration: String,
    targets: Vec<&'static str>,
}

impl Capture {
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.targets.iter().map(|target| target.name()).collect()
    }

    /// Asks what does not change.
    pub(super) async fn once(&self, client: &Client) -> Result<(), String> {
        let members = Request::get("/v1/agent/members").with("wan", "1");
        for (target, request, file) in [
            (Target::Host, Request::get("/v1/agent/host"), "host.json"),
            (Target::Agent, Request::get("/v1/agent/self"), "agent.json"),
            (Target::Members, members, "members.json"),
        ] {
            if self.targets.contains(&target) {
                self.answer(client, &request, file).await?;
            }
        }
        if self.targets.contains(&Target::Members) {
            let peers = client.json::<Value>(&Request::get("/v1/operator/raft/configuration")).await;
            let text =
                peers.map_err(|e| e.to_string()).and_then(|p| operator::peers(&p).map_err(|e| e.to_string()));
            match text {
                Ok(text) => self.write("listpeers.json", text.as_bytes())?,
                Err(why) => note(format!("==> Capture of the servers failed: {why}")),
            }
        }
        Ok(())
    }

    /// What cannot be asked is left out, and said: the rest may be of use.
    async fn answer(&self, client: &Client, request: &Request, file: &str) -> Result<(), String> {
        match client.json::<Value>(request).await {
            Ok(answer) => self.write(file, tabbed(&answer).as_bytes()),
            Err(e) => {
                note(format!("==> Capture of {file} failed: {e}"));
                Ok(())
            }
        }
    }

    /// Whether there is something to listen to: all else is asked once.
    pub(super) fn goes_on(&self) -> bool {
        self.targets.iter().any(|target| matches!(target, Target::Metrics | Target::Logs))
    }

    /// Listens to the log and the metrics until the time is over.
    pub(super) async fn follow(&self, client: &Client) -> Result<(), String> {
        let mut round = 0;
        let start = Instant::now();
        let mut ticks = interval_at(start, self.interval);
        let rounds = async {
            while start.elapsed() < self.duration {
                ticks.tick().await;
                line(format!("==> Capture successful {} ({round})", go_now()));
                round += 1;
            }
        };
        let end = sleep(self.duration + GRACE);
        let metrics = self.stream(client, Target::Metrics, "/v1/agent/metrics/stream", "metrics.json");
        let log = self.stream(client, Target::Logs, "/v1/agent/monitor?loglevel=TRACE", "consul.log");
        tokio::select! {
            () = end => Ok(()),
            ended = async { tokio::try_join!(metrics, log, async { rounds.await; Ok(()) }) } => {
                ended?;
                sleep(self.duration.saturating_sub(start.elapsed())).await;
                Ok(())
            }
        }
    }

    /// Writes an answer that goes on, as it comes.
    async fn stream(&self, client: &Client, target: Target, path: &str, file: &str) -> Result<(), String> {
        if !self.targets.contains(&target) {
            return Ok(());
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut request = Request::get(path);
        if let Some((name, value)) = query.split_once('=') {
            request = request.with(name, value);
        }
        let wrong = |e: std::io::Error| format!("==> cannot write {file}: {}", system_words(&e));
        let mut out = File::create(self.folder.join(file)).map_err(wrong)?;
        let mut pieces = match client.stream(&request).await {
            Ok(pieces) => pieces,
            Err(e) => {
                note(format!("==> Capture of {file} failed: {e}"));
                return Ok(());
            }
        };
        while let Some(piece) = pieces.next().await {
            match target {
                Target::Metrics => out.write_all(spread(&piece).as_bytes()).map_err(wrong)?,
                _ => out.write_all(&piece).map_err(wrong)?,
            }
        }
        Ok(())
    }

    /// Writes what was recorded.
    pub(super) fn index(&self) -> Result<(), String> {
        let index = Index {
            version: 1,
            agent_version: &self.version,
            interval: duration::format(self.interval),
            duration: duration::format(self.duration),
            targets: self.names(),
        };
        self.write("index.json", tabbed(&index).as_bytes())
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), String> {
        fs::write(self.folder.join(file), bytes)
            .map_err(|e| format!("==> cannot write {file}: {}", system_words(&e)))
    }
}

/// JSON with a tab a level.
fn tabbed(value: &impl Serialize) -> String {
    let plain = serde_json::to_vec(value).expect("answers have texts as names");
    String::from_utf8(registry_wire::json::indent(&plain, "\t")).expect("JSON is UTF-8")
}

/// An interval's metrics with four blanks a level; what is not one whole JSON value stays as it came.
fn spread(piece: &[u8]) -> String {
    match serde_json::from_slice::<Box<serde_json::value::RawValue>>(piece) {
        Ok(value) => {
            let out = registry_wire::json::indent(value.get().as_bytes(), "    ");
            String::from_utf8_lossy(&out).into_owned() + "\n"
        }
        Err(_) => String::from_utf8_lossy(piece).into_owned(),
    }
}
