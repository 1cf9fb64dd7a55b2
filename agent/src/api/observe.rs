//! Looking into the running program: what it counts, and what it logs.

use std::time::Duration;

use bytes::Bytes;
use daemon::logs::{self, Listening, Style};
use futures_util::stream;
use http::HeaderValue;
use http_api::{Answer, ApiError, Body, Call};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use registry_wire::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::Context;

/// How long lines of the log wait for others to be sent with.
const GATHER: Duration = Duration::from_millis(200);
/// What is sent at once at most, so that a slow client holds no more.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// Prometheus' text format.
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// `GET /v1/agent/metrics`: the last ten seconds as JSON, or with `?format=prometheus` all since the start.
///
/// As Consul does it, asking for that format while it is off gives an empty answer whose header says why.
pub(super) async fn metrics(context: Context, call: Call) -> Result<Answer, ApiError> {
    let accepts =
        call.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let prometheus = call.query.text("format").as_deref() == Some("prometheus")
        || accepts.split(',').any(|kind| kind.trim().starts_with("application/openmetrics-text"));
    if !prometheus {
        return Ok(Answer::json(&context.recorder.report()));
    }
    Ok(match context.recorder.prometheus() {
        Some(text) => Answer::bytes(PROMETHEUS, text),
        None => {
            let why = "Prometheus is not enabled since its retention time is not positive";
            Answer::done().with(registry_wire::header::REASON, HeaderValue::from_static(why))
        }
    })
}

/// `GET /v1/agent/metrics/stream`: each interval as it ends, for as long as the client listens.
pub(super) async fn metrics_stream(context: Context, _: Call) -> Result<Answer, ApiError> {
    let recorder = context.recorder.clone();
    let frames = stream::unfold(recorder, |recorder| async move {
        sleep(telemetry::INTERVAL).await;
        let mut text = json::indent(&json::to_vec(&recorder.report()), "    ");
        text.push(b'\n');
        Some((Bytes::from(text), recorder))
    });
    Ok(streamed(&context, frames))
}

/// `GET /v1/agent/monitor`: the log's lines from now on, at a level of the client's own.
///
/// A client that does not take them loses lines, and is told how many when it goes on.
pub(super) async fn monitor(context: Context, call: Call) -> Result<Answer, ApiError> {
    let name = call.query.filled("loglevel").unwrap_or("INFO".into());
    let Some(level) = logs::level(&name) else {
        return Err(ApiError::bad_request(format!("Unknown log level: {name}")));
    };
    let style = if call.query.has("logjson") { Style::Json } else { Style::Consul };
    let listening = Monitoring { lines: logs::listen(level, style), told: 0 };
    Ok(streamed(&context, stream::unfold(listening, Monitoring::next)))
}

/// A client that listens to the log.
struct Monitoring {
    lines: Listening,
    /// How many lost lines were told.
    told: u64,
}

impl Monitoring {
    /// What comes within a short time, as one piece.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut piece = self.lines.next().await?;
        let end = Instant::now() + GATHER;
        while piece.len() < CHUNK_BYTES_MAX {
            tokio::select! {
                line = self.lines.next() => piece.push_str(&line?),
                () = sleep_until(end) => break,
            }
        }
        let dropped = self.lines.dropped();
        if dropped > self.told {
            tracing::warn!(target: "agent", dropped_logs = dropped - self.told, "Dropped logs during monitor request");
            self.told = dropped;
        }
        Some((Bytes::from(piece), self))
    }
}

/// An answer that goes on until the client or the program ends.
fn streamed(context: &Context, pieces: impl stream::Stream<Item = Bytes> + Send + 'static) -> Answer {
    use futures_util::StreamExt as _;
    let frames = pieces.take_until(context.shutdown.requested()).map(|piece| Ok(Frame::data(piece)));
    let body: Body = StreamBody::new(frames).boxed_unsync();
    Answer::streaming(body)
}
