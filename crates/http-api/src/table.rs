//! The table of endpoints: what answers where, to which methods.

use std::{
    collections::HashMap,
    future::{Future, ready},
    sync::Arc,
    time::Instant,
};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::ALLOW};
use registry_wire::{percent, query::Query};

use crate::{
    Answer, ApiError, Body, BoxFuture, Call, Peer, Serve,
    answer::{JSON, Layout, TEXT},
    path,
    timer::Timer,
};

/// Tells an agent, in the answer to a [`Forwarded`] request, which endpoint answered: `v1_kv_`.
pub const ENDPOINT: HeaderName = HeaderName::from_static("x-ryo-endpoint");

/// An extension of requests that another agent handed on: that agent times them, and wants to know [`ENDPOINT`].
#[derive(Clone, Copy, Debug)]
pub struct Forwarded;

/// The most slashes a path of a table can have.
const DEPTH_MAX: usize = 8;

/// Calls one endpoint's handler.
type Handler<C> = Arc<dyn Fn(C, Call) -> BoxFuture<Result<Answer, ApiError>> + Send + Sync>;

struct Endpoint<C> {
    handler: Handler<C>,
    /// What the handler gets; empty means that it looks at the method itself.
    methods: &'static [Method],
    /// `OPTIONS,GET,PUT`
    allow: String,
    timer: Timer,
}

impl<C> Endpoint<C> {
    /// Whether the table checks the method.
    fn checks(&self) -> bool {
        !self.methods.is_empty()
    }
}

/// Endpoints by path. `C` is what every handler gets besides its [`Call`]; cloned for each request.
pub struct Table<C> {
    endpoints: HashMap<&'static str, Arc<Endpoint<C>>>,
    /// The most slashes that a path of the table has: prefixes are looked for no deeper.
    depth: usize,
    indented: bool,
}

impl<C: Clone + Send + Sync + 'static> Table<C> {
    /// An empty table; `indented` is `-dev`'s layout of JSON.
    pub fn new(indented: bool) -> Self {
        Self { endpoints: HashMap::new(), depth: 0, indented }
    }

    /// Adds an endpoint. A path that ends in a slash stands for everything below it; the longest one wins.
    ///
    /// Without `methods` the handler gets every request and answers OPTIONS and wrong methods itself.
    ///
    /// Panics if the path is in the table already, or has more than eight slashes.
    pub fn add<F, A>(&mut self, path: &'static str, methods: &'static [Method], handler: F) -> &mut Self
    where
        F: Fn(C, Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        let declared = methods.iter().fold("OPTIONS".to_owned(), |all, method| format!("{all},{method}"));
        let handler: Handler<C> = Arc::new(move |context, call| Box::pin(handler(context, call)));
        let endpoint = Endpoint { handler, methods, allow: declared, timer: Timer::new(path) };
        let old = self.endpoints.insert(path, Arc::new(endpoint));
        assert!(old.is_none(), "{path} is in the table twice");
        self.depth = self.depth.max(path.matches('/').count());
        assert!(self.depth <= DEPTH_MAX, "{path} has more slashes than a table looks for");
        self
    }

    /// The endpoint at a path and how long its prefix is; `Err` tells the path to redirect to, if there is one.
    fn find(&self, path: &str) -> Result<(&Arc<Endpoint<C>>, usize), Option<String>> {
        if let Some(endpoint) = self.endpoints.get(path) {
            return Ok((endpoint, path.len()));
        }
        let mut ends = [0; DEPTH_MAX];
        let slashes = path.match_indices('/').map(|(at, _)| at + 1).take(self.depth);
        let count = ends.iter_mut().zip(slashes).map(|(end, slash)| *end = slash).count();
        for end in ends[..count].iter().rev() {
            if let Some(endpoint) = self.endpoints.get(&path[..*end]) {
                return Ok((endpoint, *end));
            }
        }
        let with_slash = format!("{path}/");
        Err(self.endpoints.contains_key(with_slash.as_str()).then_some(with_slash))
    }

    /// Whether something answers at this path, be it with a redirect.
    pub fn knows(&self, path: &str) -> bool {
        !matches!(self.find(path), Err(None))
    }
}

/// A table with what its handlers need; cloning it copies pointers.
pub struct Router<C> {
    table: Arc<Table<C>>,
    context: C,
}

