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
                let mut text =
                    format!("U+{:0width$X}", size, width = self.flags.precision.unwrap_or(4).max(4));
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
        let mut digits = match verb {
            'b' => format!("{size:b}"),
            'o' | 'O' => format!("{size:o}"),
            'x' => format!("{size:x}"),
            'X' => format!("{size:X}"),
            _ => size.to_string(),
        };
        let signed = negative || flags.plus || flags.space;
        let wanted = match (flags.precision, flags.width) {
            (Some(0), _) if size == 0 => {
                digits.clear();
                0
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        let mut text = "0".repeat(wanted.saturating_sub(digits.len()));
        text.push_str(&digits);
        let prefix = match verb {
            'b' if flags.sharp => "0b",
            'o' if flags.sharp && !text.starts_with('0') => "0",
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
        // `%#g` keeps the zeros of six digits
        let precision = self.flags.precision.or(self.flags.sharp.then_some(6));
        let mut text = match verb {
            'v' => general(number, precision, self.flags.sharp),
            'g' | 'G' => general(number, precision, self.flags.sharp),
            'e' | 'E' => exponential(number, precision.unwrap_or(6)),
            'f' | 'F' => format!("{number:.*}", precision.unwrap_or(6)),
            _ => return false,
        };
        if matches!(verb, 'E' | 'G') {
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

/// `1.5e+06`: at least two digits of exponent.
fn exponential(number: f64, precision: usize) -> String {
    with_exponent(&format!("{number:.precision$e}"))
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
fn general(number: f64, precision: Option<usize>, sharp: bool) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let scientific = match precision {
        None => format!("{number:e}"),
        Some(precision) => {
            let text = format!("{number:.*e}", precision.max(1) - 1);
            if sharp { text } else { without_trailing_zeros(&text) }
        }
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
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
        return with_exponent(&scientific);
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
