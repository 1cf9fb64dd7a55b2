//! The helpers of the Sprig library, under `sprig_` and in its argument order. Those that give another result each time
//! (dates, random values, the environment) are left out, as consul-template leaves them out.

mod convert;
mod dict;
mod list;
mod number;
mod text;
mod version;

use super::Row;
use go_template::{Signature, Type};

/// The rows of each topic.
pub(super) const TOPICS: &[&[Row]] =
    &[text::ROWS, number::ROWS, list::ROWS, dict::ROWS, convert::ROWS, version::ROWS];

const ANY_TO_ANY: Signature = Signature::new(&[Type::Any], Type::Any);
const TWO_ANY: Signature = Signature::new(&[Type::Any, Type::Any], Type::Any);
const MANY_ANY: Signature = Signature::variadic(&[Type::Any], Type::Any);
const TEXT: Signature = Signature::new(&[Type::Str], Type::Str);
const TWO_TEXTS: Signature = Signature::new(&[Type::Str, Type::Str], Type::Str);
const THREE_TEXTS: Signature = Signature::new(&[Type::Str, Type::Str, Type::Str], Type::Str);
const TWO_TEXTS_TO_BOOL: Signature = Signature::new(&[Type::Str, Type::Str], Type::Bool);
