//! Looks at configuration and templates for what would surprise: mistakes, and traps of consul-template that a file
//! written for it may stand in.
//!
//! `files` looks at configuration as it is written, `templates` at what templates call.

mod files;
mod templates;

use std::{fmt, path::Path};

pub(crate) use templates::template;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `file:line:column`, as far as it is known.
    pub(crate) place: String,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is the matter, and what to write instead.
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.text, self.rule)
    }
}

impl Finding {
    fn new(place: impl fmt::Display, rule: &'static str, text: impl Into<String>) -> Self {
        Self { place: place.to_string(), rule, text: text.into() }
    }
}

/// What is to be found in a configuration file, or in all below a folder.
pub(crate) fn configuration(path: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files::below(path) {
        match std::fs::read(&file) {
            Ok(text) => found.extend(files::file(&file.display().to_string(), &text)),
            Err(error) => found.push(Finding::new(file.display(), "unreadable", error.to_string())),
        }
    }
    found
}

/// What is to be found in a `-template` argument.
pub(crate) fn argument(text: &str) -> Vec<Finding> {
    let letters: Vec<&str> = text.split(':').collect();
    let one = |part: &&str| part.len() == 1 && part.as_bytes()[0].is_ascii_alphabetic();
    match letters.iter().position(one) {
        Some(at) if at + 1 < letters.len() => vec![Finding::new(
            format!("-template {text}"),
            "one-letter-name",
            format!(
                "{:?} is read as a drive, and what follows it belongs to its name; write ./{}",
                letters[at], letters[at]
            ),
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_names_in_arguments() {
        assert!(argument("a:b")[0].text.contains("write ./a"));
        assert_eq!(argument("in:out:reload"), []);
        assert_eq!(argument("in:/out/b"), []);
        assert_eq!(argument("in:b"), [], "nothing follows");
    }
}
