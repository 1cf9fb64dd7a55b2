//! The figures of an interval as `GET /v1/agent/metrics` shows them.

use std::{collections::BTreeMap, time::SystemTime};

use chrono::{DateTime, Utc};
use metrics::Key;
use serde::{Serialize, Serializer};

use crate::{
    INTERVAL, Recorder, Settings,
    series::{Aggregate, Kind},
};

/// An interval: `{"Timestamp":"2026-01-02 03:04:10 +0000 UTC","Gauges":[…],"Points":[],"Counters":[…],"Samples":[…]}`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    /// When the interval began.
    pub timestamp: String,
    /// What has a value.
    pub gauges: Vec<Gauge>,
    /// Single values; nothing here records them.
    pub points: [(); 0],
    /// What happened how often.
    pub counters: Vec<Summary>,
    /// What took how long.
    pub samples: Vec<Summary>,
}

/// A value: `{"Name":"consul.members.servers","Value":1,"Labels":{"datacenter":"dc1"}}`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Gauge {
    /// The whole name.
    pub name: String,
    /// The newest value.
    #[serde(serialize_with = "number")]
    pub value: f64,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// An interval's events of one name, summed up.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// The whole name.
    pub name: String,
    /// How many events.
    pub count: u64,
    /// Their sum a second.
    #[serde(serialize_with = "number")]
    pub rate: f64,
    /// The sum of their values.
    #[serde(serialize_with = "number")]
    pub sum: f64,
    /// The smallest value.
    #[serde(serialize_with = "number")]
    pub min: f64,
    /// The largest value.
    #[serde(serialize_with = "number")]
    pub max: f64,
    /// The mean value.
    #[serde(serialize_with = "number")]
    pub mean: f64,
    /// The standard deviation.
    #[serde(serialize_with = "number")]
    pub stddev: f64,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

pub(crate) fn make(recorder: &Recorder, start: SystemTime, whole: bool) -> Report {
    let settings = recorder.settings();
    let summaries = |kind| {
        let mut found = Vec::new();
        for series in recorder.series(kind) {
            let figures = series.figures();
            let events = if whole { figures.last } else { figures.now };
            let name = full_name(&settings, kind, series.key().name());
            if events.count > 0 && settings.filters.keeps(&name) {
                found.push(summary(name, &events, labels(series.key())));
            }
        }
        found.sort_by_cached_key(|summary| order(&summary.name, &summary.labels));
        found
    };
    let mut gauges = Vec::new();
    for series in recorder.series(Kind::Gauge) {
        let (name, value) = (full_name(&settings, Kind::Gauge, series.key().name()), series.figures().value);
        if value.is_finite() && settings.filters.keeps(&name) {
            gauges.push(Gauge { name, value, labels: labels(series.key()) });
        }
    }
    gauges.sort_by_cached_key(|gauge| order(&gauge.name, &gauge.labels));
    let timestamp = DateTime::<Utc>::from(start).format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string();
    let (counters, samples) = (summaries(Kind::Counter), summaries(Kind::Sample));
    Report { timestamp, gauges, points: [], counters, samples }
}

fn summary(name: String, events: &Aggregate, labels: BTreeMap<String, String>) -> Summary {
    Summary {
        name,
        count: events.count,
        rate: events.sum / INTERVAL.as_secs_f64(),
        sum: events.sum,
        min: events.min,
        max: events.max,
        mean: events.mean(),
        stddev: events.deviation(),
        labels,
    }
}

/// A name as the configuration wants it: `consul.kvs.apply`, and a gauge's with the host's name in it.
pub(crate) fn full_name(settings: &Settings, kind: Kind, name: &str) -> String {
    let mut full = String::with_capacity(settings.prefix.len() + name.len() + 16);
    if !settings.prefix.is_empty() {
        full.push_str(&settings.prefix);
        full.push('.');
    }
    if let (Kind::Gauge, Some(host)) = (kind, &settings.hostname) {
        full.push_str(host);
        full.push('.');
    }
    full.push_str(name);
    full
}

pub(crate) fn labels(key: &Key) -> BTreeMap<String, String> {
    key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect()
}

fn order(name: &str, labels: &BTreeMap<String, String>) -> String {
    labels.iter().fold(name.to_owned(), |order, (label, value)| format!("{order};{label}={value}"))
}

/// Whole numbers without a fraction, as Go writes them.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn number<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        to.serialize_i64(*value as i64)
    } else {
        to.serialize_f64(*value)
    }
}
