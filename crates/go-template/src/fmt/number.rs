//! Integers and floats under their verbs.

use super::{Printer, quote};

impl Printer {
    /// Adds an integer; false if the verb is not one for integers.
    pub(super) fn integer(&mut self, negative: bool, size: u64, go_hex: bool, verb: char) -> bool {
        let character = || u32::try_from(size).ok().and_then(char::from_u32).filter(|_| !negative);
        match verb {
            'v' if go_hex => {
                self.flags.sharp = true;
                self.digits(negative, size, 'x');
                self.flags.sharp = false;
            }
            'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' => self.digits(negative, size, verb),
            'c' => {
                let c = character().unwrap_or(char::REPLACEMENT_CHARACTER);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            'q' => {
                let c = character().unwrap_or(char::REPLACEMENT_CHARACTER);
                let text = quote::quoted_char(c, self.flags.plus);
                self.pad(text.as_bytes());
            }
            'U' => {
                let bits = if negative { size.wrapping_neg() } else { size };
                let digits = format!("{bits:X}");
                let missing = self.flags.precision.unwrap_or(4).max(4).saturating_sub(digits.len());
                let mut text = format!("U+{}{digits}", "0".repeat(missing));
                if let Some(c) = character().filter(|c| self.flags.sharp && quote::is_printable(*c)) {
                    text.push_str(&format!(" '{c}'"));
                }
                let zero = std::mem::replace(&mut self.flags.zero, false);
                self.pad(text.as_bytes());
                self.flags.zero = zero;
            }
            _ => return false,
        }
        true
    }

    fn digits(&mut self, negative: bool, size: u64, verb: char) {
        let flags = self.flags;
        if flags.precision == Some(0) && size == 0 {
            self.flags.zero = false;
            self.pad(b"");
            self.flags.zero = flags.zero;
            return;
        }
        let digits = match verb {
            'b' => format!("{size:b}"),
            'o' | 'O' => format!("{size:o}"),
            'x' => format!("{size:x}"),
            'X' => format!("{size:X}"),
            _ => size.to_string(),
        };
        let signed = negative || flags.plus || flags.space;
        let wanted = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        let mut text = "0".repeat(wanted.saturating_sub(digits.len()));
        text.push_str(&digits);
        let prefix = match verb {
            'b' if flags.sharp => "0b",
            'o' if flags.sharp && !text.starts_with('0') => "0",
            'O' if flags.sharp && !text.starts_with('0') => "0o0",
            'O' => "0o",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        let sign = if negative {
            "-"
        } else if flags.plus {
            "+"
        } else if flags.space {
            " "
        } else {
            ""
        };
        self.flags.zero = false;
        self.pad(format!("{sign}{prefix}{text}").as_bytes());
        self.flags.zero = flags.zero;
    }

    /// Adds a float; false if the verb is not one for floats.
    pub(super) fn float(&mut self, number: f64, verb: char) -> bool {
        let precision = self.flags.precision;
        let mut text = match verb {
            'v' | 'g' | 'G' => general(number, precision),
            'e' | 'E' => exponential(number, precision.unwrap_or(6)),
            'f' | 'F' => fixed(number, precision.unwrap_or(6)),
            'x' | 'X' => hexadecimal(number, precision),
            'b' => binary_exponent(number),
            _ => return false,
        };
        if self.flags.sharp && verb != 'b' && number.is_finite() {
            let digits = if matches!(verb, 'v' | 'g' | 'G' | 'x') { precision.unwrap_or(6) } else { 0 };
            text = with_zeros(&text, digits);
        }
        if matches!(verb, 'E' | 'G' | 'X') {
            text = text.to_uppercase();
        }
        let flags = self.flags;
        if !number.is_finite() {
            text = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Inf"
            } else {
                "-Inf"
            }
            .to_owned();
            self.flags.zero = false;
        }
        let digits = text.trim_start_matches('-').to_owned();
        let sign = if text.starts_with('-') {
            "-"
        } else if flags.plus || number == f64::INFINITY && matches!(verb, 'v' | 'g' | 'e' | 'f') {
            "+"
        } else if flags.space {
            " "
        } else {
            ""
        };
        if self.flags.zero && !flags.minus {
            let width = flags.width.unwrap_or(0).saturating_sub(sign.len());
            let zeros = "0".repeat(width.saturating_sub(digits.len()));
            self.out.extend_from_slice(format!("{sign}{zeros}{digits}").as_bytes());
        } else {
            self.pad(format!("{sign}{digits}").as_bytes());
        }
        self.flags.zero = flags.zero;
        true
    }
}

/// `%#g`: a point in any case, and zeros up to so many digits, counted from the first that is none.
fn with_zeros(text: &str, digits: usize) -> String {
    let hexadecimal = text.trim_start_matches('-').starts_with("0x");
    let at = text.find(|c| c == 'p' || (c == 'e' && !hexadecimal)).unwrap_or(text.len());
    let (number, exponent) = text.split_at(at);
    // The `x` counts as a digit, as in Go.
    let significant = number.trim_start_matches(['-', '0', '.']);
    let mut counted = significant.chars().filter(|c| *c != '.').count();
    let mut out = number.to_owned();
    if !number.contains('.') {
        counted += usize::from(number.trim_start_matches('-') == "0");
        out.push('.');
    }
    out.push_str(&"0".repeat(digits.saturating_sub(counted)));
    out + exponent
}

/// A float's sign, and its size as a whole number times a power of two.
fn parts(number: f64) -> (&'static str, u64, i32) {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = number.to_bits();
    let biased = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let sign = if number.is_sign_negative() { "-" } else { "" };
    match biased {
        0 => (sign, bits & FRACTION, 1 - 1075),
        _ => (sign, (bits & FRACTION) | (1 << 52), biased - 1075),
    }
}

/// `5629499534213120p-51`: `%b`.
fn binary_exponent(number: f64) -> String {
    let (sign, size, exponent) = parts(number);
    format!("{sign}{size}p{exponent:+}")
}

/// `0x1.4p+01`: `%x`, with as many digits as it takes or as the precision says.
fn hexadecimal(number: f64, precision: Option<usize>) -> String {
    let (sign, mut size, mut exponent) = parts(number);
    exponent += 52;
    if size == 0 {
        exponent = 0;
    } else {
        // The leading digit is a one, also of the smallest numbers.
        let missing = size.leading_zeros() - 11;
        size <<= missing;
        exponent -= i32::try_from(missing).unwrap_or(0);
    }
    let mut digits = precision.unwrap_or(13);
    if digits < 13 {
        let dropped = 4 * (13 - digits);
        let (half, rest) = (1u64 << (dropped - 1), size & ((1 << dropped) - 1));
        let odd = (size >> dropped) & 1 == 1;
        size = (size >> dropped) + u64::from(rest > half || (rest == half && odd));
        if size >> (4 * digits) == 2 {
            size >>= 1;
            exponent += 1;
        }
        size <<= dropped;
    }
    let mut fraction = format!("{:013x}", size & ((1 << 52) - 1));
    if precision.is_none() {
        digits = fraction.trim_end_matches('0').len();
    }
    fraction.truncate(digits.min(13));
    fraction.push_str(&"0".repeat(digits.saturating_sub(13)));
    let point = if fraction.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}0x{}{point}{fraction}p{direction}{:02}", size >> 52, exponent.unsigned_abs())
}

