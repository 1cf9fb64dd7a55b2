//! Scenes in which somebody changes the registry's data.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{LONG, fleet::Fleet, ms};
use crate::ask::{http, until};

/// A second service appears on web2; its route is made once by the command and once by curl.
pub(crate) fn new_route(fleet: &mut Fleet) -> anyhow::Result<()> {
    fleet.stage.offer(&fleet.web[1], "shop")?;
    fleet.agents[1].as_ref().expect("web2's agent runs").signal(Signal::SIGHUP)?;
    until(
        LONG,
        "shop is registered after SIGHUP",
        || Ok((!fleet.passing("shop")?.is_empty()).then_some(())),
    )?;
    let by_command = route_answers(fleet, "shop", |fleet, key, value| fleet.kv_put(key, value))?;
    let by_curl =
        route_answers(fleet, "store", |fleet, key, value| fleet.stage.curl_put(&fleet.proxy, key, value))?;
    println!("   the new route answers {by_command} ms after `ryo kv put`, {by_curl} ms after curl");
    anyhow::ensure!(by_command.min(by_curl) < 1000, "neither route answered within a second");
    Ok(())
}

fn route_answers(
    fleet: &Fleet,
    name: &str,
    put: impl Fn(&Fleet, &str, &str) -> anyhow::Result<()>,
) -> anyhow::Result<u128> {
    let host = format!("{name}.demo");
    let (acl, route) =
        (format!("service/haproxy/acl/{name}/host"), format!("service/haproxy/use-backend/{name}"));
    put(fleet, "service/haproxy/backends/rendered/shop", "")?;
    put(fleet, &acl, &host)?;
    put(fleet, &route, "shop-rendered")?;
    let start = Instant::now();
    let entrance = fleet.stage.entrance()?;
    until(Duration::from_secs(5), &format!("a page for {host}"), || {
        let page = http(entrance, &host, "/", LONG)?;
        Ok((page.status == 200).then_some(()))
    })?;
    Ok(ms(start))
}

/// A route to a backend that is not there: `haproxy -c` refuses the candidate.
pub(crate) fn invalid_value(fleet: &mut Fleet) -> anyhow::Result<()> {
    let reloads = fleet.wait_for_quiet()?;
    let before = fleet.haproxy_cfg()?;
    let said = fleet.watcher_log().len();
    fleet.kv_put("service/haproxy/use-backend/shop", "no-such-backend")?;
    let reason = until(LONG, "the watcher says why it refuses", || {
        let log = fleet.watcher_log();
        Ok(log[said..].lines().find(|line| line.contains("no-such-backend")).map(str::to_owned))
    })?;
    println!("   refused: {}", reason.trim());
    anyhow::ensure!(fleet.haproxy_cfg()? == before, "the refused candidate replaced the file");
    anyhow::ensure!(fleet.recorded("reloads.log").len() == reloads, "HAProxy was reloaded");
    fleet.all_must_run()?;
    fleet.kv_put("service/haproxy/use-backend/shop", "web-rendered")?;
    until(LONG, "the next good value applies", || Ok((fleet.haproxy_cfg()? != before).then_some(())))?;
    println!("   the next good value applied");
    Ok(())
}

/// A domain under `service/certbot`: the script is rendered, runs once, and its deploy hook after it.
pub(crate) fn new_domain(fleet: &mut Fleet) -> anyhow::Result<()> {
    let runs = fleet.recorded("certbot-initialise.log").len();
    fleet.kv_put("service/certbot/www.example.org", "admin@example.org")?;
    until(
        LONG,
        "the deploy hook runs",
        || Ok((!fleet.recorded("cert-deploy.log").is_empty()).then_some(())),
    )?;
    // A key of another branch goes the same way through the watcher: when it is rendered, a second run would have been seen.
    fleet.kv_put("service/haproxy/acl/later/host", "later.demo")?;
    fleet.kv_put("service/haproxy/deny/later", "")?;
    until(LONG, "a later key is rendered", || Ok(fleet.haproxy_cfg()?.contains("later.demo").then_some(())))?;
    let calls = fleet.recorded("certbot.log");
    anyhow::ensure!(calls.len() == 1, "certbot was called {} times: {calls:?}", calls.len());
    anyhow::ensure!(
        calls[0].contains("--email admin@example.org") && calls[0].contains("--domain www.example.org"),
        "certbot was called with {}",
        calls[0]
    );
    let new_runs = fleet.recorded("certbot-initialise.log").len() - runs;
    anyhow::ensure!(new_runs == 1, "two templates name the script; it ran {new_runs} times");
    anyhow::ensure!(fleet.recorded("cert-deploy.log") == ["www.example.org"], "the deploy hook ran twice");
    println!("   certbot {}", calls[0]);
    println!("   then the deploy hook, once");
    Ok(())
}

/// The Jinja twin of the template gives the same bytes.
pub(crate) fn jinja_renders_the_same(fleet: &mut Fleet) -> anyhow::Result<()> {
    let folder = fleet.proxy.folder.clone();
    let arguments = format!("{0}/haproxy.cfg.j2:{0}/from-jinja.cfg", folder.display());
    let address = format!("-consul-addr={}:8500", fleet.proxy.address);
    fleet.stage.ryo(&fleet.proxy, &["template", "-once", &address, "-template", &arguments])?;
    let jinja = std::fs::read_to_string(folder.join("from-jinja.cfg"))?;
    anyhow::ensure!(
        jinja == fleet.haproxy_cfg()?,
        "they differ:\n{}",
        difference(&folder.join("haproxy.cfg"), &folder.join("from-jinja.cfg"))
    );
    println!("   {} bytes, the same", jinja.len());
    Ok(())
}

fn difference(left: &Path, right: &Path) -> String {
    let output = Command::new("diff").args(["-u"]).args([left, right]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
