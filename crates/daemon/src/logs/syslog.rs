//! Lines to the machine's syslog, as Consul sends them.
//!
//! The crates for this block while syslogd does not take a message, or stay silent after it was restarted; an agent must do
//! neither, and the message itself is one line of text.

use std::{
    io::{self, ErrorKind},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use chrono::Local;
use tracing::Level;

/// Where syslogd listens on one system or another; the first that takes a message is used.
const SOCKETS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// The longest message, its head included; what is longer is cut. Every syslogd takes this much over a local socket.
const MESSAGE_MAX: usize = 8 * 1024;

/// What a program says of itself to syslog.
///
/// Messages are datagrams of RFC 3164 without a host name, as local programs send them:
/// `<131>Nov 21 08:43:15 consul[9693]: agent.dns: all resolvers failed …`. One that syslogd does not take at once is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// The tag, which the process id follows.
    pub program: String,
    /// The facility of all messages.
    pub facility: Facility,
}

/// A facility of syslog (RFC 3164 §4.1.1), read from its name in any case: `LOCAL0`, `daemon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// `LOCAL0`, which is meant where none is named.
    pub const LOCAL0: Self = Self(16);

    const NAMES: [&str; 12] = [
        "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP",
    ];
}

impl FromStr for Facility {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let upper = name.to_ascii_uppercase();
        let number = match upper.strip_prefix("LOCAL").map(str::as_bytes) {
            Some([digit @ b'0'..=b'7']) => Some(16 + digit - b'0'),
            _ => Self::NAMES.iter().zip(0..).find(|(known, _)| **known == upper).map(|(_, number)| number),
        };
        number.map(Self).ok_or_else(|| {
            format!(
                "invalid syslog facility: {name:?}; there are {} and LOCAL0 to LOCAL7",
                Self::NAMES.join(", ")
            )
        })
    }
}

/// Sends lines to syslogd.
pub(super) struct Sender {
    settings: Syslog,
    sockets: Vec<PathBuf>,
    connected: Mutex<Option<UnixDatagram>>,
}

impl Sender {
    pub(super) fn new(settings: Syslog) -> Self {
        Self { settings, sockets: SOCKETS.map(PathBuf::from).to_vec(), connected: Mutex::new(None) }
    }

    /// Sends a line, or loses it when nobody takes it now.
    pub(super) fn send(&self, level: Level, line: &str) -> io::Result<()> {
        let message = self.message(level, line);
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = &*connected {
            match socket.send(message.as_bytes()) {
                // It is there and busy: the log waits for nobody.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(e),
                Err(_) => *connected = None,
                Ok(_) => return Ok(()),
            }
        }
        // Not connected yet, or syslogd was restarted.
        let socket = self.connect()?;
        socket.send(message.as_bytes())?;
        *connected = Some(socket);
        Ok(())
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let try_one = |path: &Path| {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(path)?;
            Ok(socket)
        };
        let mut last = io::Error::from(ErrorKind::NotFound);
        for path in &self.sockets {
            match try_one(path) {
                Ok(socket) => return Ok(socket),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn message(&self, level: Level, line: &str) -> String {
        let priority = self.settings.facility.0 * 8 + severity(level);
        let now = Local::now().format("%b %e %H:%M:%S");
        let mut message =
            format!("<{priority}>{now} {}[{}]: {}", self.settings.program, process::id(), line.trim_end());
        // A line break would be a second message to many who read it.
        if message.contains('\n') {
            message = message.replace('\n', " ");
        }
        message.truncate(message.floor_char_boundary(MESSAGE_MAX - 1));
        message.push('\n');
        message
    }
}

/// The severity of a level, one below its name's as Consul has it: an INFO line is a notice.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 5,
        Level::DEBUG => 6,
        Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sender(path: &Path) -> Sender {
        let settings = Syslog { program: "consul".into(), facility: Facility::LOCAL0 };
        let sockets = vec![path.with_file_name("absent"), path.to_owned()];
        Sender { settings, sockets, connected: Mutex::new(None) }
    }

    fn listener(path: &Path) -> UnixDatagram {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut buffer = vec![0; 2 * MESSAGE_MAX];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_a_datagram_with_priority_time_and_tag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (syslogd, sender) = (listener(&path), sender(&path));
        let levels = [(Level::ERROR, 131), (Level::WARN, 132), (Level::INFO, 133), (Level::DEBUG, 134)];
        for (level, priority) in levels {
            sender.send(level, "agent.dns: a\nb\n").unwrap();
            let message = next(&syslogd);
            let tag = format!("consul[{}]: agent.dns: a b\n", process::id());
            let time = message.strip_prefix(&format!("<{priority}>")).and_then(|m| m.strip_suffix(&tag));
            // `Nov  1 08:43:15 `
            assert_eq!(time.map(str::len), Some(16), "{message:?}");
        }
        sender.send(Level::INFO, &"ä".repeat(MESSAGE_MAX)).unwrap();
        let message = next(&syslogd);
        assert!((MESSAGE_MAX - 1..=MESSAGE_MAX).contains(&message.len()), "{}", message.len());
    }

    #[test]
    fn syslogd_may_be_absent_be_restarted_and_be_stuck() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sender = sender(&path);
        sender.send(Level::INFO, "lost").unwrap_err();
        for line in ["first", "after a restart"] {
            let syslogd = listener(&path);
            sender.send(Level::INFO, line).unwrap();
            assert!(next(&syslogd).ends_with(&format!(": {line}\n")));
            std::fs::remove_file(&path).unwrap();
        }
        let stuck = listener(&path);
        while sender.send(Level::INFO, "nobody reads").is_ok() {}
        drop(stuck);
    }

    #[test]
    fn facilities_are_known_by_name() {
        let numbers =
            ["LOCAL0", "local7", "DAEMON", "kern", "Ftp"].map(|name| Facility::from_str(name).unwrap().0);
        assert_eq!(numbers, [16, 23, 3, 0, 11]);
        for name in ["", "LOCAL8", "LOCAL", "LOCAL+1", "nothing"] {
            let error = Facility::from_str(name).unwrap_err();
            assert!(error.contains("LOCAL7"), "{error}");
        }
    }
}
