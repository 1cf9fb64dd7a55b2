//! Several registries in one process, on loopback: they find one another, replicate, and go on without their leader.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod change;
mod fleet;
#[path = "../folder/mod.rs"]
mod folder;
mod keys;
mod promise;

use std::time::{Duration, Instant};

use daemon::Shutdown;
use http::{Method, Request, StatusCode};
use http_api::body;
use link::Link;
use registry_core::Registry;
use tokio::time::{sleep, timeout};

use fleet::{Server, leader, settings, three, until};
use promise::term;

#[tokio::test(flavor = "multi_thread")]
async fn three_begin_a_cluster_replicate_and_go_on_without_their_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path()).await;
    let led = leader(&servers).await;
    let cluster = servers[led].registry.cluster();
    assert!(servers.iter().all(|server| server.registry.cluster() == cluster), "one cluster");
    assert!(servers[led].put("a", "1").await);
    for server in &servers {
        until("replicated", async || server.holds("a").await.as_deref() == Some("1")).await;
        until("all know the leader", async || server.registry.peers().len() == 3).await;
    }

    let ended = servers.remove(led).end().await;
    let start = Instant::now();
    let led = leader(&servers).await;
    assert!(servers[led].put("b", "2").await);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");

    let back = Server::start(ended).await;
    until("caught up", async || back.holds("b").await.as_deref() == Some("2")).await;
    until("knows the leader", async || {
        back.registry.leadership().leader() == servers[led].registry.leadership().leader()
    })
    .await;
    servers.push(back);
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_server_answers_and_a_question_that_waits_survives_its_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path()).await;
    let led = leader(&servers).await;
    let asked = (led + 1) % 3;
    until("knows the leader", async || servers[asked].registry.leadership().knows_leader()).await;
    let put = servers[asked].call(Method::PUT, "/v1/kv/a", "1").await;
    assert_eq!(put, (StatusCode::OK, "true".to_owned()));
    assert_eq!(
        servers[asked].call(Method::GET, "/v1/kv/a?raw", "").await.1,
        "1",
        "the default reads its own writes"
    );
    assert_eq!(servers[asked].call(Method::GET, "/v1/kv/a?raw&consistent", "").await.1, "1");
    until("stale", async || servers[asked].call(Method::GET, "/v1/kv/a?raw&stale", "").await.1 == "1").await;
    for path in ["/v1/connect/ca/roots", "/v1/agent/connect/ca/roots"] {
        let roots = servers[asked].call(Method::GET, path, "").await;
        assert_eq!(roots.0, StatusCode::OK, "{path}: {}", roots.1);
        assert_eq!(roots, servers[led].call(Method::GET, path, "").await);
    }
    let (_, leader_address) = servers[asked].call(Method::GET, "/v1/status/leader", "").await;
    assert_eq!(leader_address, format!("{:?}", servers[led].settings.server.to_string()));
    let (status, session) = servers[asked].call(Method::PUT, "/v1/session/create", r#"{"Node":"s1"}"#).await;
    assert_eq!(status, StatusCode::OK, "{session}");

    let index = servers[led].registry.store().state().index();
    let target = format!("/v1/kv/a?raw&index={index}&wait=60s");
    let link = Link::new(servers[asked].settings.server);
    let waiting = tokio::spawn(async move {
        let request = Request::get(target).body(body::empty()).unwrap();
        let (head, mut sent) = link.call(request).await.unwrap().into_parts();
        (head.status, body::collect(&mut sent, 1 << 20).await.unwrap())
    });
    sleep(Duration::from_millis(300)).await;
    let asked_name = servers[asked].name.clone();
    servers.remove(led).end().await;
    leader(&servers).await;
    assert!(!waiting.is_finished(), "nothing has changed yet");
    let asked = servers.iter().position(|server| server.name == asked_name).unwrap();
    let other = 1 - asked;
    let put = servers[other].call(Method::PUT, "/v1/kv/a", "2").await;
    assert_eq!(put, (StatusCode::OK, "true".to_owned()));
    let (status, value) = timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    assert_eq!((status, &*value), (StatusCode::OK, b"2".as_slice()));
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_again_is_made_once_and_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three(folder.path()).await;
    leader(&servers).await;
    let ask = async |server: &Server, target: &str, id: &str, text: &str| {
        let request = Request::put(target).header("x-ryo-request", id).body(body::full(text.to_owned()));
        let link = Link::new(server.settings.server);
        let (head, mut sent) = link.call(request.unwrap()).await.unwrap().into_parts();
        let bytes = body::collect(&mut sent, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let id = "9a1c7a44-9a0b-4a3c-9d52-6f3f3a4a1a01";
    let first = ask(&servers[0], "/v1/kv/once?cas=0", id, "x").await;
    assert_eq!(first, (StatusCode::OK, "true".to_owned()));
    for server in &servers {
        assert_eq!(ask(server, "/v1/kv/once?cas=0", id, "x").await, first, "it was made already");
    }
    let other = "9a1c7a44-9a0b-4a3c-9d52-6f3f3a4a1a02";
    assert_eq!(ask(&servers[0], "/v1/kv/once?cas=0", other, "x").await.1, "false");
    let id = "9a1c7a44-9a0b-4a3c-9d52-6f3f3a4a1a03";
    let session = ask(&servers[0], "/v1/session/create", id, r#"{"Node":"s1"}"#).await;
    assert_eq!(session.0, StatusCode::OK, "{}", session.1);
    assert_eq!(ask(&servers[1], "/v1/session/create", id, r#"{"Node":"s1"}"#).await, session);
    let (_, sessions) = servers[2].call(Method::GET, "/v1/session/list", "").await;
    assert_eq!(sessions.matches("\"ID\"").count(), 1, "{sessions}");
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_far_behind_gets_a_snapshot_while_writes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Vec::new();
    for number in 1..=3 {
        let join = servers.first().map(Server::join).into_iter().collect();
        let mut settings = settings(folder.path(), number, 3, join);
        settings.snapshot_every = 64;
        servers.push(Server::start(settings).await);
    }
    let led = leader(&servers).await;
    let away = servers.iter().position(|server| !server.leads()).unwrap();
    let ended = servers.remove(away).end().await;
    let led = if away < led { led - 1 } else { led };
    // Larger than a piece of a snapshot, and many more entries than stay in the log.
    let large = "x".repeat(2000);
    for number in 0..600 {
        assert!(servers[led].put(&format!("k{number}"), &large).await);
    }
    let back = Server::start(ended).await;
    let mut number = 600;
    until("caught up", async || {
        number += 1;
        assert!(servers[led].put(&format!("k{number}"), &large).await);
        back.holds(&format!("k{}", number - 1)).await.is_some()
    })
    .await;
    for number in [0, 300, 599] {
        assert_eq!(back.holds(&format!("k{number}")).await, Some(large.clone()));
    }
    let snapshots = std::fs::read_dir(back.folder.join("raft/snapshots")).unwrap();
    assert!(snapshots.count() > 0, "{} has a snapshot", back.name);
    back.end().await;
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_another_cluster_or_server_is_refused_with_both_ids() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(settings(folder.path(), 1, 1, Vec::new())).await;
    let call = async |cluster: &str, target: &str| {
        let request = Request::post("/internal/raft/vote")
            .header("x-ryo-version", link::calls::VERSION)
            .header("x-ryo-cluster", cluster)
            .header("x-ryo-target", target)
            .body(body::full("nothing that can be read"));
        let link = Link::new(server.settings.server);
        let (head, mut sent) = link.call(request.unwrap()).await.unwrap().into_parts();
        let bytes = body::collect(&mut sent, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let ours = server.registry.cluster();
    let (status, why) = call("another", "7").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(why.contains("'another'") && why.contains(&*ours), "{why}");
    let (status, why) = call(&ours, "7").await;
    assert!(status == StatusCode::CONFLICT && why.contains("server '7'"), "{why}");
    let us = why.rsplit('\'').nth(1).unwrap();
    assert_eq!(call(&ours, us).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.call(Method::POST, "/internal/raft/vote", "").await.0, StatusCode::CONFLICT);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_disk_is_an_older_copy_harms_nobody_and_joins_anew_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Vec::new();
    for number in 1..=3 {
        let join = servers.first().map(Server::join).into_iter().collect();
        servers.push(Server::start(settings(folder.path(), number, 3, join)).await);
    }
    let led = leader(&servers).await;
    assert!(servers[led].put("before", "x").await);
    let away = servers.iter().position(|server| !server.leads()).unwrap();
    let ended = servers.remove(away).end().await;
    let led = if away < led { led - 1 } else { led };
    let (data, older) = (ended.data_dir.clone().unwrap(), folder.path().join("older"));
    folder::copy(&data, &older);
    let back = Server::start(ended).await;
    let before = term(&servers[led]).await;
    for number in 0..10 {
        assert!(servers[led].put(&format!("k{number}"), "x").await);
    }
    until("all is there", async || back.holds("k9").await.is_some()).await;
    // The next entry is sent when these are acknowledged.
    assert!(servers[led].put("next", "x").await);
    until("all acknowledged", async || back.holds("next").await.is_some()).await;
    let ended = back.end().await;
    std::fs::remove_dir_all(&data).unwrap();
    folder::copy(&older, &data);
    let forgetful = Server::start(ended).await;
    for number in 10..30 {
        assert!(servers[led].put(&format!("k{number}"), "x").await, "the two others are a majority");
        sleep(Duration::from_millis(50)).await;
    }
    // A leader of another term, on a busy machine, counts on nothing that was acknowledged to the one before.
    if term(&servers[led]).await == before {
        assert!(servers[led].leads(), "the leader lives");
        assert_eq!(forgetful.holds("k29").await, None);
    }
    let ended = forgetful.end().await;
    std::fs::remove_dir_all(data.join("raft")).unwrap();
    let anew = Server::start(ended).await;
    until("caught up", async || anew.holds("k29").await.is_some()).await;
    anew.end().await;
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_three_goes_on_alone_when_a_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path()).await;
    let led = leader(&servers).await;
    assert!(servers[led].put("a", "1").await);
    let last = servers.remove((led + 1) % 3);
    until("replicated", async || last.holds("a").await.is_some()).await;
    let mut lost = Vec::new();
    for server in servers {
        lost.push(server.end().await);
    }
    let before = last.registry.cluster();
    let id = last.settings.node_id.clone();
    let settings = last.end().await;
    let file = settings.data_dir.clone().unwrap().join("raft/peers.json");
    std::fs::write(&file, r#"[{"id":"somebody else","address":""}]"#).unwrap();
    let error = Registry::start(settings.clone(), Shutdown::default()).await.err().unwrap().to_string();
    assert!(error.contains("peers.json") && error.contains(&id), "{error}");
    std::fs::write(&file, format!(r#"[{{"id":"{id}","address":"127.0.0.1:8300"}}]"#)).unwrap();
    let mut alone = vec![Server::start(settings).await];
    leader(&alone).await;
    assert!(!file.exists());
    assert_eq!(alone[0].holds("a").await.as_deref(), Some("1"));
    assert!(alone[0].put("b", "2").await);
    assert_ne!(alone[0].registry.cluster(), before);

    // One that comes back with its old disk is not let in; with an empty one it is.
    let mut old = lost.remove(0);
    old.join = vec![alone[0].join()];
    let refused = Server::start(old).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alone[0].registry.peers().len(), 1);
    let mut empty = refused.end().await;
    empty.data_dir = Some(folder.path().join("empty"));
    alone.push(Server::start(empty).await);
    until("joined", async || alone[1].holds("b").await.is_some()).await;
    for server in alone {
        server.end().await;
    }
}
