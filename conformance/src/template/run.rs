//! Cases of whole program runs.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{
    proxy::Wanted,
    registry::Registry,
    sandbox::{Sandbox, same, same_bytes},
    steps::{Step, Steps},
};
use crate::{case::Verdict, glob, pattern::Pattern, pause};

/// One run.
#[derive(Debug, Deserialize)]
pub(super) struct RunCase {
    pub(super) name: String,
    argv: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, Value>,
    #[serde(default)]
    dirs: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Option<String>>,
    #[serde(default)]
    kv: BTreeMap<String, Value>,
    #[serde(default)]
    register: Vec<Value>,
    proxy: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
    expect: Expect,
    /// It can only be run by root.
    #[serde(default)]
    pub(super) root: bool,
    /// It must not run beside others.
    #[serde(default)]
    pub(super) alone: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Expect {
    /// A number, or `running`.
    exit: Value,
    limit: Option<f64>,
    settle: Option<f64>,
    files: BTreeMap<String, Value>,
    modes: BTreeMap<String, String>,
    owners: BTreeMap<String, [u32; 2]>,
    matches: BTreeMap<String, String>,
    absent: Vec<String>,
    links: BTreeMap<String, bool>,
    stdout: Option<String>,
    stdout_matches: Option<String>,
    stderr_has: Vec<String>,
    stderr_lacks: Vec<String>,
    seconds: Option<[f64; 2]>,
    requests: Vec<Wanted>,
}

impl RunCase {
    pub(super) fn read(case: &Value) -> anyhow::Result<Self> {
        let name = || case.get("name").cloned().unwrap_or_default().to_string();
        serde_json::from_value(case.clone()).with_context(name)
    }
}

/// Runs the case, and where it differs each of its other accepted forms, anew.
pub(super) fn judge(case: &Value, bin: &Path, registry: &Registry) -> anyhow::Result<Verdict> {
    let others = case.get("or").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut reasons = Vec::new();
    for other in std::iter::once(Value::Null).chain(others) {
        let mut form = case.clone();
        if let (Some(form), Some(other)) = (form.as_object_mut(), other.as_object()) {
            form.extend(other.clone());
        }
        match run(&form, bin, registry) {
            Ok(()) => return Ok(Verdict::Same),
            Err(e) => reasons.push(format!("{e:#}")),
        }
    }
    Ok(Verdict::Differs(vec![reasons.join("; or ")]))
}

fn run(form: &Value, bin: &Path, registry: &Registry) -> anyhow::Result<()> {
    let case = RunCase::read(form)?;
    let mut sandbox = Sandbox::new(bin, registry, &form.to_string())?;
    prepare(&case, &mut sandbox)?;
    sandbox.start(&case.argv, &case.env)?;
    let mut steps = Steps::new();
    for step in &case.steps {
        steps.run(step, &mut sandbox)?;
    }
    end(&case.expect, &mut sandbox)?;
    compare(&case.expect, &sandbox)
}

fn prepare(case: &RunCase, sandbox: &mut Sandbox<'_>) -> anyhow::Result<()> {
    // Each case has keys of its own, under the last part of its name.
    let own = case.name.rsplit('-').next().unwrap_or_default();
    sandbox.registry.kv_delete(&format!("run/{own}/"), true)?;
    for folder in &case.dirs {
        fs::create_dir_all(sandbox.path(folder))?;
    }
    for (name, content) in &case.files {
        sandbox.write(name, content)?;
    }
    for (key, value) in &case.kv {
        sandbox.registry.kv_put(key, value)?;
    }
    for body in &case.register {
        sandbox.registry.register(body)?;
    }
    if let (Some(mode), Some(proxy)) = (&case.proxy, &mut sandbox.proxy) {
        proxy.set(mode)?;
    }
    Ok(())
}

/// Waits for the expected end, or sees that there is none.
fn end(want: &Expect, sandbox: &mut Sandbox<'_>) -> anyhow::Result<()> {
    if want.exit == "running" {
        if let Some(code) = sandbox.wait_exit(Duration::from_millis(50))? {
            bail!("ended ({code}) but should run on; stderr {:?}", sandbox.stderr());
        }
    } else {
        let limit = Duration::from_secs_f64(want.limit.unwrap_or(15.0));
        let Some(code) = sandbox.wait_exit(limit)? else {
            bail!("still running; stderr {:?}", sandbox.stderr())
        };
        let wanted = want.exit.as_i64();
        ensure!(
            wanted == Some(code.into()),
            "exit status: wanted {}, got {code}; stderr {:?}",
            want.exit,
            sandbox.stderr()
        );
    }
    pause(want.settle.map_or(Duration::ZERO, Duration::from_secs_f64));
    Ok(())
}

fn compare(want: &Expect, sandbox: &Sandbox<'_>) -> anyhow::Result<()> {
    files(want, sandbox)?;
    outputs(want, sandbox)?;
    if let Some([low, high]) = want.seconds {
        let ran = sandbox.ran.context("it has not ended")?.as_secs_f64();
        ensure!((low..=high).contains(&ran), "ended after {ran:.2} s, wanted {low} to {high}");
    }
    for request in &want.requests {
        let proxy = sandbox.proxy.as_ref().context("requests are seen by a proxy only")?;
        let (count, [low, high]) = (proxy.count(request), request.count);
        ensure!((low..=high).contains(&count), "{count} requests like {request:?}; saw {:?}", proxy.seen());
    }
    Ok(())
}

fn files(want: &Expect, sandbox: &Sandbox<'_>) -> anyhow::Result<()> {
    for (name, content) in &want.files {
        let Some(data) = sandbox.read(name) else { bail!("no file {name}; stderr {:?}", sandbox.stderr()) };
        same_bytes(&format!("file {name}"), &sandbox.bytes(content)?, &data)?;
    }
    for (name, mode) in &want.modes {
        same(&format!("mode of {name}"), mode, &sandbox.mode(name).with_context(|| format!("file {name}"))?)?;
    }
    for (name, owner) in &want.owners {
        let found = fs::metadata(sandbox.path(name)).with_context(|| format!("file {name}"))?;
        same(&format!("owner of {name}"), *owner, [found.uid(), found.gid()])?;
    }
    for (name, pattern) in &want.matches {
        let text = String::from_utf8_lossy(&sandbox.read(name).unwrap_or_default()).into_owned();
        ensure!(Pattern::whole(pattern, "")?.fits(&text), "file {name} does not match {pattern:?}: {text:?}");
    }
    for (name, link) in &want.links {
        same(&format!("link {name}"), *link, sandbox.path(name).is_symlink())?;
    }
    let there: Vec<String> = sandbox.produced().into_iter().chain(sandbox.input_names().cloned()).collect();
    for pattern in &want.absent {
        let exists =
            |name: &&String| glob::matches(pattern, name) && sandbox.path(name).symlink_metadata().is_ok();
        if let Some(name) = there.iter().find(exists) {
            bail!("{name} should not exist");
        }
    }
    Ok(())
}

fn outputs(want: &Expect, sandbox: &Sandbox<'_>) -> anyhow::Result<()> {
    let (stdout, stderr) = (sandbox.stdout(), sandbox.stderr());
    if let Some(text) = &want.stdout {
        same("stdout", text, &stdout)?;
    }
    if let Some(pattern) = &want.stdout_matches {
        ensure!(Pattern::whole(pattern, "s")?.fits(&stdout), "stdout does not match {pattern:?}: {stdout:?}");
    }
    for pattern in &want.stderr_has {
        ensure!(Pattern::search(pattern, "")?.fits(&stderr), "stderr does not have {pattern:?}: {stderr:?}");
    }
    for pattern in &want.stderr_lacks {
        ensure!(!Pattern::search(pattern, "")?.fits(&stderr), "stderr has {pattern:?}: {stderr:?}");
    }
    Ok(())
}
