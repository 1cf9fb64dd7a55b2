//! The tree of values with their places.

use std::sync::Arc;

use crate::error::{Place, Position};

/// Which language a document was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// HCL1.
    Hcl,
    /// JSON.
    Json,
}

/// A file's values.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file's name as the caller gave it.
    pub file: Arc<str>,
    /// Its language.
    pub syntax: Syntax,
    /// The top level.
    pub root: Object,
}

/// Keys with values in the order of the text. A key may stand in it several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// All `key = value` and `key { … }`, in order.
    pub entries: Vec<Entry>,
}

/// One `key = value` or `key { … }`.
///
/// A labelled block `service "web" { … }` is the entry `service` whose value is an object with the one entry `web`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key, unquoted.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// What it is set to.
    pub value: Value,
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// JSON's `null`; HCL1 has none.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number: `8500`, `0644` (octal), `0x1F`.
    Integer(i64),
    /// `1.5`, `2e3`.
    Float(f64),
    /// A string or heredoc, escapes resolved; `${…}` is kept as it stands.
    Text(String),
    /// `[…]`.
    List(Vec<Value>),
    /// `{…}`.
    Object(Object),
}

impl Object {
    /// The last value of a key, compared without regard to case; the last one wins for plain values.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let last = self.entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key));
        last.map(|entry| &entry.value)
    }

    /// All entries of a key, compared without regard to case, in order: repeated blocks.
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.key.eq_ignore_ascii_case(key))
    }
}

impl Document {
    /// A position as a place in this file.
    pub fn place(&self, position: Position) -> Place {
        Place { file: Arc::clone(&self.file), position }
    }

    /// Where the key named by a path stands: `service.check[1].interval`; keys without regard to case.
    ///
    /// An index counts repeated blocks and list elements alike; without one the last of them is meant. A key with dots or
    /// brackets of its own is not found this way. `None` when there is no such key.
    pub fn place_of(&self, path: &str) -> Option<Place> {
        let mut objects = vec![&self.root];
        let mut found = None;
        for step in path.split('.') {
            let (key, indexes) = step.split_once('[').unwrap_or((step, ""));
            let mut hits: Vec<(Position, &Value)> = Vec::new();
            for entry in objects.iter().flat_map(|object| object.get_all(key)) {
                match &entry.value.kind {
                    Kind::List(list) if !indexes.is_empty() || only_objects(list) => {
                        hits.extend(list.iter().map(|value| (value.position, value)));
                    }
                    _ => hits.push((entry.position, &entry.value)),
                }
            }
            let hit = match indexes.trim_end_matches(']').parse::<usize>() {
                Ok(index) => hits.get(index),
                Err(_) => hits.last(),
            };
            let (position, value) = *hit?;
            found = Some(position);
            objects = match &value.kind {
                Kind::Object(object) => vec![object],
                _ => Vec::new(),
            };
        }
        found.map(|position| self.place(position))
    }
}

fn only_objects(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|value| matches!(value.kind, Kind::Object(_)))
}
