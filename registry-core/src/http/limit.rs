//! `limits.request_limits`: how many requests this registry answers in all, whoever asks.
//!
//! Reads and writes have a rate each, and may come ten times as often at once. What tells how the cluster is, and what the
//! operator needs to mend it, is never refused.

use std::sync::Arc;

use agent::config::{LimitMode, RequestLimits};
use http::{Method, Request, Response, StatusCode};
use http_api::{Answer, ApiError, Body, BoxFuture, Rate, Serve, answer::Layout};
use metrics::counter;

/// The path of transactions.
const TRANSACTION: &str = "/v1/txn";
/// How many times a second's requests may come at once.
const BURST: f64 = 10.0;

/// Routes behind the limits.
struct Limited {
    routes: Arc<dyn Serve>,
    rates: Arc<Rates>,
}

/// How many requests may come. Goes with those whose body decides what they are.
struct Rates {
    enforcing: bool,
    reads: Rate,
    writes: Rate,
}

/// The routes within these limits.
pub fn within(limits: RequestLimits, routes: Arc<dyn Serve>) -> Arc<dyn Serve> {
    if limits.mode == LimitMode::Disabled {
        return routes;
    }
    let rate = |a_second: f64| Rate::new(a_second, a_second * BURST);
    let rates = Rates {
        enforcing: limits.mode == LimitMode::Enforcing,
        reads: rate(limits.read_rate),
        writes: rate(limits.write_rate),
    };
    Arc::new(Limited { routes, rates: Arc::new(rates) })
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    /// Not limited.
    Free,
    /// A transaction, which is a read or a write by its operations.
    Transaction,
}

impl Kind {
    fn of(method: &Method, path: &str) -> Self {
        let free = ["/v1/status/", "/v1/operator/", "/v1/snapshot"];
        match *method {
            _ if free.iter().any(|prefix| path.starts_with(prefix)) => Self::Free,
            Method::PUT if path == TRANSACTION => Self::Transaction,
            Method::GET | Method::HEAD => Self::Read,
            Method::OPTIONS => Self::Free,
            _ => Self::Write,
        }
    }
}

impl Rates {
    /// Why a request is not answered.
    fn refusal(&self, kind: Kind, method: &Method, path: &str) -> Option<ApiError> {
        let (rate, name) = match kind {
            Kind::Free | Kind::Transaction => return None,
            Kind::Read => (&self.reads, "global/read"),
            Kind::Write => (&self.writes, "global/write"),
        };
        if rate.admits() {
            return None;
        }
        let mode = if self.enforcing { "enforcing" } else { "permissive" };
        counter!("rpc.rate_limit.exceeded", "limit_type" => name, "mode" => mode).increment(1);
        tracing::debug!(
            target: "agent.server.rpc-rate-limit",
            %method,
            path,
            limit_type = name,
            limit_enforced = self.enforcing,
            "RPC exceeded allowed rate limit"
        );
        self.enforcing.then(|| refused(kind))
    }
}

/// Counts a transaction as what it is. Errors when there were too many.
pub(super) fn count_transaction(extensions: &http::Extensions, writes: bool) -> Result<(), ApiError> {
    let Some(rates) = extensions.get::<Arc<Rates>>() else { return Ok(()) };
    let kind = if writes { Kind::Write } else { Kind::Read };
    rates.refusal(kind, &Method::PUT, TRANSACTION).map_or(Ok(()), Err)
}

fn refused(kind: Kind) -> ApiError {
    if kind == Kind::Write {
        let text =
            "rate limit exceeded for operation that can only be performed by the leader, try again later";
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let text = "rate limit exceeded, try again later or against a different server";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, text)
}

impl Serve for Limited {
    fn serve(&self, mut request: Request<Body>) -> BoxFuture<Response<Body>> {
        let kind = Kind::of(request.method(), request.uri().path());
        if kind == Kind::Transaction {
            request.extensions_mut().insert(self.rates.clone());
        }
        match self.rates.refusal(kind, request.method(), request.uri().path()) {
            None => self.routes.serve(request),
            Some(error) => {
                let answer = Answer::from(error).into_endpoint_response(Layout::Compact);
                Box::pin(async { answer })
            }
        }
    }

    fn knows(&self, path: &str) -> bool {
        self.routes.knows(path)
    }
}

#[cfg(test)]
mod tests {
    use http_api::body;

    use super::*;

    struct Fine;

    impl Serve for Fine {
        fn serve(&self, _: Request<Body>) -> BoxFuture<Response<Body>> {
            Box::pin(async { Response::new(body::empty()) })
        }
    }

    async fn statuses(mode: LimitMode, method: Method, path: &str, count: usize) -> Vec<u16> {
        let limits = RequestLimits { mode, read_rate: 0.2, write_rate: 0.1 };
        let routes = within(limits, Arc::new(Fine));
        let mut statuses = Vec::new();
        for _ in 0..count {
            let request = Request::builder().method(&method).uri(path).body(body::empty()).unwrap();
            statuses.push(routes.serve(request).await.status().as_u16());
        }
        statuses
    }

    #[tokio::test]
    async fn reads_and_writes_have_their_rates_and_the_operator_none() {
        let enforcing = LimitMode::Enforcing;
        assert_eq!(statuses(enforcing, Method::GET, "/v1/kv/a", 3).await, [200, 200, 429]);
        assert_eq!(statuses(enforcing, Method::PUT, "/v1/kv/a", 2).await, [200, 503]);
        assert_eq!(statuses(enforcing, Method::GET, "/v1/status/leader", 3).await, [200; 3]);
        assert_eq!(statuses(LimitMode::Permissive, Method::GET, "/v1/kv/a", 3).await, [200; 3]);
        assert_eq!(statuses(LimitMode::Disabled, Method::PUT, "/v1/kv/a", 3).await, [200; 3]);
    }
}
