//! A server's node from its command line to its end: registry and agent in one process.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use agent::config::{Flags, load};
use daemon::{Exit, Shutdown};
use registry_core::ServerNode;

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn words(folder: &Path, [http, dns, server, lan, wan]: [u16; 5]) -> Vec<String> {
    let line = format!(
        "-server -bootstrap -node=node1 -node-id=11111111-2222-4333-8444-555555555555 -bind=127.0.0.1 \
         -data-dir={} -http-port={http} -dns-port={dns} -server-port={server} -serf-lan-port={lan} \
         -serf-wan-port={wan}",
        folder.display()
    );
    line.split_whitespace().map(String::from).collect()
}

async fn get(port: u16, path: impl Into<String>) -> String {
    let path = path.into();
    let asked = tokio::task::spawn_blocking(move || {
        let mut tcp = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        answer
    });
    asked.await.unwrap()
}

/// The server's own service once it is there: that follows the election at once, and blocking questions wait for it. What
/// comes before it in the log may end them early.
async fn registered(port: u16) -> String {
    let mut index = 1;
    for _ in 0..20 {
        let path = format!("/v1/health/service/consul?index={index}&wait=10s");
        let health = get(port, path).await;
        if health.contains("serf_protocol_max") {
            return health;
        }
        let told = health.lines().find_map(|line| line.strip_prefix("X-Consul-Index: "));
        index = told.unwrap().trim().parse().unwrap();
    }
    panic!("the server does not register itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_registers_itself_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let ports: [u16; 5] = free_ports();
    for round in 0..2 {
        let config = load(&Flags::parse(words(folder.path(), ports)).unwrap()).unwrap();
        let shutdown = Shutdown::default();
        let node = ServerNode::start(config, shutdown.clone()).await.unwrap();
        let registry = node.registry().clone();
        let running = tokio::spawn(node.run(None));
        let health = registered(ports[0]).await;
        assert!(health.contains("Agent alive and reachable"), "{health}");
        let leader = get(ports[0], "/v1/status/leader").await;
        assert!(leader.contains(&format!("\"127.0.0.1:{}\"", ports[2])), "{leader}");
        let members = get(ports[0], "/v1/agent/members").await;
        assert!(members.contains("\"wan_join_port\""), "round {round}: {members}");
        shutdown.request();
        let exit = tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
        assert_eq!(exit, Exit::Success);
        drop(registry);
    }
}
