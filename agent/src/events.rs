//! User events: the newest ones that are meant for this node.
//!
//! The registry keeps the newest events of all; [`Events::follow`] holds one question for those after the last index it
//! knows, so each event arrives once, also over a fail-over or a restart of the registry. What was fired before the agent
//! started it does not hear of, and a restart forgets what it heard.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::Shutdown;
use http::{Request, Response, StatusCode};
use http_api::{Body, body};
use link::calls;
use registry_wire::{event::UserEvent, header, regexp};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    backend::{Backend, Unavailable},
    exec, figures,
    local::Local,
};

/// How many events are kept, as in Consul.
const EVENTS_MAX: usize = 256;
/// The longest answer: 256 events in JSON have some 250 kB.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The first pause after a question without an answer; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: events arrive within about this time after the registry is back.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The events of this node. Shared by the task that learns them and the API.
pub(crate) struct Events {
    node: String,
    local: Arc<Local>,
    ring: Mutex<VecDeque<Arc<UserEvent>>>,
    /// The index up to which all events are known; 0 until the registry first answered.
    known: watch::Sender<u64>,
    /// Where commands for this node go; nobody else hears of those.
    jobs: exec::Jobs,
}

/// Why a question for events has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the registry answers {0}")]
    Status(StatusCode),
    #[error("the answer is cut off or not of the shape that was asked for")]
    Shape,
    #[error("no answer in time")]
    TimedOut,
}

impl Events {
    /// None yet; see [`Events::follow`].
    pub(crate) fn new(node: &str, local: Arc<Local>, jobs: exec::Jobs) -> Arc<Self> {
        let known = watch::channel(0).0;
        Arc::new(Self { node: node.to_owned(), local, ring: Mutex::default(), known, jobs })
    }

