//! Where something stands, and what is wrong there.

use std::{fmt, sync::Arc};

/// A place in a text: both numbers begin at 1, the column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A place in a file; prints as `web.hcl:3:7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name as the caller gave it.
    pub file: Arc<str>,
    /// Where in it.
    pub position: Position,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.position.line, self.position.column)
    }
}

/// Why a text could not be read; prints as `web.hcl:3:7: REASON (HINT)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What was found and expected, in the words HCL1 and Go's JSON use; scripts look for them.
    pub reason: String,
    /// What to change.
    pub hint: &'static str,
    /// The language it was read as.
    pub syntax: crate::Syntax,
}

impl Error {
    /// The error as Consul and consul-template print it after the file's name: `At 3:7: REASON`, for JSON `REASON`.
    pub fn consul_text(&self) -> String {
        let Position { line, column } = self.place.position;
        match self.syntax {
            crate::Syntax::Hcl => format!("At {line}:{column}: {}", self.reason),
            crate::Syntax::Json => self.reason.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

impl std::error::Error for Error {}
