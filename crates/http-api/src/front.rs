//! What a listener does before and after whatever answers: paths, the configuration's rules and headers, the web page,
//! compression.

use std::{future::ready, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header::VARY};
use registry_wire::{header, percent};

use crate::{
    Answer, ApiError, Body, BoxFuture, Peer, Serve,
    answer::{Layout, mark},
    gzip, path,
};

/// The configuration's part in every answer.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `http_config.response_headers`: on every answer.
    pub response_headers: HeaderMap,
    /// `http_config.block_endpoints`: prefixes of paths that answer 403.
    pub block_endpoints: Vec<String>,
    /// `http_config.allow_write_http_from`: networks that may do more than GET and HEAD; empty means all.
    pub allow_write_from: Vec<Network>,
    /// `disable_http_unprintable_char_filter`.
    pub unprintable_paths: bool,
    /// `translate_wan_addrs`: says so on every answer of an endpoint.
    pub translates_addresses: bool,
    /// The web page, if it is enabled.
    pub ui: Option<Ui>,
}

/// A web page of one file, which reads the rest from the API.
#[derive(Clone, Debug)]
pub struct Ui {
    /// Where it is; starts and ends with a slash: `/ui/`.
    pub path: String,
    /// The HTML; every path below `path` shows it.
    pub page: Bytes,
}

