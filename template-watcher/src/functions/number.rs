//! Numbers: arithmetic, reading them from text, counting.

use std::cmp::Ordering;
use std::sync::Arc;

use go_template::{Signature, Stream, Type, Value};

use super::{Context, Row, string};

const MATH: Signature = Signature::new(&[Type::Any, Type::Any], Type::Any);

pub(super) const ROWS: &[Row] = &[
    Row::pure("add", MATH, "The sum.", |c, args| {
        combine(c, args, i64::wrapping_add, u64::wrapping_add, |a, b| Some(a + b))
    })
    .example("{{ add 2 3 }}", "5"),
    Row::pure("subtract", MATH, "`subtract B A`: A less B, so `5 | subtract 2` is 3.", |c, args| {
        combine(c, args, i64::wrapping_sub, u64::wrapping_sub, |a, b| Some(a - b))
    })
    .example("{{ 5 | subtract 2 }}", "3"),
    Row::pure("multiply", MATH, "The product.", |c, args| {
        combine(c, args, i64::wrapping_mul, u64::wrapping_mul, |a, b| Some(a * b))
    })
    .example("{{ multiply 2 3 }}", "6"),
    Row::pure("divide", MATH, "`divide B A`: A by B; whole numbers give a whole number.", |c, args| {
        not_by_zero(args)?;
        combine(c, args, i64::wrapping_div, u64::wrapping_div, |a, b| Some(a / b))
    })
    .example("{{ 10 | divide 4 }} {{ 10.0 | divide 4 }}", "2 2.5"),
    Row::pure("modulo", MATH, "`modulo B A`: what is left of A by B.", |c, args| {
        not_by_zero(args)?;
        combine(c, args, i64::wrapping_rem, u64::wrapping_rem, |_, _| None)
    })
    .example("{{ 10 | modulo 4 }}", "2"),
    Row::pure("minimum", MATH, "The smaller one.", |c, args| chosen(c, args, Ordering::Less))
        .example("{{ minimum 2 3 }}", "2"),
    Row::pure("maximum", MATH, "The larger one.", |c, args| chosen(c, args, Ordering::Greater))
        .example("{{ maximum 2 3 }}", "3"),
    Row::pure(
        "parseBool",
        Signature::new(&[Type::Str], Type::Bool),
        "true or false from 1, t, true, 0, f, false; empty is false.",
        parse_bool,
    )
    .example(r#"{{ parseBool "t" }}"#, "true"),
    Row::pure(
        "parseInt",
        Signature::new(&[Type::Str], Type::INT64),
        "A whole number from decimal text; empty is 0.",
        |_, args| parse_int(&string(&args[0])).map(Value::int64),
    )
    .example(r#"{{ parseInt "12" }}"#, "12"),
    Row::pure(
        "parseUint",
        Signature::new(&[Type::Str], Type::UINT64),
        "A whole number from decimal text without sign; empty is 0.",
        parse_uint,
    )
    .example(r#"{{ parseUint "12" }}"#, "12"),
    Row::pure(
        "parseFloat",
        Signature::new(&[Type::Str], Type::Float),
        "A number from text; empty is 0.",
        parse_float,
    )
    .example(r#"{{ parseFloat "1.50" }}"#, "1.5"),
    Row::pure(
        "loop",
        Signature::variadic(&[Type::Any], Type::Stream),
        "`loop 3` counts 0 1 2, `loop 2 5` counts 2 3 4.",
        count,
    )
    .example(
        "{{ range loop 3 }}{{ . }} {{ end }}{{ range $i, $n := loop 5 7 }}{{ $i }}:{{ $n }} {{ end }}",
        "0 1 2 0:5 1:6 ",
    ),
];

/// Combines B and A, in this order among the arguments: floats if one is, `int64` if one has a sign, else `uint64`.
fn combine(
    context: &Context<'_>,
    args: &[Value],
    ints: fn(i64, i64) -> i64,
    uints: fn(u64, u64) -> u64,
    floats: fn(f64, f64) -> Option<f64>,
) -> Result<Value, String> {
    let unknown = |value: &Value| {
        if matches!(value, Value::Nil) {
            return format!("{}: unknown type for <invalid reflect.Value> (<nil>)", context.name);
        }
        let shown = go_template::fmt::sprintf(b"%q (%T)", &[value.clone(), value.clone()]);
        format!("{}: unknown type for {}", context.name, String::from_utf8_lossy(&shown))
    };
    let (b, a) = (&args[0], &args[1]);
    for side in [a, b] {
        if !matches!(side, Value::Int(..) | Value::Uint(..) | Value::Float(_)) {
            return Err(unknown(side));
        }
    }
    match (a, b) {
        (Value::Uint(a, _), Value::Uint(b, _)) => Ok(Value::uint(uints(*a, *b))),
        (Value::Float(_), _) | (_, Value::Float(_)) => {
            let float = if matches!(a, Value::Float(_)) { a } else { b };
            floats(as_float(a), as_float(b)).map(Value::Float).ok_or_else(|| unknown(float))
        }
        _ => Ok(Value::int64(ints(as_int(a), as_int(b)))),
    }
}

/// Of two numbers A and B, in the order of `combine`, the one that stands so to the other; in its own type.
fn chosen(context: &Context<'_>, args: &[Value], wanted: Ordering) -> Result<Value, String> {
    combine(context, args, |a, _| a, |a, _| a, |a, _| Some(a))?;
    let (b, a) = (&args[0], &args[1]);
    let order = match (a, b) {
        (Value::Int(a, _), Value::Int(b, _)) => a.cmp(b),
        (Value::Uint(a, _), Value::Uint(b, _)) => a.cmp(b),
        _ => as_float(a).partial_cmp(&as_float(b)).unwrap_or(Ordering::Equal),
    };
    Ok(match if order == wanted { a } else { b } {
        Value::Int(number, _) => Value::int64(*number),
        Value::Uint(number, _) => Value::uint(*number),
        other => other.clone(),
    })
}

fn not_by_zero(args: &[Value]) -> Result<(), String> {
    match (&args[0], &args[1]) {
        (Value::Int(0, _) | Value::Uint(0, _), Value::Int(..) | Value::Uint(..)) => {
            Err("runtime error: integer divide by zero".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn as_float(value: &Value) -> f64 {
    match value {
        Value::Int(i, _) => *i as f64,
        Value::Uint(u, _) => *u as f64,
        Value::Float(f) => *f,
        _ => 0.0,
    }
}

fn as_int(value: &Value) -> i64 {
    match value {
        Value::Int(i, _) => *i,
        Value::Uint(u, _) => u.cast_signed(),
        _ => 0,
    }
}

fn refused(kind: &str, text: &str, reason: &str) -> String {
    format!("parse{kind}: strconv.Parse{kind}: parsing {text:?}: {reason}")
}

fn parse_bool(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    match string(&args[0]).as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
        other => Err(refused("Bool", other, "invalid syntax")),
    }
}

pub(super) fn parse_int(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|error| refused("Int", text, reason(&error)))
}

fn reason(error: &std::num::ParseIntError) -> &'static str {
    use std::num::IntErrorKind;
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

fn parse_uint(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let text = string(&args[0]);
    if text.is_empty() {
        return Ok(Value::uint(0));
    }
    if text.starts_with('+') {
        return Err(refused("Uint", &text, "invalid syntax"));
    }
    text.parse().map(Value::uint).map_err(|error| refused("Uint", &text, reason(&error)))
}

fn parse_float(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let text = string(&args[0]);
    if text.is_empty() {
        return Ok(Value::Float(0.0));
    }
    let named = matches!(
        text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str(),
        "inf" | "infinity" | "nan"
    );
    let digits = if underscores_part_digits(&text) { text.replace('_', "") } else { text.clone() };
    match digits.parse::<f64>() {
        Ok(float) if float.is_finite() || named => Ok(Value::Float(float)),
        Ok(_) => Err(refused("Float", &text, "value out of range")),
        Err(_) => Err(refused("Float", &text, "invalid syntax")),
    }
}

/// Whether each underscore of a number stands between digits.
pub(super) fn underscores_part_digits(text: &str) -> bool {
    let digit = |c: Option<&u8>| c.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    (0..bytes.len())
        .filter(|at| bytes[*at] == b'_')
        .all(|at| at > 0 && digit(bytes.get(at - 1)) && digit(bytes.get(at + 1)))
}

fn count(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let bound = |value: &Value| match value {
        Value::Int(i, _) => Ok(*i),
        Value::Uint(u, _) => Ok(i64::try_from(*u).unwrap_or(i64::MAX)),
        Value::Str(_) => parse_int(&string(value)),
        Value::Nil => Err("loop: bad argument type: <nil>".to_owned()),
        other => Err(format!("loop: bad argument type: {}", other.ty())),
    };
    let (start, stop) = match args {
        [stop] => (0, bound(stop)?),
        [start, stop] => (bound(start)?, bound(stop)?),
        _ => return Err(format!("loop: wrong number of arguments, expected 1 or 2, but got {}", args.len())),
    };
    Ok(Value::Stream(Arc::new(Stream::new(start, stop))))
}
