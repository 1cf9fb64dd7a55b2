//! What the templates beside Go work on: the same data and functions as in `oracle/main.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use go_template::{Host, Key, List, Object, Signature, StructType, Templates, Type, UintKind, Value};

static INNER: StructType =
    StructType { name: "main.Inner", fields: &[("Name", Type::Str), ("Port", Type::INT)] };

static REC: StructType = StructType {
    name: "main.Rec",
    fields: &[
        ("Name", Type::Str),
        ("Port", Type::INT),
        ("Ratio", Type::Float),
        ("On", Type::Bool),
        ("Tags", Type::STRINGS),
        ("Inner", Type::Struct(&INNER)),
        ("Next", Type::Pointer(&REC)),
        ("Any", Type::Any),
        ("Meta", Type::STR_MAP),
    ],
};

const REC_POINTER: Type = Type::Pointer(&REC);
const REC_VALUE: Type = Type::Struct(&REC);
const BYTE: Type = Type::Uint(UintKind::Uint8);
const INT_MAP: Type = Type::Map(&Type::INT, &Type::Str);
const UINT_MAP: Type = Type::Map(&Type::UINT64, &Type::Bool);
const BOOL_MAP: Type = Type::Map(&Type::Bool, &Type::Float);
const MIXED_MAP: Type = Type::Map(&Type::Any, &Type::Any);
const NAMED: Type = Type::NamedList("main.Named", &Type::Str);

/// The first record: by value, or behind a pointer.
fn first(pointer: bool) -> Value {
    let fields = vec![
        "first".into(),
        Value::int(80),
        Value::Float(0.5),
        Value::Bool(true),
        Value::strings(["x", "y"]),
        Value::record(&INNER, vec!["in".into(), Value::int(9)]),
        Value::zero(REC_POINTER),
        Value::Nil,
        Value::map(Type::STR_MAP, [(Key::text("k"), "v".into())].into()),
    ];
    if pointer { Value::pointer(&REC, fields) } else { Value::record(&REC, fields) }
}

fn second() -> Value {
    let fields = vec![
        "second".into(),
        Value::int(2),
        Value::Float(0.0),
        Value::Bool(false),
        Value::strings::<&str>([]),
        Value::record(&INNER, vec!["".into(), Value::int(0)]),
        Value::zero(REC_POINTER),
        Value::int(7),
        Value::zero(Type::STR_MAP),
    ];
    Value::record(&REC, fields)
}

fn any_map(entries: Vec<(&str, Value)>) -> Value {
    let entries: BTreeMap<Key, Value> =
        entries.into_iter().map(|(name, value)| (Key::text(name), value)).collect();
    Value::map(Type::ANY_MAP, entries)
}

/// What dot is.
pub(crate) fn data() -> Value {
    let mut entries = scalars();
    entries.extend(lists());
    entries.extend(maps());
    entries.extend([("rec", first(false)), ("val", second())]);
    any_map(entries)
}

fn scalars() -> Vec<(&'static str, Value)> {
    vec![
        ("a", Value::int(1)),
        ("i64", Value::int64(-5)),
        ("u", Value::uint(7)),
        ("f", Value::Float(1.5)),
        ("big", Value::Float(12_345_678.0)),
        ("b", Value::Bool(true)),
        ("s", "te<x>t".into()),
        ("e", "".into()),
        ("n", Value::Nil),
        ("ugly", b"\xffa\x00\"'\\\x7f\n\xe9".as_slice().into()),
        ("words", "Zwei Wörter & 日本 = \u{a0}\u{200b}\u{e000}😀".into()),
        ("é", "accent".into()),
    ]
}

fn lists() -> Vec<(&'static str, Value)> {
    let anys = |items: Vec<Value>| Value::list(&Type::Any, items);
    let named = List { ty: NAMED, items: vec!["t1".into(), "t2".into()], nil: false };
    vec![
        ("list", anys(vec![Value::int(1), "x".into(), Value::Float(2.5), Value::Nil, Value::Bool(true)])),
        ("strs", Value::strings(["p", "q r"])),
        ("empty", anys(vec![])),
        ("recs", Value::list(&REC_VALUE, vec![first(false), second()])),
        ("ints", Value::list(&Type::INT64, vec![Value::int64(3), Value::int64(-4)])),
        ("floats", Value::list(&Type::Float, vec![Value::Float(0.25), Value::Float(-1e9)])),
        (
            "bytes",
            Value::list(&BYTE, b"by\n".iter().map(|b| Value::Uint(u64::from(*b), UintKind::Uint8)).collect()),
        ),
        ("grid", anys(vec![anys(vec![Value::int(1), Value::int(2)]), anys(vec![]), Value::Nil])),
        ("named", Value::List(Arc::new(named))),
        ("nillist", Value::zero(Type::STRINGS)),
    ]
}

