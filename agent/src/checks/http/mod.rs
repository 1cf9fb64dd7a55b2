//! Checks by a request: 2xx is passing, 429 a warning, anything else critical.

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daemon::Tail;
use hyper::ext::ReasonPhrase;
use reqwest::{
    Client, ClientBuilder, Method, Response, StatusCode, Url,
    header::{ACCEPT, CONNECTION, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    redirect::Policy,
};

use super::{Observed, Status, dial::dial_error, limit};
use crate::{definition::CheckType, innermost, tls};

const LIMIT: Duration = Duration::from_secs(10);
/// How many clients are kept.
const CLIENTS_MAX: usize = 64;
/// Redirects followed, as Go's client does.
const REDIRECTS_MAX: usize = 10;

/// What a client must be built for; checks that agree in it share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Needs {
    tls: bool,
    skip_verify: bool,
    stay: bool,
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
    match builder(needs).build() {
        // An image without any CA certificates must still be able to check plain HTTP.
        Err(_) if !needs.tls => builder(needs).tls_certs_only([]).build(),
        built => built,
    }
}

fn builder(needs: &Needs) -> ClientBuilder {
    let redirects = if needs.stay { Policy::none() } else { Policy::limited(REDIRECTS_MAX) };
    // A check asks what a new client would see, so no connection is kept; and it must not ask a proxy instead.
    let mut builder =
        Client::builder().no_proxy().http1_title_case_headers().pool_max_idle_per_host(0).redirect(redirects);
    if !needs.tls && needs.stay {
        // No certificates are needed, and reading the system's takes a while.
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
    needs: Needs,
    server_name: String,
    limit: Duration,
    output_bytes_max: usize,
}

impl Check {
    pub(super) fn new(check: &CheckType, clients: Arc<Clients>, output_bytes_max: usize) -> Self {
        let headers = check.header.iter().flatten();
        let tls = check.http.starts_with("https:");
        Self {
            clients,
            url: check.http.clone(),
            method: if check.method.is_empty() { "GET".to_owned() } else { check.method.clone() },
            headers: headers
                .flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.clone())))
                .collect(),
            body: check.body.clone(),
            needs: Needs {
                tls,
                skip_verify: tls && check.tls_skip_verify,
                stay: check.disable_redirects,
                server_name: None,
            },
            server_name: if tls { check.tls_server_name.clone() } else { String::new() },
            limit: limit(check, LIMIT),
            output_bytes_max,
        }
    }

    pub(super) async fn run(&self) -> Observed {
        match tokio::time::timeout(self.limit, self.ask()).await {
            Ok(Ok(observed)) => observed,
            Ok(Err(Failed::Parse(reason))) => Observed::critical(format!("parse {:?}: {reason}", self.url)),
            Ok(Err(Failed::Asking(reason))) => {
                Observed::critical(format!("{} \"{}\": {reason}", self.verb(), self.url))
            }
            Err(_) => Observed::critical(format!(
                "{} \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                self.verb(),
                self.url
            )),
        }
    }

    async fn ask(&self) -> Result<Observed, Failed> {
        let mut url = parse(&self.url)?;
        let (needs, headers) = self.for_server_name(&mut url).await?;
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|error| error.to_string())?;
        let client = self.clients.get(&needs).map_err(|error| innermost(&error))?;
        let request = client.request(method, url.clone()).headers(headers).body(self.body.clone());
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(in_gos_words(&url, &error).await.into()),
        };
        let status = answer.status();
        let status_line = line(&answer);
        let mut said = Tail::new(self.output_bytes_max);
        while let Some(bytes) = answer.chunk().await.map_err(|error| innermost(&error))? {
            said.push(&bytes);
        }
        let output = format!("HTTP {} {}: {status_line} Output: {}", self.method, self.url, said.into_end());
        Ok(Observed::new(verdict(status), output))
    }

    /// With a TLS name of its own, the URL gets that name and the name gets the old host's address.
    async fn for_server_name(&self, url: &mut Url) -> Result<(Needs, HeaderMap), String> {
        let mut needs = self.needs.clone();
        let mut headers = self.headers()?;
        if self.server_name.is_empty() {
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
        headers.entry(CONNECTION).or_insert(HeaderValue::from_static("close"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Consul Health Check"));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("text/plain, text/*, */*"));
        Ok(headers)
    }

    /// The method as Go's client writes it in its errors: `Get`, `Post`.
    fn verb(&self) -> String {
        let (first, rest) = self.method.split_at_checked(1).unwrap_or((&self.method, ""));
        format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
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

/// The error in the words that Consul's users know, where there are such words.
async fn in_gos_words(url: &Url, error: &reqwest::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source {
        let tls = inner.downcast_ref::<io::Error>().and_then(tls_cause);
        if matches!(tls, Some(rustls::Error::InvalidMessage(_))) {
            return "tls: first record does not look like a TLS handshake".to_owned();
        }
        if let Some(cause) = inner.downcast_ref::<io::Error>()
            && cause.kind() == io::ErrorKind::ConnectionReset
        {
            return "read: connection reset by peer".to_owned();
        }
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return "EOF".to_owned();
        }
        if let Some(cause) = inner.downcast_ref::<io::Error>()
            && error.is_connect()
        {
            let port = url.port_or_known_default().unwrap_or(80);
            return dial_error("tcp", &format!("{}:{port}", url.host_str().unwrap_or_default()), cause).await;
        }
        source = inner.source();
    }
    if error.is_redirect() {
        return format!("stopped after {REDIRECTS_MAX} redirects");
    }
    innermost(error)
}

/// What TLS said, under however many layers.
fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| tls_cause(inner.downcast_ref()?))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;
    use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers `/STATUS` with that status and what it was sent; `/redirect` leads to `/200`.
    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let agent = request.headers()["user-agent"].to_str().unwrap().to_owned();
                    let text = format!("{} by {agent}", request.method());
                    let answer = Response::builder();
                    Ok::<_, Infallible>(
                        match request.uri().path() {
                            "/redirect" => {
                                answer.status(302).header("location", "/200").body(Full::default())
                            }
                            path => answer.status(&path[1..]).body(Full::new(Bytes::from(text))),
                        }
                        .unwrap(),
                    )
                });
                tokio::spawn(async move {
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
                });
            }
        });
        address
    }

    /// Says these bytes to whoever has asked something, and hangs up.
    async fn saying(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(bytes).await;
            }
        });
        address
    }

    async fn run(url: &str, change: impl FnOnce(&mut CheckType)) -> Observed {
        let mut check = CheckType { http: url.to_owned(), ..CheckType::default() };
        change(&mut check);
        Check::new(&check, Arc::default(), 4096).run().await
    }

    #[tokio::test]
    async fn the_status_is_the_verdict() {
        let at = server().await;
        for (code, status, line) in [
            (200, Status::Passing, "200 OK"),
            (204, Status::Passing, "204 No Content"),
            (429, Status::Warning, "429 Too Many Requests"),
            (404, Status::Critical, "404 Not Found"),
            (500, Status::Critical, "500 Internal Server Error"),
        ] {
            let observed = run(&format!("http://{at}/{code}"), |_| {}).await;
            let body = if code == 204 { "" } else { "GET by Consul Health Check" };
            assert_eq!(
                observed,
                Observed::new(status, format!("HTTP GET http://{at}/{code}: {line} Output: {body}"))
            );
        }
    }

    #[tokio::test]
    async fn redirects_are_followed_unless_told_otherwise() {
        let at = server().await;
        let url = format!("http://{at}/redirect");
        assert_eq!(run(&url, |_| {}).await.status, Status::Passing);
        assert_eq!(run(&url, |check| check.disable_redirects = true).await.status, Status::Critical);
    }

    #[tokio::test]
    async fn method_and_headers_are_sent() {
        let at = server().await;
        let observed = run(&format!("http://{at}/200"), |check| {
            check.method = "PUT".into();
            check.header = Some([("User-Agent".to_owned(), vec!["me".to_owned()])].into());
        })
        .await;
        assert!(observed.output.ends_with("Output: PUT by me"), "{}", observed.output);
    }

    #[tokio::test]
    async fn a_refused_connection_says_so() {
        let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let observed = run(&format!("http://{at}/"), |_| {}).await;
        let said = format!("Get \"http://{at}/\": dial tcp {at}: connect: connection refused");
        assert_eq!(observed, Observed::critical(said));
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_critical_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let observed =
            run(&format!("http://{at}/"), |check| check.timeout = registry_wire::json::Nanos(200_000_000))
                .await;
        assert_eq!(observed.status, Status::Critical);
        assert!(observed.output.contains("context deadline exceeded"), "{}", observed.output);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_said_in_gos_words() {
        let at = saying(b"").await;
        let plain = saying(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for (url, said) in [
            (
                "http://a b/".to_owned(),
                "parse \"http://a b/\": invalid character \" \" in host name".to_owned(),
            ),
            (
                "127.0.0.1:80".to_owned(),
                "parse \"127.0.0.1:80\": first path segment in URL cannot contain colon".to_owned(),
            ),
            (
                "ftp://127.0.0.1/".to_owned(),
                "Get \"ftp://127.0.0.1/\": unsupported protocol scheme \"ftp\"".to_owned(),
            ),
            (
                format!("https://{plain}/"),
                format!("Get \"https://{plain}/\": tls: first record does not look like a TLS handshake"),
            ),
        ] {
            assert_eq!(run(&url, |_| {}).await, Observed::critical(said));
        }
        // Whether the end comes with or without a reset is up to the kernel.
        let said = run(&format!("http://{at}/"), |_| {}).await.output;
        assert!(said.ends_with(": EOF") || said.ends_with("connection reset by peer"), "{said}");
    }

    #[tokio::test]
    async fn the_servers_own_words_and_the_end_of_its_body_are_shown() {
        let at = saying(b"HTTP/1.1 501 Never heard\r\nContent-Length: 6\r\n\r\nabcdef").await;
        let check = CheckType { http: format!("http://{at}/"), ..CheckType::default() };
        let observed = Check::new(&check, Arc::default(), 3).run().await;
        assert_eq!(
            observed,
            Observed::critical(format!("HTTP GET http://{at}/: 501 Never heard Output: def"))
        );
    }
}
