//! Agents with services of their own: what they take while nothing changes, and with a check for each of many services.

use std::{net::SocketAddr, time::Duration};

use conformance::pause;
use serde_json::{Value, json};

use crate::{
    measure::Values,
    process,
    subject::{Running, Subject},
};

/// First runs are spread over one interval, and every check has to have told its first result.
const SETTLE: Duration = Duration::from_secs(14);
/// Processor time is counted in hundredths of a second: this long makes 0.05 % visible.
const COUNTED: Duration = Duration::from_secs(20);

/// A quiet agent and a busy one, one after the other beside one registry.
pub(crate) fn measure(subject: &Subject) -> anyhow::Result<Values> {
    let registry = Running::registry(&subject.bin)?;
    let mut values = Values::new();
    let agent = Running::agent(&subject.bin, &registry, &quiet(registry.http()))?;
    pause(SETTLE);
    values.insert("agent_memory", process::memory(agent.pid())? as f64 / 1_048_576.0);
    let written = process::written(agent.pid())?;
    values.insert("agent_idle_cpu", share(agent.pid())?);
    values.insert(
        "agent_disk",
        (process::written(agent.pid())? - written) as f64 / 1_024.0 * 60.0 / COUNTED.as_secs_f64(),
    );
    drop(agent);
    let agent = Running::agent(&subject.bin, &registry, &busy(registry.http()))?;
    pause(SETTLE);
    values.insert("agent_busy_cpu", share(agent.pid())?);
    values.insert("agent_busy_memory", process::memory(agent.pid())? as f64 / 1_048_576.0);
    Ok(values)
}

/// Processor time in percent of one processor.
fn share(pid: u32) -> anyhow::Result<f64> {
    let before = process::processor(pid)?;
    pause(COUNTED);
    Ok((process::processor(pid)? - before).as_secs_f64() / COUNTED.as_secs_f64() * 100.0)
}

/// Ten services with two checks each, every ten seconds.
fn quiet(target: SocketAddr) -> Value {
    let checks = [tcp(target, "10s"), http(target, "10s")];
    (0..10).map(|number| json!({ "name": format!("quiet{number}"), "checks": checks })).collect()
}

/// Two hundred services with one check each, every second; half of them over TCP, half over HTTP.
fn busy(target: SocketAddr) -> Value {
    let check = |number| if number % 2 == 0 { tcp(target, "1s") } else { http(target, "1s") };
    (0..200).map(|number| json!({ "name": format!("busy{number}"), "check": check(number) })).collect()
}

fn tcp(target: SocketAddr, interval: &str) -> Value {
    json!({ "tcp": target, "interval": interval })
}

fn http(target: SocketAddr, interval: &str) -> Value {
    json!({ "http": format!("http://{target}/v1/agent/version"), "interval": interval })
}
