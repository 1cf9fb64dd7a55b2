//! HCL1's grammar: from tokens to the tree.

use std::sync::Arc;

use crate::{
    DEPTH_MAX,
    error::{Error, Position},
    lexer::{Lexer, Token},
    value::{Document, Entry, Kind, Object, Syntax, Value},
};

pub(crate) fn parse(file: &str, text: &str) -> Result<Document, Error> {
    let mut parser = Parser { lexer: Lexer::new(file, text), token: Token::Eof, at: Position::default() };
    parser.advance()?;
    let root = parser.entries(0)?;
    if parser.token != Token::Eof {
        let reason = format!("expected: IDENT | STRING got: {}", parser.token.name());
        return Err(parser.refuse(reason, "a file holds `key = value` and `key { … }`"));
    }
    Ok(Document { file: Arc::from(file), syntax: Syntax::Hcl, root })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    at: Position,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, Error> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn refuse(&self, reason: impl Into<String>, hint: &'static str) -> Error {
        self.lexer.refuse(self.at, reason, hint)
    }

    /// All entries up to `}` or the end; which of the two is right, the caller knows.
    fn entries(&mut self, depth: usize) -> Result<Object, Error> {
        let mut object = Object::default();
        while !matches!(self.token, Token::CloseObject | Token::Eof) {
            object.entries.extend(self.entry(depth)?);
            if depth > 0 && self.token == Token::Comma {
                self.advance()?;
            }
        }
        Ok(object)
    }

    /// One `key = value`, `key { … }` or `key "label" { … }`; `None` for a `key =` at the very end, which HCL1 ignores.
    fn entry(&mut self, depth: usize) -> Result<Option<Entry>, Error> {
        let mut keys = Vec::new();
        loop {
            match &self.token {
                Token::Ident(_) | Token::Text(_) => {
                    let at = self.at;
                    if let Token::Ident(key) | Token::Text(key) = self.advance()? {
                        keys.push((key, at));
                    }
                }
                Token::Assign if keys.len() == 1 => {
                    self.advance()?;
                    if self.token == Token::Eof {
                        return Ok(None);
                    }
                    break;
                }
                Token::OpenObject if !keys.is_empty() => break,
                _ => return Err(self.refuse_after_keys(&keys)),
            }
            if keys.len() + depth > DEPTH_MAX {
                return Err(self.refuse("too many levels", "at most 100 blocks may stand in each other"));
            }
        }
        // `a "b" { … }` nests: what follows the first key becomes objects of one entry, built from the inside.
        let mut value = self.value(depth + keys.len())?;
        while let Some((key, position)) = keys.pop() {
            let entry = Entry { key, position, value };
            if keys.is_empty() {
                return Ok(Some(entry));
            }
            value = Value { position, kind: Kind::Object(Object { entries: vec![entry] }) };
        }
        unreachable!("the loop above ends with at least one key")
    }

    fn refuse_after_keys(&self, keys: &[(String, Position)]) -> Error {
        let found = self.token.name();
        match (keys, &self.token) {
            ([], Token::Assign) => {
                self.refuse("expected: IDENT | STRING got: ASSIGN", "a key is missing before =")
            }
            ([], _) => self.refuse(
                format!("expected: IDENT | STRING got: {found}"),
                "a key comes first: a word, or a text in double quotes",
            ),
            ([_, _, ..], Token::Assign) => self.refuse(
                "nested object expected: LBRACE got: ASSIGN",
                "one key before =; was the line before it left unfinished?",
            ),
            ([.., (key, _)], _) => self.refuse(
                format!("key '{key}' expected start of object ('{{') or assignment ('=')"),
                "write `key = value` or `key { … }`",
            ),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let position = self.at;
        if depth > DEPTH_MAX {
            return Err(
                self.refuse("too many levels", "at most 100 objects and lists may stand in each other")
            );
        }
        let kind = match &self.token {
            Token::OpenObject => return Ok(Value { position, kind: Kind::Object(self.object(depth)?) }),
            Token::OpenList => return Ok(Value { position, kind: Kind::List(self.list(depth)?) }),
            Token::Bool(on) => Kind::Bool(*on),
            Token::Integer(n) => Kind::Integer(*n),
            Token::Float(n) => Kind::Float(*n),
            Token::Text(text) | Token::Heredoc(text) => Kind::Text(text.clone()),
            other => {
                let Position { line, column } = self.at;
                let word = if let Token::Ident(word) = other { format!(" {word}") } else { String::new() };
                let reason = format!("Unknown token: {line}:{column} {}{word}", other.name());
                return Err(self.refuse(reason, "texts stand in double quotes; HCL1 has no functions"));
            }
        };
        self.advance()?;
        Ok(Value { position, kind })
    }

    fn object(&mut self, depth: usize) -> Result<Object, Error> {
        self.advance()?;
        let object = self.entries(depth)?;
        if self.token != Token::CloseObject {
            let reason = format!("object expected closing RBRACE got: {}", self.token.name());
            return Err(self.refuse(reason, "a } is missing"));
        }
        self.advance()?;
        Ok(object)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        self.advance()?;
        let mut list = Vec::new();
        while self.token != Token::CloseList {
            if self.token == Token::Eof {
                return Err(self.refuse("error parsing list, expected list end, got: EOF", "a ] is missing"));
            }
            list.push(self.value(depth + 1)?);
            match self.token {
                Token::Comma => {
                    self.advance()?;
                }
                Token::CloseList => {}
                _ => {
                    let found = self.token.name();
                    let reason = format!("error parsing list, expected comma or list end, got: {found}");
                    return Err(self.refuse(reason, "elements are separated by commas"));
                }
            }
        }
        self.advance()?;
        Ok(list)
    }
}
