//! What a handler gives back.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, VARY},
};
use registry_wire::{header, json, options::OptionsError};
use serde::Serialize;

use crate::{Body, body};

/// Plain text, the type of every error.
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The type of every other answer.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer: status, headers and a body.
pub struct Answer {
    /// The status; 200 unless changed.
    pub status: StatusCode,
    /// The headers, without those that every answer of an endpoint has.
    pub headers: HeaderMap,
    content: Content,
}

enum Content {
    Bytes(Bytes),
    Json(Bytes),
    Stream(Body),
}

impl Answer {
    /// 200 without a body and without a type.
    pub fn empty() -> Self {
        Self::of(Content::Bytes(Bytes::new()))
    }

    /// 200 without a body, typed as JSON: how Consul answers writes that have nothing to say.
    pub fn done() -> Self {
        Self::bytes(JSON, Bytes::new())
    }

    /// 200 with this value as JSON.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        Self::encoded(json::to_vec(value).into())
    }

    /// 200 with JSON that is encoded already, compact; many answers may share the bytes.
    pub fn encoded(json: Bytes) -> Self {
        Self::of(Content::Json(json)).with(CONTENT_TYPE, JSON)
    }

    /// 200 with these bytes and this type.
    pub fn bytes(content_type: HeaderValue, bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Bytes(bytes.into())).with(CONTENT_TYPE, content_type)
    }

    /// Plain text with this status.
    pub fn text(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        Self::bytes(TEXT, bytes).status(status)
    }

    /// 200 with a body that is sent as it comes.
    pub fn stream(content_type: HeaderValue, stream: Body) -> Self {
        Self::of(Content::Stream(stream)).with(CONTENT_TYPE, content_type)
    }

    /// 200 without a type, with a body that is sent as it comes.
    pub fn streaming(stream: Body) -> Self {
        Self::of(Content::Stream(stream))
    }

    /// Whether it is JSON's empty list.
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.content, Content::Json(json) if json.as_ref() == b"[]")
    }

    /// The same bytes as something else than JSON; they are sent as they are.
    pub fn as_bytes(mut self, content_type: HeaderValue) -> Self {
        if let Content::Json(bytes) = self.content {
            self.content = Content::Bytes(bytes);
        }
        self.with(CONTENT_TYPE, content_type)
    }

    /// With another status.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn of(content: Content) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), content }
    }

    /// The answer as an endpoint of Consul sends it; `pretty` is how JSON is laid out.
    pub fn into_endpoint_response(mut self, layout: Layout) -> Response<Body> {
        mark(&mut self.headers);
        self.into_response(layout)
    }

    /// The answer as it is.
    pub fn into_response(self, layout: Layout) -> Response<Body> {
        let (length, body) = match self.content {
            Content::Stream(stream) => (None, stream),
            Content::Bytes(bytes) => (Some(bytes.len()), body::full(bytes)),
            Content::Json(json) => {
                let bytes = layout.lay_out(json);
                (Some(bytes.len()), body::full(bytes))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }
}

/// Gives an answer the headers that every known endpoint's answer has.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(header::DEFAULT_ACL_POLICY, HeaderValue::from_static("allow"));
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Without white space.
    #[default]
    Compact,
    /// `?pretty`: indented by four spaces, with a new line at the end.
    Pretty,
    /// `-dev`: indented by four spaces.
    Indented,
}

impl Layout {
    fn lay_out(self, compact: Bytes) -> Bytes {
        if self == Self::Compact {
            return compact;
        }
        let mut bytes = json::indent(&compact, "    ");
        if self == Self::Pretty {
            bytes.push(b'\n');
        }
        bytes.into()
    }
}

/// An error for a client: plain text, as Consul words it, and what the log says beside it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// What the client reads.
    pub text: Cow<'static, str>,
    /// What the log says when the client's text does not say enough.
    pub log: Option<String>,
    /// Further headers, as `Allow` beside a 405.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error with this status.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), log: None, headers: Vec::new() }
    }

    /// 400: the request cannot be.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 404 with a text.
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// 500: what Consul answers to everything without a code of its own. Clients try again.
    pub fn internal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// 501: a part of Consul that is not here.
    pub fn absent(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("{what}: not supported by this registry"))
    }

    /// 405 with the methods that are allowed, as `OPTIONS,GET,PUT`.
    pub fn method(method: &http::Method, allowed: &str) -> Self {
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("method {method} not allowed"));
        error.with(http::header::ALLOW, HeaderValue::from_str(allowed).expect("method names are header text"))
    }

    /// Without further headers.
    pub fn bare(mut self) -> Self {
        self.headers.clear();
        self
    }

    /// With what the log shall say.
    pub fn because(mut self, log: impl ToString) -> Self {
        self.log = Some(log.to_string());
        self
    }

    /// With a further header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<OptionsError> for ApiError {
    fn from(error: OptionsError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let mut answer = Self::text(error.status, error.text);
        answer.headers.extend(error.headers);
        answer
    }
}
