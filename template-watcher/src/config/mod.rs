//! Configuration: flags, files, environment, and what they come to.
//!
//! Every source is read into the same tables (`item`) by a schema or a list of flags, the tables are laid over each
//! other – files from left to right, then `CT_LOCAL_CONFIG`, then flags – and [`Config`] is made of the result once.

mod file;
mod flags;
mod item;
mod schema;
mod values;

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use registry_client::{BasicAuth, Retry, Settings, Tls};
use thiserror::Error;

use item::Table;
pub(crate) use values::go_list;
pub use values::{TemplateArgument, Wait};

/// The time in which a sudden emptiness is not believed.
const EMPTY_GRACE: Duration = Duration::from_secs(60);

/// How long a command may run when nothing else is said.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the watcher cannot start; printed as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print this text and end well.
    Print(String),
    /// Print the version and end well.
    Version,
    /// Run.
    Run(Box<Config>),
}

/// Why a command line cannot be followed; the two have different exit codes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvocationError {
    /// The flags are wrong.
    #[error("{0}")]
    Flags(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Everything the watcher needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the registry is and who asks.
    pub registry: Settings,
    /// How failing questions are repeated.
    pub retry: RetryPolicy,
    /// Take answers that may be this old; zero asks the leader.
    pub max_stale: Duration,
    /// How long the registry holds a question.
    pub block_query_wait: Duration,
    /// The templates in the order of their definition.
    pub templates: Vec<TemplateConfig>,
    /// Named actions.
    pub actions: BTreeMap<String, ActionConfig>,
    /// The child to keep.
    pub exec: Option<ExecConfig>,
    /// Variables for commands, the child and `env`: the registry's address and the like.
    pub environment: Vec<(String, String)>,
    /// Stops the program; SIGINT and SIGTERM do so too unless set otherwise.
    pub kill_signal: Option<Signal>,
    /// Reads everything again.
    pub reload_signal: Option<Signal>,
    /// `trace`, `debug`, `info`, `warn` or `err`.
    pub log_level: String,
    /// Where to log instead of standard error; a name with a slash at its end is a folder.
    pub log_file: Option<PathBuf>,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,
    /// Render everything once, then end.
    pub once: bool,
    /// Print instead of writing; run nothing.
    pub dry: bool,
    /// One pass without asking anybody.
    pub parse_only: bool,
    /// End when a key is still absent after `block_query_wait`.
    pub err_on_failed_lookup: bool,
    /// Read templates and configuration again when their files change.
    pub watch_files: bool,
    /// How long a sudden emptiness after a reset of the registry is not believed.
    pub empty_grace: Duration,
    /// Files and folders the configuration came from.
    pub paths: Vec<PathBuf>,
    /// What is worth a warning once the log stands.
    pub warnings: Vec<String>,
}

/// How failing questions are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Whether at all, with `-once`; a daemon always does.
    pub enabled: bool,
    /// How often with `-once`; `None` for ever.
    pub attempts: Option<u32>,
    /// The first pause.
    pub backoff: Duration,
    /// The longest pause; zero for none.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// The policy as the client takes it. A daemon goes on for ever: its last good files stay in place meanwhile.
    pub fn for_mode(self, once: bool) -> Retry {
        let attempts = match (once, self.enabled) {
            (false, _) => None,
            (true, false) => Some(0),
            (true, true) => self.attempts,
        };
        Retry { attempts, backoff: self.backoff, max_backoff: self.max_backoff }
    }
}

/// Where a template's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, read at start and on reload.
    File(PathBuf),
    /// The configuration itself.
    Inline(String),
    /// Neither or both were given; what is to be said when the template is loaded.
    Unclear(&'static str),
}

impl Source {
    /// The name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Inline(_) | Self::Unclear(_) => "(dynamic)".to_owned(),
        }
    }
}

