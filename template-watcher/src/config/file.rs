//! Configuration files: found, read, checked against the schema.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    ConfigError,
    item::{Item, Table},
    schema::{self, Key, Kind, TOP},
    values,
};
use hcl1::{Document, Kind as Written, Object, Value};

/// Reads a file, or all files below a folder in the order of their names, and lays them over each other.
///
/// What is worth a warning is added to `warnings`.
pub(super) fn load(path: &Path, warnings: &mut Vec<String>) -> Result<Table, ConfigError> {
    let missing = |e: io::Error| {
        let shown = path.display();
        ConfigError(format!("missing file/folder: {shown}: stat {shown}: {}", super::go_io(&e)))
    };
    let kind = fs::metadata(path).map_err(missing)?;
    if !kind.is_dir() {
        return read(path, warnings).map_err(|e| ConfigError(format!("from file: {e}")));
    }
    let mut table = Table::default();
    let mut files = Vec::new();
    collect(path, &mut files, 0)
        .map_err(|(path, e)| ConfigError(format!("walk error: {}: {}", path.display(), super::go_io(&e))))?;
    for file in files {
        table.merge(read(&file, warnings).map_err(|e| ConfigError(format!("walk error: from file: {e}")))?);
    }
    Ok(table)
}

/// Reads a configuration out of a text.
pub(super) fn parse(name: &str, text: &[u8], warnings: &mut Vec<String>) -> Result<Table, String> {
    let document = hcl1::parse(name, text)
        .map_err(|e| format!("{name}: error decoding config: {}: {e}", e.consul_text()))?;
    Reader { document: &document, warnings }.section(&document.root, TOP, "")
}

fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Table, String> {
    let name = path.display().to_string();
    let text = fs::read(path).map_err(|e| format!("{name}: open {name}: {}", super::go_io(&e)))?;
    parse(&name, &text, warnings)
}

