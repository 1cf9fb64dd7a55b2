//! What can go wrong with settings and requests.

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

/// Why a client cannot be made of its settings. The caller shows it and stops.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The address is none.
    #[error("invalid address {address:?}: {reason}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the settings cannot be read.
    #[error("cannot read {what} {}: {source}", path.display())]
    File {
        /// `token file`, `CA certificate`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use the TLS settings: {0}")]
    Tls(String),
    /// A token has characters that no HTTP header may have.
    #[error("the token has characters that cannot be sent in an HTTP header")]
    Token,
}

/// Why a request brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The registry was not reached, or the connection broke.
    ///
    /// The words are those of Go's HTTP client, which scripts look for.
    #[error("{method} \"{url}\": {reason}")]
    Unreachable {
        /// `Get`, `Put`, `Delete`, …
        method: String,
        /// The whole URL.
        url: String,
        /// `dial tcp 127.0.0.1:8500: connect: connection refused` and the like.
        reason: String,
    },
    /// No answer came in time.
    #[error("{method} \"{url}\": no answer within {}", registry_wire::duration::format(*after))]
    TimedOut {
        /// `Get`, `Put`, `Delete`, …
        method: String,
        /// The whole URL.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The registry answered with an error.
    #[error("Unexpected response code: {status} ({body})")]
    Status {
        /// The status code.
        status: u16,
        /// The text of the answer.
        body: String,
    },
    /// The answer is not of the expected shape.
    #[error("cannot read the registry's answer: {0}")]
    Decode(String),
}

impl RequestError {
    /// Whether the registry was not reached at all, as against having refused.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }
}

/// The words of the error that all others only wrap: what really happened, such as `Connection refused (os error 111)`.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
