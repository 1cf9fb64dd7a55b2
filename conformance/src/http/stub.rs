//! The scenario's own HTTP server, which the subject's checks ask.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use regex::{Captures, Regex};

use crate::{
    client::{Answer, Request},
    serve::Server,
};

/// A server on a port of its own that answers each path as the scenario's last `stub` step for it says, else 200 `ok`.
pub(super) struct Stub {
    server: Server,
    answers: Arc<Mutex<BTreeMap<String, (u16, String)>>>,
}

impl Stub {
    pub(super) fn start() -> io::Result<Self> {
        let answers: Arc<Mutex<BTreeMap<String, (u16, String)>>> = Arc::default();
        let shared = answers.clone();
        let server = Server::start(0, move |request| {
            let path = request.path.split('?').next().unwrap_or_default();
            let told = shared.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
            let (status, body) = told.unwrap_or_else(|| (200, "ok".into()));
            Ok(Answer { status, headers: Vec::new(), body: fill(&body, &request).into_bytes() })
        })?;
        Ok(Self { server, answers })
    }

    pub(super) fn set(&self, answers: &BTreeMap<String, (u16, String)>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(answers.clone());
    }

    pub(super) fn port(&self) -> u16 {
        self.server.address().port()
    }
}

/// `{method}`, `{sent}` (the request's body) and `{h:Name}` (a header, `-` without one) in an answer's text.
fn fill(body: &str, request: &Request) -> String {
    let sent = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default());
    let body = body.replace("{method}", &request.method).replace("{sent}", &sent);
    let header = Regex::new(r"\{h:([^}]*)\}").expect("the pattern is well formed");
    let value = |found: &Captures<'_>| {
        let name = found[1].to_ascii_lowercase();
        request
            .headers
            .iter()
            .find(|(n, _)| *n == name)
            .map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
    };
    header.replace_all(&body, value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::fill;
    use crate::client::Request;

    #[test]
    fn an_answer_tells_what_was_asked() {
        let mut request = Request::with_body("POST", "/", "hi");
        request.headers.push(("x-a".into(), "b".into()));
        assert_eq!(fill("{method} {sent} {h:X-A} {h:X-B}", &request), "POST hi b -");
    }
}
