//! Values as YAML 1.1 in the style of Go's yaml.v2: lists not indented under their key, keys in natural order.

use std::cmp::Ordering;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use go_template::{IntKind, Key, Type, Value};

/// How deep values may stand in each other; a map may hold itself.
const DEPTH_MAX: usize = 100;

/// YAML text without blanks around it.
///
/// # Errors
/// The value has something in it that YAML cannot say.
pub(super) fn encode(value: &Value) -> Result<String, String> {
    if let Some(ty) = unsayable(value, 0) {
        return Err(format!("cannot marshal type: {ty}"));
    }
    let mut out = String::new();
    block(&mut out, value, 0, 0);
    Ok(out.trim().to_owned())
}

/// The type of something in a value that YAML has no words for.
fn unsayable(value: &Value, depth: usize) -> Option<Type> {
    match value {
        _ if depth > DEPTH_MAX => None,
        Value::Complex(..) | Value::Stream(_) => Some(value.ty()),
        Value::List(list) => list.items.iter().find_map(|item| unsayable(item, depth + 1)),
        Value::Map(map) => map.entries().values().find_map(|item| unsayable(item, depth + 1)),
        _ => None,
    }
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

/// Numbers and truth values by their size, before texts; texts naturally, so that `z9` comes before `z10`.
fn key_order(a: &Key, b: &Key) -> Ordering {
    let number = |key: &Key| match key {
        Key::Bool(truth) => Some((f64::from(*truth), 0)),
        Key::Int(number) => Some((*number as f64, 1)),
        Key::Uint(number) => Some((*number as f64, 2)),
        Key::Float(_) => match key.value(Type::Any) {
            Value::Float(number) => Some((number, 3)),
            _ => None,
        },
        Key::Nil | Key::Str(_) => None,
    };
    match (a, b, number(a), number(b)) {
        (Key::Str(a), Key::Str(b), ..) => natural(&String::from_utf8_lossy(a), &String::from_utf8_lossy(b)),
        (_, _, Some(x), Some(y)) => x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)).then(a.cmp(b)),
        (_, _, Some(_), None) => Ordering::Less,
        (_, _, None, Some(_)) => Ordering::Greater,
        (Key::Nil, ..) => Ordering::Less,
        _ => Ordering::Greater,
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
        // The one of Consul's own prints as text by itself alone.
        Value::Int(nanoseconds, IntKind::Duration) => go_template::fmt::duration(*nanoseconds),
        Value::Object(object) => match object.on_the_wire() {
            Some(time) if object.type_name().ends_with("time.Time") => time,
            Some(found) => text(&found, column),
            None => "{}".to_owned(),
        },
        other => super::shown(other),
    }
}

fn text(text: &str, column: usize) -> String {
    if looks_typed(text) {
        return double_quoted(text);
    }
    if text.contains('\n') && text.chars().all(|c| c == '\n' || !is_special(c)) {
        return literal_block(text, column);
    }
    if text.chars().any(is_special) {
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
            && (unsigned.parse::<f64>().is_ok() || radix || is_timestamp(text) || is_sexagesimal(unsigned)))
}

/// `2026-03-07`, or with a time behind it: `T09:05:01Z`, ` 9:05:01.5`.
fn is_timestamp(text: &str) -> bool {
    let (date, rest) = text.split_at(text.find(['T', 't', ' ']).unwrap_or(text.len()));
    let parts: Vec<Option<u32>> = date.split('-').map(digits).collect();
    let [Some(year), Some(month), Some(day)] = parts[..] else { return false };
    let is_day = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).unwrap_or(-1), month, day).is_some();
    if !is_day || date.find('-') != Some(4) {
        return false;
    }
    match rest.split_at_checked(1) {
        None => true,
        Some((" ", time)) => is_time(time),
        Some((_, time)) => {
            let (time, zone) = time.split_at(time.find(['Z', '+', '-']).unwrap_or(time.len()));
            is_time(time) && (zone == "Z" || is_zone(zone))
        }
    }
}

fn is_time(text: &str) -> bool {
    let (time, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let parts: Vec<Option<u32>> = time.split(':').map(digits).collect();
    matches!(parts[..], [Some(..24), Some(..60), Some(..60)])
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// `+02:00`.
fn is_zone(text: &str) -> bool {
    let parts: Vec<Option<u32>> = text.get(1..).unwrap_or_default().split(':').map(digits).collect();
    text.len() == 6 && matches!(parts[..], [Some(..=24), Some(..60)])
}

/// A number of four digits at most.
fn digits(text: &str) -> Option<u32> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// `12:30:45`, which YAML 1.1 may read as a number of base sixty.
fn is_sexagesimal(unsigned: &str) -> bool {
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    parts.next().is_some_and(|first| first.starts_with(|c: char| c.is_ascii_digit()) && is_number(first))
        && whole.contains(':')
        && parts.all(|part| part.len() <= 2 && digits(part).is_some_and(|number| number < 60))
        && is_number(fraction)
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

/// What stands in double quotes only: characters that do not print, and those beyond the first plane.
fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{10000}'..)
}

fn double_quoted(text: &str) -> String {
    // After a mark at its beginning nothing stands as it is.
    let is_marked = text.starts_with('\u{feff}');
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\x1b' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            c if is_special(c) || is_marked => out.push_str(&escaped(u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn escaped(code: u32) -> String {
    match code {
        0..=0xff => format!("\\x{code:02X}"),
        0x100..=0xffff => format!("\\u{code:04X}"),
        _ => format!("\\U{code:08X}"),
    }
}