/// A network: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// How many bits its addresses share.
    pub bits: u8,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shares = |a: u128, b: u128, width: u32| {
            let differing = width.saturating_sub(u32::from(self.bits));
            (a ^ b).checked_shr(differing).unwrap_or(0) == 0
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => shares(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => shares(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

/// Serves what is behind it under the configuration's rules.
pub struct Front {
    settings: Settings,
    behind: Arc<dyn Serve>,
}

impl Front {
    /// A front before `behind`, which sees clean paths only.
    pub fn new(settings: Settings, behind: Arc<dyn Serve>) -> Arc<Self> {
        Arc::new(Self { settings, behind })
    }

    /// The answers that need nobody behind.
    fn answer_here(&self, request: &Request<Body>) -> Option<Answer> {
        let (uri, method) = (request.uri(), request.method());
        let Ok(decoded) = percent::decode_path(uri.path()) else {
            return Some(Answer::text(StatusCode::BAD_REQUEST, "400 Bad Request"));
        };
        if !self.settings.unprintable_paths && !path::is_printable(&decoded) {
            return Some(Answer::empty().status(StatusCode::BAD_REQUEST));
        }
        let cleaned = path::clean(uri.path());
        if cleaned != uri.path() {
            let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
            return Some(path::redirect(
                method,
                StatusCode::TEMPORARY_REDIRECT,
                &format!("{cleaned}{query}"),
            ));
        }
        if let Some(answer) = self.page(method, uri) {
            return Some(answer);
        }
        if cleaned.starts_with("/debug/pprof/") {
            // Go's profiles: as Consul answers while `enable_debug` is off, for there are none.
            let vary = HeaderValue::from_static("Accept-Encoding");
            return Some(Answer::empty().status(StatusCode::NOT_FOUND).with(VARY, vary));
        }
        if !cleaned.contains("/v1/") && !self.behind.knows(&cleaned) {
            return Some(path::unknown(&String::from_utf8_lossy(&decoded)));
        }
        let refusal = self.refusal(request)?;
        let mut answer = Answer::from(refusal);
        mark(&mut answer.headers);
        Some(answer)
    }

    /// The web page and what belongs to it.
    fn page(&self, method: &Method, uri: &Uri) -> Option<Answer> {
        let at = uri.path();
        let Some(ui) = &self.settings.ui else {
            let hint = "Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration \
                        and restart.";
            return (at == "/").then(|| Answer::text(StatusCode::OK, hint));
        };
        match at {
            "/" => Some(path::redirect(method, StatusCode::MOVED_PERMANENTLY, &ui.path)),
            "/robots.txt" => {
                Some(Answer::text(StatusCode::OK, "# http://www.robotstxt.org\nUser-agent: *\nDisallow: /\n"))
            }
            _ if at.starts_with(&ui.path) => {
                Some(Answer::bytes(HeaderValue::from_static("text/html; charset=utf-8"), ui.page.clone()))
            }
            _ if ui.path.strip_suffix('/') == Some(at) => {
                let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
                let to = format!("{}{query}", ui.path);
                Some(path::redirect(method, StatusCode::TEMPORARY_REDIRECT, &to))
            }
            _ => None,
        }
    }

    /// Why the configuration refuses a request to a known path.
    fn refusal(&self, request: &Request<Body>) -> Option<ApiError> {
        let path = request.uri().path();
        let forbidden = |text: &'static str| ApiError::new(StatusCode::FORBIDDEN, text);
        if self.settings.block_endpoints.iter().any(|prefix| path.starts_with(prefix))
            && self.behind.knows(path)
        {
            return Some(forbidden("Endpoint is blocked by agent configuration"));
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads || self.settings.allow_write_from.is_empty() {
            return None;
        }
        let allowed = match request.extensions().get() {
            Some(Peer::Tcp(peer)) => self.settings.allow_write_from.iter().any(|n| n.contains(peer.ip())),
            _ => true,
        };
        (!allowed).then(|| forbidden("Access is restricted"))
    }

    fn finish(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        if self.settings.translates_addresses && headers.contains_key(header::DEFAULT_ACL_POLICY) {
            headers.insert(header::TRANSLATE_ADDRESSES, HeaderValue::from_static("true"));
        }
        for (name, value) in &self.settings.response_headers {
            headers.insert(name, value.clone());
        }
    }
}

impl Serve for Arc<Front> {
    /// What waits holds neither the request nor the place for work that comes after it.
    fn serve(&self, request: Request<Body>) -> BoxFuture<Response<Body>> {
        let compress = gzip::is_accepted(request.headers());
        let answering: BoxFuture<Response<Body>> = match self.answer_here(&request) {
            Some(answer) => Box::pin(ready(answer.into_response(Layout::Compact))),
            None => self.behind.serve(request),
        };
        let front = self.clone();
        Box::pin(async move {
            let mut response = answering.await;
            front.finish(&mut response);
            if compress && response.headers().contains_key(VARY) {
                return Box::pin(gzip::compress(response)).await;
            }
            response
        })
    }

    fn knows(&self, path: &str) -> bool {
        self.behind.knows(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Router, Table, body};

    fn front(settings: Settings) -> Arc<Front> {
        let mut table = Table::<()>::new(false);
        table.add("/v1/agent/self", &[Method::GET, Method::PUT], |(), _| async {
            Ok(Answer::json(&"x".repeat(2000)))
        });
        Front::new(settings, Arc::new(Router::new(table, ())))
    }

    async fn ask(front: &Arc<Front>, method: &str, target: &str) -> (u16, HeaderMap, Vec<u8>) {
        let peer = Peer::Tcp("10.1.2.3:5".parse().unwrap());
        let request =
            Request::builder().method(method).uri(target).extension(peer).header("accept-encoding", "gzip");
        let (head, body) = front.serve(request.body(body::empty()).unwrap()).await.into_parts();
        (head.status.as_u16(), head.headers, body::collect(&mut { body }, 10_000).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn configured_rules_hold() {
        let front = front(Settings {
            response_headers: [(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]
                .into_iter()
                .collect(),
            block_endpoints: vec!["/v1/agent/".into()],
            ..Settings::default()
        });
        let (status, headers, body) = ask(&front, "GET", "/v1/agent/self").await;
        assert_eq!((status, &body[..]), (403, &b"Endpoint is blocked by agent configuration"[..]));
        assert!(headers.contains_key("access-control-allow-origin") && headers.contains_key(VARY));
        assert_eq!(ask(&front, "GET", "/v1/agent/nope").await.0, 404);
        assert_eq!(ask(&front, "GET", "/nope").await.0, 404);
        assert!(ask(&front, "GET", "/").await.2.starts_with(b"Consul Agent: UI disabled"));
    }

    #[tokio::test]
    async fn writes_come_from_allowed_networks_only() {
        let network = |text: &str, bits| Network { address: text.parse().unwrap(), bits };
        for (networks, status) in
            [(vec![network("10.1.0.0", 16)], 200), (vec![network("10.2.0.0", 16), network("::", 0)], 403)]
        {
            let front = front(Settings { allow_write_from: networks, ..Settings::default() });
            assert_eq!(ask(&front, "PUT", "/v1/agent/self").await.0, status);
            assert_eq!(ask(&front, "GET", "/v1/agent/self").await.0, 200);
        }
    }

    #[tokio::test]
    async fn large_answers_are_compressed_and_odd_paths_refused() {
        let front = front(Settings::default());
        let (_, headers, body) = ask(&front, "GET", "/v1/agent/self").await;
        assert_eq!(headers["content-encoding"], "gzip");
        assert!(body.len() < 100);
        assert_eq!(ask(&front, "GET", "/v1/agent/%7f").await.0, 400);
        assert_eq!(ask(&front, "GET", "/v1//agent/self?x").await.1["location"], "/v1/agent/self?x");
    }
}
