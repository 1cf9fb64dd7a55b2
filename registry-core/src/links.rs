//! The connections to other servers: one to each, for all that is said between them but snapshots; and what they answer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_api::{Body, body};
use link::{Link, LinkError, Network};

/// The connections, by address; clones share them. One that nobody holds any more goes when another is asked for.
#[derive(Clone)]
pub(crate) struct Links {
    network: Arc<dyn Network>,
    known: Arc<Mutex<HashMap<SocketAddr, Arc<Link>>>>,
}

/// So many connections may stay that nobody holds.
const KEPT: usize = 64;

impl Links {
    /// Connections over this network.
    pub(crate) fn over(network: Arc<dyn Network>) -> Self {
        Self { network, known: Arc::default() }
    }

    /// The connection to this address.
    pub(crate) fn to(&self, address: SocketAddr) -> Arc<Link> {
        let mut links = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if links.len() > KEPT {
            links.retain(|_, link| Arc::strong_count(link) > 1);
        }
        links.entry(address).or_insert_with(|| Arc::new(self.own(address))).clone()
    }

    /// What the connections run over.
    pub(crate) fn network(&self) -> &Arc<dyn Network> {
        &self.network
    }

    /// A connection that is shared with nobody.
    pub(crate) fn own(&self, address: SocketAddr) -> Link {
        Link::over(self.network.clone(), address)
    }
}

/// Why a server has not answered as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerFailed {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{status}: {text}")]
    Refused { status: StatusCode, text: String },
    #[error("its answer broke off: {0}")]
    BrokeOff(String),
}

/// Asks the server at the end of a link; the body of its answer, of so many bytes at most.
pub(crate) async fn ask(
    link: &Link,
    request: Request<Body>,
    bytes_max: usize,
) -> Result<Bytes, AnswerFailed> {
    whole(link.call(request).await?, bytes_max).await
}

/// The body of an answer that says that all is well.
pub(crate) async fn whole(answer: Response<Body>, bytes_max: usize) -> Result<Bytes, AnswerFailed> {
    let (head, mut sent) = answer.into_parts();
    let bytes = body::collect(&mut sent, bytes_max).await;
    let bytes = bytes.map_err(|error| AnswerFailed::BrokeOff(error.to_string()))?;
    if head.status == StatusCode::OK {
        return Ok(bytes);
    }
    Err(AnswerFailed::Refused { status: head.status, text: String::from_utf8_lossy(&bytes).into_owned() })
}
