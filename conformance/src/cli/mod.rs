//! The command line's suite: commands, what they print and how they end.
//!
//! `scene` is a scenario's folder, server and background commands; `normal` takes out of texts what differs from run to run;
//! `compare` judges.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    case::{Case, Verdict},
    options::Options,
    subject,
};

mod compare;
mod normal;
mod scene;

use scene::{Scenario, Scene};

/// The suite's scenarios.
///
/// Errors when the program or a scenario file cannot be read.
pub fn cases(options: &Options) -> anyhow::Result<Vec<Case>> {
    let (bin, link) = subject::called(options, "consul")?;
    let link = std::sync::Arc::new(link);
    let command =
        options.server_cmd.clone().unwrap_or_else(|| "{bin} agent -dev -config-file={config}".into());
    let mut cases = Vec::new();
    for (name, path) in options.files(&options.folder())? {
        if options.wants(&name) {
            let (command, bin, link) = (command.clone(), bin.clone(), link.clone());
            cases.push(Case::new(name, move || {
                let _kept_until_the_last_case = link;
                judge(&read(&path)?, &command, &bin)
            }));
        }
    }
    Ok(cases)
}

fn read(path: &Path) -> anyhow::Result<Scenario> {
    let value: Value =
        serde_json::from_str(&fs::read_to_string(path)?).with_context(|| path.display().to_string())?;
    Scenario::deserialize(value).with_context(|| path.display().to_string())
}

fn judge(scenario: &Scenario, command: &str, bin: &Path) -> anyhow::Result<Verdict> {
    let mut scene = Scene::begin(scenario, command, bin).context("cannot start")?;
    let mut out = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        let label = format!("step {} ({})", number + 1, step.label());
        match scene.run(step) {
            Ok(None) => {}
            Ok(Some(got)) => {
                let differences = compare::differences(step, &got)?;
                out.extend(differences.iter().map(|what| format!("{label}: {what}")));
            }
            Err(e) => {
                out.push(format!("{label}: stopped: {e:#}"));
                break;
            }
        }
    }
    Ok(Verdict::from_differences(out))
}
