//! The steps of a run: things that happen, and things that are waited for.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{proxy::Wanted, sandbox::Sandbox};
use crate::pause;

/// One step: what it does, and for what waits how long it may take.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    #[serde(flatten)]
    deed: Deed,
    /// The limit of a wait in seconds.
    within: Option<f64>,
    /// Bounds of the seconds since the last thing that happened.
    took: Option<[f64; 2]>,
    /// How the file has to be: exactly this, with this in it, with so many lines.
    is: Option<String>,
    has: Option<String>,
    lines: Option<usize>,
    /// For how many seconds files must stay.
    #[serde(rename = "for")]
    for_seconds: Option<f64>,
    #[serde(default)]
    recurse: bool,
    to_pid_in: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    WaitFile(String),
    WaitStdout(String),
    WaitStderr(String),
    WaitRequest(Wanted),
    WaitExit(f64),
    Still(BTreeMap<String, Option<String>>),
    Sleep(f64),
    Kv(BTreeMap<String, Value>),
    KvDelete(String),
    Register(Value),
    Deregister(Value),
    Write(BTreeMap<String, Value>),
    Remove(String),
    Signal(String),
    Proxy(String),
    #[expect(dead_code, reason = "the name is for those who read the case")]
    Mark(String),
}

/// Runs steps one after the other.
pub(super) struct Steps {
    acted: Instant,
}

impl Steps {
    /// The program was started just now.
    pub(super) fn new() -> Self {
        Self { acted: Instant::now() }
    }

    /// Runs a step. Errors when what it waits for does not come, in words that say what came instead.
    pub(super) fn run(&mut self, step: &Step, sandbox: &mut Sandbox<'_>) -> anyhow::Result<()> {
        let limit = Duration::from_secs_f64(step.within.unwrap_or(10.0));
        match &step.deed {
            Deed::WaitFile(name) => wait_file(step, name, limit, sandbox)?,
            Deed::WaitStdout(text) => {
                wait_for(limit, sandbox, &format!("stdout never had {text:?}"), |sandbox| {
                    let out = sandbox.stdout();
                    if out.contains(text.as_str()) { Ok(()) } else { Err(out) }
                })?
            }
            Deed::WaitStderr(text) => {
                wait_for(limit, sandbox, &format!("stderr never had {text:?}"), |sandbox| {
                    if sandbox.stderr().contains(text.as_str()) { Ok(()) } else { Err(String::new()) }
                })?
            }
            Deed::WaitRequest(wanted) => {
                wait_for(
                    limit,
                    sandbox,
                    &format!("request never came: {wanted:?}"),
                    |sandbox| match &sandbox.proxy {
                        Some(proxy) if proxy.count(wanted) > 0 => Ok(()),
                        proxy => {
                            Err(proxy.iter().flat_map(|proxy| proxy.seen()).collect::<Vec<_>>().join(" "))
                        }
                    },
                )?;
            }
            Deed::WaitExit(seconds) => {
                let exit = sandbox.wait_exit(Duration::from_secs_f64(*seconds))?;
                ensure!(exit.is_some(), "still running after {seconds} s; stderr {:?}", sandbox.stderr());
            }
            Deed::Still(files) => still(files, step.for_seconds.unwrap_or(1.0), sandbox)?,
            Deed::Sleep(seconds) => pause(Duration::from_secs_f64(*seconds)),
            act => {
                self.acted = Instant::now();
                return do_it(act, step, sandbox);
            }
        }
        if let Some([low, high]) = step.took {
            let took = self.acted.elapsed().as_secs_f64();
            ensure!((low..=high).contains(&took), "{:?} took {took:.2} s, wanted {low} to {high}", step.deed);
        }
        Ok(())
    }
}

fn do_it(deed: &Deed, step: &Step, sandbox: &mut Sandbox<'_>) -> anyhow::Result<()> {
    match deed {
        Deed::Kv(pairs) => pairs.iter().try_for_each(|(key, value)| sandbox.registry.kv_put(key, value)),
        Deed::KvDelete(key) => sandbox.registry.kv_delete(key, step.recurse),
        Deed::Register(body) => sandbox.registry.register(body),
        Deed::Deregister(body) => sandbox.registry.deregister(body),
        Deed::Write(files) => files.iter().try_for_each(|(name, content)| sandbox.write(name, content)),
        Deed::Remove(name) => Ok(fs::remove_file(sandbox.path(name))?),
        Deed::Signal(name) => sandbox.signal(name, step.to_pid_in.as_deref()),
        Deed::Proxy(mode) => Ok(sandbox.proxy.as_mut().context("the case names no ${PROXY}")?.set(mode)?),
        _ => Ok(()),
    }
}

fn wait_file(step: &Step, name: &str, limit: Duration, sandbox: &mut Sandbox<'_>) -> anyhow::Result<()> {
    let wanted = step.is.as_ref().map(|text| sandbox.fill(text));
    wait_for(limit, sandbox, &format!("file {name} never became as wanted"), |sandbox| {
        let Some(text) = content(sandbox, name) else { return Err("no file".into()) };
        let fits = wanted.as_ref().is_none_or(|wanted| *wanted == text)
            && step.has.as_ref().is_none_or(|part| text.contains(part.as_str()))
            && step.lines.is_none_or(|lines| text.matches('\n').count() == lines);
        if fits { Ok(()) } else { Err(text) }
    })
}

/// Looks again and again until it is there; what was seen last is told when it never is.
fn wait_for(
    limit: Duration,
    sandbox: &Sandbox<'_>,
    complaint: &str,
    look: impl Fn(&Sandbox<'_>) -> Result<(), String>,
) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    loop {
        let Err(seen) = look(sandbox) else { return Ok(()) };
        if Instant::now() > end {
            bail!("{complaint}; last seen: {seen:?}; stderr {:?}", sandbox.stderr());
        }
        pause(Duration::from_millis(20));
    }
}

/// The files stay as they are for some seconds, or stay absent, and the program runs on.
fn still(
    files: &BTreeMap<String, Option<String>>,
    seconds: f64,
    sandbox: &mut Sandbox<'_>,
) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        for (name, text) in files {
            let wanted = text.as_ref().map(|text| sandbox.fill(text));
            let found = content(sandbox, name);
            ensure!(found == wanted, "file {name} should have stayed {wanted:?}, is {found:?}");
        }
        if let Some(code) = sandbox.exit()? {
            bail!("ended ({code}); stderr {:?}", sandbox.stderr());
        }
        pause(Duration::from_millis(50));
    }
    Ok(())
}

fn content(sandbox: &Sandbox<'_>, name: &str) -> Option<String> {
    sandbox.read(name).map(|data| String::from_utf8_lossy(&data).into_owned())
}
