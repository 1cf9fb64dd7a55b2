//! One request and its answer.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::error::RequestError;

/// A request before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: &'static str,
    /// The path with everything escaped that must be: `/v1/kv/a%20b`.
    pub path: String,
    /// Parameters; one with an empty value is sent as `name=`, as Consul's own client does.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The longest time to wait for the answer; `None` for the client's usual limit.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request without parameters and body.
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: Bytes::new(), timeout: None }
    }

    /// `GET` of a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// `PUT` to a path.
    pub fn put(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new("PUT", path) }
    }

    /// `DELETE` of a path.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// The path of a key: every byte that a path cannot hold is escaped, slashes stay; one leading slash is dropped.
    pub fn kv_path(key: &str) -> String {
        format!("/v1/kv/{}", escape(key.strip_prefix('/').unwrap_or(key), Place::Path))
    }

    /// A path with one more name behind it, slashes in the name escaped: `("/v1/catalog/node", "a/b")`.
    pub fn path_to(folder: &str, name: &str) -> String {
        format!("{folder}/{}", escape(name, Place::Name))
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a parameter unless its value is empty.
    #[must_use]
    pub fn with_unless_empty(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }

    /// Path and parameters as they stand in the URL; parameters by their names, as Go's client orders them.
    pub fn path_and_query(&self) -> String {
        let mut out = self.path.clone();
        let mut query: Vec<_> = self.query.iter().collect();
        query.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut separator = '?';
        for (name, value) in query {
            out.push(separator);
            out.push_str(&escape(name, Place::Query));
            out.push('=');
            out.push_str(&escape(value, Place::Query));
            separator = '&';
        }
        out
    }
}

/// Where in a URL a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A path, with its slashes.
    Path,
    /// One part of a path.
    Name,
    /// A parameter's name or value.
    Query,
}

/// Escapes what may not stand as it is in that place (RFC 3986 §3.3 and §3.4), in the way of Go's client: error texts show it.
fn escape(text: &str, place: Place) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b'/' | b',' | b';' if place == Place::Path => out.push(byte.into()),
            b'$' | b'&' | b'+' | b':' | b'=' | b'@' if place != Place::Query => out.push(byte.into()),
            b' ' if place == Place::Query => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `X-Consul-Index`; 0 when the endpoint has none.
    pub index: u64,
    /// `X-Consul-KnownLeader`; true when not said.
    pub known_leader: bool,
    /// `X-Consul-LastContact`: how far behind the leader the answering server may be.
    pub last_contact: Duration,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The body as JSON. Errors when it is not of the expected shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, RequestError> {
        serde_json::from_slice(&self.body).map_err(|e| RequestError::Decode(e.to_string()))
    }

    /// The answer itself when its status is 2xx, the registry's own error text otherwise.
    pub fn success(self) -> Result<Self, RequestError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let body = String::from_utf8_lossy(&self.body).trim().to_owned();
        Err(RequestError::Status { status: self.status, body })
    }

    /// [`Response::success`], but a 404 is an answer too: `None`.
    pub fn found(self) -> Result<Option<Self>, RequestError> {
        if self.status == 404 { Ok(None) } else { self.success().map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped() {
        assert_eq!(Request::kv_path("/a b/%/é/c"), "/v1/kv/a%20b/%25/%C3%A9/c");
        assert_eq!(Request::path_to("/v1/catalog/node", "a/b"), "/v1/catalog/node/a%2Fb");
        assert_eq!(Request::kv_path("a:b,c;d*(e)"), "/v1/kv/a:b,c;d%2A%28e%29");
        assert_eq!(Request::path_to("/v1/x", "a:b,c;d?"), "/v1/x/a:b%2Cc%3Bd%3F");
        let request =
            Request::get("/v1/x").with("recurse", "").with("dc", "a b+").with_unless_empty("ns", "");
        assert_eq!(request.path_and_query(), "/v1/x?dc=a+b%2B&recurse=");
    }
}
