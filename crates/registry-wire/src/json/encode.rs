//! JSON as Go's encoder writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped, whole floats without a fraction.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The JSON of a value, compact.
///
/// Panics if the value cannot be JSON (a map whose keys are no texts): our own types always can.
pub fn to_vec(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Go)).expect("our types have text keys");
    bytes
}

/// Compact JSON with line breaks and this indentation: `[1]` becomes `[\n    1\n]`; `{}` and `[]` stay. What is no JSON
/// comes out as some text.
pub fn indent(json: &[u8], step: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth: usize = 0;
    let mut text = Text::default();
    for (at, &byte) in json.iter().enumerate() {
        if text.holds(byte) {
            out.push(byte);
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if !matches!(json.get(at + 1), Some(b'}' | b']')) {
                    depth += 1;
                    new_line(&mut out, step, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(json[..at].last(), Some(b'{' | b'[')) {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, step, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, step, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
    }
    out
}

fn new_line(out: &mut Vec<u8>, step: &str, depth: usize) {
    out.push(b'\n');
    (0..depth).for_each(|_| out.extend_from_slice(step.as_bytes()));
}

/// Whether the bytes seen so far are inside a JSON text.
#[derive(Default)]
struct Text {
    inside: bool,
    escaped: bool,
}

impl Text {
    /// Takes the next byte and says whether it belongs to a text, its quotes included.
    fn holds(&mut self, byte: u8) -> bool {
        if !self.inside {
            self.inside = byte == b'"';
            return self.inside;
        }
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.inside = false;
        }
        true
    }
}

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        let mut from = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            let (escape, length): (&[u8], usize) = match byte {
                b'<' => (b"\\u003c", 1),
                b'>' => (b"\\u003e", 1),
                b'&' => (b"\\u0026", 1),
                0xe2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => (b"\\u2028", 3),
                0xe2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => (b"\\u2029", 3),
                _ => continue,
            };
            writer.write_all(&bytes[from..at])?;
            writer.write_all(escape)?;
            from = at + length;
        }
        writer.write_all(&bytes[from..])
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{value:e}");
            let (digits, exponent) = text.split_once('e').expect("the form of :e");
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            return write!(writer, "{digits}e{sign}{exponent}");
        }
        write!(writer, "{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Serialize) -> String {
        String::from_utf8(to_vec(&value)).unwrap()
    }

    #[test]
    fn what_closes_without_having_opened_is_some_text() {
        assert_eq!(indent(b"]%", "  "), b"\n]%");
    }

    #[test]
    fn escapes_as_go() {
        for (text, json) in [
            ("a<b>&c", r#""a\u003cb\u003e\u0026c""#),
            ("q\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}", "\"q\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\u{7f}\""),
            ("\u{2028}x\u{2029}é✓\u{2027}", "\"\\u2028x\\u2029é✓\u{2027}\""),
        ] {
            assert_eq!(written(text), json);
        }
    }

    #[test]
    fn writes_floats_as_go() {
        for (value, text) in
            [(1.0, "1"), (0.5, "0.5"), (1e21, "1e+21"), (1e-7, "1e-7"), (0.0, "0"), (123456.0, "123456")]
        {
            assert_eq!(written(value), text);
        }
    }

    #[test]
    fn indents() {
        let shown = |json: &str| String::from_utf8(indent(json.as_bytes(), "    ")).unwrap();
        assert_eq!(shown("[]"), "[]");
        assert_eq!(
            shown(r#"{"a":[1,{}],"b":"x,[\"{:"}"#),
            "{\n    \"a\": [\n        1,\n        {}\n    ],\n    \"b\": \"x,[\\\"{:\"\n}"
        );
    }
}
