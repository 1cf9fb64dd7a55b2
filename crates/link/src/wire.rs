//! What both ends agree on: the HTTP/2 settings and which headers stay behind.

use std::time::Duration;

use http::{HeaderMap, header};

/// A stream may have this many bytes under way before its reader has taken some.
///
/// Small, for a reader that never reads holds so much of the connection's window.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 65_535;

/// All streams together: as much as HTTP/2 can say, so that readers that do not read cannot stop the others.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// Requests under way on one link; most are blocking queries that wait.
pub(crate) const STREAMS_MAX: u32 = 100_000;

/// Requests that were given up before the listener looked at them; with more the link ends.
///
/// The usual 20 is for strangers: here one hasty client of an agent would end the calls of all the others.
pub(crate) const RESETS_MAX: usize = 4096;

/// How often a quiet peer is asked for a sign of life, and how long it may take for it.
pub(crate) const PING: Duration = Duration::from_secs(10);

/// A connection is made within this time or not at all.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Removes what concerns one connection only (RFC 9110 §7.6.1); HTTP/2 refuses most of it.
pub(crate) fn leave_hop_headers(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
    ] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}
