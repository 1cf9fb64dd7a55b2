//! Asking other servers, and answering them.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_api::body;
use link::{
    LinkError,
    calls::{self, CLUSTER_HEADER, Hello, TARGET_HEADER, VERSION_HEADER},
};
use serde::Serialize;
use tokio::time::timeout;

use super::Servers;
use crate::links::{self, AnswerFailed};

/// How long another server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why another server's wish is not met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It is of no use to ask again as it is.
    #[error("{0}")]
    Unfit(String),
    /// Nobody leads now, or the log did not take it: ask again.
    #[error("{0}")]
    NotNow(String),
}

/// Why another server has not done what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFailed {
    #[error(transparent)]
    Link(LinkError),
    #[error("no answer within {} s", ANSWER_LIMIT.as_secs())]
    Late,
    #[error("{text}")]
    Refused { status: StatusCode, text: String },
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
    #[error("cannot find its address: {0}")]
    Address(#[from] std::io::Error),
}

impl From<AnswerFailed> for CallFailed {
    fn from(failed: AnswerFailed) -> Self {
        match failed {
            AnswerFailed::Link(error) => Self::Link(error),
            AnswerFailed::Refused { status, text } => Self::Refused { status, text },
            AnswerFailed::BrokeOff(why) => Self::Unreadable(why),
        }
    }
}

impl Servers {
    /// Asks the server at an address; the body of its answer.
    pub(super) async fn call(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        said: &impl Serialize,
    ) -> Result<Bytes, CallFailed> {
        let bytes = serde_json::to_vec(said).expect("the calls' shapes are plain data");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(VERSION_HEADER, calls::VERSION)
            .header(CLUSTER_HEADER, &*self.identity.cluster())
            .header(TARGET_HEADER, "")
            .body(body::full(bytes))
            .expect("our paths and ids fit a request");
        let link = self.links.to(address);
        let asked = links::ask(&link, request, ANSWER_BYTES_MAX);
        let Ok(answered) = timeout(ANSWER_LIMIT, asked).await else {
            link.give_up();
            return Err(CallFailed::Late);
        };
        Ok(answered?)
    }

    /// Tells the server at an address which servers this one knows, and learns which that one knows.
    pub(super) async fn hello(&self, address: SocketAddr) -> Result<Hello, CallFailed> {
        let answer = self.call(address, Method::PUT, calls::HELLO, &self.known().await).await?;
        let hello: Hello =
            serde_json::from_slice(&answer).map_err(|e| CallFailed::Unreadable(e.to_string()))?;
        self.learn(&hello).map_err(|refused| {
            let text = refused.to_string();
            CallFailed::Refused { status: StatusCode::CONFLICT, text }
        })?;
        Ok(hello)
    }

    /// Answers another server's hello.
    pub(crate) async fn answer_hello(&self, headers: &HeaderMap, hello: &Hello) -> Result<Hello, Refused> {
        speaks(headers)?;
        self.learn(hello)?;
        Ok(self.known().await)
    }
}

/// Refuses a caller of another age.
pub(super) fn speaks(headers: &HeaderMap) -> Result<(), Refused> {
    let theirs = headers.get(VERSION_HEADER).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    if calls::speak(calls::VERSION, theirs) {
        return Ok(());
    }
    let ours = calls::VERSION;
    Err(Refused::Unfit(format!("the caller speaks version {theirs} of the calls, this server {ours}")))
}
