//! What can be wrong with a template, always with its place.

use thiserror::Error;

/// A template that cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("template: {name}:{line}: {reason}")]
pub struct ParseError {
    /// The name the template was given.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

/// A template that failed while it was executed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("template: {name}:{line}:{column}: executing {} at <{node}>: {reason}", crate::fmt::quoted(template.as_bytes()))]
pub struct ExecError {
    /// The name of the source.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0.
    pub column: usize,
    /// The name of the definition that was being executed.
    pub template: String,
    /// The expression that failed, as written.
    pub node: String,
    /// What is wrong with it.
    pub reason: String,
}
