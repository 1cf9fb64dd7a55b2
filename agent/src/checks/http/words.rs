//! Why a check got no answer, in the words that Consul's users know.

use std::{error::Error as _, io};

use registry_client::innermost;
use reqwest::Url;

use crate::checks::dial::dial_error;

/// The method as Go's client writes it in its errors: `Get`, `Post`.
pub(super) fn verb(method: &str) -> String {
    let (first, rest) = method.split_at_checked(1).unwrap_or((method, ""));
    format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
}

/// Why a request got no answer.
pub(super) async fn reason(url: &Url, error: &reqwest::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(said) = inner.downcast_ref::<io::Error>().and_then(of_connection) {
            return said.to_owned();
        }
        if let Some(cause) = inner.downcast_ref::<hyper::Error>() {
            if cause.is_incomplete_message() {
                return "EOF".to_owned();
            }
            if cause.is_parse() {
                return "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned();
            }
        }
        if let Some(cause) = inner.downcast_ref::<io::Error>()
            && error.is_connect()
        {
            let port = url.port_or_known_default().unwrap_or(80);
            return dial_error("tcp", &format!("{}:{port}", url.host_str().unwrap_or_default()), cause).await;
        }
        source = inner.source();
    }
    innermost(error)
}

/// What became of a connection that was there.
fn of_connection(error: &io::Error) -> Option<&'static str> {
    match tls_cause(error) {
        Some(rustls::Error::InvalidMessage(_)) => {
            return Some("tls: first record does not look like a TLS handshake");
        }
        Some(_) => return None,
        None => {}
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset => Some("read: connection reset by peer"),
        io::ErrorKind::UnexpectedEof => Some("EOF"),
        // Wrapped in an error of another kind on its way up.
        _ if error.to_string() == "tls handshake eof" => Some("EOF"),
        _ => None,
    }
}

/// What TLS said, under however many layers.
fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| tls_cause(inner.downcast_ref()?))
}
