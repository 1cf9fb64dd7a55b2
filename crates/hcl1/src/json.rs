//! JSON with places, and with the words of Go's `encoding/json` for what is wrong.

use std::sync::Arc;

use crate::{
    DEPTH_MAX,
    error::{Error, Place, Position},
    value::{Document, Entry, Kind, Object, Syntax, Value},
};

/// Whether a comma may stand after the last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commas {
    Strict,
    Lenient,
}

pub(crate) fn parse(file: &str, text: &str, commas: Commas) -> Result<Document, Error> {
    let file: Arc<str> = Arc::from(file);
    let mut reader =
        Reader { file: Arc::clone(&file), rest: text, at: Position { line: 1, column: 1 }, commas };
    reader.blanks();
    if reader.rest.is_empty() {
        return Ok(Document { file, syntax: Syntax::Json, root: Object::default() });
    }
    let value = reader.value(0)?;
    reader.blanks();
    if !reader.rest.is_empty() {
        return Err(reader.unexpected("after top-level value", "one object holds everything"));
    }
    let kind = match value.kind {
        Kind::Object(root) => return Ok(Document { file, syntax: Syntax::Json, root }),
        Kind::Null => return Ok(Document { file, syntax: Syntax::Json, root: Object::default() }),
        Kind::Bool(_) => "bool",
        Kind::Integer(_) | Kind::Float(_) => "number",
        Kind::Text(_) => "string",
        Kind::List(_) => "array",
    };
    let reason = format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}");
    Err(reader.refuse(value.position, reason, "the file must be one object: {…}"))
}

struct Reader<'a> {
    file: Arc<str>,
    rest: &'a str,
    at: Position,
    commas: Commas,
}

impl Reader<'_> {
    fn refuse(&self, position: Position, reason: impl Into<String>, hint: &'static str) -> Error {
        let place = Place { file: Arc::clone(&self.file), position };
        Error { place, reason: reason.into(), hint, syntax: Syntax::Json }
    }

    fn unexpected(&self, wanted: &str, hint: &'static str) -> Error {
        match self.rest.chars().next() {
            None => self.refuse(self.at, "unexpected end of JSON input", "a closing } or ] is missing"),
            Some(c) => {
                let shown = match c {
                    '\'' => r"'\''".to_owned(),
                    '"' => "'\"'".to_owned(),
                    c => format!("{c:?}"),
                };
                self.refuse(self.at, format!("invalid character {shown} {wanted}"), hint)
            }
        }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.starts_with(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn blanks(&mut self) {
        while self.rest.starts_with([' ', '\t', '\n', '\r']) {
            self.bump();
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let position = self.at;
        if depth > DEPTH_MAX {
            return Err(self.refuse(position, "exceeded max depth", "at most 100 levels"));
        }
        let kind = match self.rest.chars().next() {
            Some('{') => Kind::Object(self.object(depth)?),
            Some('[') => Kind::List(self.list(depth)?),
            Some('"') => Kind::Text(self.string()?),
            Some('t') => self.literal("true", Kind::Bool(true))?,
            Some('f') => self.literal("false", Kind::Bool(false))?,
            Some('n') => self.literal("null", Kind::Null)?,
            Some('-' | '0'..='9') => self.number()?,
            _ => {
                return Err(self.unexpected("looking for beginning of value", "texts stand in double quotes"));
            }
        };
        Ok(Value { position, kind })
    }

    fn object(&mut self, depth: usize) -> Result<Object, Error> {
        self.bump();
        let mut object = Object::default();
        self.blanks();
        if self.take('}') {
            return Ok(object);
        }
        loop {
            self.blanks();
            if self.commas == Commas::Lenient && self.take('}') {
                return Ok(object);
            }
            let position = self.at;
            if !self.rest.starts_with('"') {
                let hint = "a key in double quotes comes here; JSON has no comments and no comma at the end";
                return Err(self.unexpected("looking for beginning of object key string", hint));
            }
            let key = self.string()?;
            self.blanks();
            if !self.take(':') {
                return Err(self.unexpected("after object key", "a colon separates key and value"));
            }
            self.blanks();
            object.entries.push(Entry { key, position, value: self.value(depth + 1)? });
            self.blanks();
            if self.take('}') {
                return Ok(object);
            }
            if !self.take(',') {
                return Err(self.unexpected("after object key:value pair", "a comma or } comes here"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        self.bump();
        let mut list = Vec::new();
        self.blanks();
        if self.take(']') {
            return Ok(list);
        }
        loop {
            self.blanks();
            if self.commas == Commas::Lenient && self.take(']') {
                return Ok(list);
            }
            list.push(self.value(depth + 1)?);
            self.blanks();
            if self.take(']') {
                return Ok(list);
            }
            if !self.take(',') {
                return Err(self.unexpected("after array element", "a comma or ] comes here"));
            }
        }
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Error> {
        for (i, wanted) in word.char_indices() {
            if !self.take(wanted) {
                debug_assert!(i > 0, "the caller saw the first letter");
                let wanted = format!("in literal {word} (expecting '{wanted}')");
                return Err(self.unexpected(&wanted, "texts stand in double quotes"));
            }
        }
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, Error> {
        let position = self.at;
        let start = self.rest;
        self.take('-');
        if !self.take('0') {
            self.digits("in numeric literal")?;
        }
        let mut fraction = false;
        if self.take('.') {
            fraction = true;
            self.digits("after decimal point in numeric literal")?;
        }
        if self.take('e') || self.take('E') {
            fraction = true;
            let _ = self.take('+') || self.take('-');
            self.digits("in exponent of numeric literal")?;
        }
        let word = &start[..start.len() - self.rest.len()];
        if !fraction && let Ok(n) = word.parse() {
            return Ok(Kind::Integer(n));
        }
        let n: Option<f64> = word.parse().ok().filter(|n: &f64| n.is_finite());
        n.map(Kind::Float).ok_or_else(|| {
            let reason = format!("json: cannot unmarshal number {word} into Go value of type float64");
            self.refuse(position, reason, "the number is too large")
        })
    }

    fn digits(&mut self, wanted: &str) -> Result<(), Error> {
        if !self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.unexpected(wanted, "a digit comes here"));
        }
        while self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            self.bump();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, Error> {
        self.bump();
        let mut out = String::new();
        loop {
            match self.rest.chars().next() {
                None => return Err(self.unexpected("in string literal", "")),
                Some(c) if c < ' ' => {
                    return Err(self.unexpected("in string literal", "write \\n for a new line"));
                }
                Some('"') => {
                    self.bump();
                    return Ok(out);
                }
                Some('\\') => {
                    self.bump();
                    out.push(self.escape()?);
                }
                Some(c) => {
                    self.bump();
                    out.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let c = match self.rest.chars().next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('u') => {
                self.bump();
                return self.unicode();
            }
            _ => return Err(self.unexpected("in string escape code", "write \\\\ for a backslash")),
        };
        self.bump();
        Ok(c)
    }

    /// The code after `\u`; halves of a pair that do not meet become U+FFFD, as in Go.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or('\u{fffd}'));
        }
        let (rest, at) = (self.rest, self.at);
        if self.take('\\') && self.take('u') {
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
        }
        (self.rest, self.at) = (rest, at);
        Ok('\u{fffd}')
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(16)) else {
                return Err(self.unexpected(
                    "in \\u hexadecimal character escape",
                    "four hexadecimal digits follow \\u",
                ));
            };
            self.bump();
            code = code * 16 + digit;
        }
        Ok(code)
    }
}
