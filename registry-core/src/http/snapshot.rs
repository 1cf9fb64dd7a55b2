//! `/v1/snapshot`: the whole state as one file, and back.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method};
use http_api::{Answer, ApiError, Call, body::BodyError};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc;

use super::{
    Api,
    respond::{Family, read_headers, reader_options},
};
use crate::snapshot;

/// How many pieces of the file may wait for the client.
const PIECES_WAITING: usize = 4;
/// How large a piece is.
const PIECE_BYTES: usize = 64 << 10;

/// `GET`: saves, `PUT`: restores.
pub(super) async fn serve(api: Api, call: Call) -> Result<Answer, ApiError> {
    match call.method {
        Method::PUT => restore(api, call).await,
        _ => save(api, call).await,
    }
}

async fn save(api: Api, call: Call) -> Result<Answer, ApiError> {
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    let consistency = reader_options(&api, &asked).consistency;
    let found = api.reader().look_up(consistency, |state| (state.clone(), state.index())).await?;
    let (state, mut meta) = (found.value, api.registry().snapshot_meta());
    meta.index = state.index();
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces { pieces, piece: Vec::with_capacity(PIECE_BYTES) };
        if let Err(error) = snapshot::pack(&state, meta, &mut out) {
            // So that the client does not take what it has for the whole.
            let _ = out.pieces.blocking_send(Err(error));
        }
    });
    let frames = stream::unfold(waiting, |mut waiting| async {
        let piece: io::Result<Bytes> = waiting.recv().await?;
        Some((piece.map(Frame::data).map_err(BodyError::from), waiting))
    });
    let body = StreamBody::new(frames).boxed_unsync();
    let mut answer = Answer::stream(HeaderValue::from_static("application/x-gzip"), body);
    read_headers(&mut answer, found.index, found.known_leader, found.last_contact_ms, Family::Plain, &asked);
    Ok(answer)
}

async fn restore(api: Api, call: Call) -> Result<Answer, ApiError> {
    api.serves_call(&call)?;
    if call.query.has("stale") {
        return Err(ApiError::internal("stale not allowed for restore"));
    }
    let restored = api.0.registry.restore(call.body).await;
    restored.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Answer::bytes(HeaderValue::from_static("application/octet-stream"), Bytes::new()))
}

/// Gathers what is written into pieces, and hands them to the client as it takes them.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES)).into();
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client went away");
        self.pieces.blocking_send(Ok(piece)).map_err(gone)
    }
}
