//! The running fleet: what starts when, and what all scenes ask of it.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::{LONG, ms};
use crate::{
    ask::{api, http, until},
    process::Process,
    stage::{Container, Stage},
    traffic::{Route, Traffic},
};

/// What is started in every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Registry,
    Agents,
    Watcher,
}

impl Part {
    /// All orders; the first is the usual one.
    pub(crate) const ORDERS: [[Self; 3]; 6] = [
        [Self::Registry, Self::Agents, Self::Watcher],
        [Self::Registry, Self::Watcher, Self::Agents],
        [Self::Agents, Self::Registry, Self::Watcher],
        [Self::Agents, Self::Watcher, Self::Registry],
        [Self::Watcher, Self::Registry, Self::Agents],
        [Self::Watcher, Self::Agents, Self::Registry],
    ];
}

/// The fleet and the traffic through its proxy. Everything ends when it is dropped.
pub(crate) struct Fleet {
    traffic: Option<Traffic>,
    pub(crate) haproxy: Option<Process>,
    pub(crate) watcher: Option<Process>,
    pub(crate) registry_process: Option<Process>,
    pub(crate) agents: Vec<Option<Process>>,
    pub(crate) webs: Vec<Option<Process>>,
    pub(crate) registry: Container,
    pub(crate) proxy: Container,
    pub(crate) web: [Container; 2],
    pub(crate) stage: Stage,
}

impl Fleet {
    /// Starts everything in `order` and returns once both routes answer.
    pub(crate) fn start(stage: Stage, order: &[Part; 3]) -> anyhow::Result<Self> {
        let start = Instant::now();
        let web = [stage.container("web1", 11)?, stage.container("web2", 12)?];
        let (registry, proxy) = (stage.registry()?, stage.proxy()?);
        let (traffic, haproxy, watcher) = (None, None, None);
        let (registry_process, agents, webs) = (None, Vec::new(), Vec::new());
        let mut fleet =
            Self { traffic, haproxy, watcher, registry_process, agents, webs, registry, proxy, web, stage };
        fleet.stage.furnish_proxy()?;
        for place in &fleet.web {
            fleet.stage.offer(place, "web")?;
            fleet.webs.push(Some(fleet.stage.start_web(place, place.name)?));
        }
        for part in order {
            fleet.start_part(*part)?;
        }
        fleet.write_first_keys()?;
        let file = fleet.proxy.folder.join("haproxy.cfg");
        until(LONG, "the watcher renders haproxy.cfg", || {
            fleet.all_must_run()?;
            Ok(file.exists().then_some(()))
        })?;
        fleet.haproxy = Some(fleet.stage.start_haproxy()?);
        let page = fleet.wait_for_page(Route::Rendered)?;
        fleet.wait_for_page(Route::ByName)?;
        let names: Vec<_> = order.iter().map(|part| format!("{part:?}").to_lowercase()).collect();
        println!("   {}: first page, from {page}, after {} ms", names.join(", "), ms(start));
        Ok(fleet)
    }

