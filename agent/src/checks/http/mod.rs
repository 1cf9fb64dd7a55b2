//! Checks by a request: 2xx is passing, 429 a warning, anything else critical.

mod body;
mod words;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::ext::ReasonPhrase;
use registry_client::innermost;
use reqwest::{
    Client, ClientBuilder, Method, Response, StatusCode, Url,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, COOKIE, HOST, HeaderMap,
        HeaderName, HeaderValue, LOCATION, USER_AGENT,
    },
    redirect::Policy,
};
use tokio::time::{Instant, timeout_at};

use self::{
    body::{Said, end_of},
    words::{reason, verb},
};
use super::{Observed, Status, limit};
use crate::{definition::CheckType, tls};

const LIMIT: Duration = Duration::from_secs(10);
/// How long before the limit a body is given up.
const BODY_MARGIN: Duration = Duration::from_millis(100);
/// How many clients are kept.
const CLIENTS_MAX: usize = 64;
/// Redirects followed, as Go's client does.
const REDIRECTS_MAX: usize = 10;

/// What a client must be built for; checks that agree in it share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Needs {
    tls: bool,
    skip_verify: bool,
    /// A name for TLS other than the URL's host, and where that host is.
    server_name: Option<(String, SocketAddr)>,
}

/// The clients of all HTTP checks of an agent.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<HashMap<Needs, Client>>);

impl Clients {
    fn get(&self, needs: &Needs) -> Result<Client, reqwest::Error> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(needs) {
            return Ok(client.clone());
        }
        let client = build(needs)?;
        if clients.len() >= CLIENTS_MAX {
            // Names of TLS lead to changing addresses; the clients in use are soon back.
            clients.clear();
        }
        clients.insert(needs.clone(), client.clone());
        Ok(client)
    }
}

fn build(needs: &Needs) -> Result<Client, reqwest::Error> {
    tls::choose_provider();
    builder(needs).build()
}

fn builder(needs: &Needs) -> ClientBuilder {
    // A check asks what a new client would see, so no connection is kept; and it must not ask a proxy instead. Redirects are
    // followed here, by the client that the next place needs.
    let mut builder = Client::builder()
        .no_proxy()
        .http1_title_case_headers()
        .pool_max_idle_per_host(0)
        .redirect(Policy::none());
    if !needs.tls {
        // No certificates are needed; reading the system's takes a while, and an image may have none.
        builder = builder.tls_certs_only([]);
    }
    if needs.skip_verify {
        builder = builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true);
    }
    if let Some((name, address)) = &needs.server_name {
        builder = builder.resolve(name, *address);
    }
    builder
}

/// `http = "https://127.0.0.1/health"` with method, headers and body.
pub(super) struct Check {
    clients: Arc<Clients>,
    url: String,
    method: String,
    headers: Vec<(String, String)>,
    body: String,
    skip_verify: bool,
    stays: bool,
    server_name: String,
    limit: Duration,
    output_bytes_max: usize,
}

