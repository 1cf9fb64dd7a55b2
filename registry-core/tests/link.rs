//! A registry as agents see it: joins, leases and requests over the link; and as its own agent sees it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use agent::backend::{
    Backend, Found, Lookup, Reach, Unavailable,
    remote::{self, Attachment, Joins, Remote},
};
use daemon::Shutdown;
use http::{Request, StatusCode};
use http_api::{Serve, body};
use link::{
    Link,
    calls::{self, Granted, Lease, Member},
};
use registry_core::{Embedded, Registry, Settings};
use registry_state::{Action, Check, Node, Register, Service};
use registry_wire::prepared::TEMPLATE_BY_ID;

struct Served {
    registry: Arc<Registry>,
    routes: Arc<dyn Serve>,
    link: Link,
}

async fn start() -> Served {
    let mut settings = Settings::new("registry", "11111111-2222-4333-8444-555555555555");
    settings.serf_lan = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let registry = Registry::start(settings, Shutdown::default()).await.unwrap();
    let routes = registry_core::http::router(registry.clone(), registry_core::http::Settings::default());
    let routes: Arc<dyn Serve> = Arc::new(routes);
    registry.serve(routes.clone());
    let link = Link::new(registry.settings().server);
    Served { registry, routes, link }
}

impl Served {
    async fn call(&self, method: &str, target: &str, text: &str) -> (StatusCode, String) {
        let request =
            Request::builder().method(method).uri(target).body(body::full(text.to_owned())).unwrap();
        let (head, mut body) = self.link.call(request).await.unwrap().into_parts();
        let bytes = body::collect(&mut body, 1 << 20).await.unwrap();
        (head.status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn end(self) {
        let Self { registry, routes, link } = self;
        drop((routes, link));
        registry.shutdown().request();
        tokio::time::timeout(Duration::from_secs(10), registry.ended()).await.unwrap();
    }
}

fn lease(node: &str) -> String {
    let lease = Lease {
        version: calls::VERSION,
        node: node.to_owned(),
        id: "aaaaaaaa-2222-4333-8444-555555555555".to_owned(),
        address: "10.0.0.1".to_owned(),
        datacenter: "dc1".to_owned(),
        boot_ms: 7,
        ..Lease::default()
    };
    serde_json::to_string(&lease).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_joins_keeps_its_lease_and_hands_requests_on() {
    let served = start().await;
    let directions = link::join::ask(&link::Tcp, served.registry.settings().serf_lan.unwrap()).await.unwrap();
    assert_eq!(directions.datacenter, "dc1");
    assert_eq!(directions.server, served.registry.settings().server);
    assert_eq!(*directions.cluster, *served.registry.cluster());

    let (status, granted) = served.call("PUT", calls::LEASE, &lease("web1")).await;
    assert_eq!(status, 200, "{granted}");
    let granted: Granted = serde_json::from_str(&granted).unwrap();
    assert_eq!((granted.ttl_ms, granted.servers), (4000, vec![directions.server.to_string()]));
    let (_, health) = served.call("GET", "/v1/health/node/web1", "").await;
    assert!(health.contains("Agent alive and reachable"), "{health}");

    assert_eq!(served.call("PUT", "/v1/kv/a", "1").await, (StatusCode::OK, "true".to_owned()));
    assert_eq!(served.call("GET", "/v1/kv/a?raw", "").await, (StatusCode::OK, "1".to_owned()));
    let (_, owner) = served.call("GET", &format!("{}10.0.0.1", calls::ADDRESS), "").await;
    assert_eq!(owner, r#"{"node":"web1"}"#);

    let (_, members) = served.call("GET", calls::MEMBERS, "").await;
    let members: Vec<Member> = serde_json::from_str(&members).unwrap();
    let shown: Vec<_> =
        members.iter().map(|m| (m.name.as_str(), m.status, m.tags["role"].as_str())).collect();
    assert_eq!(shown, [("registry", calls::status::ALIVE, "consul"), ("web1", calls::status::ALIVE, "node")]);

    let (status, why) = served.call("PUT", calls::LEASE, &lease("registry")).await;
    assert_eq!(status, StatusCode::CONFLICT, "{why}");
    assert_eq!(served.call("PUT", calls::LEASE, "{").await.0, StatusCode::BAD_REQUEST);
    let (status, why) = served.call("PUT", "/internal/force-leave/no%20pe", "").await;
    assert_eq!((status, &*why), (StatusCode::NOT_FOUND, "agent: No node found with name 'no pe'"));

    assert_eq!(served.call("DELETE", calls::LEASE, &lease("web1")).await.0, 200);
    assert_eq!(served.call("GET", "/v1/health/node/web1", "").await, (StatusCode::OK, "[]".to_owned()));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_elsewhere_runs_prepared_queries_as_itself_and_for_its_client() {
    let served = start().await;
    served.registry.leadership().leading().await.unwrap();
    for (number, name) in [(1, "web1"), (2, "web2"), (3, "web3")] {
        let body =
            format!(r#"{{"Node":"{name}","Address":"10.0.0.{number}","Service":{{"Service":"web"}}}}"#);
        assert_eq!(served.call("PUT", "/v1/catalog/register", &body).await.0, 200);
    }
    let create = async |name: &str, near: &str, more: &str| {
        let service = format!(r#"{{"Service":"web","Near":"{near}"}}"#);
        let body = format!(r#"{{"Name":"{name}","Service":{service},"DNS":{{"TTL":"1500ms"}}{more}}}"#);
        served.call("POST", "/v1/query", &body).await
    };
    assert_eq!(create("agent", "_agent", "").await.0, 200);
    assert_eq!(create("ip", "_ip", "").await.0, 200);
    let (_, id) = create("t-", "", r#","Template":{"Type":"name_prefix_match"}"#).await;
    let template = id.split('"').nth(3).unwrap().to_owned();

    let end = Shutdown::default();
    let serf = served.registry.settings().serf_lan.unwrap();
    let (remote, keeping) = Remote::start(
        remote::Settings {
            lease: serde_json::from_str(&lease("web1")).unwrap(),
            joins: Joins {
                targets: vec![serf.to_string()],
                datacenter: "dc1".to_owned(),
                network: link::network(None),
            },
            keys: None,
            retry_interval: Duration::from_secs(1),
            retry_max: 0,
            remember: Duration::from_secs(60),
            hold: Duration::from_secs(7),
        },
        end.clone(),
    );
    remote.attachment().wait_for(|state| *state == Attachment::Attached).await.unwrap();
    let embedded = Embedded::new(served.registry.clone(), served.routes.clone());
    let ask = async |backend: &dyn Backend, name: &str| {
        let client = "10.0.0.3".parse().unwrap();
        backend.lookup(Lookup::Query { name: name.to_owned(), datacenter: None, client }).await.unwrap()
    };
    for _ in 0..10 {
        let Found::Query(Some(ran)) = ask(&*remote, "agent").await else { panic!("there is such a query") };
        assert_eq!((ran.service.as_str(), ran.ttl), ("web", Some(Duration::from_millis(1500))));
        assert_eq!((ran.instances.len(), ran.instances[0].node.node.as_str()), (3, "web1"));
        for backend in [&*remote as &dyn Backend, &embedded] {
            let Found::Query(Some(ran)) = ask(backend, "IP").await else { panic!("there is such a query") };
            assert_eq!(ran.instances[0].node.node, "web3");
        }
    }
    for backend in [&*remote as &dyn Backend, &embedded] {
        assert!(matches!(ask(backend, "nope").await, Found::Query(None)));
        let refused = ask(backend, &template).await;
        assert!(matches!(&refused, Found::Refused(why) if why == TEMPLATE_BY_ID), "{refused:?}");
    }
    end.request();
    keeping.await.unwrap().unwrap();
    drop(embedded);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_agent_gets_equal_pointers_for_equal_answers() {
    let served = start().await;
    served.registry.leadership().leading().await.unwrap();
    let embedded = Embedded::new(served.registry.clone(), served.routes.clone());
    let instances = async |name: &str| {
        let lookup = Lookup::Service { name: name.to_owned(), reach: Reach::Itself, datacenter: None };
        match embedded.lookup(lookup).await.unwrap() {
            Found::Service(found) => found,
            other => panic!("{other:?}"),
        }
    };
    let register = async |node: &str, service: &str| {
        let node = Node { name: node.to_owned(), address: "10.0.0.9".to_owned(), ..Node::default() };
        let service = Some(Service { id: service.into(), name: service.into(), ..Service::default() });
        let checks = vec![Check { check_id: "c".into(), status: "passing".into(), ..Check::default() }];
        let register = Register { node, service, checks, ..Register::default() };
        served.registry.writer().write(Action::Register(Box::new(register))).await.unwrap();
    };
    assert!(instances("web").await.is_empty());
    register("n1", "web").await;
    let first = instances("WEB").await;
    assert_eq!((first.len(), first[0].checks.len()), (1, 1));
    register("n2", "db").await;
    assert!(Arc::ptr_eq(&first, &instances("web").await), "another service changed");
    register("n3", "web").await;
    assert_eq!(instances("web").await.len(), 2);

    let node = embedded.lookup(Lookup::Node { name: "N1".into(), datacenter: None }).await.unwrap();
    assert!(matches!(node, Found::Node(Some(node)) if node.address == "10.0.0.9"));
    let elsewhere = Lookup::Node { name: "n1".into(), datacenter: Some("dc2".into()) };
    assert_eq!(embedded.lookup(elsewhere).await.unwrap_err(), Unavailable::NoPathToDatacenter);
    let request = Request::get(calls::MEMBERS).body(body::empty()).unwrap();
    assert_eq!(embedded.call(request).await.unwrap().status(), StatusCode::OK);
    drop(embedded);
    served.end().await;
}
