//! Words to an expression.

use super::{
    Expression, Place, Value,
    lex::{Source, Word},
};

/// Expressions within one another, at most: a text is somebody's input, and the stack is not endless.
const DEPTH_MAX: usize = 100;

/// Binary operators, those that bind least first.
const BINARY: [&[&str]; 6] =
    [&["||"], &["&&"], &["==", "!="], &["<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"]];

/// Where a text cannot be read, and why: `1:7: expected "}" but found end of string`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse error at {}:{}: {reason}", .place.line, .place.column)]
pub(crate) struct Fault {
    pub(super) place: Place,
    pub(super) reason: String,
}

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Expression, Fault> {
    let mut parser = Parser { source: Source::new(text), depth: 0 };
    parser.text(false)
}

struct Parser<'a> {
    source: Source<'a>,
    depth: usize,
}

impl Parser<'_> {
    /// Plain characters and `${…}` up to the end, or up to the closing quote.
    fn text(&mut self, quoted: bool) -> Result<Expression, Fault> {
        let (mut parts, mut plain, start) = (Vec::new(), String::new(), self.source.place());
        let begun = self.source.rest();
        loop {
            let rest = self.source.rest();
            let Some(first) = rest.chars().next() else {
                if quoted {
                    let reason = format!("expected \"${{\" but found invalid sequence {begun:?}");
                    return Err(Fault { place: start, reason });
                }
                break;
            };
            if rest.starts_with("${") {
                self.source.take(2);
                parts.extend(literal(std::mem::take(&mut plain)));
                parts.push(self.nested(Self::expression)?);
                self.expect("}")?;
            } else if rest.starts_with("$$") {
                plain.push('$');
                self.source.take(2);
            } else if quoted && first == '"' {
                break;
            } else if let Some((meaning, bytes)) = Some(rest).filter(|_| quoted).and_then(escaped) {
                plain.push(meaning);
                self.source.take(bytes);
            } else {
                plain.push_str(self.source.take(first.len_utf8()));
            }
        }
        parts.extend(literal(plain));
        Ok(Expression::Text(parts))
    }

    /// `a ? b : c`, or anything that binds more.
    fn expression(&mut self) -> Result<Expression, Fault> {
        let place = self.source.peek()?.0;
        let condition = self.binary(0)?;
        if !self.accept("?")? {
            return Ok(condition);
        }
        let then = self.nested(Self::expression)?;
        let (at, word) = self.source.next()?;
        if word != Word::Sign(":") {
            return Err(Fault { place: at, reason: format!("expected : but found {}", word.described()) });
        }
        let otherwise = self.nested(Self::expression)?;
        Ok(Expression::Choice(place, Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn binary(&mut self, level: usize) -> Result<Expression, Fault> {
        let Some(signs) = BINARY.get(level) else { return self.nested(Self::term) };
        let place = self.source.peek()?.0;
        let mut left = self.binary(level + 1)?;
        loop {
            let Word::Sign(sign) = self.source.peek()?.1 else { return Ok(left) };
            if !signs.contains(&sign) {
                return Ok(left);
            }
            self.source.next()?;
            let right = self.binary(level + 1)?;
            left = Expression::Binary(place, sign, Box::new(left), Box::new(right));
        }
    }

    fn term(&mut self) -> Result<Expression, Fault> {
        let (place, word) = self.source.next()?;
        match word {
            Word::Literal(value) => Ok(Expression::Literal(value)),
            Word::Quote => {
                let text = self.nested(|parser| parser.text(true))?;
                self.source.take(1);
                Ok(text)
            }
            Word::Name(name) if self.accept("(")? => Ok(Expression::Call(place, name, self.arguments()?)),
            Word::Name(name) => Ok(Expression::Variable(place, name)),
            Word::Sign("(") => {
                let inner = self.nested(Self::expression)?;
                self.expect(")")?;
                Ok(inner)
            }
            Word::Sign(sign @ ("!" | "-")) => {
                Ok(Expression::Unary(place, sign, Box::new(self.nested(Self::term)?)))
            }
            other => {
                Err(Fault { place, reason: format!("expected expression but found {}", other.described()) })
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Expression>, Fault> {
        let mut arguments = Vec::new();
        if self.accept(")")? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.nested(Self::expression)?);
            if !self.accept(",")? {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Expression, Fault>,
    ) -> Result<Expression, Fault> {
        if self.depth == DEPTH_MAX {
            let reason = format!("more than {DEPTH_MAX} expressions within one another");
            return Err(Fault { place: self.source.place(), reason });
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn accept(&mut self, sign: &'static str) -> Result<bool, Fault> {
        let found = self.source.peek()?.1 == Word::Sign(sign);
        if found {
            self.source.next()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Fault> {
        let (place, word) = self.source.next()?;
        if word == Word::Sign(sign) {
            return Ok(());
        }
        Err(Fault { place, reason: format!("expected {sign:?} but found {}", word.described()) })
    }
}

fn literal(text: String) -> Option<Expression> {
    (!text.is_empty()).then_some(Expression::Literal(Value::Text(text)))
}

/// What a backslash and its letter mean within quotes.
fn escaped(rest: &str) -> Option<(char, usize)> {
    let meaning = match rest.strip_prefix('\\')?.chars().next()? {
        'n' => '\n',
        same @ ('"' | '\\') => same,
        _ => return None,
    };
    Some((meaning, 2))
}