    fn start_part(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Registry => self.registry_process = Some(self.stage.start_registry()?),
            Part::Watcher => self.watcher = Some(self.stage.start_watcher()?),
            Part::Agents => {
                for place in [&self.web[0], &self.web[1], &self.proxy] {
                    self.agents.push(Some(self.stage.start_agent(place)?));
                }
            }
        }
        // Long enough for a program that cannot bear the others' absence to fail.
        super::pause(Duration::from_millis(300));
        self.all_must_run()
    }

    /// The routes every scene uses, written as soon as the registry takes them.
    fn write_first_keys(&self) -> anyhow::Result<()> {
        for (key, value) in [
            ("service/haproxy/backends/rendered/web", ""),
            ("service/haproxy/backends/no-ssl/web", ""),
            ("service/haproxy/acl/www/host", "www.demo"),
            ("service/haproxy/use-backend/www", "web-rendered"),
            ("service/haproxy/acl/srv/host", "srv.demo"),
            ("service/haproxy/use-backend/srv", "web"),
        ] {
            until(LONG, "the registry takes a key", || self.kv_put(key, value).map(Some))?;
        }
        Ok(())
    }

    /// Fails when a program that must not end has ended.
    pub(crate) fn all_must_run(&mut self) -> anyhow::Result<()> {
        let single = [&mut self.haproxy, &mut self.watcher, &mut self.registry_process];
        for process in single.into_iter().chain(&mut self.agents).flatten() {
            process.must_run()?;
        }
        Ok(())
    }

    /// `ryo kv put` at the proxy's agent.
    pub(crate) fn kv_put(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.stage.ryo(&self.proxy, &["kv", "put", key, value]).map(drop)
    }

    /// Waits until the route answers with a page; who it is from.
    pub(crate) fn wait_for_page(&mut self, route: Route) -> anyhow::Result<String> {
        let entrance = self.stage.entrance()?;
        until(LONG, &format!("a page for {}", route.host()), || {
            self.all_must_run()?;
            let page = http(entrance, route.host(), "/", LONG)?;
            anyhow::ensure!(page.status == 200, "status {}", page.status);
            Ok(Some(page.text.trim().to_owned()))
        })
    }

    /// The rendered file.
    pub(crate) fn haproxy_cfg(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.proxy.folder.join("haproxy.cfg"))?)
    }

    /// Lines that a stand-in or script has recorded.
    pub(crate) fn recorded(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.proxy.folder.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until no reload has come for a second: what an earlier change set off is over.
    pub(crate) fn wait_for_quiet(&self) -> anyhow::Result<usize> {
        let quiet = Duration::from_secs(1);
        let (mut count, mut since) = (self.recorded("reloads.log").len(), Instant::now());
        until(LONG, "no reload for a second", || {
            let now = self.recorded("reloads.log").len();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            Ok((since.elapsed() > quiet).then_some(now))
        })
    }

    /// The watcher's log so far.
    pub(crate) fn watcher_log(&self) -> String {
        self.watcher.as_ref().map(Process::log).unwrap_or_default()
    }

    /// The addresses of a service's passing instances, as the proxy's agent tells them, sorted.
    pub(crate) fn passing(&self, service: &str) -> anyhow::Result<Vec<String>> {
        let instances = api(self.proxy.address, &format!("/v1/health/service/{service}?passing"))?;
        let instances = instances.as_array().context("health/service is no list")?;
        let address = |instance: &serde_json::Value| {
            instance["Node"]["Address"].as_str().unwrap_or_default().to_owned()
        };
        let mut addresses: Vec<_> = instances.iter().map(address).collect();
        addresses.sort();
        Ok(addresses)
    }

    /// Starts the steady stream.
    pub(crate) fn start_traffic(&mut self) -> anyhow::Result<()> {
        self.traffic = Some(Traffic::start(self.stage.entrance()?));
        Ok(())
    }

    /// What the stream saw since the last look; fails when a request failed that must not.
    pub(crate) fn judge_traffic(&self) -> anyhow::Result<()> {
        let seen = self.traffic.as_ref().context("no traffic")?.take();
        println!(
            "   meanwhile {} requests answered, {} failed on the rendered route; by name: {} times 503 after a reload",
            seen.answered,
            seen.rendered_failed.len(),
            seen.by_name_503
        );
        anyhow::ensure!(seen.rendered_failed.is_empty(), "rendered route: {:?}", seen.rendered_failed);
        anyhow::ensure!(seen.by_name_failed.is_empty(), "route by name: {:?}", seen.by_name_failed);
        anyhow::ensure!(seen.answered > 0, "nothing answered");
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.traffic = None;
        // HAProxy's workers outlive a killed master; asked to end, it takes them with it.
        if let Some(haproxy) = self.haproxy.take() {
            let _ = haproxy.stop(Signal::SIGTERM);
        }
    }
}
