//! What servers promise: how many begin together, when a new one votes, and what an answer tells of itself.

use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use http_api::body;
use link::{Link, calls};
use registry_state::Autopilot;

use crate::{
    change::{quick, voters},
    fleet::{Server, leader, settings, three, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn five_begin_together_and_go_on_without_two() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = vec![Server::start(settings(folder.path(), 1, 5, Vec::new())).await];
    let join = vec![servers[0].join()];
    for number in 2..=5 {
        assert!(servers.iter().all(|server| server.registry.cluster().is_empty()), "too few to begin");
        servers.push(Server::start(settings(folder.path(), number, 5, join.clone())).await);
    }
    let led = leader(&servers).await;
    assert!(servers[led].put("five", "1").await);
    until("five vote", async || voters(&servers[led]).await == 5).await;
    let cluster = servers[led].registry.cluster();
    until("one cluster", async || servers.iter().all(|server| server.registry.cluster() == cluster)).await;
    servers.remove(led).end().await;
    let second = leader(&servers).await;
    servers.remove(second).end().await;
    let third = leader(&servers).await;
    assert!(servers[third].put("three are left", "1").await);
    for server in &servers {
        until("has all", async || server.holds("three are left").await.is_some()).await;
        assert_eq!(server.holds("five").await.as_deref(), Some("1"));
    }
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_votes_once_it_was_well_for_the_time_that_is_set() {
    const WAIT: Duration = Duration::from_secs(2);
    let folder = tempfile::tempdir().unwrap();
    let mut first = quick(folder.path(), 1, 1, Vec::new());
    let wait_ns = i64::try_from(WAIT.as_nanos()).unwrap();
    first.autopilot = Some(Autopilot { server_stabilization_ns: wait_ns, ..Autopilot::default() });
    let first = Server::start(first).await;
    leader(std::slice::from_ref(&first)).await;
    assert!(first.put("a", "1").await);
    let began = Instant::now();
    let second = Server::start(settings(folder.path(), 2, 0, vec![first.join()])).await;
    until("it has the data", async || second.holds("a").await.is_some()).await;
    until("it votes", async || voters(&first).await == 2).await;
    assert!(began.elapsed() >= WAIT, "{:?}", began.elapsed());
    second.end().await;
    first.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_starts_again_is_elected_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(settings(folder.path(), 1, 1, Vec::new())).await;
    leader(std::slice::from_ref(&server)).await;
    assert!(server.put("a", "1").await);
    let before = term(&server).await;
    let server = Server::start(server.end().await).await;
    leader(std::slice::from_ref(&server)).await;
    // An entry that a crash took from its disk may be on others'; in the same term another one would have its name.
    assert!(term(&server).await > before);
    server.end().await;
}

/// The term that a server knows.
pub(crate) async fn term(server: &Server) -> u64 {
    let (status, text) = server.call(Method::GET, calls::STATS, "").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    stats["raft"]["term"].as_str().unwrap().parse().unwrap()
}

/// What a server's stale answer says of itself: whether there is a leader, and milliseconds since it was heard.
async fn told(server: &Server) -> (bool, u64) {
    let request = Request::get("/v1/kv/a?stale").body(body::empty()).unwrap();
    let answer = Link::new(server.settings.server).call(request).await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    (header("x-consul-knownleader") == "true", header("x-consul-lastcontact").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_answer_tells_how_long_nobody_was_heard() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path()).await;
    let led = leader(&servers).await;
    assert!(servers[led].put("a", "1").await);
    assert_eq!(told(&servers[led]).await, (true, 0), "a leader has heard itself");
    let other = (led + 1) % 3;
    until("replicated", async || servers[other].holds("a").await.is_some()).await;
    until("it has heard of it of late", async || matches!(told(&servers[other]).await, (true, ..1000))).await;
    let last = servers.remove(other);
    for server in servers {
        server.end().await;
    }
    until("it knows no leader", async || !told(&last).await.0).await;
    let (_, before) = told(&last).await;
    until("the time goes on", async || told(&last).await.1 > before + 500).await;
    last.end().await;
}
