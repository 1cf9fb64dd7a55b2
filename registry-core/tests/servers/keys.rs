//! Keys that servers share: who leads has them from whoever knows better.

use link::{Key, Keyring, Keys};
use registry_core::{Pace, Settings};

use crate::{
    change::voters,
    fleet::{Server, leader, settings, until},
};

fn key(byte: u8) -> Key {
    Key::new(&[byte; 32]).unwrap()
}

/// A server that has these keys.
fn with_keys(settings: Settings, version: u64, keys: &[u8]) -> Settings {
    let keys = Keys::new(version, keys.iter().map(|byte| key(*byte)).collect()).unwrap();
    let ring = Keyring::new(keys, None);
    Settings { network: link::network(Some(ring.clone())), keys: Some(ring), ..settings }
}

fn has(server: &Server, version: u64, keys: &[u8]) -> bool {
    let now = server.settings.keys.as_ref().unwrap().now();
    let keys: Vec<Key> = keys.iter().map(|byte| key(*byte)).collect();
    (now.version(), now.all()) == (version, &keys[..])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_away_while_keys_changed_takes_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let one = |number, join| with_keys(settings(folder.path(), number, 3, join), 0, &[1]);
    let first = Server::start(one(1, Vec::new())).await;
    let join = vec![first.join()];
    let mut servers =
        vec![first, Server::start(one(2, join.clone())).await, Server::start(one(3, join)).await];
    let led = leader(&servers).await;
    assert!(servers[led].put("a", "1").await);
    until("three vote", async || voters(&servers[led]).await == 3).await;
    for server in &servers {
        until("replicated", async || server.holds("a").await.is_some()).await;
    }
    let mut ended = Vec::new();
    for server in servers.drain(..) {
        ended.push(server.end().await);
    }

    // The one that knows the new key has no hurry to lead; the third is away.
    let mut knows = with_keys(ended.swap_remove(0), 2, &[2, 1]);
    knows.pace = Pace::times(5);
    let knows_not = with_keys(ended.remove(0), 0, &[1]);
    let servers = [Server::start(knows_not).await, Server::start(knows).await];
    until("it leads", async || servers[0].leads() || servers[1].leads()).await;
    for server in &servers {
        until("both have the new key", async || has(server, 2, &[2, 1])).await;
    }
    let led = leader(&servers).await;
    assert!(servers[led].put("b", "2").await);
    for server in servers {
        server.end().await;
    }
}
