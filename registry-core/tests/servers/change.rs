//! Servers come and go while the cluster goes on.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use http::{Method, StatusCode};
use registry_core::Settings;
use registry_state::Autopilot;

use crate::fleet::{Server, leader, settings, three, until};

/// Who may vote, as any server shows it.
pub(crate) async fn voters(server: &Server) -> usize {
    let (_, shown) = server.call(Method::GET, "/v1/operator/raft/configuration?stale", "").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
    let servers = shown["Servers"].as_array().cloned().unwrap_or_default();
    servers.iter().filter(|server| server["Voter"] == true).count()
}

/// Settings of a server whose cluster gives votes as soon as somebody is well.
pub(crate) fn quick(folder: &Path, number: usize, expect: usize, join: Vec<String>) -> Settings {
    let mut settings = settings(folder, number, expect, join);
    settings.autopilot = Some(Autopilot { server_stabilization_ns: 0, ..Autopilot::default() });
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn three_become_five_and_three_again_while_writes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = vec![Server::start(quick(folder.path(), 1, 3, Vec::new())).await];
    let join = vec![servers[0].join()];
    for number in 2..=3 {
        servers.push(Server::start(quick(folder.path(), number, 3, join.clone())).await);
    }
    let led = leader(&servers).await;
    assert!(servers[led].put("three", "1").await);
    for number in 4..=5 {
        servers.push(Server::start(quick(folder.path(), number, 0, join.clone())).await);
        until("it votes", async || voters(&servers[0]).await == number).await;
        let led = leader(&servers).await;
        assert!(servers[led].put(&number.to_string(), "1").await);
    }
    for server in &servers {
        until("caught up", async || server.holds("5").await.is_some()).await;
    }

    for left in (3..5).rev() {
        let led = leader(&servers).await;
        let goes = servers.iter().rposition(|server| !server.leads()).unwrap();
        let path = format!("/v1/operator/raft/peer?id={}", servers[goes].settings.node_id);
        let removed = servers[led].call(Method::DELETE, &path, "").await;
        assert_eq!(removed.0, StatusCode::OK, "{}", removed.1);
        servers.remove(goes).end().await;
        until("fewer vote", async || voters(&servers[0]).await == left).await;
        let led = leader(&servers).await;
        assert!(servers[led].put(&format!("{left} are left"), "1").await);
    }
    assert_eq!(servers.len(), 3);
    for server in &servers {
        until("has all", async || server.holds("3 are left").await.is_some()).await;
    }
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_that_all_have_new_addresses_find_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three(folder.path()).await;
    let led = leader(&servers).await;
    assert!(servers[led].put("a", "1").await);
    for server in &servers {
        until("replicated", async || server.holds("a").await.is_some()).await;
    }
    let cluster = servers[led].registry.cluster();
    let mut ended = Vec::new();
    for server in servers {
        ended.push(server.end().await);
    }
    // The ports stay, as they do for people: without them in `retry_join` nobody could be found.
    let moved = |number: usize, at: SocketAddr| {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 3, number as u8 + 1)), at.port())
    };
    let lan: Vec<SocketAddr> = ended
        .iter()
        .enumerate()
        .map(|(number, settings)| moved(number, settings.serf_lan.unwrap()))
        .collect();
    let mut servers = Vec::new();
    for (number, mut settings) in ended.into_iter().enumerate() {
        settings.server = moved(number, settings.server);
        settings.serf_lan = Some(lan[number]);
        settings.advertise = settings.server.ip().to_string();
        settings.join = lan.iter().map(ToString::to_string).collect();
        servers.push(Server::start(settings).await);
    }
    let led = leader(&servers).await;
    assert!(servers[led].put("b", "2").await);
    assert_eq!(servers[led].registry.cluster(), cluster);
    for server in &servers {
        until("replicated", async || server.holds("b").await.is_some()).await;
        assert_eq!(server.holds("a").await.as_deref(), Some("1"));
        let knows = async || server.registry.peers().iter().all(|peer| peer.starts_with("127.0.3."));
        until("knows where all are", knows).await;
    }
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn autopilot_is_taken_over_when_a_cluster_begins_and_by_hand_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), 1, 1, Vec::new());
    settings.autopilot = Some(Autopilot { max_trailing_logs: 123, ..Autopilot::default() });
    let server = Server::start(settings).await;
    let shown = async |server: &Server| {
        let (_, text) = server.call(Method::GET, "/v1/operator/autopilot/configuration", "").await;
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        shown["MaxTrailingLogs"].as_u64()
    };
    until("as configured", async || shown(&server).await == Some(123)).await;
    let set =
        server.call(Method::PUT, "/v1/operator/autopilot/configuration", r#"{"MaxTrailingLogs":7}"#).await;
    assert_eq!(set, (StatusCode::OK, "true".to_owned()));
    let again = Server::start(server.end().await).await;
    leader(std::slice::from_ref(&again)).await;
    assert!(again.put("a", "1").await);
    assert_eq!(shown(&again).await, Some(7));
    again.end().await;
}
