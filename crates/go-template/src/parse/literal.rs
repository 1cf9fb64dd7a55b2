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
        let unit = if width == 1 && !text[0].is_ascii() { Unit::Byte(text[0]) } else { Unit::Char(c) };
        return Some((unit, &text[width..]));
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
/// `malformed character constant: 'xy'`.
pub(super) fn character(written: &[u8]) -> Result<Number, String> {
    let malformed = || format!("malformed character constant: {}", String::from_utf8_lossy(written));
    let inner = written.get(1..written.len() - 1).filter(|inner| !inner.is_empty()).ok_or_else(malformed)?;
    let code = match unescape(inner, b'\'') {
        Some((Unit::Char(c), [])) => u32::from(c),
        Some((Unit::Byte(b), [])) => u32::from(b),
        _ => return Err(malformed()),
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
    let hexadecimal =
        text.trim_start_matches(['+', '-']).get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    let looks_float = text.contains(['.', 'p', 'P']) || (!hexadecimal && text.contains(['e', 'E']));
    let mut number =
        Number { written: written.to_vec(), int: None, uint: None, float: None, looks_float, complex: None };
    if let Some(parts) = text.strip_suffix('i') {
        number.complex = Some(complex(parts).ok_or_else(|| illegal(written))?);
        return Ok(number);
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
        if !looks_float {
            return Err(format!("integer overflow: {}", crate::fmt::quoted(written)));
        }
        number.float = Some(float);
        if float.fract() == 0.0 && float.abs() < 9.2e18 {
            number.int = Some(float as i64);
        }
        if float.fract() == 0.0 && (0.0..1.8e19).contains(&float) {
            number.uint = Some(float as u64);
        }
    } else {
        return Err(illegal(written));
    }
    Ok(number)
}

/// Real and imaginary part of `1+2` or of `2`, the `i` taken off.
fn complex(parts: &str) -> Option<(f64, f64)> {
    let part = |text: &str| numeric(text.as_bytes()).ok()?.float;
    let sign = parts
        .rmatch_indices(['+', '-'])
        .find(|(at, _)| *at > 0 && !parts[..*at].ends_with(['e', 'E', 'p', 'P']));
    match sign {
        Some((at, _)) => Some((part(&parts[..at])?, part(&parts[at..])?)),
        None => Some((0.0, part(parts)?)),
    }
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
    let lower = digits.to_ascii_lowercase();
    let (radix, prefixed, digits) = match lower.get(..2) {
        Some("0x") => (16, true, &lower[2..]),
        Some("0o") => (8, true, &lower[2..]),
        Some("0b") => (2, true, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, true, &lower[1..]),
        _ => (10, false, &lower[..]),
    };
    if !underscores_part_digits(digits, prefixed) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix)
        .ok()
        .filter(|_| !digits.starts_with('+'))
        .map(|n| (negative, n))
}

fn signed(negative: bool, size: u64) -> Option<i64> {
    if negative { 0i64.checked_sub_unsigned(size) } else { i64::try_from(size).ok() }
}

/// Underscores may only stand between digits, or after a prefix.
fn underscores_part_digits(digits: &str, prefixed: bool) -> bool {
    let digits = if prefixed { digits.strip_prefix('_').unwrap_or(digits) } else { digits };
    !(digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") || digits.is_empty())
}

/// A decimal or hexadecimal float.
fn float(text: &str) -> Option<f64> {
    let body = text.trim_start_matches(['+', '-']);
    if body.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x")) {
        let size = hexadecimal_float(&body[2..])?;
        return Some(if text.starts_with('-') { -size } else { size });
    }
    if body.contains('_') && !underscores_part_digits(body, false)
        || !body.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    text.replace('_', "").parse().ok().filter(|float: &f64| float.is_finite())
}

fn hexadecimal_float(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let exponent = exponent.parse::<i32>().ok()? - 4 * i32::try_from(fraction.len()).ok()?;
    Some(digits as f64 * 2f64.powi(exponent)).filter(|float| float.is_finite())
}
