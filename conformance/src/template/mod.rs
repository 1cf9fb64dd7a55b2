//! The watcher's suite: rendered templates, and whole runs of the program.
//!
//! A file holds many cases that share one registry with the file's fixture. `registry` keeps that one, `sandbox` is the
//! folder and the process of a case, `proxy` stands between the two where a case asks for it, `render` and `run` judge the
//! two kinds of cases.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    case::{Case, Verdict},
    options::Options,
    subject,
};

pub(crate) mod proxy;
pub(crate) mod registry;
mod render;
mod run;
mod sandbox;
mod steps;

use registry::Registry;
use render::RenderCase;
use run::RunCase;

/// A file of the suite.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Document {
    Render { fixture: PathBuf, cases: Vec<RenderCase> },
    Run { fixture: PathBuf, cases: Vec<Value> },
}

/// What the cases of one file share; the registry ends with the last of them.
struct Group {
    command: String,
    registry_bin: PathBuf,
    fixture: PathBuf,
    registry: OnceLock<Result<Registry, String>>,
    /// Held for reading by each case, for writing by those that must be alone.
    alone: RwLock<()>,
}

/// The program under test, under the watcher's name, and what the whole suite keeps alive.
struct Program {
    bin: PathBuf,
    _links: [Option<tempfile::TempDir>; 2],
}

/// The suite's scenarios.
///
/// Errors when the program, the fixture or a file cannot be read.
pub fn cases(options: &Options) -> anyhow::Result<Vec<Case>> {
    // What the program's umask is decides the modes of the files it writes.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let (bin, link) = subject::called(options, "consul-template")?;
    let (registry_bin, registry_link) = subject::called(options, "consul")?;
    let program = Arc::new(Program { bin, _links: [link, registry_link] });
    let command =
        options.server_cmd.clone().unwrap_or_else(|| "{bin} agent -dev -config-file={config}".into());
    let mut out = Vec::new();
    for kind in ["render", "run"] {
        let folder = options.folder().join(kind);
        for (name, path) in options.files(&folder)? {
            let file = format!("{kind}/{name}");
            let document = read(&path).with_context(|| path.display().to_string())?;
            let group = |fixture: &Path| {
                Arc::new(Group {
                    command: command.clone(),
                    registry_bin: registry_bin.clone(),
                    fixture: folder.join(fixture),
                    registry: OnceLock::new(),
                    alone: RwLock::default(),
                })
            };
            match document {
                Document::Render { fixture, cases } => {
                    let group = group(&fixture);
                    out.extend(cases.into_iter().map(|case| render_case(&file, case, &program, &group)));
                }
                Document::Run { fixture, cases } => {
                    let group = group(&fixture);
                    for case in cases {
                        out.push(run_case(&file, case, &program, &group)?);
                    }
                }
            }
        }
    }
    out.retain(|case| options.wants(&case.name));
    Ok(out)
}

fn read(path: &Path) -> anyhow::Result<Document> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn render_case(file: &str, case: RenderCase, program: &Arc<Program>, group: &Arc<Group>) -> Case {
    let (program, group) = (program.clone(), group.clone());
    Case::new(format!("{file}/{}", case.name), move || {
        let _shared = group.alone.read().unwrap_or_else(PoisonError::into_inner);
        render::judge(&case, &program.bin, group.registry()?)
    })
}

fn run_case(file: &str, case: Value, program: &Arc<Program>, group: &Arc<Group>) -> anyhow::Result<Case> {
    let (program, group) = (program.clone(), group.clone());
    let first = RunCase::read(&case)?;
    Ok(Case::new(format!("{file}/{}", first.name), move || {
        if first.root && !nix::unistd::geteuid().is_root() {
            return Ok(Verdict::Skipped("it needs root".into()));
        }
        let lock = &group.alone;
        if first.alone {
            let _alone = lock.write().unwrap_or_else(PoisonError::into_inner);
            return run::judge(&case, &program.bin, group.registry()?);
        }
        let _shared = lock.read().unwrap_or_else(PoisonError::into_inner);
        run::judge(&case, &program.bin, group.registry()?)
    }))
}

impl Group {
    /// The group's registry, started by its first case.
    fn registry(&self) -> anyhow::Result<&Registry> {
        let start = || {
            Registry::start(&self.command, &self.registry_bin, &self.fixture).map_err(|e| format!("{e:#}"))
        };
        self.registry.get_or_init(start).as_ref().map_err(|e| anyhow!("the registry: {e}"))
    }
}
