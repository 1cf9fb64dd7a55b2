//! Their side: consul-template's package in a process of its own, started anew when it dies.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::{Verdict, built};

/// What time it is for both sides.
const CLOCK: &str = "2026-03-07T09:05:01Z";

/// How often it may die of a call.
const DEATHS_MAX: usize = 200;

/// What time it is for both sides.
pub(super) fn clock() -> chrono::DateTime<chrono::Utc> {
    CLOCK.parse().expect("the constant is a time")
}

pub(super) struct Theirs {
    program: PathBuf,
    _folder: tempfile::TempDir,
    registry: SocketAddr,
    /// What each process evaluates first.
    first: Vec<String>,
    deaths: usize,
}

#[derive(Deserialize)]
struct Answer {
    output: Option<String>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    waiting: bool,
}

impl Theirs {
    /// Builds it; each of its processes evaluates some templates before those that it is asked for.
    pub(super) fn start(registry: &SocketAddr, first: Vec<String>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("conformance-calls-").tempdir()?;
        let program = built(folder.path())?;
        Ok(Self { program, _folder: folder, registry: *registry, first, deaths: 0 })
    }

    /// Evaluates templates one after the other and hands each verdict on with its place.
    pub(super) fn evaluate(
        &mut self,
        templates: &[String],
        mut each: impl FnMut(usize, Verdict),
    ) -> anyhow::Result<()> {
        let mut done = 0;
        while done < templates.len() {
            let (answered, last_words) =
                self.round(&templates[done..], |place, verdict| each(done + place, verdict))?;
            done += answered;
            if done < templates.len() {
                self.deaths += 1;
                ensure!(
                    self.deaths <= DEATHS_MAX,
                    "consul-template died {DEATHS_MAX} times; at last: {last_words}"
                );
                each(done, Verdict::Died(last_words));
                done += 1;
            }
        }
        Ok(())
    }

    /// One process, as far as it gets; what it said last when that is not the end.
    fn round(
        &self,
        templates: &[String],
        mut each: impl FnMut(usize, Verdict),
    ) -> anyhow::Result<(usize, String)> {
        let mut process = self.spawn()?;
        let mut input = process.stdin.take().context("its input is a pipe")?;
        let output = process.stdout.take().context("its output is a pipe")?;
        let mut words = process.stderr.take().context("its errors are a pipe")?;
        let mut last_words = Vec::new();
        let mut done = 0;
        thread::scope(|scope| -> anyhow::Result<()> {
            scope.spawn(move || {
                for template in self.first.iter().chain(templates) {
                    let line = json!({ "template": BASE64_STANDARD.encode(template) }).to_string() + "\n";
                    if input.write_all(line.as_bytes()).is_err() {
                        return; // it died, which its output says too
                    }
                }
            });
            // The rest of what it says of its own death would fill the pipe.
            let listener = scope.spawn(|| words.read_to_end(&mut last_words));
            for line in BufReader::new(output).lines() {
                if done >= self.first.len() {
                    each(done - self.first.len(), verdict(&line?)?);
                }
                done += 1;
            }
            listener.join().is_ok_and(|read| read.is_ok()).then_some(()).context("its errors cannot be read")
        })?;
        process.wait()?;
        let last_words = String::from_utf8_lossy(&last_words).chars().take(200).collect();
        let answered = done.checked_sub(self.first.len());
        Ok((answered.with_context(|| format!("consul-template died at once: {last_words}"))?, last_words))
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        Command::new(&self.program)
            .args(["-address", &self.registry.to_string(), "-time", CLOCK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("consul-template does not start")
    }
}

fn verdict(line: &str) -> anyhow::Result<Verdict> {
    let answer: Answer = serde_json::from_str(line).with_context(|| line.to_owned())?;
    Ok(match answer {
        Answer { waiting: true, .. } => Verdict::Waiting,
        Answer { output: Some(output), error, .. } if error.is_empty() => {
            Verdict::Text(BASE64_STANDARD.decode(output)?)
        }
        Answer { error, .. } => Verdict::Error(error),
    })
}
