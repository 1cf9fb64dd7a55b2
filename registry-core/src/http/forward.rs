//! Requests that this server may not answer itself go to the leader, whole, as agents hand theirs on.
//!
//! Answered here: what asks for `?stale`, what concerns this server alone, and everything while it leads. The rest goes to
//! the leader over the link. While nobody leads, or the leader ends under a request, it waits for the next one, up to
//! `rpc_hold_timeout`. A read is simply asked again; a write carries an id, and the state knows which were made.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_api::{Answer, ApiError, Body, BoxFuture, Forwarded, Serve, answer::Layout, body};
use http_body::Body as _;
use link::calls::{HOLD_HEADER, LEADER_HEADER, UNSERVED_HEADER};
use registry_wire::{
    options::{Consistency, ReadOptions},
    query::Query,
};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    Registry, Role,
    asked::{self, REQUEST_HEADER},
};

/// A body up to this size is kept until its answer is there; a longer one is sent once.
const KEPT_BYTES_MAX: usize = 2 << 20;
/// When a leader that could not be reached, or did not lead, is asked again.
const AGAIN: Duration = Duration::from_millis(25);
/// What a server says that has nobody to ask.
const NO_LEADER: &str = "No cluster leader";

/// Routes of which only the leader answers most.
struct Forwarding(Arc<Forward>);

struct Forward {
    registry: Arc<Registry>,
    routes: Arc<dyn Serve>,
}

/// The routes, answered by the leader where they must be.
pub fn to_leader(registry: Arc<Registry>, routes: Arc<dyn Serve>) -> Arc<dyn Serve> {
    Arc::new(Forwarding(Arc::new(Forward { registry, routes })))
}

impl Serve for Forwarding {
    fn serve(&self, request: Request<Body>) -> BoxFuture<Response<Body>> {
        let forward = &self.0;
        let serving = forward.registry.leadership().is_serving();
        let marked = request.headers().contains_key(LEADER_HEADER);
        if serving && !marked && asked::id_of(request.headers()).is_none() {
            return forward.routes.serve(request);
        }
        if !serving && forward.answered_here(&request) {
            return forward.routes.serve(request);
        }
        let forward = forward.clone();
        Box::pin(async move {
            let routes = forward.routes.clone();
            let here = move |request| routes.serve(request);
            answer(&forward.registry, request, here).await
        })
    }

    fn knows(&self, path: &str) -> bool {
        self.0.routes.knows(path)
    }
}

impl Forward {
    /// Whether a server that does not lead answers this.
    fn answered_here(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let own = ["/v1/status/", "/v1/catalog/datacenters", "/v1/agent/"];
        let is_own = own.iter().any(|own| path.starts_with(own)) && path != "/v1/agent/connect/ca/roots";
        if is_own || !self.routes.knows(path) {
            return true;
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let query = Query::parse(request.uri().query().unwrap_or_default());
        // What cannot be read is refused by any server.
        let Ok(asked) = query.map(|query| ReadOptions::parse(&query, request.headers())) else { return true };
        let Ok(asked) = asked else { return true };
        let stale = reads && asked.consistency == Consistency::Stale;
        let contact = self.registry.leadership().contact();
        stale && asked.max_stale.is_none_or(|most| contact.is_some_and(|ago| ago <= most))
    }
}

/// Answers a request `here` if this server leads, else by the one that does.
pub(crate) async fn answer<F>(
    registry: &Registry,
    request: Request<Body>,
    here: impl Fn(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    // Another server takes this one for the leader; only it may know better.
    let from_server = request.headers().contains_key(LEADER_HEADER);
    let end = Instant::now() + hold(registry, &request);
    let (head, mut sent) = match Sent::of(request, registry.servers().id()).await {
        Ok(parts) => parts,
        Err(error) => return Answer::from(error).into_endpoint_response(Layout::Compact),
    };
    let mut leadership = registry.leadership().clone();
    loop {
        let role = leadership.role();
        let Some(request) = sent.request(&head) else { return unserved(&head) };
        let answered = if role.serving {
            let answer = match asked::id_of(&head.headers) {
                Some(id) => asked::under(id, here(request)).await,
                None => here(request).await,
            };
            Some(answer)
        } else if from_server {
            return not_leading();
        } else {
            ask(registry, &role, request, end, sent.may_be_repeated()).await
        };
        match answered {
            // A question that waits is answered early by a leader that ends; the next one knows better.
            Some(_) if from_server && head.method == Method::GET && registry.shutdown().is_requested() => {
                return not_leading();
            }
            Some(answer) if !(from_server && nobody_leads(&answer)) => return answer,
            Some(_) => return not_leading(),
            None => {}
        }
        if Instant::now() >= end || registry.shutdown().is_requested() {
            return unserved(&head);
        }
        let news = async {
            tokio::select! {
                _ = leadership.changed() => {}
                // The leader may only have to be dialled again.
                () = sleep(AGAIN), if role.leader.is_some() => {}
            }
        };
        let _ = timeout_at(end, news).await;
    }
}

/// Asks the leader; `None` when nobody has answered, and the request may be sent again if it still can be.
async fn ask(
    registry: &Registry,
    role: &Role,
    request: Request<Body>,
    end: Instant,
    repeatable: bool,
) -> Option<Response<Body>> {
    let address = timeout_at(end, link::resolve(role.leader.as_deref()?)).await.ok()?.ok()?;
    let link = registry.links().to(address);
    let mut leadership = registry.leadership().clone();
    let replaced = async {
        loop {
            let next = leadership.changed().await;
            if next.id != 0 && next.id != role.id {
                return;
            }
        }
    };
    let answer = tokio::select! {
        answer = link.call(request) => answer,
        // Whatever the old leader does with it, the new one knows whether it was made.
        () = replaced, if repeatable => return None,
    };
    match answer {
        Ok(answer) if answer.status() == StatusCode::MISDIRECTED_REQUEST => None,
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::debug!(target: "agent.server", %error, "the leader does not answer");
            let lost = error.may_have_been_sent() && !repeatable;
            lost.then(|| {
                Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "rpc error making call: EOF".to_owned())
                    .into_response(Layout::Compact)
            })
        }
    }
}

