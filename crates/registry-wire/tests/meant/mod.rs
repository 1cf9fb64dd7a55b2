//! Conditions in plain words: how they are written, and of what they hold.

use std::collections::BTreeMap;

use proptest::{collection::btree_map, collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

const WORDS: [&str; 9] = ["a", "b", "ab", "web", "", "a b", "ä\n\t", "\"q\" \\ `", "Node.Node"];

/// An instance with the fields that conditions ask about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    node: String,
    meta: Option<BTreeMap<String, String>>,
    tags: Vec<String>,
    port: i64,
    overrides: bool,
    statuses: Vec<String>,
}

impl Instance {
    /// As the health endpoints show it.
    pub(crate) fn shown(&self) -> Value {
        let checks: Vec<_> = self.statuses.iter().map(|status| json!({ "Status": status })).collect();
        json!({
            "Node": { "Node": self.node, "Meta": self.meta },
            "Service": { "Tags": self.tags, "Port": self.port, "EnableTagOverride": self.overrides },
            "Checks": checks,
        })
    }
}

/// What is asked of an instance.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    /// A test and whether its outcome is turned around.
    Test(Test, bool),
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    NodeIs(String),
    NodeHolds(String),
    NodeMatches(String),
    MetaIs(String, String),
    MetaHas(String),
    MetaEmpty,
    TagsHave(String),
    TagsEmpty,
    PortIs(i64),
    OverridesIs(bool),
    AnyStatusIs(String),
    ChecksEmpty,
}

impl Condition {
    pub(crate) fn holds(&self, of: &Instance) -> bool {
        match self {
            Self::Or(a, b) => a.holds(of) | b.holds(of),
            Self::And(a, b) => a.holds(of) & b.holds(of),
            Self::Not(inner) => !inner.holds(of),
            // Of a list it is asked whether any element passes: `!=` is no "none is".
            Self::Test(Test::AnyStatusIs(word), turned) => of.statuses.iter().any(|s| (s == word) != *turned),
            Self::Test(test, turned) => test.holds(of) != *turned,
        }
    }

    pub(crate) fn print(&self, style: &Style<'_>) -> String {
        let text = match self {
            Self::Or(a, b) => style.joined(a.print(style), "or", b.print(style)),
            Self::And(a, b) => {
                let (a, b) = (a.print_inside(style), b.print_inside(style));
                style.joined(a, "and", b)
            }
            Self::Not(inner) => format!("not{}{}", style.space(), inner.print_as_one(style)),
            Self::Test(test, turned) => test.print(*turned, style),
        };
        if style.chance(6) { style.parentheses(&text) } else { text }
    }

    /// Within an `and` an `or` needs parentheses.
    fn print_inside(&self, style: &Style<'_>) -> String {
        let text = self.print(style);
        if matches!(self, Self::Or(..)) { style.parentheses(&text) } else { text }
    }

    /// After a `not` what is joined needs parentheses.
    fn print_as_one(&self, style: &Style<'_>) -> String {
        let text = self.print(style);
        if matches!(self, Self::Or(..) | Self::And(..)) { style.parentheses(&text) } else { text }
    }
}

impl Test {
    fn holds(&self, of: &Instance) -> bool {
        let meta = |key: &String| of.meta.as_ref().and_then(|meta| meta.get(key));
        match self {
            Self::NodeIs(word) => of.node == *word,
            Self::NodeHolds(part) | Self::NodeMatches(part) => of.node.contains(part.as_str()),
            Self::MetaIs(key, word) => meta(key) == Some(word),
            Self::MetaHas(key) => meta(key).is_some(),
            Self::MetaEmpty => of.meta.as_ref().is_none_or(BTreeMap::is_empty),
            Self::TagsHave(word) => of.tags.contains(word),
            Self::TagsEmpty => of.tags.is_empty(),
            Self::PortIs(port) => of.port == *port,
            Self::OverridesIs(flag) => of.overrides == *flag,
            Self::AnyStatusIs(word) => of.statuses.contains(word),
            Self::ChecksEmpty => of.statuses.is_empty(),
        }
    }

    fn print(&self, turned: bool, style: &Style<'_>) -> String {
        match self {
            Self::NodeIs(word) => style.equal("Node.Node", &style.value(word), turned),
            Self::NodeHolds(part) => style.holds("Node.Node", part, turned),
            Self::NodeMatches(part) => {
                let pattern = style.value(&escaped(part));
                let not = if turned { format!("not{}", style.space()) } else { String::new() };
                format!("Node.Node{}{not}matches{}{pattern}", style.space(), style.space())
            }
            Self::MetaIs(key, word) => {
                let (at, word) = (style.index("Node.Meta", key), style.value(word));
                style.equal(&at, &word, turned)
            }
            Self::MetaHas(key) => style.holds("Node.Meta", key, turned),
            Self::MetaEmpty => style.empty("Node.Meta", turned),
            Self::TagsHave(word) => style.holds("Service.Tags", word, turned),
            Self::TagsEmpty => style.empty("Service.Tags", turned),
            Self::PortIs(port) => {
                let port = if style.chance(2) { port.to_string() } else { format!("\"{port}\"") };
                style.equal("Service.Port", &port, turned)
            }
            Self::OverridesIs(flag) => style.equal("Service.EnableTagOverride", &flag.to_string(), turned),
            Self::AnyStatusIs(word) => style.equal("Checks.Status", &style.value(word), turned),
            Self::ChecksEmpty => style.empty("Checks", turned),
        }
    }
}