/// `1.5e+06`: at least two digits of exponent.
fn exponential(number: f64, precision: usize) -> String {
    with_exponent(&scientific(number, precision))
}

/// More places than any float has: all that follow are noughts, and Rust would not write so many.
const PLACES_MAX: usize = 1_100;

/// A float with so many places.
fn fixed(number: f64, places: usize) -> String {
    let text = format!("{number:.*}", places.min(PLACES_MAX));
    if number.is_finite() { text + &"0".repeat(places.saturating_sub(PLACES_MAX)) } else { text }
}

/// `1.5e6`, with so many places.
fn scientific(number: f64, places: usize) -> String {
    let text = format!("{number:.*e}", places.min(PLACES_MAX));
    match text.split_once('e') {
        Some((digits, exponent)) if places > PLACES_MAX => {
            format!("{digits}{}e{exponent}", "0".repeat(places - PLACES_MAX))
        }
        _ => text,
    }
}

fn with_exponent(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The shortest text that reads back the same, or so many significant digits; with an exponent when it is small or large.
fn general(number: f64, precision: Option<usize>) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let shortest = match precision {
        None => format!("{number:e}"),
        Some(precision) => without_trailing_zeros(&scientific(number, precision.clamp(1, PLACES_MAX) - 1)),
    };
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits = i64::try_from(mantissa.chars().filter(char::is_ascii_digit).count()).unwrap_or(i64::MAX);
    let limit = match precision {
        // six by default, where the digits are as many as it takes
        None => 6,
        Some(precision) => {
            let limit = i64::try_from(precision.max(1)).unwrap_or(i64::MAX);
            if limit > digits && digits > exponent { digits } else { limit }
        }
    };
    if exponent < -4 || exponent >= limit {
        return with_exponent(&shortest);
    }
    let places = usize::try_from((digits - 1 - exponent).max(0)).unwrap_or(0);
    format!("{number:.places$}")
}

fn without_trailing_zeros(scientific: &str) -> String {
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => scientific.to_owned(),
    }
}
