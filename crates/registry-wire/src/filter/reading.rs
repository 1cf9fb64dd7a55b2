//! A text that is read rule by rule, with what would have been accepted where no rule got any further.
//!
//! Consul's parser tries rules in order, goes back when one does not fit, and at the end names everything it would have taken at the farthest
//! place it came to. A rule that knows better complains in its own words; a complaint counts even when another rule fits afterwards.

use std::collections::BTreeSet;

/// A text and how far it is read.
pub(super) struct Reading<'a> {
    text: &'a str,
    at: usize,
    farthest: usize,
    wanted: BTreeSet<String>,
    end_wanted: bool,
    complaints: Vec<String>,
}

/// Characters of one sort, named as in a regular expression.
pub(super) struct Class {
    name: &'static str,
    holds: fn(char) -> bool,
}

pub(super) const SPACE: Class =
    Class { name: r"[ \t\r\n]", holds: |c| matches!(c, ' ' | '\t' | '\r' | '\n') };
pub(super) const LETTER: Class = Class { name: "[a-zA-Z]", holds: |c| c.is_ascii_alphabetic() };
pub(super) const WORD: Class =
    Class { name: "[a-zA-Z0-9_]", holds: |c| c.is_ascii_alphanumeric() || c == '_' };
pub(super) const DIGIT: Class = Class { name: "[0-9]", holds: |c| c.is_ascii_digit() };
pub(super) const DIGIT_NOT_ZERO: Class = Class { name: "[1-9]", holds: |c| matches!(c, '1'..='9') };

impl<'a> Reading<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, farthest: 0, wanted: BTreeSet::new(), end_wanted: false, complaints: Vec::new() }
    }

    /// What goes wrong when the whole did not fit: the complaints, or else what was wanted at the farthest place.
    pub(super) fn failure(self) -> String {
        self.complained().unwrap_or_else(|| {
            let mut wanted: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
            wanted.extend(self.end_wanted.then_some("EOF"));
            let (last, others) = wanted.split_last().expect("a rule fails at something it wanted");
            let list = match others {
                [] => (*last).to_owned(),
                others => format!("{} or {last}", others.join(", ")),
            };
            format!("{}: no match found, expected: {list}", self.place(self.farthest))
        })
    }

    /// The complaints, a line each.
    pub(super) fn complained(&self) -> Option<String> {
        (!self.complaints.is_empty()).then(|| self.complaints.join("\n"))
    }

    /// Says what is wrong at a place in the words of a rule, once.
    pub(super) fn complain(&mut self, at: usize, rule: &str, what: &str) {
        let complaint = format!("{}: rule {rule:?}: {what}", self.place(at));
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub(super) fn literal(&mut self, literal: &str) -> Option<()> {
        if self.text[self.at..].starts_with(literal) {
            self.at += literal.len();
            return Some(());
        }
        self.want(|wanted| wanted.insert(format!("{literal:?}")));
        None
    }

    pub(super) fn one(&mut self, class: &Class) -> Option<()> {
        match self.text[self.at..].chars().next().filter(|c| (class.holds)(*c)) {
            Some(c) => {
                self.at += c.len_utf8();
                Some(())
            }
            None => {
                self.want(|wanted| wanted.insert(class.name.to_owned()));
                None
            }
        }
    }

    pub(super) fn any_number(&mut self, class: &Class) {
        while self.one(class).is_some() {}
    }

    pub(super) fn at_least_one(&mut self, class: &Class) -> Option<()> {
        self.one(class)?;
        self.any_number(class);
        Some(())
    }

    pub(super) fn end(&mut self) -> Option<()> {
        if self.at == self.text.len() {
            return Some(());
        }
        self.want(|_| true);
        self.end_wanted |= self.at == self.farthest;
        None
    }

    /// Everything up to a quote and the quote, or nothing when there is none.
    pub(super) fn up_to(&mut self, quote: char) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let inner = &rest[..rest.find(quote)?];
        self.at += inner.len() + quote.len_utf8();
        Some(inner)
    }

    pub(super) fn skip_rest(&mut self) {
        self.at = self.text.len();
    }

    /// Notes what would have fitted here, if nothing was wanted any farther.
    fn want(&mut self, note: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        if self.at > self.farthest {
            self.farthest = self.at;
            self.wanted.clear();
            self.end_wanted = false;
        }
        if self.at == self.farthest {
            note(&mut self.wanted);
        }
    }

    /// `line:column (bytes before it)`. A line break counts to the line after it, as its column 0.
    fn place(&self, at: usize) -> String {
        let before = &self.text[..at];
        let on_break = self.text[at..].starts_with('\n');
        let line = 1 + before.matches('\n').count() + usize::from(on_break);
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{line}:{} ({at})", if on_break { 0 } else { column })
    }
}
