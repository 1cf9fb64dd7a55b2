//! `translate_wan_addrs`: nodes and services of another datacenter are shown at their `wan` addresses.

use http::{Method, Request, Response, StatusCode, Uri, header};
use http_api::{Body, body};
use registry_wire::{options, query::Query};
use serde_json::{Map, Value};

/// What may be rewritten; a longer answer goes as it came.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Endpoints whose answers hold addresses (as recorded: the page's own do not change).
const PATHS: [&str; 8] = [
    "/v1/catalog/nodes",
    "/v1/catalog/node/",
    "/v1/catalog/node-services/",
    "/v1/catalog/service/",
    "/v1/catalog/connect/",
    "/v1/health/service/",
    "/v1/health/connect/",
    "/v1/health/ingress/",
];
/// Prepared queries say themselves where their answer is from.
const QUERY: &str = "/v1/query/";

/// What of an answer is another datacenter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// All of it.
    Whole,
    /// That is told by its `Datacenter`.
    IfItSays,
}

/// Whether the answer to a request can be another datacenter's than `own`.
pub(crate) fn foreign(request: &Request<Body>, own: &str) -> Option<Foreign> {
    if request.method() != Method::GET {
        return None;
    }
    let path = request.uri().path();
    if path.starts_with(QUERY) && path.ends_with("/execute") {
        return Some(Foreign::IfItSays);
    }
    let elsewhere = named_in(request.uri()).is_some_and(|datacenter| datacenter != own);
    (elsewhere && PATHS.iter().any(|with| path.starts_with(with))).then_some(Foreign::Whole)
}

fn named_in(uri: &Uri) -> Option<String> {
    options::datacenter(&Query::parse(uri.query()?).ok()?)
}

/// The answer with the addresses that others reach.
pub(crate) async fn translated(answer: Response<Body>, foreign: Foreign, own: &str) -> Response<Body> {
    if answer.status() != StatusCode::OK || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return answer;
    }
    let (mut head, mut sent) = answer.into_parts();
    let Ok(bytes) = body::collect(&mut sent, ANSWER_BYTES_MAX).await else {
        let text = "an answer of another datacenter breaks off";
        return Response::builder()
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .body(body::full(text))
            .expect("no header");
    };
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, body::full(bytes));
    };
    if foreign == Foreign::IfItSays && value["Datacenter"] == own {
        return Response::from_parts(head, body::full(bytes));
    }
    translate(&mut value);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body::full(registry_wire::json::to_vec(&value)))
}

fn translate(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(translate),
        Value::Object(fields) => {
            replace(fields, "TaggedAddresses", "Address", "Port");
            replace(fields, "ServiceTaggedAddresses", "ServiceAddress", "ServicePort");
            fields.values_mut().for_each(translate);
        }
        _ => {}
    }
}

/// Puts the `wan` address of these, and its port where there is one, into its place.
fn replace(fields: &mut Map<String, Value>, tagged: &str, address: &str, port: &str) {
    let Some(wan) = fields.get(tagged).and_then(|tagged| tagged.get("wan")).cloned() else { return };
    let (at, at_port) = match &wan {
        Value::Object(wan) => (wan.get("Address").cloned(), wan.get("Port").cloned()),
        _ => (Some(wan), None),
    };
    if let Some(at) = at.filter(|at| at.as_str().is_some_and(|at| !at.is_empty())) {
        fields.insert(address.to_owned(), at);
        if let Some(at_port) = at_port.filter(|port| port.as_u64() > Some(0)) {
            fields.insert(port.to_owned(), at_port);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn get(target: &str) -> Request<Body> {
        Request::get(target).body(body::empty()).unwrap()
    }

    #[test]
    fn only_what_another_datacenter_says_of_addresses_is_translated() {
        for target in ["/v1/health/service/web?dc=dc2", "/v1/catalog/nodes?stale&dc=dc2"] {
            assert_eq!(foreign(&get(target), "dc1"), Some(Foreign::Whole), "{target}");
        }
        assert_eq!(foreign(&get("/v1/query/a/execute"), "dc1"), Some(Foreign::IfItSays));
        for target in [
            "/v1/health/service/web?dc=dc1",
            "/v1/health/service/web",
            "/v1/kv/a?dc=dc2",
            "/v1/query/a?dc=dc2",
        ] {
            assert_eq!(foreign(&get(target), "dc1"), None, "{target}");
        }
    }

    #[test]
    fn nodes_and_services_are_shown_at_their_wan_addresses() {
        let mut value = json!([{
            "Node": {"Address": "10.2.0.1", "TaggedAddresses": {"wan": "99.0.0.1", "lan": "10.2.0.1"}},
            "Service": {"Address": "", "Port": 80, "TaggedAddresses": {"wan": {"Address": "99.9.9.9", "Port": 8080}}},
        }, {
            "Address": "10.3.0.1", "TaggedAddresses": null,
            "ServiceAddress": "10.3.0.2", "ServicePort": 80,
            "ServiceTaggedAddresses": {"wan": {"Address": "99.8.8.8", "Port": 0}},
        }]);
        translate(&mut value);
        assert_eq!(value[0]["Node"]["Address"], "99.0.0.1");
        assert_eq!(
            (&value[0]["Service"]["Address"], &value[0]["Service"]["Port"]),
            (&json!("99.9.9.9"), &json!(8080))
        );
        assert_eq!(
            (&value[1]["Address"], &value[1]["ServiceAddress"]),
            (&json!("10.3.0.1"), &json!("99.8.8.8"))
        );
        assert_eq!(value[1]["ServicePort"], 80);
    }
}
