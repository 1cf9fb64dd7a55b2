//! Logs as Consul and consul-template write them, so that what reads their logs reads ours.

mod listen;

use std::{fmt, fs::OpenOptions, io, path::PathBuf, sync::Arc};

use chrono::{SecondsFormat, Utc};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::{Context, Filter, SubscriberExt},
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

pub use listen::{Listening, listen};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `2026-01-02T03:04:05.678Z [INFO]  agent: Synced service: service=web`
    Consul,
    /// `2026-01-02T03:04:05.678Z [INFO] (runner) initiating run`
    Template,
    /// One JSON object a line: `{"@level":"info","@message":"…","@module":"agent","@timestamp":"…","service":"web"}`
    Json,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output, as Consul does.
    Stdout,
    /// Standard error, as consul-template does.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
}

/// Changes the level of a running program.
#[derive(Clone)]
pub struct LogLevel(reload::Handle<OurLevel, Registry>);

impl LogLevel {
    /// Sets the level from now on.
    pub fn set(&self, level: LevelFilter) {
        // Fails only when the subscriber is gone, and then nobody logs any more.
        let _ = self.0.modify(|filter| filter.0 = level);
    }
}

/// Installs the process's log. Call it once, before the first line is logged.
///
/// Errors when the file cannot be opened, or when a log is installed already.
pub fn init(style: Style, sink: Sink, level: LevelFilter) -> anyhow::Result<LogLevel> {
    let writer = match sink {
        Sink::Stdout => Lines::Stdout,
        Sink::Stderr => Lines::Stderr,
        Sink::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            Lines::File(Arc::new(
                file.map_err(|e| anyhow::anyhow!("cannot open log file {}: {e}", path.display()))?,
            ))
        }
    };
    let (filter, handle) = reload::Layer::new(OurLevel(level));
    let layer = tracing_subscriber::fmt::layer().event_format(Format(style)).with_writer(writer);
    tracing_subscriber::registry()
        .with(tracing_subscriber::Layer::with_filter(layer, filter))
        .with(tracing_subscriber::Layer::with_filter(listen::Listeners, listen::Wanted))
        .try_init()
        .map_err(|e| anyhow::anyhow!("cannot install the log: {e}"))?;
    Ok(LogLevel(handle))
}

/// Reads a level's name as Consul does (`trace`, `debug`, `info`, `warn`, `err`, `error`), in any case.
///
/// `None` for anything else; the caller says which names there are.
pub fn level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        "err" | "error" => LevelFilter::ERROR,
        _ => return None,
    })
}

/// Lets our own events through at the set level, and those of libraries from `WARN` on.
///
/// Our targets are component names (`agent.dns`); a library's are module paths (`hyper::proto`). openraft's are left out
/// below `ERROR`: what its state means is logged in our own words.
struct OurLevel(LevelFilter);

impl<S> Filter<S> for OurLevel {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        shows(self.0, metadata)
    }
}

/// Whether a log of this level shows such an event.
fn shows(level: LevelFilter, metadata: &Metadata<'_>) -> bool {
    if *metadata.level() > level {
        return false;
    }
    let target = metadata.target();
    let most = match target.split_once("::").map_or(target, |(krate, _)| krate) {
        "openraft" | "raft_log" | "chunked_wal" => LevelFilter::ERROR,
        _ if target.contains("::") => LevelFilter::WARN,
        _ => LevelFilter::TRACE,
    };
    *metadata.level() <= most
}

enum Lines {
    Stdout,
    Stderr,
    File(Arc<std::fs::File>),
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Box<dyn io::Write + 'a>;

    fn make_writer(&'a self) -> Self::Writer {
        match self {
            Self::Stdout => Box::new(io::stdout().lock()),
            Self::Stderr => Box::new(io::stderr().lock()),
            Self::File(file) => Box::new(&**file),
        }
    }
}

struct Format(Style);

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write_event(&mut out, self.0, event)
    }
}

/// Writes an event as a line.
fn write_event(out: &mut dyn fmt::Write, style: Style, event: &Event<'_>) -> fmt::Result {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let precision = if style == Style::Json { SecondsFormat::Micros } else { SecondsFormat::Millis };
    let now = Utc::now().to_rfc3339_opts(precision, true);
    let (level, target) = (event.metadata().level(), event.metadata().target());
    match style {
        Style::Consul => {
            write!(out, "{now} {:<7} {target}: {}", format!("[{level}]"), fields.message)?;
            let mut separator = ":";
            for (name, value) in &fields.rest {
                let quote = if value.is_empty() || value.contains([' ', '=', '"']) { "\"" } else { "" };
                write!(out, "{separator} {name}={quote}{}{quote}", value.replace('"', "\\\""))?;
                separator = "";
            }
        }
        Style::Template => {
            let level = if *level == Level::ERROR { "ERR" } else { level.as_str() };
            write!(out, "{now} [{level}] ({target}) {}", fields.message)?;
            for (name, value) in &fields.rest {
                write!(out, " {name}={value}")?;
            }
        }
        Style::Json => {
            let text = |s: &str| serde_json::Value::from(s).to_string();
            write!(out, "{{\"@level\":{},", text(&level.as_str().to_ascii_lowercase()))?;
            write!(out, "\"@message\":{},\"@module\":{},", text(&fields.message), text(target))?;
            write!(out, "\"@timestamp\":\"{now}\"")?;
            for (name, value) in &fields.rest {
                write!(out, ",{}:{}", text(name), text(value))?;
            }
            write!(out, "}}")?;
        }
    }
    writeln!(out)
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.rest.push((name, value)),
        }
    }
}
