//! HCL1's words: from text to tokens with places.

use std::{borrow::Cow, sync::Arc};

use crate::{
    Syntax, TEXT_BYTES_MAX,
    error::{Error, Place, Position},
};

/// A word of the language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Eof,
    Ident(String),
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Heredoc(String),
    OpenList,
    CloseList,
    OpenObject,
    CloseObject,
    Comma,
    Assign,
    Dot,
    Plus,
    Minus,
}

impl Token {
    /// The name HCL1's messages use.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Eof => "EOF",
            Self::Ident(_) => "IDENT",
            Self::Bool(_) => "BOOL",
            Self::Integer(_) => "NUMBER",
            Self::Float(_) => "FLOAT",
            Self::Text(_) => "STRING",
            Self::Heredoc(_) => "HEREDOC",
            Self::OpenList => "LBRACK",
            Self::CloseList => "RBRACK",
            Self::OpenObject => "LBRACE",
            Self::CloseObject => "RBRACE",
            Self::Comma => "COMMA",
            Self::Assign => "ASSIGN",
            Self::Dot => "PERIOD",
            Self::Plus => "ADD",
            Self::Minus => "SUB",
        }
    }
}

/// Errors with the place of a null character, which HCL1 has nowhere.
pub(crate) fn refuse_null(file: &str, text: &str) -> Result<(), Error> {
    if !text.contains('\0') {
        return Ok(());
    }
    let mut lexer = Lexer::new(file, text);
    lexer.bump_while(|c| c != '\0');
    Err(lexer.refuse(lexer.at, "unexpected null character (0x00)", "is this a text file?"))
}

