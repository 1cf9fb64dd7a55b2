//! `ryo agent`: reads the configuration and runs what it asks for, an agent or the registry with its own agent.

use std::time::Duration;

use ::agent::config::{self, Config, FlagError, Flags};
use anyhow::Context as _;
use daemon::{
    Exit, Shutdown,
    logs::{self, LogLevel, Sink, Style},
};

use crate::output::{failure, line};

/// How long the parts may take to end once the agent has.
const END_MAX: Duration = Duration::from_secs(15);

/// Runs the program with the words after its name, until it is told to end.
pub(crate) fn run(words: Vec<String>) -> Exit {
    let flags = match Flags::parse(words) {
        Ok(flags) => flags,
        Err(FlagError::Help) => {
            line(Flags::help().trim_end());
            return Exit::Success;
        }
        Err(e @ FlagError::Extra(_)) => return failure(format!("==> {e}")),
        Err(e) => return failure(format!("{e}\n\n{}", Flags::help().trim_end())),
    };
    match config::load(&flags) {
        Ok(config) => run_config(config),
        Err(e) => failure(format!("==> {e}")),
    }
}

/// Runs what a checked configuration asks for.
pub(crate) fn run_config(mut config: Config) -> Exit {
    let level = match start_log(&config) {
        Ok(level) => level,
        Err(why) => return failure(format!("==> {why}")),
    };
    // The registry and the agent on its node must agree on it, also where nothing is kept on disk.
    config.node_id = match ::agent::node_id(&config) {
        Ok(id) => Some(id),
        Err(e) => return failure(format!("==> {e}")),
    };
    line(::agent::banner(&config, config.node_id.as_deref().unwrap_or_default()));
    match start_and_run(config, level) {
        Ok(exit) => exit,
        Err(e) => {
            tracing::error!(target: "agent", error = format!("{e:#}"), "Error starting agent");
            failure(format!("==> {e:#}"))
        }
    }
}

/// A registry gets a thread for each processor; an agent gets one, which saves memory.
fn start_and_run(config: Config, level: LogLevel) -> anyhow::Result<Exit> {
    let mut builder = if config.server {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build().context("cannot start")?;
    let exit = runtime.block_on(async {
        let shutdown = Shutdown::default();
        anyhow::Ok(if config.server {
            registry_core::ServerNode::start(config, shutdown).await?.run(Some(level)).await
        } else {
            ::agent::start_client(config, shutdown).await?.run(Some(level)).await
        })
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
    let sink = config.log.file.clone().map_or(Sink::Stdout, Sink::File);
    logs::init(style, sink, level).map_err(|e| format!("{e:#}"))
}
