//! A proxy between watcher and registry: it can go away, answer errors, and it remembers what was asked.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    client::{Answer, Request},
    glob, ports,
    serve::Server,
};

/// Longer than any blocking query.
const ANSWER_MAX: Duration = Duration::from_secs(700);

/// The proxy of one case, on a port that stays the same.
pub(super) struct Proxy {
    port: u16,
    target: SocketAddr,
    server: Option<Server>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Answer this instead of asking the registry.
    fail_with: Option<u16>,
    seen: Vec<Seen>,
}

/// A request that came.
struct Seen {
    method: String,
    path: String,
    query: Vec<String>,
    headers: BTreeMap<String, String>,
}

/// Which requests a case asks for.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    method: Option<String>,
    path: Option<String>,
    query_has: Vec<String>,
    query_lacks: Vec<String>,
    headers: BTreeMap<String, String>,
    /// How many there must be, from and to.
    pub(super) count: [usize; 2],
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            method: None,
            path: None,
            query_has: Vec::new(),
            query_lacks: Vec::new(),
            headers: BTreeMap::new(),
            count: [1, usize::MAX],
        }
    }
}

impl Proxy {
    /// A proxy that is up.
    pub(super) fn start(target: SocketAddr) -> io::Result<Self> {
        let [port, ..] = ports::block();
        let mut proxy = Self { port, target, server: None, shared: Arc::default() };
        proxy.set("up")?;
        Ok(proxy)
    }

    /// Its address, whether it is up or not.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `up`, `down`, or a status to answer all requests with.
    pub(super) fn set(&mut self, mode: &str) -> io::Result<()> {
        locked(&self.shared).fail_with = mode.parse().ok();
        if mode == "down" {
            self.server = None;
        } else if self.server.is_none() {
            let (target, shared) = (self.target, self.shared.clone());
            self.server = Some(Server::start(self.port, move |request| pass_on(request, target, &shared))?);
        }
        Ok(())
    }

    /// How many such requests came.
    pub(super) fn count(&self, wanted: &Wanted) -> usize {
        locked(&self.shared).seen.iter().filter(|seen| fits(wanted, seen)).count()
    }

    /// All requests, for messages.
    pub(super) fn seen(&self) -> Vec<String> {
        let line = |seen: &Seen| format!("{} {}?{}", seen.method, seen.path, seen.query.join("&"));
        locked(&self.shared).seen.iter().map(line).collect()
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(request: Request, target: SocketAddr, shared: &Mutex<Shared>) -> io::Result<Answer> {
    let fail_with = {
        let mut shared = locked(shared);
        shared.seen.push(Seen::new(&request));
        shared.fail_with
    };
    if let Some(status) = fail_with {
        return Ok(Answer { status, headers: Vec::new(), body: b"made to fail".to_vec() });
    }
    passed_on(request, target, ANSWER_MAX)
}

/// What a server says to a request that came to another.
pub(crate) fn passed_on(mut request: Request, target: SocketAddr, limit: Duration) -> io::Result<Answer> {
    let own = ["host", "connection", "accept-encoding", "content-length"];
    request.headers.retain(|(name, _)| !own.contains(&name.as_str()));
    let mut answer = request.send(target, limit)?;
    let framing = ["content-length", "transfer-encoding", "connection", "date"];
    answer.headers.retain(|(name, _)| !framing.contains(&name.as_str()));
    Ok(answer)
}

impl Seen {
    fn new(request: &Request) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        Self {
            method: request.method.clone(),
            path: decode(path),
            query: query.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            headers: request.headers.iter().cloned().collect(),
        }
    }
}

fn fits(wanted: &Wanted, seen: &Seen) -> bool {
    let in_query = |pattern: &String| seen.query.iter().any(|part| glob::matches(pattern, part));
    let header =
        |(name, value): (&String, &String)| seen.headers.get(&name.to_ascii_lowercase()) == Some(value);
    wanted.method.as_ref().is_none_or(|method| *method == seen.method)
        && wanted.path.as_ref().is_none_or(|path| glob::matches(path, &seen.path))
        && wanted.query_has.iter().all(in_query)
        && !wanted.query_lacks.iter().any(in_query)
        && wanted.headers.iter().all(header)
}

/// Takes percent-encoding back.
fn decode(path: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let coded = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Seen, Wanted, decode, fits};
    use crate::client::Request;

    #[test]
    fn requests_are_found_by_patterns() {
        let seen = Seen::new(&Request::new("GET", "/v1/kv/a%20b?index=7&stale"));
        let wants = |value| fits(&serde_json::from_value::<Wanted>(value).unwrap(), &seen);
        assert!(wants(json!({"path": "/v1/kv/a b", "query_has": ["index=[1-9]*"]})));
        assert!(wants(json!({"method": "GET", "query_lacks": ["wait=*"]})));
        assert!(!wants(json!({"query_lacks": ["stale"]})));
        assert!(!wants(json!({"headers": {"X-Consul-Token": "t"}})));
    }

    #[test]
    fn percent_signs_may_stand_alone() {
        assert_eq!(decode("a%2Fb%"), "a/b%");
    }
}
