//! Thousands of agents as servers see them: a link each, a sign of life a second, a service, and now and then a comparison
//! with the catalog.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use http::{Method, Request};
use http_api::body;
use link::{
    Link,
    calls::{self, Lease},
};
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::{measure::Values, process};

/// How often an agent says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// How often it compares what it has with the catalog.
const COMPARES_EVERY_BEATS: u64 = 60;
/// How long all of them take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// What comes back is small.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What to simulate.
pub(crate) struct Agents {
    /// The servers' links; agents take them in turn.
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) number: u32,
    /// For how long they are looked at once all are there.
    pub(crate) time: Duration,
    /// The servers' processes.
    pub(crate) pids: Vec<u32>,
}

impl Agents {
    /// Memory and processor time of the busiest server, and how many calls failed.
    pub(crate) fn run(&self) -> anyhow::Result<Values> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let failed = Arc::new(AtomicU64::new(0));
        for number in 0..self.number {
            let server = self.servers[number as usize % self.servers.len()];
            runtime.spawn(live(number, server, ARRIVAL * number / self.number, failed.clone()));
        }
        runtime.block_on(async { sleep(ARRIVAL + 5 * BEAT).await });
        let failed_before = failed.load(Ordering::Relaxed);
        let before: Vec<_> =
            self.pids.iter().map(|pid| process::processor(*pid)).collect::<Result<_, _>>()?;
        runtime.block_on(async { sleep(self.time).await });
        let (mut busiest, mut largest): (f64, f64) = (0.0, 0.0);
        for (pid, before) in self.pids.iter().zip(before) {
            let used = (process::processor(*pid)? - before).as_secs_f64();
            busiest = busiest.max(used / self.time.as_secs_f64() * 100.0);
            largest = largest.max(process::memory(*pid)? as f64 / 1_048_576.0);
        }
        let failed = (failed.load(Ordering::Relaxed) - failed_before) as f64;
        runtime.shutdown_background();
        Ok(Values::from([("agents_memory", largest), ("agents_cpu", busiest), ("agents_failed", failed)]))
    }
}

async fn live(number: u32, server: SocketAddr, arrives_after: Duration, failed: Arc<AtomicU64>) {
    sleep(arrives_after).await;
    let agent = Agent { node: format!("agent-{number:05}"), number, link: Link::new(server) };
    let mut beats = interval(BEAT);
    for beat in 0_u64.. {
        beats.tick().await;
        let mut went_well = agent.say_alive().await.is_ok();
        if beat == 0 {
            went_well &= agent.register().await.is_ok();
        } else if (beat + u64::from(number)).is_multiple_of(COMPARES_EVERY_BEATS) {
            went_well &= agent.compare().await.is_ok();
        }
        if !went_well {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Agent {
    node: String,
    number: u32,
    link: Link,
}

impl Agent {
    async fn say_alive(&self) -> anyhow::Result<()> {
        let address =
            format!("10.{}.{}.{}", 1 + self.number / 65_536, self.number / 256 % 256, self.number % 256);
        let lease = Lease {
            version: calls::VERSION,
            node: self.node.clone(),
            id: format!("00000000-0000-4000-8000-{:012}", self.number),
            address,
            datacenter: "dc1".to_owned(),
            boot_ms: 1,
            build: "1.21.4".to_owned(),
            ..Lease::default()
        };
        self.call(Method::PUT, calls::LEASE, serde_json::to_string(&lease)?).await
    }

    async fn register(&self) -> anyhow::Result<()> {
        let body = json!({
            "Node": self.node, "SkipNodeUpdate": true,
            "Service": { "ID": "web", "Service": "web", "Port": 80 },
            "Check": { "CheckID": "service:web", "Name": "answers", "ServiceID": "web", "Status": "passing" },
        });
        self.call(Method::PUT, "/v1/catalog/register", body.to_string()).await
    }

    async fn compare(&self) -> anyhow::Result<()> {
        for list in ["catalog/node-services", "health/node"] {
            self.call(Method::GET, &format!("/v1/{list}/{}", self.node), String::new()).await?;
        }
        Ok(())
    }

    async fn call(&self, method: Method, target: &str, text: String) -> anyhow::Result<()> {
        let request = Request::builder().method(method).uri(target).body(body::full(text))?;
        let (head, mut body) = self.link.call(request).await?.into_parts();
        let text = body::collect(&mut body, ANSWER_BYTES_MAX).await.context("the answer broke off")?;
        ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&text));
        Ok(())
    }
}
