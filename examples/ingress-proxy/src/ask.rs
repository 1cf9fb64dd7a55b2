//! Questions to the fleet: over HTTP, over DNS, and waiting for an answer.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    str::FromStr as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};
use serde_json::Value;

/// Asks again and again until there is an answer; fails after `limit` with `what` and the last error.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain program without a runtime; it watches other processes"
)]
pub(crate) fn until<T>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let last = match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() > limit {
            let what = format!("not within {} s: {what}", limit.as_secs());
            return Err(match last {
                Some(error) => error.context(what),
                None => anyhow::anyhow!(what),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// One request on a connection of its own.
pub(crate) fn http(to: SocketAddr, host: &str, path: &str, limit: Duration) -> anyhow::Result<Page> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(limit))
        .max_redirects(0)
        .max_idle_connections(0)
        .build()
        .into();
    let mut answer =
        agent.get(format!("http://{to}{path}")).header("Host", host).header("Connection", "close").call()?;
    Ok(Page { status: answer.status().as_u16(), text: answer.body_mut().read_to_string()? })
}

/// A JSON answer of the registry's or an agent's HTTP API.
pub(crate) fn api(to: IpAddr, path: &str) -> anyhow::Result<Value> {
    let to = SocketAddr::new(to, 8500);
    let page = http(to, &to.to_string(), path, Duration::from_secs(5))?;
    anyhow::ensure!(page.status == 200, "{path} at {to}: {} {}", page.status, page.text);
    serde_json::from_str(&page.text).with_context(|| format!("{path} at {to}: {}", page.text))
}

/// The addresses an agent's DNS gives for a name; empty when there is none.
pub(crate) fn dns(agent: IpAddr, name: &str) -> anyhow::Result<Vec<Ipv4Addr>> {
    let mut question = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_str(name)?, RecordType::A));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(&question.to_vec()?, (agent, 8600))?;
    let mut buffer = [0; 4096];
    let length =
        socket.recv(&mut buffer).with_context(|| format!("no DNS answer from {agent} for {name}"))?;
    let answer = Message::from_vec(&buffer[..length])?;
    Ok(answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .collect())
}
