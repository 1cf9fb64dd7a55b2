//! The session of this process: made, renewed, made again when it is lost, and ended with the run.

use std::time::Duration;

use registry_client::{Client, Request};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The pause before a session is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of a session may take; after that its time ends it.
const END_LIMIT: Duration = Duration::from_secs(3);

/// A session that is kept.
pub(super) struct Session {
    client: Client,
    id: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

impl Session {
    /// Keeps a session that ends `ttl` after the last sign of life.
    pub(super) fn keep(client: Client, ttl: Duration) -> Self {
        let (tell, id) = watch::channel(None);
        let task = tokio::spawn(keep(client.clone(), ttl, tell));
        Self { client, id, task }
    }

    /// Its id as it is and becomes; `None` while there is none.
    pub(super) fn id(&self) -> watch::Receiver<Option<String>> {
        self.id.clone()
    }

    /// Ends it, and what it holds goes with it.
    pub(super) async fn end(&self) {
        self.task.abort();
        let id = self.id.borrow().clone();
        if let Some(id) = id {
            let destroy = Request::put(Request::path_to("/v1/session/destroy", &id), "");
            // Without an answer its time ends it.
            let _ = timeout(END_LIMIT, self.client.send(&destroy)).await;
        }
    }
}

async fn keep(client: Client, ttl: Duration, tell: watch::Sender<Option<String>>) {
    let wish = json!({
        "Name": "Consul-Template de-duplication",
        "TTL": registry_wire::duration::format(ttl),
        "LockDelay": "1ms",
        "Behavior": "delete",
    });
    let create = Request::put("/v1/session/create", wish.to_string());
    loop {
        let Ok(Created { id }) = client.json::<Created>(&create).await else {
            sleep(PAUSE + PAUSE.mul_f64(rand::random())).await;
            continue;
        };
        tell.send_replace(Some(id.clone()));
        let renew = Request::put(Request::path_to("/v1/session/renew", &id), "");
        loop {
            sleep(ttl / 2).await;
            // A registry that is away says nothing about the session; one that does not know it does.
            if client.send(&renew).await.is_ok_and(|answer| answer.status == 404) {
                break;
            }
        }
        tell.send_replace(None);
    }
}
