//! Sending one request.

use std::{
    error::Error,
    fs, io,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{
    Certificate, ClientBuilder, Identity, Method,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    direct::{Direct, Failure},
    error::{RequestError, SettingsError, innermost},
    request::{Request, Response},
    settings::{BasicAuth, Endpoint, Settings, Tls, host, url},
};

/// The longest wait for an answer that is no blocking query. A registry without a leader holds requests for seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer that goes on may go on.
const STREAM_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one registry or agent. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    /// For everything that is neither TLS nor long.
    direct: Option<Direct>,
    /// For the rest; made when it is needed first, for half a megabyte of code comes with it.
    http: Arc<OnceLock<reqwest::Client>>,
    endpoint: Endpoint,
    base: String,
    /// `127.0.0.1:8500` or the socket's path, for messages.
    address: String,
    token: Option<HeaderValue>,
    settings: Settings,
}

/// An answer that goes on, piece by piece.
#[derive(Debug)]
pub struct Pieces(reqwest::Response);

impl Pieces {
    /// What came next; `None` at the end, and when the other side went away.
    pub async fn next(&mut self) -> Option<bytes::Bytes> {
        self.0.chunk().await.ok().flatten()
    }
}

impl Client {
    /// Makes a client; no connection is opened before the first request.
    ///
    /// Errors when the address, the token or a certificate cannot be used.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let endpoint = settings.endpoint()?;
        let token = settings.read_token()?;
        let token = if token.is_empty() {
            None
        } else {
            let mut value = HeaderValue::from_str(&token).map_err(|_| SettingsError::Token)?;
            value.set_sensitive(true);
            Some(value)
        };
        let address = match &endpoint.socket {
            Some(path) => path.display().to_string(),
            None => endpoint.base.split("://").nth(1).unwrap_or_default().to_owned(),
        };
        let (direct, http) = (Direct::to(&endpoint, is_local(&endpoint.base)), OnceLock::new());
        let mut base = endpoint.base.clone();
        if direct.is_none() {
            let built = build(&endpoint, &settings.tls)?;
            base = built.1;
            let _ = http.set(built.0);
        } else if settings.tls.has_files() {
            // A file that cannot be used is told although this address does not need it, as Consul's clients do.
            let tls = Tls { server_name: String::new(), ..settings.tls.clone() };
            with_tls(reqwest::Client::builder(), base.clone(), &tls).map(drop)?;
        }
        Ok(Self { direct, http: Arc::new(http), endpoint, base, address, token, settings })
    }

    fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(|| {
            let built = build(&self.endpoint, &self.settings.tls);
            built.expect("without TLS there are no files and certificates to fail").0
        })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(&self, request: &Request) -> Result<Response, RequestError> {
        let limit = request.timeout.unwrap_or(TIMEOUT);
        match &self.direct {
            Some(direct) if !has_dots(&request.path) => self.send_over(direct, request, limit).await,
            // On the heap, so that who holds many questions without TLS has no room for this in each.
            _ => Box::pin(self.answer(request, request.body.clone().into(), limit)).await,
        }
    }

    async fn send_over(
        &self,
        direct: &Direct,
        request: &Request,
        limit: Duration,
    ) -> Result<Response, RequestError> {
        let (url, method) = self.line(request)?;
        let target = url.splitn(4, '/').nth(3).unwrap_or_default();
        let target = format!("/{target}").parse().map_err(|e| RequestError::Decode(format!("{url}: {e}")))?;
        let headers = self.headers();
        let failure = match timeout(limit, direct.send(method, target, headers, request.body.clone())).await {
            Ok(Ok(answer)) => {
                let (head, body) = answer.into_parts();
                return Ok(response(head.status.as_u16(), &head.headers, body));
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                return Err(RequestError::TimedOut { method: go_method(request.method), url, after: limit });
            }
        };
        Err(match failure {
            Failure::Connect(e) if e.kind() == io::ErrorKind::TimedOut => {
                self.explain(request, url, Trouble::LateConnection, &e)
            }
            Failure::Connect(e) => self.explain(request, url, Trouble::NoConnection, &e),
            Failure::Broken(e) => self.explain(request, url, Trouble::Broken, &e),
        })
    }

    /// Sends a request with a file as its body, a part at a time, and reads the whole answer, whatever its status.
    ///
    /// It takes as long as it takes: the other side may have much to do with a large file.
    pub async fn upload(&self, request: &Request, file: fs::File) -> Result<Response, RequestError> {
        let body = reqwest::Body::from(tokio::fs::File::from_std(file));
        self.answer(request, body, request.timeout.unwrap_or(STREAM_TIMEOUT)).await
    }

    async fn answer(
        &self,
        request: &Request,
        body: reqwest::Body,
        timeout: Duration,
    ) -> Result<Response, RequestError> {
        let (url, answer) = self.open(request, body, timeout).await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| self.failed(request, url, timeout, &error))?;
        Ok(response(status, &headers, body))
    }

    /// Sends a request whose answer goes on, as that of `/v1/agent/monitor`. Errors on any status but 2xx.
    pub async fn stream(&self, request: &Request) -> Result<Pieces, RequestError> {
        let (url, answer) = self.open(request, request.body.clone().into(), STREAM_TIMEOUT).await?;
        if answer.status().is_success() {
            return Ok(Pieces(answer));
        }
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| self.failed(request, url, STREAM_TIMEOUT, &error))?;
        Err(RequestError::Status { status, body: String::from_utf8_lossy(&body).trim().to_owned() })
    }

    /// Sends a request; its address, and its answer without the body.
    async fn open(
        &self,
        request: &Request,
        body: reqwest::Body,
        timeout: Duration,
    ) -> Result<(String, reqwest::Response), RequestError> {
        let (url, method) = self.line(request)?;
        let request_out =
            self.http().request(method, &url).headers(self.headers()).timeout(timeout).body(body);
        let answer =
            request_out.send().await.map_err(|error| self.failed(request, url.clone(), timeout, &error))?;
        Ok((url, answer))
    }

    /// The whole URL of a request, and its method. Errors when the address is no host's.
    fn line(&self, request: &Request) -> Result<(String, Method), RequestError> {
        let url = url(&self.base, &self.with_place(request).path_and_query());
        if let Some(reason) = self.endpoint.nowhere.clone() {
            return Err(RequestError::Unreachable { method: go_method(request.method), url, reason });
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|e| RequestError::Decode(format!("{}: {e}", request.method)))?;
        Ok((url, method))
    }

    /// What says who asks.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert("X-Consul-Token", token.clone());
        }
        if let Some(BasicAuth { user, password }) = &self.settings.basic_auth {
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let mut value =
                HeaderValue::try_from(value).expect("base64 has nothing that a header may not have");
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// Sends a request and reads its JSON answer. Errors on any status but 2xx.
    pub async fn json<T: DeserializeOwned>(&self, request: &Request) -> Result<T, RequestError> {
        self.send(request).await?.success()?.json()
    }

    /// Like [`Client::json`]; `None` on 404.
    pub async fn json_if_found<T: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<Option<T>, RequestError> {
        self.send(request).await?.found()?.map(|answer| answer.json()).transpose()
    }

    /// Where this client asks: `127.0.0.1:8500`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The request with the datacenter, namespace and partition of the settings, unless it names its own.
    fn with_place(&self, request: &Request) -> Request {
        let mut request = request.clone();
        let Settings { datacenter, namespace, partition, .. } = &self.settings;
        for (name, value) in [("dc", datacenter), ("ns", namespace), ("partition", partition)] {
            if !value.is_empty() && !request.query.iter().any(|(known, _)| known == name) {
                request = request.with(name, value);
            }
        }
        request
    }

    /// The address with the port that is dialled when it names none.
    fn with_port(&self) -> String {
        let named =
            self.address.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.ends_with(']'));
        if named || self.settings.address.starts_with("unix://") {
            return self.address.clone();
        }
        let port = if self.base.starts_with("https://") { 443 } else { 80 };
        format!("{}:{port}", self.address.trim_end_matches(':'))
    }

    /// What an error of reqwest means.
    fn failed(
        &self,
        request: &Request,
        url: String,
        after: Duration,
        error: &reqwest::Error,
    ) -> RequestError {
        let trouble = match (error.is_connect(), error.is_timeout()) {
            (false, true) => return RequestError::TimedOut { method: go_method(request.method), url, after },
            (true, true) => Trouble::LateConnection,
            (true, false) => Trouble::NoConnection,
            (false, false) if error.is_builder() => Trouble::NoUrl,
            (false, false) => Trouble::Broken,
        };
        self.explain(request, url, trouble, error)
    }

    fn explain(
        &self,
        request: &Request,
        url: String,
        trouble: Trouble,
        error: &(dyn Error + 'static),
    ) -> RequestError {
        let mut system = error.downcast_ref::<io::Error>();
        let mut source = error.source();
        while let Some(cause) = source {
            system = cause.downcast_ref().or(system);
            source = cause.source();
        }
        let reason = match trouble {
            Trouble::NoConnection | Trouble::LateConnection => {
                let why = match system.map(io::Error::kind) {
                    Some(io::ErrorKind::ConnectionRefused) => "connect: connection refused".to_owned(),
                    Some(io::ErrorKind::NotFound) => "connect: no such file or directory".to_owned(),
                    _ if trouble == Trouble::LateConnection => "i/o timeout".to_owned(),
                    _ => innermost(error),
                };
                self.no_connection(&why)
            }
            // To Go's client it is a name that nobody knows.
            Trouble::NoUrl => format!("dial tcp: lookup {}: no such host", host(&self.address)),
            Trouble::Broken => innermost(error),
        };
        RequestError::Unreachable { method: go_method(request.method), url, reason }
    }

    fn no_connection(&self, why: &str) -> String {
        let network = if self.endpoint.socket.is_some() { "unix" } else { "tcp" };
        match why {
            // What a TLS client makes of an answer in plain text.
            why if why.contains("InvalidContentType") => {
                "http: server gave HTTP response to HTTPS client".into()
            }
            why if why.starts_with("failed to lookup address") => {
                format!("dial {network}: lookup {}: no such host", host(&self.address))
            }
            why => format!("dial {network} {}: {why}", self.with_port()),
        }
    }
}

