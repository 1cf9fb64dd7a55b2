//! Compressed answers.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderValue, Response,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH},
};
use http_body::Body as _;

use crate::{Body, body};

/// Below this size an answer is sent as it is, as Consul does.
const BYTES_MIN: u64 = 1400;
/// Above this one too: no answer of ours is larger, and what streams by is not ours to hold.
const BYTES_MAX: u64 = 64 << 20;

/// Whether the client takes gzip: `gzip`, `GZIP;q=0.5`; not `gzip;q=0`, and not a mere `*`.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(
        |offer| {
            let (name, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        },
    )
}

/// Compresses an answer of a known size, if that is worth it.
pub(crate) async fn compress(response: Response<Body>) -> Response<Body> {
    let size = response.body().size_hint().exact();
    let worth = size.is_some_and(|size| (BYTES_MIN..=BYTES_MAX).contains(&size));
    if !worth || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut head, mut whole) = response.into_parts();
    let Ok(bytes) = body::collect(&mut whole, BYTES_MAX as usize).await else {
        tracing::debug!(target: "agent.http", "an answer broke off before it could be compressed");
        head.status = http::StatusCode::BAD_GATEWAY;
        head.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(head, body::empty());
    };
    let packed = gzip(&bytes);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.insert(CONTENT_LENGTH, packed.len().into());
    Response::from_parts(head, body::full(packed))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read() {
        let accepted = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            is_accepted(&headers)
        };
        assert!(accepted("gzip") && accepted("deflate, gzip;q=0.5") && accepted("GZIP"));
        assert!(!accepted("*"));
        assert!(!accepted("deflate") && !accepted("gzip;q=0") && !accepted("identity"));
    }
}
