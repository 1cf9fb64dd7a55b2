//! `ryo agent`: reads the configuration and runs what it asks for, an agent or the registry with its own agent.

use std::{future::Future, time::Duration};

use ::agent::config::{self, Config, ConfigError, FlagError, Flags};
use daemon::{
    Exit, Shutdown,
    logs::{self, LogLevel, Sink, Style, Syslog},
};

use crate::output::{failure, line, refused};

/// How long the parts may take to end once the agent has.
const END_MAX: Duration = Duration::from_secs(15);
/// How often an address is looked for that a template does not give yet.
const ADDRESS_PAUSE: Duration = Duration::from_secs(1);

/// Runs the program, called by this name, with the words after it, until it is told to end.
pub(crate) fn run(called: &str, words: Vec<String>) -> Exit {
    let flags = match Flags::parse(words) {
        Ok(flags) => flags,
        Err(FlagError::Help) => {
            line(Flags::help().trim_end());
            return Exit::Success;
        }
        Err(e @ FlagError::Extra(_)) => return failure(format!("==> {e}")),
        Err(e) => return failure(format!("{e}\n\n{}", Flags::help().trim_end())),
    };
    match load_when_there(&flags) {
        Ok(config) => run_config(config),
        Err(e) => refused("==> ", &e, called),
    }
}

/// Reads the configuration; while a template gives no address that the agent needs, waits for it, and says so once.
///
/// Signals end the program, for it has not begun anything.
#[expect(clippy::disallowed_methods, reason = "no runtime has been made yet")]
fn load_when_there(flags: &Flags) -> Result<Config, ConfigError> {
    let mut told = String::new();
    loop {
        let loaded = config::load(flags);
        let awaited = match &loaded {
            Ok(config) => config.awaited.as_deref(),
            Err(error) => error.awaited(),
        };
        let Some(awaited) = awaited else { return loaded };
        if told != awaited {
            awaited.clone_into(&mut told);
            line(format!("==> {awaited} yet: waiting for it"));
        }
        std::thread::sleep(ADDRESS_PAUSE);
    }
}

/// Runs what a checked configuration asks for.
fn run_config(config: Config) -> Exit {
    let (config, level) = match prepare(config) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    block_on(config.server, async {
        let shutdown = Shutdown::default();
        Ok(if config.server {
            registry_core::ServerNode::start(config, shutdown).await?.run(Some(level)).await
        } else {
            ::agent::start_client(config, shutdown).await?.run(Some(level)).await
        })
    })
}

/// Starts the log, chooses the node's id and prints the banner. What is wrong has been printed when it errors.
pub(crate) fn prepare(mut config: Config) -> Result<(Config, LogLevel), Exit> {
    let level = start_log(&config).map_err(|why| failure(format!("==> {why}")))?;
    // The registry and the agent on its node must agree on it, also where nothing is kept on disk.
    let id = ::agent::node_id(&config).map_err(|e| failure(format!("==> {e}")))?;
    line(::agent::banner(&config, &id));
    config.node_id = Some(id);
    Ok((config, level))
}

/// Runs a program to its end, and prints why it could not start. A registry gets a thread for each processor; an agent
/// gets one, which saves memory.
pub(crate) fn block_on(is_registry: bool, program: impl Future<Output = anyhow::Result<Exit>>) -> Exit {
    let mut builder = if is_registry {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return failure(format!("==> cannot start: {e}")),
    };
    let exit = runtime.block_on(program).unwrap_or_else(|e| {
        // Each error names its source already.
        tracing::error!(target: "agent", error = %e, "Error starting agent");
        failure(format!("==> {e}"))
    });
    runtime.shutdown_timeout(END_MAX);
    exit
}

fn start_log(config: &Config) -> Result<LogLevel, String> {
    let Some(level) = logs::level(&config.log.level) else {
        let levels = "[TRACE DEBUG INFO WARN ERR ERROR]";
        return Err(format!("Invalid log level: {}. Valid log levels are: {levels}", config.log.level));
    };
    let style = if config.log.json { Style::Json } else { Style::Consul };
    let mut sinks = vec![Sink::Stdout];
    sinks.extend(config.log.file.clone().map(Sink::File));
    sinks.extend(
        config.log.syslog.map(|facility| Sink::Syslog(Syslog { program: "consul".into(), facility })),
    );
    logs::init(style, sinks, level).map_err(|e| format!("{e:#}"))
}
