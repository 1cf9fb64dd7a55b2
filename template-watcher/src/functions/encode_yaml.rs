//! Values as YAML 1.1 in the style of Go's yaml.v2: lists not indented under their key, keys in natural order.

use std::cmp::Ordering;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use go_template::{Key, Value};

/// How deep values may stand in each other; a map may hold itself.
const DEPTH_MAX: usize = 100;

/// YAML text without a newline at the end.
pub(super) fn encode(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0, 0);
    out.trim_matches('\n').to_owned()
}

/// Writes a value that begins on the current line at this column; ends with a newline.
fn block(out: &mut String, value: &Value, column: usize, depth: usize) {
    if depth > DEPTH_MAX {
        out.push_str("...\n");
        return;
    }
    if let Some(entries) = entries(value).filter(|entries| !entries.is_empty()) {
        for (position, (key, value)) in entries.iter().enumerate() {
            if position > 0 {
                out.push_str(&" ".repeat(column));
            }
            out.push_str(&scalar(key, 0));
            out.push(':');
            entry(out, value, column, depth);
        }
        return;
    }
    match value {
        Value::List(list) if !list.items.is_empty() => {
            for (position, item) in list.items.iter().enumerate() {
                if position > 0 {
                    out.push_str(&" ".repeat(column));
                }
                out.push_str("- ");
                block(out, item, column + 2, depth + 1);
            }
        }
        value => {
            out.push_str(&scalar(value, column));
            out.push('\n');
        }
    }
}

/// Writes what follows a key: on the same line, or for lists and maps on the next ones.
fn entry(out: &mut String, value: &Value, column: usize, depth: usize) {
    let nested = match value {
        Value::List(list) if !list.items.is_empty() => Some(column),
        value if entries(value).is_some_and(|entries| !entries.is_empty()) => Some(column + 2),
        _ => None,
    };
    match nested {
        Some(column) => {
            out.push('\n');
            out.push_str(&" ".repeat(column));
            block(out, value, column, depth + 1);
        }
        None => {
            out.push(' ');
            block(out, value, column + 2, depth + 1);
        }
    }
}

/// The entries of a map or record in the order they are written.
fn entries(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(map) => {
            let mut entries: Vec<_> =
                map.entries().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            entries.sort_by(|a, b| key_order(&a.0, &b.0));
            Some(entries.into_iter().map(|(key, value)| (key.value(map.key_type()), value)).collect())
        }
        Value::Struct(_) | Value::Pointer(_, Some(_)) => {
            let record = value.as_record()?;
            let fields = record.ty.fields.iter().zip(&record.fields);
            Some(fields.map(|((name, _), value)| (Value::from(name.to_lowercase()), value.clone())).collect())
        }
        _ => None,
    }
}

/// Numbers and truth values before texts; texts naturally, so that `z9` comes before `z10`.
fn key_order(a: &Key, b: &Key) -> Ordering {
    match (a, b) {
        (Key::Str(a), Key::Str(b)) => natural(&String::from_utf8_lossy(a), &String::from_utf8_lossy(b)),
        (Key::Str(_), _) => Ordering::Greater,
        (_, Key::Str(_)) => Ordering::Less,
        (a, b) => a.cmp(b),
    }
}

/// Letters after everything else, and numbers by their size.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (false, false) => {}
        (x, y) => return x.cmp(&y),
    }
    // noughts count only inside a number
    let inside = a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let number = |chars: &[char]| {
        let digits: String = chars[at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        let lead = if inside && (a[at] == '0' || b[at] == '0') { "1" } else { "" };
        (format!("{lead}{digits}").parse::<u128>().unwrap_or(0), digits.len())
    };
    number(&a).cmp(&number(&b)).then(a[at].cmp(&b[at]))
}

fn scalar(value: &Value, column: usize) -> String {
    match value {
        Value::Nil | Value::Pointer(_, None) => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Float(f64::INFINITY) => ".inf".to_owned(),
        Value::Float(f64::NEG_INFINITY) => "-.inf".to_owned(),
        Value::Float(number) if number.is_nan() => ".nan".to_owned(),
        Value::Str(bytes) => match std::str::from_utf8(bytes) {
            Ok(found) => text(found, column),
            Err(_) => format!("!!binary {}", STANDARD.encode(bytes)),
        },
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) | Value::Struct(_) | Value::Pointer(..) => "{}".to_owned(),
        other => super::shown(other),
    }
}

fn text(text: &str, column: usize) -> String {
    if looks_typed(text) {
        return double_quoted(text);
    }
    if text.contains('\n') && text.chars().all(|c| c == '\n' || !c.is_control()) {
        return literal_block(text, column);
    }
    if text.chars().any(|c| c.is_control() || c == '\u{feff}') {
        return double_quoted(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Several lines after `|`.
fn literal_block(text: &str, column: usize) -> String {
    let chomp = match text {
        text if !text.ends_with('\n') => "-",
        text if text.ends_with("\n\n") => "+",
        _ => "",
    };
    // the reader could not tell the text's own blanks from the indentation
    let indent = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let mut out = format!("|{indent}{chomp}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(column.max(2)));
            out.push_str(line);
        }
    }
    out
}

/// Whether YAML 1.1 would read the plain text as something else than a text.
fn looks_typed(text: &str) -> bool {
    const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ""];
    let lower = text.to_lowercase();
    let number = text.replace('_', "");
    let unsigned = number.trim_start_matches(['+', '-']);
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| unsigned.starts_with(prefix) && unsigned.len() > 2);
    let is_number_like = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    WORDS.contains(&lower.as_str())
        || matches!(lower.as_str(), ".nan" | ".inf" | "+.inf" | "-.inf")
        || (is_number_like
            && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && (unsigned.parse::<f64>().is_ok() || radix || is_date(text) || is_sexagesimal(unsigned)))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[8].is_ascii_digit()
}

/// `12:30:45`, which YAML 1.1 may read as a number of base sixty.
fn is_sexagesimal(text: &str) -> bool {
    text.contains(':')
        && text.split(':').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether the text can stand without quotes.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    let marks = matches!(first, '-' | '?' | ':') && chars.next().is_none_or(|c| c == ' ');
    let forbidden_start = "!&*{}[]|>@`\"'%#, ".contains(first) || marks;
    let document = ["---", "..."].iter().any(|mark| text.starts_with(mark));
    let forbidden_end = text.ends_with([' ', ':']);
    let forbidden_inside = text.contains(": ") || text.contains(" #");
    !(forbidden_start || document || forbidden_end || forbidden_inside)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || c == '\u{feff}' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