/// One template.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateConfig {
    /// Where its text comes from.
    pub source: Source,
    /// `go` or `jinja`; `None` to tell by the source's name.
    pub syntax: Option<String>,
    /// Where the result goes; needed unless the run is dry.
    pub destination: Option<PathBuf>,
    /// What is done after a change: a command, or one word that may name an action.
    pub command: Vec<String>,
    /// How long the command may run; zero to start it and not wait.
    pub command_timeout: Duration,
    /// The command's environment.
    pub command_env: EnvConfig,
    /// Looks at the new file before it is put in place; `{}` stands for its name.
    pub check: Vec<String>,
    /// How long the check may run.
    pub check_timeout: Duration,
    /// The systemd unit that `reload`, `restart` and `signal` mean.
    pub unit: Option<String>,
    /// The signal that `signal` sends.
    pub signal: Option<Signal>,
    /// An absent key of a map is an error.
    pub error_on_missing_key: bool,
    /// Whether an error of this template ends the program; `None` when not said: then only with `-once`.
    pub error_fatal: Option<bool>,
    /// The file's mode; `None` keeps that of the present file, or 0644.
    pub perms: Option<u32>,
    /// The file's owner, by name or number; `None` keeps it.
    pub user: Option<String>,
    /// The file's group, by name or number; `None` keeps it.
    pub group: Option<String>,
    /// Keep the file before it as `DEST.bak`.
    pub backup: bool,
    /// Make the folders above the destination.
    pub create_dest_dirs: bool,
    /// What begins and ends an action in a Go template.
    pub delimiters: (String, String),
    /// How long to wait for further changes.
    pub wait: Option<Wait>,
    /// Functions that are switched off.
    pub denied_functions: Vec<String>,
    /// `file` must stay below this folder.
    pub sandbox: Option<PathBuf>,
    /// An empty answer is believed at once.
    pub allow_empty: bool,
}

impl TemplateConfig {
    /// The destination in messages; empty when there is none.
    pub fn destination_name(&self) -> String {
        self.destination.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }
}

/// A named action: a command, or something done to a systemd unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionConfig {
    /// The command; empty when a unit is meant.
    pub command: Vec<String>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// The unit.
    pub unit: Option<String>,
    /// What is done to the unit: `reload`, `restart` or `signal`; `signal` when one is given, `reload` otherwise.
    pub verb: Option<String>,
    /// The signal for `signal`.
    pub signal: Option<Signal>,
}

/// Which environment a command or child sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvConfig {
    /// Nothing of this program's own.
    pub pristine: bool,
    /// `NAME=VALUE`, added last.
    pub custom: Vec<String>,
    /// Only names that match one of these; empty for all.
    pub allowlist: Vec<String>,
    /// No names that match one of these.
    pub denylist: Vec<String>,
}

/// A child that is started once everything is rendered, and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// One text for the shell, or words.
    pub command: Vec<String>,
    /// Its environment.
    pub env: EnvConfig,
    /// Tells it of a change; `None` restarts it.
    pub reload_signal: Option<Signal>,
    /// Stops it.
    pub kill_signal: Option<Signal>,
    /// Then it is killed.
    pub kill_timeout: Duration,
    /// At most this long, by chance, before it is told or stopped.
    pub splay: Duration,
}

/// Reads a command line (the words after the program's name) and all files it names.
pub fn invocation(program: &str, words: &[String]) -> Result<Invocation, InvocationError> {
    let flags = flags::parse(words).map_err(InvocationError::Flags)?;
    if flags.help {
        return Ok(Invocation::Print(flags::usage(program)));
    }
    let config = assemble(flags.table, flags.paths, flags.warnings, |name| std::env::var(name).ok())?;
    Ok(if flags.version { Invocation::Version } else { Invocation::Run(Box::new(config)) })
}

impl Config {
    /// The configuration of `-template` arguments alone, for a watcher inside another program.
    ///
    /// Errors when an argument is empty.
    pub fn of_templates(address: &str, arguments: &[String]) -> Result<Self, ConfigError> {
        let mut words = vec!["-consul-addr".to_owned(), address.to_owned()];
        for argument in arguments {
            words.extend(["-template".to_owned(), argument.clone()]);
        }
        match invocation("ryo-watch", &words) {
            Ok(Invocation::Run(config)) => Ok(*config),
            Ok(_) => unreachable!("neither help nor version was asked for"),
            Err(e) => Err(ConfigError(e.to_string())),
        }
    }
}

fn assemble(
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
    let token =
        table.filled("consul.token").or_else(|| filled("CONSUL_TOKEN")).unwrap_or(from_variables.token);
    let token_file = path("consul.token_file")
        .or_else(|| filled("CONSUL_TOKEN_FILE").map(PathBuf::from))
        .or(from_variables.token_file);
    // A token file that was asked for beats a token that merely stands in the environment.
    let token =
        if table.has("consul.token_file") && !table.has("consul.token") { String::new() } else { token };
    Settings {
        address: table.filled("consul.address").unwrap_or(from_variables.address),
        token,
        token_file,
        basic_auth,
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

fn template(entry: &Table, top: &Table) -> TemplateConfig {
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

/// A system error in Go's words: `no such file or directory`.
pub(crate) fn go_io(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_ascii_lowercase(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
