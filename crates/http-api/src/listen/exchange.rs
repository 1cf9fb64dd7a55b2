//! Requests and answers between hyper and whatever serves, and when a connection can do without hyper.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header::CONNECTION};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

use super::{patience::Spoke, wire::Blocked};
use crate::{Body, BoxFuture, Peer, Serve, body, body::BodyError};

/// What happens on a connection now.
#[derive(Default)]
enum Stage {
    /// A request is being read or answered, or a part of one may have been read.
    #[default]
    Busy,
    /// An answer for the next request is here already.
    Due(Response<Body>),
    /// A request waits for its answer and needs nothing else.
    Waiting(Waiting),
    /// The last answer is written, and no request has been read since.
    Idle,
}

/// A request whose answer may be long in coming.
pub(super) struct Waiting {
    /// The work on the answer.
    pub(super) answering: BoxFuture<Response<Body>>,
    /// What makes hyper write the answer to this request: its method, version and whether the connection stays.
    pub(super) head: Bytes,
    /// Whether the work has begun and could not be finished at once.
    begun: bool,
}

/// Why hyper is not needed for now.
pub(super) enum Pause {
    /// A request waits.
    Waiting(Waiting),
    /// No request is there.
    Idle,
}

/// What a connection and hyper's service of it share; clones share it.
#[derive(Clone, Default)]
pub(super) struct Exchange(Arc<Mutex<Stage>>);

impl Exchange {
    /// For a connection whose first request is answered with this.
    pub(super) fn new(due: Option<Response<Body>>) -> Self {
        Self(Arc::new(Mutex::new(due.map_or(Stage::Busy, Stage::Due))))
    }

    /// Whether the connection can go on without hyper, which has just run out of work. Ask only if it pauses then.
    pub(super) fn pause(&self, blocked: &Blocked, is_crowded: bool) -> Option<Pause> {
        if blocked.get() {
            return None;
        }
        let mut stage = self.stage();
        match std::mem::take(&mut *stage) {
            Stage::Waiting(waiting) if waiting.begun => Some(Pause::Waiting(waiting)),
            Stage::Idle if is_crowded => Some(Pause::Idle),
            other => {
                *stage = other;
                None
            }
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What hyper calls for each request of a connection.
pub(super) struct Desk {
    pub(super) exchange: Exchange,
    pub(super) service: Arc<dyn Serve>,
    pub(super) peer: Peer,
    /// To be set by each request.
    pub(super) spoke: Spoke,
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Told>;
    type Error = Infallible;
    type Future = Work;

    fn call(&self, request: Request<Incoming>) -> Work {
        self.spoke.set();
        let mut request = whole(request);
        let (exchange, is_whole) = (self.exchange.clone(), request.body().is_end_stream());
        let mut work = Work { exchange, answering: None, is_whole };
        if let Stage::Due(response) = std::mem::take(&mut *self.exchange.stage()) {
            work.answering = Some(Box::pin(std::future::ready(response)));
            return work;
        }
        request.extensions_mut().insert(self.peer);
        if is_whole && may_wait(&request) {
            let head = head_again(&request);
            let answering = self.service.serve(detached(request));
            *self.exchange.stage() = Stage::Waiting(Waiting { answering, head, begun: false });
        } else {
            work.answering = Some(self.service.serve(request));
        }
        work
    }
}

/// The work on one answer: its own, or, for a request that may wait, the exchange's.
pub(super) struct Work {
    exchange: Exchange,
    answering: Option<BoxFuture<Response<Body>>>,
    /// Whether nothing of the request is left to be read.
    is_whole: bool,
}

impl Work {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        if let Some(answering) = &mut self.answering {
            return answering.as_mut().poll(cx);
        }
        let mut stage = self.exchange.stage();
        let Stage::Waiting(waiting) = &mut *stage else {
            // Taken away to wait elsewhere: this connection of hyper's is about to be dropped.
            return Poll::Pending;
        };
        waiting.begun = true;
        let response = ready!(waiting.answering.as_mut().poll(cx));
        *stage = Stage::Busy;
        Poll::Ready(response)
    }
}

impl Future for Work {
    type Output = Result<Response<Told>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.poll_answer(cx));
        let exchange = self.is_whole.then(|| self.exchange.clone());
        Poll::Ready(Ok(response.map(|body| Told { body, exchange })))
    }
}

/// A body that tells the exchange when hyper has taken all of it.
pub(super) struct Told {
    body: Body,
    exchange: Option<Exchange>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            *exchange.stage() = Stage::Idle;
        }
    }
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request with its body as handlers read it.
pub(super) fn whole(request: Request<Incoming>) -> Request<Body> {
    let version = request.version();
    request.map(|incoming| match incoming.is_end_stream() {
        true => body::empty(),
        false => body::arriving(version, incoming),
    })
}

/// Whether a request looks like a blocking query. One that does not may wait all the same, only with more memory.
fn may_wait(request: &Request<Body>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.uri().query().is_some_and(|query| query.contains("index=") || query.contains("hash="))
}

/// A request of the same method, version and wish to keep the connection.
fn head_again(request: &Request<Body>) -> Bytes {
    let mut head = format!("{} / {:?}\r\n", request.method(), request.version()).into_bytes();
    for wish in request.headers().get_all(CONNECTION) {
        head.extend_from_slice(b"Connection: ");
        head.extend_from_slice(wish.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// The request with a copy of its text, which is a part of hyper's read buffer and would keep all of that.
fn detached(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    if let Ok(uri) = Uri::try_from(head.uri.to_string()) {
        head.uri = uri;
    }
    for value in head.headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
    }
    Request::from_parts(head, body)
}
