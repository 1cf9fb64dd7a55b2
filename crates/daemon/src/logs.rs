//! Logs as Consul and consul-template write them, so that what reads their logs reads ours.

mod file;
mod listen;
mod syslog;

use std::{
    fmt,
    io::{self, Write as _},
};

use chrono::{SecondsFormat, Utc};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, Filter, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

pub use file::LogFile;
pub use listen::{Listening, listen};
pub use syslog::{Facility, Syslog};

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

/// Where log lines go. Several are written at once; a process's log has at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output, as Consul does.
    Stdout,
    /// Standard error, as consul-template does.
    Stderr,
    /// Appended to a file, which may be rotated.
    File(LogFile),
    /// Sent to the machine's syslog.
    Syslog(Syslog),
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
/// Errors when a file cannot be opened, or when a log is installed already.
pub fn init(style: Style, sinks: Vec<Sink>, level: LevelFilter) -> anyhow::Result<LogLevel> {
    let outputs = sinks.into_iter().map(Output::open).collect::<anyhow::Result<Vec<_>>>()?;
    let (filter, handle) = reload::Layer::new(OurLevel(level));
    tracing_subscriber::registry()
        .with(Lines { style, outputs }.with_filter(filter))
        .with(listen::Listeners.with_filter(listen::Wanted))
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

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        interest(shows(self.0, metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0)
    }
}

/// What holds for a line of code until the filters change; who changes one says so.
fn interest(shown: bool) -> Interest {
    if shown { Interest::always() } else { Interest::never() }
}

/// Whether a log of this level shows such an event. Spans, of which the engine has many, are never in it.
fn shows(level: LevelFilter, metadata: &Metadata<'_>) -> bool {
    if *metadata.level() > level || metadata.is_span() {
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

/// Writes each event to all outputs.
struct Lines {
    style: Style,
    outputs: Vec<Output>,
}

enum Output {
    Stdout,
    Stderr,
    File(file::Writer),
    Syslog(syslog::Sender),
}

impl Output {
    fn open(sink: Sink) -> anyhow::Result<Self> {
        Ok(match sink {
            Sink::Stdout => Self::Stdout,
            Sink::Stderr => Self::Stderr,
            Sink::File(settings) => {
                let path = settings.path.display().to_string();
                let writer = file::Writer::open(settings);
                Self::File(writer.map_err(|e| anyhow::anyhow!("cannot open log file {path}: {e}"))?)
            }
            Sink::Syslog(settings) => Self::Syslog(syslog::Sender::new(settings)),
        })
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(self.style, event);
        for output in &self.outputs {
            // A log that cannot be written has nobody to tell.
            let _ = match output {
                Output::Stdout => io::stdout().lock().write_all(line.text.as_bytes()),
                Output::Stderr => io::stderr().lock().write_all(line.text.as_bytes()),
                Output::File(writer) => writer.write(&line.text),
                Output::Syslog(sender) => sender.send(*event.metadata().level(), &line.text[line.head..]),
            };
        }
    }
}

/// A line with its end, and how much of it is what syslog says itself: time and level.
struct Line {
    text: String,
    head: usize,
}

fn line(style: Style, event: &Event<'_>) -> Line {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut text = String::new();
    let head = write_line(&mut text, style, event, &fields).expect("a string takes all text");
    Line { text, head }
}

/// Writes an event as a line.
fn write_line(
    out: &mut String,
    style: Style,
    event: &Event<'_>,
    fields: &Fields,
) -> Result<usize, fmt::Error> {
    use fmt::Write as _;
    let precision = if style == Style::Json { SecondsFormat::Micros } else { SecondsFormat::Millis };
    let now = Utc::now().to_rfc3339_opts(precision, true);
    let (level, target) = (event.metadata().level(), event.metadata().target());
    let mut head = 0;
    match style {
        Style::Consul => {
            write!(out, "{now} {:<7} ", format!("[{level}]"))?;
            head = out.len();
            write!(out, "{target}: {}", fields.message)?;
            let mut separator = ":";
            for (name, value) in &fields.rest {
                if value.contains('\n') {
                    write!(out, "{separator}\n  {name}=\n{}  ", block(value))?;
                    separator = "";
                    continue;
                }
                let quote = if value.is_empty() || value.contains([' ', '=', '"']) { "\"" } else { "" };
                write!(out, "{separator} {name}={quote}{}{quote}", value.replace('"', "\\\""))?;
                separator = "";
            }
        }
        Style::Template => {
            let level = if *level == Level::ERROR { "ERR" } else { level.as_str() };
            write!(out, "{now} [{level}] ")?;
            head = out.len();
            write!(out, "({target}) {}", fields.message)?;
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
    writeln!(out)?;
    Ok(head)
}

/// A value of several lines, each marked as one of its, as hclog does it.
fn block(value: &str) -> String {
    value.strip_suffix('\n').unwrap_or(value).split('\n').map(|line| format!("  | {line}\n")).collect()
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
