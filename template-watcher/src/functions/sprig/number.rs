//! Arithmetic: whole numbers are `int64`, and texts and truth values count as numbers.

use std::num::IntErrorKind;

use go_template::{IntKind, Signature, Type, Value, parse_float};

use super::decimal::Decimal;
use crate::functions::number::underscores_part_digits;
use crate::functions::{Context, Row, shown, string};

const ANY_INTS: Signature = Signature::variadic(&[Type::Any], Type::INT64);
const INTS: Signature = Signature::variadic(&[Type::Any, Type::Any], Type::INT64);
const TWO_INTS: Signature = Signature::new(&[Type::Any, Type::Any], Type::INT64);
const ANY_FLOATS: Signature = Signature::variadic(&[Type::Any], Type::Float);
const FLOATS: Signature = Signature::variadic(&[Type::Any, Type::Any], Type::Float);
const FLOAT: Signature = Signature::new(&[Type::Any], Type::Float);

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure("sprig_add", ANY_INTS, "The sum.", |_, a| fold(a, i64::wrapping_add))
        .example("{{ sprig_add 1 2 3 }}", "6"),
    Row::pure("sprig_sub", TWO_INTS, "The first less the second.", |_, a| fold(a, i64::wrapping_sub))
        .example("{{ sprig_sub 5 2 }}", "3"),
    Row::pure("sprig_mul", INTS, "The product.", |_, a| fold(a, i64::wrapping_mul))
        .example("{{ sprig_mul 2 3 4 }}", "24"),
    Row::pure("sprig_div", TWO_INTS, "The first by the second.", |_, a| divided(a, i64::wrapping_div))
        .example("{{ sprig_div 7 2 }}", "3"),
    Row::pure("sprig_mod", TWO_INTS, "What is left of the first by the second.", |_, a| {
        divided(a, i64::wrapping_rem)
    })
    .example("{{ sprig_mod 7 2 }}", "1"),
    Row::pure("sprig_max", INTS, "The largest.", |_, a| fold(a, i64::max))
        .example("{{ sprig_max 1 3 2 }}", "3"),
    Row::pure("sprig_biggest", INTS, "The largest.", |_, a| fold(a, i64::max))
        .example("{{ sprig_biggest 1 3 2 }}", "3"),
    Row::pure("sprig_min", INTS, "The smallest.", |_, a| fold(a, i64::min))
        .example("{{ sprig_min 2 1 3 }}", "1"),
    Row::pure("sprig_add1", Signature::new(&[Type::Any], Type::INT64), "One more.", |_, a| {
        Ok(Value::int64(int(&a[0]).wrapping_add(1)))
    })
    .example("{{ sprig_add1 2 }}", "3"),
    Row::pure("sprig_addf", ANY_FLOATS, "The sum of floats.", |_, a| {
        // The sum begins with nought.
        fold_decimals(&[&[Value::Float(0.0)], a].concat(), Decimal::plus, |x, y| x + y)
    })
    .example("{{ sprig_addf 1.5 2 }}", "3.5"),
    Row::pure("sprig_subf", FLOATS, "The difference of floats.", |_, a| {
        fold_decimals(a, Decimal::minus, |x, y| x - y)
    })
    .example("{{ sprig_subf 5 1.5 }}", "3.5"),
    Row::pure("sprig_mulf", FLOATS, "The product of floats.", |_, a| {
        fold_decimals(a, Decimal::times, |x, y| x * y)
    })
    .example("{{ sprig_mulf 1.5 2 }}", "3"),
    Row::pure("sprig_divf", FLOATS, "The quotient of floats.", |_, a| {
        if a.iter().skip(1).any(|divisor| float(divisor) == 0.0) {
            return Err("decimal division by 0".to_owned());
        }
        fold_decimals(a, Decimal::by, quotient)
    })
    .example("{{ sprig_divf 3 2 }}", "1.5"),
    Row::pure("sprig_add1f", FLOAT, "One more, as a float.", |_, a| {
        fold_decimals(&[a[0].clone(), Value::Float(1.0)], Decimal::plus, |x, y| x + y)
    })
    .example("{{ sprig_add1f 1.5 }}", "2.5"),
    Row::pure("sprig_maxf", FLOATS, "The largest float.", |_, a| fold_floats(a, largest))
        .example("{{ sprig_maxf 1 2.5 }}", "2.5"),
    Row::pure("sprig_minf", FLOATS, "The smallest float.", |_, a| fold_floats(a, |x, y| -largest(-x, -y)))
        .example("{{ sprig_minf 1 2.5 }}", "1"),
    Row::pure("sprig_ceil", FLOAT, "The next whole number up.", |_, a| Ok(Value::Float(float(&a[0]).ceil())))
        .example("{{ sprig_ceil 1.2 }}", "2"),
    Row::pure("sprig_floor", FLOAT, "The next whole number down.", |_, a| {
        Ok(Value::Float(float(&a[0]).floor()))
    })
    .example("{{ sprig_floor 1.8 }}", "1"),
    Row::pure(
        "sprig_round",
        Signature::variadic(&[Type::Any, Type::INT, Type::Float], Type::Float),
        "`NUMBER PLACES`: the nearest number with so many places.",
        round,
    )
    .example("{{ sprig_round 1.256 2 }}", "1.26"),
    Row::pure(
        "sprig_until",
        Signature::new(&[Type::INT], Type::List(&Type::INT)),
        "0 up to, not including.",
        |_, a| steps(0, int(&a[0]), if int(&a[0]) < 0 { -1 } else { 1 }),
    )
    .example("{{ sprig_until 3 }}", "[0 1 2]"),
    Row::pure(
        "sprig_untilStep",
        Signature::new(&[Type::INT, Type::INT, Type::INT], Type::List(&Type::INT)),
        "`START STOP STEP`: the numbers, STOP not included.",
        |_, a| steps(int(&a[0]), int(&a[1]), int(&a[2])),
    )
    .example("{{ sprig_untilStep 1 7 2 }}", "[1 3 5]"),
    Row::pure(
        "sprig_seq",
        Signature::variadic(&[Type::INT], Type::Str),
        "`[START [STEP]] STOP`: the numbers as text, STOP included.",
        sequence,
    )
    .example("{{ sprig_seq 1 2 7 }}", "1 3 5 7"),
    Row::pure("sprig_int", Signature::new(&[Type::Any], Type::INT), "As `int`.", |_, a| {
        Ok(Value::int(int(&a[0])))
    })
    .example(r#"{{ sprig_int "12" }}"#, "12"),
    Row::pure("sprig_int64", Signature::new(&[Type::Any], Type::INT64), "As `int64`.", |_, a| {
        Ok(Value::int64(int(&a[0])))
    })
    .example("{{ sprig_int64 12.7 }}", "12"),
    Row::pure("sprig_float64", FLOAT, "As `float64`.", |_, a| Ok(Value::Float(float(&a[0]))))
        .example(r#"{{ sprig_float64 "1.5" }}"#, "1.5"),
    Row::pure(
        "sprig_toDecimal",
        Signature::new(&[Type::Any], Type::INT64),
        "The number that octal digits stand for, or 0.",
        |_, a| Ok(Value::int64(i64::from_str_radix(&shown(&a[0]), 8).unwrap_or(0))),
    )
    .example(r#"{{ sprig_toDecimal "777" }}"#, "511"),
    Row::pure(
        "sprig_atoi",
        Signature::new(&[Type::Str], Type::INT),
        "The number in a text, or 0.",
        |_, a| Ok(Value::int(nearest_int(&string(&a[0])))),
    )
    .example(r#"{{ sprig_atoi "12" }}"#, "12"),
];

/// The number in a text: what is too large is the largest one.
fn nearest_int(text: &str) -> i64 {
    text.parse().unwrap_or_else(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => i64::MAX,
        IntErrorKind::NegOverflow => i64::MIN,
        _ => 0,
    })
}

/// A whole number from nearly anything.
pub(super) fn int(value: &Value) -> i64 {
    match value {
        // Sprig knows no types but those of the language itself.
        Value::Int(_, IntKind::Duration | IntKind::ReadableDuration) => 0,
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => number.cast_signed(),
        Value::Float(number) => cut(*number),
        Value::Bool(truth) => i64::from(*truth),
        Value::Str(_) => {
            let text = shown(value);
            prefixed(without_zeros(&text)).unwrap_or(0)
        }
        _ => 0,
    }
}

/// A float without its places; what is out of range is the smallest number, as Go has it on this kind of machine.
fn cut(number: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&number) { number as i64 } else { i64::MIN }
}

/// A text without places that are all nought: `2.0` is whole, `2.5` is no number here.
fn without_zeros(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, places)) if !places.is_empty() && places.bytes().all(|b| b == b'0') => whole,
        _ => text,
    }
}

