//! The helpers of the Sprig library, under `sprig_` and in its argument order. Those that give another result each time
//! (dates, random values, the environment) are left out, as consul-template leaves them out.

mod case;
mod convert;
mod decimal;
mod dict;
mod list;
mod number;
mod text;
mod url;
mod version;

use go_template::{Signature, Type};

pub(super) use convert::ROWS as CONVERT_ROWS;
pub(super) use dict::ROWS as DICT_ROWS;
pub(super) use list::ROWS as LIST_ROWS;
pub(super) use number::ROWS as NUMBER_ROWS;
pub(super) use text::ROWS as TEXT_ROWS;
pub(super) use version::ROWS as VERSION_ROWS;

/// Functions that are another one by a second name.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("sprig_mustAppend", "sprig_append"),
    ("sprig_mustChunk", "sprig_chunk"),
    ("sprig_mustCompact", "sprig_compact"),
    ("sprig_mustDeepCopy", "sprig_deepCopy"),
    ("sprig_mustFirst", "sprig_first"),
    ("sprig_mustHas", "sprig_has"),
    ("sprig_mustInitial", "sprig_initial"),
    ("sprig_mustLast", "sprig_last"),
    ("sprig_mustMerge", "sprig_merge"),
    ("sprig_mustMergeOverwrite", "sprig_mergeOverwrite"),
    ("sprig_mustPrepend", "sprig_prepend"),
    ("sprig_mustPush", "sprig_push"),
    ("sprig_mustRegexFind", "sprig_regexFind"),
    ("sprig_mustRegexFindAll", "sprig_regexFindAll"),
    ("sprig_mustRegexMatch", "regexMatch"),
    ("sprig_mustRegexReplaceAll", "sprig_regexReplaceAll"),
    ("sprig_mustRegexReplaceAllLiteral", "sprig_regexReplaceAllLiteral"),
    ("sprig_mustRegexSplit", "sprig_regexSplit"),
    ("sprig_mustRest", "sprig_rest"),
    ("sprig_mustReverse", "sprig_reverse"),
    ("sprig_mustSlice", "sprig_slice"),
    ("sprig_mustToJson", "sprig_toJson"),
    ("sprig_mustToPrettyJson", "sprig_toPrettyJson"),
    ("sprig_mustToRawJson", "sprig_toRawJson"),
    ("sprig_mustUniq", "sprig_uniq"),
    ("sprig_mustWithout", "sprig_without"),
    ("sprig_osBase", "sprig_base"),
    ("sprig_osClean", "sprig_clean"),
    ("sprig_osDir", "sprig_dir"),
    ("sprig_osExt", "sprig_ext"),
    ("sprig_osIsAbs", "sprig_isAbs"),
    ("sprig_trimall", "sprig_trimAll"),
];

const ANY_TO_ANY: Signature = Signature::new(&[Type::Any], Type::Any);
const MANY_ANY: Signature = Signature::variadic(&[Type::Any], Type::Any);
const TEXT: Signature = Signature::new(&[Type::Str], Type::Str);
const TWO_TEXTS: Signature = Signature::new(&[Type::Str, Type::Str], Type::Str);
const THREE_TEXTS: Signature = Signature::new(&[Type::Str, Type::Str, Type::Str], Type::Str);
const TWO_TEXTS_TO_BOOL: Signature = Signature::new(&[Type::Str, Type::Str], Type::Bool);
