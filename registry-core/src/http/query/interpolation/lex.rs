//! Characters to words.

use registry_wire::query::parse_i64;

use super::{Place, Value, parse::Fault};

/// A word between the braces.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// The end of the text, of a whole one or within quotes.
    End,
    /// A variable's or a function's name.
    Name(String),
    /// A number or a truth value.
    Literal(Value),
    /// `"`.
    Quote,
    /// Whatever else has a meaning: `}`, `&&`, `?`, ….
    Sign(&'static str),
    /// What has none.
    Odd(String),
}

impl Word {
    /// How errors name it.
    pub(super) fn described(&self) -> String {
        match self {
            Self::End => "end of string".to_owned(),
            Self::Name(name) => format!("{name:?}"),
            Self::Literal(Value::Whole(number)) => format!("integer {number}"),
            Self::Literal(Value::Fraction(number)) => format!("float {number}"),
            Self::Literal(Value::Flag(flag)) => format!("\"{flag}\""),
            Self::Literal(Value::Text(text)) => format!("{text:?}"),
            Self::Quote => "opening quote".to_owned(),
            Self::Sign(sign) => format!("{sign:?}"),
            Self::Odd(text) => format!("invalid sequence {text:?}"),
        }
    }
}

/// The longer ones first, for `<=` is not `<`.
const SIGNS: [&str; 22] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", "(", ")", ",", "[",
    "]", "}",
];

/// Takes characters off a text, and knows where it is.
pub(super) struct Source<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn place(&self) -> Place {
        let before = &self.text[..self.at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before[line_start..].chars().count() + 1;
        Place { line: before.matches('\n').count() + 1, column }
    }

    /// Goes on by so many bytes, and gives them.
    pub(super) fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }

    /// The next word with its place, without taking it.
    pub(super) fn peek(&mut self) -> Result<(Place, Word), Fault> {
        self.skip_blanks();
        let (before, place) = (self.at, self.place());
        let word = self.word(place);
        self.at = before;
        Ok((place, word?))
    }

    /// Takes the next word.
    pub(super) fn next(&mut self) -> Result<(Place, Word), Fault> {
        self.skip_blanks();
        let place = self.place();
        Ok((place, self.word(place)?))
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn word(&mut self, place: Place) -> Result<Word, Fault> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Word::End) };
        if first == '"' {
            self.take(1);
            return Ok(Word::Quote);
        }
        if first.is_ascii_digit() {
            return self.number(place);
        }
        if first.is_alphabetic() || first == '_' {
            return Ok(self.name());
        }
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => {
                self.take(sign.len());
                Ok(Word::Sign(sign))
            }
            None => Ok(Word::Odd(self.take(first.len_utf8()).to_owned())),
        }
    }

    fn number(&mut self, place: Place) -> Result<Word, Fault> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(rest);
        let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
        if fraction == 0 {
            let number = parse_i64(self.take(whole));
            let number =
                number.map_err(|error| Fault { place, reason: format!("invalid integer: {error}") })?;
            return Ok(Word::Literal(Value::Whole(number)));
        }
        let number = self.take(whole + 1 + fraction).parse();
        Ok(Word::Literal(Value::Fraction(number.expect("digits, a point, digits"))))
    }

    fn name(&mut self) -> Word {
        let belongs = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '*');
        let rest = self.rest();
        let name = self.take(rest.find(|c| !belongs(c)).unwrap_or(rest.len()));
        match name {
            "true" => Word::Literal(Value::Flag(true)),
            "false" => Word::Literal(Value::Flag(false)),
            _ => Word::Name(name.to_owned()),
        }
    }
}