    /// Learns events until shutdown.
    pub(crate) async fn follow(self: Arc<Self>, backend: Arc<dyn Backend>, shutdown: Shutdown) {
        let following = async {
            let mut pause = PAUSE_MIN;
            loop {
                match self.learn(&*backend).await {
                    Ok(()) => pause = PAUSE_MIN,
                    Err(error) => {
                        tracing::debug!(target: "agent", %error, "cannot ask for events; asking again");
                        sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
            }
        };
        tokio::select! {
            () = following => {}
            () = shutdown.requested() => {}
        }
    }

    /// One question, held by the registry until there is something new.
    async fn learn(&self, backend: &dyn Backend) -> Result<(), Unanswered> {
        let known = *self.known.borrow();
        let after = if known == 0 { String::new() } else { known.to_string() };
        let request = Request::get(format!("{}{after}", calls::EVENTS)).body(body::empty());
        let asked = async {
            let answer = backend.call(request.expect("a number is a path")).await?;
            read(answer).await
        };
        let limit = calls::EVENTS_HELD.mul_f64(1.125) + PAUSE_MAX;
        let (events, index) = timeout(limit, asked).await.unwrap_or(Err(Unanswered::TimedOut))?;
        events.iter().for_each(|event| figures::event(&event.name));
        events.into_iter().filter(|event| self.is_ours(event)).for_each(|event| self.keep(event));
        self.known.send_replace(index.max(1));
        Ok(())
    }

    fn keep(&self, event: UserEvent) {
        if event.name == exec::EVENT {
            return self.hand_over(event);
        }
        tracing::debug!(target: "agent", event = event.name, id = event.id, "new event");
        let mut ring = self.ring();
        if ring.len() == EVENTS_MAX {
            ring.pop_front();
        }
        ring.push_back(Arc::new(event));
    }

    fn hand_over(&self, event: UserEvent) {
        let id = event.id.clone();
        match &self.jobs {
            None => tracing::info!(target: "agent", event_id = id, "ignoring remote exec event, disabled."),
            Some(jobs) => {
                if jobs.try_send(Arc::new(event)).is_err() {
                    tracing::warn!(target: "agent", event_id = id, "ignoring remote exec event, too many wait");
                }
            }
        }
    }

    /// Whether the filters let an event reach this node. One with a filter that cannot be read reaches nobody.
    fn is_ours(&self, event: &UserEvent) -> bool {
        let fits = |filter: &str, text: &str| {
            filter.is_empty() || regexp::compile(filter).is_ok_and(|pattern| pattern.is_match(text))
        };
        let tagged = |tags: &Option<Vec<String>>| {
            event.tag_filter.is_empty() || tags.iter().flatten().any(|tag| fits(&event.tag_filter, tag))
        };
        let served = || {
            let services = self.local.services();
            services.iter().any(|s| fits(&event.service_filter, &s.service) && tagged(&s.tags))
        };
        fits(&event.node_filter, &self.node) && (event.service_filter.is_empty() || served())
    }

    /// The events with this name, oldest first; all of them if it is empty.
    pub(crate) fn named(&self, name: &str) -> Vec<Arc<UserEvent>> {
        self.ring().iter().filter(|event| name.is_empty() || event.name == name).cloned().collect()
    }

    /// Changes whenever more events are known, whether or not they are for this node.
    pub(crate) fn known(&self) -> watch::Receiver<u64> {
        self.known.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Arc<UserEvent>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(answer: Response<Body>) -> Result<(Vec<UserEvent>, u64), Unanswered> {
    let (head, mut sent) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Err(Unanswered::Status(head.status));
    }
    let index = head.headers.get(header::INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
    let bytes = body::collect(&mut sent, ANSWER_BYTES_MAX).await.map_err(|_| Unanswered::Shape)?;
    let events = serde_json::from_slice(&bytes).map_err(|_| Unanswered::Shape)?;
    Ok((events, index.ok_or(Unanswered::Shape)?))
}

/// The index that stands for the newest of these events: its id, both halves put together. 1 for none.
///
/// Such an index does not grow; who waits with it waits for another one.
pub(crate) fn index_of(events: &[Arc<UserEvent>]) -> u64 {
    events.last().map_or(1, |newest| newest.index().max(1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::{
        backend::{BoxFuture, Found, Lookup},
        config::{Flags, load},
    };

    /// A registry with events at the indexes 2, 3, … that fails every second question and holds none.
    struct Registry {
        events: Vec<UserEvent>,
        asked: AtomicU64,
    }

    impl Backend for Registry {
        fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
            if self.asked.fetch_add(1, Relaxed) % 2 == 1 {
                return Box::pin(async { Err(Unavailable::NoServers) });
            }
            let after = request.uri().path().trim_start_matches(calls::EVENTS).parse::<usize>();
            let newest = self.events.len() + 1;
            let from = after.map_or(self.events.len(), |after| after - 1);
            let shown = serde_json::to_vec(&self.events[from.min(self.events.len())..]).unwrap();
            let answer = Response::builder().header(header::INDEX, newest).body(body::full(shown)).unwrap();
            Box::pin(async { Ok(answer) })
        }

        fn lookup(&self, _: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
            Box::pin(async { Err(Unavailable::NoServers) })
        }
    }

    fn events() -> Arc<Events> {
        let flags = Flags::parse(["-dev", "-bind=127.0.0.1"].map(str::to_owned)).unwrap();
        Events::new("web1", Local::new(&load(&flags).unwrap(), None), None)
    }

    fn event(number: u128, node_filter: &str, service_filter: &str) -> UserEvent {
        UserEvent {
            id: uuid::Uuid::from_u128(number).to_string(),
            name: format!("e{number}"),
            node_filter: node_filter.to_owned(),
            service_filter: service_filter.to_owned(),
            ..UserEvent::default()
        }
    }

    async fn learn(events: &Events, registry: &Registry) {
        while events.learn(registry).await.is_err() {}
    }

    fn names(events: &Events) -> String {
        events.named("").iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_comes_once_and_only_to_whom_it_is_meant_for() {
        let events = events();
        let mut registry = Registry { events: vec![event(1, "", "")], asked: AtomicU64::new(0) };
        learn(&events, &registry).await;
        assert_eq!(names(&events), "", "what was fired before the start");
        registry.events.extend([
            event(2, "", ""),
            event(3, "db", ""),
            event(4, "web.", ""),
            event(5, "", "x"),
        ]);
        learn(&events, &registry).await;
        learn(&events, &registry).await;
        assert_eq!(names(&events), "e2 e4");
        assert_eq!(index_of(&events.named("")), 4);
        assert_eq!(index_of(&events.named("nope")), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_newest_are_kept() {
        let events = events();
        let mut registry = Registry { events: Vec::new(), asked: AtomicU64::new(0) };
        learn(&events, &registry).await;
        registry.events.extend((1..=300).map(|number| event(number, "", "")));
        learn(&events, &registry).await;
        let kept = events.named("");
        assert_eq!((kept.len(), kept[0].name.as_str()), (256, "e45"));
    }
}
