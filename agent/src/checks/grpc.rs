//! Checks by gRPC's health protocol: `SERVING` is passing, anything else critical.
//!
//! The protocol: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>; one unary call, so that the framing
//! (a flag byte, four bytes of length, the message) is written here and no client library is carried along.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client;
use http::{HeaderMap, Request, header::CONTENT_TYPE};
use percent_encoding::percent_decode;
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    Observed, Status,
    dial::{self, Tls, TlsConfigs, http2_error},
    limit,
};
use crate::definition::CheckType;

const LIMIT: Duration = Duration::from_secs(10);
/// A health answer has two bytes; whoever sends more is not asked further.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// `grpc = "127.0.0.1:12345/service"`; without the service's name the whole server is meant.
pub(super) struct Grpc {
    /// As written, for what is shown.
    shown: String,
    target: String,
    service: String,
    tls: Option<Tls>,
    limit: Duration,
}

impl Grpc {
    pub(super) fn new(check: &CheckType, tls: &Arc<TlsConfigs>) -> Self {
        let (target, service) = check.grpc.split_once('/').unwrap_or((&check.grpc, ""));
        Self {
            shown: check.grpc.clone(),
            target: target.to_owned(),
            service: service.to_owned(),
            tls: check.grpc_use_tls.then(|| Tls::new(check, Some("h2"), tls)),
            limit: limit(check, LIMIT),
        }
    }

    pub(super) async fn run(&self) -> Observed {
        let mut connected = false;
        let answered = timeout(self.limit, self.ask(&mut connected)).await.unwrap_or_else(|_| {
            let waiting = "received context error while waiting for new LB policy update: ";
            let words = format!("{}context deadline exceeded", if connected { "" } else { waiting });
            Err(Failed { code: code::DEADLINE_EXCEEDED, words })
        });
        match answered {
            Ok(Health::Serving) => {
                Observed::new(Status::Passing, format!("gRPC check {}: success", self.shown))
            }
            Ok(other) => Observed::critical(format!("gRPC {} serving status: {}", self.shown, other.name())),
            Err(Failed { code, words }) => {
                Observed::critical(format!("rpc error: code = {} desc = {words}", code_name(code)))
            }
        }
    }

    async fn ask(&self, connected: &mut bool) -> Result<Health, Failed> {
        let dialed = |reason| Failed::connecting(&format!("transport: Error while dialing: {reason}"));
        let stream = dial::tcp(&self.target).await.map_err(dialed)?;
        match &self.tls {
            Some(tls) => {
                let secured = tls.over(stream, &self.target).await.map_err(|reason| {
                    Failed::connecting(&format!("transport: authentication handshake failed: {reason}"))
                })?;
                *connected = true;
                call(secured, &self.target, &self.service).await
            }
            None => {
                *connected = true;
                call(stream, &self.target, &self.service).await
            }
        }
    }
}

/// The question: whose health.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// The answer.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "Health", tag = "1")]
    status: i32,
}

/// What a server says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
enum Health {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

impl Health {
    /// As the protocol writes it.
    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }
}

/// A call that did not give an answer, by gRPC's status.
struct Failed {
    code: u32,
    words: String,
}

impl Failed {
    fn connecting(reason: &str) -> Self {
        Self { code: code::UNAVAILABLE, words: format!("connection error: desc = {reason:?}") }
    }

    /// What the headers or trailers say; `None` when they say that all went well.
    fn told(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
        let code = text("grpc-status")?.parse().unwrap_or(code::UNKNOWN);
        let words = text("grpc-message").unwrap_or_default().into_owned();
        (code != code::OK).then_some(Self { code, words })
    }
}

impl From<h2::Error> for Failed {
    fn from(error: h2::Error) -> Self {
        Self::connecting(&format!("error reading server preface: {}", http2_error(&error)))
    }
}

async fn call(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    target: &str,
    service: &str,
) -> Result<Health, Failed> {
    let (requests, connection) = client::handshake(stream).await?;
    tokio::select! {
        answered = exchange(requests, target, service) => answered,
        ended = connection => {
            Err(ended.err().map_or_else(|| Failed::connecting("error reading server preface: EOF"), Failed::from))
        }
    }
}

