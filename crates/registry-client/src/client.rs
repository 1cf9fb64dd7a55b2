//! Sending one request.

use std::{error::Error as _, fs, io, net::ToSocketAddrs, path::Path, time::Duration};

use reqwest::{Certificate, ClientBuilder, Identity, header::HeaderValue};
use serde::de::DeserializeOwned;

use crate::{
    error::{RequestError, SettingsError, innermost},
    request::{Request, Response},
    settings::{Endpoint, Settings, Tls, host, url},
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
    http: reqwest::Client,
    base: String,
    /// `127.0.0.1:8500` or the socket's path, for messages.
    address: String,
    token: Option<HeaderValue>,
    settings: Settings,
    /// Why each request fails at once: the address is no host's.
    nowhere: Option<String>,
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
        let (http, base) = build(&endpoint, &settings.tls)?;
        Ok(Self { http, base, address, token, settings, nowhere: endpoint.nowhere })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(&self, request: &Request) -> Result<Response, RequestError> {
        let timeout = request.timeout.unwrap_or(TIMEOUT);
        self.answer(request, request.body.clone().into(), timeout).await
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
        let number = |name: &str| -> u64 {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let known_leader = answer.headers().get("X-Consul-KnownLeader").is_none_or(|value| value != "false");
        let (status, index) = (answer.status().as_u16(), number("X-Consul-Index"));
        let last_contact = Duration::from_millis(number("X-Consul-LastContact"));
        let body = answer.bytes().await.map_err(|error| self.explain(request, &url, timeout, &error))?;
        Ok(Response { status, index, known_leader, last_contact, body })
    }

    /// Sends a request whose answer goes on, as that of `/v1/agent/monitor`. Errors on any status but 2xx.
    pub async fn stream(&self, request: &Request) -> Result<Pieces, RequestError> {
        let (url, answer) = self.open(request, request.body.clone().into(), STREAM_TIMEOUT).await?;
        if answer.status().is_success() {
            return Ok(Pieces(answer));
        }
        let status = answer.status().as_u16();
        let body =
            answer.bytes().await.map_err(|error| self.explain(request, &url, STREAM_TIMEOUT, &error))?;
        Err(RequestError::Status { status, body: String::from_utf8_lossy(&body).trim().to_owned() })
    }

    /// Sends a request; its address, and its answer without the body.
    async fn open(
        &self,
        request: &Request,
        body: reqwest::Body,
        timeout: Duration,
    ) -> Result<(String, reqwest::Response), RequestError> {
        let url = url(&self.base, &self.with_place(request).path_and_query());
        if let Some(reason) = self.nowhere.clone() {
            return Err(RequestError::Unreachable { method: go_method(request.method), url, reason });
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|e| RequestError::Decode(format!("{}: {e}", request.method)))?;
        let mut builder = self.http.request(method, &url).timeout(timeout).body(body);
        if let Some(token) = &self.token {
            builder = builder.header("X-Consul-Token", token);
        }
        if let Some(auth) = &self.settings.basic_auth {
            builder = builder.basic_auth(&auth.user, Some(&auth.password));
        }
        let answer = builder.send().await.map_err(|error| self.explain(request, &url, timeout, &error))?;
        Ok((url, answer))
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

    fn explain(&self, request: &Request, url: &str, after: Duration, error: &reqwest::Error) -> RequestError {
        let method = go_method(request.method);
        if error.is_timeout() && !error.is_connect() {
            return RequestError::TimedOut { method, url: url.to_owned(), after };
        }
        let mut reason = error.to_string();
        let mut source = error.source();
        let mut system = None;
        while let Some(cause) = source {
            reason = cause.to_string();
            system = cause.downcast_ref::<io::Error>().or(system);
            source = cause.source();
        }
        if error.is_connect() {
            let network = if self.settings.address.starts_with("unix://") { "unix" } else { "tcp" };
            let why = match system.map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => "connect: connection refused".to_owned(),
                Some(io::ErrorKind::NotFound) => "connect: no such file or directory".to_owned(),
                _ if error.is_timeout() => "i/o timeout".to_owned(),
                _ => reason,
            };
            reason = match why.as_str() {
                // What a TLS client makes of an answer in plain text.
                why if why.contains("InvalidContentType") => {
                    "http: server gave HTTP response to HTTPS client".into()
                }
                why if why.starts_with("failed to lookup address") => {
                    format!("dial {network}: lookup {}: no such host", host(&self.address))
                }
                why => format!("dial {network} {}: {why}", self.with_port()),
            };
        } else if error.is_builder() {
            // An address that is no URL: to Go's client it is a name that nobody knows.
            reason = format!("dial tcp: lookup {}: no such host", host(&self.address));
        }
        RequestError::Unreachable { method, url: url.to_owned(), reason }
    }
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
        for entry in fs::read_dir(folder).map_err(refuse)? {
            let path = entry.map_err(refuse)?.path();
            if path.is_file() {
                authorities.extend(read_certificates(&path)?);
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
    let host = base.trim_start_matches("https://");
    let refuse = |reason: String| SettingsError::Address { address: host.to_owned(), reason };
    let with_port = if host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:443")
    };
    let addresses: Vec<_> = with_port.to_socket_addrs().map_err(|e| refuse(e.to_string()))?.collect();
    let port = addresses.first().ok_or_else(|| refuse("the name has no address".into()))?.port();
    builder = builder.resolve_to_addrs(&tls.server_name, &addresses);
    Ok((builder, format!("https://{}:{port}", tls.server_name)))
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|source| SettingsError::File { what, path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, SettingsError> {
    let pem = read(path, "CA certificate")?;
    Certificate::from_pem_bundle(&pem)
        .map_err(|e| SettingsError::Tls(format!("{}: {}", path.display(), innermost(&e))))
}

/// Whether a URL is of this machine: proxies of the environment are not for it.
fn is_local(base: &str) -> bool {
    let host = base.split("://").nth(1).unwrap_or_default();
    host.starts_with("127.") || host.starts_with("[::1]") || host.starts_with("localhost")
}
