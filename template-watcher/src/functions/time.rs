//! Points in time, as the registry's certificates and peers have them: Go's `time.Time`.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, FixedOffset, SecondsFormat, Timelike as _, Utc};
use go_template::{Object, Signature, StructType, Type, Value};

use super::{bytes, layout::in_layout};

/// A time, held by value.
pub(super) const TIME: Type = Type::Object(BY_VALUE);
/// A pointer to a time.
pub(super) const TIME_POINTER: Type = Type::Pointer(&NOWHERE);

const BY_VALUE: &str = "time.Time";

/// What a nil pointer to a time points at.
static NOWHERE: StructType = StructType { name: BY_VALUE, fields: &[] };

/// A point in time.
struct Time {
    at: DateTime<FixedOffset>,
    is_pointer: bool,
}

/// The value of a type that stands in a text of RFC 3339; its zero value when there is none. `None` for another type.
pub(super) fn of_text(ty: Type, text: Option<&str>) -> Option<Value> {
    let at = text.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let time = |at, is_pointer| Value::Object(Arc::new(Time { at, is_pointer }));
    if ty == TIME_POINTER {
        return Some(at.map_or(Value::zero(ty), |at| time(at, true)));
    }
    let zero = || DateTime::parse_from_rfc3339("0001-01-01T00:00:00Z").ok();
    if ty == TIME { at.or_else(zero).map(|at| time(at, false)) } else { None }
}

impl Time {
    fn is_utc(&self) -> bool {
        self.at.offset().local_minus_utc() == 0
    }

    fn rfc3339(&self) -> String {
        let whole = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let place = whole.rfind(['Z', '+', '-']).unwrap_or(whole.len());
        format!("{}{}{}", &whole[..place], self.fraction(), &whole[place..])
    }

    /// The part of the second, without the noughts at its end.
    fn fraction(&self) -> String {
        match self.at.nanosecond() {
            0 => String::new(),
            nanoseconds => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
        }
    }
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        if self.is_pointer { "*time.Time" } else { BY_VALUE }
    }

    fn method(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano" => Signature::new(&[], Type::INT64),
            "Year" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay" => {
                Signature::new(&[], Type::INT)
            }
            "Month" | "Weekday" | "String" => Signature::new(&[], Type::Str),
            "Format" => Signature::new(&[Type::Str], Type::Str),
            "IsZero" => Signature::new(&[], Type::Bool),
            "UTC" => Signature::new(&[], TIME),
            _ => return None,
        })
    }

    fn call(&self, name: &str, args: Vec<Value>) -> Result<Value, String> {
        let at = &self.at;
        Ok(match name {
            "Unix" => Value::int64(at.timestamp()),
            "UnixMilli" => Value::int64(at.timestamp_millis()),
            "UnixMicro" => Value::int64(at.timestamp_micros()),
            "UnixNano" => Value::int64(at.timestamp_nanos_opt().unwrap_or(0)),
            "Year" => Value::int(at.year().into()),
            "Day" => Value::int(at.day().into()),
            "Hour" => Value::int(at.hour().into()),
            "Minute" => Value::int(at.minute().into()),
            "Second" => Value::int(at.second().into()),
            "Nanosecond" => Value::int(at.nanosecond().into()),
            "YearDay" => Value::int(at.ordinal().into()),
            "Month" => Value::from(at.format("%B").to_string()),
            "Weekday" => Value::from(at.format("%A").to_string()),
            "Format" => Value::from(in_layout(at, args.first().map(bytes).unwrap_or_default())),
            "IsZero" => Value::Bool(at.timestamp() == -62_135_596_800 && at.nanosecond() == 0),
            "UTC" => Value::Object(Arc::new(Time { at: at.with_timezone(&Utc).into(), is_pointer: false })),
            _ => Value::from(self.text().unwrap_or_default()),
        })
    }

    fn text(&self) -> Option<String> {
        let zone = if self.is_utc() { "UTC".to_owned() } else { self.at.format("%z").to_string() };
        let (seconds, offset) = (self.at.format("%Y-%m-%d %H:%M:%S"), self.at.format("%z"));
        Some(format!("{seconds}{} {offset} {zone}", self.fraction()))
    }

    fn syntax(&self) -> Option<String> {
        let at = &self.at;
        let zone = if self.is_utc() { "time.UTC" } else { "time.Location(\"\")" };
        let (day, month) = (at.format("%Y"), at.format("time.%B, %-d, %-H, %-M, %-S"));
        Some(format!("time.Date({day}, {month}, {}, {zone})", at.nanosecond()))
    }

    fn on_the_wire(&self) -> Option<String> {
        Some(self.rfc3339())
    }
}
