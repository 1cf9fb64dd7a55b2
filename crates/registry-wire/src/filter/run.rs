//! An expression checked against fields, and run over an object.

use regex::Regex;
use serde_json::Value;

use super::{
    FilterError, Kind,
    parse::{Expression, Match, Operator},
};
use crate::query::parse_bool;

/// An expression that fits its fields, its values read.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Field { selector: Vec<String>, fields: &'static Kind, test: Test, negated: bool },
}

/// What a field is held against.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Text(String),
    Number(i64),
    Flag(bool),
    /// A part of a text, an element of a list, a key of a map.
    Holds(String),
    Empty,
    Pattern(Regex),
}

/// Checks an expression against the fields it will see.
pub(super) fn check(expression: &Expression, fields: &'static Kind) -> Result<Condition, FilterError> {
    let both = |a, b| Ok((Box::new(check(a, fields)?), Box::new(check(b, fields)?)));
    Ok(match expression {
        Expression::Or(a, b) => both(a, b).map(|(a, b)| Condition::Or(a, b))?,
        Expression::And(a, b) => both(a, b).map(|(a, b)| Condition::And(a, b))?,
        Expression::Not(inner) => Condition::Not(Box::new(check(inner, fields)?)),
        Expression::Match(found) => {
            let kind = kind_of(&found.selector, fields).ok_or_else(|| FilterError::Selector(name(found)))?;
            let test = test(found, kind)?;
            Condition::Field { selector: found.selector.clone(), fields, test, negated: found.negated }
        }
    })
}

fn name(found: &Match) -> String {
    found.selector.join(".")
}

/// What the field at this selector holds.
fn kind_of(selector: &[String], fields: &'static Kind) -> Option<&'static Kind> {
    selector.iter().try_fold(fields, |kind, part| match kind {
        Kind::Struct(fields) | Kind::List(fields) => {
            fields.iter().find(|(name, _)| name == part).map(|(_, kind)| kind)
        }
        Kind::Map(values) => Some(*values),
        _ => None,
    })
}

fn test(found: &Match, kind: &Kind) -> Result<Test, FilterError> {
    let value = found.value.clone();
    match (found.operator, kind) {
        (Operator::Equal, Kind::Text) => Ok(Test::Text(value)),
        (Operator::Equal, Kind::Number) => {
            read_number(&value).map(Test::Number).map_err(|why| not_a(found, why))
        }
        (Operator::Equal, Kind::Flag) => parse_bool(&value)
            .map_err(|error| error.to_string())
            .map(Test::Flag)
            .map_err(|why| not_a(found, why)),
        (Operator::In, Kind::Text | Kind::Texts | Kind::Map(_)) => Ok(Test::Holds(value)),
        (Operator::Empty, Kind::Texts | Kind::Map(_) | Kind::List(_)) => Ok(Test::Empty),
        (Operator::Matches, Kind::Text) => match Regex::new(&value) {
            Ok(pattern) => Ok(Test::Pattern(pattern)),
            Err(why) => Err(FilterError::Pattern { text: value, why: why.to_string() }),
        },
        (operator, _) => {
            Err(FilterError::Operator { operator: operator.name(found.negated), selector: name(found) })
        }
    }
}

fn not_a(found: &Match, why: String) -> FilterError {
    FilterError::Value { value: found.value.clone(), selector: name(found), why }
}

/// A whole number as Go reads it with base 0: `80`, `-1`, `0x50`, `0o17`, `017`, `0b11`, `1_000`.
fn read_number(text: &str) -> Result<i64, String> {
    let said = |why| format!("strconv.ParseInt: parsing {text:?}: {why}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(said("invalid syntax"));
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map_err(|_| said("value out of range"))
}

impl Condition {
    /// Whether it holds for an object.
    pub(super) fn holds(&self, object: &Value) -> bool {
        match self {
            Self::Or(a, b) => a.holds(object) || b.holds(object),
            Self::And(a, b) => a.holds(object) && b.holds(object),
            Self::Not(inner) => !inner.holds(object),
            Self::Field { selector, fields, test, negated } => {
                field_holds(object, selector, fields, &|value| test.holds(value) != *negated, || {
                    test.absent(*negated)
                })
            }
        }
    }
}

/// Whether the field at a selector passes; of a list, whether any element does; `absent` speaks for a map's missing key.
fn field_holds(
    at: &Value,
    selector: &[String],
    kind: &Kind,
    passes: &dyn Fn(&Value) -> bool,
    absent: impl Fn() -> bool + Copy,
) -> bool {
    let Some((part, rest)) = selector.split_first() else { return passes(at) };
    match kind {
        Kind::List(fields) => {
            let none = Vec::new();
            let elements = at.as_array().unwrap_or(&none);
            elements
                .iter()
                .any(|element| field_holds(element, selector, &Kind::Struct(fields), passes, absent))
        }
        Kind::Map(values) => match at.get(part) {
            Some(value) => field_holds(value, rest, values, passes, absent),
            None => absent(),
        },
        Kind::Struct(fields) => {
            let (_, kind) = fields.iter().find(|(name, _)| name == part).expect("checked against the fields");
            field_holds(at.get(part).unwrap_or(&Value::Null), rest, kind, passes, absent)
        }
        Kind::Text | Kind::Number | Kind::Flag | Kind::Texts => unreachable!("checked against the fields"),
    }
}

impl Test {
    /// Whether a value passes. What JSON leaves out is the zero value of its kind.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str().unwrap_or_default() == text,
            Self::Number(number) => value.as_i64().unwrap_or_default() == *number,
            Self::Flag(flag) => value.as_bool().unwrap_or_default() == *flag,
            Self::Pattern(pattern) => pattern.is_match(value.as_str().unwrap_or_default()),
            Self::Empty => match value {
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => true,
            },
            Self::Holds(part) => match value {
                Value::String(text) => text.contains(part.as_str()),
                Value::Array(list) => list.iter().any(|element| element.as_str() == Some(part)),
                Value::Object(map) => map.contains_key(part),
                _ => false,
            },
        }
    }

    /// What a missing key of a map gives: not equal and empty; to patterns it says yes either way.
    fn absent(&self, negated: bool) -> bool {
        match self {
            Self::Pattern(_) => true,
            Self::Empty => !negated,
            _ => negated,
        }
    }
}