/// A whole number as Go source writes it: `0x10` and `010` are not decimal.
fn prefixed(text: &str) -> Option<i64> {
    let text = if underscores_part_digits(text) { &text.replace('_', "") } else { text };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let digits = if sign.is_empty() { digits.strip_prefix('+').unwrap_or(digits) } else { digits };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(octal) if octal.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::Str(_) => parse_float(&shown(value)).unwrap_or(0.0),
        Value::Uint(number, _) => *number as f64,
        other => int(other) as f64,
    }
}

fn fold(args: &[Value], combine: impl Fn(i64, i64) -> i64) -> Result<Value, String> {
    Ok(Value::int64(args.iter().map(int).reduce(combine).unwrap_or(0)))
}

/// Reckons in decimal numbers, or in floats where those have too many digits.
fn fold_decimals(
    args: &[Value],
    exact: impl Fn(Decimal, Decimal) -> Option<Decimal>,
    near: impl Fn(f64, f64) -> f64,
) -> Result<Value, String> {
    if let Some(endless) = args.iter().map(float).find(|number| !number.is_finite()) {
        let name = shown(&Value::Float(endless));
        return Err(format!("Cannot create a Decimal from {name}"));
    }
    let mut numbers = args.iter().map(|arg| Decimal::of(float(arg)));
    let first = numbers.next().unwrap_or(Decimal::of(0.0)).filter(|_| args.len() > 1);
    // Decimal numbers know no negative nought.
    match first.and_then(|first| numbers.try_fold(first, |sum, next| exact(sum, next?))) {
        Some(sum) => Ok(Value::Float(sum.float() + 0.0)),
        None => Ok(Value::Float(args.iter().map(float).reduce(near).unwrap_or(0.0) + 0.0)),
    }
}

