//! All figures since the start, in [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    Recorder, Settings,
    names::{self, NAMES},
    process,
    report::{full_name, labels},
    series::{Figures, Kind},
};

/// The quantiles that a summary tells.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// What one name is, with all its series by their labels.
struct Family {
    kind: Kind,
    help: &'static str,
    series: BTreeMap<BTreeMap<String, String>, Figures>,
}

/// The whole text. Names that this program has are there from the start, so that a rule over them always finds some.
pub(crate) fn text(recorder: &Recorder, settings: &Settings) -> String {
    let mut out = String::with_capacity(64 << 10);
    for (name, family) in families(recorder, settings) {
        write_family(&mut out, &name, &family);
    }
    process::prometheus(&mut out);
    out
}

fn families(recorder: &Recorder, settings: &Settings) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut add = |kind, name: &str, labels, figures, help| {
        let full = full_name(settings, kind, name);
        if !settings.filters.keeps(&full) {
            return;
        }
        let empty = || Family { kind, help, series: BTreeMap::new() };
        let family: &mut Family = families.entry(plain(&full)).or_insert_with(empty);
        family.series.insert(labels, figures);
    };
    for known in NAMES.iter().filter(|known| known.kind != names::Kind::Gauge) {
        let kind = if known.kind == names::Kind::Counter { Kind::Counter } else { Kind::Sample };
        add(kind, known.name, BTreeMap::new(), Figures::default(), known.help);
    }
    for kind in [Kind::Counter, Kind::Gauge, Kind::Sample] {
        for series in recorder.series(kind) {
            let name = series.key().name();
            let help = names::find(name).map_or("", |known| known.help);
            add(kind, name, labels(series.key()), series.figures(), help);
        }
    }
    families
}

fn write_family(out: &mut String, name: &str, family: &Family) {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Sample => "summary",
    };
    line(out, format_args!("# HELP {name} {}", family.help));
    line(out, format_args!("# TYPE {name} {kind}"));
    for (labels, figures) in &family.series {
        let shown = braces(labels, None);
        match family.kind {
            Kind::Counter => line(out, format_args!("{name}{shown} {}", figures.sum)),
            Kind::Gauge => line(out, format_args!("{name}{shown} {}", figures.value)),
            Kind::Sample => {
                let mut recent = figures.recent.clone();
                recent.sort_by(f32::total_cmp);
                for quantile in QUANTILES {
                    let value = at_quantile(&recent, quantile);
                    line(out, format_args!("{name}{} {value}", braces(labels, Some(quantile))));
                }
                line(out, format_args!("{name}_sum{shown} {}", figures.sum));
                line(out, format_args!("{name}_count{shown} {}", figures.count));
            }
        }
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all text");
}

/// The value below which this part of the values lie; no number when there are none.
fn at_quantile(sorted: &[f32], quantile: f64) -> String {
    let at = ((sorted.len() as f64 * quantile).ceil() as usize).saturating_sub(1);
    sorted.get(at).map_or("NaN".to_owned(), f32::to_string)
}

/// `{method="GET",quantile="0.5"}`, or nothing.
fn braces(labels: &BTreeMap<String, String>, quantile: Option<f64>) -> String {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut parts: Vec<String> =
        labels.iter().map(|(name, value)| format!("{}=\"{}\"", plain(name), escape(value))).collect();
    parts.extend(quantile.map(|quantile| format!("quantile=\"{quantile}\"")));
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

/// A name in the characters that the format has.
fn plain(name: &str) -> String {
    name.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'), "_")
}
