//! Load over HTTP/1.1, cheap beside the server: raw requests on non-blocking sockets, all in one thread.
//!
//! `answer` finds where an answer ends, `connection` is one keep-alive connection, `load` keeps a number of clients busy,
//! `waiters` holds blocking queries.

mod answer;
mod connection;
pub(crate) mod load;
pub(crate) mod waiters;

use answer::Answer;
use connection::Connection;

/// The bytes of a `GET`.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes()
}

/// The bytes of a `PUT`.
pub(crate) fn put(path: &str, body: &str) -> Vec<u8> {
    format!("PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
