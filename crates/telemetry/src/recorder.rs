//! The one recorder of a process: every series, by kind and name.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use daemon::Shutdown;
use metrics::{Counter, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    INTERVAL, Settings,
    event::Tap,
    host::Host,
    process, prometheus,
    report::{self, Report},
    series::{Kind, Series},
    sink,
};

/// How many series there can be; names that clients choose, as those of services, must not fill the memory.
const SERIES_MAX: usize = 4096;
/// How many intervals a series is kept that nothing happens to.
const RESTING_MAX: u32 = 6;

/// All series by their names.
type Table = RwLock<HashMap<Key, Arc<Series>>>;

/// Records what the facade is told. Clones share everything.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    counters: Table,
    gauges: Table,
    samples: Table,
    tap: Arc<Tap>,
    settings: RwLock<Arc<Settings>>,
    /// Intervals that have ended.
    intervals: AtomicU64,
    /// Whether it was said that there are too many series.
    full: AtomicBool,
}

/// Makes this process count, from now on; the same recorder each time.
pub fn install() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    let recorder = RECORDER.get_or_init(|| {
        let recorder = Recorder::new();
        // Fails only where another library counts already; then it has the events, and the reports stay empty.
        let _ = metrics::set_global_recorder(recorder.clone());
        recorder
    });
    recorder.clone()
}

impl Recorder {
    fn new() -> Self {
        Self(Arc::new(Inner {
            counters: Table::default(),
            gauges: Table::default(),
            samples: Table::default(),
            tap: Arc::default(),
            settings: RwLock::default(),
            intervals: AtomicU64::new(0),
            full: AtomicBool::new(false),
        }))
    }

    /// Takes the settings over and starts what they ask for; the tasks end with shutdown.
    pub fn start(&self, settings: Settings, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
        let mut tasks = sink::start(&settings, self, shutdown);
        self.configure(settings);
        tasks.push(tokio::spawn(self.clone().keep_time(shutdown.clone())));
        tasks
    }

    /// Lets other settings hold from now on; where events are sent stays as it was.
    pub fn configure(&self, settings: Settings) {
        self.0.tap.want_quantiles(!settings.prometheus_retention.is_zero());
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// The settings that hold.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The figures of the last whole interval, or of the first one while it runs.
    pub fn report(&self) -> Report {
        let ended = self.0.intervals.load(Relaxed);
        let start = interval_start(SystemTime::now()) - INTERVAL * u32::from(ended > 0);
        report::make(self, start, ended > 0)
    }

    /// Everything since the start, as Prometheus reads it; `None` while that is turned off.
    pub fn prometheus(&self) -> Option<String> {
        let settings = self.settings();
        (!settings.prometheus_retention.is_zero()).then(|| prometheus::text(self, &settings))
    }

    pub(crate) fn tap(&self) -> &Arc<Tap> {
        &self.0.tap
    }

    /// All series of a kind, in no order.
    pub(crate) fn series(&self, kind: Kind) -> Vec<Arc<Series>> {
        self.table(kind).read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn table(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Counter => &self.0.counters,
            Kind::Gauge => &self.0.gauges,
            Kind::Sample => &self.0.samples,
        }
    }

    /// The series of this name; `None` when there are too many.
    fn find(&self, kind: Kind, key: &Key) -> Option<Arc<Series>> {
        let table = self.table(kind);
        if let Some(series) = table.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Some(series.clone());
        }
        let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= SERIES_MAX && !table.contains_key(key) {
            if !self.0.full.swap(true, Relaxed) {
                tracing::warn!(target: "agent", metric = key.name(), "too many metrics by label: new ones are not counted");
            }
            return None;
        }
        let new = || Arc::new(Series::new(kind, key.clone(), self.0.tap.clone()));
        Some(table.entry(key.clone()).or_insert_with(new).clone())
    }

    /// Ends an interval each ten seconds, and measures the process.
    async fn keep_time(self, shutdown: Shutdown) {
        let settings = self.settings();
        let mut host = settings.host_metrics.then(|| Host::new(settings.disk.clone()));
        loop {
            process::measure();
            if let Some(host) = &mut host {
                host.measure();
            }
            let since = SystemTime::now().duration_since(interval_start(SystemTime::now()));
            tokio::select! {
                () = sleep(INTERVAL.saturating_sub(since.unwrap_or_default())) => {}
                () = shutdown.requested() => return,
            }
            self.turn();
        }
    }

    /// Ends the interval, and forgets what has rested for long and nobody holds.
    pub(crate) fn turn(&self) {
        let kept = self.settings().prometheus_retention.as_secs() / INTERVAL.as_secs();
        let kept = u32::try_from(kept).unwrap_or(u32::MAX).max(RESTING_MAX);
        for table in [&self.0.counters, &self.0.gauges, &self.0.samples] {
            let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
            table.retain(|_, series| series.turn() <= kept || Arc::strong_count(series) > 1);
        }
        self.0.full.store(false, Relaxed);
        self.0.intervals.fetch_add(1, Relaxed);
        let dropped = self.0.tap.take_dropped();
        if dropped > 0 {
            tracing::warn!(target: "agent", dropped, "metrics come faster than they can be sent");
        }
    }
}

/// When the interval of a moment began: on the clock, so that all nodes' intervals are the same.
fn interval_start(now: SystemTime) -> SystemTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(since - since % INTERVAL.as_secs())
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.find(Kind::Counter, key).map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        self.find(Kind::Gauge, key).map_or_else(metrics::Gauge::noop, metrics::Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.find(Kind::Sample, key).map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

#[cfg(test)]
mod tests;
