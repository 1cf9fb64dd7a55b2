//! The grammar: text to expression.
//!
//! ```text
//! or    := and (ws "or" ws or)?        and := not (ws "and" ws and)?
//! not   := "not" ws not | "(" or ")" | match
//! match := selector ("==" | "!=") value | selector ("contains" | "not contains" | "matches" | "not matches") value
//!        | selector ("is empty" | "is not empty") | value ("in" | "not in") selector
//! ```

use super::FilterError;

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

type Parsed<T> = Result<T, FilterError>;

/// How deep parentheses and `not` may be nested; more is nothing but an attack on the stack.
const DEPTH_MAX: usize = 100;

pub(super) fn parse(text: &str) -> Parsed<Expression> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.spaces();
    let expression = parser.or()?;
    parser.spaces();
    match parser.rest().is_empty() {
        true => Ok(expression),
        false => Err(parser.expected("no match found, expected: \"and\", \"or\" or EOF")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Parsed<Expression> {
        let left = self.and()?;
        match self.joined_by("or")? {
            true => Ok(Expression::Or(Box::new(left), Box::new(self.deeper(Self::or)?))),
            false => Ok(left),
        }
    }

    fn and(&mut self) -> Parsed<Expression> {
        let left = self.not()?;
        match self.joined_by("and")? {
            true => Ok(Expression::And(Box::new(left), Box::new(self.deeper(Self::and)?))),
            false => Ok(left),
        }
    }

    fn not(&mut self) -> Parsed<Expression> {
        let start = self.at;
        if self.word("not") && self.spaces() && !self.rest().is_empty() {
            return match self.deeper(Self::not)? {
                Expression::Not(twice) => Ok(*twice),
                once => Ok(Expression::Not(Box::new(once))),
            };
        }
        self.at = start;
        if !self.eat("(") {
            return self.comparison().map(Expression::Match);
        }
        self.spaces();
        let inner = self.deeper(Self::or)?;
        self.spaces();
        if self.eat(")") { Ok(inner) } else { Err(self.expected("rule \"grouping\": Unmatched parentheses")) }
    }

    /// Whether `and` or `or` follows between spaces; what stands before it is read then, and the spaces after it.
    fn joined_by(&mut self, word: &str) -> Parsed<bool> {
        let start = self.at;
        if self.spaces() && self.word(word) {
            if self.spaces() {
                return Ok(true);
            }
            return Err(self.expected("no match found, expected: [ \\t\\r\\n]"));
        }
        self.at = start;
        Ok(false)
    }

    fn comparison(&mut self) -> Parsed<Match> {
        let left = self.value("no match found, expected: \"(\", \"not\", a selector or a value")?;
        let gap = self.spaces();
        for (sign, negated) in [("==", false), ("!=", true)] {
            if let Some(selector) = left.selector.clone().filter(|_| self.eat(sign)) {
                self.spaces();
                let value = self.value("no match found, expected: a value")?.text;
                return Ok(Match { selector, operator: Operator::Equal, negated, value });
            }
        }
        let missing =
            "no match found, expected: \"!=\", \"==\", \"contains\", \"in\", \"is\", \"matches\" or \"not\"";
        if !gap {
            return Err(self.expected(missing));
        }
        if self.word("is") {
            return self.is_empty(left, missing);
        }
        let negated = self.word("not");
        if negated {
            self.space()?;
        }
        let (operator, turned) = match () {
            () if self.word("in") => (Operator::In, true),
            () if self.word("contains") => (Operator::In, false),
            () if self.word("matches") => (Operator::Matches, false),
            () => return Err(self.expected(missing)),
        };
        self.space()?;
        let right = self.value("no match found, expected: a selector or a value")?;
        let (of, value) = if turned { (right, left) } else { (left, right) };
        let selector = of.selector.ok_or_else(|| self.expected("rule \"match\": Invalid selector"))?;
        Ok(Match { selector, operator, negated, value: value.text })
    }

    fn is_empty(&mut self, left: Value, missing: &'static str) -> Parsed<Match> {
        self.space()?;
        let negated = self.word("not");
        if negated {
            self.space()?;
        }
        match left.selector {
            Some(selector) if self.word("empty") => {
                Ok(Match { selector, operator: Operator::Empty, negated, value: String::new() })
            }
            _ => Err(self.expected(missing)),
        }
    }

    /// A selector, a bare word (the same to the eye), a number or a quoted text.
    fn value(&mut self, missing: &'static str) -> Parsed<Value> {
        match self.rest().bytes().next() {
            Some(b'"' | b'`') => self.quoted().map(|text| Value { text, selector: None }),
            Some(b'-' | b'0'..=b'9') => self.number().map(|text| Value { text, selector: None }),
            Some(b'a'..=b'z' | b'A'..=b'Z') => {
                let parts = self.selector()?;
                Ok(Value { text: parts.join("."), selector: Some(parts) })
            }
            _ => Err(self.expected(missing)),
        }
    }

    fn selector(&mut self) -> Parsed<Vec<String>> {
        let mut parts = vec![self.identifier().to_owned()];
        loop {
            if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_alphabetic())
            {
                self.at += 1;
                parts.push(self.identifier().to_owned());
            } else if self.eat("[") {
                self.spaces();
                parts.push(self.quoted()?);
                self.spaces();
                if !self.eat("]") {
                    return Err(self.expected("rule \"index\": Unclosed index expression"));
                }
            } else {
                return Ok(parts);
            }
        }
    }

    fn identifier(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        self.at += length;
        &rest[..length]
    }

    fn number(&mut self) -> Parsed<String> {
        let start = self.at;
        self.eat("-");
        let whole = self.digits();
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if leading_zero {
            self.at -= whole.len() - 1;
        }
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.digits();
        }
        let ended = self.rest().is_empty() || self.rest().starts_with([' ', '\t', '\r', '\n', ')']);
        match ended && !whole.is_empty() && !leading_zero {
            true => Ok(self.text[start..self.at].to_owned()),
            false => Err(self.expected("rule \"number\": Invalid number literal")),
        }
    }

    fn digits(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += length;
        &rest[..length]
    }

    /// A quoted text. Double quotes allow Go's escapes, but no double quote within.
    fn quoted(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '`')) else {
            return Err(self.expected("no match found, expected: a quoted text"));
        };
        let Some(length) = rest[1..].find(quote) else {
            self.at = self.text.len();
            return Err(self.expected("rule \"string\": Unterminated string literal"));
        };
        let inner = &rest[1..1 + length];
        self.at += length + 2;
        match quote {
            '`' => Ok(inner.to_owned()),
            _ => unescape(inner).ok_or_else(|| self.expected("rule \"string\": invalid syntax")),
        }
    }

    /// One step down, unless it is one too many.
    fn deeper(&mut self, rule: fn(&mut Self) -> Parsed<Expression>) -> Parsed<Expression> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.expected("the expression is nested too deeply"));
        }
        let found = rule(self);
        self.depth -= 1;
        found
    }

    /// Whether this word follows; a longer word that starts with it does not count.
    fn word(&mut self, word: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(word) else { return false };
        if after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.at += word.len();
        true
    }

    fn eat(&mut self, sign: &str) -> bool {
        let there = self.rest().starts_with(sign);
        self.at += if there { sign.len() } else { 0 };
        there
    }

    fn spaces(&mut self) -> bool {
        let count = self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.at += count;
        count > 0
    }

    fn space(&mut self) -> Parsed<()> {
        if self.spaces() { Ok(()) } else { Err(self.expected("no match found, expected: [ \\t\\r\\n]")) }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn expected(&self, why: &'static str) -> FilterError {
        FilterError::Syntax { at: self.at, why }
    }
}

struct Value {
    text: String,
    selector: Option<Vec<String>>,
}

/// Go's escapes of a text in double quotes.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
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
            _ => return None,
        });
    }
    Some(out)
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = chars.by_ref().take(digits).collect();
    u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits).and_then(char::from_u32)
}
