//! Taking over changed files while the agent runs.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

use daemon::logs::LogLevel;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{
    Agent, follow_containers,
    start::{dns_settings, https, refuse_watch},
};
use crate::{
    api::Order,
    config::{self, Config, Listen},
    identity::{self, identity},
};

impl Agent {
    /// Reads everything again and takes it over, or keeps the old and says why.
    pub(super) async fn reload(&mut self, level: Option<&LogLevel>) -> Result<(), String> {
        self.supervisor.reloading();
        let reloaded = self.read_again(level).await;
        self.supervisor.reloaded();
        reloaded
    }

    async fn read_again(&mut self, level: Option<&LogLevel>) -> Result<(), String> {
        tracing::info!(target: "agent", "Reloading configuration...");
        let old = self.config.borrow().clone();
        let new = config::load(&old.flags).map_err(|error| {
            let hint = error.hint().unwrap_or_default();
            tracing::error!(target: "agent", hint, "Failed to reload configs, keeping the old: {error}");
            error.to_string()
        })?;
        let wanted = new.log.filter().map_err(|error| keeping_the_old(&error))?;
        refuse_watch(&new).map_err(|error| keeping_the_old(&error))?;
        let dns = dns_settings(&new).await.map_err(|error| keeping_the_old(&error))?;
        let https = https(&new).map_err(|error| keeping_the_old(&error))?;
        self.local.reload(&new).map_err(|error| keeping_the_old(&error))?;
        let new = Arc::new(new);
        for warning in new.warnings.iter().chain(&new.notices) {
            tracing::warn!(target: "agent", "{warning}");
        }
        if let Some(level) = level {
            level.set(wanted);
        }
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity(&new, &self.node_id);
        if let Some(lease) = &self.remote {
            lease.remote.set_meta(identity::meta(&new));
        }
        // Wakes whoever tells the catalog; that may take its time.
        self.syncer.settle(Duration::ZERO).await;
        self.door.set_rules(&new);
        self.secure.set(https);
        telemetry::install().configure(new.telemetry.clone());
        self.dns.send_replace(dns);
        self.watches.set(&new.watches);
        self.join_further(&old, &new);
        if old.container_source != new.container_source {
            if let Some(following) = self.containers.take() {
                following.end().await;
            }
            self.containers = follow_containers(&new, &self.local, &self.syncer);
        }
        for key in needs_restart(&old, &new) {
            tracing::warn!(target: "agent", key, "this setting changed, but only a restart takes it over");
        }
        self.config.send_replace(new);
        Ok(())
    }

    fn join_further(&self, old: &Config, new: &Config) {
        for target in new.retry_join.iter().filter(|target| !old.retry_join.contains(target)) {
            let (done, _) = oneshot::channel();
            self.join(target.clone(), done);
        }
    }

    /// Watches the folders of the configuration; a change is a reload, a second later.
    pub(super) fn watch_files(&self) -> Option<notify::RecommendedWatcher> {
        use notify::Watcher as _;
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // One that waits is enough: a reload reads everything.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        });
        let mut watcher = watcher
            .inspect_err(|error| tracing::warn!(target: "agent", %error, "cannot watch the configuration"))
            .ok()?;
        for source in &self.config.borrow().flags.sources {
            let path = PathBuf::from(source);
            // Editors replace files: only the folder stays the same.
            let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(&path) };
            let folder = if folder.as_os_str().is_empty() { std::path::Path::new(".") } else { folder };
            if let Err(error) = watcher.watch(folder, notify::RecursiveMode::NonRecursive) {
                tracing::warn!(target: "agent", folder = %folder.display(), %error, "cannot watch the configuration");
            }
        }
        let (orders, shutdown) = (self.own_orders.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.requested() => return,
                    changed = changes.recv() => if changed.is_none() { return },
                }
                sleep(Duration::from_secs(1)).await;
                while changes.try_recv().is_ok() {}
                let (done, _) = oneshot::channel();
                if orders.send(Order::Reload(done)).await.is_err() {
                    return;
                }
            }
        });
        Some(watcher)
    }
}

/// Says why a reload took nothing over; the text is for whoever asked for it.
fn keeping_the_old(error: &dyn std::error::Error) -> String {
    tracing::error!(target: "agent", "Failed to reload configs, keeping the old: {error}");
    error.to_string()
}

type Listens<'a> = (&'a [Listen], &'a [Listen], &'a [SocketAddr]);

fn listens(config: &Config) -> Listens<'_> {
    (&config.http_listen, &config.https_listen, &config.dns_listen)
}

/// Settings that changed and that a running agent cannot take over.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("node_name", old.node_name != new.node_name),
        ("datacenter", old.datacenter != new.datacenter),
        ("data_dir", old.data_dir != new.data_dir),
        ("server", old.server != new.server),
        ("ports", old.ports != new.ports),
        ("addresses", listens(old) != listens(new)),
        ("bind_addr", old.bind_addr != new.bind_addr),
        ("serf_lan", old.serf_lan != new.serf_lan),
        ("serf_wan", old.serf_wan != new.serf_wan),
        ("advertise_addr", old.advertise_addr != new.advertise_addr),
        ("disable_remote_exec", old.remote_exec != new.remote_exec),
        ("log_file", old.log.file != new.log.file),
        ("enable_syslog", old.log.syslog != new.log.syslog),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