fn fold_floats(args: &[Value], combine: impl Fn(f64, f64) -> f64) -> Result<Value, String> {
    Ok(Value::Float(args.iter().map(float).reduce(combine).unwrap_or(0.0)))
}

/// A quotient with as many places as decimal ones have.
fn quotient(a: f64, b: f64) -> f64 {
    const PLACES: f64 = 1e16;
    let quotient = a / b;
    if quotient.abs() < 1.0 { (quotient * PLACES).round() / PLACES } else { quotient }
}

/// The larger of two floats: no number wins over all but infinity, and nought is larger than negative nought.
fn largest(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

fn divided(args: &[Value], combine: impl Fn(i64, i64) -> i64) -> Result<Value, String> {
    if int(&args[1]) == 0 {
        return Err("runtime error: integer divide by zero".to_owned());
    }
    fold(args, combine)
}

fn round(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let places = args.get(1).map_or(0, int).clamp(-300, 300);
    let shift = 10f64.powi(i32::try_from(places).unwrap_or(0));
    let up_from = args.get(2).map_or(0.5, float);
    let shifted = shift * float(&args[0]);
    // The places of a negative number are negative, so that it is nearly always rounded down.
    let rounded = if shifted.fract() >= up_from { shifted.ceil() } else { shifted.floor() };
    Ok(Value::Float(rounded / shift))
}

/// How many numbers a list made here may have.
const COUNT_MAX: usize = 1_000_000;

fn numbers(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, String> {
    let mut numbers = Vec::new();
    let mut next = start;
    while (step > 0 && next < stop) || (step < 0 && next > stop) {
        numbers.push(next);
        next = next.saturating_add(step);
        if numbers.len() > COUNT_MAX {
            return Err(format!("more than {COUNT_MAX} numbers"));
        }
    }
    Ok(numbers)
}

fn steps(start: i64, stop: i64, step: i64) -> Result<Value, String> {
    Ok(Value::list(&Type::INT, numbers(start, stop, step)?.into_iter().map(Value::int).collect()))
}

fn sequence(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let (start, step, last) = match args {
        [last] => (1, if int(last) < 1 { -1 } else { 1 }, int(last)),
        [start, last] => (int(start), if int(last) < int(start) { -1 } else { 1 }, int(last)),
        [start, step, last] => (int(start), int(step), int(last)),
        _ => return Ok(Value::from("")),
    };
    let end = last.saturating_add(if last < start { -1 } else { 1 });
    let numbers = numbers(start, end, step)?;
    Ok(Value::from(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")))
}
