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
use reqwest::{
    Client, Method, StatusCode, Url,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
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
    let redirects = if needs.stay { Policy::none() } else { Policy::limited(REDIRECTS_MAX) };
    // A check asks what a new client would see, so no connection is kept; and it must not ask a proxy instead.
    let mut builder = Client::builder().no_proxy().pool_max_idle_per_host(0).redirect(redirects);
    if !needs.tls && needs.stay {
        // An image without any CA certificates must still be able to check plain HTTP.
        builder = builder.tls_certs_only([]);
    }
    if needs.skip_verify {
        builder = builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true);
    }
    if let Some((name, address)) = &needs.server_name {
        builder = builder.resolve(name, *address);
    }
    match builder.build() {
        Err(_) if !needs.tls => Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(if needs.stay { Policy::none() } else { Policy::limited(REDIRECTS_MAX) })
            .tls_certs_only([])
            .build(),
        built => built,
    }
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
            Ok(Err(reason)) => Observed::critical(format!("{} \"{}\": {reason}", self.verb(), self.url)),
            Err(_) => Observed::critical(format!(
                "{} \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                self.verb(),
                self.url
            )),
        }
    }

    async fn ask(&self) -> Result<Observed, String> {
        let mut url = Url::parse(&self.url).map_err(|error| error.to_string())?;
        let (needs, headers) = self.for_server_name(&mut url).await?;
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|error| error.to_string())?;
        let client = self.clients.get(&needs).map_err(|error| innermost(&error))?;
        let request = client.request(method, url.clone()).headers(headers).body(self.body.clone());
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(in_gos_words(&url, &error).await),
        };
        let status = answer.status();
        let mut said = Tail::new(self.output_bytes_max);
        while let Some(bytes) = answer.chunk().await.map_err(|error| innermost(&error))? {
            said.push(&bytes);
        }
        let output =
            format!("HTTP {} {}: {} Output: {}", self.method, self.url, line(status), said.into_text());
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

/// `200 OK`.
fn line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The error in the words that Consul's users know, where there are such words.
async fn in_gos_words(url: &Url, error: &reqwest::Error) -> String {
    let mut source = error.source();
    while let Some(inner) = source {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;
    use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

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
}
