//! From tables laid over each other to one [`Config`]: defaults, environment, and what one setting means for another.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use registry_client::{BasicAuth, Settings, Tls};

use super::{
    ActionConfig, Config, ConfigError, EnvConfig, ExecConfig, RetryPolicy, Source, TemplateConfig, Wait,
    file, item::Table,
};

/// The time in which a sudden emptiness is not believed.
const EMPTY_GRACE: Duration = Duration::from_secs(60);

/// How long a command may run when nothing else is said.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads all files and lays the flags over them.
pub(super) fn assemble(
    flags: Table,
    paths: Vec<PathBuf>,
    mut warnings: Vec<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let mut table = Table::default();
    for path in &paths {
        table.merge(file::load(path, &mut warnings)?);
    }
    if let Some(text) = variable("CT_LOCAL_CONFIG").filter(|text| !text.is_empty()) {
        let local = file::parse("CT_LOCAL_CONFIG", text.as_bytes(), &mut warnings);
        table.merge(local.map_err(ConfigError)?);
    }
    table.merge(flags);
    let table = &table;
    let registry = registry(table, &variable);
    let templates = table.tables("template").iter().map(|entry| template(entry, table)).collect();
    if table
        .bool("syslog.enabled")
        .unwrap_or_else(|| table.has("syslog.facility") || table.has("syslog.name"))
    {
        warnings
            .push("syslog is not supported; the log goes to standard error, where systemd takes it".into());
    }
    let level = ["CT_LOG", "CONSUL_TEMPLATE_LOG", "CONSUL_TEMPLATE_LOG_LEVEL"]
        .iter()
        .find_map(|name| variable(name).filter(|level| !level.is_empty()));
    let log_level = table.filled("log_level").or(level).unwrap_or_else(|| "warn".to_owned());
    if !["trace", "debug", "info", "warn", "err"].contains(&log_level.to_ascii_lowercase().as_str()) {
        let shown = log_level.to_uppercase();
        return Err(ConfigError(format!(
            "invalid log level {shown:?}, valid log levels are TRACE, DEBUG, INFO, WARN, ERR"
        )));
    }
    let once = table.bool("once").unwrap_or(false);
    Ok(Config {
        environment: environment(&registry),
        registry,
        retry: retry(table),
        max_stale: table.duration("max_stale").unwrap_or(Duration::from_secs(2)),
        block_query_wait: table.duration("block_query_wait").unwrap_or(Duration::from_secs(60)),
        templates,
        actions: actions(table)?,
        exec: exec(table),
        kill_signal: table.signal("kill_signal").unwrap_or(Some(Signal::SIGINT)),
        reload_signal: table.signal("reload_signal").unwrap_or(Some(Signal::SIGHUP)),
        log_level,
        log_file: table.filled("log_file.path").map(PathBuf::from),
        pid_file: table.filled("pid_file").map(PathBuf::from),
        once,
        dry: table.bool("dry").unwrap_or(false),
        parse_only: table.bool("parse_only").unwrap_or(false),
        err_on_failed_lookup: table.bool("err_on_failed_lookup").unwrap_or(false),
        watch_files: table.bool("watch_files").unwrap_or(false),
        empty_grace: table.duration("empty_grace").unwrap_or(EMPTY_GRACE),
        paths,
        warnings,
    })
}

