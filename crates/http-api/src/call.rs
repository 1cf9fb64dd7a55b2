//! A request as an endpoint's handler sees it.

use std::{borrow::Cow, net::SocketAddr};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, StatusCode};
use http_body::Body as _;
use registry_wire::{
    json::{self, Unknown},
    options::{self, ReadOptions},
    percent,
    query::Query,
};
use serde::de::DeserializeOwned;

use crate::{
    ApiError, Body,
    body::{self, CollectError},
};

/// Bodies of other endpoints than KV and transactions end here; no honest request comes near.
const BODY_BYTES_MAX: usize = 16 << 20;

/// How much of a body that is too large is read all the same: most clients look for an answer only after sending.
const DISCARD_BYTES_MAX: usize = 4 << 20;

/// Who sent a request; an extension of every request that came through a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A client at this address.
    Tcp(SocketAddr),
    /// A client at the unix socket.
    Unix,
}

/// A request to one endpoint.
pub struct Call {
    /// The method; one that the endpoint declares.
    pub method: Method,
    /// What follows the endpoint's prefix, decoded: the key of `/v1/kv/a%2Fb` is `a/b`.
    pub rest: Vec<u8>,
    /// The query string.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// What came with the request inside this program.
    pub extensions: Extensions,
    /// The body, not read yet.
    pub body: Body,
}

/// A body limit with the setting that changes it.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// The most bytes that are taken.
    pub bytes: usize,
    /// The setting's name, as Consul's documentation has it: `kv_max_value_size`.
    pub setting: &'static str,
}

impl BodyLimit {
    /// The error for a body that told its size, or did not.
    fn exceeded(self, bytes: Option<u64>) -> ApiError {
        let Self { bytes: most, setting } = self;
        let page = "https://developer.hashicorp.com/docs/agent/config/config-files";
        let told = bytes.map_or(String::new(), |bytes| format!("({bytes} bytes)"));
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body{told} too large, max size: {most} bytes. See {page}#{setting}."),
        )
    }
}

impl Call {
    /// What follows the endpoint's prefix, as text.
    pub fn name(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.rest) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(percent::lossy(&self.rest)),
        }
    }

    /// What follows the endpoint's prefix, or 400 with this text if nothing does.
    pub fn name_or(&self, missing: &'static str) -> Result<String, ApiError> {
        match self.rest.is_empty() {
            true => Err(ApiError::bad_request(missing)),
            false => Ok(self.name().into_owned()),
        }
    }

    /// The parameters of a read: consistency, blocking, datacenter, filter. Errors are 400s.
    pub fn read_options(&self) -> Result<ReadOptions, ApiError> {
        Ok(ReadOptions::parse(&self.query, &self.headers)?)
    }

    /// Refuses namespaces and partitions: 400.
    pub fn refuse_enterprise(&self) -> Result<(), ApiError> {
        Ok(options::refuse_enterprise(&self.query, &self.headers)?)
    }

    /// Refuses partitions alone, for the endpoints that ignore namespaces: 400.
    pub fn refuse_partition(&self) -> Result<(), ApiError> {
        Ok(options::refuse_partition(&self.query, &self.headers)?)
    }

    /// The whole body, or 413.
    pub async fn body(&mut self) -> Result<Bytes, ApiError> {
        let too_large = || format!("Request body is larger than {BODY_BYTES_MAX} bytes");
        match self.collect(BODY_BYTES_MAX).await {
            Err(CollectError::TooLarge { .. }) => {
                Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, too_large()))
            }
            collected => collected.map_err(broken),
        }
    }

    /// The whole body under a limit that has a setting, or 413 with Consul's text.
    pub async fn body_within(&mut self, limit: BodyLimit) -> Result<Bytes, ApiError> {
        let announced = self.body.size_hint().exact().is_some();
        match self.collect(limit.bytes).await {
            Err(CollectError::TooLarge { bytes }) => {
                body::discard(&mut self.body, DISCARD_BYTES_MAX).await;
                Err(limit.exceeded(announced.then_some(bytes)))
            }
            collected => collected.map_err(broken),
        }
    }

    /// The body as JSON, read as Go reads it; 400 `Request decode failed: …` otherwise.
    pub async fn decode<T: DeserializeOwned>(&mut self, unknown: Unknown) -> Result<T, ApiError> {
        let body = self.body().await?;
        json::decode(&body, unknown).map_err(|e| ApiError::bad_request(format!("Request decode failed: {e}")))
    }

    async fn collect(&mut self, limit: usize) -> Result<Bytes, CollectError> {
        body::collect(&mut self.body, limit).await
    }
}

fn broken(error: CollectError) -> ApiError {
    if matches!(error, CollectError::Silent) {
        return ApiError::new(StatusCode::REQUEST_TIMEOUT, error.to_string());
    }
    ApiError::bad_request("Request body could not be read").because(error)
}
