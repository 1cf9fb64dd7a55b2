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
    let (registry, environment) = registry(table, &variable);
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
        environment,
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

/// Settings of the client, and what commands, the child and `env` see of them.
///
/// What is set comes first, then consul-template's own variables, then those of every Consul client. An empty text is set:
/// it hides the variable from commands, and leaves the client to its defaults.
fn registry(table: &Table, variable: &impl Fn(&str) -> Option<String>) -> (Settings, Vec<(String, String)>) {
    let usual = Settings::from_variables(variable);
    let set_or = |key: &str, names: &[&str]| {
        let found = names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        table.text(key).unwrap_or_else(|| found.unwrap_or_default().trim().to_owned())
    };
    let address = set_or("consul.address", &["CONSUL_HTTP_ADDR"]);
    let token = set_or("consul.token", &["CONSUL_TOKEN", "CONSUL_HTTP_TOKEN"]);
    let token_file = set_or("consul.token_file", &["CONSUL_TOKEN_FILE", "CONSUL_HTTP_TOKEN_FILE"]);
    let auth = auth(table);
    let tls = tls(table, usual.tls);
    let mut environment = Vec::new();
    let mut put = |name: &str, value: String| environment.push((name.to_owned(), value));
    let texts = [
        ("CONSUL_HTTP_ADDR", &address),
        ("CONSUL_HTTP_TOKEN", &token),
        ("CONSUL_HTTP_TOKEN_FILE", &token_file),
    ];
    texts.iter().filter(|text| !text.1.is_empty()).for_each(|(name, text)| put(name, (*text).clone()));
    if let Some(auth) = &auth {
        put("CONSUL_HTTP_AUTH", format!("{}:{}", auth.user, auth.password));
    }
    put("CONSUL_HTTP_SSL", tls.enabled.to_string());
    put("CONSUL_HTTP_SSL_VERIFY", tls.verify.to_string());
    let or = |text: String, usual: String| if text.is_empty() { usual } else { text };
    // As in Consul's own client: a file that is ours, a token that is ours, every client's file, every client's token.
    let own_file = Some(PathBuf::from(token_file)).filter(|path| !path.as_os_str().is_empty());
    let own_file = own_file.filter(|path| Some(path) != usual.token_file.as_ref());
    let is_own_token = !token.is_empty() && token != usual.token;
    let settings = Settings {
        address: or(address, usual.address),
        keeps_odd: false,
        token: or(token, usual.token),
        token_file: own_file.or(usual.token_file.filter(|_| !is_own_token)),
        basic_auth: auth.or(usual.basic_auth),
        datacenter: String::new(),
        namespace: table.filled("consul.namespace").unwrap_or(usual.namespace),
        partition: usual.partition,
        tls,
    };
    (settings, environment)
}

/// On as soon as there is a name or a password.
fn auth(table: &Table) -> Option<BasicAuth> {
    let [user, password] =
        ["consul.auth.username", "consul.auth.password"].map(|key| table.text(key).unwrap_or_default());
    let is_on = table.bool("consul.auth.enabled").unwrap_or(!user.is_empty() || !password.is_empty());
    is_on.then_some(BasicAuth { user, password })
}

/// On as soon as something is said of it; switched off, its files are nobody's.
fn tls(table: &Table, usual: Tls) -> Tls {
    let keys = ["ca_cert", "ca_cert_bytes", "ca_path", "cert", "key", "server_name"];
    let is_set = table
        .table("consul.ssl")
        .is_some_and(|ssl| ssl.has("verify") || keys.into_iter().any(|key| ssl.filled(key).is_some()));
    let is_on = table.bool("consul.ssl.enabled");
    let path = |key: &str| table.filled(key).filter(|_| is_on != Some(false)).map(PathBuf::from);
    Tls {
        enabled: is_on.unwrap_or(is_set || usual.enabled),
        verify: table.bool("consul.ssl.verify").unwrap_or(usual.verify),
        ca_file: path("consul.ssl.ca_cert").or(usual.ca_file),
        ca_path: path("consul.ssl.ca_path").or(usual.ca_path),
        cert_file: path("consul.ssl.cert").or(usual.cert_file),
        key_file: path("consul.ssl.key").or(usual.key_file),
        server_name: table.filled("consul.ssl.server_name").unwrap_or(usual.server_name),
    }
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
