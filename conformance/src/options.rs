//! What the runner is asked to do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};

use crate::glob;

/// Runs recorded scenarios against a program and prints what differs.
///
/// The last line is `N passed, M failed`. A scenario named in known-failures.txt has to fail: when it passes, the run fails
/// and says that the line can go.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  \
    conformance http --bin target/debug/ryo\n  \
    conformance http --bin target/debug/ryo --only 0* --only 500 -v\n  \
    conformance calls --bin target/debug/ryo --only 'sprig_*' --each 5000\n  \
    conformance faults --bin target/debug/ryo --minutes 60\n  \
    conformance faults --bin target/debug/ryo --minutes 5 --only Slow --only Full\n  \
    conformance http --server-cmd 'consul agent -config-file={config}'\n  \
    conformance template --bin consul-template --server-cmd 'consul agent -dev -config-file={config}'")]
pub struct Options {
    /// Which scenarios to run.
    pub suite: Suite,
    /// The program under test; links to it under the names `consul` and `consul-template` are made where those are called.
    #[arg(long, default_value = "target/debug/ryo")]
    pub bin: PathBuf,
    /// Starts a scenario's server; `{bin}`, `{config}` (a JSON configuration with everything), `{data}` and `{dir}` are filled in.
    #[arg(long)]
    pub server_cmd: Option<String>,
    /// Only scenarios, faults, or functions, whose name matches this shell pattern or contains this text (repeatable).
    #[arg(long)]
    pub only: Vec<String>,
    /// How many scenarios run at once.
    #[arg(long, default_value_t = 4)]
    pub jobs: usize,
    /// A folder of scenarios to read instead of the suite's own.
    #[arg(long)]
    pub scenarios: Option<PathBuf>,
    /// Scenarios that are known to fail, one `suite/name: reason` a line.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/known-failures.txt"))]
    pub known: PathBuf,
    /// How long faults go on.
    #[arg(long, default_value_t = 1.0)]
    pub minutes: f64,
    /// At most so many calls of each function with two arguments, and so many with three.
    #[arg(long)]
    pub each: Option<usize>,
    /// Which calls those are.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Name every scenario with its seconds, and print all that differs instead of one line.
    #[arg(short, long)]
    pub verbose: bool,
}

/// A kind of scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Requests and answers of the HTTP interface.
    Http,
    /// Questions and answers of the DNS interface.
    Dns,
    /// Rendered templates and whole runs of the watcher.
    Template,
    /// Commands, their output and exit codes.
    Cli,
    /// No scenarios: functions of templates called by ryo and by consul-template's own package, which Go fetches.
    Calls,
    /// No scenarios: three servers under load, killed, stopped and cut off from one another; root cuts.
    Faults,
}

impl Suite {
    /// The suite's folder and the first part of its scenarios' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Template => "template",
            Self::Cli => "cli",
            Self::Calls => "calls",
            Self::Faults => "faults",
        }
    }
}

impl Options {
    /// Whether a scenario of this name, without the suite, is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|only| name.contains(only.as_str()) || glob::matches(only, name))
    }

    /// The folder with the scenarios.
    pub fn folder(&self) -> PathBuf {
        self.scenarios.clone().unwrap_or_else(|| crate::data(self.suite.name()))
    }

    /// The scenario files of a folder that are asked for, with their names, in order.
    ///
    /// Errors when the folder cannot be read or nothing in it is asked for.
    pub fn files(&self, folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "json")
                && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
            {
                files.push((name.to_owned(), path.clone()));
            }
        }
        files.sort();
        ensure!(!files.is_empty(), "{} has no scenarios", folder.display());
        Ok(files)
    }
}
