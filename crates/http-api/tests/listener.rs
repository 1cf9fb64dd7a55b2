//! A listener and real connections to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use daemon::Shutdown;
use http::{HeaderName, HeaderValue, Method};
use http_api::{
    Answer, Router, Table,
    listen::{Limits, Listener, Place, UnixPlace},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// How many answers of `/v1/never` are being worked on.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Relaxed);
    }
}

fn router(shutdown: &Shutdown) -> Arc<Router<Shutdown>> {
    let mut table = Table::new(false);
    table.add("/v1/now", &[Method::GET], |_, _| async {
        let name = HeaderName::from_static("x-consul-knownleader");
        Ok(Answer::json("now").with(name, HeaderValue::from_static("true")))
    });
    table.add("/v1/later", &[Method::GET], |shutdown: Shutdown, _| async move {
        shutdown.requested().await;
        Ok(Answer::json("later"))
    });
    table.add("/v1/never", &[Method::GET], |_, _| async move {
        let _under_way = UnderWay::begin();
        std::future::pending().await
    });
    Arc::new(Router::new(table, shutdown.clone()))
}

/// A served listener, its address, what ends `/v1/later`, and what ends the listener.
async fn serve() -> (SocketAddr, Shutdown, Shutdown) {
    let (later, end) = (Shutdown::default(), Shutdown::default());
    let listener =
        Listener::bind(Place::Tcp((Ipv4Addr::LOCALHOST, 0).into()), &end).await.expect("a free port");
    let address = listener.local_address().expect("an address");
    let limits = Limits { connections_per_client: 0, ..Limits::default() };
    tokio::spawn(listener.serve(router(&later), limits, end.clone()));
    (address, later, end)
}

/// Reads until what came ends like this.
async fn hear_to(stream: &mut TcpStream, end: &str) -> String {
    let mut all = String::new();
    while !all.ends_with(end) {
        let mut some = [0; 1000];
        let reading = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut some));
        let length = reading.await.expect("more in time").expect("more");
        assert!(length > 0, "ended after {all}");
        all.push_str(std::str::from_utf8(&some[..length]).expect("text"));
    }
    all
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), request: &str) {
    stream.write_all(request.as_bytes()).await.expect("a connection");
}

async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all));
    reading.await.expect("an end in time").expect("an end without an error");
    String::from_utf8(all).expect("text")
}

#[tokio::test]
async fn names_are_written_as_consul_writes_them() {
    let shutdown = Shutdown::default();
    let listener = Listener::bind(Place::Tcp("[::]:0".parse().unwrap()), &shutdown).await.unwrap();
    let port = listener.local_address().unwrap().port();
    let serving = tokio::spawn(listener.serve(router(&shutdown), Limits::default(), shutdown.clone()));
    for address in ["127.0.0.1", "::1"] {
        let mut stream = TcpStream::connect((address, port)).await.unwrap();
        say(&mut stream, "GET /v1/now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let answer = hear(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nX-Consul-Knownleader: true\r\n"), "{answer}");
        assert!(answer.contains("\r\nX-Consul-Default-Acl-Policy: allow\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n\"now\""), "{answer}");
    }
    shutdown.request();
    serving.await.unwrap();
}

