//! Configuration files: found, read, checked against the schema.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use hcl1::{Document, Kind as Written, Object, Value};
use registry_wire::duration;

use super::{
    ConfigError,
    item::{Item, Table},
    schema::{Key, Kind, TOP},
    values,
};

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
            match (key.kind, self.item(&entry.value, key.kind, &inner, &table, key.setting)?) {
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

    fn item(
        &mut self,
        value: &Value,
        kind: Kind,
        path: &str,
        so_far: &Table,
        setting: &str,
    ) -> Result<Option<Item>, String> {
        let place = self.document.place(value.position);
        let wrong = |wanted: &str| {
            let (kind, shown) = describe(value);
            format!(
                "{place}: '{path}' expected type '{wanted}', got unconvertible type '{kind}', value: '{shown}'"
            )
        };
        let bad = |reason: String| format!("{place}: error decoding '{path}': {reason}");
        Ok(Some(match (kind, &value.kind) {
            (Kind::Ignored, _) => {
                self.warnings.push(format!("{place}: {path} is not supported and has no effect"));
                return Ok(None);
            }
            (Kind::Blocks(keys), _) => {
                let at = so_far.tables(setting).len();
                let objects = objects(value).ok_or_else(|| wrong("map"))?;
                let mut tables = Vec::new();
                for (i, object) in objects.into_iter().enumerate() {
                    tables.push(self.section(object, keys, &format!("{path}[{}]", at + i))?);
                }
                Item::Tables(tables)
            }
            (Kind::Named(keys), _) => {
                let mut table = Table::default();
                for object in objects(value).ok_or_else(|| wrong("map"))? {
                    for entry in &object.entries {
                        let inner = format!("{path}.{}", entry.key);
                        let named =
                            self.item(&entry.value, Kind::Block(keys), &inner, &Table::default(), "")?;
                        table.insert(&entry.key, named.unwrap_or(Item::Table(Table::default())));
                    }
                }
                Item::Table(table)
            }
            (Kind::Consul(_), Written::Text(address)) => {
                self.warnings
                    .push(format!("{place}: consul = \"…\" is old; write consul {{ address = \"…\" }}"));
                let mut table = Table::default();
                table.insert("address", Item::Text(address.clone()));
                Item::Table(table)
            }
            (Kind::Wait, Written::Text(text)) => Item::Table(wait_table(values::wait(text).map_err(bad)?)),
            (Kind::Wait, _) => {
                let keys = &[("enabled", Kind::Bool), ("min", Kind::Duration), ("max", Kind::Duration)]
                    .map(|(name, kind)| Key { name, setting: name, kind });
                let object = *objects(value)
                    .and_then(|all| all.last().copied())
                    .as_ref()
                    .ok_or_else(|| wrong("map"))?;
                Item::Table(self.section(object, keys, path)?)
            }
            (Kind::Block(keys) | Kind::Consul(keys), _) => match objects(value).as_deref() {
                Some([.., last]) => Item::Table(self.section(last, keys, path)?),
                Some([]) => Item::Table(Table::default()),
                None => return Err(wrong("map")),
            },
            (Kind::Text | Kind::Name, Written::Text(text)) => Item::Text(text.clone()),
            (Kind::Name, Written::Integer(n)) => Item::Text(n.to_string()),
            (Kind::Text | Kind::Name, _) => return Err(wrong("string")),
            (Kind::Bool, Written::Bool(on)) => Item::Bool(*on),
            (Kind::Bool, _) => return Err(wrong("bool")),
            (Kind::Int | Kind::Mode, Written::Integer(n)) => Item::Int(*n),
            (Kind::Int, _) => return Err(wrong("int")),
            (Kind::Duration, Written::Text(text)) => {
                Item::Duration(duration::parse(text).map_err(|e| bad(e.to_string()))?)
            }
            (Kind::Duration, Written::Integer(nanos)) if *nanos >= 0 => {
                Item::Duration(Duration::from_nanos(nanos.unsigned_abs()))
            }
            (Kind::Duration, _) => return Err(wrong("time.Duration")),
            (Kind::Signal, Written::Text(text)) => Item::Signal(values::signal(text).map_err(bad)?),
            (Kind::Signal, _) => return Err(wrong("os.Signal")),
            (Kind::Mode, Written::Text(text)) => Item::Int(values::mode(text).map_err(bad)?),
            (Kind::Mode, _) => return Err(wrong("os.FileMode")),
            (Kind::Command, Written::Text(text)) => Item::Texts(vec![text.clone()]),
            (Kind::MoreTexts, Written::Text(text)) => {
                Item::MoreTexts(text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            (Kind::Command | Kind::MoreTexts, Written::List(list)) => {
                let texts = list.iter().map(|value| match &value.kind {
                    Written::Text(text) => Some(text.clone()),
                    _ => None,
                });
                let texts: Vec<String> = texts.collect::<Option<_>>().ok_or_else(|| wrong("[]string"))?;
                if matches!(kind, Kind::Command) { Item::Texts(texts) } else { Item::MoreTexts(texts) }
            }
            (Kind::Command | Kind::MoreTexts, _) => return Err(wrong("[]string")),
        }))
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
