//! Warns of templates that have waited for long, and says when the wait is over: a missing key is silent otherwise.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::observe::{Evaluation, Event, Observer};

/// How many questions a warning names.
const NAMED_MAX: usize = 5;

/// Follows how long templates wait.
pub(crate) struct Waiting {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    waits: Mutex<BTreeMap<(String, String), Wait>>,
    began: Notify,
}

struct Wait {
    since: Instant,
    missing: Vec<String>,
    told: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Waiting {
    /// Warns after this time of waiting.
    pub(crate) fn new(limit: Duration) -> Self {
        let shared = Arc::<Shared>::default();
        Self { task: tokio::spawn(watch(Arc::clone(&shared), limit)), shared }
    }
}

impl Observer for Waiting {
    fn see(&self, event: &Event<'_>) {
        let mut waits = self.shared.waits.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Began { templates } | Event::FannedOut { templates } => {
                let names = |source: &str, destination: &str| {
                    templates.iter().any(|t| t.source == source && t.destination == destination)
                };
                waits.retain(|(source, destination), _| names(source, destination));
            }
            Event::Evaluated { template, asked, outcome: Evaluation::Waiting, .. } => {
                let key = (template.source.to_owned(), template.destination.to_owned());
                let missing = asked.missing.iter().map(ToString::to_string).collect();
                match waits.get_mut(&key) {
                    Some(wait) => wait.missing = missing,
                    None => {
                        waits.insert(key, Wait { since: Instant::now(), missing, told: false });
                        self.shared.began.notify_one();
                    }
                }
            }
            Event::Evaluated { template, .. } if !waits.is_empty() => {
                let key = (template.source.to_owned(), template.destination.to_owned());
                if let Some(Wait { told: true, since, .. }) = waits.remove(&key) {
                    let waited = since.elapsed().as_secs();
                    tracing::warn!(target: "runner", "{:?} => {:?} waits no more, after {waited}s", key.0, key.1);
                }
            }
            _ => {}
        }
    }
}

/// Tells each wait once, when its time has come.
async fn watch(shared: Arc<Shared>, limit: Duration) {
    loop {
        match tell_due(&shared, limit) {
            Some(next) => tokio::select! {
                () = sleep_until(next) => {}
                () = shared.began.notified() => {}
            },
            None => shared.began.notified().await,
        }
    }
}

/// Warns of what is due, and says when the next is.
fn tell_due(shared: &Shared, limit: Duration) -> Option<Instant> {
    let now = Instant::now();
    let mut waits = shared.waits.lock().unwrap_or_else(PoisonError::into_inner);
    for ((source, destination), wait) in waits.iter_mut() {
        if !wait.told && wait.since + limit <= now {
            wait.told = true;
            let named = wait.missing.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
            let more = wait.missing.len().saturating_sub(NAMED_MAX);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let seconds = (now - wait.since).as_secs();
            tracing::warn!(target: "runner", "{source:?} => {destination:?} has waited {seconds}s for {named}{more}");
        }
    }
    waits.values().filter(|wait| !wait.told).map(|wait| wait.since + limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{answers::Asked, observe::Subject, query::Query};

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told_once_when_it_is_long() {
        let waiting = Waiting::new(Duration::from_secs(30));
        let template = Subject { source: "in", destination: "out" };
        let query = Query::key("a").unwrap();
        let asked = Asked { used: [query.clone()].into(), missing: [query].into(), ..Asked::default() };
        let see = |outcome| waiting.see(&Event::Evaluated { template, asked: &asked, causes: &[], outcome });
        let told = || waiting.shared.waits.lock().unwrap().values().map(|wait| wait.told).collect::<Vec<_>>();
        see(Evaluation::Waiting);
        tokio::time::sleep(Duration::from_secs(29)).await;
        see(Evaluation::Waiting);
        assert_eq!(told(), [false]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(told(), [true]);
        see(Evaluation::Text(b""));
        assert_eq!(told(), [false; 0]);
    }
}