#[tokio::test]
async fn the_end_lets_requests_end_and_closes_idle_connections() {
    let shutdown = Shutdown::default();
    let listener = Listener::bind(Place::Tcp("127.0.0.1:0".parse().unwrap()), &shutdown).await.unwrap();
    let address = listener.local_address().unwrap();
    let serving = tokio::spawn(listener.serve(router(&shutdown), Limits::default(), shutdown.clone()));
    let (mut waiting, mut idle) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    say(&mut waiting, "GET /v1/later HTTP/1.1\r\nHost: x\r\n\r\n").await;
    say(&mut idle, "GET /v1/now HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(idle.read(&mut [0; 1000]).await.unwrap() > 0);
    shutdown.request();
    assert!(hear(&mut waiting).await.ends_with("\"later\""));
    assert_eq!(hear(&mut idle).await, "");
    serving.await.unwrap();
}

#[tokio::test]
async fn one_client_gets_its_share_of_connections() {
    let shutdown = Shutdown::default();
    let listener = Listener::bind(Place::Tcp("127.0.0.1:0".parse().unwrap()), &shutdown).await.unwrap();
    let address = listener.local_address().unwrap();
    let limits = Limits { connections_per_client: 1, ..Limits::default() };
    let serving = tokio::spawn(listener.serve(router(&shutdown), limits, shutdown.clone()));
    let mut first = TcpStream::connect(address).await.unwrap();
    say(&mut first, "GET /v1/now HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(first.read(&mut [0; 1000]).await.unwrap() > 0);
    let mut second = TcpStream::connect(address).await.unwrap();
    say(&mut second, "GET /v1/now HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let refused = hear(&mut second).await;
    assert!(
        refused.starts_with("HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\n"),
        "{refused}"
    );
    assert!(
        refused.ends_with("issuing too many concurrent connections, please rate limit your calls\n"),
        "{refused}"
    );
    shutdown.request();
    serving.await.unwrap();
}

#[tokio::test]
async fn heads_that_are_too_large_or_too_slow_end_the_connection() {
    let shutdown = Shutdown::default();
    let listener = Listener::bind(Place::Tcp("127.0.0.1:0".parse().unwrap()), &shutdown).await.unwrap();
    let address = listener.local_address().unwrap();
    let limits = Limits { header_bytes: 8192, header_read: Duration::from_millis(200), ..Limits::default() };
    let serving = tokio::spawn(listener.serve(router(&shutdown), limits, shutdown.clone()));
    let mut large = TcpStream::connect(address).await.unwrap();
    say(&mut large, &format!("GET /v1/now HTTP/1.1\r\nX-A: {}", "a".repeat(8300))).await;
    assert!(hear(&mut large).await.starts_with("HTTP/1.1 431 "));
    let mut slow = TcpStream::connect(address).await.unwrap();
    say(&mut slow, "GET /v1/now HTTP/1.1\r\nX-A: ").await;
    let ended = hear(&mut slow).await;
    assert!(ended.is_empty() || ended.starts_with("HTTP/1.1 408 "), "{ended}");
    shutdown.request();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_at_the_end() {
    use std::os::unix::fs::PermissionsExt;
    let shutdown = Shutdown::default();
    let path = std::env::temp_dir().join(format!("http-api-{}.sock", std::process::id()));
    let place = Place::Unix(UnixPlace { path: path.clone(), mode: Some(0o600), ..UnixPlace::default() });
    let listener = Listener::bind(place, &shutdown).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let serving = tokio::spawn(listener.serve(router(&shutdown), Limits::default(), shutdown.clone()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    say(&mut stream, "GET /v1/now HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(hear(&mut stream).await.ends_with("\"now\""));
    shutdown.request();
    serving.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn blocking_queries_are_answered_in_order_with_what_follows_them() {
    let (address, later, _end) = serve().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    say(&mut stream, "GET /v1/now HTTP/1.1\r\nHost: x\r\n\r\n").await;
    hear_to(&mut stream, "\"now\"").await;
    let (waiting, half) = ("GET /v1/later?index=1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/now HT");
    say(&mut stream, &format!("{waiting}{half}")).await;
    let pause = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 10])).await;
    assert!(pause.is_err(), "answered too soon");
    later.request();
    let answer = hear_to(&mut stream, "\"later\"").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Content-Length: 7\r\n"),
        "{answer}"
    );
    say(&mut stream, "TP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(hear_to(&mut stream, "\"now\"").await.matches("HTTP/1.1").count(), 1);
}

#[tokio::test]
async fn a_blocking_query_is_answered_as_it_was_asked() {
    let (address, later, _end) = serve().await;
    let mut streams = Vec::new();
    for (method, version, wish) in
        [("GET", "1.1", "close"), ("GET", "1.0", "x"), ("HEAD", "1.1", "close"), ("GET", "1.0", "keep-alive")]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let target = "/v1/later?index=1";
        say(&mut stream, &format!("{method} {target} HTTP/{version}\r\nConnection: {wish}\r\n\r\n")).await;
        streams.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    later.request();
    assert!(hear(&mut streams[0]).await.ends_with("\r\n\r\n\"later\""));
    assert!(hear(&mut streams[1]).await.starts_with("HTTP/1.0 200 OK\r\n"));
    assert!(hear(&mut streams[2]).await.ends_with("\r\n\r\n"), "HEAD has a body");
    hear_to(&mut streams[3], "\"later\"").await;
    say(&mut streams[3], "GET /v1/now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(hear(&mut streams[3]).await.ends_with("\"now\""));
}

