//! Cases of one template: its output, its error, or that it goes on waiting.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{bail, ensure};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    registry::Registry,
    sandbox::{Sandbox, same, same_bytes},
};
use crate::{case::Verdict, pattern::Pattern};

/// How long a template may take.
const END_MAX: Duration = Duration::from_secs(20);

/// A program that has not ended after this time is waiting.
const BLOCKS_AFTER: Duration = Duration::from_secs(2);

/// One template.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct RenderCase {
    pub(super) name: String,
    template: Value,
    #[serde(default)]
    files: BTreeMap<String, Value>,
    #[serde(default)]
    env: BTreeMap<String, Option<String>>,
    #[serde(default)]
    options: Map<String, Value>,
    #[serde(default)]
    args: Vec<String>,
    expect: Expect,
    /// Other accepted results.
    #[serde(default)]
    or: Vec<Expect>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Expect {
    output: Option<Value>,
    stdout: Option<String>,
    error: Option<Failure>,
    blocks: bool,
    matches: Option<String>,
    files: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Failure {
    exit: i32,
    line: Option<u64>,
    has: Vec<String>,
}

/// Runs the case.
pub(super) fn judge(case: &RenderCase, bin: &Path, registry: &Registry) -> anyhow::Result<Verdict> {
    let mut sandbox = Sandbox::new(bin, registry, &serde_json::to_string(case)?)?;
    sandbox.write("in.tmpl", &literal(&case.template))?;
    for (name, content) in &case.files {
        sandbox.write(name, content)?;
    }
    let mut argv: Vec<String> = ["-once", "-consul-addr", "${CONSUL}"].map(String::from).to_vec();
    argv.extend(case.args.iter().cloned());
    if case.options.is_empty() {
        argv.extend(["-template".into(), "in.tmpl:out.txt".into()]);
    } else {
        let mut template = case.options.clone();
        template.extend([("source".into(), json!("in.tmpl")), ("destination".into(), json!("out.txt"))]);
        sandbox.write("case.json", &json!(json!({"template": [template]}).to_string()))?;
        argv.extend(["-config".into(), "case.json".into()]);
    }
    sandbox.start(&argv, &case.env)?;
    let exit = sandbox.wait_exit(if case.expect.blocks { BLOCKS_AFTER } else { END_MAX })?;
    let mut reasons = Vec::new();
    for want in std::iter::once(&case.expect).chain(&case.or) {
        match compare(&sandbox, want, exit) {
            Ok(()) => return Ok(Verdict::Same),
            Err(e) => reasons.push(format!("{e:#}")),
        }
    }
    Ok(Verdict::Differs(vec![reasons.join("; or ")]))
}

/// The template's own bytes: what looks like a placeholder in it is the template's.
fn literal(template: &Value) -> Value {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    match template {
        Value::String(text) => json!({"base64": BASE64_STANDARD.encode(text)}),
        other => other.clone(),
    }
}

fn compare(sandbox: &Sandbox<'_>, want: &Expect, exit: Option<i32>) -> anyhow::Result<()> {
    let out = sandbox.read("out.txt");
    if let Some(pattern) = &want.matches {
        let text = out.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        ensure!(
            out.is_some() && Pattern::whole(pattern, "")?.fits(&text),
            "output does not match {pattern:?}: {text:?} {}",
            sandbox.stderr()
        );
        return Ok(());
    }
    match (exit, want.blocks) {
        (None, true) => return Ok(()),
        (Some(code), true) => bail!("ended ({code}) instead of waiting: {}", sandbox.stderr()),
        (None, false) => bail!("did not finish in time: {}", sandbox.stderr()),
        (Some(_), false) => {}
    }
    let exit = exit.unwrap_or_default();
    if let Some(output) = &want.output {
        let Some(out) = out.filter(|_| exit == 0) else {
            bail!("exit {exit}, stderr {:?}", sandbox.stderr())
        };
        same_bytes("output", &sandbox.bytes(output)?, &out)?;
        if let Some(stdout) = &want.stdout {
            same("stdout", stdout, &sandbox.stdout())?;
        }
    } else if let Some(failure) = &want.error {
        ensure!(out.is_none(), "a file was written although the template fails");
        failed(sandbox, failure, exit)?;
    }
    for (name, content) in &want.files {
        let Some(data) = sandbox.read(name) else { bail!("no file {name}") };
        same_bytes(&format!("file {name}"), &sandbox.bytes(content)?, &data)?;
    }
    Ok(())
}

fn failed(sandbox: &Sandbox<'_>, want: &Failure, exit: i32) -> anyhow::Result<()> {
    let text = sandbox.stderr();
    ensure!(want.exit == exit, "exit status: wanted {}, got {exit}; stderr {text:?}", want.exit);
    ensure!(!text.trim().is_empty(), "nothing on stderr");
    if let Some(line) = want.line {
        let named = Regex::new(&format!(r"(:|line ){line}\b"))?;
        ensure!(named.is_match(&text), "stderr does not name line {line}: {text:?}");
    }
    for word in &want.has {
        ensure!(text.contains(word.as_str()), "stderr does not mention {word:?}: {text:?}");
    }
    Ok(())
}
