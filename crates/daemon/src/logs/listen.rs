//! Who listens to the log of a running program, besides where it is written.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::mpsc;
use tracing::{Event, Metadata, Subscriber, callsite, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    layer::{Context, Filter},
};

use super::{Style, interest, line, shows};

/// How many lines wait for one listener; more are counted and dropped, for the log waits for nobody.
const WAITING_MAX: usize = 512;

static LISTENERS: RwLock<Vec<Arc<Listener>>> = RwLock::new(Vec::new());

#[derive(Debug)]
struct Listener {
    level: LevelFilter,
    style: Style,
    lines: mpsc::Sender<String>,
    dropped: AtomicU64,
}

/// The lines of the log from now on, until this is dropped.
#[derive(Debug)]
pub struct Listening {
    lines: mpsc::Receiver<String>,
    listener: Arc<Listener>,
}

/// Listens to the process's log at a level of its own, whatever level the log itself has.
pub fn listen(level: LevelFilter, style: Style) -> Listening {
    let (sender, lines) = mpsc::channel(WAITING_MAX);
    let listener = Arc::new(Listener { level, style, lines: sender, dropped: AtomicU64::new(0) });
    change(|listeners| listeners.push(listener.clone()));
    Listening { lines, listener }
}

/// Changes who listens, and lets what logs look again whether anybody wants its lines.
fn change(how: impl FnOnce(&mut Vec<Arc<Listener>>)) {
    let mut listeners = LISTENERS.write().unwrap_or_else(PoisonError::into_inner);
    how(&mut listeners);
    // What looks again reads the list.
    drop(listeners);
    callsite::rebuild_interest_cache();
}

impl Listening {
    /// The next line, with its end.
    pub async fn next(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// A line that has come already.
    pub fn waiting(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// How many lines came faster than they were taken, and are lost.
    pub fn dropped(&self) -> u64 {
        self.listener.dropped.load(Relaxed)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        change(|listeners| listeners.retain(|listener| !Arc::ptr_eq(listener, &self.listener)));
    }
}

/// Hands events to those who listen.
pub(super) struct Listeners;

impl<S: Subscriber> Layer<S> for Listeners {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        for listener in LISTENERS.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if !shows(listener.level, event.metadata()) {
                continue;
            }
            if listener.lines.try_send(line(listener.style, event).text).is_err() {
                listener.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Lets through what at least one listener wants.
pub(super) struct Wanted;

impl Wanted {
    fn wants(metadata: &Metadata<'_>) -> bool {
        let listeners = LISTENERS.read().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().any(|listener| shows(listener.level, metadata))
    }
}

impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Self::wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        interest(Self::wants(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let listeners = LISTENERS.read().unwrap_or_else(PoisonError::into_inner);
        Some(listeners.iter().map(|listener| listener.level).max().unwrap_or(LevelFilter::OFF))
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn listeners_get_their_levels_and_lose_what_they_do_not_take() {
        let subscriber = tracing_subscriber::registry().with(Listeners.with_filter(Wanted));
        tracing::subscriber::with_default(subscriber, || {
            let mut warnings = listen(LevelFilter::WARN, Style::Consul);
            let mut all = listen(LevelFilter::TRACE, Style::Json);
            tracing::info!(target: "agent", "quiet");
            tracing::warn!(target: "agent.dns", service = "a b", "loud");
            let line = warnings.waiting().unwrap();
            assert!(line.ends_with("[WARN]  agent.dns: loud: service=\"a b\"\n"), "{line}");
            assert_eq!(warnings.waiting(), None);
            assert!(all.waiting().unwrap().contains("\"@message\":\"quiet\""));
            (0..WAITING_MAX + 9).for_each(|_| tracing::info!(target: "agent", "many"));
            assert_eq!((all.dropped(), warnings.dropped()), (10, 0));
        });
        assert!(LISTENERS.read().unwrap().is_empty());
    }
}
