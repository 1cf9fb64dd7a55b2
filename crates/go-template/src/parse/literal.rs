//! Strings, characters and numbers as Go writes them.

use super::ast::Number;
use super::lex::decode;

/// The bytes a quoted or raw string stands for; none if an escape is wrong.
pub(super) fn unquote(written: &[u8]) -> Option<Vec<u8>> {
    let (quote, inner) = (*written.first()?, written.get(1..written.len() - 1)?);
    if quote == b'`' {
        return Some(inner.iter().copied().filter(|b| *b != b'\r').collect());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, tail) = unescape(rest, quote)?;
        match unit {
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(b) => bytes.push(b),
        }
        rest = tail;
    }
    Some(bytes)
}

enum Unit {
    Char(char),
    Byte(u8),
}

/// The first character or escape, and what follows it.
fn unescape(text: &[u8], quote: u8) -> Option<(Unit, &[u8])> {
    if text[0] != b'\\' {
        if text[0] == quote {
            return None;
        }
        let (c, width) = decode(text)?;
        return Some((Unit::Char(c), &text[width..]));
    }
    let simple = |c: char| Some((Unit::Char(c), &text[2..]));
    match text.get(1)? {
        b'a' => simple('\x07'),
        b'b' => simple('\x08'),
        b'f' => simple('\x0c'),
        b'n' => simple('\n'),
        b'r' => simple('\r'),
        b't' => simple('\t'),
        b'v' => simple('\x0b'),
        b'\\' => simple('\\'),
        c @ (b'\'' | b'"') if *c == quote => simple(char::from(*c)),
        b'x' => Some((Unit::Byte(u8::try_from(number(text, 2, 2, 16)?).ok()?), &text[4..])),
        b'u' => Some((Unit::Char(char::from_u32(number(text, 2, 4, 16)?)?), &text[6..])),
        b'U' => Some((Unit::Char(char::from_u32(number(text, 2, 8, 16)?)?), &text[10..])),
        b'0'..=b'7' => Some((Unit::Byte(u8::try_from(number(text, 1, 3, 8)?).ok()?), &text[4..])),
        _ => None,
    }
}

fn number(text: &[u8], from: usize, digits: usize, radix: u32) -> Option<u32> {
    let digits = text.get(from..from + digits)?;
    let valid = digits.iter().all(|b| char::from(*b).is_digit(radix));
    valid.then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok())?
}

/// What a character constant stands for.
///
/// # Errors
/// `malformed character constant: 'xy'`, or `invalid syntax` if the first character is no good.
pub(super) fn character(written: &[u8]) -> Result<Number, String> {
    let inner = written.get(1..written.len() - 1).filter(|inner| !inner.is_empty());
    let (unit, rest) = inner.and_then(|inner| unescape(inner, b'\'')).ok_or("invalid syntax")?;
    if !rest.is_empty() {
        return Err(format!("malformed character constant: {}", String::from_utf8_lossy(written)));
    }
    let code = match unit {
        Unit::Char(c) => u32::from(c),
        Unit::Byte(b) => u32::from(b),
    };
    Ok(Number {
        written: written.to_vec(),
        int: Some(i64::from(code)),
        uint: Some(u64::from(code)),
        float: Some(f64::from(code)),
        looks_float: false,
        complex: None,
    })
}

/// What a number stands for, in every type it fits.
///
/// # Errors
/// `illegal number syntax: "-"` and `integer overflow: "1e400"`'s kin.
pub(super) fn numeric(written: &[u8]) -> Result<Number, String> {
    let text = std::str::from_utf8(written).map_err(|_| illegal(written))?;
    let is_hexadecimal = text.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let looks_float = text.contains(['p', 'P']) || (!is_hexadecimal && text.contains(['.', 'e', 'E']));
    let mut number =
        Number { written: written.to_vec(), int: None, uint: None, float: None, looks_float, complex: None };
    let has_digits = text.contains(|c: char| c.is_ascii_digit());
    if let Some(imaginary) = text.strip_suffix('i').filter(|_| has_digits).and_then(float) {
        return Ok(complex_of(number, (0.0, imaginary)));
    }
    number.uint =
        integer(text).and_then(|(negative, size)| (!negative && !text.starts_with('+')).then_some(size));
    number.int = integer(text).and_then(|(negative, size)| signed(negative, size));
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = float(text) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", crate::fmt::quoted(written)));
        }
        (number.float, number.int, number.uint) = (Some(float), whole(float), whole_unsigned(float));
    } else {
        return Err(illegal(written));
    }
    Ok(number)
}

