//! An upgrade without downtime: each of three servers and two agents is replaced in turn while others write and read.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, http, pause, until},
    process::Process,
    stage::{Node, Stage},
};

/// Together they make 100 writes a second.
const WRITERS: usize = 10;
const BETWEEN_WRITES: Duration = Duration::from_millis(100);

fn nodes(stage: &Stage) -> ([Node; 3], [Node; 2]) {
    let all = [1, 2, 3].map(|host| format!("\"{}\"", stage.address(host))).join(", ");
    let node = |name: &str, host: u8, keys: &str| {
        let address = stage.address(host);
        let addresses =
            format!("bind_addr = \"{address}\"\nclient_addr = \"{address}\"\nretry_join = [{all}]");
        stage.node_with(name, host, &format!("{addresses}\nretry_interval = \"1s\"\n{keys}"))
    };
    let servers =
        [1, 2, 3].map(|host| node(&format!("s{host}"), host, "server = true\nbootstrap_expect = 3"));
    (servers, [11, 12].map(|host| node(&format!("web{host}"), host, "")))
}

/// All servers vote, and one may be lost.
fn wait_until_well(server: &Node) {
    until(LONG, "one server may be lost", || {
        let page = server.try_get("/v1/operator/autopilot/health")?;
        if page.text.contains("\"FailureTolerance\":1,\"Healthy\":true") { Ok(()) } else { Err(page.text) }
    });
}

/// What clients do meanwhile, at the agent that is not being replaced.
struct Load<'a> {
    agents: &'a [Node; 2],
    at: AtomicUsize,
    over: AtomicBool,
    writes: AtomicUsize,
    acknowledged: Mutex<BTreeMap<usize, Instant>>,
    reads: AtomicUsize,
}

impl Load<'_> {
    fn agent(&self) -> &Node {
        &self.agents[self.at.load(SeqCst)]
    }

    fn write(&self) {
        while !self.over.load(SeqCst) {
            let number = self.writes.fetch_add(1, SeqCst);
            let started = Instant::now();
            let page = http(
                self.agent().http(),
                "PUT",
                &format!("/v1/kv/w/{number}"),
                number.to_string().as_bytes(),
            );
            if page.is_ok_and(|page| (page.status, page.text.as_str()) == (200, "true")) {
                self.acknowledged.lock().unwrap().insert(number, Instant::now());
            }
            pause(BETWEEN_WRITES.saturating_sub(started.elapsed()));
        }
    }

    /// Reads the last of what was acknowledged; each read must be answered, and rightly.
    fn read(&self) {
        while !self.over.load(SeqCst) {
            let last = self.acknowledged.lock().unwrap().last_key_value().map(|(number, _)| *number);
            if let Some(number) = last {
                let page = self.agent().get(&format!("/v1/kv/w/{number}?raw"));
                assert_eq!((page.status, page.text), (200, number.to_string()));
                self.reads.fetch_add(1, SeqCst);
            }
            pause(Duration::from_millis(10));
        }
    }
}

/// Ends the load also when the test fails, so that its threads end.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn servers_and_agents_are_replaced_in_turn_and_nobody_notices() {
    let stage = Stage::new();
    let (servers, agents) = nodes(&stage);
    let mut running: Vec<Process> = servers.iter().chain(&agents).map(Node::start).collect();
    wait_until_well(&servers[0]);
    for (agent, process) in agents.iter().zip(&mut running[3..]) {
        agent.wait_for_registry(process);
    }
    let load = Load {
        agents: &agents,
        at: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        writes: AtomicUsize::new(0),
        acknowledged: Mutex::default(),
        reads: AtomicUsize::new(0),
    };
    std::thread::scope(|all| {
        let _ended = Ended(&load.over);
        for _ in 0..WRITERS {
            all.spawn(|| load.write());
        }
        all.spawn(|| load.read());
        for (at, server) in servers.iter().enumerate() {
            pause(Duration::from_secs(1));
            running.remove(at).stop(Signal::SIGTERM);
            running.insert(at, server.start());
            wait_until_well(&servers[(at + 1) % 3]);
        }
        for (at, agent) in agents.iter().enumerate() {
            load.at.store(1 - at, SeqCst);
            // What it was asked is answered.
            pause(Duration::from_secs(1));
            running.remove(3 + at).stop(Signal::SIGTERM);
            running.insert(3 + at, agent.start());
            agent.wait_for_registry(&mut running[3 + at]);
        }
    });
    let acknowledged = load.acknowledged.into_inner().unwrap();
    for number in acknowledged.keys() {
        assert_eq!(servers[0].get(&format!("/v1/kv/w/{number}?raw")).text, number.to_string());
    }
    let times: Vec<Instant> = acknowledged.into_values().collect();
    let longest = times.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    println!("{} writes, {} reads, {longest:?} without a write", times.len(), load.reads.into_inner());
    assert!(times.len() > 200, "too few writes to say anything");
    // 1.5 s is the goal.
    assert!(longest < Duration::from_millis(7500), "{longest:?} without a write");
}
