//! An expression checked against fields, and run over an object.

use std::net::IpAddr;

use regex::Regex;
use serde_json::Value;

use super::{
    FilterError, Kind,
    parse::{Expression, Match, Operator},
};
use crate::{query::parse_bool, regexp};

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
    Unsigned(u64),
    /// A byte of an address.
    Byte(u64),
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
            let kind = kind_of(&found.selector, fields)?;
            let test = test(found, kind)?;
            Condition::Field { selector: found.selector.clone(), fields, test, negated: found.negated }
        }
    })
}

fn name(found: &Match) -> String {
    found.selector.join(".")
}

/// What the field at this selector holds; a selector is named up to its first part that is not there.
fn kind_of(selector: &[String], fields: &'static Kind) -> Result<&'static Kind, FilterError> {
    selector.iter().enumerate().try_fold(fields, |kind, (i, part)| {
        let found = match kind {
            Kind::Struct(fields) | Kind::List(fields) => {
                fields.iter().find(|(name, _)| name == part).map(|(_, kind)| kind)
            }
            Kind::Map(values) => Some(*values),
            _ => None,
        };
        found.ok_or_else(|| FilterError::Selector(selector[..=i].join(".")))
    })
}

fn test(found: &Match, kind: &Kind) -> Result<Test, FilterError> {
    let value = found.value.clone();
    let read = |read: Result<Test, String>| read.map_err(|why| not_a(found, why));
    match (found.operator, kind) {
        (Operator::Equal, Kind::Text) => Ok(Test::Text(value)),
        (Operator::Equal, Kind::Number) => read(read_number(&value).map(Test::Number)),
        (Operator::Equal, Kind::Unsigned(bits)) => read(read_unsigned(&value, *bits).map(Test::Unsigned)),
        (Operator::Equal, Kind::Flag) => {
            read(parse_bool(&value).map(Test::Flag).map_err(|error| error.to_string()))
        }
        (Operator::In, Kind::Text | Kind::Texts | Kind::Map(_)) => Ok(Test::Holds(value)),
        (Operator::In, Kind::Address) => read(read_unsigned(&value, 8).map(Test::Byte)),
        (Operator::Empty, Kind::Texts | Kind::Map(_) | Kind::List(_) | Kind::Address) => Ok(Test::Empty),
        (Operator::Matches, Kind::Text) => match regexp::compile(&value) {
            Ok(pattern) => Ok(Test::Pattern(pattern)),
            Err(error) => Err(FilterError::Pattern { text: value, error }),
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
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = read_digits(digits).map_err(said)?;
    let number = i128::from(size) * if negative { -1 } else { 1 };
    i64::try_from(number).map_err(|_| said(OUT_OF_RANGE))
}

/// A whole number without a sign, of so many bits.
fn read_unsigned(text: &str, bits: u32) -> Result<u64, String> {
    let said = |why| format!("strconv.ParseUint: parsing {text:?}: {why}");
    let number = read_digits(text).map_err(said)?;
    if u128::from(number) >> bits == 0 { Ok(number) } else { Err(said(OUT_OF_RANGE)) }
}

const OUT_OF_RANGE: &str = "value out of range";

fn read_digits(digits: &str) -> Result<u64, &'static str> {
    let lower = digits.to_ascii_lowercase();
    let (radix, prefixed, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, true, &lower[2..]),
        [b'0', b'o', ..] => (8, true, &lower[2..]),
        [b'0', b'b', ..] => (2, true, &lower[2..]),
        [b'0', _, ..] => (8, true, &lower[1..]),
        _ => (10, false, &lower[..]),
    };
    // An underscore stands between digits, or between the prefix and them.
    let parts = if prefixed { digits.strip_prefix('_').unwrap_or(digits) } else { digits };
    let digits: String = parts.split('_').collect();
    let spaced = parts.split('_').all(|part| !part.is_empty());
    if !spaced || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err("invalid syntax");
    }
    u64::from_str_radix(&digits, radix).map_err(|_| OUT_OF_RANGE)
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
        Kind::Text | Kind::Number | Kind::Unsigned(_) | Kind::Address | Kind::Flag | Kind::Texts => {
            unreachable!("checked against the fields")
        }
    }
}

impl Test {
    /// Whether a value passes. What JSON leaves out is the zero value of its kind.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str().unwrap_or_default() == text,
            Self::Number(number) => value.as_i64().unwrap_or_default() == *number,
            Self::Unsigned(number) => value.as_u64().unwrap_or_default() == *number,
            Self::Byte(byte) => bytes_of(value).iter().any(|found| u64::from(*found) == *byte),
            Self::Flag(flag) => value.as_bool().unwrap_or_default() == *flag,
            Self::Pattern(pattern) => pattern.is_match(value.as_str().unwrap_or_default()),
            Self::Empty => match value {
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                Value::String(address) => address.is_empty(),
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

/// The bytes of an address.
fn bytes_of(address: &Value) -> Vec<u8> {
    let ip = address.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    ip.map_or_else(Vec::new, |ip| match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    })
}
