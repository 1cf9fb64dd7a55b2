//! Go's durations: `1h30m`, `1.5s`, `250ms`; signed, in nanoseconds.

use std::time::Duration;

/// Why a text is no Go duration; the words are Go's (`time.ParseDuration`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form number-unit.
    #[error("time: invalid duration \"{0}\"")]
    Invalid(String),
    /// A number without `ns`, `us`, `ms`, `s`, `m` or `h`.
    #[error("time: missing unit in duration \"{0}\"")]
    MissingUnit(String),
    /// A unit Go does not know.
    #[error("time: unknown unit \"{unit}\" in duration \"{text}\"")]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Reads a Go duration into nanoseconds: `"1m30s"` is 90,000,000,000.
///
/// Errors as Go's `time.ParseDuration`: a bare number other than `0` lacks its unit, 292 years are the most.
pub fn parse_nanos(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale: u128 = match unit {
            "" => return Err(DurationError::MissingUnit(text.to_owned())),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            }
        };
        if whole.len() > 19 {
            return Err(invalid());
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total += whole * scale;
        // Digits beyond 18 are below a nanosecond for every unit.
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let digits: u128 = fraction.parse().map_err(|_| invalid())?;
            total += digits * scale / 10u128.pow(fraction.len() as u32);
        }
        if total > i64::MAX as u128 {
            return Err(invalid());
        }
        rest = next;
    }
    Ok(if negative { -(total as i64) } else { total as i64 })
}

/// Reads a Go duration that must not be negative.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    match u64::try_from(parse_nanos(text)?) {
        Ok(nanos) => Ok(Duration::from_nanos(nanos)),
        Err(_) => Err(DurationError::Invalid(text.to_owned())),
    }
}

/// Writes a duration as Go prints it: `10s`, `1m30s`, `1.5s`, `250ms`, `0s`.
pub fn format_nanos(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    let body = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(n, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(n, 1_000_000)),
        _ => {
            let seconds = decimal(n % 60_000_000_000, 1_000_000_000);
            match n / 60_000_000_000 {
                0 => format!("{seconds}s"),
                minutes @ 1..60 => format!("{minutes}m{seconds}s"),
                minutes => format!("{}h{}m{seconds}s", minutes / 60, minutes % 60),
            }
        }
    };
    format!("{sign}{body}")
}

/// Writes a [`Duration`] as Go prints it; above 292 years it stays there.
pub fn format(duration: Duration) -> String {
    format_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

fn decimal(n: u64, unit: u64) -> String {
    let (whole, fraction) = (n / unit, n % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("10s", 10_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("-1m", -60_000_000_000),
            ("15000ms", 15_000_000_000),
            ("170880h", 170_880 * 3_600_000_000_000),
            ("1µs", 1_000),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn refuses_with_gos_words() {
        let said = |text| parse_nanos(text).unwrap_err().to_string();
        assert_eq!(said("60"), "time: missing unit in duration \"60\"");
        assert_eq!(said(""), "time: invalid duration \"\"");
        assert_eq!(said("x"), "time: invalid duration \"x\"");
        assert_eq!(said("1e0s"), "time: unknown unit \"e\" in duration \"1e0s\"");
        assert_eq!(said("99999999999h"), "time: invalid duration \"99999999999h\"");
    }

    #[test]
    fn prints_as_go_prints() {
        for text in ["0s", "10s", "1m30s", "1h0m0s", "1.5s", "250ms", "1.5µs", "7ns", "-2s", "170880h0m0s"] {
            assert_eq!(format_nanos(parse_nanos(text).unwrap()), text);
        }
    }
}
