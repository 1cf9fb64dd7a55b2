//! Single values read loosely: `"7"` is a number, `5` is a text, `true` is 1, `["x"]` is `"x"`.
//!
//! The errors are those of the Go library that Consul reads entries with.

use std::collections::BTreeMap;

use serde_json::Number;

use crate::{duration, json::Json};

/// A list of one stands for its element.
pub(super) fn alone(sent: &Json) -> &Json {
    match sent {
        Json::List(list) if list.len() == 1 => &list[0],
        other => other,
    }
}

/// A text.
pub(super) fn text(sent: &Json, place: &str) -> Result<String, String> {
    match alone(sent) {
        Json::Null => Ok(String::new()),
        Json::Text(text) => Ok(text.clone()),
        Json::Bool(true) => Ok("1".to_owned()),
        Json::Bool(false) => Ok("0".to_owned()),
        Json::Number(n) => Ok(n.as_f64().unwrap_or_default().to_string()),
        other => Err(unfit(other, "string", place)),
    }
}

/// True or false.
pub(super) fn flag(sent: &Json, place: &str) -> Result<bool, String> {
    match alone(sent) {
        Json::Null => Ok(false),
        Json::Bool(flag) => Ok(*flag),
        Json::Number(n) => Ok(n.as_f64() != Some(0.0)),
        Json::Text(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!(
                "cannot parse '{place}' as bool: strconv.ParseBool: parsing {text:?}: invalid syntax"
            )),
        },
        other => Err(unfit(other, "bool", place)),
    }
}

/// A whole number; a fraction is cut off.
pub(super) fn number(sent: &Json, kind: &str, place: &str) -> Result<i64, String> {
    match alone(sent) {
        Json::Null => Ok(0),
        Json::Bool(flag) => Ok(i64::from(*flag)),
        Json::Number(n) => Ok(n.as_f64().unwrap_or_default() as i64),
        Json::Text(text) if text.is_empty() => Ok(0),
        Json::Text(text) => parse(text).ok_or_else(|| {
            let (kind, parser) = if kind == "int" { ("int", "ParseInt") } else { ("uint", "ParseUint") };
            format!("cannot parse '{place}' as {kind}: strconv.{parser}: parsing {text:?}: invalid syntax")
        }),
        other => Err(unfit(other, kind, place)),
    }
}

/// A whole number as Go writes it in source: `10`, `0x1f`, `0o17`, `0b1`, `017`.
fn parse(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// A number with single precision.
pub(super) fn float(sent: &Json, place: &str) -> Result<f32, String> {
    match alone(sent) {
        Json::Null => Ok(0.0),
        Json::Bool(flag) => Ok(f32::from(u8::from(*flag))),
        Json::Number(n) => Ok(n.as_f64().unwrap_or_default() as f32),
        Json::Text(text) if text.is_empty() => Ok(0.0),
        Json::Text(text) => text.parse().map_err(|_| {
            format!("cannot parse '{place}' as float: strconv.ParseFloat: parsing {text:?}: invalid syntax")
        }),
        other => Err(unfit(other, "float32", place)),
    }
}

/// A number of single precision with no more digits than it has.
pub(super) fn json_float(value: f32) -> Json {
    let shortest: f64 = value.to_string().parse().unwrap_or_default();
    Number::from_f64(shortest).map_or(Json::Number(0.into()), Json::Number)
}

/// A duration: a Go text, or a number of nanoseconds.
pub(super) fn nanos(sent: &Json, place: &str) -> Result<i64, String> {
    match alone(sent) {
        Json::Text(text) => {
            duration::parse_nanos(text).map_err(|why| format!("error decoding '{place}': {why}"))
        }
        other => number(other, "time.Duration", place),
    }
}

/// Any value, below which lists of one stand for their element; names are in order.
pub(super) fn anything(sent: &Json) -> Json {
    match sent {
        Json::List(list) if list.len() == 1 => anything(&list[0]),
        Json::List(list) => Json::List(list.iter().map(anything).collect()),
        Json::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, anything(value))).collect();
            Json::Object(sorted.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Json::Number(n) => Number::from_f64(n.as_f64().unwrap_or_default()).map_or(Json::Null, Json::Number),
        other => other.clone(),
    }
}

/// What Go calls the kind of a decoded value.
pub(super) fn go_kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "invalid",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::Text(_) => "string",
        Json::List(_) => "slice",
        Json::Object(_) => "map",
    }
}

fn unfit(value: &Json, wanted: &str, place: &str) -> String {
    let kind = match value {
        Json::List(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
        other => go_kind(other),
    };
    let value = go_text(value);
    format!("'{place}' expected type '{wanted}', got unconvertible type '{kind}', value: '{value}'")
}

/// A value as Go's `%v` prints it.
fn go_text(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".to_owned(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(n) => n.to_string(),
        Json::Text(text) => text.clone(),
        Json::List(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Json::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, go_text(value))).collect();
            let pairs: Vec<_> = sorted.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}
