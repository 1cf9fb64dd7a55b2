//! The texts of single settings: waits, signals, modes, Go's booleans and numbers.

use std::{path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use registry_wire::duration::{self, DurationError};

/// How long a template waits for further changes before it is rendered: consul-template's quiescence timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Each change starts this time anew.
    pub min: Duration,
    /// After this time it is rendered whatever comes.
    pub max: Duration,
}

/// Reads `min` or `min:max`; the largest is four times the least when not given.
pub(super) fn wait(text: &str) -> Result<Wait, String> {
    let (min, max) = match text.split_once(':') {
        _ if text.trim().is_empty() => return Err("wait: cannot be empty".to_owned()),
        Some((_, max)) if max.contains(':') => {
            return Err("wait: invalid wait duration format: write MIN:MAX".to_owned());
        }
        Some((min, max)) => (min, Some(max)),
        None => (text, None),
    };
    let read = |text: &str| match duration::parse_nanos(text.trim()) {
        Ok(nanos) => u64::try_from(nanos)
            .map(Duration::from_nanos)
            .map_err(|_| format!("wait: {} cannot be negative", text.trim())),
        Err(e) => Err(e.to_string()),
    };
    let min = read(min)?;
    let max = max.map_or(Ok(min * 4), read)?;
    if max < min {
        return Err("wait: max cannot be less than min".to_owned());
    }
    Ok(Wait { min, max })
}

/// Reads a Go duration; as with consul-template a negative one counts, and as none.
pub(super) fn duration(text: &str) -> Result<Duration, DurationError> {
    duration::parse_nanos(text).map(from_nanos)
}