impl Check {
    pub(super) fn new(check: &CheckType, clients: Arc<Clients>, output_bytes_max: usize) -> Self {
        let headers = check.header.iter().flatten();
        Self {
            clients,
            url: check.http.clone(),
            method: if check.method.is_empty() { "GET".to_owned() } else { check.method.clone() },
            headers: headers
                .flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.clone())))
                .collect(),
            body: check.body.clone(),
            skip_verify: check.tls_skip_verify,
            stays: check.disable_redirects,
            server_name: check.tls_server_name.clone(),
            limit: limit(check, LIMIT),
            output_bytes_max,
        }
    }

    pub(super) async fn run(&self) -> Observed {
        let ends = Instant::now() + self.limit;
        match timeout_at(ends, self.ask(ends)).await {
            Ok(Ok(observed)) => observed,
            Ok(Err(Failed::Parse(reason))) => Observed::critical(format!("parse {:?}: {reason}", self.url)),
            Ok(Err(Failed::Asking(reason))) => {
                Observed::critical(format!("{} \"{}\": {reason}", verb(&self.method), self.url))
            }
            Ok(Err(Failed::Said(text))) => Observed::critical(text),
            Err(_) => Observed::critical(format!(
                "{} \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                verb(&self.method),
                self.url
            )),
        }
    }

    async fn ask(&self, ends: Instant) -> Result<Observed, Failed> {
        let mut answer = self.follow().await?;
        let (status, status_line) = (answer.status(), line(&answer));
        let packed = answer.headers().get(CONTENT_ENCODING);
        let packed = packed.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"gzip"));
        let mut said = Said::new(packed && self.unpacks(), self.output_bytes_max);
        // Just before the limit for all of it: a body that never ends does not take the status back.
        let _ = timeout_at(ends - BODY_MARGIN.min(self.limit / 8), end_of(&mut answer, &mut said)).await;
        let output = format!("HTTP {} {}: {status_line} Output: {}", self.method, self.url, said.into_end());
        Ok(Observed::new(verdict(status), output))
    }

    /// The first answer that leads nowhere else. An error names the request that failed, as Go's client does.
    async fn follow(&self) -> Result<Response, Failed> {
        let first = parse(&self.url)?;
        let mut method = Method::from_bytes(self.method.as_bytes()).map_err(|error| error.to_string())?;
        let (mut url, mut shown, mut with_body) = (first.clone(), self.url.clone(), true);
        for _ in 0..REDIRECTS_MAX {
            let failed = |reason| Failed::Said(format!("{} \"{shown}\": {reason}", verb(method.as_str())));
            let is_elsewhere = url.host() != first.host();
            let answer = self.send(&url, &method, with_body, is_elsewhere).await.map_err(failed)?;
            let Some(next) = self.led_to(&url, &answer) else { return Ok(answer) };
            if !matches!(answer.status().as_u16(), 307 | 308) {
                with_body = false;
                method = if method == Method::HEAD { method } else { Method::GET };
            }
            (shown, url) = (next.to_string(), next);
        }
        let verb = verb(method.as_str());
        Err(Failed::Said(format!("{verb} \"{shown}\": stopped after {REDIRECTS_MAX} redirects")))
    }

    /// Where an answer sends the check; `None` when this is the one that counts.
    fn led_to(&self, url: &Url, answer: &Response) -> Option<Url> {
        let leads = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) && !self.stays;
        let place = answer.headers().get(LOCATION).filter(|_| leads)?;
        url.join(place.to_str().ok()?).ok()
    }

    async fn send(
        &self,
        url: &Url,
        method: &Method,
        with_body: bool,
        is_elsewhere: bool,
    ) -> Result<Response, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("unsupported protocol scheme {:?}", url.scheme()));
        }
        let mut target = url.clone();
        let (needs, mut headers) = self.for_server_name(&mut target).await?;
        if is_elsewhere {
            // Meant for one server, and not for whoever it names.
            [AUTHORIZATION, COOKIE, HOST].into_iter().for_each(|name| _ = headers.remove(name));
        }
        let client = self.clients.get(&needs).map_err(|error| innermost(&error))?;
        let body = if with_body { self.body.clone() } else { String::new() };
        match client.request(method.clone(), target).headers(headers).body(body).send().await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(reason(url, &error).await),
        }
    }

    /// Whether the answer may come packed: who names encodings himself gets what he asked for.
    fn unpacks(&self) -> bool {
        let names = |(name, _): &(String, String)| name.eq_ignore_ascii_case("accept-encoding");
        self.method != "HEAD" && !self.headers.iter().any(names)
    }

    /// With a TLS name of its own, the URL gets that name and the name gets the old host's address.
    async fn for_server_name(&self, url: &mut Url) -> Result<(Needs, HeaderMap), String> {
        let tls = url.scheme() == "https";
        let mut needs = Needs { tls, skip_verify: tls && self.skip_verify, server_name: None };
        let mut headers = self.headers()?;
        if !tls || self.server_name.is_empty() {
            return Ok((needs, headers));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let found =
            tokio::net::lookup_host((host.as_str(), port)).await.map_err(|error| error.to_string())?;
        let address = found.into_iter().next().ok_or_else(|| format!("lookup {host}: no such host"))?;
        if let Ok(value) = HeaderValue::from_str(&host) {
            headers.entry("host").or_insert(value);
        }
        url.set_host(Some(&self.server_name)).map_err(|error| error.to_string())?;
        needs.server_name = Some((self.server_name.clone(), address));
        Ok((needs, headers))
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("{name}: {error}"))?;
            let value = HeaderValue::from_str(value).map_err(|error| format!("{name}: {error}"))?;
            headers.append(name, value);
        }
        if self.unpacks() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.entry(CONNECTION).or_insert(HeaderValue::from_static("close"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Consul Health Check"));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("text/plain, text/*, */*"));
        Ok(headers)
    }
}

fn verdict(status: StatusCode) -> Status {
    match status.as_u16() {
        200..=299 => Status::Passing,
        429 => Status::Warning,
        _ => Status::Critical,
    }
}

/// Why a check got no answer.
enum Failed {
    /// The URL is none.
    Parse(&'static str),
    /// Nobody answered.
    Asking(String),
    /// The same, with the request that failed.
    Said(String),
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self::Asking(reason)
    }
}

fn parse(text: &str) -> Result<Url, Failed> {
    let url = Url::parse(text).map_err(|_| match text.split_once("://") {
        Some((_, rest)) if rest.split('/').next().is_some_and(|host| host.contains(' ')) => {
            Failed::Parse("invalid character \" \" in host name")
        }
        None if text.contains(':') => Failed::Parse("first path segment in URL cannot contain colon"),
        _ => Failed::Asking("unsupported protocol scheme \"\"".to_owned()),
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(Failed::Asking(format!("unsupported protocol scheme {other:?}"))),
    }
}

/// `404 Not Found`, in the server's own words when it has some.
fn line(answer: &Response) -> String {
    let (status, own) = (answer.status(), answer.extensions().get::<ReasonPhrase>());
    let reason = own.map(|own| String::from_utf8_lossy(own.as_bytes()));
    let reason = reason.or_else(|| status.canonical_reason().map(Into::into)).unwrap_or_default();
    format!("{} {reason}", status.as_u16()).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