/// What kind of error kept an answer away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NoConnection,
    /// No connection in time.
    LateConnection,
    /// The address is no URL.
    NoUrl,
    /// Something after the connection was made.
    Broken,
}

/// What an answer says in its headers, and its body.
fn response(status: u16, headers: &HeaderMap, body: Bytes) -> Response {
    let number = |name: &str| -> u64 {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    let known_leader = headers.get("X-Consul-KnownLeader").is_none_or(|value| value != "false");
    let last_contact = Duration::from_millis(number("X-Consul-LastContact"));
    Response { status, index: number("X-Consul-Index"), known_leader, last_contact, body }
}

/// `GET` as Go's client names it in errors: `Get`.
fn go_method(method: &str) -> String {
    let (first, rest) = method.split_at(method.len().min(1));
    format!("{first}{}", rest.to_ascii_lowercase())
}

/// The HTTP client and the start of its URLs.
fn build(endpoint: &Endpoint, tls: &Tls) -> Result<(reqwest::Client, String), SettingsError> {
    // reqwest panics without a crypto provider, even for plain http. A second installation fails, and that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .http1_only()
        // Consul's own spelling, which old proxies and scripts look for.
        .http1_title_case_headers()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none());
    if let Some(socket) = &endpoint.socket {
        builder = builder.unix_socket(socket.as_path()).no_proxy();
    }
    let mut base = endpoint.base.clone();
    if base.starts_with("https://") {
        (builder, base) = with_tls(builder, base, tls)?;
    } else {
        // An image without a CA bundle must not fail for plain http.
        builder = builder.tls_certs_only([]);
    }
    if is_local(&base) {
        builder = builder.no_proxy();
    }
    let http = builder.build().map_err(|e| SettingsError::Tls(innermost(&e)))?;
    Ok((http, base))
}

