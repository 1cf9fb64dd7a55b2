//! Which keys a configuration file may have, and of which type.

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    /// Any number.
    Number,
    /// A Go duration, or a whole number of nanoseconds.
    Duration,
    Signal,
    /// An octal text, or a whole number.
    Mode,
    /// A list of texts that later files add to; one text is split at commas.
    MoreTexts,
    /// One text for the shell, or a list of words.
    Command,
    /// `min:max`, or a block of both.
    Wait,
    /// A text or a whole number: a user or a group.
    Name,
    /// A user's or group's number; -1 is none.
    Id,
    /// A block; of several in one file the last counts.
    Block(&'static [Key]),
    /// A block, or the registry's address alone, as old files have it.
    Consul(&'static [Key]),
    /// Blocks that are all kept.
    Blocks(&'static [Key]),
    /// Blocks with a name: `action "x" { … }`.
    Named(&'static [Key]),
    /// A block of a service that is not supported: checked, and read over with a warning.
    Ignored(&'static [Key]),
}

/// A key: its name, the name of the setting, and what it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) setting: &'static str,
    pub(super) kind: Kind,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, setting: name, kind }
}

/// An old name of a setting.
const fn old(name: &'static str, setting: &'static str, kind: Kind) -> Key {
    Key { name, setting, kind }
}

use Kind::{
    Block, Blocks, Bool, Command, Consul, Duration, Id, Ignored, Int, Mode, MoreTexts, Name, Named, Number,
    Signal, Text, Wait,
};

/// The top level.
pub(super) const TOP: &[Key] = &[
    key("consul", Consul(CONSUL)),
    key("template", Blocks(TEMPLATE)),
    key("action", Named(ACTION)),
    key("exec", Block(EXEC)),
    key("process", Named(PROCESS)),
    key("wait", Wait),
    key("default_delimiters", Block(&[key("left", Text), key("right", Text)])),
    key("log_file", Block(LOG_FILE)),
    key("syslog", Block(&[key("enabled", Bool), key("facility", Text), key("name", Text)])),
    key("deduplicate", Block(DEDUPLICATE)),
    key("vault", Ignored(VAULT)),
    key("nomad", Ignored(NOMAD)),
    key("reload_signal", Signal),
    key("kill_signal", Signal),
    key("log_level", Text),
    key("max_stale", Duration),
    key("block_query_wait", Duration),
    key("pid_file", Text),
    key("template_error_fatal", Bool),
    key("err_on_failed_lookup", Bool),
    key("once", Bool),
    old("parseonly", "parse_only", Bool),
    // Ours.
    key("watch_files", Bool),
    key("empty_grace", Duration),
    key("status_address", Text),
    key("wait_warning", Duration),
    key("query_interval", Duration),
    key("query", Named(&[key("min_interval", Duration)])),
    key("export_token", Bool),
    key("clean_exit", Bool),
];

/// The block form of `wait`.
pub(super) const WAIT: &[Key] = &[key("min", Duration), key("max", Duration)];

const CONSUL: &[Key] = &[
    key("address", Text),
    key("namespace", Text),
    key("token", Text),
    key("token_file", Text),
    key("auth", Block(&[key("enabled", Bool), key("username", Text), key("password", Text)])),
    key("retry", Block(RETRY)),
    key("ssl", Block(SSL)),
    key("transport", Block(TRANSPORT)),
];

const VAULT: &[Key] = &[
    key("address", Text),
    key("enabled", Bool),
    key("namespace", Text),
    key("token", Text),
    key("vault_agent_token_file", Text),
    key("renew_token", Bool),
    key("unwrap_token", Bool),
    key("default_lease_duration", Duration),
    key("lease_renewal_threshold", Number),
    key("client_user_agent", Text),
    key("k8s_auth_role_name", Text),
    key("k8s_service_account_token", Text),
    key("k8s_service_account_token_path", Text),
    key("k8s_service_mount_path", Text),
    key("retry", Block(RETRY)),
    key("ssl", Block(SSL)),
    key("transport", Block(TRANSPORT)),
];

const NOMAD: &[Key] = &[
    key("address", Text),
    key("enabled", Bool),
    key("namespace", Text),
    key("token", Text),
    key("auth_username", Text),
    key("auth_password", Text),
    key("retry", Block(RETRY)),
    key("ssl", Block(SSL)),
    key("transport", Block(TRANSPORT)),
];

const DEDUPLICATE: &[Key] = &[
    key("enabled", Bool),
    key("prefix", Text),
    key("ttl", Duration),
    key("max_stale", Duration),
    key("block_query_wait", Duration),
];

const RETRY: &[Key] =
    &[key("enabled", Bool), key("attempts", Int), key("backoff", Duration), key("max_backoff", Duration)];

const SSL: &[Key] = &[
    key("enabled", Bool),
    key("verify", Bool),
    key("cert", Text),
    key("key", Text),
    key("ca_cert", Text),
    key("ca_cert_bytes", Text),
    key("ca_path", Text),
    key("server_name", Text),
];

const TRANSPORT: &[Key] = &[
    key("dial_keep_alive", Duration),
    key("dial_timeout", Duration),
    key("disable_keep_alives", Bool),
    key("idle_conn_timeout", Duration),
    key("max_idle_conns", Int),
    key("max_idle_conns_per_host", Int),
    key("max_conns_per_host", Int),
    key("tls_handshake_timeout", Duration),
];

const TEMPLATE: &[Key] = &[
    key("source", Text),
    key("contents", Text),
    key("destination", Text),
    key("create_dest_dirs", Bool),
    key("for_each", Text),
    key("prune", Bool),
    key("command", Command),
    key("command_timeout", Duration),
    key("exec", Block(EXEC)),
    key("error_on_missing_key", Bool),
    key("error_fatal", Bool),
    key("perms", Mode),
    key("user", Name),
    key("group", Name),
    old("uid", "user", Id),
    old("gid", "group", Id),
    key("backup", Bool),
    key("left_delimiter", Text),
    key("right_delimiter", Text),
    key("wait", Wait),
    key("function_denylist", MoreTexts),
    old("function_blacklist", "function_denylist", MoreTexts),
    key("sandbox_path", Text),
    // Ours.
    key("check", Command),
    key("check_timeout", Duration),
    key("unit", Text),
    key("signal", Signal),
    key("allow_empty", Bool),
    key("syntax", Text),
    key("secret", Bool),
    key("backups", Int),
    key("symlink", Text),
    key("function_allowlist", MoreTexts),
    key("sandbox_strict", Bool),
    key("run_on_start", Bool),
    key("rollback", Bool),
    key("rejected", Text),
    key("keep_rejected", Bool),
    key("not_empty", Bool),
    key("min_instances", Int),
    key("max_shrink", Int),
    key("guard", Named(LIMITS)),
    key("guard_for", Duration),
];

const LIMITS: &[Key] = &[key("not_empty", Bool), key("min_instances", Int), key("max_shrink", Int)];

const ACTION: &[Key] = &[
    key("command", Command),
    key("timeout", Duration),
    key("unit", Text),
    key("signal", Signal),
    key("do", Text),
    key("all_members", Bool),
    key("coalesce", Duration),
    key("min_interval", Duration),
    key("splay", Duration),
    key("lock_file", Text),
    key("lock_key", Text),
    key("lock_timeout", Duration),
];

const EXEC: &[Key] = &[
    key("command", Command),
    key("enabled", Bool),
    key("timeout", Duration),
    key("splay", Duration),
    key("kill_signal", Signal),
    key("kill_timeout", Duration),
    key("reload_signal", Signal),
    key("env", Block(ENV)),
];

const PROCESS: &[Key] = &[
    key("command", Command),
    key("enabled", Bool),
    key("restart", Bool),
    key("splay", Duration),
    key("kill_signal", Signal),
    key("kill_timeout", Duration),
    key("reload_signal", Signal),
    key("env", Block(ENV)),
];

const ENV: &[Key] = &[
    key("pristine", Bool),
    key("custom", MoreTexts),
    key("allowlist", MoreTexts),
    old("whitelist", "allowlist", MoreTexts),
    key("denylist", MoreTexts),
    old("blacklist", "denylist", MoreTexts),
];

const LOG_FILE: &[Key] = &[
    key("path", Text),
    key("log_rotate_bytes", Int),
    key("log_rotate_duration", Duration),
    key("log_rotate_max_files", Int),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Key, Kind, TOP};

    const PAGE: &str = include_str!("../../../docs/watcher.md");

    /// The words in `code` of each section of the page, and those that its tables are about.
    fn page() -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
        let (mut sections, mut rows) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
        let (mut section, mut in_block) = (String::new(), false);
        for line in PAGE.lines() {
            in_block ^= line.starts_with("```");
            if let Some(title) = line.strip_prefix("## ") {
                section = title.trim_matches('`').to_owned();
            }
            if in_block {
                continue;
            }
            let words = |text: &str| -> Vec<String> {
                let code = text
                    .split('`')
                    .skip(1)
                    .step_by(2)
                    .flat_map(|code| code.split(|c: char| c != '_' && !c.is_alphanumeric()));
                code.map(str::to_owned).collect()
            };
            sections.entry(section.clone()).or_default().extend(words(line));
            if line.starts_with("| `") {
                let first = line.split('|').nth(1).unwrap_or_default();
                let names =
                    first.split('`').skip(1).step_by(2).filter_map(|code| code.split([' ', '=']).next());
                rows.extend(names.map(str::to_owned));
            }
        }
        (sections, rows)
    }

    /// Calls `see` with every key and the sections of the page that may have it.
    fn walk(
        keys: &'static [Key],
        sections: &[&'static str],
        see: &mut impl FnMut(&'static str, &[&'static str]),
    ) {
        for key in keys {
            see(key.name, sections);
            if let Kind::Block(inner) | Kind::Consul(inner) | Kind::Blocks(inner) | Kind::Named(inner) =
                key.kind
            {
                match key.name {
                    // It has the keys of a child.
                    "process" => walk(inner, &["process", "exec"], see),
                    name if PAGE.contains(&format!("\n## `{name}`\n")) => walk(inner, &[name], see),
                    _ => walk(inner, sections, see),
                }
            }
        }
    }

    #[test]
    fn the_page_has_every_key_in_its_section_and_no_other() {
        let (sections, rows) = page();
        let (mut known, mut missing) = (BTreeSet::new(), Vec::new());
        walk(TOP, &["Top level"], &mut |name: &'static str, places: &[&'static str]| {
            known.insert(name);
            let is_there = |place: &&str| sections.get(*place).is_some_and(|words| words.contains(name));
            if !places.iter().any(is_there) {
                missing.push(format!("{name} in {places:?}"));
            }
        });
        assert!(missing.is_empty(), "docs/watcher.md does not have {missing:#?}");
        let strays: Vec<&String> = rows.iter().filter(|row| !known.contains(row.as_str())).collect();
        assert!(strays.is_empty(), "docs/watcher.md has keys that are none: {strays:?}");
    }
}
