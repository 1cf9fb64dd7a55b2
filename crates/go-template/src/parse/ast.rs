//! What a template means: statements and expressions, each knowing where it stands and how it is written.

use std::fmt;

/// Statements in order.
pub(crate) type Block = Vec<Statement>;

/// A statement and its position in the source.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) position: usize,
    pub(crate) kind: StatementKind,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    Text(Vec<u8>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { name: Vec<u8>, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// A condition or subject, what follows when it holds, and what otherwise.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Block,
    pub(crate) otherwise: Block,
}

/// Commands joined by `|`, perhaps kept in variables.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) position: usize,
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<Vec<u8>>,
    pub(crate) commands: Vec<Command>,
}

/// A function, method or value and its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) position: usize,
    pub(crate) words: Vec<Operand>,
}

/// An operand and its position in the source.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) position: usize,
    pub(crate) kind: OperandKind,
}

#[derive(Debug)]
pub(crate) enum OperandKind {
    Bool(bool),
    Dot,
    Nil,
    Number(Number),
    String { written: Vec<u8>, bytes: Vec<u8> },
    Field(Vec<Vec<u8>>),
    Variable { name: Vec<u8>, fields: Vec<Vec<u8>> },
    Function(String),
    Pipe(Box<Pipe>),
    Chain { of: Box<Operand>, fields: Vec<Vec<u8>> },
}

/// A number, in every form it can be taken for.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) written: Vec<u8>,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    /// Written with a point or an exponent, so that it is a float where the type is open.
    pub(crate) looks_float: bool,
    /// Real and imaginary part, for a number that ends in `i`.
    pub(crate) complex: Option<(f64, f64)>,
}

/// Whether nothing but blanks would be printed: such a definition does not replace another.
pub(crate) fn is_blank(block: &Block) -> bool {
    block.iter().all(|statement| match &statement.kind {
        StatementKind::Text(text) => text.iter().all(u8::is_ascii_whitespace),
        _ => false,
    })
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[Vec<u8>]) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{}", lossy(field)))
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StatementKind::Text(text) => f.write_str(&lossy(text)),
            StatementKind::Action(pipe) => write!(f, "{{{{{pipe}}}}}"),
            StatementKind::If(branch) => write!(f, "{{{{if {}}}}}", branch.pipe),
            StatementKind::With(branch) => write!(f, "{{{{with {}}}}}", branch.pipe),
            StatementKind::Range(branch) => write!(f, "{{{{range {}}}}}", branch.pipe),
            StatementKind::Template { name, pipe } => {
                write!(f, "{{{{template {}", crate::fmt::quoted(name))?;
                pipe.iter().try_for_each(|pipe| write!(f, " {pipe}"))?;
                f.write_str("}}")
            }
            StatementKind::Break => f.write_str("{{break}}"),
            StatementKind::Continue => f.write_str("{{continue}}"),
        }
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.variables.iter().enumerate() {
            write!(f, "{}{}", if position > 0 { ", " } else { "" }, lossy(name))?;
        }
        if !self.variables.is_empty() {
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (position, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if position > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, word) in self.words.iter().enumerate() {
            write!(f, "{}{word}", if position > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl Operand {
    /// As it stands in the source, without parentheses around it.
    pub(crate) fn written(&self) -> String {
        match &self.kind {
            OperandKind::Pipe(pipe) => pipe.to_string(),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Bool(truth) => write!(f, "{truth}"),
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Number(number) => f.write_str(&lossy(&number.written)),
            OperandKind::String { written, .. } => f.write_str(&lossy(written)),
            OperandKind::Field(fields) => write_fields(f, fields),
            OperandKind::Variable { name, fields } => {
                f.write_str(&lossy(name))?;
                write_fields(f, fields)
            }
            OperandKind::Function(name) => f.write_str(name),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
            OperandKind::Chain { of, fields } => {
                write!(f, "{of}")?;
                write_fields(f, fields)
            }
        }
    }
}