/// All files below a folder, in the order of their names; a link to a folder is followed, as Kubernetes mounts have it.
fn collect(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<(), (PathBuf, io::Error)> {
    let fail = |e| (folder.to_owned(), e);
    if depth > 32 {
        return Err(fail(io::Error::other("too many folders in each other; does a link point upwards?")));
    }
    let entries = fs::read_dir(folder).map_err(fail)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files, depth + 1)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

struct Reader<'a> {
    document: &'a Document,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn section(&mut self, object: &Object, keys: &[Key], path: &str) -> Result<Table, String> {
        let mut table = Table::default();
        for entry in &object.entries {
            let lower = entry.key.to_ascii_lowercase();
            let Some(key) = keys.iter().find(|key| key.name == lower) else {
                return Err(self.unknown(entry, keys, path));
            };
            let inner = if path.is_empty() { lower } else { format!("{path}.{lower}") };
            // JSON's null is the empty text in HCL1.
            let value = match &entry.value.kind {
                Written::Null => &Value { kind: Written::Text(String::new()), ..entry.value.clone() },
                _ => &entry.value,
            };
            match (key.kind, self.item(value, key.kind, &inner, &table, key.setting)?) {
                (_, None) => {}
                // Templates are collected; every other block of a file replaces the one before it.
                (Kind::Blocks(_) | Kind::Named(_), Some(item)) => table.set(key.setting, item),
                (_, Some(item)) => table.insert(key.setting, item),
            }
        }
        Ok(table)
    }

    fn unknown(&self, entry: &hcl1::Entry, keys: &[Key], path: &str) -> String {
        let near = keys.iter().map(|key| key.name).min_by_key(|name| distance(name, &entry.key));
        let hint = near
            .filter(|name| distance(name, &entry.key) <= 3)
            .map_or_else(String::new, |name| format!(" (did you mean {name}?)"));
        format!("{}: '{path}' has invalid keys: {}{hint}", self.document.place(entry.position), entry.key)
    }

    /// One value as its key takes it; `None` for what is read over.
    fn item(
        &mut self,
        value: &Value,
        kind: Kind,
        path: &str,
        so_far: &Table,
        setting: &str,
    ) -> Result<Option<Item>, String> {
        let some_object = || self.no_map(value, path);
        Ok(Some(match kind {
            Kind::Ignored(keys) => {
                self.block(value, keys, path)?;
                let place = self.document.place(value.position);
                self.warnings.push(format!("{place}: {path} is not supported and has no effect"));
                return Ok(None);
            }
            Kind::Blocks(keys) => {
                let at = so_far.tables(setting).len();
                let mut tables = Vec::new();
                for (i, object) in objects(value).ok_or_else(some_object)?.into_iter().enumerate() {
                    tables.push(self.section(object, keys, &format!("{path}[{}]", at + i))?);
                }
                Item::Tables(tables)
            }
            Kind::Named(keys) => {
                let mut table = Table::default();
                for entry in
                    objects(value).ok_or_else(some_object)?.into_iter().flat_map(|object| &object.entries)
                {
                    let inner = format!("{path}.{}", entry.key);
                    table.insert(&entry.key, self.block(&entry.value, keys, &inner)?);
                }
                Item::Table(table)
            }
            Kind::Consul(keys) => match &value.kind {
                Written::Text(address) => {
                    let place = self.document.place(value.position);
                    let told = format!("{place}: consul = \"…\" is old; write consul {{ address = \"…\" }}");
                    self.warnings.push(told);
                    let mut table = Table::default();
                    table.insert("address", Item::Text(address.clone()));
                    Item::Table(table)
                }
                _ => self.block(value, keys, path)?,
            },
            Kind::Wait => match &value.kind {
                Written::Text(text) => Item::Table(wait_table(
                    values::wait(text).map_err(|reason| self.bad(value, path, &reason))?,
                )),
                _ => self.block(value, schema::WAIT, path)?,
            },
            Kind::Block(keys) => self.block(value, keys, path)?,
            _ => self.plain(value, kind, path)?,
        }))
    }

    /// A block; of several the last counts.
    fn block(&mut self, value: &Value, keys: &[Key], path: &str) -> Result<Item, String> {
        match objects(value).as_deref() {
            Some([.., last]) => Ok(Item::Table(self.section(last, keys, path)?)),
            Some([]) | None => Err(self.no_map(value, path)),
        }
    }

    /// A value that is no block.
    fn plain(&self, value: &Value, kind: Kind, path: &str) -> Result<Item, String> {
        let bad = |reason: String| self.bad(value, path, &reason);
        Ok(match (kind, &value.kind) {
            (Kind::Text | Kind::Name, Written::Text(text)) => Item::Text(text.clone()),
            (Kind::Name, Written::Integer(n)) => Item::Text(n.to_string()),
            (Kind::Id, Written::Integer(-1)) => Item::Text(String::new()),
            (Kind::Id, Written::Integer(n)) => Item::Text(n.to_string()),
            (Kind::Bool, Written::Bool(on)) => Item::Bool(*on),
            (Kind::Mode, Written::Integer(n)) if *n < 0 => {
                let place = self.document.place(value.position);
                return Err(format!("{place}: cannot parse '{path}', {n} overflows uint"));
            }
            (Kind::Int | Kind::Mode | Kind::Number, Written::Integer(n)) => Item::Int(*n),
            // As in Go's decoder the fraction is cut off.
            (Kind::Id | Kind::Int | Kind::Mode | Kind::Duration, Written::Float(n)) => {
                let whole = Value { kind: Written::Integer(n.trunc() as i64), ..value.clone() };
                return self.plain(&whole, kind, path);
            }
            // Nobody reads it.
            (Kind::Number, Written::Float(n)) => Item::Int(n.trunc() as i64),
            (Kind::Mode, Written::Text(text)) => Item::Int(values::mode(text).map_err(bad)?),
            (Kind::Duration, Written::Text(text)) => {
                Item::Duration(values::duration(text).map_err(|e| bad(e.to_string()))?)
            }
            (Kind::Duration, Written::Integer(nanos)) => Item::Duration(values::from_nanos(*nanos)),
            (Kind::Signal, Written::Text(text)) => Item::Signal(values::signal(text).map_err(bad)?),
            (Kind::Command, Written::Text(text)) => Item::Texts(vec![text.clone()]),
            (Kind::MoreTexts, Written::Text(text)) => {
                Item::MoreTexts(text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            (Kind::Command | Kind::MoreTexts, Written::List(list)) => {
                let texts = list.iter().map(|value| match &value.kind {
                    Written::Text(text) => Some(text.clone()),
                    _ => None,
                });
                let texts: Vec<String> =
                    texts.collect::<Option<_>>().ok_or_else(|| self.wrong(value, path, "[]string"))?;
                if matches!(kind, Kind::Command) { Item::Texts(texts) } else { Item::MoreTexts(texts) }
            }
            _ => return Err(self.wrong(value, path, go_type(kind))),
        })
    }

    fn no_map(&self, value: &Value, path: &str) -> String {
        let (kind, _) = describe(value);
        let kind = if kind.starts_with("[]") { "slice" } else { kind };
        format!("{}: '{path}' expected a map, got '{kind}'", self.document.place(value.position))
    }

    fn wrong(&self, value: &Value, path: &str, wanted: &str) -> String {
        let (place, (kind, shown)) = (self.document.place(value.position), describe(value));
        format!(
            "{place}: '{path}' expected type '{wanted}', got unconvertible type '{kind}', value: '{shown}'"
        )
    }

    fn bad(&self, value: &Value, path: &str, reason: &str) -> String {
        format!("{}: error decoding '{path}': {reason}", self.document.place(value.position))
    }
}

/// What a key takes, in Go's words.
fn go_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Name => "string",
        Kind::Bool => "bool",
        Kind::Int | Kind::Id => "int",
        Kind::Number => "float64",
        Kind::Duration => "time.Duration",
        Kind::Signal => "os.Signal",
        Kind::Mode => "os.FileMode",
        Kind::Command | Kind::MoreTexts => "[]string",
        Kind::Wait
        | Kind::Block(_)
        | Kind::Consul(_)
        | Kind::Blocks(_)
        | Kind::Named(_)
        | Kind::Ignored(_) => "map",
    }
}

pub(super) fn wait_table(wait: values::Wait) -> Table {
    let mut table = Table::default();
    table.insert("min", Item::Duration(wait.min));
    table.insert("max", Item::Duration(wait.max));
    table
}

/// The objects of a block: one, or a list of them.
fn objects(value: &Value) -> Option<Vec<&Object>> {
    match &value.kind {
        Written::Object(object) => Some(vec![object]),
        Written::List(list) => list
            .iter()
            .map(|value| match &value.kind {
                Written::Object(object) => Some(object),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// A value's type in Go's words, and the value as Go prints it.
fn describe(value: &Value) -> (&'static str, String) {
    match &value.kind {
        Written::Null => ("nil", "<nil>".into()),
        Written::Bool(on) => ("bool", on.to_string()),
        Written::Integer(n) => ("int", n.to_string()),
        Written::Float(n) => ("float64", n.to_string()),
        Written::Text(text) => ("string", text.clone()),
        Written::List(_) => ("[]interface {}", "[…]".into()),
        Written::Object(_) => ("map[string]interface {}", "map[…]".into()),
    }
}

/// How many letters must be added, dropped or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let changed = before + usize::from(ca != *cb);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}
