//! The list of scenarios that are known to fail: it only shrinks.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail, ensure};

/// At most so many scenarios may be called flaky.
const FLAKY_MAX: usize = 5;

/// Scenarios by their full name, `suite/name`.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, Expected>);

/// What is expected of a listed scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It has to fail.
    Failure,
    /// It may fail now and then.
    Either,
}

impl Known {
    /// Reads the list; a file that does not exist is an empty one.
    ///
    /// Errors with the line that is no `suite/name: reason`, that names a scenario again, or that is one flaky too many.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).with_context(|| path.display().to_string()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut list = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, reason)) = line.split_once(": ") else {
                bail!("line {number}: write `suite/name: reason`, not {line:?}");
            };
            let expected = if reason.starts_with("flaky: ") { Expected::Either } else { Expected::Failure };
            ensure!(
                list.insert(name.to_owned(), expected).is_none(),
                "line {number}: {name} stands there already"
            );
        }
        let flaky = list.values().filter(|expected| **expected == Expected::Either).count();
        ensure!(flaky <= FLAKY_MAX, "{flaky} scenarios are called flaky, {FLAKY_MAX} may be");
        Ok(Self(list))
    }

    /// What is expected of a scenario; `None` when it is not listed and has to pass.
    pub fn expected(&self, full_name: &str) -> Option<Expected> {
        self.0.get(full_name).copied()
    }

    /// The listed scenarios of a suite.
    pub fn of_suite<'a>(&'a self, suite: &'a str) -> impl Iterator<Item = &'a str> {
        let of_suite = move |name: &&str| name.strip_prefix(suite).is_some_and(|rest| rest.starts_with('/'));
        self.0.keys().map(String::as_str).filter(of_suite)
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, Known};

    #[test]
    fn lines_name_a_scenario_and_a_reason() {
        let known = Known::parse("# why\n\nhttp/800: no ACLs yet\ncli/lock: flaky: slow machines\n").unwrap();
        assert_eq!(known.expected("http/800"), Some(Expected::Failure));
        assert_eq!(known.expected("cli/lock"), Some(Expected::Either));
        assert_eq!(known.expected("cli/kv"), None);
        assert_eq!(known.of_suite("cli").collect::<Vec<_>>(), ["cli/lock"]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert!(Known::parse("a: b\nhttp/800").unwrap_err().to_string().starts_with("line 2:"));
        assert!(Known::parse("a: b\na: c").unwrap_err().to_string().contains("already"));
        let six: String = (0..6).map(|i| format!("http/{i}: flaky: x\n")).collect();
        assert!(Known::parse(&six).is_err());
    }
}