/// A pattern that a text itself is the only match of.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("[{}]", bracketed(c)) })
        .collect()
}

fn bracketed(c: char) -> String {
    if c == '\\' { "\\\\".to_owned() } else { c.to_string() }
}

/// One of the many ways to write the same.
pub(crate) struct Style<'a> {
    choices: &'a [u8],
    next: std::cell::Cell<usize>,
}

impl<'a> Style<'a> {
    pub(crate) fn new(choices: &'a [u8]) -> Self {
        Self { choices, next: std::cell::Cell::new(0) }
    }

    fn choose(&self, of: u8) -> u8 {
        let at = self.next.get();
        self.next.set(at + 1);
        self.choices[at % self.choices.len()].wrapping_add(at as u8) % of
    }

    fn chance(&self, one_in: u8) -> bool {
        self.choose(one_in) == 0
    }

    fn space(&self) -> &'static str {
        [" ", "  ", "\t", " \r\n"][usize::from(self.choose(4))]
    }

    fn gap(&self) -> &'static str {
        ["", " ", "\n"][usize::from(self.choose(3))]
    }

    fn joined(&self, left: String, word: &str, right: String) -> String {
        format!("{left}{}{word}{}{right}", self.space(), self.space())
    }

    fn parentheses(&self, text: &str) -> String {
        format!("({}{text}{})", self.gap(), self.gap())
    }

    fn equal(&self, at: &str, value: &str, turned: bool) -> String {
        format!("{at}{}{}{}{value}", self.gap(), if turned { "!=" } else { "==" }, self.gap())
    }

    fn holds(&self, at: &str, value: &str, turned: bool) -> String {
        let value = self.value(value);
        let not = if turned { format!("not{}", self.space()) } else { String::new() };
        let (one, two) = (self.space(), self.space());
        if self.chance(2) {
            format!("{value}{one}{not}in{two}{at}")
        } else {
            format!("{at}{one}{not}contains{two}{value}")
        }
    }

    fn empty(&self, at: &str, turned: bool) -> String {
        let not = if turned { format!("not{}", self.space()) } else { String::new() };
        format!("{at}{}is{}{not}empty", self.space(), self.space())
    }

    /// A value of a map.
    fn index(&self, map: &str, key: &str) -> String {
        match is_word(key) && self.chance(2) {
            true => format!("{map}.{key}"),
            false => format!("{map}[{}]", self.quoted(key)),
        }
    }

    fn value(&self, text: &str) -> String {
        if is_word(text) && self.chance(2) { text.to_owned() } else { self.quoted(text) }
    }

    /// In back quotes as it is; in double quotes with escapes, and no double quote at all.
    fn quoted(&self, text: &str) -> String {
        if !text.contains('`') && self.chance(2) {
            return format!("`{text}`");
        }
        let escaped = text.chars().map(|c| match c {
            '"' => "\\x22".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            'ä' if self.chance(2) => "\\u00e4".to_owned(),
            c => c.to_string(),
        });
        format!("\"{}\"", escaped.collect::<String>())
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic())
}

/// Any condition.
pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    let test = (test(), any::<bool>()).prop_map(|(test, turned)| Condition::Test(test, turned));
    test.prop_recursive(5, 24, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Condition::Or(a, b)),
            pair.prop_map(|(a, b)| Condition::And(a, b)),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        word().prop_map(Test::NodeIs),
        word().prop_map(Test::NodeHolds),
        word().prop_map(Test::NodeMatches),
        (word(), word()).prop_map(|(key, word)| Test::MetaIs(key, word)),
        word().prop_map(Test::MetaHas),
        Just(Test::MetaEmpty),
        word().prop_map(Test::TagsHave),
        Just(Test::TagsEmpty),
        (-1..3_i64).prop_map(Test::PortIs),
        any::<bool>().prop_map(Test::OverridesIs),
        word().prop_map(Test::AnyStatusIs),
        Just(Test::ChecksEmpty),
    ]
}

/// Any instance.
pub(crate) fn instance() -> impl Strategy<Value = Instance> {
    let meta = option::of(btree_map(word(), word(), 0..3));
    (word(), meta, vec(word(), 0..3), -1..3_i64, any::<bool>(), vec(word(), 0..3)).prop_map(
        |(node, meta, tags, port, overrides, statuses)| Instance {
            node,
            meta,
            tags,
            port,
            overrides,
            statuses,
        },
    )
}

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}
