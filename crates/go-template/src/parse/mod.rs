//! From source text to a tree, once for any number of renderings.

pub(crate) mod ast;
pub(crate) mod calls;
pub(crate) mod lex;
pub(crate) mod literal;
mod token;

use std::collections::BTreeMap;

use ast::{Block, Branch, Command, Operand, OperandKind, Pipe, Statement, StatementKind};
use lex::Lexer;
use token::{Kind, Token};

use crate::error::ParseError;

/// What opens and closes an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiters {
    /// Opens an action: `{{` by default.
    pub left: String,
    /// Closes an action: `}}` by default.
    pub right: String,
}

impl Default for Delimiters {
    fn default() -> Self {
        Delimiters { left: "{{".to_owned(), right: "}}".to_owned() }
    }
}

/// A function name the parser was asked about.
pub enum Lookup {
    /// It can be called.
    Known,
    /// It cannot; the text, if not empty, says what could have been meant.
    Unknown(String),
}

/// How deep conditions, loops and parentheses may stand in each other.
const NESTING_MAX: usize = 250;

/// The trees of a source: its own under its own name, and one for each definition.
pub(crate) fn parse(
    name: &str,
    source: &[u8],
    delimiters: &Delimiters,
    lookup: &dyn Fn(&str) -> Lookup,
) -> Result<BTreeMap<Vec<u8>, Block>, ParseError> {
    let mut parser = Parser {
        name,
        lexer: Lexer::new(source, delimiters),
        lookup,
        ahead: Vec::new(),
        line: 1,
        action_line: 0,
        depth: 0,
        scope: Scope::new(),
        trees: BTreeMap::new(),
    };
    let root = parser.top_level()?;
    parser.add(name.as_bytes().to_vec(), root)?;
    Ok(parser.trees)
}

struct Parser<'a> {
    name: &'a str,
    lexer: Lexer<'a>,
    lookup: &'a dyn Fn(&str) -> Lookup,
    /// Tokens read too far; the next one is the last.
    ahead: Vec<Token>,
    /// The line of the token that was read last: where errors are reported.
    line: usize,
    action_line: usize,
    depth: usize,
    scope: Scope,
    trees: BTreeMap<Vec<u8>, Block>,
}

/// What a definition sees: its own variables and its own loops.
struct Scope {
    variables: Vec<Vec<u8>>,
    loops: usize,
}

impl Scope {
    fn new() -> Self {
        Scope { variables: vec![b"$".to_vec()], loops: 0 }
    }
}

/// Where a list of statements stopped.
enum Stop {
    End,
    Else,
}