/// A request's body, as often as it can be sent.
enum Sent {
    /// As often as need be: a read, or a write with an id.
    Kept(Bytes),
    /// Once; then it is gone.
    Once(Option<Body>),
}

impl Sent {
    /// Takes the request apart, and marks it for the leader.
    async fn of(request: Request<Body>, us: u64) -> Result<(Parts, Self), ApiError> {
        let (mut head, mut body) = request.into_parts();
        head.headers.insert(LEADER_HEADER, us.into());
        if matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok((head, Self::Kept(Bytes::new())));
        }
        let fits = body.size_hint().upper().is_some_and(|bytes| bytes <= KEPT_BYTES_MAX as u64);
        if !fits {
            return Ok((head, Self::Once(Some(body))));
        }
        let bytes = body::collect(&mut body, KEPT_BYTES_MAX).await;
        let bytes = bytes.map_err(|error| ApiError::bad_request(error.to_string()))?;
        if !head.headers.contains_key(REQUEST_HEADER) {
            let id = uuid::Uuid::new_v4().to_string();
            head.headers.insert(REQUEST_HEADER, HeaderValue::try_from(id).expect("a UUID is a header"));
        }
        Ok((head, Self::Kept(bytes)))
    }

    fn request(&mut self, head: &Parts) -> Option<Request<Body>> {
        let body = match self {
            Self::Kept(bytes) => body::full(bytes.clone()),
            Self::Once(body) => body.take()?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        *request.extensions_mut() = head.extensions.clone();
        Some(request)
    }

    fn may_be_repeated(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// How long this request may wait for a leader.
fn hold(registry: &Registry, request: &Request<Body>) -> Duration {
    let most = registry.leadership().hold();
    let wished = request.headers().get(HOLD_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    wished.map_or(most, |wished| most.min(Duration::from_millis(wished)))
}

/// Whether an answer says that nothing was done, for nobody leads.
fn nobody_leads(answer: &Response<Body>) -> bool {
    answer.headers().contains_key(UNSERVED_HEADER)
        || (answer.status() == StatusCode::INTERNAL_SERVER_ERROR
            && answer.headers().get(header::CONTENT_LENGTH).is_none_or(|length| length == "17")
            && answer.body().size_hint().exact() == Some(NO_LEADER.len() as u64))
}

fn not_leading() -> Response<Body> {
    let mut answer = Response::new(body::full("this server does not lead"));
    *answer.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    answer
}

fn unserved(head: &Parts) -> Response<Body> {
    let mut answer = Answer::from(ApiError::internal(NO_LEADER)).into_endpoint_response(Layout::Compact);
    // For agents and servers, which may ask another one; clients know the words.
    if head.extensions.get::<Forwarded>().is_some() || head.headers.contains_key(HOLD_HEADER) {
        answer.headers_mut().insert(UNSERVED_HEADER, HeaderValue::from_static("1"));
    }
    answer
}
