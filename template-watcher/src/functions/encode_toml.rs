//! Values as TOML: plain values first, then tables, keys in order.

use std::io::Write as _;

use go_template::{IntKind, Key, Type, Value};

use super::group::items;

type Entries = Vec<(String, Value)>;

/// TOML text without a newline at the end.
///
/// # Errors
/// The value has something in it that TOML cannot say.
pub(super) fn encode(value: &Value) -> Result<Vec<u8>, String> {
    if matches!(value, Value::Nil) {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    if has_other_keys(value, 0) {
        return Err("toml: cannot encode a map with non-string key type".to_owned());
    }
    if is_list_of_tables(value) {
        return Err("toml: top-level values must be Go maps or structs".to_owned());
    }
    let Some(entries) = entries(value) else { return inline(value) };
    let mut out = Vec::new();
    table(&mut out, &entries, &mut Vec::new())?;
    Ok(out.trim_ascii_end().to_vec())
}

/// Whether there is a map in it whose keys are no texts.
fn has_other_keys(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth > DEPTH_MAX => false,
        Value::Map(map) if map.key_type() != Type::Str => true,
        Value::Map(map) => map.entries().values().any(|value| has_other_keys(value, depth + 1)),
        value => items(value).iter().any(|value| has_other_keys(value, depth + 1)),
    }
}

/// The entries of a map or record in the order they are written.
fn entries(value: &Value) -> Option<Entries> {
    match value {
        Value::Map(map) => {
            let name = |key: &Key| super::shown(&key.value(map.key_type()));
            Some(map.entries().iter().map(|(key, value)| (name(key), value.clone())).collect())
        }
        Value::Struct(_) | Value::Pointer(_, Some(_)) => {
            let record = value.as_record()?;
            let fields = record.ty.fields.iter().zip(&record.fields);
            Some(fields.map(|((name, _), value)| ((*name).to_owned(), value.clone())).collect())
        }
        _ => None,
    }
}

/// How deep tables may stand in each other; a map may hold itself.
const DEPTH_MAX: usize = 100;

fn table(out: &mut Vec<u8>, entries: &Entries, path: &mut Vec<String>) -> Result<(), String> {
    if path.len() > DEPTH_MAX {
        return Err("toml: tables are nested too deeply".to_owned());
    }
    let indent = "  ".repeat(path.len());
    let is_table = |value: &Value| self::entries(value).is_some() || is_list_of_tables(value);
    for (key, value) in entries.iter().filter(|(_, value)| !is_table(value) && !value.is_nil()) {
        _ = write!(out, "{indent}{} = ", bare_or_quoted(key));
        out.extend(inline(value)?);
        out.push(b'\n');
    }
    for (key, value) in entries.iter().filter(|(_, value)| is_table(value) && !value.is_nil()) {
        path.push(bare_or_quoted(key));
        let heading = path.join(".");
        let indent = "  ".repeat(path.len() - 1);
        let lists = is_list_of_tables(value);
        let tables = if lists { items(value).to_vec() } else { vec![value.clone()] };
        for value in tables {
            if (path.len() == 1 || lists) && !out.is_empty() {
                out.push(b'\n');
            }
            let (open, close) = if lists { ("[[", "]]") } else { ("[", "]") };
            _ = writeln!(out, "{indent}{open}{heading}{close}");
            table(out, &self::entries(&value).unwrap_or_default(), path)?;
        }
        path.pop();
    }
    Ok(())
}

fn is_list_of_tables(value: &Value) -> bool {
    let items = items(value);
    !items.is_empty() && items.iter().all(|item| entries(item).is_some())
}

fn inline(value: &Value) -> Result<Vec<u8>, String> {
    Ok(match value {
        Value::Bool(truth) => truth.to_string().into(),
        Value::Int(nanoseconds, IntKind::Duration) => {
            quoted(go_template::fmt::duration(*nanoseconds).as_bytes())
        }
        Value::Int(number, _) => number.to_string().into(),
        Value::Uint(number, _) => number.to_string().into(),
        Value::Float(number) => float(*number).into(),
        Value::Str(bytes) => quoted(bytes),
        Value::List(list) => {
            let parts: Vec<_> = list.items.iter().map(inline).collect::<Result<_, _>>()?;
            [b"[", parts.join(&b", "[..]).as_slice(), b"]"].concat()
        }
        Value::Map(_) | Value::Struct(_) | Value::Pointer(_, Some(_)) => {
            let part = |(key, value): &(String, Value)| -> Result<Vec<u8>, String> {
                Ok([bare_or_quoted(key).as_bytes(), b" = ", &inline(value)?].concat())
            };
            let entries = entries(value).unwrap_or_default();
            let parts: Vec<_> = entries.iter().map(part).collect::<Result<_, _>>()?;
            [b"{", parts.join(&b", "[..]).as_slice(), b"}"].concat()
        }
        Value::Object(object) => match object.on_the_wire() {
            Some(time) if object.type_name().ends_with("time.Time") => time.into(),
            Some(text) => quoted(text.as_bytes()),
            None => Vec::new(),
        },
        Value::Pointer(_, None) => Vec::new(),
        other => return Err(format!("toml: cannot encode {}", other.ty())),
    })
}

fn float(number: f64) -> String {
    let text = match number {
        number if number.is_nan() => return "nan".to_owned(),
        f64::INFINITY => return "+inf".to_owned(),
        f64::NEG_INFINITY => return "-inf".to_owned(),
        number => number.to_string(),
    };
    if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
}

fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.to_owned() } else { String::from_utf8_lossy(&quoted(key.as_bytes())).into_owned() }
}

/// In double quotes; bytes that are no text stay as they are.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x08 => out.extend(b"\\b"),
            0x0c => out.extend(b"\\f"),
            0..0x20 | 0x7f => _ = write!(out, "\\u{byte:04x}"),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}
