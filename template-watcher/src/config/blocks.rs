//! Actions, the kept child, and the environment of programs: what the settings of their blocks mean.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;

use super::{ActionConfig, ConfigError, EnvConfig, ExecConfig, Pace, ProcessConfig, item::Table};

/// How long an action waits for its lock when nothing else is said, before it counts as failed.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// The named actions. Errors for one that does nothing, or two things.
pub(super) fn actions(table: &Table) -> Result<BTreeMap<String, ActionConfig>, ConfigError> {
    let mut actions = BTreeMap::new();
    for (name, entry) in table.table("action").into_iter().flat_map(Table::blocks) {
        let action = ActionConfig {
            command: entry.texts("command").unwrap_or_default(),
            timeout: entry.duration("timeout"),
            unit: entry.filled("unit"),
            verb: entry.filled("do"),
            signal: entry.signal("signal").flatten(),
            pace: pace(entry),
        };
        let verb_known =
            action.verb.as_deref().is_none_or(|verb| ["reload", "restart", "signal"].contains(&verb));
        if !verb_known {
            return Err(ConfigError(format!("action {name:?}: do is one of reload, restart, signal")));
        }
        if action.command.is_empty() == action.unit.is_none() {
            return Err(ConfigError(format!("action {name:?}: give it either a command or a unit")));
        }
        actions.insert(name.to_owned(), action);
    }
    Ok(actions)
}

fn pace(entry: &Table) -> Pace {
    let duration = |key: &str| entry.duration(key).unwrap_or_default();
    Pace {
        all_members: entry.bool("all_members").unwrap_or(false),
        coalesce: duration("coalesce"),
        min_interval: duration("min_interval"),
        splay: duration("splay"),
        lock_file: entry.filled("lock_file").map(PathBuf::from),
        lock_key: entry.filled("lock_key"),
        lock_timeout: entry.duration("lock_timeout").unwrap_or(LOCK_TIMEOUT),
    }
}

/// The further children. Errors for one without a command, or with the name of an action.
pub(super) fn processes(table: &Table) -> Result<Vec<ProcessConfig>, ConfigError> {
    let blocks = table.table("process").into_iter().flat_map(Table::blocks);
    let read = |(name, entry): (&str, &Table)| {
        if table.has(&format!("action.{name}")) {
            let reason = format!("process {name:?}: an action has this name too");
            return Err(ConfigError(reason));
        }
        let exec = exec(entry).ok_or_else(|| ConfigError(format!("process {name:?}: give it a command")))?;
        Ok(ProcessConfig { name: name.to_owned(), exec, restart: entry.bool("restart").unwrap_or(true) })
    };
    blocks.filter(|(_, entry)| entry.bool("enabled").unwrap_or(true)).map(read).collect()
}

/// The child of a block, if there is a command for it.
pub(super) fn exec(entry: &Table) -> Option<ExecConfig> {
    let command = command(entry.texts("command"));
    let is_on = entry.bool("enabled").unwrap_or(true) && !command.is_empty();
    is_on.then(|| ExecConfig {
        command,
        env: entry.table("env").map(env).unwrap_or_default(),
        reload_signal: entry.signal("reload_signal"),
        kill_signal: entry.signal("kill_signal").unwrap_or(Some(Signal::SIGINT)),
        kill_timeout: entry.duration("kill_timeout").unwrap_or(Duration::from_secs(30)),
        splay: entry.duration("splay").unwrap_or_default(),
    })
}

/// The words of a command; none when the first is empty, as with consul-template.
pub(super) fn command(words: Option<Vec<String>>) -> Vec<String> {
    words.filter(|words| words.first().is_some_and(|word| !word.is_empty())).unwrap_or_default()
}

/// Which variables a program sees.
pub(super) fn env(table: &Table) -> EnvConfig {
    EnvConfig {
        pristine: table.bool("pristine").unwrap_or(false),
        custom: table.texts("custom").unwrap_or_default(),
        allowlist: table.texts("allowlist").unwrap_or_default(),
        denylist: table.texts("denylist").unwrap_or_default(),
    }
}