impl<C: Clone> Clone for Router<C> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), context: self.context.clone() }
    }
}

impl<C: Clone + Send + Sync + 'static> Router<C> {
    /// The router of this table.
    pub fn new(table: Table<C>, context: C) -> Self {
        Self { table: Arc::new(table), context }
    }

    /// Finds the endpoint and calls its handler; `Err` is an answer that needs none.
    fn begin(&self, request: Request<Body>) -> Result<Asked<C>, Box<Response<Body>>> {
        let start = Instant::now();
        let (head, body) = request.into_parts();
        let full_path = head.uri.path();
        let (endpoint, prefix) = match self.table.find(full_path) {
            Ok(found) => found,
            Err(Some(to)) => {
                let query = head.uri.query().map(|q| format!("?{q}")).unwrap_or_default();
                let answer = path::redirect(&head.method, StatusCode::TEMPORARY_REDIRECT, &(to + &query));
                return Err(Box::new(answer.into_response(Layout::Compact)));
            }
            Err(None) => return Err(Box::new(path::unknown(full_path).into_response(Layout::Compact))),
        };
        let endpoint = endpoint.clone();
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let layout = match &query {
            Ok(query) if query.has("pretty") => Layout::Pretty,
            _ if self.table.indented => Layout::Indented,
            _ => Layout::Compact,
        };
        let peer = head.extensions.get().copied();
        let forwarded = head.extensions.get::<Forwarded>().is_some();
        let (method, uri) = (head.method, head.uri);
        let outcome: BoxFuture<_> = match (query, percent::decode_path(&uri.path()[prefix..])) {
            (Err(_), _) => {
                Box::pin(ready(Err(ApiError::internal("").because("the query string cannot be read"))))
            }
            _ if endpoint.checks() && method == Method::OPTIONS => {
                Box::pin(ready(Ok(options(&endpoint.allow))))
            }
            _ if endpoint.checks() && !endpoint.methods.contains(&method) => {
                Box::pin(ready(Err(ApiError::method(&method, &endpoint.allow))))
            }
            (Ok(query), Ok(rest)) => {
                let (headers, extensions) = (head.headers, head.extensions);
                let call = Call { method: method.clone(), rest, query, headers, extensions, body };
                (endpoint.handler)(self.context.clone(), call)
            }
            (_, Err(_)) => Box::pin(ready(Err(ApiError::bad_request("400 Bad Request")))),
        };
        Ok(Asked { endpoint, method, uri, peer, forwarded, start, layout, outcome })
    }
}

/// What is held of a request while its handler works.
struct Asked<C> {
    endpoint: Arc<Endpoint<C>>,
    method: Method,
    uri: http::Uri,
    peer: Option<Peer>,
    forwarded: bool,
    start: Instant,
    layout: Layout,
    outcome: BoxFuture<Result<Answer, ApiError>>,
}

impl<C> Asked<C> {
    async fn answered(self) -> Response<Body> {
        let Self { endpoint, method, uri, peer, forwarded, start, layout, outcome } = self;
        let answer = outcome.await.unwrap_or_else(|error| {
            log(&method, &uri, peer, &error);
            error.into()
        });
        let mut response = answer.into_endpoint_response(layout);
        log_end(&method, &uri, peer, start);
        if forwarded {
            let name =
                HeaderValue::from_str(endpoint.timer.name()).expect("paths of a table are header text");
            response.headers_mut().insert(ENDPOINT, name);
        } else {
            endpoint.timer.took(&method, start);
        }
        response
    }
}

impl<C: Clone + Send + Sync + 'static> Serve for Router<C> {
    fn serve(&self, request: Request<Body>) -> BoxFuture<Response<Body>> {
        match self.begin(request) {
            Ok(asked) => Box::pin(asked.answered()),
            Err(response) => Box::pin(ready(*response)),
        }
    }

    fn knows(&self, path: &str) -> bool {
        self.table.knows(path)
    }
}

fn options(allow: &str) -> Answer {
    let allow = allow.parse().expect("method names are header text");
    Answer::bytes(JSON, "").with(ALLOW, allow)
}

