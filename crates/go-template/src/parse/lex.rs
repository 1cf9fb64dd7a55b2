//! Cuts a source into tokens, one at a time, trimming and comments done.

use super::Delimiters;
use super::token::{Kind, Token};

/// The lexer. Works on bytes: text outside actions need not be UTF-8.
pub(super) struct Lexer<'a> {
    source: &'a [u8],
    delimiters: &'a Delimiters,
    at: usize,
    line: usize,
    inside: bool,
    parens: usize,
    failed: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a [u8], delimiters: &'a Delimiters) -> Self {
        Lexer { source, delimiters, at: 0, line: 1, inside: false, parens: 0, failed: false }
    }

    /// The next token; `Eof` for ever at the end, `Eof` too after an error.
    pub(super) fn next(&mut self) -> Token {
        loop {
            if self.failed {
                return self.take(Kind::Eof, 0);
            }
            let token = if self.inside { Some(self.inside()) } else { self.outside() };
            if let Some(token) = token {
                return token;
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.source[self.at..]
    }

    /// The token made of the next `length` bytes.
    fn take(&mut self, kind: Kind, length: usize) -> Token {
        let text = self.rest()[..length].to_vec();
        let token = Token { kind, position: self.at, line: self.line, text };
        self.skip(length);
        token
    }

    fn skip(&mut self, length: usize) {
        self.line += count_lines(&self.rest()[..length]);
        self.at += length;
    }

    fn error(&mut self, text: impl Into<String>) -> Token {
        self.failed = true;
        Token { kind: Kind::Error, position: self.at, line: self.line, text: text.into().into_bytes() }
    }

    /// Text up to the next action, or the action's opening.
    fn outside(&mut self) -> Option<Token> {
        let rest = self.rest();
        let Some(start) = find(rest, self.delimiters.left.as_bytes()) else {
            return Some(if rest.is_empty() {
                self.take(Kind::Eof, 0)
            } else {
                self.take(Kind::Text, rest.len())
            });
        };
        if start == 0 {
            return self.left_delimiter();
        }
        let after = &rest[start + self.delimiters.left.len()..];
        let kept = if trims_left(after) { rest[..start].trim_right().len() } else { start };
        let token = (kept > 0).then(|| self.take(Kind::Text, kept));
        self.skip(start - kept);
        token
    }

    /// An opening delimiter, with its trim mark; a comment is passed over whole.
    fn left_delimiter(&mut self) -> Option<Token> {
        let left = self.delimiters.left.len();
        let trim = if trims_left(&self.rest()[left..]) { 2 } else { 0 };
        if self.rest()[left + trim..].starts_with(b"/*") {
            return self.comment(left + trim);
        }
        let token = self.take(Kind::LeftDelim, left);
        self.skip(trim);
        self.inside = true;
        self.parens = 0;
        Some(token)
    }

    fn comment(&mut self, opening: usize) -> Option<Token> {
        self.skip(opening);
        let Some(end) = find(&self.rest()[2..], b"*/") else {
            return Some(self.error("unclosed comment"));
        };
        let length = end + 4;
        let after = &self.rest()[length..];
        let right = self.delimiters.right.as_bytes();
        let (trim, after) = match after {
            [space, b'-', tail @ ..] if is_space(*space) && tail.starts_with(right) => (true, tail),
            _ => (false, after),
        };
        if !after.starts_with(right) {
            return Some(self.error("comment ends before closing delimiter"));
        }
        self.skip(length + if trim { 2 } else { 0 } + right.len());
        if trim {
            self.skip_spaces();
        }
        None
    }

    fn skip_spaces(&mut self) {
        let spaces = self.rest().iter().take_while(|b| is_space(**b)).count();
        self.skip(spaces);
    }

    /// One token of an action.
    fn inside(&mut self) -> Token {
        let rest = self.rest();
        if let Some((marks, trim)) = self.right_delimiter() {
            if self.parens > 0 {
                return self.error("unclosed left paren");
            }
            self.skip(marks);
            let token = self.take(Kind::RightDelim, self.delimiters.right.len());
            if trim {
                self.skip_spaces();
            }
            self.inside = false;
            return token;
        }
        let Some((c, width)) = decode(rest) else {
            return self.error("unclosed action");
        };
        match c {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '=' => self.take(Kind::Assign, 1),
            ':' if rest.get(1) == Some(&b'=') => self.take(Kind::Declare, 2),
            ':' => self.error("expected :="),
            '|' => self.take(Kind::Pipe, 1),
            '"' => self.quoted(b'"', Kind::String, "unterminated quoted string"),
            '`' => self.raw_string(),
            '\'' => self.quoted(b'\'', Kind::CharConstant, "unterminated character constant"),
            '$' => self.name(1, Kind::Variable),
            // a lone dot at the very end is read as a number that has no digits
            '.' if rest.get(1).is_none_or(u8::is_ascii_digit) => self.number(),
            '.' => self.dot(),
            '+' | '-' | '0'..='9' => self.number(),
            c if is_alphanumeric(c) => self.word(),
            '(' => {
                self.parens += 1;
                self.take(Kind::LeftParen, 1)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.take(Kind::RightParen, 1)
            }
            c if c.is_ascii_graphic() => self.take(Kind::Char, width),
            c => self.error(format!("unrecognized character in action: {}", named(c))),
        }
    }

    /// Whether the action ends here: the bytes before the delimiter, and whether they say to trim.
    fn right_delimiter(&self) -> Option<(usize, bool)> {
        let right = self.delimiters.right.as_bytes();
        match self.rest() {
            [space, b'-', tail @ ..] if is_space(*space) && tail.starts_with(right) => Some((2, true)),
            rest if rest.starts_with(right) => Some((0, false)),
            _ => None,
        }
    }

    /// A run of blanks, leaving the one that belongs to a trim mark.
    fn space(&mut self) -> Token {
        let mut length = self.rest().iter().take_while(|b| is_space(**b)).count();
        let after = &self.rest()[length..];
        let right = self.delimiters.right.as_bytes();
        if after.first() == Some(&b'-') && after[1..].starts_with(right) {
            length -= 1;
        }
        if length == 0 { self.inside() } else { self.take(Kind::Space, length) }
    }

    fn quoted(&mut self, quote: u8, kind: Kind, unterminated: &str) -> Token {
        let rest = self.rest();
        let mut at = 1;
        while let Some(byte) = rest.get(at) {
            match byte {
                b'\\' if rest.get(at + 1).is_some_and(|next| *next != b'\n') => at += 1,
                b'\\' | b'\n' => break,
                byte if *byte == quote => return self.take(kind, at + 1),
                _ => {}
            }
            at += 1;
        }
        self.error(unterminated)
    }

    fn raw_string(&mut self) -> Token {
        match find(&self.rest()[1..], b"`") {
            Some(end) => self.take(Kind::RawString, end + 2),
            None => self.error("unterminated raw quoted string"),
        }
    }

    fn dot(&mut self) -> Token {
        let length = name_length(&self.rest()[1..]);
        self.terminated(if length == 0 { Kind::Dot } else { Kind::Field }, 1 + length)
    }

    /// A variable or field: the mark before it and a name, perhaps empty.
    fn name(&mut self, mark: usize, kind: Kind) -> Token {
        let length = mark + name_length(&self.rest()[mark..]);
        self.terminated(kind, length)
    }

    fn word(&mut self) -> Token {
        let length = name_length(self.rest());
        let word = &self.rest()[..length];
        let kind = match Kind::keyword(word) {
            Some(kind) => kind,
            None if matches!(word, b"true" | b"false") => Kind::Bool,
            None => Kind::Identifier,
        };
        self.terminated(kind, length)
    }

    /// A token that only certain characters may follow: `.a-b` is a slip, not a subtraction.
    fn terminated(&mut self, kind: Kind, length: usize) -> Token {
        let after = &self.rest()[length..];
        let ends = match decode(after) {
            None => true,
            Some((c, _)) => {
                matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(')
                    || after.starts_with(self.delimiters.right.as_bytes())
            }
        };
        if !ends {
            let (c, width) = decode(after).expect("only a character can be wrong");
            self.skip(length);
            let token = self.error(format!("bad character {}", named(c)));
            self.skip(width);
            return token;
        }
        self.take(kind, length)
    }

    fn number(&mut self) -> Token {
        let (length, valid) = scan_number(self.rest());
        let mut end = length;
        let complex = valid && matches!(self.rest().get(length), Some(b'+' | b'-'));
        let valid = if complex {
            let (more, valid) = scan_number(&self.rest()[length..]);
            end += more;
            valid && self.rest()[end - 1] == b'i'
        } else {
            valid
        };
        if !valid {
            let text = crate::fmt::quoted(&self.rest()[..end]);
            return self.error(format!("bad number syntax: {text}"));
        }
        self.take(if complex { Kind::Complex } else { Kind::Number }, end)
    }
}

/// How far a number reaches, and whether it may end there.
fn scan_number(text: &[u8]) -> (usize, bool) {
    let mut at = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let mut digits: &[u8] = b"0123456789_";
    if text.get(at) == Some(&b'0') {
        at += 1;
        match text.get(at) {
            Some(b'x' | b'X') => (at, digits) = (at + 1, b"0123456789abcdefABCDEF_"),
            Some(b'o' | b'O') => (at, digits) = (at + 1, b"01234567_"),
            Some(b'b' | b'B') => (at, digits) = (at + 1, b"01_"),
            _ => {}
        }
    }
    let run = |at: usize, digits: &[u8]| at + text[at..].iter().take_while(|b| digits.contains(b)).count();
    at = run(at, digits);
    if text.get(at) == Some(&b'.') {
        at = run(at + 1, digits);
    }
    let exponent: &[u8] = if digits.len() == 11 { b"eE" } else { b"pP" };
    if (digits.len() == 11 || digits.len() == 23) && text.get(at).is_some_and(|b| exponent.contains(b)) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = run(at, b"0123456789_");
    }
    if text.get(at) == Some(&b'i') {
        at += 1;
    }
    match decode(&text[at..]) {
        Some((c, width)) if is_alphanumeric(c) => (at + width, false),
        _ => (at, true),
    }
}

fn name_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some((c, width)) = decode(&text[length..]).filter(|(c, _)| is_alphanumeric(*c)) {
        debug_assert!(c != '\0', "NUL is no letter");
        length += width;
    }
    length
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn trims_left(after: &[u8]) -> bool {
    matches!(after, [b'-', space, ..] if is_space(*space))
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b == b'\n').count()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The first character and its width; bytes that are not UTF-8 read as U+FFFD.
pub(crate) fn decode(bytes: &[u8]) -> Option<(char, usize)> {
    if bytes.is_empty() {
        return None;
    }
    let head = &bytes[..bytes.len().min(4)];
    match std::str::from_utf8(head) {
        Ok(text) => text.chars().next().map(|c| (c, c.len_utf8())),
        Err(error) if error.valid_up_to() > 0 => {
            let valid = std::str::from_utf8(&head[..error.valid_up_to()]).expect("checked to be valid");
            valid.chars().next().map(|c| (c, c.len_utf8()))
        }
        Err(_) => Some((char::REPLACEMENT_CHARACTER, 1)),
    }
}

/// A character as error texts show it: `U+002D '-'`.
fn named(c: char) -> String {
    let shown = if crate::fmt::is_printable(c) { format!(" '{c}'") } else { String::new() };
    format!("U+{:04X}{shown}", u32::from(c))
}

trait TrimRight {
    fn trim_right(&self) -> &[u8];
}

impl TrimRight for [u8] {
    fn trim_right(&self) -> &[u8] {
        let spaces = self.iter().rev().take_while(|b| is_space(**b)).count();
        &self[..self.len() - spaces]
    }
}
