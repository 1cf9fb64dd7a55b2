//! Regular expressions as the scenarios write them.

use anyhow::Context as _;
use regex::Regex;

/// A pattern from a scenario.
///
/// The scenarios use two things that the `regex` crate lacks: `\Z` for the end of the text, and one negative look-ahead at
/// the start of a pattern.
#[derive(Debug)]
pub struct Pattern {
    refused: Option<Regex>,
    wanted: Regex,
}

impl Pattern {
    /// Reads a pattern that is searched for anywhere in a text. `^` and `$` stand at lines with the flag `m`.
    pub fn search(pattern: &str, flags: &str) -> anyhow::Result<Self> {
        Self::read(pattern, flags, "", "")
    }

    /// Reads a pattern that the whole text has to fit.
    pub fn whole(pattern: &str, flags: &str) -> anyhow::Result<Self> {
        Self::read(pattern, flags, r"\A(?:", r")\z")
    }

    fn read(pattern: &str, flags: &str, before: &str, after: &str) -> anyhow::Result<Self> {
        let (own_flags, pattern) = leading_flags(pattern);
        let flags = match format!("{flags}{own_flags}").as_str() {
            "" => String::new(),
            flags => format!("(?{flags})"),
        };
        let compile = |pattern: &str, before: &str, after: &str| {
            let pattern = pattern.replace(r"\Z", r"\z");
            Regex::new(&format!("{flags}{before}{pattern}{after}"))
                .with_context(|| format!("the pattern {pattern:?}"))
        };
        let (refused, wanted) = match pattern.strip_prefix("(?!") {
            Some(rest) => {
                let end = closing(rest)
                    .with_context(|| format!("the pattern {pattern:?} never closes its look-ahead"))?;
                (Some(compile(&rest[..end], r"\A(?:", ")")?), &rest[end + 1..])
            }
            None => (None, pattern),
        };
        Ok(Self { refused, wanted: compile(wanted, before, after)? })
    }

    /// Whether the text fits.
    pub fn fits(&self, text: &str) -> bool {
        !self.refused.as_ref().is_some_and(|refused| refused.is_match(text)) && self.wanted.is_match(text)
    }
}

/// Splits `(?ms)rest` into `ms` and `rest`.
fn leading_flags(pattern: &str) -> (&str, &str) {
    pattern
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'))
        .filter(|(flags, _)| !flags.is_empty() && flags.chars().all(|c| c.is_ascii_lowercase()))
        .unwrap_or(("", pattern))
}

/// Where the group that begins before this text ends.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_look_ahead_at_the_start_refuses() {
        let pattern = Pattern::whole("(?ms)(?!.*^A=1$).*^C=own$.*", "").unwrap();
        assert!(pattern.fits("B=2\nC=own\n"));
        assert!(!pattern.fits("A=1\nC=own\n"));
        assert!(!pattern.fits("B=2\n"));
    }

    #[test]
    fn the_end_of_the_text_may_be_asked_for() {
        let pattern = Pattern::search(r"^a\Z", "m").unwrap();
        assert!(pattern.fits("b\na"));
        assert!(!pattern.fits("a\n\n"));
    }
}
