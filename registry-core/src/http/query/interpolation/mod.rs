//! Texts with `${…}` in them, as templates of prepared queries hold them.
//!
//! Between the braces stand variables (`name.full`), calls (`match(1)`), numbers, texts in quotes, arithmetic,
//! comparisons, `&&`, `||`, `!` and `a ? b : c`; `$$` is a dollar sign. [`parse()`] reads a text, [`value`] says what it is
//! with given variables. The errors are in Consul's words, with line and column. Pure.

mod lex;
mod parse;
mod value;

pub(super) use parse::parse;
pub(super) use value::Variables;

/// An expression; a whole text is one too.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// Parts to be put together.
    Text(Vec<Expression>),
    Literal(Value),
    Variable(Place, String),
    Call(Place, String, Vec<Expression>),
    Unary(Place, &'static str, Box<Expression>),
    Binary(Place, &'static str, Box<Expression>, Box<Expression>),
    Choice(Place, Box<Expression>, Box<Expression>, Box<Expression>),
}

/// What an expression can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Fraction(f64),
    Flag(bool),
}

/// Where something stands, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}
