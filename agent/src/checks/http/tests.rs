//! HTTP checks against servers of all manners.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// Answers `/STATUS` with that status and what it was sent; `/redirect` leads to `/200`.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                let agent = request.headers()["user-agent"].to_str().unwrap().to_owned();
                let text = format!("{} by {agent}", request.method());
                let answer = Response::builder();
                Ok::<_, Infallible>(
                    match request.uri().path() {
                        "/redirect" => answer.status(302).header("location", "/200").body(Full::default()),
                        path => answer.status(&path[1..]).body(Full::new(Bytes::from(text))),
                    }
                    .unwrap(),
                )
            });
            tokio::spawn(async move {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
            });
        }
    });
    address
}

/// Says these bytes to whoever has asked something, and hangs up.
async fn saying(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    address
}

async fn run(url: &str, change: impl FnOnce(&mut CheckType)) -> Observed {
    let mut check = CheckType { http: url.to_owned(), ..CheckType::default() };
    change(&mut check);
    Check::new(&check, Arc::default(), 4096).run().await
}

#[tokio::test]
async fn the_status_is_the_verdict() {
    let at = server().await;
    for (code, status, line) in [
        (200, Status::Passing, "200 OK"),
        (204, Status::Passing, "204 No Content"),
        (429, Status::Warning, "429 Too Many Requests"),
        (404, Status::Critical, "404 Not Found"),
        (500, Status::Critical, "500 Internal Server Error"),
    ] {
        let observed = run(&format!("http://{at}/{code}"), |_| {}).await;
        let body = if code == 204 { "" } else { "GET by Consul Health Check" };
        assert_eq!(
            observed,
            Observed::new(status, format!("HTTP GET http://{at}/{code}: {line} Output: {body}"))
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_unless_told_otherwise() {
    let at = server().await;
    let url = format!("http://{at}/redirect");
    assert_eq!(run(&url, |_| {}).await.status, Status::Passing);
    assert_eq!(run(&url, |check| check.disable_redirects = true).await.status, Status::Critical);
}

#[tokio::test]
async fn method_and_headers_are_sent() {
    let at = server().await;
    let observed = run(&format!("http://{at}/200"), |check| {
        check.method = "PUT".into();
        check.header = Some([("User-Agent".to_owned(), vec!["me".to_owned()])].into());
    })
    .await;
    assert!(observed.output.ends_with("Output: PUT by me"), "{}", observed.output);
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let observed = run(&format!("http://{at}/"), |_| {}).await;
    let said = format!("Get \"http://{at}/\": dial tcp {at}: connect: connection refused");
    assert_eq!(observed, Observed::critical(said));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_critical_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let observed =
        run(&format!("http://{at}/"), |check| check.timeout = registry_wire::json::Nanos(200_000_000)).await;
    assert_eq!(observed.status, Status::Critical);
    assert!(observed.output.contains("context deadline exceeded"), "{}", observed.output);
}

#[tokio::test]
async fn what_is_no_answer_is_said_in_gos_words() {
    let at = saying(b"").await;
    let plain = saying(b"HTTP/1.1 200 OK\r\n\r\n").await;
    for (url, said) in [
        ("http://a b/".to_owned(), "parse \"http://a b/\": invalid character \" \" in host name".to_owned()),
        (
            "127.0.0.1:80".to_owned(),
            "parse \"127.0.0.1:80\": first path segment in URL cannot contain colon".to_owned(),
        ),
        (
            "ftp://127.0.0.1/".to_owned(),
            "Get \"ftp://127.0.0.1/\": unsupported protocol scheme \"ftp\"".to_owned(),
        ),
        (
            format!("https://{plain}/"),
            format!("Get \"https://{plain}/\": tls: first record does not look like a TLS handshake"),
        ),
    ] {
        assert_eq!(run(&url, |_| {}).await, Observed::critical(said));
    }
    // Whether the end comes with or without a reset is up to the kernel.
    let said = run(&format!("http://{at}/"), |_| {}).await.output;
    assert!(said.ends_with(": EOF") || said.ends_with("connection reset by peer"), "{said}");
}

#[tokio::test]
async fn the_servers_own_words_and_the_end_of_its_body_are_shown() {
    let at = saying(b"HTTP/1.1 501 Never heard\r\nContent-Length: 6\r\n\r\nabcdef").await;
    let check = CheckType { http: format!("http://{at}/"), ..CheckType::default() };
    let observed = Check::new(&check, Arc::default(), 3).run().await;
    assert_eq!(observed, Observed::critical(format!("HTTP GET http://{at}/: 501 Never heard Output: def")));
}

#[tokio::test]
async fn the_status_counts_however_the_body_ends() {
    let at = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok").await;
    let said = format!("HTTP GET http://{at}/: 200 OK Output: ok");
    assert_eq!(run(&format!("http://{at}/"), |_| {}).await, Observed::new(Status::Passing, said));
}

#[tokio::test]
async fn what_is_compressed_because_we_asked_is_read() {
    use std::io::Write as _;
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(&[b'x'; 100_000]).unwrap();
    zipped.write_all(b"the end").unwrap();
    let zipped = zipped.finish().unwrap();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", zipped.len())
            .into_bytes();
    answer.extend(&zipped);
    let at = saying(answer.leak()).await;
    let url = format!("http://{at}/");
    let observed = run(&url, |_| {}).await;
    assert!(observed.output.ends_with("xxxthe end") && observed.output.len() < 5000, "{}", observed.output);
    let own = run(&url, |check| {
        check.header = Some([("Accept-Encoding".to_owned(), vec!["gzip".to_owned()])].into());
    });
    assert!(!own.await.output.ends_with("the end"), "who asks for himself reads for himself");
    let at = saying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello").await;
    let said = format!("HTTP GET http://{at}/: 200 OK Output: ");
    assert_eq!(run(&format!("http://{at}/"), |_| {}).await, Observed::new(Status::Passing, said));
}

#[tokio::test]
async fn a_server_that_hangs_up_on_tls_is_an_end() {
    let at = saying(b"").await;
    let said = run(&format!("https://{at}/"), |_| {}).await.output;
    // Whether the end comes with or without a reset is up to the kernel.
    assert!(said.ends_with(": EOF") || said.ends_with("connection reset by peer"), "{said}");
}

#[tokio::test]
async fn an_error_names_the_place_that_a_redirect_led_to() {
    let loops = saying(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").await;
    let gone =
        saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/y\r\nContent-Length: 0\r\n\r\n").await;
    let other =
        saying(b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/z\r\nContent-Length: 0\r\n\r\n").await;
    for (at, said) in [
        (&loops, format!("Get \"http://{loops}/x\": stopped after 10 redirects")),
        (&gone, "Get \"http://127.0.0.1:1/y\": dial tcp 127.0.0.1:1: connect: connection refused".to_owned()),
        (&other, "Get \"ftp://127.0.0.1/z\": unsupported protocol scheme \"ftp\"".to_owned()),
    ] {
        assert_eq!(
            run(&format!("http://{at}/"), |check| check.method = "POST".into()).await,
            Observed::critical(said)
        );
    }
}
