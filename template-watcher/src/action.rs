//! What is done after a file changed: a command, a named action, or something done to the unit that owns the file.
//!
//! A word that names an action of the configuration is that action. `reload`, `restart` and `signal`, when not defined
//! there, mean a systemd unit, which is found once, at start: by `unit` in the template, else by the units whose
//! `ExecStart`, `ExecReload`, `Environment` or `ConfigurationDirectory` names the file, else by the package that owns
//! the file. None or several is an error that says what was found and how to say it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    command::{Environment, Program, environment, inherited},
    config::{ActionConfig, Config, ConfigError, EnvConfig, Pace, TemplateConfig},
};

/// What is done after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What is run.
    pub program: Program,
    /// Its name in the configuration; `None` for a template's own command.
    pub name: Option<String>,
    /// When it is run.
    pub pace: Pace,
}

/// How long `systemctl` and `dpkg` may take to answer a question.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// How long a unit may take to reload when nothing else is said; systemd's own limit is 90 s.
const UNIT_LIMIT: Duration = Duration::from_secs(120);

/// The programs that know about units and packages.
#[derive(Clone, Debug)]
pub struct Host {
    /// `systemctl`.
    pub systemctl: String,
    /// `dpkg`.
    pub dpkg: String,
}

impl Default for Host {
    fn default() -> Self {
        Self { systemctl: "systemctl".into(), dpkg: "dpkg".into() }
    }
}

/// What is done after a change of each template, in their order; `None` for those with nothing to do.
///
/// Errors when a unit cannot be found; the watcher must not start then, for it could never reload anything.
pub async fn resolve(config: &Config, host: &Host) -> Result<Vec<Option<Action>>, ConfigError> {
    let mut actions = Vec::new();
    let injected = config.injected();
    // Hundreds of templates see the same variables.
    let mut known: Vec<(&EnvConfig, Environment)> = Vec::new();
    for template in &config.templates {
        let filter = &template.command_env;
        let seen = match known.iter().find(|(other, _)| *other == filter) {
            Some((_, seen)) => Arc::clone(seen),
            None => {
                let seen = environment(inherited(), filter, &injected);
                known.push((filter, Arc::clone(&seen)));
                seen
            }
        };
        actions.push(of_template(config, template, &seen, host).await?);
    }
    Ok(actions)
}

async fn of_template(
    config: &Config,
    template: &TemplateConfig,
    environment: &Environment,
    host: &Host,
) -> Result<Option<Action>, ConfigError> {
    let program = |words: Vec<String>, limit| Program { words, environment: Arc::clone(environment), limit };
    let own = |program| Action { program, name: None, pace: Pace::default() };
    let [word] = template.command.as_slice() else {
        let command = template.command.clone();
        return Ok((!command.is_empty()).then(|| own(program(command, template.command_timeout))));
    };
    if let Some(action) = config.actions.get(word) {
        let program = named(action, template, &program, host);
        return Ok(Some(Action { program, name: Some(word.clone()), pace: action.pace.clone() }));
    }
    if config.processes.iter().any(|process| process.name == *word) {
        return Ok(None);
    }
    if !["reload", "restart", "signal"].contains(&word.as_str()) {
        return Ok(Some(own(program(vec![word.clone()], template.command_timeout))));
    }
    let unit = match &template.unit {
        Some(unit) => unit.clone(),
        None => owner(word, template, host).await?,
    };
    Ok(Some(own(program(unit_words(host, word, &unit, template.signal), UNIT_LIMIT))))
}

fn named(
    action: &ActionConfig,
    template: &TemplateConfig,
    program: &impl Fn(Vec<String>, Duration) -> Program,
    host: &Host,
) -> Program {
    match &action.unit {
        Some(unit) => {
            let usual = if action.signal.is_some() { "signal" } else { "reload" };
            let verb = action.verb.as_deref().unwrap_or(usual);
            program(unit_words(host, verb, unit, action.signal), action.timeout.unwrap_or(UNIT_LIMIT))
        }
        None => program(action.command.clone(), action.timeout.unwrap_or(template.command_timeout)),
    }
}

fn unit_words(host: &Host, verb: &str, unit: &str, signal: Option<Signal>) -> Vec<String> {
    let systemctl = host.systemctl.clone();
    if verb != "signal" {
        return vec![systemctl, verb.to_owned(), unit.to_owned()];
    }
    let signal = signal.unwrap_or(Signal::SIGHUP);
    vec![systemctl, "kill".into(), "--kill-whom=main".into(), format!("--signal={signal}"), unit.to_owned()]
}

