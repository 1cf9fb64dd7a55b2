//! The methods of durations.

use crate::types::{IntKind, Signature, Type};
use crate::value::Value;

const DURATION: Type = Type::Int(IntKind::Duration);

/// What a duration's method takes and gives. Those of Consul's own durations are its pointer's.
pub(super) fn signature(kind: IntKind, addressable: bool, name: &str) -> Option<Signature> {
    match kind {
        IntKind::Int | IntKind::Int64 => None,
        IntKind::ReadableDuration => match name {
            "String" if addressable => Some(Signature::new(&[], Type::Str)),
            "Duration" if addressable => Some(Signature::new(&[], DURATION)),
            _ => None,
        },
        IntKind::Duration => match name {
            "Hours" | "Minutes" | "Seconds" => Some(Signature::new(&[], Type::Float)),
            "Milliseconds" | "Microseconds" | "Nanoseconds" => Some(Signature::new(&[], Type::INT64)),
            "String" => Some(Signature::new(&[], Type::Str)),
            "Abs" => Some(Signature::new(&[], DURATION)),
            "Round" | "Truncate" => Some(Signature::new(&[DURATION], DURATION)),
            _ => None,
        },
    }
}

/// Calls a method that has a signature, with an argument that fits it.
pub(super) fn call(nanoseconds: i64, name: &str, argument: Option<&Value>) -> Value {
    let unit = match argument {
        Some(Value::Int(unit, _)) => *unit,
        _ => 0,
    };
    match name {
        "Hours" => float(nanoseconds, 3_600_000_000_000),
        "Minutes" => float(nanoseconds, 60_000_000_000),
        "Seconds" => float(nanoseconds, 1_000_000_000),
        "Milliseconds" => Value::int64(nanoseconds / 1_000_000),
        "Microseconds" => Value::int64(nanoseconds / 1_000),
        "Nanoseconds" => Value::int64(nanoseconds),
        "String" => Value::from(crate::fmt::duration(nanoseconds)),
        "Abs" => duration(nanoseconds.saturating_abs()),
        "Round" if unit > 0 => duration(rounded(nanoseconds, unit)),
        "Truncate" if unit > 0 => duration(nanoseconds - nanoseconds % unit),
        _ => duration(nanoseconds),
    }
}

fn duration(nanoseconds: i64) -> Value {
    Value::Int(nanoseconds, IntKind::Duration)
}

/// So many of a unit: the whole ones and the rest added up, which rounds as Go does.
fn float(nanoseconds: i64, unit: i64) -> Value {
    Value::Float((nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / unit as f64)
}

/// The nearest multiple, halves away from nought.
fn rounded(nanoseconds: i64, unit: i64) -> i64 {
    let rest = nanoseconds % unit;
    let down = nanoseconds - rest;
    match rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs() {
        true => down.saturating_add(if nanoseconds < 0 { -unit } else { unit }),
        false => down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        let shown =
            |name: &str, unit: i64| format!("{:?}", call(5_400_500_000_000, name, Some(&Value::int(unit))));
        assert_eq!(shown("Minutes", 0), "90.00833333333334");
        assert_eq!(shown("Truncate", 60_000_000_000), "5400000000000");
        assert_eq!(rounded(-90, 60), -120);
        assert_eq!(rounded(89, 60), 60);
        assert_eq!(rounded(i64::MAX, 7), i64::MAX / 7 * 7);
    }
}
