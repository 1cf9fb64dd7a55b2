//! Asking servers over the link, one after the other when one does not answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, StatusCode};
use http_api::{Body, body};
use link::{Link, calls::REQUEST_HEADER};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::network::Simulated;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// When what was not done is sent again.
const AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Caller {
    links: Vec<Arc<Link>>,
    /// Which server is asked.
    pub(crate) at: usize,
    /// How long an answer may take.
    pub(crate) patience: Duration,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    /// `X-Consul-Index`; 0 without.
    pub(crate) index: u64,
}

impl Caller {
    pub(crate) fn new(servers: &[SocketAddr]) -> Self {
        let network: Arc<dyn link::Network> = Arc::new(Simulated);
        let links: Vec<_> = servers.iter().map(|at| Arc::new(Link::over(network.clone(), *at))).collect();
        let at = rand::random_range(0..links.len());
        Self { links, at, patience: PATIENCE }
    }

    pub(crate) fn servers(&self) -> usize {
        self.links.len()
    }

    /// Sends a write until it is answered as done. All attempts are one request, as agents send it: one that was on its way for
    /// long is not made after what came later.
    pub(crate) async fn put(&mut self, target: &str, text: &str) {
        let id = Uuid::new_v4().to_string();
        loop {
            let request = Request::put(target).header(REQUEST_HEADER, &id);
            let answer = self.send(request.body(body::full(text.to_owned())).unwrap()).await;
            if answer.is_some_and(|answer| answer.status == StatusCode::OK) {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    /// `None` when nobody has answered; after that, and after an answer that says so, another server is asked.
    pub(crate) async fn call(&mut self, method: &str, target: &str, text: String) -> Option<Answer> {
        self.send(Request::builder().method(method).uri(target).body(body::full(text)).unwrap()).await
    }

    async fn send(&mut self, request: Request<Body>) -> Option<Answer> {
        let link = self.links[self.at].clone();
        let asked = async {
            let (head, mut body) = link.call(request).await.ok()?.into_parts();
            let bytes = body::collect(&mut body, 1 << 20).await.ok()?;
            let index =
                head.headers.get("x-consul-index").and_then(|index| index.to_str().ok()?.parse().ok());
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            Some(Answer { status: head.status, text, index: index.unwrap_or(0) })
        };
        let answer = timeout(self.patience, asked).await.ok().flatten();
        if answer.as_ref().is_none_or(|answer| answer.status.is_server_error()) {
            self.at = (self.at + 1) % self.links.len();
        }
        answer
    }
}