/// Says at `debug` what was asked and how long it took; a request over the link is told by the agent that had it.
fn log_end(method: &Method, uri: &http::Uri, peer: Option<Peer>, start: Instant) {
    // Most logs do not want it, and putting the words together costs as much as a small answer.
    if peer.is_none() || !tracing::enabled!(target: "agent.http", tracing::Level::DEBUG) {
        return;
    }
    let nanos = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
    let (url, from, latency) =
        (without_token(uri), address(peer), registry_wire::duration::format_nanos(nanos));
    tracing::debug!(target: "agent.http", %method, url, from, latency, "Request finished");
}

fn address(peer: Option<Peer>) -> String {
    match peer {
        Some(Peer::Tcp(address)) => address.to_string(),
        _ => String::new(),
    }
}

fn log(method: &Method, uri: &http::Uri, peer: Option<Peer>, error: &ApiError) {
    let (url, from) = (without_token(uri), address(peer));
    let text = error.log.as_deref().unwrap_or(&error.text);
    if error.status.is_server_error() {
        tracing::error!(target: "agent.http", %method, url, from, error = text, "Request error");
    } else {
        tracing::debug!(target: "agent.http", %method, url, from, error = text, "Request error");
    }
}

/// A request's address as it may stand in a log.
fn without_token(uri: &http::Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let shown = query.split('&').map(|part| if part.starts_with("token=") { "token=<hidden>" } else { part });
    format!("{}?{}", uri.path(), shown.collect::<Vec<_>>().join("&"))
}

/// An answer for a path that no table knows, for a program that has none to ask.
pub fn unknown_path(path: &str) -> Response<Body> {
    let answer = path::unknown(path);
    debug_assert_eq!(answer.headers.get(http::header::CONTENT_TYPE), Some(&TEXT));
    answer.into_response(Layout::Compact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    async fn ask(method: &str, target: &str) -> (u16, String, String) {
        let mut table = Table::<&'static str>::new(false);
        table.add("/v1/kv/", &[Method::GET, Method::PUT], |context, call: Call| async move {
            Ok(Answer::json(&[context, &call.name()]))
        });
        table.add("/v1/x", &[Method::GET], |_, call: Call| async move {
            Err(ApiError::bad_request(call.name_or("none")?))
        });
        let router = Router::new(table, "ctx");
        let request = Request::builder().method(method).uri(target).body(body::empty()).unwrap();
        let (head, body) = router.serve(request).await.into_parts();
        let allow = head.headers.get(ALLOW).or(head.headers.get(http::header::LOCATION));
        let allow = allow.map_or("", |v| v.to_str().unwrap()).to_owned();
        let bytes = body::collect(&mut { body }, 1000).await.unwrap();
        (head.status.as_u16(), allow, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn finds_endpoints_and_says_what_is_allowed() {
        assert_eq!(ask("GET", "/v1/kv/a%2Fb/c").await, (200, String::new(), r#"["ctx","a/b/c"]"#.into()));
        assert_eq!(ask("GET", "/v1/kv/a?pretty").await.2, "[\n    \"ctx\",\n    \"a\"\n]\n");
        assert_eq!(
            ask("POST", "/v1/kv/a").await,
            (405, "OPTIONS,GET,PUT".into(), "method POST not allowed".into())
        );
        assert_eq!(ask("OPTIONS", "/v1/x").await, (200, "OPTIONS,GET".into(), String::new()));
        assert_eq!(ask("GET", "/v1/x").await, (400, String::new(), "none".into()));
        for method in ["GET", "POST", "OPTIONS"] {
            assert_eq!(ask(method, "/v1/kv/a?%zz").await, (500, String::new(), String::new()), "{method}");
        }
    }

    #[tokio::test]
    async fn unknown_paths_say_so_and_missing_slashes_are_added() {
        assert_eq!(ask("PUT", "/v1/kv?recurse").await, (307, "/v1/kv/?recurse".into(), String::new()));
        assert_eq!(
            ask("GET", "/v1/kv").await,
            (307, "/v1/kv/".into(), "<a href=\"/v1/kv/\">Temporary Redirect</a>.\n\n".into())
        );
        assert!(ask("GET", "/v1/x/y").await.2.ends_with("not a recognized HTTP API endpoint\n"));
        assert!(ask("GET", "/v2/kv/a").await.2.ends_with("ensure the path starts with '/v1/'\n"));
    }

    #[test]
    fn tokens_do_not_reach_the_log() {
        let uri = "/v1/kv/a?recurse&token=secret".parse().unwrap();
        assert_eq!(without_token(&uri), "/v1/kv/a?recurse&token=<hidden>");
    }
}
