//! From tables laid over each other to one [`Config`]: defaults, environment, and what one setting means for another.

use std::{path::PathBuf, time::Duration};

use daemon::logs::{Facility, LogFile, Syslog};
use nix::sys::signal::Signal;
use registry_client::{BasicAuth, Settings, Tls};

use super::{
    Config, ConfigError, Intervals, RetryPolicy, ShareConfig,
    blocks::{actions, exec, processes},
    file,
    item::Table,
    template::template,
};
use crate::status::Address;

/// The time in which a sudden emptiness is not believed.
const EMPTY_GRACE: Duration = Duration::from_secs(60);

/// The least time between two questions of one watch: as soon as anybody would want a file again, and a bound for what
/// changes all the time.
const QUERY_INTERVAL: Duration = Duration::from_millis(10);

/// The age at which a log file is set aside, as in consul-template.
const ROTATE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Who speaks in log files and to syslog: what reads them knows the watcher by this name.
const PROGRAM: &str = "consul-template";

/// How long a template may wait before it is told.
const WAIT_WARNING: Duration = Duration::from_secs(60);

/// Reads all files and lays `local` over them, the settings of `CT_LOCAL_CONFIG`, and then the flags.
pub(super) fn assemble(
    local: Table,
    flags: Table,
    paths: Vec<PathBuf>,
    mut warnings: Vec<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let mut table = Table::default();
    for path in &paths {
        table.merge(file::load(path, &mut warnings)?);
    }
    table.merge(local);
    table.merge(flags);
    let table = &table;
    let registry = registry(table, &variable);
    let templates = table.tables("template").iter().map(|entry| template(entry, table));
    let templates = templates.collect::<Result<Vec<_>, _>>()?;
    let level = ["CT_LOG", "CONSUL_TEMPLATE_LOG", "CONSUL_TEMPLATE_LOG_LEVEL"]
        .iter()
        .find_map(|name| variable(name).filter(|level| !level.is_empty()));
    let log_level = table.text("log_level").or(level).unwrap_or_else(|| "warn".to_owned());
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
        exec: table.table("exec").and_then(exec),
        processes: processes(table)?,
        clean_exit: table.bool("clean_exit").unwrap_or(false),
        export_token: table.bool("export_token").unwrap_or(true),
        kill_signal: table.signal("kill_signal").unwrap_or(Some(Signal::SIGINT)),
        reload_signal: table.signal("reload_signal").unwrap_or(Some(Signal::SIGHUP)),
        log_level,
        log_file: log_file(table),
        syslog: syslog(table)?,
        pid_file: table.filled("pid_file").map(PathBuf::from),
        once,
        dry: table.bool("dry").unwrap_or(false),
        dry_as_diff: table.bool("diff").unwrap_or(false),
        parse_only: table.bool("parse_only").unwrap_or(false),
        err_on_failed_lookup: table.bool("err_on_failed_lookup").unwrap_or(false),
        watch_files: table.bool("watch_files").unwrap_or(false),
        empty_grace: table.duration("empty_grace").unwrap_or(EMPTY_GRACE),
        status_address: status_address(table)?,
        intervals: intervals(table),
        wait_warning: table.duration("wait_warning").unwrap_or(WAIT_WARNING),
        share: share(table).filter(|_| !once),
        paths,
        warnings,
    })
}

/// Settings of the client: what is set, then consul-template's own variables, then those of every Consul client.
fn registry(table: &Table, variable: &impl Fn(&str) -> Option<String>) -> Settings {
    let from_variables = Settings::from_variables(variable);
    let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (token, token_file) = token(table, &filled, &from_variables);
    let ssl_keys = ["ca_cert", "ca_cert_bytes", "ca_path", "cert", "key", "server_name"];
    let ssl_set = table
        .table("consul.ssl")
        .is_some_and(|ssl| ssl.has("verify") || ssl_keys.into_iter().any(|key| ssl.filled(key).is_some()));
    let ssl_off = table.bool("consul.ssl.enabled") == Some(false);
    let path = |key: &str| table.filled(key).filter(|_| !ssl_off).map(PathBuf::from);
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

/// As in consul-template any key of the block switches sharing on.
fn share(table: &Table) -> Option<ShareConfig> {
    let block = table.table("deduplicate")?;
    let is_on = block.bool("enabled").unwrap_or(true);
    is_on.then(|| ShareConfig {
        prefix: block.filled("prefix").unwrap_or_else(|| "consul-template/dedup/".to_owned()),
        ttl: block.duration("ttl").unwrap_or(Duration::from_secs(15)),
        max_stale: block.duration("max_stale").unwrap_or(Duration::from_secs(2)),
        block_query_wait: block.duration("block_query_wait").unwrap_or(Duration::from_secs(60)),
    })
}

fn log_file(table: &Table) -> Option<LogFile> {
    let path = PathBuf::from(table.filled("log_file.path")?);
    let bytes = table.int("log_file.log_rotate_bytes").unwrap_or(0);
    Some(LogFile {
        rotate_bytes: u64::try_from(bytes).unwrap_or(0),
        rotate_after: table.duration("log_file.log_rotate_duration").unwrap_or(ROTATE_AFTER),
        keep: table.int("log_file.log_rotate_max_files").unwrap_or(0),
        ..LogFile::at(&path, PROGRAM)
    })
}

/// As in consul-template a facility or a name alone switches syslog on.
fn syslog(table: &Table) -> Result<Option<Syslog>, ConfigError> {
    let program = table.filled("syslog.name");
    let is_named = program.is_some() || table.filled("syslog.facility").is_some();
    if !table.bool("syslog.enabled").unwrap_or(is_named) {
        return Ok(None);
    }
    let facility = match table.text("syslog.facility") {
        Some(name) => name.parse().map_err(ConfigError)?,
        None => Facility::LOCAL0,
    };
    Ok(Some(Syslog { program: program.unwrap_or_else(|| PROGRAM.to_owned()), facility }))
}

fn status_address(table: &Table) -> Result<Option<String>, ConfigError> {
    let Some(text) = table.filled("status_address") else { return Ok(None) };
    Address::parse(&text).map_err(|reason| ConfigError(format!("status_address: {reason}")))?;
    Ok(Some(text))
}

fn intervals(table: &Table) -> Intervals {
    let blocks = table.table("query").into_iter().flat_map(Table::blocks);
    let one = blocks.filter_map(|(name, block)| Some((name.to_owned(), block.duration("min_interval")?)));
    Intervals { all: table.duration("query_interval").unwrap_or(QUERY_INTERVAL), one: one.collect() }
}

fn retry(table: &Table) -> RetryPolicy {
    let attempts = table.int("consul.retry.attempts").unwrap_or(12);
    let enabled = table.bool("consul.retry.enabled").unwrap_or(true);
    RetryPolicy {
        enabled,
        is_limited: table.has("consul.retry.attempts") || !enabled,
        attempts: u32::try_from(attempts).ok().filter(|attempts| *attempts > 0),
        backoff: table.duration("consul.retry.backoff").unwrap_or(Duration::from_millis(250)),
        max_backoff: table.duration("consul.retry.max_backoff").unwrap_or(Duration::from_secs(60)),
    }
}