/// What a number with a real and an imaginary part stands for.
///
/// # Errors
/// `syntax error scanning complex number`, or which part is out of range.
pub(super) fn complex(written: &[u8]) -> Result<Number, String> {
    let no_complex = || "syntax error scanning complex number".to_owned();
    let text = std::str::from_utf8(written).map_err(|_| no_complex())?;
    let (real, imaginary) = text.split_at(decimal_length(text));
    let end = decimal_length(imaginary);
    if !imaginary.starts_with(['+', '-']) || !imaginary[end..].starts_with('i') {
        return Err(no_complex());
    }
    let part = |text: &str| {
        let quoted = crate::fmt::quoted(text.as_bytes());
        let out_of_range = text.parse() == Ok(f64::INFINITY) || text.parse() == Ok(f64::NEG_INFINITY);
        let reason = if out_of_range { "value out of range" } else { "invalid syntax" };
        float(text).ok_or_else(|| format!("strconv.ParseFloat: parsing {quoted}: {reason}"))
    };
    let number = Number {
        written: written.to_vec(),
        int: None,
        uint: None,
        float: None,
        looks_float: false,
        complex: None,
    };
    Ok(complex_of(number, (part(real)?, part(&imaginary[..end])?)))
}

/// How far a sign, digits and an exponent reach; of the prefixes only `0x` is known here.
fn decimal_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let sign = |at: usize| at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
    let run = |at: usize, hexadecimal: bool| {
        let is_digit = |b: &&u8| b.is_ascii_digit() || **b == b'_' || (hexadecimal && b.is_ascii_hexdigit());
        at + bytes[at..].iter().take_while(is_digit).count()
    };
    let start = sign(0);
    let is_hexadecimal = bytes[start..].get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"0x"));
    let mut at = run(start + if is_hexadecimal { 2 } else { 0 }, is_hexadecimal);
    if bytes.get(at) == Some(&b'.') {
        at = run(at + 1, is_hexadecimal);
    }
    match bytes.get(at) {
        Some(b'p' | b'P') => run(sign(at + 1), false),
        Some(b'e' | b'E') if !is_hexadecimal => run(sign(at + 1), false),
        _ => at,
    }
}

/// A complex number; without an imaginary part it goes for the real one too.
fn complex_of(number: Number, (real, imaginary): (f64, f64)) -> Number {
    let number = Number { complex: Some((real, imaginary)), ..number };
    if imaginary != 0.0 {
        return number;
    }
    Number { float: Some(real), int: whole(real), uint: whole_unsigned(real), ..number }
}

fn whole(float: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (float.fract() == 0.0 && (-END..END).contains(&float)).then_some(float as i64)
}

fn whole_unsigned(float: f64) -> Option<u64> {
    const END: f64 = 18_446_744_073_709_551_616.0;
    (float.fract() == 0.0 && (0.0..END).contains(&float)).then_some(float as u64)
}

fn illegal(written: &[u8]) -> String {
    format!("illegal number syntax: {}", crate::fmt::quoted(written))
}

/// Sign and size of an integer with Go's prefixes and underscores.
fn integer(text: &str) -> Option<(bool, u64)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !underscores_part_digits(digits) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    u64::from_str_radix(&digits.replace('_', ""), radix)
        .ok()
        .filter(|_| !digits.starts_with('+'))
        .map(|n| (negative, n))
}

fn signed(negative: bool, size: u64) -> Option<i64> {
    if negative { 0i64.checked_sub_unsigned(size) } else { i64::try_from(size).ok() }
}

/// Underscores may only stand between digits, or after a prefix.
fn underscores_part_digits(number: &str) -> bool {
    let hexadecimal = number.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let prefixed =
        hexadecimal || number.get(..2).is_some_and(|prefix| matches!(prefix, "0b" | "0B" | "0o" | "0O"));
    let is_digit = |b: u8| b.is_ascii_digit() || (hexadecimal && b.is_ascii_hexdigit());
    let digits = &number.as_bytes()[if prefixed { 2 } else { 0 }..];
    digits.iter().enumerate().all(|(at, byte)| {
        let before = at.checked_sub(1).map_or(prefixed, |before| is_digit(digits[before]));
        *byte != b'_' || (before && digits.get(at + 1).is_some_and(|after| is_digit(*after)))
    })
}

/// A decimal or hexadecimal float as Go's `strconv.ParseFloat` reads it; none for what is none, or out of range.
pub fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !underscores_part_digits(body) || body.starts_with(['+', '-']) {
        return None;
    }
    if body.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x")) {
        let size = hexadecimal_float(&body[2..])?;
        return Some(if text.starts_with('-') { -size } else { size });
    }
    let is_named = !body.contains(|c: char| c.is_ascii_digit());
    let float = text.replace('_', "").parse::<f64>().ok()?;
    (float.is_finite() || (is_named && (float.is_infinite() || body == text))).then_some(float)
}

fn hexadecimal_float(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let exponent = exponent.parse::<i32>().ok()? - 4 * i32::try_from(fraction.len()).ok()?;
    Some(digits as f64 * 2f64.powi(exponent)).filter(|float| float.is_finite())
}