/// The unit that owns a template's destination.
async fn owner(word: &str, template: &TemplateConfig, host: &Host) -> Result<String, ConfigError> {
    let shown = template.destination_name();
    let refuse = |found: String| {
        ConfigError(format!(
            "template \"{}\" => \"{shown}\": {word} needs the unit that owns {shown}: {found}. \
             Write unit = \"NAME.service\" in the template block, or define action \"{word}\" {{ unit = \"NAME.service\" }}, \
             or give a command such as \"systemctl {word} NAME\"",
            template.source.name()
        ))
    };
    let destination = template.destination.as_deref().unwrap_or(Path::new(""));
    let Ok(path) = std::path::absolute(destination) else {
        return Err(refuse("the destination is empty".into()));
    };
    let naming = units_naming(&path, host).await.map_err(&refuse)?;
    match one(naming) {
        Found::One(unit) => return Ok(unit),
        Found::Several(units) => return Err(refuse(format!("several units name it: {units}"))),
        Found::None => {}
    }
    match one(units_of_package(&path, host).await) {
        Found::One(unit) => Ok(unit),
        Found::Several(units) => {
            Err(refuse(format!("no unit names it, and its package has several: {units}")))
        }
        Found::None => Err(refuse("no unit names it, and no package with a unit owns it".into())),
    }
}

enum Found {
    None,
    One(String),
    Several(String),
}

fn one(units: BTreeSet<String>) -> Found {
    match units.len() {
        0 => Found::None,
        1 => units.into_iter().next().map_or(Found::None, Found::One),
        _ => Found::Several(units.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The units whose settings name a path; when none names the path itself, those that name a folder above it.
async fn units_naming(path: &Path, host: &Host) -> Result<BTreeSet<String>, String> {
    let list = [&host.systemctl, "list-unit-files", "--type=service", "--no-legend", "--no-pager", "--plain"];
    let list = ask(&list).await.map_err(|e| format!("systemctl cannot be asked: {e}"))?;
    let units: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|unit| unit.ends_with(".service") && !unit.contains("@."))
        .collect();
    if units.is_empty() {
        return Ok(BTreeSet::new());
    }
    let properties = "--property=Id,ExecStart,ExecReload,Environment,ConfigurationDirectory";
    let mut words = vec![host.systemctl.as_str(), "show", "--no-pager", properties, "--"];
    words.extend(&units);
    let shown = ask(&words).await.map_err(|e| format!("systemctl cannot be asked: {e}"))?;
    let (mut naming, mut above) = (BTreeSet::new(), BTreeSet::new());
    for block in shown.split("\n\n") {
        let Some(id) = block.lines().find_map(|line| line.strip_prefix("Id=")) else { continue };
        for named in block.lines().flat_map(paths_in) {
            if named == path {
                naming.insert(id.to_owned());
            } else if named.components().count() > 2 && path.starts_with(&named) {
                above.insert(id.to_owned());
            }
        }
    }
    Ok(if naming.is_empty() { above } else { naming })
}

/// The paths that a line of `systemctl show` names.
fn paths_in(line: &str) -> Vec<PathBuf> {
    if let Some(folders) = line.strip_prefix("ConfigurationDirectory=") {
        return folders.split_whitespace().map(|folder| Path::new("/etc").join(folder)).collect();
    }
    let Some((_, value)) = line.split_once('=') else { return Vec::new() };
    value
        .split(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'' | ',' | ':'))
        .filter(|word| word.starts_with('/'))
        .map(|word| PathBuf::from(word.trim_end_matches('/')))
        .collect()
}

/// The units of the packages that own a file.
async fn units_of_package(path: &Path, host: &Host) -> BTreeSet<String> {
    let mut units = BTreeSet::new();
    let path = path.display().to_string();
    // A file that no package owns is no fault here: dpkg says so with its status.
    let Ok(owners) = ask(&[&host.dpkg, "-S", &path]).await else { return units };
    for line in owners.lines() {
        let Some((packages, _)) = line.split_once(": ") else { continue };
        for package in packages.split(", ").filter(|package| !package.starts_with("diversion by")) {
            let files = ask(&[&host.dpkg, "-L", package]).await.unwrap_or_default();
            let names =
                files.lines().filter(|file| file.contains("/systemd/system/") && file.ends_with(".service"));
            units.extend(
                names
                    .filter_map(|file| Some(Path::new(file).file_name()?.to_string_lossy().into_owned()))
                    .filter(|unit| !unit.contains("@.")),
            );
        }
    }
    units
}

async fn ask(words: &[&str]) -> Result<String, String> {
    let mut program = Program::of_words(words, ASK_LIMIT);
    program.environment =
        environment(inherited(), &EnvConfig { custom: vec!["LC_ALL=C".into()], ..EnvConfig::default() }, &[]);
    let (status, text) = program.capture().await.map_err(|e| e.to_string())?;
    if status.success() { Ok(text) } else { Err(text.trim().to_owned()) }
}

#[cfg(test)]
mod tests;
