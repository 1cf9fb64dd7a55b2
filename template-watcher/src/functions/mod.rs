//! What templates can call. Each function is one row: its name, what it takes and gives, what kind it is, a line of help, and
//! the code. Go templates, Jinja templates and the reference page are all made from these rows; to add a function, add a row
//! to the file of its topic.

mod base_n;
mod codec;
mod data;
mod dump;
mod encode_json;
mod encode_toml;
mod encode_yaml;
mod group;
mod layout;
mod local;
mod mesh;
mod number;
mod raw;
mod reference;
mod scratch;
pub mod shapes;
mod sprig;
mod text;
mod time;
mod unknown;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use go_template::{Signature, Type, Value};

pub use reference::reference;
pub use scratch::Scratch;
pub(crate) use text::hex;
pub use unknown::lookup;

use crate::{answers::Scope, glob::glob};

/// A function.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name in both syntaxes.
    pub name: &'static str,
    /// What it takes and gives.
    pub signature: Signature,
    /// What it depends on.
    pub kind: Kind,
    /// One line for the reference page.
    pub help: &'static str,
    /// A Go template that calls it, and what that prints with the data of `tests/functions.yaml`.
    pub example: (&'static str, &'static str),
    /// The function it is a second name of.
    pub same_as: Option<&'static str>,
    call: Call,
}

/// What the result of a function depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its arguments and the registry's data.
    Data,
    /// Its arguments only.
    Pure,
    /// This machine: environment, clock, files, programs.
    Local,
}

type Call = fn(&Context<'_>, &[Value]) -> Result<Value, String>;

/// What a function sees besides its arguments.
pub struct Context<'a> {
    /// The rendering's view of the registry's data.
    pub scope: &'a Scope,
    /// The rendering's scratch pad.
    pub scratch: &'a Arc<Scratch>,
    /// The function's own name, for error texts.
    pub name: &'static str,
}

impl Row {
    const fn new(
        name: &'static str,
        kind: Kind,
        signature: Signature,
        help: &'static str,
        call: Call,
    ) -> Self {
        Row { name, signature, kind, help, example: ("", ""), same_as: None, call }
    }

    const fn example(mut self, template: &'static str, output: &'static str) -> Self {
        self.example = (template, output);
        self
    }

    const fn pure(name: &'static str, signature: Signature, help: &'static str, call: Call) -> Self {
        Row::new(name, Kind::Pure, signature, help, call)
    }

    /// Calls the function with arguments that were checked against its signature.
    ///
    /// # Errors
    /// What the function complains about, or that it is switched off.
    pub fn call(&self, scope: &Scope, scratch: &Arc<Scratch>, args: &[Value]) -> Result<Value, String> {
        let surroundings = scope.surroundings();
        let is_in = |list: &[String]| list.iter().any(|pattern| glob(pattern, self.name));
        let allowed = &surroundings.allowed_functions;
        if is_in(&surroundings.denied_functions) || !(allowed.is_empty() || is_in(allowed)) {
            return Err("function is disabled".to_owned());
        }
        note_reads(self.name, scope, args);
        (self.call)(&Context { scope, scratch, name: self.name }, args)
    }
}

/// Notes which fields of records a function reads by itself.
fn note_reads(name: &str, scope: &Scope, args: &[Value]) {
    let Some(reads) = group::reads(name) else {
        args.iter().for_each(|arg| scope.read_whole(arg));
        return;
    };
    for (record, fields) in reads {
        let places = fields.iter().filter_map(|field| record.field(field.as_bytes()));
        places.for_each(|place| scope.read_field(record, place));
    }
}

/// A part of the table, as the reference page has it.
pub(crate) struct Topic {
    title: &'static str,
    rows: &'static [Row],
}

/// All rows, in the order of the reference page.
const TOPICS: &[Topic] = &[
    Topic { title: "The registry's data", rows: data::ROWS },
    Topic { title: "Mesh, peers and partitions", rows: mesh::ROWS },
    Topic { title: "This machine", rows: local::ROWS },
    Topic { title: "Lists and maps", rows: group::ROWS },
    Topic { title: "Text", rows: text::ROWS },
    Topic { title: "Numbers", rows: number::ROWS },
    Topic { title: "JSON, YAML and TOML", rows: codec::ROWS },
    Topic { title: "Values kept while a template is rendered", rows: scratch::ROWS },
    Topic { title: "Looking at values", rows: dump::ROWS },
    Topic { title: "Sprig: text", rows: sprig::TEXT_ROWS },
    Topic { title: "Sprig: numbers", rows: sprig::NUMBER_ROWS },
    Topic { title: "Sprig: lists", rows: sprig::LIST_ROWS },
    Topic { title: "Sprig: maps", rows: sprig::DICT_ROWS },
    Topic { title: "Sprig: types and formats", rows: sprig::CONVERT_ROWS },
    Topic { title: "Sprig: versions", rows: sprig::VERSION_ROWS },
];

static TABLE: LazyLock<HashMap<&'static str, Row>> = LazyLock::new(|| {
    let rows = TOPICS.iter().flat_map(|topic| topic.rows);
    let mut table: HashMap<_, _> = rows.map(|row| (row.name, *row)).collect();
    for (name, same_as) in sprig::ALIASES {
        let row = table[same_as];
        table.insert(name, Row { name, same_as: Some(same_as), ..row });
    }
    table
});

/// The function of a name.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.get(name)
}

/// The type of what a function gives; `node` and `caLeaf` do not tell it in their signatures, as Go's do not.
pub fn returned(row: &Row) -> Type {
    match row.name {
        "node" => shapes::CATALOG_NODE_POINTER,
        "caLeaf" => mesh::LEAF_POINTER,
        _ => row.signature.returns,
    }
}

/// All functions, in no order.
pub(crate) fn each() -> impl Iterator<Item = &'static Row> {
    TABLE.values()
}

/// All functions, by name.
pub fn all() -> Vec<&'static Row> {
    let mut rows: Vec<_> = TABLE.values().collect();
    rows.sort_by_key(|row| row.name);
    rows
}

/// The bytes of an argument that the signature says is a string.
fn bytes(arg: &Value) -> &[u8] {
    arg.as_bytes().unwrap_or_default()
}

/// The same as text; bytes that are not UTF-8 become U+FFFD.
fn string(arg: &Value) -> String {
    String::from_utf8_lossy(bytes(arg)).into_owned()
}

/// A value as compact JSON.
///
/// # Errors
/// The value has something in it that JSON cannot say.
pub fn json(value: &Value) -> Result<String, String> {
    encode_json::encode(value, false, None)
}

/// A value as `print` shows it, which need not be text.
fn shown_bytes(value: &Value) -> Vec<u8> {
    go_template::fmt::print(std::slice::from_ref(value))
}

/// The same as text; bytes that are not UTF-8 become U+FFFD.
fn shown(value: &Value) -> String {
    String::from_utf8_lossy(&shown_bytes(value)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_one_row_some_help_and_an_example() {
        let rows: usize = TOPICS.iter().map(|topic| topic.rows.len()).sum();
        assert_eq!(rows + sprig::ALIASES.len(), all().len(), "two rows have the same name");
        assert!(all().iter().all(|row| !row.help.is_empty()));
        for row in all() {
            assert!(row.example.0.contains(row.same_as.unwrap_or(row.name)), "{} has no example", row.name);
        }
    }
}
