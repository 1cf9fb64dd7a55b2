//! Both ends over loopback: calls, ends, fail-over.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use daemon::Shutdown;
use http::{Request, Response, StatusCode};
use http_api::{Body, body};
use http_body_util::BodyExt as _;
use link::{Link, LinkError, Servers, join};
use tokio::{net::TcpListener, task::JoinHandle};

async fn server(says: &'static str) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::default());
    let handler = move |_, request: Request<Body>| async move {
        let target = request.uri().path_and_query().unwrap().to_string();
        let wait = request.headers().contains_key("x-wait");
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        if wait {
            std::future::pending::<()>().await;
        }
        Response::new(body::full(format!("{says} {target} {}", String::from_utf8_lossy(&sent))))
    };
    let task = tokio::spawn(link::serve(listener, None, handler, shutdown.clone()));
    (address, shutdown, task)
}

fn get(target: &str) -> Request<Body> {
    Request::get(target).header("connection", "keep-alive").body(body::full("sent")).unwrap()
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_call_arrives_as_it_was_sent() {
    let (address, ..) = server("one").await;
    let link = Link::new(address);
    let answer = link.call(get("/v1/kv/a%2Fb?raw&x=1")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer).await, "one /v1/kv/a%2Fb?raw&x=1 sent");
}

#[tokio::test]
async fn shutdown_ends_waiting_calls_and_says_that_their_fate_is_unknown() {
    let (address, shutdown, task) = server("one").await;
    let link = Link::new(address);
    text(link.call(get("/first")).await.unwrap()).await;
    let mut waits = get("/wait");
    waits.headers_mut().insert("x-wait", "1".parse().unwrap());
    let waiting = tokio::spawn(async move { link.call(waits).await.map(drop) });
    tokio::task::yield_now().await;
    shutdown.request();
    task.await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Ended { .. } | LinkError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_is_away() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (address, ..) = server("two").await;
    let servers = Servers::default();
    assert!(servers.call(get("/x")).await.is_none());
    servers.set(&[away, address]);
    for _ in 0..3 {
        assert_eq!(text(servers.call(get("/x")).await.unwrap().unwrap()).await, "two /x sent");
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let (address, shutdown, task) = server("before").await;
    let link = Link::new(address);
    text(link.call(get("/x")).await.unwrap()).await;
    shutdown.request();
    task.await.unwrap();
    while link.call(get("/x")).await.is_ok() {}
    let listener = TcpListener::bind(address).await.unwrap();
    let handler = |_, _| async { Response::new(body::full("after")) };
    tokio::spawn(link::serve(listener, None, handler, Shutdown::default()));
    let answer = loop {
        match link.call(get("/x")).await {
            Ok(answer) => break answer,
            Err(error) => assert!(!error.may_have_been_sent(), "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(text(answer).await, "after");
}

#[tokio::test]
async fn a_join_is_told_where_to_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let directions = join::Directions {
        datacenter: "dc1".into(),
        server: "127.0.0.1:8300".parse().unwrap(),
        cluster: "c".into(),
        version: link::calls::VERSION,
        id: 7,
        node: "s1".into(),
    };
    let shutdown = Shutdown::default();
    let told = directions.clone();
    let task = tokio::spawn(join::answer(listener, move || Some(told.clone()), shutdown.clone()));
    assert_eq!(join::ask(&link::Tcp, address).await.unwrap(), directions);
    shutdown.request();
    task.await.unwrap();
    join::ask(&link::Tcp, address).await.unwrap_err();
}

#[tokio::test]
async fn an_agent_that_knows_no_registry_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::default();
    let task = tokio::spawn(join::answer(listener, || None, shutdown.clone()));
    let said = join::ask(&link::Tcp, address).await.unwrap_err().to_string();
    assert!(said.ends_with("knows no registry yet"), "{said}");
    shutdown.request();
    task.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_says_nothing_does_not_keep_its_place() {
    let (address, ..) = server("one").await;
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut said = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut said);
    assert_eq!(tokio::time::timeout(std::time::Duration::from_secs(20), end).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_client_has_no_more_links_than_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = |_, _: Request<Body>| async { Response::new(body::full("served")) };
    tokio::spawn(link::serve(listener, Some(2), handler, Shutdown::default()));
    let links = [Link::new(address), Link::new(address), Link::new(address)];
    for link in &links[..2] {
        assert_eq!(text(link.call(get("/")).await.unwrap()).await, "served");
    }
    links[2].call(get("/")).await.map(drop).unwrap_err();
    drop(links);
    // A place is free once the server has seen that a link is gone.
    let later = async {
        while Link::new(address).call(get("/")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), later).await.unwrap();
}
