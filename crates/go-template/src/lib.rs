//! Go's `text/template`: lexer, parser, evaluator and `fmt` verbs, with nothing that reads a clock, a disk or a network.
//!
//! [`Template::parse`] reads a source once; [`Template::execute`] runs it as often as needed on a [`Value`] and with the
//! functions of a [`Host`]. Texts, positions and errors are those of the original; strings are bytes throughout.
//!
//! | folder | content |
//! | --- | --- |
//! | `parse/` | from source to tree |
//! | `exec/` | statements, expressions, calls, built-in functions |
//! | `fmt/` | values as text |
//! | `types.rs`, `value.rs` | what values there are |

mod error;
mod exec;
pub mod fmt;
mod parse;
mod types;
mod value;

pub use error::{ExecError, ParseError};
pub use exec::{Host, MissingKey, Options, Template, Templates};
pub use parse::calls::Call;
pub use parse::literal::float as parse_float;
pub use parse::{Delimiters, Lookup};
pub use types::{IntKind, Signature, StructType, Type, UintKind};
pub use value::{Key, List, Map, Object, Stream, Struct, Value};
