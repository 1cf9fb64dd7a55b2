//! URLs as handlers: the data as the body of a request, the index in `X-Consul-Index`.

use std::time::Duration;

use daemon::Tail;
use registry_client::innermost;
use registry_wire::duration;
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value as Json};

use super::OUTPUT_BYTES_MAX;

/// How long an answer may take when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `http_handler_config`: where and how to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpHandler {
    /// The URL: `http://127.0.0.1:9000/changed`.
    url: String,
    /// `POST` when nothing is said.
    method: Method,
    /// How long the answer may take.
    timeout: Duration,
    headers: HeaderMap,
    /// Whether any certificate will do.
    tls_skip_verify: bool,
}

impl HttpHandler {
    /// Reads the block. Errors, in Consul's words where it has some, name the field; `notices` gets what has no effect.
    pub(crate) fn read(block: &Json, notices: &mut Vec<String>) -> Result<Self, String> {
        // A block in HCL is a list of one.
        let block = block.get(0).unwrap_or(block);
        let Json::Object(fields) = block else {
            return Err("'' expected a map, got 'string'".into());
        };
        for name in fields.keys() {
            if !["path", "method", "timeout", "header", "tls_skip_verify"].contains(&name.as_str()) {
                notices.push(format!(
                    "http_handler_config.{name} of a watch has no effect: there is no such key"
                ));
            }
        }
        let url = text(fields, "path")?.unwrap_or_default();
        if url.is_empty() {
            return Err("Requires 'path' to be set".into());
        }
        let method = text(fields, "method")?.filter(|method| !method.is_empty());
        let timeout = match text(fields, "timeout")?.filter(|text| !text.is_empty()) {
            Some(text) => duration::parse(&text).map_err(|e| format!("Failed to parse timeout: {e}"))?,
            None => TIMEOUT,
        };
        let timeout = if timeout.is_zero() { TIMEOUT } else { timeout };
        let tls_skip_verify = match fields.get("tls_skip_verify") {
            None => false,
            Some(Json::Bool(on)) => *on,
            Some(other) => return Err(format!("'tls_skip_verify' expected type 'bool', got: {other}")),
        };
        Ok(Self {
            url: Url::parse(&url).map_err(|e| format!("'path' is no URL ({url}): {e}"))?.into(),
            method: match method {
                Some(method) => method.parse().map_err(|_| format!("'method' is none: {method}"))?,
                None => Method::POST,
            },
            timeout,
            headers: headers(fields.get("header"))?,
            tls_skip_verify,
        })
    }

    /// Sends the data and looks at the answer; what went wrong stands in the log.
    pub(super) async fn send(&self, data: Vec<u8>, index: u64) {
        let watch = self.url.as_str();
        match self.exchange(data, index).await {
            Ok((true, _, output)) => {
                tracing::trace!(target: "agent", watch, output, "http watch handler output");
            }
            Ok((false, status, output)) => {
                tracing::error!(target: "agent", watch, status, output, "http watch handler failed with output");
            }
            Err(error) => {
                tracing::error!(target: "agent", watch, error, "Failed to invoke http watch handler")
            }
        }
    }

    /// Whether the answer was good, its status and the end of its body.
    async fn exchange(&self, data: Vec<u8>, index: u64) -> Result<(bool, String, String), String> {
        let client = self.client().map_err(|e| innermost(&e))?;
        let mut request = client
            .request(self.method.clone(), &self.url)
            .timeout(self.timeout)
            .header(CONTENT_TYPE, "application/json")
            .header("X-Consul-Index", index)
            .body(data);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut answer = request.send().await.map_err(|e| innermost(&e))?;
        let status = answer.status();
        let mut said = Tail::new(OUTPUT_BYTES_MAX);
        while let Some(piece) = answer.chunk().await.map_err(|e| innermost(&e))? {
            said.push(&piece);
        }
        let words = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        Ok((status.is_success(), words, said.into_text()))
    }

    /// A client of its own for each change: they are rare, and a kept one costs memory.
    fn client(&self) -> reqwest::Result<Client> {
        // reqwest panics without a crypto provider, even for plain http. A second installation fails, and that is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder().http1_only().http1_title_case_headers().pool_max_idle_per_host(0);
        let builder = match self.tls_skip_verify {
            true => builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true),
            // An image without a CA bundle must not fail for plain http.
            false if self.url.starts_with("http://") => builder.tls_certs_only([]),
            false => builder,
        };
        builder.build()
    }
}

fn text(fields: &Map<String, Json>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("'{name}' expected type 'string', got: {other}")),
    }
}

/// `{"X-Token": ["a", "b"]}`; a single text stands for a list of one.
fn headers(block: Option<&Json>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let Some(block) = block else { return Ok(headers) };
    let Json::Object(block) = block.get(0).unwrap_or(block) else {
        return Err("'header' expected a map".into());
    };
    for (name, values) in block {
        let values = match values {
            Json::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let read =
                || Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.as_str()?).ok()?));
            let (name, value) = read().ok_or_else(|| format!("'header[{name}]' cannot be sent: {value}"))?;
            headers.append(name, value);
        }
    }
    Ok(headers)
}
