//! Scenes in which something breaks.

use std::time::Instant;

use anyhow::Context as _;

use super::{LONG, fleet::Fleet, kill, ms};
use crate::{
    ask::{api, dns, until},
    traffic::Route,
};

/// web1's server is killed: critical, rendered, reloaded; then started again.
pub(crate) fn web_server_dies(fleet: &mut Fleet) -> anyhow::Result<()> {
    let address = fleet.web[0].address.to_string();
    let start = Instant::now();
    kill(&mut fleet.webs[0])?;
    until(LONG, "web1 leaves haproxy.cfg", || Ok((!fleet.haproxy_cfg()?.contains(&address)).then_some(())))?;
    let checks = api(fleet.proxy.address, "/v1/health/checks/web")?;
    let critical = checks.as_array().into_iter().flatten().find(|check| check["Status"] == "critical");
    let critical = critical.context("no critical check")?;
    println!("   gone from the file after {} ms: {}", ms(start), critical["Output"]);
    fleet.judge_traffic()?;
    let start = Instant::now();
    fleet.webs[0] = Some(fleet.stage.start_web(&fleet.web[0], "web1")?);
    until(LONG, "web1 comes back", || Ok(fleet.haproxy_cfg()?.contains(&address).then_some(())))?;
    println!("   back {} ms after it was started", ms(start));
    Ok(())
}

/// The reload command is refused twice; the watcher tries again, and lives.
pub(crate) fn reload_fails_twice(fleet: &mut Fleet) -> anyhow::Result<()> {
    let before = fleet.wait_for_quiet()?;
    std::fs::write(fleet.proxy.folder.join("refuse-reloads"), "2")?;
    fleet.kv_put("service/haproxy/acl/retry/host", "retry.demo")?;
    fleet.kv_put("service/haproxy/deny/retry", "")?;
    until(LONG, "the third try works", || {
        let reloads = fleet.recorded("reloads.log");
        let new = &reloads[before..];
        let refused = new.iter().filter(|line| *line == "refused").count();
        Ok((refused == 2 && new.last().is_some_and(|line| line == "done")).then_some(()))
    })?;
    fleet.all_must_run()?;
    println!("   refused, refused, done; the watcher lives");
    Ok(())
}

/// `kill -9` for the registry, then the same disk again: nobody at the proxy notices.
pub(crate) fn registry_dies(fleet: &mut Fleet) -> anyhow::Result<()> {
    let before = state(fleet)?;
    let file = fleet.haproxy_cfg()?;
    // An agent knows what it was asked for; the proxy's has been asked by HAProxy all along.
    dns(fleet.web[0].address, "web.service.ryo.")?;
    kill(&mut fleet.registry_process)?;
    for place in [&fleet.proxy, &fleet.web[0]] {
        let answer = dns(place.address, "web.service.ryo.")?;
        anyhow::ensure!(
            answer.len() == 2,
            "{}'s DNS gives {answer:?} while the registry is away",
            place.name
        );
    }
    super::pause(std::time::Duration::from_secs(3));
    let answer = dns(fleet.proxy.address, "web.service.ryo.")?;
    anyhow::ensure!(answer.len() == 2, "DNS gives {answer:?} after three seconds without the registry");
    println!("   while it is away, DNS at the agents gives {answer:?}");
    fleet.judge_traffic()?;
    let start = Instant::now();
    fleet.registry_process = Some(fleet.stage.start_registry()?);
    until(LONG, "all keys and registrations are there", || {
        let now = state(fleet)?;
        anyhow::ensure!(now == before, "before: {before:?}\nnow: {now:?}");
        Ok(Some(()))
    })?;
    println!("   all keys and registrations are there {} ms after its start", ms(start));
    until(LONG, "all agents are members again", || {
        let members = api(fleet.registry.address, "/v1/agent/members")?;
        let alive = members.as_array().into_iter().flatten().filter(|member| member["Status"] == 1).count();
        anyhow::ensure!(alive == 4, "members: {members}");
        Ok(Some(()))
    })?;
    // A write that goes all the way proves that agents and watcher are attached again.
    fleet.kv_put("service/haproxy/acl/after/host", "after.demo")?;
    fleet.kv_put("service/haproxy/deny/after", "")?;
    until(LONG, "a new key is rendered", || Ok(fleet.haproxy_cfg()?.contains("after.demo").then_some(())))?;
    println!("   agents and watcher are attached again after {} ms", ms(start));
    anyhow::ensure!(fleet.passing("web")?.len() == 2, "an instance was lost");
    anyhow::ensure!(file.contains("server web1 "), "web1 was not there before");
    Ok(())
}

/// Keys, and who offers what: what a restart must bring back.
fn state(fleet: &Fleet) -> anyhow::Result<(serde_json::Value, Vec<String>, Vec<String>)> {
    let keys = api(fleet.registry.address, "/v1/kv/?recurse")?;
    Ok((keys, fleet.passing("web")?, fleet.passing("shop")?))
}

/// web1 dies without a word; another container of that name starts at another address.
pub(crate) fn container_replaced(fleet: &mut Fleet) -> anyhow::Result<()> {
    let old = fleet.web[0].address;
    let old_id = node_id(fleet)?;
    kill(&mut fleet.agents[0])?;
    kill(&mut fleet.webs[0])?;
    let start = Instant::now();
    fleet.web[0] = fleet.stage.container("web1", 13)?;
    let new = fleet.web[0].address;
    fleet.stage.offer(&fleet.web[0], "web")?;
    fleet.webs[0] = Some(fleet.stage.start_web(&fleet.web[0], "web1")?);
    fleet.agents[0] = Some(fleet.stage.start_agent(&fleet.web[0])?);
    until(LONG, "haproxy.cfg names the new address only", || {
        let file = fleet.haproxy_cfg()?;
        Ok((file.contains(&format!(" {new}:")) && !file.contains(&format!(" {old}:"))).then_some(()))
    })?;
    println!("   the file names {new} instead of {old} after {} ms", ms(start));
    for _ in 0..20 {
        let answer = dns(fleet.proxy.address, "web.service.ryo.")?;
        anyhow::ensure!(!answer.iter().any(|address| *address == old), "a ghost in DNS: {answer:?}");
    }
    anyhow::ensure!(node_id(fleet)? != old_id, "the node kept the old container's id");
    let nodes = api(fleet.registry.address, "/v1/catalog/nodes")?;
    let ghosts = nodes.as_array().into_iter().flatten().filter(|node| node["Address"] == old.to_string());
    anyhow::ensure!(ghosts.count() == 0, "a ghost in the catalog: {nodes}");
    anyhow::ensure!(nodes.as_array().map(Vec::len) == Some(4), "nodes: {nodes}");
    fleet.wait_for_page(Route::Rendered)?;
    println!("   no ghost in DNS or the catalog");
    Ok(())
}

fn node_id(fleet: &Fleet) -> anyhow::Result<String> {
    let node = api(fleet.registry.address, "/v1/catalog/node/web1")?;
    Ok(node["Node"]["ID"].as_str().context("web1 has no id")?.to_owned())
}
