//! `dev`: the whole system in one process, to try things.

use std::path::PathBuf;

use agent::config::{self, Flags, Listen};
use clap::Args;
use daemon::{Exit, Shutdown};
use registry_core::ServerNode;
use tokio::task::JoinHandle;

use crate::{
    agent as program,
    client::NoWords,
    output::{failure, line, note},
};

/// Run registry, agent, DNS and watcher in one process, on loopback
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo dev\n  ryo dev -data-dir=/tmp/ryo -http-port=9500\n  \
    ryo dev -template 'page.tmpl:page.html:echo changed'\n\n\
    It ends with Ctrl-C. Without -data-dir nothing is kept.\nExit codes: as ryo agent")]
pub(crate) struct Dev {
    /// Keep the state in this folder instead of in memory
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Where HTTP and DNS are served
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    client: String,
    /// Where other nodes reach the registry
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: String,
    /// The port of HTTP
    #[arg(long, default_value_t = 8500, value_name = "PORT")]
    http_port: u16,
    /// The port of DNS
    #[arg(long, default_value_t = 8600, value_name = "PORT")]
    dns_port: u16,
    /// The port of the registry's own link
    #[arg(long, default_value_t = 8300, value_name = "PORT")]
    server_port: u16,
    /// The port that answers a join
    #[arg(long, default_value_t = 8301, value_name = "PORT")]
    serf_lan_port: u16,
    /// The port that answers another datacenter's join
    #[arg(long, default_value_t = 8302, value_name = "PORT")]
    serf_wan_port: u16,
    /// The node's name
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The log's level
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    /// Render a template whenever its data change: `source:destination:command` (repeatable)
    #[arg(long, value_name = "TEMPLATE")]
    template: Vec<String>,
    #[command(flatten)]
    no_words: NoWords,
}

impl Dev {
    pub(crate) fn run(self) -> Exit {
        if !self.no_words.words().is_empty() {
            return failure(format!("Unexpected extra arguments: [{}]", self.no_words.words().join(" ")));
        }
        let config = match Flags::parse(self.agent_words()).map_err(|e| e.to_string()) {
            Ok(flags) => config::load(&flags).map_err(|e| e.to_string()),
            Err(e) => Err(e),
        };
        let config = match config {
            Ok(config) => config,
            Err(why) => return failure(format!("==> {why}")),
        };
        let watcher = match self.watcher(&config) {
            Ok(watcher) => watcher,
            Err(why) => return failure(format!("==> {why}")),
        };
        let (config, level) = match program::prepare(config) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
        let hint = format!(
            "==> Try: ryo kv put hello world; dig @{} -p {} consul.service.consul",
            self.client, self.dns_port
        );
        let serve = async move {
            let shutdown = Shutdown::default();
            let node = ServerNode::start(config, shutdown.clone()).await?;
            line(hint);
            let watching = watcher.map(|watcher| watch(watcher, shutdown));
            let exit = node.run(Some(level)).await;
            let watched = match watching {
                Some(watching) => watching.await?,
                None => true,
            };
            anyhow::Ok(if watched { exit } else { Exit::Failure })
        };
        program::block_on(true, serve)
    }

    /// The same wishes as flags of `ryo agent`.
    fn agent_words(&self) -> Vec<String> {
        let mut words = vec![
            format!("-client={}", self.client),
            format!("-bind={}", self.bind),
            format!("-http-port={}", self.http_port),
            format!("-dns-port={}", self.dns_port),
            format!("-server-port={}", self.server_port),
            format!("-serf-lan-port={}", self.serf_lan_port),
            format!("-serf-wan-port={}", self.serf_wan_port),
            format!("-log-level={}", self.log_level),
            // Its signals are the way to end it, not an accident of a server's.
            "-hcl=leave_on_terminate = true".into(),
            "-hcl=skip_leave_on_interrupt = false".into(),
        ];
        match &self.data_dir {
            Some(folder) => {
                words.extend(["-server".into(), "-bootstrap-expect=1".into(), "-ui".into()]);
                words.push(format!("-data-dir={}", folder.display()));
            }
            None => words.push("-dev".into()),
        }
        words.extend(self.node.iter().map(|name| format!("-node={name}")));
        words
    }

    fn watcher(&self, config: &config::Config) -> Result<Option<template_watcher::config::Config>, String> {
        if self.template.is_empty() {
            return Ok(None);
        }
        let addresses = config.http_listen.iter().find_map(|listen| match listen {
            Listen::Tcp(address) => Some(super::cluster::reachable(*address)),
            Listen::Unix(_) => None,
        });
        let address = addresses.ok_or("the watcher needs an HTTP address")?;
        let watcher = template_watcher::config::Config::of_templates(&address, &self.template);
        watcher.map(Some).map_err(|e| e.to_string())
    }
}

/// Runs the watcher beside the rest; when it cannot go on, all ends. Gives whether it ended well.
fn watch(config: template_watcher::config::Config, shutdown: Shutdown) -> JoinHandle<bool> {
    tokio::spawn(async move {
        let ended = Box::pin(template_watcher::run(config, shutdown.clone())).await;
        shutdown.request();
        match ended {
            Ok(_) => true,
            Err(e) => {
                note(format!("==> the watcher: {e}"));
                false
            }
        }
    })
}
