//! Configuration: flags, files, environment, and what they come to.
//!
//! Every source is read into the same tables (`item`) by a schema or a list of flags, the tables are laid over each
//! other – files from left to right, then `CT_LOCAL_CONFIG`, then flags – and [`Config`] is made of the result once.

mod assemble;
mod blocks;
mod file;
mod flags;
mod item;
mod schema;
mod template;
mod values;

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use daemon::logs::{LogFile, Syslog};
use nix::sys::signal::Signal;
use registry_client::{Retry, Settings};
use thiserror::Error;

use crate::query::Query;
use assemble::assemble;
pub use flags::usage;
pub(crate) use values::go_list;
pub use values::{TemplateArgument, Wait};

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
    /// How often each question is asked at the most.
    pub intervals: Intervals,
    /// The templates in the order of their definition.
    pub templates: Vec<TemplateConfig>,
    /// Named actions.
    pub actions: BTreeMap<String, ActionConfig>,
    /// The child to keep.
    pub exec: Option<ExecConfig>,
    /// Further children, in the order of their names.
    pub processes: Vec<ProcessConfig>,
    /// Variables for commands, children and `env`: the registry's address and the like.
    pub environment: Vec<(String, String)>,
    /// Whether a stop by a signal is a success instead of 12.
    pub clean_exit: bool,
    /// Whether commands and children see the token and the password that are used to ask.
    pub export_token: bool,
    /// Stops the program; SIGINT and SIGTERM do so too unless set otherwise.
    pub kill_signal: Option<Signal>,
    /// Reads everything again.
    pub reload_signal: Option<Signal>,
    /// `trace`, `debug`, `info`, `warn` or `err`.
    pub log_level: String,
    /// Where to log besides standard error.
    pub log_file: Option<LogFile>,
    /// What to say of itself to syslog, if anything.
    pub syslog: Option<Syslog>,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,
    /// Render everything once, then end.
    pub once: bool,
    /// Print instead of writing; run nothing.
    pub dry: bool,
    /// With `dry`: print how files would change instead of what they would be.
    pub dry_as_diff: bool,
    /// One pass without asking anybody.
    pub parse_only: bool,
    /// End when a key is still absent after `block_query_wait`.
    pub err_on_failed_lookup: bool,
    /// Read templates and configuration again when their files change.
    pub watch_files: bool,
    /// How answers are shared with other watchers, if at all.
    pub share: Option<ShareConfig>,
    /// How long a sudden emptiness after a reset of the registry is not believed.
    pub empty_grace: Duration,
    /// Where others may ask how the watcher is: `HOST:PORT` or `unix:///PATH`.
    pub status_address: Option<String>,
    /// Warn of a template that has waited for this long; zero never does.
    pub wait_warning: Duration,
    /// Files and folders the configuration came from.
    pub paths: Vec<PathBuf>,
    /// What is worth a warning once the log stands.
    pub warnings: Vec<String>,
}

/// How watchers with the same templates share their answers: the block `deduplicate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    /// Where in the registry, with a slash at its end.
    pub prefix: String,
    /// How long after its last sign of life the one that asks is replaced.
    pub ttl: Duration,
    /// How old what is shared may be.
    pub max_stale: Duration,
    /// How long the registry holds the question for what is shared.
    pub block_query_wait: Duration,
}

/// The least time between two questions of one watch, so that what changes all the time does not keep the registry and this
/// program busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// For all that have no own; zero for none.
    pub all: Duration,
    /// For single ones, each by its id (`health.service(web|passing)`), by what was asked (`web`), or by their kind
    /// (`catalog.services`), which counts least.
    pub one: Vec<(String, Duration)>,
}

impl Intervals {
    /// What holds for one question.
    pub fn of(&self, query: &Query) -> Duration {
        let id = query.to_string();
        let kind = id.split_once('(').map_or(id.as_str(), |(kind, _)| kind);
        let own = self.one.iter().find(|(name, _)| query.is_called(name));
        let own = own.or_else(|| self.one.iter().find(|(name, _)| name == kind));
        own.map_or(self.all, |(_, interval)| *interval)
    }
}

/// How failing questions are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Whether at all.
    pub enabled: bool,
    /// How often; `None` for ever.
    pub attempts: Option<u32>,
    /// Whether somebody asked for a limit; then it holds for a daemon too, and ends it.
    pub is_limited: bool,
    /// The first pause.
    pub backoff: Duration,
    /// The longest pause; zero for none.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// The policy as the client takes it. A daemon for which nobody set a limit goes on for ever: its last good files stay
    /// in place meanwhile.
    pub fn for_mode(self, once: bool) -> Retry {
        let attempts = match (once || self.is_limited, self.enabled) {
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
    /// The file's mode; `None` keeps that of the present file, or 0644, or 0600 for a secret one.
    pub perms: Option<u32>,
    /// Whether its text is for its owner alone; `None` when not said: then a text with a private key is.
    pub secret: Option<bool>,
    /// The file's owner, by name or number; `None` keeps it.
    pub user: Option<String>,
    /// The file's group, by name or number; `None` keeps it.
    pub group: Option<String>,
    /// How many files before it are kept: `DEST.bak`, `DEST.bak.2` and so on.
    pub backups: u32,
    /// Where the destination is a link, the file it leads to changes; otherwise a file takes the link's place.
    pub follows_links: bool,
    /// Make the folders above the destination.
    pub create_dest_dirs: bool,
    /// A template whose lines are items, each with a file: `{}` in the destination stands for the item.
    pub for_each: Option<String>,
    /// Remove the files of items that are gone.
    pub prune: bool,
    /// The item this file is made for; set by `for_each` alone.
    pub item: Option<String>,
    /// What begins and ends an action in a Go template.
    pub delimiters: (String, String),
    /// How long to wait for further changes.
    pub wait: Option<Wait>,
    /// Functions that may be called, names with `*` and `?`; empty for all.
    pub allowed_functions: Vec<String>,
    /// Functions that are switched off.
    pub denied_functions: Vec<String>,
    /// `file` must stay below this folder.
    pub sandbox: Option<PathBuf>,
    /// Whether `writeToFile` and `plugin` must stay below it too.
    pub sandbox_is_strict: bool,
    /// An empty answer is believed at once.
    pub allow_empty: bool,
    /// Its command runs at the start even when the file is as it should be.
    pub run_on_start: bool,
    /// After a command that failed, the bytes before return and the command runs again.
    pub rollback: bool,
    /// Where a refused text is kept; `None` when it is not.
    pub rejected: Option<PathBuf>,
    /// What its data must be like before the file changes.
    pub expect: ExpectConfig,
    /// After this time a text that is not as expected is written all the same; `None` for never.
    pub guard_for: Option<Duration>,
}

/// What a template's data must be like before its file changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectConfig {
    /// For the text, and for each of its questions.
    pub all: Limits,
    /// For single questions, each by its id (`health.service(web|passing)`) or by what was asked (`web`).
    pub one: Vec<(String, Limits)>,
}

