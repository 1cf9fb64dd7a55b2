//! The blocking-query loop against a server that answers by a script.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use registry_client::{Client, Event, Request, RequestError, Retry, Settings, Watch, WatchSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Answers each connection's requests with the next line of the script: `STATUS INDEX LASTCONTACT BODY`, or `hang up`.
async fn scripted(script: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut script = script.iter();
        'connections: while let Ok((mut stream, _)) = listener.accept().await {
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => continue 'connections,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                log.lock().unwrap().push(head.clone());
                let Some(line) = script.next().filter(|line| **line != "hang up") else {
                    continue 'connections;
                };
                let mut parts = line.splitn(4, ' ');
                let mut part = || parts.next().unwrap();
                let (status, index, contact, body) = (part(), part(), part(), part());
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nX-Consul-Index: {index}\r\nX-Consul-LastContact: {contact}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (address, seen)
}

fn watch(address: SocketAddr, attempts: Option<u32>) -> Watch {
    watch_at_least(address, attempts, Duration::ZERO)
}

/// The same with some time between two questions.
fn watch_at_least(address: SocketAddr, attempts: Option<u32>, min_interval: Duration) -> Watch {
    let settings = Settings { address: address.to_string(), token: "tok".into(), ..Settings::default() };
    let retry = Retry { attempts, backoff: Duration::from_millis(1), max_backoff: Duration::from_millis(2) };
    let settings_of_watch = WatchSettings { retry, min_interval, ..WatchSettings::default() };
    Watch::new(
        Client::new(settings).unwrap(),
        Request::get("/v1/kv/a").with("recurse", ""),
        settings_of_watch,
    )
}

/// `body` of an answer, with `!` behind it after a reset; `failing` or `gave up` otherwise.
fn told(event: Event) -> String {
    match event {
        Event::Answer { response, after_reset } => {
            String::from_utf8_lossy(&response.body).into_owned() + if after_reset { "!" } else { "" }
        }
        Event::Failing(_) => "failing".into(),
        Event::GaveUp(_) => "gave up".into(),
    }
}

fn first_lines(seen: &Mutex<Vec<String>>) -> Vec<String> {
    let seen = seen.lock().unwrap();
    seen.iter()
        .map(|head| head.lines().next().unwrap().replace("GET /v1/kv/a", "").replace(" HTTP/1.1", ""))
        .collect()
}

#[tokio::test]
async fn only_new_indexes_are_handed_out() {
    let (address, seen) =
        scripted(&["200 5 0 a", "200 5 0 a", "200 7 0 b", "200 3 0 old", "200 3 0 c"]).await;
    let mut watch = watch(address, None);
    assert_eq!(told(watch.next().await), "a");
    assert_eq!(told(watch.next().await), "b");
    assert_eq!(told(watch.next().await), "c!");
    let at = |index: &str| format!("?index={index}&recurse=&stale=&wait=60000ms");
    assert_eq!(
        first_lines(&seen),
        ["?recurse=&stale=".into(), at("5"), at("5"), at("7"), "?recurse=&stale=".into()]
    );
    assert!(seen.lock().unwrap()[0].contains("X-Consul-Token: tok\r\n"));
}

#[tokio::test]
async fn answers_that_come_at_once_are_asked_for_with_the_interval_between() {
    let (address, _) = scripted(&["200 5 0 a", "200 6 0 b", "500 0 0 no", "200 3 0 old", "200 3 0 c"]).await;
    let interval = Duration::from_millis(50);
    let mut watch = watch_at_least(address, None, interval);
    let start = std::time::Instant::now();
    let mut heard = Vec::new();
    while heard.len() < 4 {
        heard.push(told(watch.next().await));
    }
    assert_eq!(heard, ["a", "b", "failing", "c!"]);
    assert!(start.elapsed() >= interval * 4, "a question after a failure or a reset is one too");
}

#[tokio::test]
async fn an_answer_that_is_too_old_is_asked_of_the_leader() {
    let (address, seen) = scripted(&["200 5 9000 old", "200 6 0 new"]).await;
    assert_eq!(told(watch(address, None).next().await), "new");
    assert_eq!(first_lines(&seen), ["?recurse=&stale=", "?recurse="]);
}

#[tokio::test]
async fn an_outage_is_told_once_and_its_end_too() {
    let script = &["200 5 0 a", "500 0 0 no", "hang up", "500 0 0 no", "200 5 0 a", "200 6 0 b"];
    let (address, seen) = scripted(script).await;
    let mut watch = watch(address, None);
    assert_eq!(told(watch.next().await), "a");
    let failing = watch.next().await;
    assert_eq!(failing, Event::Failing(RequestError::Status { status: 500, body: "no".into() }));
    assert_eq!(told(watch.next().await), "a!");
    assert_eq!(told(watch.next().await), "b");
    assert_eq!(first_lines(&seen)[2], "?recurse=&stale=", "after a failure nothing is waited for");
}

#[tokio::test]
async fn attempts_are_counted() {
    let (address, _) = scripted(&["500 0 0 a", "500 0 0 b", "500 0 0 c", "500 0 0 d"]).await;
    let mut watch = watch(address, Some(2));
    assert_eq!(told(watch.next().await), "failing");
    assert_eq!(told(watch.next().await), "gave up");
}

#[tokio::test]
async fn a_dead_address_is_named_as_go_names_it() {
    let settings = Settings { address: "127.0.0.1:1".into(), ..Settings::default() };
    let error = Client::new(settings).unwrap().send(&Request::get("/v1/kv/a")).await.unwrap_err();
    let expected = "Get \"http://127.0.0.1:1/v1/kv/a\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!(error.to_string(), expected);
    assert!(error.is_unreachable());
}
