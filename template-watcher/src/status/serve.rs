//! The listener: `/v1/status`, `/v1/diff`, `/metrics`, `/healthz`, `/readyz`.

use std::{
    convert::Infallible,
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream as Probe},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chrono::Utc;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{address::Address, board::Board, metrics};

/// How many may ask at the same time; the others wait.
const CONNECTIONS_MAX: usize = 32;

/// How long one connection may last.
const CONNECTION_LIMIT: Duration = Duration::from_secs(60);

/// How long a request's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Who may use the unix socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// The listener's task; it ends, and the socket goes, when this is dropped.
pub(crate) struct Serving {
    task: JoinHandle<()>,
    socket: Option<PathBuf>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(path) = &self.socket {
            // Another program may have put its own there, or removed ours.
            let _ = fs::remove_file(path);
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Listens at an address and answers from the board.
///
/// Errors when the address is taken or cannot be listened on.
pub(crate) async fn serve(address: &Address, board: Arc<Board>) -> Result<Serving, String> {
    let wrong = |error: io::Error| format!("status_address {address}: {error}");
    let (listener, socket) = match address {
        Address::Tcp(text) => (Listener::Tcp(TcpListener::bind(text).await.map_err(wrong)?), None),
        Address::Unix(path) => {
            free(path).map_err(wrong)?;
            let listener = UnixListener::bind(path).map_err(wrong)?;
            fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(wrong)?;
            (Listener::Unix(listener), Some(path.clone()))
        }
    };
    Ok(Serving { task: tokio::spawn(listen(listener, board)), socket })
}

/// Takes away a socket that nobody listens on any more.
fn free(path: &Path) -> io::Result<()> {
    match Probe::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

async fn listen(listener: Listener, board: Arc<Board>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let board = Arc::clone(&board);
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                connections.spawn(async move { (converse(stream, board).await, drop(place)).0 });
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                connections.spawn(async move { (converse(stream, board).await, drop(place)).0 });
            }),
        };
        if accepted.is_err() {
            // Out of file descriptors, most likely: others may be given back.
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, board: Arc<Board>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let answered = answer(&request, &board);
        async move { Ok::<_, Infallible>(answered) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    // A client that goes away or speaks nonsense is no news.
    let _ = timeout(CONNECTION_LIMIT, http.serve_connection(TokioIo::new(stream), answer)).await;
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_owned());
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => readiness(board),
        "/metrics" => {
            typed(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&board.status(), Utc::now()))
        }
        "/v1/status" => match serde_json::to_string(&board.status()) {
            Ok(json) => typed(StatusCode::OK, "application/json", json + "\n"),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/v1/diff" => text(StatusCode::OK, board.last_changes(&destination(request.uri().query()))),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz, /metrics, /v1/status and /v1/diff?destination=PATH\n".to_owned(),
        ),
    }
}

/// Ready once every file stands; what is wrong since then is told and does not count, for the last good files stay.
fn readiness(board: &Board) -> Response<Full<Bytes>> {
    let status = board.status();
    let mut lines: Vec<String> = status
        .not_in_place()
        .map(|template| format!("{} is {}: {}", template.destination, template.state.name(), template.reason))
        .collect();
    lines.extend(status.failing().map(|(id, question)| format!("{id}: {}", question.reason)));
    let (code, word) = match (status.ready, lines.is_empty()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (true, true) => (StatusCode::OK, "ready"),
        (true, false) => (StatusCode::OK, "degraded"),
    };
    lines.insert(0, word.to_owned());
    text(code, lines.join("\n") + "\n")
}

/// The path after `destination=`; empty for all.
fn destination(query: Option<&str>) -> String {
    let pair = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("destination="));
    percent_encoding::percent_decode_str(pair.unwrap_or_default()).decode_utf8_lossy().into_owned()
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
