//! Answers to queries that have waited, written without hyper: making a connection of hyper's costs more than the answer,
//! and ten thousand may be due at once.
//!
//! Only what needs no rule of HTTP's but one is written here: a GET of HTTP/1.1 on a connection that stays, answered with
//! a body of known length. Everything else is left to hyper.

use std::{future::poll_fn, io, pin::Pin, time::SystemTime};

use bytes::{Buf as _, Bytes};
use http::{
    HeaderMap, Method, Request, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING, UPGRADE},
};
use http_body::Body as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::Body;

/// Whether the answer to this request may be written here.
pub(super) fn is_plain<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && !headers.contains_key(CONNECTION)
        && !headers.contains_key(UPGRADE)
}

/// Whether this answer may be written here.
pub(super) fn is_simple(response: &Response<Body>) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let may_have_body = !status.is_informational() && status != 204 && status != 304;
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    may_have_body
        && length.is_some()
        && length == response.body().size_hint().exact()
        && ![CONNECTION, TRANSFER_ENCODING, UPGRADE].iter().any(|name| headers.contains_key(name))
}

/// Writes an answer that [`is_simple`].
///
/// Errors when the client has gone or takes too long, or the body breaks off: the connection is of no more use.
pub(super) async fn write(response: Response<Body>, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let (head, mut body) = response.into_parts();
    let status = head.status;
    let line = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("<none>"));
    let mut text = line.into_bytes();
    put_headers(&mut text, &head.headers);
    let mut text = Bytes::from(text);
    loop {
        let part = next_part(&mut body).await?;
        if text.is_empty() && part.is_none() {
            return to.flush().await;
        }
        // Head and body in one write.
        to.write_all_buf(&mut std::mem::take(&mut text).chain(part.unwrap_or_default())).await?;
    }
}

async fn next_part(body: &mut Body) -> io::Result<Option<Bytes>> {
    loop {
        let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await else { return Ok(None) };
        if let Ok(part) = frame.map_err(io::Error::other)?.into_data() {
            return Ok(Some(part));
        }
    }
}

/// The headers with their names as hyper's `title_case_headers` writes them, the date, and the line that ends them.
fn put_headers(text: &mut Vec<u8>, headers: &HeaderMap) {
    text.reserve(512);
    for (name, value) in headers {
        let mut begins = true;
        text.extend(name.as_str().bytes().map(|letter| {
            let written = if begins { letter.to_ascii_uppercase() } else { letter };
            begins = letter == b'-';
            written
        }));
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if !headers.contains_key(DATE) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        text.extend_from_slice(b"Date: ");
        text.extend_from_slice(date.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
}