fn with_tls(
    mut builder: ClientBuilder,
    base: String,
    tls: &Tls,
) -> Result<(ClientBuilder, String), SettingsError> {
    builder = builder.tls_danger_accept_invalid_certs(!tls.verify);
    let mut authorities = Vec::new();
    if let Some(path) = &tls.ca_file {
        authorities.extend(read_certificates(path)?);
    }
    if let Some(folder) = &tls.ca_path {
        let refuse = |source| SettingsError::File { what: "CA folder", path: folder.clone(), source };
        if folder.is_file() {
            authorities.extend(read_certificates(folder)?);
        } else {
            for entry in fs::read_dir(folder).map_err(refuse)? {
                let path = entry.map_err(refuse)?.path();
                if path.is_file() {
                    authorities.extend(read_certificates(&path)?);
                }
            }
        }
    }
    if !authorities.is_empty() || !tls.verify {
        builder = builder.tls_certs_only(authorities);
    }
    if let Some(cert) = &tls.cert_file {
        let mut pem = read(cert, "client certificate")?;
        if let Some(key) = &tls.key_file {
            pem.extend(read(key, "client key")?);
        }
        builder = builder.identity(Identity::from_pem(&pem).map_err(|e| SettingsError::Tls(innermost(&e)))?);
    }
    if tls.server_name.is_empty() {
        return Ok((builder, base));
    }
    // The certificate is checked against the URL's host: put the expected name there, and say where it is.
    let address = base.trim_start_matches("https://");
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .unwrap_or((address, 443));
    let at = host.trim_matches(['[', ']']).to_owned();
    Ok((builder.dns_resolver(Arc::new(At(at, port))), format!("https://{}:{port}", tls.server_name)))
}

/// Finds every name at the addresses of this one host, looked up anew for each connection.
struct At(String, u16);

impl Resolve for At {
    fn resolve(&self, _name: Name) -> Resolving {
        let at = (self.0.clone(), self.1);
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host(at).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|source| SettingsError::File { what, path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, SettingsError> {
    let pem = read(path, "CA certificate")?;
    let refuse = |reason: String| SettingsError::Tls(format!("{}: {reason}", path.display()));
    match Certificate::from_pem_bundle(&pem) {
        Ok(none) if none.is_empty() => Err(refuse("no certificate in PEM".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(refuse(innermost(&e))),
    }
}

/// Whether a path has parts that URLs resolve, as Consul's own client does by way of the server: reqwest does it here.
fn has_dots(path: &str) -> bool {
    path.split('/').any(|part| part == "." || part == "..")
}

/// Whether a URL is of this machine: proxies of the environment are not for it.
fn is_local(base: &str) -> bool {
    let host = base.split("://").nth(1).unwrap_or_default();
    host.starts_with("127.") || host.starts_with("[::1]") || host.starts_with("localhost")
}