impl ExpectConfig {
    /// Whether anything is expected at all.
    pub fn is_any(&self) -> bool {
        self.all != Limits::default() || !self.one.is_empty()
    }

    /// What holds for one question: its own limits where it has any, those of the template otherwise.
    pub fn of(&self, query: &Query) -> Limits {
        let own = self.one.iter().find(|(name, _)| query.is_called(name));
        own.map_or_else(|| self.all.clone(), |(_, limits)| limits.clone())
    }
}

/// Limits for what a list may look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// It has an entry at least; a text has something but blanks.
    pub not_empty: bool,
    /// A service has so many instances at least.
    pub min_instances: Option<usize>,
    /// It loses at most this many percent of its entries at once.
    pub max_shrink: Option<u32>,
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
    /// When it runs.
    pub pace: Pace,
}

/// When an action runs once something asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Only when the files of all templates that name it stand as they should.
    pub all_members: bool,
    /// This long after the first change, so that others join it.
    pub coalesce: Duration,
    /// At the soonest this long after its last run ended.
    pub min_interval: Duration,
    /// Up to this long later, by chance.
    pub splay: Duration,
    /// While nobody else on this machine holds this file locked.
    pub lock_file: Option<PathBuf>,
    /// While nobody else in the fleet holds this key of the registry locked.
    pub lock_key: Option<String>,
    /// How long it waits for each lock before it counts as failed.
    pub lock_timeout: Duration,
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
    /// Tells it of a change: without one it is restarted, with `SIGNULL` it is not told.
    pub reload_signal: Option<Option<Signal>>,
    /// Stops it.
    pub kill_signal: Option<Signal>,
    /// Then it is killed.
    pub kill_timeout: Duration,
    /// At most this long, by chance, before it is told or stopped.
    pub splay: Duration,
}

/// A child that is told of changes by the templates that name it, and started again when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Its name, for `command`.
    pub name: String,
    /// What is run, and how it is told and stopped.
    pub exec: ExecConfig,
    /// Whether it is started again; otherwise its end is this program's.
    pub restart: bool,
}

/// Reads a command line (the words after the program's name) and all files it names.
pub fn invocation(program: &str, words: &[String]) -> Result<Invocation, InvocationError> {
    let mut flags = flags::parse(words).map_err(InvocationError::Flags)?;
    if flags.help {
        return Ok(Invocation::Print(flags::usage(program)));
    }
    let variable = |name: &str| std::env::var(name).ok();
    // What is wrong in it counts as a wrong flag, as in consul-template.
    let local = local(&variable("CT_LOCAL_CONFIG").unwrap_or_default(), &mut flags.warnings)
        .map_err(InvocationError::Flags)?;
    let config = assemble(local, flags.table, flags.paths, flags.warnings, variable)?;
    Ok(if flags.version { Invocation::Version } else { Invocation::Run(Box::new(config)) })
}

/// The settings of `CT_LOCAL_CONFIG`.
fn local(text: &str, warnings: &mut Vec<String>) -> Result<item::Table, String> {
    file::parse("CT_LOCAL_CONFIG", text.as_bytes(), warnings)
}

/// Checks one configuration file by itself. The error and the warnings begin with their place.
pub(crate) fn check_file(name: &str, text: &[u8], warnings: &mut Vec<String>) -> Result<(), String> {
    file::parse(name, text, warnings).map(drop)
}

/// A template file with nothing said about it.
pub(crate) fn template_of_file(path: PathBuf) -> TemplateConfig {
    let nothing = item::Table::default();
    let usual =
        template::template(&nothing, &nothing).expect("an empty block has no number that means nothing");
    TemplateConfig { source: Source::File(path), ..usual }
}

impl Config {
    /// The variables that commands and children get.
    pub fn injected(&self) -> Vec<(String, String)> {
        let is_secret = |name: &str| name.starts_with("CONSUL_HTTP_TOKEN") || name == "CONSUL_HTTP_AUTH";
        let all = self.environment.iter().filter(|(name, _)| self.export_token || !is_secret(name));
        all.cloned().collect()
    }

    /// The configuration of a text in HCL or JSON alone, as `CT_LOCAL_CONFIG` has it.
    ///
    /// Errors with the place of what is wrong.
    pub fn of_text(text: &str) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let local = local(text, &mut warnings).map_err(ConfigError)?;
        assemble(local, item::Table::default(), Vec::new(), warnings, |_| None)
    }

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

/// A system error in Go's words: `no such file or directory`.
pub(crate) fn go_io(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_ascii_lowercase(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