/// Settings of the client: what is set, then consul-template's own variables, then those of every Consul client.
fn registry(table: &Table, variable: &impl Fn(&str) -> Option<String>) -> Settings {
    let from_variables = Settings::from_variables(variable);
    let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (token, token_file) = token(table, &filled, &from_variables);
    let path = |key: &str| table.filled(key).map(PathBuf::from);
    let ssl_set = table.table("consul.ssl").is_some();
    let cert_file = path("consul.ssl.cert").or(from_variables.tls.cert_file);
    let user = table.filled("consul.auth.username");
    let auth_on = table.bool("consul.auth.enabled").unwrap_or(user.is_some());
    let basic_auth = match user {
        Some(user) if auth_on => {
            Some(BasicAuth { user, password: table.text("consul.auth.password").unwrap_or_default() })
        }
        _ => from_variables.basic_auth,
    };
    Settings {
        address: table.filled("consul.address").unwrap_or(from_variables.address),
        keeps_odd: false,
        token,
        token_file,
        basic_auth,
        datacenter: String::new(),
        namespace: table.filled("consul.namespace").unwrap_or(from_variables.namespace),
        partition: from_variables.partition,
        tls: Tls {
            enabled: table.bool("consul.ssl.enabled").unwrap_or(ssl_set || from_variables.tls.enabled),
            verify: table.bool("consul.ssl.verify").unwrap_or(from_variables.tls.verify),
            ca_file: path("consul.ssl.ca_cert").or(from_variables.tls.ca_file),
            ca_path: path("consul.ssl.ca_path").or(from_variables.tls.ca_path),
            key_file: path("consul.ssl.key").or(from_variables.tls.key_file),
            cert_file,
            server_name: table.filled("consul.ssl.server_name").unwrap_or(from_variables.tls.server_name),
        },
    }
}

/// The token or its file: the file that is set, the token that is set, the environment's file, its token.
fn token(
    table: &Table,
    variable: &impl Fn(&str) -> Option<String>,
    from_variables: &Settings,
) -> (String, Option<PathBuf>) {
    if let Some(path) = table.filled("consul.token_file") {
        return (String::new(), Some(path.into()));
    }
    if let Some(token) = table.filled("consul.token") {
        return (token, None);
    }
    match variable("CONSUL_TOKEN_FILE").map(PathBuf::from).or_else(|| from_variables.token_file.clone()) {
        Some(path) => (String::new(), Some(path)),
        None => (variable("CONSUL_TOKEN").unwrap_or_else(|| from_variables.token.clone()), None),
    }
}

/// What commands, the child and `env` see of these settings, each only when it says something.
fn environment(registry: &Settings) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push((name.to_owned(), value.to_owned()));
        }
    };
    put("CONSUL_HTTP_ADDR", &registry.address);
    if let Some(auth) = &registry.basic_auth {
        put("CONSUL_HTTP_AUTH", &format!("{}:{}", auth.user, auth.password));
    }
    put("CONSUL_HTTP_TOKEN", &registry.token);
    put(
        "CONSUL_HTTP_TOKEN_FILE",
        &registry.token_file.as_ref().map_or(String::new(), |p| p.display().to_string()),
    );
    put("CONSUL_HTTP_SSL", &registry.tls.enabled.to_string());
    put("CONSUL_HTTP_SSL_VERIFY", &registry.tls.verify.to_string());
    out
}

fn retry(table: &Table) -> RetryPolicy {
    let attempts = table.int("consul.retry.attempts").unwrap_or(12);
    RetryPolicy {
        enabled: table.bool("consul.retry.enabled").unwrap_or(true),
        attempts: u32::try_from(attempts).ok().filter(|attempts| *attempts > 0),
        backoff: table.duration("consul.retry.backoff").unwrap_or(Duration::from_millis(250)),
        max_backoff: table.duration("consul.retry.max_backoff").unwrap_or(Duration::from_secs(60)),
    }
}

