//! Registries of several datacenters, over real links: mixed families, translated addresses, mistaken identities.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use daemon::Shutdown;
use http::{Request, StatusCode};
use http_api::{Serve, body};
use link::{
    Link,
    calls::{self, Member, status},
};
use registry_core::{Registry, Settings, http::datacenter};
use tokio::time::{sleep, timeout};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Server {
    registry: Arc<Registry>,
    link: Link,
}

/// A server that listens at `at` and tells others that it is at `says`.
async fn start(node: &str, datacenter: &str, at: IpAddr, says: &[IpAddr]) -> Server {
    start_with(node, datacenter, at, says, |_| {}).await
}

async fn start_with(
    node: &str,
    datacenter: &str,
    at: IpAddr,
    says: &[IpAddr],
    change: impl FnOnce(&mut Settings),
) -> Server {
    let mut settings = Settings::new(node, format!("{node}-id"));
    settings.datacenter = datacenter.to_owned();
    settings.server = SocketAddr::new(at, 0);
    settings.serf_wan = Some(SocketAddr::new(at, 0));
    settings.wan.addresses = says.to_vec();
    change(&mut settings);
    let registry = Registry::start(settings, Shutdown::default()).await.unwrap();
    let routes = registry_core::http::router(registry.clone(), registry_core::http::Settings::default());
    let routes: Arc<dyn Serve> = datacenter::everywhere(registry.clone(), Arc::new(routes));
    registry.serve(routes);
    let link = Link::new(registry.settings().server);
    Server { registry, link }
}

impl Server {
    async fn call(&self, method: &str, target: &str, meant: &str) -> (StatusCode, String) {
        self.send(method, target, meant, "").await
    }

    async fn send(&self, method: &str, target: &str, meant: &str, text: &str) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(target);
        if !meant.is_empty() {
            request = request.header(calls::WAN_TARGET_HEADER, meant);
        }
        let request = request.body(body::full(text.to_owned())).unwrap();
        let (head, mut sent) = self.link.call(request).await.unwrap().into_parts();
        let bytes = body::collect(&mut sent, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn join(&self, other: &Self) -> (StatusCode, String) {
        let at = other.registry.settings().serf_wan.unwrap();
        let at = percent_encoding::utf8_percent_encode(&at.to_string(), percent_encoding::NON_ALPHANUMERIC)
            .to_string();
        self.call("PUT", &format!("{}{at}", calls::WAN_JOIN), "").await
    }

    async fn wait_for_members(&self, names: &[&str]) {
        let alive = async {
            loop {
                let (_, text) = self.call("GET", calls::WAN_MEMBERS, "").await;
                let members: Vec<Member> = serde_json::from_str(&text).unwrap();
                let alive = members.iter().filter(|member| member.status == status::ALIVE);
                if alive.map(|member| member.name.as_str()).eq(names.iter().copied()) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), alive).await.expect("the servers do not find each other");
    }

    /// Who leads a datacenter, asked through this server.
    async fn leader_of(&self, datacenter: &str) -> (StatusCode, String) {
        let led = async {
            loop {
                let answer = self.call("GET", &format!("/v1/status/leader?dc={datacenter}"), "").await;
                if answer.1 != "\"\"" {
                    return answer;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), led).await.expect("nobody leads")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_both_families_find_each_other() {
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let a = start("a", "east", HERE, &[HERE]).await;
    let b = start("b", "west", six, &[six]).await;
    // The address that it shows is of the family that nobody here listens on; the other one is right.
    let c = start("c", "north", HERE, &["::2".parse().unwrap(), HERE]).await;
    assert_eq!(a.join(&b).await.0, 200);
    assert_eq!(b.join(&c).await, (StatusCode::OK, String::new()));
    for server in [&a, &b, &c] {
        server.wait_for_members(&["a.east", "b.west", "c.north"]).await;
        for datacenter in ["east", "west", "north"] {
            assert_eq!(server.leader_of(datacenter).await.0, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_a_translation_of_addresses_is_reached_where_it_was_found() {
    // Nobody listens where it says that it is.
    let says = IpAddr::V4(Ipv4Addr::new(127, 255, 255, 253));
    let (a, b) = (start("a", "east", HERE, &[HERE]).await, start("b", "west", HERE, &[says]).await);
    assert_eq!(a.join(&b).await, (StatusCode::OK, String::new()));
    a.wait_for_members(&["a.east", "b.west"]).await;
    b.wait_for_members(&["a.east", "b.west"]).await;
    assert_eq!(a.leader_of("west").await.0, 200);
    assert_eq!(b.leader_of("east").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_meant_for_another_server_is_refused() {
    let a = start("a", "east", HERE, &[HERE]).await;
    for target in ["/v1/kv/a", calls::WAN_MEMBERS] {
        let refused = a.call("GET", target, "somebody").await;
        assert_eq!(refused, (StatusCode::CONFLICT, "this is the server a-id, not somebody".to_owned()));
        assert_ne!(a.call("GET", target, "a-id").await.0, 409);
    }
    // A server does not join itself, nor one of its own name.
    assert_eq!(a.join(&a).await, (StatusCode::OK, String::new()));
    let twin = start("a", "east", HERE, &[HERE]).await;
    assert_eq!(a.join(&twin).await.0, 200, "equal ids are one server");
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_entries_are_written_in_the_primary_datacenter_and_read_everywhere() {
    let a = start("a", "east", HERE, &[HERE]).await;
    let secondary = |settings: &mut Settings| settings.primary = Some("east".to_owned());
    let b = start_with("b", "west", HERE, &[HERE], secondary).await;
    let entry =
        |protocol: &str| format!(r#"{{"Kind":"service-defaults","Name":"web","Protocol":"{protocol}"}}"#);
    let put =
        async |at: &Server, protocol: &str| at.send("PUT", "/v1/config?dc=west", "", &entry(protocol)).await;
    const WEB: &str = "/v1/config/service-defaults/web";
    b.leader_of("west").await;
    let (status, why) = put(&b, "http").await;
    assert_eq!((status, why.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "No path to datacenter"));

    assert_eq!(a.join(&b).await.0, 200);
    b.wait_for_members(&["a.east", "b.west"]).await;
    assert_eq!(put(&b, "http").await, (StatusCode::OK, "true".to_owned()));
    assert!(a.call("GET", WEB, "").await.1.contains("http"), "it was written in the primary datacenter");
    let until = async |what: &str, held: &dyn Fn(&(StatusCode, String)) -> bool| {
        let seen = async {
            while !held(&b.call("GET", WEB, "").await) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), seen).await.unwrap_or_else(|_| panic!("not in time: {what}"));
    };
    until("copied", &|(status, _)| *status == 200).await;
    assert_eq!(put(&a, "grpc").await.0, 200);
    until("copied anew", &|(_, text)| text.contains("grpc")).await;
    assert_eq!(a.call("DELETE", WEB, "").await.0, 200);
    until("gone", &|(status, _)| *status == 404).await;
    assert_eq!(put(&b, "tcp").await.0, 200);
    until("copied again", &|(_, text)| text.contains("tcp")).await;

    a.registry.shutdown().request();
    a.registry.ended().await;
    let (status, _) = put(&b, "http").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "without the primary nothing is written");
    assert!(b.call("GET", WEB, "").await.1.contains("tcp"), "the copy is still read");
}
