//! Sends each event to a collector of metrics: [StatsD](https://github.com/statsd/statsd/blob/master/docs/metric_types.md)
//! and DogStatsD over UDP, statsite over TCP.

use std::{fmt::Write as _, io, time::Duration};

use daemon::Shutdown;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, interval, timeout},
};

use crate::{Recorder, Settings, event::Event, report::full_name, series::Kind};

/// What one datagram holds, so that it fits a frame of Ethernet.
const DATAGRAM_BYTES_MAX: usize = 1400;
/// How long events wait for others to share a datagram with.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// How long connecting and sending may take.
const SEND_LIMIT: Duration = Duration::from_secs(2);
/// How long a collector that cannot be reached is left alone.
const PAUSE: Duration = Duration::from_secs(10);

/// How a collector wants its lines.
#[derive(Clone, Debug)]
enum Dialect {
    /// Labels are parts of the name.
    StatsD,
    /// Labels are tags; these are on all.
    DogStatsD(Vec<String>),
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

struct Sink {
    kind: &'static str,
    address: String,
    stream: bool,
    dialect: Dialect,
    recorder: Recorder,
    wire: Option<Wire>,
    /// Whether the last lines could not be sent, which was said.
    failing: bool,
    /// When a connection that could not be made is tried again.
    again: Option<Instant>,
}

/// Starts a task for each collector of the settings.
pub(crate) fn start(settings: &Settings, recorder: &Recorder, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
    let tags = Dialect::DogStatsD(settings.dogstatsd_tags.clone());
    let wanted = [
        ("statsd", &settings.statsd, false, Dialect::StatsD),
        ("statsite", &settings.statsite, true, Dialect::StatsD),
        ("dogstatsd", &settings.dogstatsd, false, tags),
    ];
    let mut tasks = Vec::new();
    for (kind, address, stream, dialect) in wanted {
        let Some(address) = address.clone() else { continue };
        let recorder = recorder.clone();
        let events = recorder.tap().listen();
        let sink = Sink { kind, address, stream, dialect, recorder, wire: None, failing: false, again: None };
        tasks.push(tokio::spawn(sink.run(events, shutdown.clone())));
    }
    tasks
}

impl Sink {
    async fn run(mut self, mut events: mpsc::Receiver<Event>, shutdown: Shutdown) {
        let end = shutdown.requested();
        tokio::pin!(end);
        let mut flush = interval(FLUSH_EVERY);
        let mut lines = String::new();
        loop {
            tokio::select! {
                () = &mut end => return self.send(&mut lines).await,
                event = events.recv() => {
                    let Some(event) = event else { return };
                    let line = self.line(&event);
                    if lines.len() + line.len() > DATAGRAM_BYTES_MAX {
                        self.send(&mut lines).await;
                    }
                    lines.push_str(&line);
                }
                // Without lines nobody needs to wake for nothing.
                _ = flush.tick(), if !lines.is_empty() => self.send(&mut lines).await,
            }
        }
    }

    fn line(&self, event: &Event) -> String {
        let settings = self.recorder.settings();
        let key = &event.name.key;
        let name = full_name(&settings, event.name.kind, key.name());
        if !event.value.is_finite() || !settings.filters.keeps(&name) {
            return String::new();
        }
        line(
            &self.dialect,
            event.name.kind,
            &name,
            key.labels().map(|label| (label.key(), label.value())),
            event.value,
        )
    }

    /// Sends what has gathered; a collector that is away loses it, as UDP always may.
    async fn send(&mut self, lines: &mut String) {
        if lines.is_empty() || self.again.is_some_and(|again| Instant::now() < again) {
            return lines.clear();
        }
        let sent = timeout(SEND_LIMIT, self.try_send(lines)).await;
        lines.clear();
        let error = match sent {
            Ok(Ok(())) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(target: "agent", address = self.address, "{} takes metrics again", self.kind);
                }
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        self.wire = None;
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(target: "agent", address = self.address, %error, "cannot send metrics to {}", self.kind);
        }
        // A datagram that nobody takes costs nothing; connecting does.
        self.again = self.stream.then(|| Instant::now() + PAUSE);
    }

    async fn try_send(&mut self, lines: &str) -> io::Result<()> {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.connect().await?,
        };
        match self.wire.insert(wire) {
            Wire::Udp(socket) => socket.send(lines.as_bytes()).await.map(drop),
            Wire::Tcp(stream) => stream.write_all(lines.as_bytes()).await,
        }
    }

    async fn connect(&self) -> io::Result<Wire> {
        if self.stream {
            return TcpStream::connect(&self.address).await.map(Wire::Tcp);
        }
        let mut error = io::ErrorKind::NotFound.into();
        for address in tokio::net::lookup_host(&self.address).await? {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let connected = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                io::Result::Ok(socket)
            };
            match connected.await {
                Ok(socket) => return Ok(Wire::Udp(socket)),
                Err(refused) => error = refused,
            }
        }
        Err(error)
    }
}

/// `consul.api.http.GET.v1_kv_:0.240000|ms`, or for DogStatsD `consul.api.http:0.240000|ms|#method:GET,path:v1_kv_`.
fn line<'a>(
    dialect: &Dialect,
    kind: Kind,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    value: f64,
) -> String {
    let unit = match kind {
        Kind::Counter => "c",
        Kind::Gauge => "g",
        Kind::Sample => "ms",
    };
    let mut line = plain(name);
    match dialect {
        Dialect::StatsD => {
            labels.for_each(|(_, value)| write!(line, ".{}", plain(value)).expect("a string takes all text"));
            writeln!(line, ":{value:.6}|{unit}").expect("a string takes all text");
        }
        Dialect::DogStatsD(tags) => {
            let own = labels.map(|(name, value)| format!("{}:{}", plain(name), tag(value)));
            let all: Vec<String> = tags.iter().cloned().chain(own).collect();
            let tags = if all.is_empty() { String::new() } else { format!("|#{}", all.join(",")) };
            writeln!(line, ":{value}|{unit}{tags}").expect("a string takes all text");
        }
    }
    line
}

/// A name without the characters that mean something in a line.
fn plain(text: &str) -> String {
    text.replace([':', ' ', '|', '@', '#', '\n', '\r'], "_")
}

fn tag(text: &str) -> String {
    text.replace(['|', ',', '#', '\n', '\r'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_their_dialects() {
        let labels = [("method", "GET"), ("path", "v1_kv_")];
        let statsd = line(&Dialect::StatsD, Kind::Sample, "consul.api.http", labels.into_iter(), 0.25);
        assert_eq!(statsd, "consul.api.http.GET.v1_kv_:0.250000|ms\n");
        let tags = Dialect::DogStatsD(vec!["region:eu".into()]);
        let dog = line(&tags, Kind::Counter, "consul.serf.events.consul:x", labels.into_iter(), 1.0);
        assert_eq!(dog, "consul.serf.events.consul_x:1|c|#region:eu,method:GET,path:v1_kv_\n");
        let odd = [("service", "a|c\nb")];
        assert_eq!(line(&Dialect::StatsD, Kind::Counter, "q", odd.into_iter(), 1.0), "q.a_c_b:1.000000|c\n");
    }
}
