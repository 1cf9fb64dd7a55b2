//! The grammar: text to expression.
//!
//! ```text
//! or    := and (ws "or" ws or)?        and := not (ws "and" ws and)?
//! not   := "not" ws not | "(" or ")" | match
//! match := selector ("==" | "!=") value | selector ("contains" | "not contains" | "matches" | "not matches") value
//!        | selector ("is empty" | "is not empty") | value ("in" | "not in") selector
//! ```
//!
//! A rule that does not fit gives `None`; what it wanted is noted in the [`Reading`]. The order in which rules are tried shows in the words of
//! errors, so it is the order above.

use super::{
    FilterError,
    reading::{DIGIT, DIGIT_NOT_ZERO, LETTER, Reading, SPACE, WORD},
};

/// An expression, not checked against any fields yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Or(Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Match(Match),
}

/// A comparison of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// The parts of the selector: `Node.Meta["rack"]` is `Node`, `Meta`, `rack`.
    pub(super) selector: Vec<String>,
    pub(super) operator: Operator,
    /// Whether the outcome is turned around: `!=`, `not in`, `is not empty`, `not matches`.
    pub(super) negated: bool,
    /// Empty for `is empty`.
    pub(super) value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    In,
    Empty,
    Matches,
}

impl Operator {
    pub(super) fn name(self, negated: bool) -> &'static str {
        match (self, negated) {
            (Self::Equal, false) => "Equal",
            (Self::Equal, true) => "Not Equal",
            (Self::In, false) => "In",
            (Self::In, true) => "Not In",
            (Self::Empty, false) => "Is Empty",
            (Self::Empty, true) => "Is Not Empty",
            (Self::Matches, false) => "Matches",
            (Self::Matches, true) => "Not Matches",
        }
    }
}

/// How deep parentheses and `not` may be nested; more is nothing but an attack on the stack.
const DEPTH_MAX: usize = 100;

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let mut parser = Parser { reading: Reading::new(text), depth: 0 };
    let found = parser.whole();
    match (found, parser.reading.complained()) {
        (Some(expression), None) => Ok(expression),
        (_, Some(complaints)) => Err(FilterError::Syntax(complaints)),
        (None, None) => Err(FilterError::Syntax(parser.reading.failure())),
    }
}

