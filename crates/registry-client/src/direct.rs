//! Requests over connections of our own: HTTP/1.1 without TLS, to an address or a unix socket.
//!
//! A watcher holds hundreds of questions open, each on a connection. Here such a question takes a third of the memory that it
//! takes in reqwest, which stays for TLS, proxies, and bodies that go on.

use std::{
    env, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Uri,
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, HOST, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::{Instant, timeout},
};

use crate::settings::Endpoint;

/// The longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a connection without a request is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How much is read at a time; a page, for there may be hundreds of such buffers.
const READ_BYTES: usize = 4096;
/// Variables that name a proxy.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// The connections to one place. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Direct {
    place: Place,
    host: HeaderValue,
    idle: Arc<Mutex<Vec<Idle>>>,
}

#[derive(Clone, Debug)]
enum Place {
    /// `127.0.0.1:8500`, `[::1]:8500` or `registry.lan:8500`.
    Tcp(String),
    Unix(PathBuf),
}

/// A connection on which nothing is under way.
#[derive(Debug)]
struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// No connection.
    #[error(transparent)]
    Connect(io::Error),
    /// The connection broke, or what came is no HTTP.
    #[error(transparent)]
    Broken(hyper::Error),
}

/// An answer with all of its body.
pub(crate) type Answer = hyper::Response<Bytes>;

impl Direct {
    /// `None` when the endpoint needs TLS or a proxy, or its address is no plain `HOST:PORT`.
    pub(crate) fn to(endpoint: &Endpoint, is_local: bool) -> Option<Self> {
        let rest = endpoint.base.strip_prefix("http://")?;
        let host = rest.split('/').next().unwrap_or(rest);
        let place = match &endpoint.socket {
            Some(path) => Place::Unix(path.clone()),
            None if !is_local && PROXIES.iter().any(|name| env::var_os(name).is_some()) => return None,
            None if host.contains('@') => return None,
            None if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                Place::Tcp(host.to_owned())
            }
            None => Place::Tcp(format!("{}:80", host.trim_end_matches(':'))),
        };
        Some(Self { place, host: HeaderValue::from_str(host).ok()?, idle: Arc::default() })
    }

    /// Sends a request and reads the whole answer, whatever its status. `target` is path and parameters, as they go out.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        loop {
            let (mut sender, is_fresh) = match self.take() {
                Some(sender) => (sender, false),
                // On the heap: it is over long before the answer comes.
                None => (Box::pin(self.connect()).await?, true),
            };
            if !is_fresh && sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    let (head, body) = answer.into_parts();
                    let body = body.collect().await.map_err(Failure::Broken)?.to_bytes();
                    self.put_back(sender);
                    return Ok(hyper::Response::from_parts(head, body));
                }
                Err(mut refused) => match refused.take_message() {
                    // The other side had closed the connection while it was idle; nothing went out.
                    Some(unsent) if !is_fresh => request = unsent,
                    _ => return Err(Failure::Broken(refused.into_error())),
                },
            }
        }
    }

    fn take(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        still_open(&mut idle);
        idle.pop().map(|one| one.sender)
    }

    fn put_back(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        still_open(&mut idle);
        if !sender.is_closed() {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let late = || Failure::Connect(io::ErrorKind::TimedOut.into());
        match &self.place {
            Place::Tcp(address) => {
                let stream = timeout(CONNECT_MAX, TcpStream::connect(address)).await.map_err(|_| late())?;
                let stream = stream.map_err(Failure::Connect)?;
                // Both only tune the connection.
                let _ = stream.set_nodelay(true);
                let keepalive = socket2::TcpKeepalive::new().with_time(IDLE_MAX);
                let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                speak(stream).await
            }
            Place::Unix(path) => {
                let stream = timeout(CONNECT_MAX, UnixStream::connect(path)).await.map_err(|_| late())?;
                speak(stream.map_err(Failure::Connect)?).await
            }
        }
    }
}

fn still_open(idle: &mut Vec<Idle>) {
    idle.retain(|one| one.since.elapsed() < IDLE_MAX && !one.sender.is_closed());
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Consul's own spelling of headers, which old proxies and scripts look for.
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).read_buf_exact_size(Some(READ_BYTES));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(Failure::Broken)?;
    // It ends with the sender; what goes wrong is told to the request under way.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    fn endpoint(base: &str) -> Endpoint {
        Endpoint { base: base.to_owned(), socket: None, nowhere: None }
    }

    /// Where a base leads to.
    fn place(base: &str) -> Option<String> {
        match Direct::to(&endpoint(base), true)?.place {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        }
    }

    #[test]
    fn only_plain_places_are_asked_directly() {
        assert_eq!(place("http://127.0.0.1:8500").as_deref(), Some("127.0.0.1:8500"));
        assert_eq!(place("http://[::1]:8500/x").as_deref(), Some("[::1]:8500"));
        assert_eq!(place("http://[::1]").as_deref(), Some("[::1]:80"));
        assert_eq!(place("http://registry.lan").as_deref(), Some("registry.lan:80"));
        assert_eq!(place("https://127.0.0.1:8501"), None);
        assert_eq!(place("http://u:p@127.0.0.1:8500"), None);
    }

    /// Answers one request a connection as often as its number says, and then closes it; counts connections.
    async fn server(requests: &[usize]) -> (Direct, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut left: VecDeque<usize> = requests.iter().copied().collect();
        let serving = tokio::spawn(async move {
            let mut connections = 0;
            while let Some(requests) = left.pop_front() {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections += 1;
                for _ in 0..requests {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    assert!(head.starts_with("GET /v1/kv/a?x= HTTP/1.1\r\n"), "{head}");
                    assert!(head.contains("\r\nHost: 127.0.0.1:"), "{head}");
                    let body = "x".repeat(3 * READ_BYTES);
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
            connections
        });
        (Direct::to(&endpoint(&base), true).unwrap(), serving)
    }

    async fn ask(direct: &Direct) -> Result<Answer, Failure> {
        let target = "/v1/kv/a?x=".parse().unwrap();
        direct.send(Method::GET, target, HeaderMap::new(), Bytes::new()).await
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_one_that_was_closed_is_replaced() {
        let (direct, serving) = server(&[2, 1]).await;
        for _ in 0..3 {
            assert_eq!(ask(&direct).await.unwrap().body().len(), 3 * READ_BYTES);
        }
        assert_eq!(serving.await.unwrap(), 2);
        assert!(
            matches!(ask(&direct).await, Err(Failure::Connect(e)) if e.kind() == io::ErrorKind::ConnectionRefused)
        );
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        let (direct, serving) = server(&[0]).await;
        assert!(matches!(ask(&direct).await, Err(Failure::Broken(_))));
        serving.await.unwrap();
    }
}
