//! What a command prints: results on standard output, errors on standard error, tables as Consul lays them out.

use std::io::{self, IsTerminal as _, Write as _};

use agent::config::ConfigError;
use clap::Args;
use daemon::Exit;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Prints a result and a newline. A reader that went away (`| head`) is no error of ours.
pub(crate) fn line(text: impl AsRef<[u8]>) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_ref()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Prints why a command failed, and gives the exit code for it.
pub(crate) fn failure(text: impl AsRef<str>) -> Exit {
    note(text);
    Exit::Failure
}

/// Prints why a configuration is refused, with the place and what may have been meant.
///
/// Under the name `consul` the hint is left out: scripts written for Consul compare the text.
pub(crate) fn refused(start: &str, error: &ConfigError, called: &str) -> Exit {
    match error.hint().filter(|_| called != "consul") {
        Some(hint) => failure(format!("{start}{}\n{hint}", error.to_string().trim_end())),
        None => failure(format!("{start}{error}")),
    }
}

/// Any answer as JSON, four blanks a level, as Consul prints it.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, format);
    value.serialize(&mut writer).expect("answers have texts as names and are written into memory");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Prints an answer: in words, or as JSON where that is asked for.
pub(crate) fn show<T: Serialize + ?Sized>(as_json: bool, answer: &T, words: impl FnOnce() -> String) -> Exit {
    line(if as_json { json(answer) } else { words() });
    Exit::Success
}

/// Prints what was done as JSON where that is asked for; words came with each step then.
pub(crate) fn told<T: Serialize + ?Sized>(as_json: bool, done: &T) -> Exit {
    if as_json {
        line(json(done));
    }
    Exit::Success
}

/// The flag of a command that answers without asking an agent.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct JsonFlag {
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// All is well.
    Green,
    /// Worth a look.
    Yellow,
    /// Wrong.
    Red,
}

/// Text for standard output, in a colour where somebody looks at it: on a terminal, unless NO_COLOR is set (no-color.org).
pub(crate) fn coloured(text: &str, colour: Colour) -> String {
    if !is_colourful(
        |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()),
        io::stdout().is_terminal(),
    ) {
        return text.to_owned();
    }
    let number = match colour {
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Red => 31,
    };
    format!("\x1b[{number}m{text}\x1b[0m")
}

/// Whether colours are wanted, by the variables that are set and where the output goes.
pub(crate) fn is_colourful(is_set: impl Fn(&str) -> bool, is_terminal: bool) -> bool {
    is_terminal && !is_set("NO_COLOR")
}

/// How far something long is, on standard error, where somebody looks at it; nothing elsewhere.
///
/// `total` is in bytes or things; 0 when nobody knows.
pub(crate) fn progress(what: &'static str, total: u64) -> ProgressBar {
    let shown =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = if total > 0 { "{msg} [{bar:30}] {pos}/{len}" } else { "{msg} {spinner} {pos}" };
    let style = ProgressStyle::with_template(style).expect("the templates above are whole");
    let bar = ProgressBar::with_draw_target((total > 0).then_some(total), shown);
    bar.with_style(style).with_message(what)
}

/// Prints a remark on standard error.
pub(crate) fn note(text: impl AsRef<str>) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_ref().as_bytes()).and_then(|()| err.write_all(b"\n"));
}

/// Lines of columns, each as wide as its widest cell, two blanks between; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &Vec<String>| {
        let last = row.len().saturating_sub(1);
        let cell = |(column, cell): (usize, &String)| match width(column) {
            Some(width) if column < last => format!("{cell:width$}  "),
            _ => cell.clone(),
        };
        row.iter().enumerate().map(cell).collect::<String>()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Pairs of a name and a value, the names padded to the longest and at least six blanks.
pub(crate) fn aligned<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    const GAP: usize = 6;
    let pairs: Vec<_> = pairs.into_iter().collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + GAP;
    pairs.iter().map(|(name, value)| format!("{name:width$}{value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{aligned, is_colourful, table};

    #[test]
    fn colours_are_for_terminals_without_no_color() {
        assert!(is_colourful(|_| false, true));
        assert!(!is_colourful(|_| false, false) && !is_colourful(|name| name == "NO_COLOR", true));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["Node", "ID", "DC"], ["web-1", "", "dc1"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "Node   ID  DC\nweb-1      dc1");
    }

    #[test]
    fn names_are_padded() {
        assert_eq!(aligned([("api", String::new()), ("consul", "a".into())]), "api         \nconsul      a");
    }
}
