//! The watches of the configuration while the agent runs.
//!
//! A watch asks the agent itself, past its listeners: it works whatever addresses are served, and costs no connection.

use std::{sync::Arc, time::Duration};

use daemon::Shutdown;
use http::{HeaderMap, HeaderValue, Method};
use http_api::body;
use registry_client::{Request, RequestError, Response};
use tokio::{sync::watch::Receiver, task::JoinHandle, time::timeout};
use watch::{Ask, Watch};

use crate::{backend::remote::Attachment, front_door::Behind};

/// The longest answer that handlers are given.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// All watches that run.
pub(crate) struct Watches {
    behind: Arc<Behind>,
    /// Whether a registry holds our lease; `None` where it is in this process.
    attachment: Option<Receiver<Attachment>>,
    running: Vec<Running>,
}

struct Running {
    watch: Watch,
    end: Shutdown,
    task: JoinHandle<()>,
}

impl Watches {
    pub(crate) fn new(behind: Arc<Behind>, attachment: Option<Receiver<Attachment>>) -> Self {
        Self { behind, attachment, running: Vec::new() }
    }

    /// Lets exactly these run: those that run already go on undisturbed, others end, new ones start.
    pub(crate) fn set(&mut self, watches: &[Watch]) {
        let mut before = std::mem::take(&mut self.running);
        for watch in watches {
            let known = before.iter().position(|running| running.watch == *watch);
            let running = known.map(|at| before.swap_remove(at)).unwrap_or_else(|| self.start(watch.clone()));
            self.running.push(running);
        }
        for gone in before {
            // It ends by itself, within the time that its handler is given.
            gone.end.request();
        }
    }

    fn start(&self, watch: Watch) -> Running {
        let asker = Asker { behind: self.behind.clone(), token: watch.token.clone() };
        let (end, attachment) = (Shutdown::default(), self.attachment.clone());
        let (run, ending) = (watch.clone(), end.clone());
        let task = tokio::spawn(async move {
            if let Some(mut attachment) = attachment {
                // Before a registry is known every question would only fail.
                tokio::select! {
                    _ = attachment.wait_for(|now| *now != Attachment::Never) => {}
                    () = ending.requested() => return,
                }
            }
            run.run(asker, ending).await;
        });
        Running { watch, end, task }
    }

    /// Ends all of them; returns when their handlers have ended or been ended.
    pub(crate) async fn end(&mut self) {
        for running in &self.running {
            running.end.request();
        }
        for running in self.running.drain(..) {
            if let Err(error) = running.task.await {
                tracing::error!(target: "agent.watch", %error, "a watch ended badly");
            }
        }
    }
}

/// Asks the agent of this process.
struct Asker {
    behind: Arc<Behind>,
    token: String,
}

impl Ask for Asker {
    async fn ask(&self, request: Request) -> Result<Response, RequestError> {
        let path = request.path_and_query();
        let unreachable =
            |reason: String| RequestError::Unreachable { method: "Get".into(), url: path.clone(), reason };
        let mut sent = http::Request::new(body::empty());
        *sent.method_mut() = Method::GET;
        *sent.uri_mut() = path.parse().map_err(|_| unreachable("it is no path".into()))?;
        if !self.token.is_empty() {
            let token = HeaderValue::from_str(&self.token);
            let token = token.map_err(|_| unreachable("the token cannot be sent in a header".into()))?;
            sent.headers_mut().insert("X-Consul-Token", token);
        }
        let asked = async {
            let (head, mut answer) = self.behind.clone().answer(sent).await.into_parts();
            let body = body::collect(&mut answer, ANSWER_BYTES_MAX).await.map_err(|e| e.to_string())?;
            Ok((head, body))
        };
        let limit = request.timeout.unwrap_or(Duration::from_secs(30));
        let answered: Result<_, String> = match timeout(limit, asked).await {
            Ok(answered) => answered,
            Err(_) => return Err(RequestError::TimedOut { method: "Get".into(), url: path, after: limit }),
        };
        let (head, body) = answered.map_err(unreachable)?;
        Ok(Response {
            status: head.status.as_u16(),
            index: number(&head.headers, "X-Consul-Index"),
            known_leader: true,
            last_contact: Duration::from_millis(number(&head.headers, "X-Consul-LastContact")),
            body,
        })
    }
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}
