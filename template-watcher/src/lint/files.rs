//! Configuration files as they are written.

use std::path::{Path, PathBuf};

use hcl1::{Document, Entry, Kind, Object, Position, Value};

use super::Finding;

/// Blocks of which one file has one; of several the last counts.
const SINGLE: &[&str] =
    &["consul", "exec", "wait", "deduplicate", "default_delimiters", "log_file", "syslog", "vault", "nomad"];

/// How deep folders may stand in each other.
const DEPTH_MAX: usize = 32;

/// The file itself, or all files below a folder in the order of their names.
pub(super) fn below(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(path, &mut files, 0);
    files
}

fn collect(path: &Path, files: &mut Vec<PathBuf>, depth: usize) {
    let Ok(entries) = std::fs::read_dir(path) else {
        files.push(path.to_owned());
        return;
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.into_iter().filter(|_| depth < DEPTH_MAX) {
        collect(&path, files, depth + 1);
    }
}

/// What is to be found in one file.
pub(super) fn file(name: &str, text: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    if let Err(reason) = crate::config::check_file(name, text, &mut warnings) {
        let (place, reason) = reason.split_once(": ").unwrap_or((name, &reason));
        found.push(Finding::new(place, "wrong", reason));
    }
    for warning in warnings {
        let (place, text) = warning.split_once(": ").unwrap_or((name, &warning));
        found.push(Finding::new(place, "no-effect", text));
    }
    if let Ok(document) = hcl1::parse(name, text) {
        Look { document: &document, text, found: &mut found }.top();
    }
    found
}

struct Look<'a> {
    document: &'a Document,
    text: &'a [u8],
    found: &'a mut Vec<Finding>,
}

impl Look<'_> {
    fn find(&mut self, position: Position, rule: &'static str, text: impl Into<String>) {
        self.found.push(Finding::new(self.document.place(position), rule, text));
    }

    fn top(&mut self) {
        let entries = &self.document.root.entries;
        for (at, entry) in entries.iter().enumerate() {
            let key = entry.key.to_ascii_lowercase();
            if SINGLE.contains(&key.as_str())
                && entries[..at].iter().any(|e| e.key.eq_ignore_ascii_case(&key))
            {
                self.find(
                    entry.position,
                    "repeated-block",
                    format!("a second {key} replaces all of the first"),
                );
            }
            match key.as_str() {
                "once" if entry.value.kind == Kind::Bool(true) => self.find(
                    entry.position,
                    "swallowed-once",
                    "consul-template loses once in a file and goes on running; it is honoured here. Write -once",
                ),
                "template" => blocks(&entry.value).into_iter().for_each(|block| self.template(entry, block)),
                "exec" => blocks(&entry.value).into_iter().for_each(|block| self.commands(block)),
                "wait" => blocks(&entry.value).into_iter().for_each(|block| self.wait(block)),
                _ => {}
            }
        }
    }

    fn template(&mut self, entry: &Entry, block: &Object) {
        let has = |key: &str| block.entries.iter().any(|e| e.key.eq_ignore_ascii_case(key));
        match (has("source"), has("contents")) {
            (true, true) => self.find(entry.position, "source", "a template has either source or contents"),
            (false, false) => self.find(entry.position, "source", "a template needs source or contents"),
            _ => {}
        }
        if !has("destination") && !has("for_each") {
            self.find(entry.position, "destination", "a template needs a destination, unless -dry prints it");
        }
        self.commands(block);
        for entry in &block.entries {
            match (entry.key.to_ascii_lowercase().as_str(), &entry.value.kind) {
                ("perms", Kind::Integer(number)) => self.perms(&entry.value, *number),
                ("user" | "group", Kind::Integer(_)) => self.find(
                    entry.position,
                    "number-as-name",
                    format!("consul-template refuses a number here; write {} = \"…\"", entry.key),
                ),
                ("exec", _) => blocks(&entry.value).into_iter().for_each(|block| self.commands(block)),
                ("wait", _) => blocks(&entry.value).into_iter().for_each(|block| self.wait(block)),
                ("source", Kind::Text(path)) => self.source(entry, path),
                _ => {}
            }
        }
    }

    /// A text with a comma where a command is expected.
    fn commands(&mut self, block: &Object) {
        for entry in block.entries.iter().filter(|entry| entry.key.eq_ignore_ascii_case("command")) {
            if let Kind::Text(text) = &entry.value.kind
                && text.contains(',')
            {
                self.find(
                    entry.value.position,
                    "comma-command",
                    "consul-template splits this text at its commas and fails to run it; it is one command here. Write [\"…\"]",
                );
            }
        }
    }

    /// A mode in decimal digits that looks like one in octal.
    fn perms(&mut self, value: &Value, number: i64) {
        let written = self.written(value.position);
        let octal = i64::from_str_radix(&written, 8);
        if !written.starts_with('0') && octal.is_ok() {
            self.find(
                value.position,
                "decimal-perms",
                format!("{written} in decimal is the mode {:04o}; write \"0{written}\"", number & 0o777),
            );
        }
    }

    /// A wait that does nothing, or that cannot be.
    fn wait(&mut self, block: &Object) {
        let time = |key: &str| match block.get(key).map(|value| &value.kind) {
            Some(Kind::Text(text)) => registry_wire::duration::parse(text).ok(),
            _ => None,
        };
        let Some(place) = block.entries.first().map(|entry| entry.position) else { return };
        match (time("min"), time("max")) {
            (None, Some(_)) => {
                self.find(place, "wait-without-min", "a wait without min is off; write min too")
            }
            (Some(min), Some(max)) if max < min => {
                self.find(place, "wait-upside-down", "max is shorter than min, and has no effect");
            }
            _ => {}
        }
    }

    fn source(&mut self, entry: &Entry, path: &str) {
        if !Path::new(path).is_file() {
            self.find(entry.value.position, "source", format!("there is no file {path}"));
        }
    }

    /// The word that is written at a position.
    fn written(&self, position: Position) -> String {
        let line = self.text.split(|b| *b == b'\n').nth(position.line.saturating_sub(1) as usize);
        let from = position.column.saturating_sub(1) as usize;
        let rest = line.and_then(|line| line.get(from..)).unwrap_or_default();
        rest.iter().take_while(|b| b.is_ascii_alphanumeric()).map(|b| char::from(*b)).collect()
    }
}

