//! JSON as Go writes and reads it.

mod decode;
mod encode;
mod parse;
mod type_name;
mod value;

pub use decode::{DecodeError, Given, Nanos, Unknown, decode, decode_value};
pub use encode::{indent, to_vec};
pub use value::Json;