async fn exchange(
    requests: client::SendRequest<Bytes>,
    target: &str,
    service: &str,
) -> Result<Health, Failed> {
    let unusable = |reason: String| Failed { code: code::INTERNAL, words: reason };
    let request = Request::post(format!("http://{target}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| unusable(error.to_string()))?;
    let mut requests = requests.ready().await?;
    let (answer, mut body) = requests.send_request(request, false)?;
    body.send_data(framed(service), true)?;
    let (head, mut stream) = answer.await?.into_parts();
    if let Some(failed) = Failed::told(&head.headers) {
        return Err(failed);
    }
    if !head.status.is_success() {
        return Err(unusable(format!("unexpected HTTP status code received from server: {}", head.status)));
    }
    let mut received = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
        if received.len() > ANSWER_BYTES_MAX {
            return Err(unusable(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    if let Some(failed) = stream.trailers().await?.as_ref().and_then(Failed::told) {
        return Err(failed);
    }
    let message = received.get(5..).ok_or_else(|| unusable("the answer has no message".into()))?;
    let answer = HealthCheckResponse::decode(message).map_err(|error| unusable(error.to_string()))?;
    Ok(answer.status())
}

/// One message that is not compressed.
fn framed(service: &str) -> Bytes {
    let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a service's name is short"));
    frame.put_slice(&message);
    frame.freeze()
}

/// The codes that this file sets by itself.
mod code {
    pub(super) const OK: u32 = 0;
    pub(super) const UNKNOWN: u32 = 2;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const INTERNAL: u32 = 13;
    pub(super) const UNAVAILABLE: u32 = 14;
}

/// gRPC's status codes by number: <https://grpc.io/docs/guides/status-codes/>.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// `NotFound`, or `Code(99)` for a number that has no name.
fn code_name(code: u32) -> String {
    let name = usize::try_from(code).ok().and_then(|code| CODES.get(code));
    name.map_or_else(|| format!("Code({code})"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::net::TcpListener;

    use super::*;

    /// A server of the health protocol: service `ok` serves, `bad` does not, others are not known.
    async fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond));
                    }
                });
            }
        });
        address
    }

    async fn answer(mut request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
        let mut frame = BytesMut::new();
        while let Some(data) = request.body_mut().data().await {
            frame.extend_from_slice(&data.unwrap());
        }
        let service = HealthCheckRequest::decode(&frame[5..]).unwrap().service;
        let status = match service.as_str() {
            "ok" | "" => 1,
            "bad" => 2,
            _ => {
                let absent =
                    Response::builder().header("grpc-status", "5").header("grpc-message", "not%20here");
                respond.send_response(absent.body(()).unwrap(), true).unwrap();
                return;
            }
        };
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false).unwrap();
        let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
        body.send_trailers(trailers).unwrap();
    }

    async fn run(target: &str) -> Observed {
        Grpc::new(&CheckType { grpc: target.to_owned(), ..CheckType::default() }, &Arc::default()).run().await
    }

    #[tokio::test]
    async fn what_the_server_says_is_the_verdict() {
        let at = server().await;
        for (path, status, said) in [
            ("", Status::Passing, format!("gRPC check {at}: success")),
            ("/ok", Status::Passing, format!("gRPC check {at}/ok: success")),
            ("/bad", Status::Critical, format!("gRPC {at}/bad serving status: NOT_SERVING")),
            ("/none", Status::Critical, "rpc error: code = NotFound desc = not here".to_owned()),
        ] {
            assert_eq!(run(&format!("{at}{path}")).await, Observed::new(status, said), "{path}");
        }
    }

    #[tokio::test]
    async fn a_refused_connection_and_another_protocol_are_unavailable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let said = format!(
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: \
             dial tcp {at}: connect: connection refused\""
        );
        assert_eq!(run(&at.to_string()).await, Observed::critical(said));
        let plain = super::super::tests::answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let observed = run(&plain).await;
        assert!(observed.output.starts_with("rpc error: code = Unavailable desc = "), "{}", observed.output);
    }
}