#[tokio::test]
async fn a_late_answer_has_the_head_of_any_other() {
    let (address, later, _end) = serve().await;
    let mut heads = Vec::new();
    for other in ["", "Connection: keep-alive\r\n"] {
        // The second one is written by hyper, and comes at once.
        let mut stream = TcpStream::connect(address).await.unwrap();
        say(&mut stream, &format!("GET /v1/later?index=1 HTTP/1.1\r\nHost: x\r\n{other}\r\n")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        later.request();
        let answer = hear_to(&mut stream, "\"later\"").await;
        let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
        lines.iter_mut().filter(|line| line.starts_with("Date: ")).for_each(|date| date.truncate(22));
        lines.sort_unstable();
        heads.push(lines);
    }
    assert_eq!(heads[0], heads[1]);
}

#[tokio::test]
async fn work_ends_with_its_client() {
    let (address, _later, _end) = serve().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    say(&mut stream, "GET /v1/never?index=1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let under_way = async |wanted: usize| {
        while UNDER_WAY.load(Relaxed) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), under_way(1)).await.expect("the work begins");
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), under_way(0)).await.expect("the work ends");
}

#[tokio::test]
async fn a_crowd_is_served_connection_by_connection() {
    let (address, later, end) = serve().await;
    let mut streams = Vec::new();
    for _ in 0..300 {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    for round in 0..3 {
        let target = if round == 1 { "/v1/later?index=1" } else { "/v1/now" };
        for stream in &mut streams {
            say(stream, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        }
        if round == 1 {
            later.request();
        }
        for stream in &mut streams {
            hear_to(stream, if round == 1 { "\"later\"" } else { "\"now\"" }).await;
        }
    }
    end.request();
    for mut stream in streams {
        assert_eq!(hear(&mut stream).await, "");
    }
}

/// Bytes that tell when nobody holds them any more.
struct Held {
    bytes: Vec<u8>,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test]
async fn an_answer_is_not_held_for_a_client_that_does_not_take_it() {
    let (shutdown, alive) = (Shutdown::default(), Arc::new(()));
    let mut table = Table::new(false);
    let held = alive.clone();
    table.add("/v1/large", &[Method::GET], move |_: Shutdown, _| {
        let held = Held { bytes: vec![b'x'; 64 << 20], _alive: held.clone() };
        async move { Ok(Answer::bytes(http_api::answer::TEXT, bytes::Bytes::from_owner(held))) }
    });
    let router = Arc::new(Router::new(table, shutdown.clone()));
    let listener = Listener::bind(Place::Tcp("127.0.0.1:0".parse().unwrap()), &shutdown).await.unwrap();
    let address = listener.local_address().unwrap();
    let limits = Limits { patience: Duration::from_millis(300), ..Limits::default() };
    let serving = tokio::spawn(listener.serve(router, limits, shutdown.clone()));
    let mut slow = TcpStream::connect(address).await.unwrap();
    say(&mut slow, "GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(slow.read(&mut [0; 1]).await.unwrap() == 1);
    assert_eq!(Arc::strong_count(&alive), 3, "the test's, the handler's, the answer's");
    // It takes a little now and then, which is not enough.
    let let_go = async {
        let mut now_and_then = tokio::time::interval(Duration::from_millis(20));
        while Arc::strong_count(&alive) > 2 {
            now_and_then.tick().await;
            assert!(slow.read(&mut [0; 10]).await.unwrap() > 0);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), let_go).await.expect("the answer is let go of");
    let mut fast = TcpStream::connect(address).await.unwrap();
    say(&mut fast, "GET /v1/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(hear(&mut fast).await.len() > 64 << 20);
    shutdown.request();
    serving.await.unwrap();
}

#[tokio::test]
async fn long_first_heads_come_to_an_end_soon_and_a_hundred_headers_are_taken() {
    let shutdown = Shutdown::default();
    let listener = Listener::bind(Place::Tcp("127.0.0.1:0".parse().unwrap()), &shutdown).await.unwrap();
    let address = listener.local_address().unwrap();
    let limits = Limits { patience: Duration::from_millis(200), ..Limits::default() };
    let serving = tokio::spawn(listener.serve(router(&shutdown), limits, shutdown.clone()));
    for (more, status) in [(98, "200"), (99, "431")] {
        let mut many = TcpStream::connect(address).await.unwrap();
        let headers: String = (0..more).map(|number| format!("X-{number}: a\r\n")).collect();
        say(&mut many, &format!("GET /v1/now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"))
            .await;
        assert!(hear(&mut many).await.starts_with(&format!("HTTP/1.1 {status} ")));
    }
    let mut slow = TcpStream::connect(address).await.unwrap();
    say(&mut slow, &format!("GET /v1/now HTTP/1.1\r\nX-A: {}", "a".repeat(100_000))).await;
    assert_eq!(hear(&mut slow).await, "");
    shutdown.request();
    serving.await.unwrap();
}
