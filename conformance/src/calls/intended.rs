//! The list of differences that are meant.

use std::path::Path;

use anyhow::{Context as _, ensure};
use regex::Regex;

use super::compare::Difference;
use crate::glob;

/// The list; each line has to be of use.
pub(super) struct Intended(Vec<Line>);

struct Line {
    kinds: Vec<String>,
    functions: Vec<String>,
    /// What the template must have in it.
    template: Regex,
    reason: String,
    text: String,
    is_used: bool,
}

impl Intended {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|text| line(text).with_context(|| text.to_owned())).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Why a call may differ in this way.
    pub(super) fn reason(&mut self, kind: Difference, function: &str, template: &str) -> Option<&str> {
        let fits = |line: &&mut Line| {
            line.kinds.iter().any(|known| known == kind.name())
                && line.functions.iter().any(|known| glob::matches(known, function))
                && line.template.is_match(template)
        };
        let line = self.0.iter_mut().find(fits)?;
        line.is_used = true;
        Some(&line.reason)
    }

    /// The lines that nothing needed.
    pub(super) fn idle(&self) -> Vec<String> {
        self.0.iter().filter(|line| !line.is_used).map(|line| line.text.clone()).collect()
    }
}

/// `KIND,… FUNCTION,… [/PATTERN/]: reason`.
fn line(text: &str) -> anyhow::Result<Line> {
    let (head, reason) = text.split_once(": ").context("write `KIND FUNCTION: reason`")?;
    let (head, pattern) = match head.split_once(" /") {
        Some((head, pattern)) => (head, pattern.strip_suffix('/').context("a pattern ends with /")?),
        None => (head, ""),
    };
    let (kinds, functions) = head.split_once(' ').context("write `KIND FUNCTION: reason`")?;
    let list = |words: &str| words.split(',').map(str::to_owned).collect::<Vec<_>>();
    ensure!(!reason.is_empty(), "say why");
    Ok(Line {
        kinds: list(kinds),
        functions: list(functions),
        template: Regex::new(pattern)?,
        reason: reason.to_owned(),
        text: text.to_owned(),
        is_used: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut list = Intended(vec![line("panic-there,text sprig_sl*,print / 1e5/: it panics").unwrap()]);
        assert_eq!(list.idle().len(), 1);
        assert_eq!(list.reason(Difference::Text, "print", "{{ print 1 }}"), None);
        assert_eq!(list.reason(Difference::Text, "sprig_slice", "x 1e5"), Some("it panics"));
        assert!(list.idle().is_empty());
        assert!(line("text print").is_err());
    }
}
