//! Values as TOML: plain values first, then tables, keys in order.

use std::fmt::Write as _;

use go_template::{Key, Value};

use super::group::items;

type Entries = Vec<(String, Value)>;

/// TOML text without a newline at the end.
///
/// # Errors
/// The value has something in it that TOML cannot say.
pub(super) fn encode(value: &Value) -> Result<String, String> {
    if matches!(value, Value::Nil) {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    if is_list_of_tables(value) {
        return Err("toml: top-level values must be Go maps or structs".to_owned());
    }
    let Some(entries) = entries(value) else { return inline(value) };
    let mut out = String::new();
    table(&mut out, &entries, &mut Vec::new())?;
    Ok(out.trim_end_matches('\n').to_owned())
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

fn table(out: &mut String, entries: &Entries, path: &mut Vec<String>) -> Result<(), String> {
    if path.len() > DEPTH_MAX {
        return Err("toml: tables are nested too deeply".to_owned());
    }
    let indent = "  ".repeat(path.len());
    let is_table = |value: &Value| self::entries(value).is_some() || is_list_of_tables(value);
    for (key, value) in entries.iter().filter(|(_, value)| !is_table(value) && !value.is_nil()) {
        _ = writeln!(out, "{indent}{} = {}", bare_or_quoted(key), inline(value)?);
    }
    for (key, value) in entries.iter().filter(|(_, value)| is_table(value) && !value.is_nil()) {
        path.push(bare_or_quoted(key));
        let heading = path.join(".");
        let indent = "  ".repeat(path.len() - 1);
        let lists = is_list_of_tables(value);
        let tables = if lists { items(value).to_vec() } else { vec![value.clone()] };
        for value in tables {
            if (path.len() == 1 || lists) && !out.is_empty() {
                out.push('\n');
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

fn inline(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number, _) => number.to_string(),
        Value::Uint(number, _) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Str(bytes) => quoted(&String::from_utf8_lossy(bytes)),
        Value::List(list) => {
            let parts: Result<Vec<_>, _> = list.items.iter().map(inline).collect();
            format!("[{}]", parts?.join(", "))
        }
        Value::Map(_) | Value::Struct(_) | Value::Pointer(_, Some(_)) => {
            let parts: Result<Vec<_>, String> = entries(value)
                .unwrap_or_default()
                .iter()
                .map(|(key, value)| Ok(format!("{} = {}", bare_or_quoted(key), inline(value)?)))
                .collect();
            format!("{{{}}}", parts?.join(", "))
        }
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
    if bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