fn maps() -> Vec<(&'static str, Value)> {
    let deep = any_map(vec![("z", "deep".into())]);
    let texts = [(Key::text("k"), "v".into()), (Key::text("l"), "".into())];
    let numbers = [(Key::Int(10), "ten".into()), (Key::Int(2), "two".into())];
    let mixed = [(Key::text("k"), Value::int(1)), (Key::text("l"), Value::Nil)];
    vec![
        ("m", any_map(vec![("x", Value::int(1)), ("y", deep), ("n", Value::Nil)])),
        ("sm", Value::map(Type::STR_MAP, texts.into())),
        ("im", Value::map(INT_MAP, numbers.into())),
        (
            "um",
            Value::map(
                UINT_MAP,
                [(Key::Uint(7), Value::Bool(true)), (Key::Uint(10), Value::Bool(false))].into(),
            ),
        ),
        (
            "bm",
            Value::map(
                BOOL_MAP,
                [(Key::Bool(true), Value::Float(1.0)), (Key::Bool(false), Value::Float(0.0))].into(),
            ),
        ),
        ("am", Value::map(MIXED_MAP, mixed.into())),
        ("nilmap", Value::zero(Type::STR_MAP)),
    ]
}

/// Something with methods.
struct Pad;

impl Object for Pad {
    fn type_name(&self) -> &'static str {
        "*main.Pad"
    }

    fn method(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "Get" => Signature::new(&[Type::Str], Type::Any),
            "Sum" => Signature::variadic(&[Type::INT], Type::INT),
            "Count" => Signature::new(&[], Type::INT),
            "Fail" | "String" => Signature::new(&[], Type::Str),
            _ => return None,
        })
    }

    fn call(&self, name: &str, args: Vec<Value>) -> Result<Value, String> {
        Ok(match (name, args.as_slice()) {
            ("Get", [key]) if key.as_bytes() == Some(b"none") => Value::Nil,
            ("Get", [key]) => key.clone(),
            ("Sum", numbers) => Value::int(sum(numbers)),
            ("Count", _) => Value::int(3),
            ("String", _) => "pad".into(),
            _ => return Err("no luck".to_owned()),
        })
    }

    fn text(&self) -> Option<String> {
        Some("pad".to_owned())
    }
}

fn sum(numbers: &[Value]) -> i64 {
    let number = |value: &Value| if let Value::Int(number, _) = value { *number } else { 0 };
    numbers.iter().map(number).fold(0, i64::wrapping_add)
}

pub(crate) struct Functions;

impl Host for Functions {
    fn signature(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "echo" => Signature::variadic(&[Type::Any], Type::Any),
            "list" => Signature::variadic(&[Type::Any], Type::ANYS),
            "plus" => Signature::new(&[Type::INT, Type::INT], Type::INT),
            "half" => Signature::new(&[Type::Float], Type::Float),
            "glue" => Signature::new(&[Type::Str, Type::STRINGS], Type::Str),
            "up" => Signature::new(&[Type::Str], Type::Str),
            "yes" => Signature::new(&[], Type::Bool),
            "bad" => Signature::new(&[], Type::Str),
            "none" | "there" => Signature::new(&[], REC_POINTER),
            "both" => Signature::new(&[], Type::List(&REC_POINTER)),
            "pad" => Signature::new(&[], Type::Object("*main.Pad")),
            "unsigned" => Signature::new(&[Type::UINT64], Type::UINT64),
            "wide" => Signature::new(&[Type::INT64], Type::INT64),
            "is" => Signature::new(&[Type::Bool], Type::Str),
            "many" => Signature::variadic(&[Type::Str, Type::INT], Type::Str),
            "port" => Signature::new(&[REC_VALUE], Type::INT),
            "size" => Signature::new(&[Type::ANY_MAP], Type::INT),
            _ => return None,
        })
    }

    fn call(&mut self, name: &str, args: Vec<Value>, _: &Templates<'_>) -> Result<Value, String> {
        let text = |at: usize| args[at].as_bytes().unwrap_or_default().to_vec();
        Ok(match (name, args.as_slice()) {
            ("echo", _) => args.into_iter().next().unwrap_or(Value::Nil),
            ("list", _) => Value::list(&Type::Any, args),
            ("plus", numbers) => Value::int(sum(numbers)),
            ("half", [Value::Float(a)]) => Value::Float(a / 2.0),
            ("glue", [_, Value::List(list)]) => {
                let parts: Vec<&[u8]> =
                    list.items.iter().map(|item| item.as_bytes().unwrap_or_default()).collect();
                Value::from(parts.join(&text(0)[..]))
            }
            ("up", _) => Value::from(text(0).to_ascii_uppercase()),
            ("yes", _) => Value::Bool(true),
            ("none", _) => Value::zero(REC_POINTER),
            ("there", _) => first(true),
            ("both", _) => Value::list(&REC_POINTER, vec![first(true), Value::zero(REC_POINTER)]),
            ("pad", _) => Value::Object(Arc::new(Pad)),
            ("unsigned" | "wide", [number]) => number.clone(),
            ("is", [truth]) => if truth.truth() { "is" } else { "is not" }.into(),
            ("many", [_, numbers @ ..]) => {
                Value::from([text(0), sum(numbers).to_string().into_bytes()].concat())
            }
            ("port", [record]) => {
                record.as_record().and_then(|record| record.get("Port")).cloned().unwrap_or(Value::Nil)
            }
            ("size", [Value::Map(map)]) => Value::int(i64::try_from(map.entries().len()).unwrap_or(-1)),
            _ => return Err("boom".to_owned()),
        })
    }
}