struct Parser<'a> {
    reading: Reading<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn whole(&mut self) -> Option<Expression> {
        self.gap();
        let expression = self.or()?;
        self.gap();
        self.reading.end()?;
        Some(expression)
    }

    fn or(&mut self) -> Option<Expression> {
        let left = self.and()?;
        Some(match self.joined_by("or", Self::or) {
            Some(right) => Expression::Or(Box::new(left), Box::new(right)),
            None => left,
        })
    }

    fn and(&mut self) -> Option<Expression> {
        let left = self.not()?;
        Some(match self.joined_by("and", Self::and) {
            Some(right) => Expression::And(Box::new(left), Box::new(right)),
            None => left,
        })
    }

    /// What follows a word between spaces.
    fn joined_by(&mut self, word: &str, rule: fn(&mut Self) -> Option<Expression>) -> Option<Expression> {
        self.try_to(|parser| {
            parser.words(&[word])?;
            parser.space()?;
            parser.deeper(rule)
        })
    }

    fn not(&mut self) -> Option<Expression> {
        let turned = self.try_to(|parser| {
            parser.reading.literal("not")?;
            parser.space()?;
            parser.deeper(Self::not)
        });
        match turned {
            Some(Expression::Not(twice)) => Some(*twice),
            Some(once) => Some(Expression::Not(Box::new(once))),
            None => self.grouping(),
        }
    }

    fn grouping(&mut self) -> Option<Expression> {
        if self.reading.literal("(").is_none() {
            return self.comparison().map(Expression::Match);
        }
        self.gap();
        let inner = self.deeper(Self::or)?;
        self.gap();
        if self.reading.literal(")").is_none() {
            self.reading.complain(self.reading.at(), "grouping", "Unmatched parentheses");
            return None;
        }
        Some(inner)
    }

    fn comparison(&mut self) -> Option<Match> {
        self.try_to(Self::selector_then_value)
            .or_else(|| self.try_to(Self::selector_is_empty))
            .or_else(|| self.try_to(Self::value_then_selector))
    }

    fn selector_then_value(&mut self) -> Option<Match> {
        let selector = self.selector()?;
        let operator = self.sign("==").map(|()| (Operator::Equal, false));
        let (operator, negated) = operator
            .or_else(|| self.sign("!=").map(|()| (Operator::Equal, true)))
            .or_else(|| self.spaced(&["contains"]).map(|()| (Operator::In, false)))
            .or_else(|| self.spaced(&["not", "contains"]).map(|()| (Operator::In, true)))
            .or_else(|| self.spaced(&["matches"]).map(|()| (Operator::Matches, false)))
            .or_else(|| self.spaced(&["not", "matches"]).map(|()| (Operator::Matches, true)))?;
        let value = self.value()?;
        Some(Match { selector, operator, negated, value })
    }

    fn selector_is_empty(&mut self) -> Option<Match> {
        let selector = self.selector()?;
        let plain = self.try_to(|parser| parser.words(&["is", "empty"])).map(|()| false);
        let negated =
            plain.or_else(|| self.try_to(|parser| parser.words(&["is", "not", "empty"])).map(|()| true))?;
        Some(Match { selector, operator: Operator::Empty, negated, value: String::new() })
    }

    fn value_then_selector(&mut self) -> Option<Match> {
        let value = self.value()?;
        let plain = self.spaced(&["in"]).map(|()| false);
        let negated = plain.or_else(|| self.spaced(&["not", "in"]).map(|()| true))?;
        let selector = self.selector();
        if selector.is_none() {
            self.reading.complain(self.reading.at(), "match", "Invalid selector");
        }
        Some(Match { selector: selector?, operator: Operator::In, negated, value })
    }

    /// A sign, with or without spaces around it.
    fn sign(&mut self, sign: &str) -> Option<()> {
        self.try_to(|parser| {
            parser.gap();
            parser.reading.literal(sign)?;
            parser.gap();
            Some(())
        })
    }

    /// Words with spaces before, between and after them.
    fn spaced(&mut self, words: &[&str]) -> Option<()> {
        self.try_to(|parser| {
            parser.words(words)?;
            parser.space()
        })
    }

    /// Words with spaces before and between them.
    fn words(&mut self, words: &[&str]) -> Option<()> {
        words.iter().try_for_each(|word| {
            self.space()?;
            self.reading.literal(word)
        })
    }

    /// A selector's parts: `Meta["a b"].x` is `Meta`, `a b`, `x`.
    fn selector(&mut self) -> Option<Vec<String>> {
        let mut parts = vec![self.identifier()?];
        loop {
            let named = self.try_to(|parser| {
                parser.reading.literal(".")?;
                parser.identifier()
            });
            match named.or_else(|| self.try_to(Self::index)) {
                Some(part) => parts.push(part),
                None => return Some(parts),
            }
        }
    }

    fn identifier(&mut self) -> Option<String> {
        let start = self.reading.at();
        self.reading.one(&LETTER)?;
        self.reading.any_number(&WORD);
        Some(self.reading.since(start).to_owned())
    }

    fn index(&mut self) -> Option<String> {
        self.reading.literal("[")?;
        self.gap();
        let start = self.reading.at();
        let Some(name) = self.quoted() else {
            self.reading.complain(start, "index", "Invalid index");
            return None;
        };
        self.gap();
        if self.reading.literal("]").is_none() {
            self.reading.complain(self.reading.at(), "index", "Unclosed index expression");
            return None;
        }
        Some(name)
    }

    /// A bare word, which looks like a selector, a number or a quoted text.
    fn value(&mut self) -> Option<String> {
        self.try_to(Self::selector)
            .map(|parts| parts.join("."))
            .or_else(|| self.try_to(Self::number))
            .or_else(|| self.try_to(Self::quoted))
    }

    fn number(&mut self) -> Option<String> {
        let start = self.reading.at();
        let _sign = self.reading.literal("-");
        if self.reading.literal("0").is_none() {
            self.reading.one(&DIGIT_NOT_ZERO)?;
            self.reading.any_number(&DIGIT);
        }
        let _fraction = self.try_to(|parser| {
            parser.reading.literal(".")?;
            parser.reading.at_least_one(&DIGIT)
        });
        let number = self.reading.since(start).to_owned();
        let end = self.reading.at();
        let ended = self.space().or_else(|| self.reading.end()).or_else(|| self.reading.literal(")"));
        self.reading.back_to(end);
        if ended.is_none() {
            self.reading.complain(end, "number", "Invalid number literal");
        }
        ended.map(|()| number)
    }

    /// A quoted text. Double quotes allow Go's escapes, but no double quote within.
    fn quoted(&mut self) -> Option<String> {
        let start = self.reading.at();
        let quote = match self.reading.literal("`") {
            Some(()) => '`',
            None => self.reading.literal("\"").map(|()| '"')?,
        };
        let Some(inner) = self.reading.up_to(quote) else {
            self.reading.skip_rest();
            self.reading.complain(self.reading.at(), "string", "Unterminated string literal");
            return None;
        };
        match quote {
            '`' => Some(inner.replace('\r', "")),
            _ => unescape(inner).or_else(|| {
                self.reading.complain(start, "string", "invalid syntax");
                Some(String::new())
            }),
        }
    }

    /// One step down, unless it is one too many.
    fn deeper(&mut self, rule: fn(&mut Self) -> Option<Expression>) -> Option<Expression> {
        if self.depth == DEPTH_MAX {
            self.reading.complain(self.reading.at(), "grouping", "the expression is nested too deeply");
            return None;
        }
        self.depth += 1;
        let found = rule(self);
        self.depth -= 1;
        found
    }

    fn try_to<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let start = self.reading.at();
        let found = rule(self);
        if found.is_none() {
            self.reading.back_to(start);
        }
        found
    }

    fn space(&mut self) -> Option<()> {
        self.reading.at_least_one(&SPACE)
    }

    /// Spaces that may be there.
    fn gap(&mut self) {
        self.reading.any_number(&SPACE);
    }
}

/// Go's escapes of a text in double quotes.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\n' {
            return None;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' => '\\',
            'x' => code(&mut chars, 2)?,
            'u' => code(&mut chars, 4)?,
            'U' => code(&mut chars, 8)?,
            octal @ '0'..='3' => {
                let rest: String = chars.by_ref().take(2).collect();
                let digits = format!("{octal}{rest}");
                char::from(u8::from_str_radix(&digits, 8).ok().filter(|_| digits.len() == 3)?)
            }
            _ => return None,
        });
    }
    Some(out)
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = chars.by_ref().take(digits).collect();
    u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits).and_then(char::from_u32)
}
