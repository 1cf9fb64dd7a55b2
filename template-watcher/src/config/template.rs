//! One `template` block: what its settings mean.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::run::fan::PLACE;

use super::{
    ConfigError, ExpectConfig, Limits, Source, TemplateConfig, Wait,
    blocks::{command, env},
    item::Table,
};

/// How long a command may run when nothing else is said.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// The template of one block, where `top` has what holds for all. Errors for numbers that mean nothing.
pub(super) fn template(entry: &Table, top: &Table) -> Result<TemplateConfig, ConfigError> {
    let destination = entry.filled("destination").map(PathBuf::from);
    let source = match (entry.filled("source"), entry.filled("contents")) {
        (Some(_), Some(_)) => Source::Unclear("template: cannot specify both 'source' and 'contents'"),
        (Some(path), None) => Source::File(path.into()),
        (None, Some(text)) => Source::Inline(text),
        (None, None) => Source::Unclear("template: must specify exactly one of 'source' or 'contents'"),
    };
    let delimiter = |own: &str, all: &str, usual: &str| {
        entry.filled(own).or_else(|| top.filled(all)).unwrap_or_else(|| usual.to_owned())
    };
    let command = command(entry.texts("exec.command").or_else(|| entry.texts("command")));
    let timeout = entry.duration("exec.timeout").or_else(|| entry.duration("command_timeout"));
    let exec_on = entry.bool("exec.enabled").unwrap_or(true);
    let names = (source.name(), shown(destination.as_deref()));
    let wrong = |reason| ConfigError(format!("template {:?} => {:?}: {reason}", names.0, names.1));
    let expect = expect(entry).map_err(wrong)?;
    let names_items = destination.as_deref().is_some_and(|path| shown(Some(path)).contains(PLACE));
    if entry.has("for_each") && !names_items {
        return Err(wrong(format!("for_each needs a destination with {PLACE} in it, for the item's name")));
    }
    Ok(TemplateConfig {
        rejected: rejected(entry, destination.as_deref()),
        source,
        syntax: entry.filled("syntax"),
        destination,
        command: if exec_on { command } else { Vec::new() },
        command_timeout: timeout.unwrap_or(COMMAND_TIMEOUT),
        command_env: entry.table("exec.env").map(env).unwrap_or_default(),
        check: entry.texts("check").unwrap_or_default(),
        check_timeout: entry.duration("check_timeout").unwrap_or(COMMAND_TIMEOUT),
        unit: entry.filled("unit"),
        signal: entry.signal("signal").flatten(),
        error_on_missing_key: entry.bool("error_on_missing_key").unwrap_or(false),
        // The flag counts for all, the setting for those that say nothing.
        error_fatal: top
            .bool("all_errors_fatal")
            .or_else(|| entry.bool("error_fatal"))
            .or_else(|| top.bool("template_error_fatal")),
        perms: entry
            .int("perms")
            .and_then(|mode| u32::try_from(mode).ok())
            .filter(|mode| *mode != 0)
            .map(go_mode),
        secret: entry.bool("secret"),
        user: entry.filled("user"),
        group: entry.filled("group"),
        backups: backups(entry),
        follows_links: follows_links(entry).map_err(wrong)?,
        for_each: entry.filled("for_each"),
        prune: entry.bool("prune").unwrap_or(false),
        item: None,
        create_dest_dirs: entry.bool("create_dest_dirs").unwrap_or(true),
        delimiters: (
            delimiter("left_delimiter", "default_delimiters.left", "{{"),
            delimiter("right_delimiter", "default_delimiters.right", "}}"),
        ),
        wait: wait(entry).or_else(|| wait(top)),
        allowed_functions: entry.texts("function_allowlist").unwrap_or_default(),
        sandbox_is_strict: entry.bool("sandbox_strict").unwrap_or(false),
        denied_functions: entry.texts("function_denylist").unwrap_or_default(),
        sandbox: entry.filled("sandbox_path").map(PathBuf::from),
        allow_empty: entry.bool("allow_empty").unwrap_or(false),
        run_on_start: entry.bool("run_on_start").unwrap_or(false),
        rollback: entry.bool("rollback").unwrap_or(false),
        expect,
        guard_for: entry.duration("guard_for"),
    })
}

/// Where a refused text is kept: beside the destination unless the configuration says otherwise.
fn rejected(entry: &Table, destination: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = entry.filled("rejected") {
        return Some(path.into());
    }
    let can_refuse = entry.has("check") || entry.bool("rollback").unwrap_or(false);
    if !can_refuse || !entry.bool("keep_rejected").unwrap_or(true) {
        return None;
    }
    let mut path = destination?.as_os_str().to_owned();
    path.push(".rejected");
    Some(path.into())
}

/// `backup = true` is one of them.
fn backups(entry: &Table) -> u32 {
    let usual = i64::from(entry.bool("backup").unwrap_or(false));
    u32::try_from(entry.int("backups").unwrap_or(usual)).unwrap_or(0)
}

fn follows_links(entry: &Table) -> Result<bool, String> {
    match entry.filled("symlink").as_deref() {
        None | Some("replace") => Ok(false),
        Some("follow") => Ok(true),
        Some(other) => Err(format!("symlink = {other:?}: write \"follow\" or \"replace\"")),
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// What a template's data must be like, for all its questions and for single ones.
fn expect(entry: &Table) -> Result<ExpectConfig, String> {
    let guards = entry.table("guard").into_iter().flat_map(Table::blocks);
    let one = guards.map(|(name, block)| Ok((name.to_owned(), limits(block)?)));
    Ok(ExpectConfig { all: limits(entry)?, one: one.collect::<Result<_, String>>()? })
}

fn limits(entry: &Table) -> Result<Limits, String> {
    let min_instances = entry.int("min_instances").map(|least| {
        usize::try_from(least).map_err(|_| format!("min_instances = {least}: write a number from 0 on"))
    });
    let max_shrink = entry.int("max_shrink").map(|most| match u32::try_from(most) {
        Ok(most) if most <= 100 => Ok(most),
        _ => Err(format!("max_shrink = {most}: write a percentage, 0 to 100")),
    });
    Ok(Limits {
        not_empty: entry.bool("not_empty").unwrap_or(false),
        min_instances: min_instances.transpose()?,
        max_shrink: max_shrink.transpose()?,
    })
}

/// Go keeps the sticky and set-id bits elsewhere: of a number only the nine permission bits arrive.
fn go_mode(mode: u32) -> u32 {
    mode & 0o777
}

/// The wait of a table: on when it has a least time.
fn wait(table: &Table) -> Option<Wait> {
    let min = table.duration("wait.min").filter(|min| !min.is_zero())?;
    Some(Wait { min, max: table.duration("wait.max").unwrap_or(min * 4).max(min) })
}
