//! Go's layouts: how a time is written, by the example of `Mon Jan 2 15:04:05 MST 2006`.

use std::fmt::Display;

use chrono::{DateTime, Datelike as _, Offset as _, TimeZone, Timelike as _};

/// A part of a layout.
enum Part {
    /// What `chrono` makes of this format.
    Format(&'static str),
    /// The day of the year, blanks before it.
    DayOfYear,
    /// The time zone: `Z` for that of Greenwich where the flag says so, else by digits, with `:` between hours and minutes.
    Zone { is_z: bool, format: Zone },
    /// The zone's name.
    ZoneName,
    /// So many digits of the second's fraction behind this character; with the flag without noughts at the end.
    Fraction { separator: u8, digits: usize, is_short: bool },
}

/// How a zone's offset is written.
#[derive(Clone, Copy)]
enum Zone {
    Hours,
    Minutes,
    Colon,
    Seconds,
    SecondsColon,
}

/// What stands in a layout for a part, the longest first where one begins with another. `Jan` and `Mon` stand for names only where
/// no small letter follows.
const WORDS: &[(&str, Part)] = &[
    ("January", Part::Format("%B")),
    ("Jan", Part::Format("%b")),
    ("Monday", Part::Format("%A")),
    ("Mon", Part::Format("%a")),
    ("MST", Part::ZoneName),
    ("002", Part::Format("%j")),
    ("01", Part::Format("%m")),
    ("02", Part::Format("%d")),
    ("03", Part::Format("%I")),
    ("04", Part::Format("%M")),
    ("05", Part::Format("%S")),
    ("06", Part::Format("%y")),
    ("15", Part::Format("%H")),
    ("1", Part::Format("%-m")),
    ("2006", Part::Format("%Y")),
    ("2", Part::Format("%-d")),
    ("_2006", Part::Format("_%Y")),
    ("__2", Part::DayOfYear),
    ("_2", Part::Format("%e")),
    ("3", Part::Format("%-I")),
    ("4", Part::Format("%-M")),
    ("5", Part::Format("%-S")),
    ("PM", Part::Format("%p")),
    ("pm", Part::Format("%P")),
    ("-070000", Part::Zone { is_z: false, format: Zone::Seconds }),
    ("-07:00:00", Part::Zone { is_z: false, format: Zone::SecondsColon }),
    ("-0700", Part::Zone { is_z: false, format: Zone::Minutes }),
    ("-07:00", Part::Zone { is_z: false, format: Zone::Colon }),
    ("-07", Part::Zone { is_z: false, format: Zone::Hours }),
    ("Z070000", Part::Zone { is_z: true, format: Zone::Seconds }),
    ("Z07:00:00", Part::Zone { is_z: true, format: Zone::SecondsColon }),
    ("Z0700", Part::Zone { is_z: true, format: Zone::Minutes }),
    ("Z07:00", Part::Zone { is_z: true, format: Zone::Colon }),
    ("Z07", Part::Zone { is_z: true, format: Zone::Hours }),
];

/// A time in a layout; what stands for nothing stays.
pub(super) fn in_layout<Z: TimeZone>(time: &DateTime<Z>, layout: &[u8]) -> Vec<u8>
where
    Z::Offset: Display,
{
    let mut out = Vec::with_capacity(layout.len());
    let mut rest = layout;
    while let Some(first) = rest.first() {
        let word = WORDS.iter().find(|(word, _)| stands_for_part(word.as_bytes(), rest));
        if let Some((word, part)) = word {
            out.extend(written(time, part).into_bytes());
            rest = &rest[word.len()..];
        } else if let Some((part, length)) = fraction(rest) {
            out.extend(written(time, &part).into_bytes());
            rest = &rest[length..];
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

fn stands_for_part(word: &[u8], text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(word) else { return false };
    !(matches!(word, b"Jan" | b"Mon") && rest.first().is_some_and(u8::is_ascii_lowercase))
}

/// `.000` or `,999`, when no digit follows.
fn fraction(text: &[u8]) -> Option<(Part, usize)> {
    let [separator @ (b'.' | b','), digit @ (b'0' | b'9'), ..] = text else { return None };
    let digits = text[1..].iter().take_while(|byte| *byte == digit).count();
    if text.get(1 + digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some((Part::Fraction { separator: *separator, digits, is_short: *digit == b'9' }, 1 + digits))
}

fn written<Z: TimeZone>(time: &DateTime<Z>, part: &Part) -> String
where
    Z::Offset: Display,
{
    let offset = time.offset().fix().local_minus_utc();
    match *part {
        Part::Format(format) => time.format(format).to_string(),
        Part::DayOfYear => format!("{:3}", time.ordinal()),
        Part::ZoneName if offset == 0 => "UTC".to_owned(),
        Part::ZoneName => zone(offset, Zone::Minutes),
        Part::Zone { is_z: true, .. } if offset == 0 => "Z".to_owned(),
        Part::Zone { format, .. } => zone(offset, format),
        Part::Fraction { separator, digits, is_short } => {
            let mut text = format!("{:09}", time.nanosecond() % 1_000_000_000);
            // More than nine digits are noughts.
            text.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
            text.truncate(digits);
            let text = if is_short { text.trim_end_matches('0') } else { &text };
            if text.is_empty() { String::new() } else { format!("{}{text}", char::from(separator)) }
        }
    }
}

fn zone(offset: i32, format: Zone) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let size = offset.unsigned_abs();
    let (hours, minutes, seconds) = (size / 3600, size / 60 % 60, size % 60);
    match format {
        Zone::Hours => format!("{sign}{hours:02}"),
        Zone::Minutes => format!("{sign}{hours:02}{minutes:02}"),
        Zone::Colon => format!("{sign}{hours:02}:{minutes:02}"),
        Zone::Seconds => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
        Zone::SecondsColon => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::in_layout;

    #[test]
    fn layouts() {
        let time = DateTime::parse_from_rfc3339("2026-03-07T09:05:01.25+02:00").unwrap();
        for (layout, expected) in [
            ("Mon Jan _2 15:04:05 MST 2006", "Sat Mar  7 09:05:01 +0200 2026"),
            ("2006-01-02T15:04:05Z07:00", "2026-03-07T09:05:01+02:00"),
            ("2026-03-07T09:05:01Z", "7076-09+02T09:01:03Z"),
            ("3:4:5PM .000 .999 .99x ,9", "9:5:1AM .250 .25 .25x ,2"),
            ("January Monday Janet 002 __2 06", "March Saturday Janet 066  66 26"),
            ("10.9.9.9", "30.2.2.2"),
            ("_2006 -07 -07:00:00 Z0700 pm", "_2026 +02 +02:00:00 +0200 am"),
            ("größe", "größe"),
        ] {
            assert_eq!(String::from_utf8_lossy(&in_layout(&time, layout.as_bytes())), expected, "{layout}");
        }
        assert_eq!(in_layout(&time, b"\xff2"), b"\xff7");
    }
}