/// So many nanoseconds; none when they are negative.
pub(super) fn from_nanos(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

const SIGNALS: &[(&str, Option<Signal>)] = &[
    ("SIGABRT", Some(Signal::SIGABRT)),
    ("SIGALRM", Some(Signal::SIGALRM)),
    ("SIGBUS", Some(Signal::SIGBUS)),
    ("SIGCONT", Some(Signal::SIGCONT)),
    ("SIGFPE", Some(Signal::SIGFPE)),
    ("SIGHUP", Some(Signal::SIGHUP)),
    ("SIGILL", Some(Signal::SIGILL)),
    ("SIGINT", Some(Signal::SIGINT)),
    ("SIGIO", Some(Signal::SIGIO)),
    ("SIGIOT", Some(Signal::SIGABRT)),
    ("SIGKILL", Some(Signal::SIGKILL)),
    ("SIGNULL", None),
    ("SIGPIPE", Some(Signal::SIGPIPE)),
    ("SIGPROF", Some(Signal::SIGPROF)),
    ("SIGQUIT", Some(Signal::SIGQUIT)),
    ("SIGSEGV", Some(Signal::SIGSEGV)),
    ("SIGSTOP", Some(Signal::SIGSTOP)),
    ("SIGSYS", Some(Signal::SIGSYS)),
    ("SIGTERM", Some(Signal::SIGTERM)),
    ("SIGTRAP", Some(Signal::SIGTRAP)),
    ("SIGTSTP", Some(Signal::SIGTSTP)),
    ("SIGTTIN", Some(Signal::SIGTTIN)),
    ("SIGTTOU", Some(Signal::SIGTTOU)),
    ("SIGUSR1", Some(Signal::SIGUSR1)),
    ("SIGUSR2", Some(Signal::SIGUSR2)),
    ("SIGWINCH", Some(Signal::SIGWINCH)),
    ("SIGXCPU", Some(Signal::SIGXCPU)),
    ("SIGXFSZ", Some(Signal::SIGXFSZ)),
];

/// Reads a signal's name with its `SIG`, in any case; empty and `SIGNULL` mean none.
pub(super) fn signal(text: &str) -> Result<Option<Signal>, String> {
    if text.is_empty() { Ok(None) } else { named_signal(text) }
}

/// Reads a signal's name with its `SIG`, in any case; `SIGNULL` means none.
pub(super) fn named_signal(text: &str) -> Result<Option<Signal>, String> {
    let upper = text.to_ascii_uppercase();
    match SIGNALS.iter().find(|(name, _)| *name == upper) {
        Some((_, signal)) => Ok(*signal),
        None => {
            let names: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
            Err(format!("invalid signal {text:?} - valid signals are {}", go_list(&names)))
        }
    }
}

/// A list as Go prints it with `%q`: `["a" "b"]`.
pub(crate) fn go_list(texts: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{:?}", text.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

/// Reads a file mode written in octal: `0644`, `644`.
pub(super) fn mode(text: &str) -> Result<i64, String> {
    let mode = u32::from_str_radix(text, 8).map_err(|_| {
        format!("strconv.ParseUint: parsing {text:?}: invalid syntax; write an octal mode such as \"0644\"")
    })?;
    if mode > 0o7777 { Err(format!("{text:?} is no file mode")) } else { Ok(mode.into()) }
}

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Source, destination and command of `-template`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateArgument {
    /// The template's file.
    pub source: PathBuf,
    /// Where the text goes.
    pub destination: Option<PathBuf>,
    /// What is done when the destination changed: a command, or the name of an action.
    pub command: Option<String>,
}

/// Takes `source[:destination[:command]]` apart as consul-template does.
///
/// A single letter before a colon is a drive: `a:b` is one name. Empty pieces vanish.
/// Errors when nothing is left.
pub(super) fn template(text: &str) -> Result<TemplateArgument, String> {
    let mut pieces = template_pieces(text).into_iter();
    match pieces.next() {
        Some(source) if !text.trim().is_empty() => {
            let destination = pieces.next().map(PathBuf::from);
            let rest: Vec<&str> = pieces.collect();
            let command = (!rest.is_empty()).then(|| rest.join(":"));
            Ok(TemplateArgument { source: source.into(), destination, command })
        }
        _ => Err("template: cannot be empty".to_owned()),
    }
}

/// The longest pieces without a colon, each with a drive letter and its colon before it where there is one.
fn template_pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let bytes = rest.as_bytes();
        let drive = bytes[0].is_ascii_alphabetic()
            && bytes.get(1) == Some(&b':')
            && bytes.get(2).is_some_and(|b| *b != b':');
        let from = if drive { 2 } else { 0 };
        let end = rest[from..].find(':').map_or(rest.len(), |end| from + end);
        if end > 0 {
            pieces.push(&rest[..end]);
        }
        at += end + 1;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_arguments() {
        let table: &[(&str, &str, Option<&str>, Option<&str>)] = &[
            ("/in:/out:r:eload", "/in", Some("/out"), Some("r:eload")),
            ("/a:/b:curl http://x:90/y", "/a", Some("/b"), Some("curl http://x:90/y")),
            (r"C:\a:D:\b:cmd", r"C:\a", Some(r"D:\b"), Some("cmd")),
            ("c:/in:d:/out", "c:/in", Some("d:/out"), None),
            ("a:b", "a:b", None, None),
            ("a:b:", "a:b", None, None),
            ("x:/out", "x:/out", None, None),
            ("a:b:c:d:e", "a:b", Some("c:d"), Some("e")),
            ("a::c", "a", Some("c"), None),
            (":b", "b", None, None),
            ("my tmpl:my out", "my tmpl", Some("my out"), None),
            ("in:out:echo a:b:c >> log", "in", Some("out"), Some("echo a:b:c >> log")),
        ];
        for (text, source, destination, command) in table {
            let expected = TemplateArgument {
                source: source.into(),
                destination: destination.map(PathBuf::from),
                command: command.map(str::to_owned),
            };
            assert_eq!(template(text), Ok(expected), "{text}");
        }
        for text in ["", ":", "::", " "] {
            assert_eq!(template(text), Err("template: cannot be empty".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn waits() {
        let seconds = |min, max| Ok(Wait { min: Duration::from_secs(min), max: Duration::from_secs(max) });
        assert_eq!(wait("5s"), seconds(5, 20));
        assert_eq!(wait(" 5s : 10s "), seconds(5, 10));
        for text in ["", "5", "-1s", "1s:2s:3s", "5s:1s", "x"] {
            assert!(wait(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn signals_and_modes() {
        assert_eq!(signal("sigterm"), Ok(Some(Signal::SIGTERM)));
        assert_eq!(signal("SIGNULL"), Ok(None));
        assert!(
            signal("TERM")
                .is_err_and(|e| e.starts_with("invalid signal \"TERM\" - valid signals are [\"SIGABRT\""))
        );
        assert_eq!(mode("0640"), Ok(0o640));
        assert!(mode("rw").is_err());
    }
}
