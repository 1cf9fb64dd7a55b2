//! JSON text to [`Json`], with the words of Go's decoder for what is none.

use std::str::FromStr;

use serde_json::Number;

use super::{DecodeError, Json};
use crate::percent::lossy;

/// How deep values may be nested; more is nothing but an attack on the stack.
const DEPTH_MAX: usize = 128;

const BEGIN: &str = "looking for beginning of value";
const KEY: &str = "looking for beginning of object key string";

/// The value at the start of a body; what follows it is not looked at.
pub(super) fn parse(body: &[u8]) -> Result<Json, DecodeError> {
    let mut parser = Parser { body, at: 0, depth: 0 };
    match parser.peek() {
        None => Err(DecodeError::Empty),
        Some(_) => parser.value(),
    }
}

struct Parser<'a> {
    body: &'a [u8],
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, DecodeError>;

impl Parser<'_> {
    fn value(&mut self) -> Parsed<Json> {
        match self.next_significant()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.text().map(Json::Text),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'n' => self.literal("null", Json::Null),
            first @ (b'-' | b'0'..=b'9') => self.number(first),
            other => Err(invalid(other, BEGIN)),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Parsed<Json>) -> Parsed<Json> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(DecodeError::Syntax("exceeded max depth".to_owned()));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Parsed<Json> {
        let mut fields = Vec::new();
        loop {
            match self.next_significant()? {
                b'"' => {}
                b'}' if fields.is_empty() => break,
                other => return Err(invalid(other, KEY)),
            }
            let name = self.text()?;
            match self.next_significant()? {
                b':' => {}
                other => return Err(invalid(other, "after object key")),
            }
            fields.push((name, self.value()?));
            match self.next_significant()? {
                b',' => {}
                b'}' => break,
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
        Ok(Json::Object(fields))
    }

    fn list(&mut self) -> Parsed<Json> {
        let mut list = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(list));
        }
        loop {
            list.push(self.value()?);
            match self.next_significant()? {
                b',' => {}
                b']' => return Ok(Json::List(list)),
                other => return Err(invalid(other, "after array element")),
            }
        }
    }

    /// What follows an opening quote.
    fn text(&mut self) -> Parsed<String> {
        let mut bytes = Vec::new();
        loop {
            let plain = self.body[self.at..].iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
            let end = plain.map_or(self.body.len(), |length| self.at + length);
            bytes.extend_from_slice(&self.body[self.at..end]);
            self.at = end;
            match self.next()? {
                b'"' => return Ok(String::from_utf8(bytes).unwrap_or_else(|e| lossy(e.as_bytes()))),
                b'\\' => self.escape(&mut bytes)?,
                other => return Err(invalid(other, "in string literal")),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        let byte = match self.next()? {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            same @ (b'"' | b'\\' | b'/') => same,
            b'u' => {
                let c = self.unicode()?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            other => return Err(invalid(other, "in string escape code")),
        };
        bytes.push(byte);
        Ok(())
    }

    /// The character of `\uXXXX`, or of a pair of them; half a pair is U+FFFD.
    fn unicode(&mut self) -> Parsed<char> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.body[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let both = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Parsed<u32> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = self.next()?;
            let digit = char::from(byte).to_digit(16);
            number =
                number * 16 + digit.ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
        }
        Ok(number)
    }

    fn literal(&mut self, word: &str, value: Json) -> Parsed<Json> {
        for wanted in word.bytes().skip(1) {
            let found = self.next()?;
            if found != wanted {
                return Err(invalid(found, &format!("in literal {word} (expecting {})", quoted(wanted))));
            }
        }
        Ok(value)
    }

    fn number(&mut self, first: u8) -> Parsed<Json> {
        let start = self.at - 1;
        let lead = if first == b'-' { self.next()? } else { first };
        match lead {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            other => return Err(invalid(other, "in numeric literal")),
        }
        if self.next_is(|b| b == b'.') {
            self.digit("after decimal point in numeric literal")?;
        }
        if self.next_is(|b| matches!(b, b'e' | b'E')) {
            self.next_is(|b| matches!(b, b'+' | b'-'));
            self.digit("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.body[start..self.at]).expect("only digits and signs were taken");
        // Too large for any number of ours: as large as can be, which no whole number takes.
        let number = Number::from_str(text).ok().or_else(|| Number::from_f64(f64::MAX));
        Ok(Json::Number(number.expect("a finite number")))
    }

    /// One digit that has to be there, and all that follow.
    fn digit(&mut self, context: &str) -> Parsed<()> {
        let byte = self.next()?;
        if !byte.is_ascii_digit() {
            return Err(invalid(byte, context));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.next_is(|b| b.is_ascii_digit()) {}
    }

    /// Takes the next byte if it fits.
    fn next_is(&mut self, fits: impl Fn(u8) -> bool) -> bool {
        let taken = self.body.get(self.at).is_some_and(|b| fits(*b));
        self.at += usize::from(taken);
        taken
    }

    fn next(&mut self) -> Parsed<u8> {
        let byte = self.body.get(self.at).copied().ok_or(DecodeError::Cut)?;
        self.at += 1;
        Ok(byte)
    }

    fn next_significant(&mut self) -> Parsed<u8> {
        self.peek();
        self.next()
    }

    /// The next byte that is no space, not taken.
    fn peek(&mut self) -> Option<u8> {
        while self.next_is(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {}
        self.body.get(self.at).copied()
    }
}

fn invalid(byte: u8, context: &str) -> DecodeError {
    DecodeError::Syntax(format!("invalid character {} {context}", quoted(byte)))
}

/// A byte in single quotes, as Go shows it: `'x'`, `'\''`, `'"'`, `'\n'`, `'\x00'`.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        7 => "'\\a'".to_owned(),
        8 => "'\\b'".to_owned(),
        9 => "'\\t'".to_owned(),
        10 => "'\\n'".to_owned(),
        11 => "'\\v'".to_owned(),
        12 => "'\\f'".to_owned(),
        13 => "'\\r'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{:04x}'", u32::from(byte)),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn says_what_go_says() {
        for (text, error) in [
            ("", "EOF"),
            (" \n", "EOF"),
            ("{", "unexpected EOF"),
            ("nul", "unexpected EOF"),
            ("-", "unexpected EOF"),
            ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
            ("{,}", "invalid character ',' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[01]", "invalid character '1' after array element"),
            (r#"{"a" 5}"#, "invalid character '5' after object key"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a":tru}"#, "invalid character '}' in literal true (expecting 'e')"),
            (r#"{"a":.5}"#, "invalid character '.' looking for beginning of value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"a\\q\"", "invalid character 'q' in string escape code"),
            ("\"\\u12x4\"", "invalid character 'x' in \\u hexadecimal character escape"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\0", "invalid character '\\x00' looking for beginning of value"),
            ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
        ] {
            assert_eq!(said(text), error, "{text}");
        }
        assert_eq!(said(&"[".repeat(200)), "exceeded max depth");
    }

    #[test]
    fn reads_what_go_reads() {
        let read = |text: &str| parse(text.as_bytes()).unwrap();
        assert_eq!(read("01"), Json::Number(0.into()));
        assert_eq!(read("{}x"), Json::Object(vec![]));
        assert_eq!(read(r#""\ud83d\ude00\ud83dx\ude00\u00fc""#), Json::Text("😀\u{fffd}x\u{fffd}ü".into()));
        assert_eq!(parse(b"\"a\xff\""), Ok(Json::Text("a\u{fffd}".into())));
        assert_eq!(
            read("[-1.5e3,null]"),
            Json::List(vec![Json::Number(Number::from_f64(-1500.0).unwrap()), Json::Null])
        );
        assert!(matches!(read("1e999"), Json::Number(_)));
    }
}