/// A statement, or the word that ends a list of them.
enum Item {
    Statement(Statement),
    Stop(Stop),
}

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn top_level(&mut self) -> Parsed<Block> {
        let mut root = Block::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delimiter = self.next();
                let word = self.next_word();
                if word.kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.ahead.push(word);
                self.ahead.push(delimiter);
            }
            match self.item()? {
                Item::Statement(statement) => root.push(statement),
                Item::Stop(Stop::End) => return self.error("unexpected {{end}}"),
                Item::Stop(Stop::Else) => return self.error("unexpected {{else}}"),
            }
        }
        Ok(root)
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let body = self.own_scope(CONTEXT, None)?;
        self.add(name, body)
    }

    /// A body that sees nothing of what is around it. An `else` in it is reported on a line of its own choice.
    fn own_scope(&mut self, context: &str, line: Option<usize>) -> Parsed<Block> {
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let action_line = std::mem::take(&mut self.action_line);
        let (body, stop) = self.list()?;
        (self.scope, self.action_line) = (outer, action_line);
        match stop {
            Stop::End => Ok(body),
            Stop::Else => {
                self.line = line.unwrap_or(self.line);
                self.error(format!("unexpected {{{{else}}}} in {context}"))
            }
        }
    }

    fn add(&mut self, name: Vec<u8>, body: Block) -> Parsed<()> {
        if self.trees.get(&name).is_none_or(ast::is_blank) {
            self.trees.insert(name, body);
        } else if !ast::is_blank(&body) {
            let name = crate::fmt::quoted(&name);
            return self.error(format!("template: multiple definition of template {name}"));
        }
        Ok(())
    }

    /// Statements up to an `end` or `else`.
    fn list(&mut self) -> Parsed<(Block, Stop)> {
        let mut block = Block::new();
        while self.peek_word().kind != Kind::Eof {
            match self.item()? {
                Item::Statement(statement) => block.push(statement),
                Item::Stop(stop) => {
                    // Templates are kept for as long as the program runs, and there may be many.
                    block.shrink_to_fit();
                    return Ok((block, stop));
                }
            }
        }
        self.error("unexpected EOF")
    }

    fn item(&mut self) -> Parsed<Item> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => {
                let kind = StatementKind::Text(token.text);
                Ok(Item::Statement(Statement { position: token.position, kind }))
            }
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_word();
        let position = token.position;
        let kind = match token.kind {
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Kind::Else => {
                if !matches!(self.peek_word().kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            Kind::If => StatementKind::If(self.branch(Kind::If, "if")?),
            Kind::With => StatementKind::With(self.branch(Kind::With, "with")?),
            Kind::Range => StatementKind::Range(self.branch(Kind::Range, "range")?),
            Kind::Block => return self.block().map(Item::Statement),
            Kind::Template => return self.template().map(Item::Statement),
            Kind::Break => self.leave_loop("{{break}}", StatementKind::Break)?,
            Kind::Continue => self.leave_loop("{{continue}}", StatementKind::Continue)?,
            _ => {
                self.ahead.push(token);
                StatementKind::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Statement(Statement { position, kind }))
    }

    fn leave_loop(&mut self, written: &str, kind: StatementKind) -> Parsed<StatementKind> {
        let token = self.next_word();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, written);
        }
        if self.scope.loops == 0 {
            return self.error(format!("{written} outside {{{{range}}}}"));
        }
        Ok(kind)
    }

    fn branch(&mut self, kind: Kind, context: &str) -> Parsed<Branch> {
        let outer = self.scope.variables.len();
        self.deeper()?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.scope.loops += usize::from(kind == Kind::Range);
        let (body, stop) = self.list()?;
        self.scope.loops -= usize::from(kind == Kind::Range);
        let otherwise = match stop {
            Stop::End => Block::new(),
            Stop::Else => self.otherwise(kind)?,
        };
        self.depth -= 1;
        self.scope.variables.truncate(outer);
        Ok(Branch { pipe, body, otherwise })
    }

    /// After `else`: a chained `if` or `with` of the same kind, or statements up to `end`.
    fn otherwise(&mut self, kind: Kind) -> Parsed<Block> {
        if kind != Kind::Range && self.peek().kind == kind {
            let token = self.next();
            let kind = match kind {
                Kind::If => StatementKind::If(self.branch(Kind::If, "if")?),
                _ => StatementKind::With(self.branch(Kind::With, "with")?),
            };
            return Ok(vec![Statement { position: token.position, kind }]);
        }
        match self.list()? {
            (block, Stop::End) => Ok(block),
            (_, Stop::Else) => self.error("expected end; found {{else}}"),
        }
    }

    fn block(&mut self) -> Parsed<Statement> {
        const CONTEXT: &str = "block clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        self.deeper()?;
        let body = self.own_scope(CONTEXT, Some(self.line))?;
        self.depth -= 1;
        self.add(name.clone(), body)?;
        Ok(Statement { position: token.position, kind: StatementKind::Template { name, pipe: Some(pipe) } })
    }

    fn template(&mut self) -> Parsed<Statement> {
        const CONTEXT: &str = "template clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        let next = self.next_word();
        let pipe = if next.kind == Kind::RightDelim {
            None
        } else {
            self.ahead.push(next);
            Some(self.pipeline(CONTEXT, Kind::RightDelim)?)
        };
        Ok(Statement { position: token.position, kind: StatementKind::Template { name, pipe } })
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<Vec<u8>> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquoted(token),
            _ => self.unexpected(token, context),
        }
    }

    fn unquoted(&mut self, token: &Token) -> Parsed<Vec<u8>> {
        match literal::unquote(&token.text) {
            Some(bytes) => Ok(bytes),
            None => self.error("invalid syntax"),
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let position = self.peek_word().position;
        let mut pipe = Pipe { position, assigns: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_word();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.ahead.push(token);
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        pipe.commands.shrink_to_fit();
        self.check(pipe, context)
    }

    /// `$x :=`, `$x =`, and in a loop `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        while self.peek_word().kind == Kind::Variable {
            let variable = self.next();
            let after = self.next();
            let next = if after.kind == Kind::Space { self.peek_word().clone() } else { after.clone() };
            let comma = next.kind == Kind::Char && next.text == b",";
            if !comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.ahead.push(after);
                self.ahead.push(variable);
                return Ok(());
            }
            if after.kind == Kind::Space {
                self.next_word();
            }
            pipe.variables.push(variable.text.clone());
            self.scope.variables.push(variable.text);
            if !comma {
                pipe.assigns = next.kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() > 1 {
                return self.error(format!("too many declarations in {context}"));
            }
            if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return self.error("range can only initialize variables");
            }
        }
        Ok(())
    }

    fn check(&mut self, pipe: Pipe, context: &str) -> Parsed<Pipe> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (position, command) in pipe.commands.iter().enumerate().skip(1) {
            if is_constant(&command.words[0].kind) {
                return self.error(format!("non executable command in pipeline stage {}", position + 1));
            }
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Parsed<Command> {
        let position = self.peek_word().position;
        let mut words = Vec::new();
        loop {
            self.peek_word();
            if let Some(operand) = self.operand()? {
                words.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.ahead.push(token),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if words.is_empty() {
            return self.error("empty command");
        }
        words.shrink_to_fit();
        Ok(Command { position, words })
    }

    /// A term and the fields chained to it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let position = self.peek().position;
        let mut chained = Vec::new();
        while self.peek().kind == Kind::Field {
            chained.push(self.next().text[1..].to_vec());
        }
        match &mut term.kind {
            OperandKind::Field(fields) | OperandKind::Variable { fields, .. } => {
                fields.append(&mut chained);
                term.position = position;
            }
            kind if is_constant(kind) => {
                let written = crate::fmt::quoted(term.to_string().as_bytes());
                return self.error(format!("unexpected . after term {written}"));
            }
            _ => {
                let kind = OperandKind::Chain { of: Box::new(term), fields: chained };
                term = Operand { position, kind };
            }
        }
        Ok(Some(term))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_word();
        let kind = match token.kind {
            Kind::Identifier => self.function(&token)?,
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == b"true"),
            Kind::Variable => self.variable(&token)?,
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_vec()]),
            Kind::CharConstant | Kind::Complex | Kind::Number => OperandKind::Number(self.number(&token)?),
            Kind::String | Kind::RawString => {
                let bytes = self.unquoted(&token)?;
                OperandKind::String { written: token.text, bytes }
            }
            Kind::LeftParen => {
                self.deeper()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                let position = pipe.position;
                return Ok(Some(Operand { position, kind: OperandKind::Pipe(Box::new(pipe)) }));
            }
            _ => {
                self.ahead.push(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { position: token.position, kind }))
    }

    fn number(&mut self, token: &Token) -> Parsed<ast::Number> {
        let number = match token.kind {
            Kind::CharConstant => literal::character(&token.text),
            Kind::Complex => literal::complex(&token.text),
            _ => literal::numeric(&token.text),
        };
        number.or_else(|text| self.error(text))
    }

    fn function(&mut self, token: &Token) -> Parsed<OperandKind> {
        let name = String::from_utf8_lossy(&token.text).into_owned();
        if crate::exec::is_builtin(&name) {
            return Ok(OperandKind::Function(name));
        }
        match (self.lookup)(&name) {
            Lookup::Known => Ok(OperandKind::Function(name)),
            Lookup::Unknown(hint) => {
                let hint = if hint.is_empty() { hint } else { format!("; {hint}") };
                self.error(format!("function {} not defined{hint}", crate::fmt::quoted(name.as_bytes())))
            }
        }
    }

    fn variable(&mut self, token: &Token) -> Parsed<OperandKind> {
        if !self.scope.variables.contains(&token.text) {
            return self.error(format!("undefined variable {}", crate::fmt::quoted(&token.text)));
        }
        Ok(OperandKind::Variable { name: token.text.clone(), fields: Vec::new() })
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return self
                .error(format!("nested deeper than {NESTING_MAX}; move parts into templates of their own"));
        }
        Ok(())
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<()> {
        let token = self.next_word();
        if token.kind == kind { Ok(()) } else { self.unexpected(&token, context) }
    }

    fn unexpected<T>(&mut self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {token} in {context}"));
        }
        let mut text = token.to_string();
        if self.action_line != 0 && self.action_line != token.line {
            let started = format!("action started at {}:{}", self.name, self.action_line);
            text = if text.ends_with(" action") {
                format!("{text}{}", &started["action".len()..])
            } else {
                format!("{text} in {started}")
            };
        }
        self.error(text)
    }

    fn error<T>(&mut self, text: impl Into<String>) -> Parsed<T> {
        Err(ParseError { name: self.name.to_owned(), line: self.line, reason: text.into() })
    }

    fn next(&mut self) -> Token {
        if let Some(token) = self.ahead.pop() {
            return token;
        }
        let token = self.lexer.next();
        self.line = token.line;
        token
    }

    fn peek(&mut self) -> &Token {
        let token = self.next();
        self.ahead.push(token);
        self.ahead.last().expect("pushed just now")
    }

    /// The next token that is not a blank.
    fn next_word(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_word(&mut self) -> &Token {
        let token = self.next_word();
        self.ahead.push(token);
        self.ahead.last().expect("pushed just now")
    }
}

fn is_constant(kind: &OperandKind) -> bool {
    matches!(
        kind,
        OperandKind::Bool(_)
            | OperandKind::Dot
            | OperandKind::Nil
            | OperandKind::Number(_)
            | OperandKind::String { .. }
    )
}