/// Checks size and encoding, drops a byte order mark and makes all line ends `\n`.
pub(crate) fn prepare<'a>(file: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>, Error> {
    let refuse = |position, reason: &str, hint| Error {
        place: Place { file: Arc::from(file), position },
        reason: reason.to_owned(),
        hint,
        syntax: Syntax::Hcl,
    };
    let start = Position { line: 1, column: 1 };
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(refuse(start, "the text is larger than 16 MiB", "is this a configuration file?"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() as u32 + 1;
        refuse(Position { line, column }, "illegal UTF-8 encoding", "save the file as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) })
}

/// Reads tokens one after the other.
pub(crate) struct Lexer<'a> {
    file: Arc<str>,
    text: &'a str,
    offset: usize,
    at: Position,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        Self { file: Arc::from(file), text, offset: 0, at: Position { line: 1, column: 1 } }
    }

    pub(crate) fn refuse(&self, position: Position, reason: impl Into<String>, hint: &'static str) -> Error {
        Error {
            place: Place { file: Arc::clone(&self.file), position },
            reason: reason.into(),
            hint,
            syntax: Syntax::Hcl,
        }
    }

    /// The next token and where it begins; [`Token::Eof`] for ever at the end.
    pub(crate) fn next(&mut self) -> Result<(Token, Position), Error> {
        self.skip_blanks_and_comments()?;
        let at = self.at;
        let Some(c) = self.peek() else { return Ok((Token::Eof, at)) };
        let token = match c {
            '"' => Token::Text(self.string(at)?),
            '<' => Token::Heredoc(self.heredoc(at)?),
            '0'..='9' => self.number(at)?,
            '-' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(at)?,
            c if is_ident_start(c) => self.word(),
            _ => {
                self.bump();
                punctuation(c).ok_or_else(|| {
                    self.refuse(at, format!("illegal character {c:?}"), "texts stand in double quotes")
                })?
            }
        };
        Ok((token, at))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        if c == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn bump_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let start = self.offset;
        while self.peek().is_some_and(&accept) {
            self.bump();
        }
        &self.text[start..self.offset]
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), Error> {
        loop {
            self.bump_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.bump_while(|c| c != '\n');
            } else if let Some(inner) = rest.strip_prefix("/*") {
                let at = self.at;
                let Some(end) = inner.find("*/") else {
                    return Err(self.refuse(at, "comment not terminated", "end it with */"));
                };
                let end = self.offset + 2 + end + 2;
                while self.offset < end {
                    self.bump();
                }
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Token {
        match self.bump_while(|c| is_ident_start(c) || c.is_numeric() || c == '-' || c == '.') {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            word => Token::Ident(word.to_owned()),
        }
    }

    /// `12`, `-5`, `0644`, `0x1F`, `1.5`, `1e9`; the whole run of letters and digits must be one number.
    fn number(&mut self, at: Position) -> Result<Token, Error> {
        let start = self.offset;
        self.bump();
        loop {
            self.bump_while(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            let so_far = &self.text[start..self.offset];
            let in_exponent = so_far.ends_with(['e', 'E']) && !so_far.to_ascii_lowercase().contains("0x");
            if !(in_exponent && self.rest().starts_with(['+', '-'])) {
                break;
            }
            self.bump();
        }
        let word = &self.text[start..self.offset];
        read_number(word).ok_or_else(|| {
            self.refuse(
                at,
                format!("illegal number {word}"),
                "numbers with a unit stand in double quotes: \"10s\"",
            )
        })
    }

    fn string(&mut self, at: Position) -> Result<String, Error> {
        let open =
            |lexer: &Self| lexer.refuse(at, "literal not terminated", "end the text with a double quote");
        self.bump();
        let mut out = String::new();
        // Inside ${…} quotes and escapes belong to the expression and stay as they are.
        let mut braces = 0usize;
        loop {
            let here = self.at;
            match self.bump().ok_or_else(|| open(self))? {
                '"' if braces == 0 => return Ok(out),
                '\n' if braces == 0 => return Err(open(self)),
                '\\' if braces == 0 => out.push(self.escape(here)?),
                '\\' => {
                    out.push('\\');
                    out.extend(self.bump());
                }
                '$' if braces == 0 && self.peek() == Some('{') => {
                    self.bump();
                    out.push_str("${");
                    braces = 1;
                }
                c => {
                    match c {
                        '{' if braces > 0 => braces += 1,
                        '}' if braces > 0 => braces -= 1,
                        _ => {}
                    }
                    out.push(c);
                }
            }
        }
    }

    fn escape(&mut self, at: Position) -> Result<char, Error> {
        let refuse = |lexer: &Self| lexer.refuse(at, "illegal char escape", "write \\\\ for a backslash");
        let c = self.bump().ok_or_else(|| refuse(self))?;
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '"' => c,
            '0'..='7' | 'x' | 'u' | 'U' => {
                let (radix, count, mut code) = match c {
                    'x' => (16, 2, 0),
                    'u' => (16, 4, 0),
                    'U' => (16, 8, 0),
                    digit => (8, 2, digit as u32 - '0' as u32),
                };
                for _ in 0..count {
                    let digit = self.bump().and_then(|c| c.to_digit(radix)).ok_or_else(|| refuse(self))?;
                    code = code.checked_mul(radix).map_or(u32::MAX, |code| code + digit);
                }
                char::from_u32(code).ok_or_else(|| refuse(self))?
            }
            _ => return Err(refuse(self)),
        })
    }

    /// `<<EOF` to a line that has nothing but `EOF`; `<<-EOF` also takes the last line's indentation off all lines.
    fn heredoc(&mut self, at: Position) -> Result<String, Error> {
        let Some(head) = self.rest().strip_prefix("<<") else {
            self.bump();
            return Err(self.refuse(at, "illegal character '<'", "a heredoc begins with <<EOF"));
        };
        let head = head.split('\n').next().unwrap_or("").trim_end_matches('\r');
        let (indented, anchor) = match head.strip_prefix('-') {
            Some(anchor) => (true, anchor),
            None => (false, head),
        };
        if anchor.is_empty() || !anchor.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.refuse(at, "heredoc anchor not found", "write <<EOF and end with a line EOF"));
        }
        self.bump_while(|c| c != '\n');
        self.bump();
        let mut lines: Vec<&str> = Vec::new();
        loop {
            let line = self.bump_while(|c| c != '\n');
            if line.trim_start().trim_end_matches('\r') == anchor {
                let indent = &line[..line.len() - line.trim_start().len()];
                // Of a plain one the blanks before the end mark belong to the text.
                let (strip, last) = if indented { (indent, "") } else { ("", indent) };
                return Ok(join_heredoc(&lines, strip) + last);
            }
            if self.bump().is_none() {
                return Err(self.refuse(
                    at,
                    "heredoc not terminated",
                    "end it with the anchor alone on a line",
                ));
            }
            lines.push(line);
        }
    }
}

fn join_heredoc(lines: &[&str], indent: &str) -> String {
    let strip = lines.iter().all(|line| line.is_empty() || line.starts_with(indent));
    let mut out = String::new();
    for line in lines {
        out.push_str(if strip { line.strip_prefix(indent).unwrap_or(line) } else { line });
        out.push('\n');
    }
    out
}

fn is_ident_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn punctuation(c: char) -> Option<Token> {
    Some(match c {
        '[' => Token::OpenList,
        ']' => Token::CloseList,
        '{' => Token::OpenObject,
        '}' => Token::CloseObject,
        ',' => Token::Comma,
        '=' => Token::Assign,
        '.' => Token::Dot,
        '+' => Token::Plus,
        '-' => Token::Minus,
        _ => return None,
    })
}

/// A whole number by its prefix (`0x`, a leading `0` for octal), or a decimal fraction.
fn read_number(word: &str) -> Option<Token> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", word),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    if hex.is_none() && digits.contains(['.', 'e', 'E']) {
        let plain = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
        return word.parse().ok().filter(|n: &f64| plain && n.is_finite()).map(Token::Float);
    }
    let (radix, digits) = match hex {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Token::Integer)
}
