//! `?dc=` of another datacenter: the request goes to a server of it as it came, and the answer comes back as it is.
//!
//! A datacenter that nobody has heard of is left to the endpoints, which refuse it where Consul does. Registrations name
//! their datacenter in the body.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_api::{Answer, ApiError, Body, BoxFuture, Serve, answer::Layout, body};
use link::calls;
use registry_wire::{options, query::Query};
use serde_json::Value;

use crate::{Registry, wan};

/// What stands before an error of a server elsewhere.
const FROM_AFAR: &str = "rpc error making call: ";
/// The one error with 404 whose text a server gives; others are made where they are asked for.
const NO_QUERY: &[u8] = b"Query not found";
/// What an error begins with that is about a number in the question, and so made where it is asked.
const UNREADABLE: &[u8] = b"strconv.";
/// The longest error.
const ERROR_BYTES_MAX: usize = 1 << 20;
/// The longest registration.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Paths whose body names the datacenter.
const BY_BODY: [&str; 2] = ["/v1/catalog/register", "/v1/catalog/deregister"];
/// Paths whose data belong to the primary datacenter: what is written is written there, whatever is asked for (as recorded).
const PRIMARY: [&str; 2] = ["/v1/config", "/v1/connect/intentions"];
/// Paths about all datacenters, or about this server alone.
const HERE: [&str; 7] = [
    "/v1/catalog/datacenters",
    "/v1/coordinate/datacenters",
    "/v1/operator/keyring",
    "/v1/operator/usage",
    "/v1/acl/",
    "/v1/peering",
    "/v1/agent/",
];

/// Routes of this datacenter, and the way to the others.
struct Everywhere {
    registry: Arc<Registry>,
    routes: Arc<dyn Serve>,
}

/// The routes, which answer for other datacenters too.
pub fn everywhere(registry: Arc<Registry>, routes: Arc<dyn Serve>) -> Arc<dyn Serve> {
    Arc::new(Everywhere { registry, routes })
}

impl Serve for Everywhere {
    fn serve(&self, mut request: Request<Body>) -> BoxFuture<Response<Body>> {
        let registry = &self.registry;
        if let Some(mistaken) = wan::mistaken(registry, request.headers()) {
            return Box::pin(async { mistaken });
        }
        // It has arrived; the leader that it may go on to is another server.
        let from_afar = request.headers_mut().remove(calls::WAN_TARGET_HEADER).is_some();
        let path = request.uri().path();
        let begins = |with: &[&str]| with.iter().any(|prefix| path.starts_with(prefix));
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(primary) = registry.settings().primary.clone().filter(|_| writes && begins(&PRIMARY)) {
            let registry = registry.clone();
            // Two datacenters that each take the other for the primary one would send it to and fro.
            return Box::pin(async move {
                match from_afar {
                    false => elsewhere(&registry, &primary, request).await,
                    true => failed(&format!(
                        "this datacenter's primary_datacenter is {primary}; nothing is written here"
                    )),
                }
            });
        }
        // Most fleets are one server of one datacenter: nothing is read for them.
        if !registry.wan().has_others() {
            return self.routes.serve(request);
        }
        if request.method() == Method::PUT && BY_BODY.contains(&path) {
            return Box::pin(by_body(registry.clone(), self.routes.clone(), request));
        }
        if BY_BODY.contains(&path) || begins(&HERE) || writes && begins(&PRIMARY) {
            return self.routes.serve(request);
        }
        match named_in(&request).filter(|datacenter| registry.wan().knows(datacenter)) {
            Some(datacenter) => {
                let registry = registry.clone();
                Box::pin(async move { elsewhere(&registry, &datacenter, request).await })
            }
            None => self.routes.serve(request),
        }
    }

    fn knows(&self, path: &str) -> bool {
        self.routes.knows(path)
    }
}

/// The datacenter that a request's query string names.
pub(crate) fn named_in(request: &Request<Body>) -> Option<String> {
    let query = Query::parse(request.uri().query()?).ok()?;
    options::datacenter(&query)
}

/// A registration, wherever its body says.
async fn by_body(registry: Arc<Registry>, routes: Arc<dyn Serve>, request: Request<Body>) -> Response<Body> {
    let (head, mut sent) = request.into_parts();
    let Ok(bytes) = body::collect(&mut sent, BODY_BYTES_MAX).await else {
        return failed("the request's body breaks off");
    };
    let named = named(&bytes).filter(|datacenter| registry.wan().knows(datacenter));
    let request = Request::from_parts(head, body::full(bytes));
    match named {
        Some(datacenter) => elsewhere(&registry, &datacenter, request).await,
        None => routes.serve(request).await,
    }
}

/// The datacenter that a registration names. What cannot be read is for the endpoint to refuse.
fn named(bytes: &Bytes) -> Option<String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else { return None };
    let (_, named) = fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("Datacenter"))?;
    named.as_str().map(str::to_owned)
}

/// The answer of another datacenter.
pub(crate) async fn elsewhere(
    registry: &Registry,
    datacenter: &str,
    request: Request<Body>,
) -> Response<Body> {
    match registry.wan().call(datacenter, request).await {
        Ok(answer)
            if matches!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR | StatusCode::NOT_FOUND) =>
        {
            from_afar(answer).await
        }
        Ok(answer) => answer,
        Err(error) => failed(&error.to_string()),
    }
}

/// An error says where it comes from.
async fn from_afar(answer: Response<Body>) -> Response<Body> {
    let (mut head, mut sent) = answer.into_parts();
    let Ok(text) = body::collect(&mut sent, ERROR_BYTES_MAX).await else {
        return failed(&format!("{FROM_AFAR}EOF"));
    };
    let made_there = match head.status {
        StatusCode::NOT_FOUND => *text == *NO_QUERY,
        _ => !text.starts_with(UNREADABLE),
    };
    if !made_there || is_encoded(&head.headers) {
        return Response::from_parts(head, body::full(text));
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body::full([FROM_AFAR.as_bytes(), &text].concat()))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_ENCODING)
}

fn failed(text: &str) -> Response<Body> {
    Answer::from(ApiError::internal(text.to_owned())).into_endpoint_response(Layout::Compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_names_its_datacenter_in_any_spelling() {
        let named = |text: &'static str| named(&Bytes::from_static(text.as_bytes()));
        assert_eq!(named(r#"{"Node":"a","Datacenter":"dc2"}"#).as_deref(), Some("dc2"));
        assert_eq!(named(r#"{"datacenter":"dc2"}"#).as_deref(), Some("dc2"));
        for other in ["", "[]", "{}", r#"{"Datacenter":7}"#, r#"{"Service":{"Datacenter":"dc2"}}"#] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