/// The objects of a block: one, or a list of them.
fn blocks(value: &Value) -> Vec<&Object> {
    match &value.kind {
        Kind::Object(object) => vec![object],
        Kind::List(list) => list.iter().flat_map(blocks).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<String> {
        let found = file("c.hcl", text.as_bytes());
        found.iter().map(|finding| format!("{} {}", finding.place, finding.rule)).collect()
    }

    #[test]
    fn traps_are_found_with_their_places() {
        let text = "once = true
template {
  contents = \"x\"
  destination = \"out\"
  perms = 600
  user = 1000
  command = \"a b,c\"
}
wait {
  max = \"2s\"
}
wait { min = \"5s\" max = \"2s\" }
vault { address = \"x\" }
";
        let found = rules(text);
        for expected in [
            "c.hcl:1:1 swallowed-once",
            "c.hcl:5:11 decimal-perms",
            "c.hcl:6:3 number-as-name",
            "c.hcl:7:13 comma-command",
            "c.hcl:10:3 wait-without-min",
            "c.hcl:12:1 repeated-block",
            "c.hcl:12:8 wait-upside-down",
        ] {
            assert!(found.iter().any(|line| line == expected), "{expected} in {found:#?}");
        }
    }

    #[test]
    fn good_files_have_no_findings() {
        let text = "template {
  contents = \"x\"
  destination = \"out\"
  perms = 0640
  command = [\"sh\", \"-c\", \"a,b\"]
}
wait { min = \"2s\" max = \"5s\" }
";
        assert_eq!(rules(text), [""; 0]);
        assert_eq!(rules("template { contents = \"x\" destination = \"o\" perms = \"0600\" }"), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_a_finding() {
        assert_eq!(rules("templte {}"), ["c.hcl:1:1 wrong"]);
        assert_eq!(rules("template { contents = \"x\" }"), ["c.hcl:1:1 destination"]);
        assert_eq!(rules("template { source = \"/nope\" destination = \"o\" }"), ["c.hcl:1:21 source"]);
        assert_eq!(rules("template {").len(), 1);
    }
}