pub(super) fn template(entry: &Table, top: &Table) -> TemplateConfig {
    let destination = entry.filled("destination").map(PathBuf::from);
    let source = match (entry.filled("source"), entry.text("contents")) {
        (Some(_), Some(_)) => Source::Unclear("template: cannot specify both 'source' and 'contents'"),
        (Some(path), None) => Source::File(path.into()),
        (None, Some(text)) => Source::Inline(text),
        (None, None) => Source::Unclear("template: must specify exactly one of 'source' or 'contents'"),
    };
    let delimiter = |own: &str, all: &str, usual: &str| {
        entry.filled(own).or_else(|| top.filled(all)).unwrap_or_else(|| usual.to_owned())
    };
    let command = entry.texts("exec.command").or_else(|| entry.texts("command")).unwrap_or_default();
    let timeout = entry.duration("exec.timeout").or_else(|| entry.duration("command_timeout"));
    let exec_on = entry.bool("exec.enabled").unwrap_or(true);
    TemplateConfig {
        source,
        syntax: entry.filled("syntax"),
        destination,
        command: if exec_on {
            command.into_iter().filter(|word| !word.is_empty()).collect()
        } else {
            Vec::new()
        },
        command_timeout: timeout.unwrap_or(COMMAND_TIMEOUT),
        command_env: entry.table("exec.env").map(env).unwrap_or_default(),
        check: entry.texts("check").unwrap_or_default(),
        check_timeout: entry.duration("check_timeout").unwrap_or(COMMAND_TIMEOUT),
        unit: entry.filled("unit"),
        signal: entry.signal("signal").flatten(),
        error_on_missing_key: entry.bool("error_on_missing_key").unwrap_or(false),
        error_fatal: top.bool("template_error_fatal").or_else(|| entry.bool("error_fatal")),
        perms: entry
            .int("perms")
            .and_then(|mode| u32::try_from(mode).ok())
            .filter(|mode| *mode != 0)
            .map(go_mode),
        user: entry.filled("user"),
        group: entry.filled("group"),
        backup: entry.bool("backup").unwrap_or(false),
        create_dest_dirs: entry.bool("create_dest_dirs").unwrap_or(true),
        delimiters: (
            delimiter("left_delimiter", "default_delimiters.left", "{{"),
            delimiter("right_delimiter", "default_delimiters.right", "}}"),
        ),
        wait: wait(entry).or_else(|| if entry.has("wait") { None } else { wait(top) }),
        denied_functions: entry.texts("function_denylist").unwrap_or_default(),
        sandbox: entry.filled("sandbox_path").map(PathBuf::from),
        allow_empty: entry.bool("allow_empty").unwrap_or(false),
    }
}

/// Go keeps the sticky and set-id bits elsewhere: of a number only the nine permission bits arrive.
fn go_mode(mode: u32) -> u32 {
    mode & 0o777
}

/// The wait of a table: on when it has a least time.
fn wait(table: &Table) -> Option<Wait> {
    let min = table.duration("wait.min").filter(|min| !min.is_zero())?;
    let on = table.bool("wait.enabled").unwrap_or(true);
    on.then(|| Wait { min, max: table.duration("wait.max").unwrap_or(min * 4).max(min) })
}

fn env(table: &Table) -> EnvConfig {
    EnvConfig {
        pristine: table.bool("pristine").unwrap_or(false),
        custom: table.texts("custom").unwrap_or_default(),
        allowlist: table.texts("allowlist").unwrap_or_default(),
        denylist: table.texts("denylist").unwrap_or_default(),
    }
}

fn actions(table: &Table) -> Result<BTreeMap<String, ActionConfig>, ConfigError> {
    let mut actions = BTreeMap::new();
    for (name, entry) in table.table("action").into_iter().flat_map(Table::blocks) {
        let action = ActionConfig {
            command: entry.texts("command").unwrap_or_default(),
            timeout: entry.duration("timeout"),
            unit: entry.filled("unit"),
            verb: entry.filled("do"),
            signal: entry.signal("signal").flatten(),
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

fn exec(table: &Table) -> Option<ExecConfig> {
    let command =
        table.texts("exec.command").filter(|command| command.iter().any(|word| !word.is_empty()))?;
    table.bool("exec.enabled").unwrap_or(true).then(|| ExecConfig {
        command,
        env: table.table("exec.env").map(env).unwrap_or_default(),
        reload_signal: table.signal("exec.reload_signal").flatten(),
        kill_signal: table.signal("exec.kill_signal").unwrap_or(Some(Signal::SIGINT)),
        kill_timeout: table.duration("exec.kill_timeout").unwrap_or(Duration::from_secs(30)),
        splay: table.duration("exec.splay").unwrap_or_default(),
    })
}
