//! What a program counts about itself, in the shapes that Consul's monitoring knows.
//!
//! Code anywhere counts through the `metrics` facade, with Consul's names without their prefix:
//! `metrics::counter!("rpc.query").increment(1)`, `metrics::histogram!("kvs.apply").record(milliseconds)`. The [`Recorder`]
//! of this crate sums that up in intervals of ten seconds, shows them as JSON ([`Report`]) and as Prometheus' text, and
//! sends each event to StatsD, statsite or DogStatsD when the configuration names one. Without [`install`] counting does
//! nothing and costs nothing.

mod event;
mod host;
pub mod names;
mod process;
mod prometheus;
mod recorder;
mod report;
mod series;
mod settings;
mod sink;

pub use recorder::{Recorder, install};
pub use report::{Gauge, Report, Summary};
pub use settings::{Filters, Settings};

/// How long an interval is.
pub const INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// The milliseconds since a moment: what every timer records.
pub fn milliseconds_since(start: std::time::Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
