//! One thing that is counted: its figures of this interval and the last, and in all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{CounterFn, GaugeFn, HistogramFn, Key};

use crate::event::{Event, Tap};

/// How many of the newest values of a sample are kept to tell its quantiles.
const RECENT: usize = 256;

/// What is counted how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Happenings.
    Counter,
    /// Something that has a value at any time.
    Gauge,
    /// Durations and sizes, each of which counts.
    Sample,
}

/// What a series is called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    /// Without the configuration's prefix.
    pub(crate) key: Key,
}

/// A counted thing.
pub(crate) struct Series {
    name: Arc<Name>,
    figures: Mutex<Figures>,
    tap: Arc<Tap>,
}

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Of the interval that runs.
    pub(crate) now: Aggregate,
    /// Of the one before.
    pub(crate) last: Aggregate,
    /// Since the start.
    pub(crate) sum: f64,
    /// Since the start.
    pub(crate) count: u64,
    /// A gauge's value.
    pub(crate) value: f64,
    /// How many intervals have gone by without an event.
    pub(crate) resting: u32,
    /// A sample's newest values, in no order; empty unless quantiles are asked for.
    pub(crate) recent: Vec<f32>,
}

/// The events of an interval, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) squares: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Aggregate {
    fn add(&mut self, value: f64) {
        (self.min, self.max) = match self.count {
            0 => (value, value),
            _ => (self.min.min(value), self.max.max(value)),
        };
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    pub(crate) fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// The standard deviation of a sample; 0 for fewer than two values.
    pub(crate) fn deviation(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let count = self.count as f64;
        let spread = (count * self.squares - self.sum * self.sum) / (count * (count - 1.0));
        // Rounding may take equal values a hair below zero.
        spread.max(0.0).sqrt()
    }
}

impl Series {
    pub(crate) fn new(kind: Kind, key: Key, tap: Arc<Tap>) -> Self {
        Self { name: Arc::new(Name { kind, key }), figures: Mutex::default(), tap }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.name.key
    }

    /// What is known now.
    pub(crate) fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// Begins an interval; how many have gone by without an event.
    pub(crate) fn turn(&self) -> u32 {
        let mut figures = self.lock();
        if figures.now.count == 0 {
            figures.recent = Vec::new();
        }
        figures.last = std::mem::take(&mut figures.now);
        figures.resting = figures.resting.saturating_add(1);
        figures.resting
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, value: f64) {
        let quantiles = self.name.kind == Kind::Sample && self.tap.wants_quantiles();
        let mut figures = self.lock();
        figures.now.add(value);
        figures.sum += value;
        figures.count += 1;
        figures.resting = 0;
        if quantiles {
            let at = (figures.count % RECENT as u64) as usize;
            match figures.recent.get_mut(at) {
                Some(oldest) => *oldest = value as f32,
                None => figures.recent.push(value as f32),
            }
        }
        drop(figures);
        self.tell(value);
    }

    fn put(&self, change: impl FnOnce(f64) -> f64) {
        let value = {
            let mut figures = self.lock();
            let value = change(figures.value);
            figures.value = value;
            figures.now.add(value);
            figures.resting = 0;
            value
        };
        self.tell(value);
    }

    fn tell(&self, value: f64) {
        if self.tap.is_open() {
            self.tap.send(&Event { name: self.name.clone(), value });
        }
    }
}

impl CounterFn for Series {
    fn increment(&self, by: u64) {
        self.count(by as f64);
    }

    fn absolute(&self, total: u64) {
        let before = self.lock().sum;
        self.count((total as f64 - before).max(0.0));
    }
}

impl GaugeFn for Series {
    fn increment(&self, by: f64) {
        self.put(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.put(|value| value - by);
    }

    fn set(&self, to: f64) {
        self.put(|_| to);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.count(value);
    }
}
