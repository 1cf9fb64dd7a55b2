//! Lists.

use std::sync::Arc;

use go_template::{List, Signature, Type, Value};

use super::convert::kind;
use super::number::int;
use super::{ANY_TO_ANY, MANY_ANY};
use crate::functions::group::items;
use crate::functions::{Context, Row, bytes, shown, shown_bytes, string};

const TO_LIST: Signature = Signature::variadic(&[Type::Any], Type::ANYS);
const LIST: Signature = Signature::new(&[Type::Any], Type::ANYS);
const LIST_AND_ONE: Signature = Signature::new(&[Type::Any, Type::Any], Type::ANYS);

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure("sprig_list", TO_LIST, "A list of the arguments.", |_, a| Ok(anys(a.to_vec())))
        .example(r#"{{ sprig_list 1 "a" true }}"#, "[1 a true]"),
    Row::pure("sprig_tuple", TO_LIST, "A list of the arguments.", |_, a| Ok(anys(a.to_vec())))
        .example(r#"{{ sprig_tuple 1 "a" }}"#, "[1 a]"),
    Row::pure("sprig_first", ANY_TO_ANY, "The first element.", |_, a| {
        Ok(of(a, 0, "find first on")?.first().cloned().unwrap_or(Value::Nil))
    })
    .example("{{ sprig_first (sprig_list 1 2 3) }}", "1"),
    Row::pure("sprig_last", ANY_TO_ANY, "The last element.", |_, a| {
        Ok(of(a, 0, "find last on")?.last().cloned().unwrap_or(Value::Nil))
    })
    .example("{{ sprig_last (sprig_list 1 2 3) }}", "3"),
    Row::pure("sprig_rest", LIST, "All but the first.", |_, a| {
        let list = of(a, 0, "find rest on")?;
        Ok(anys_or_nil(list.get(1..).unwrap_or_default(), list.is_empty()))
    })
    .example("{{ sprig_rest (sprig_list 1 2 3) }}", "[2 3]"),
    Row::pure("sprig_initial", LIST, "All but the last.", |_, a| {
        let list = of(a, 0, "find initial on")?;
        Ok(anys_or_nil(&list[..list.len().saturating_sub(1)], list.is_empty()))
    })
    .example("{{ sprig_initial (sprig_list 1 2 3) }}", "[1 2]"),
    Row::pure("sprig_append", LIST_AND_ONE, "The list and one more at its end.", |_, a| {
        Ok(anys(of(a, 0, "push on")?.iter().chain([&a[1]]).cloned().collect()))
    })
    .example("{{ sprig_append (sprig_list 1 2) 3 }}", "[1 2 3]"),
    Row::pure("sprig_push", LIST_AND_ONE, "The list and one more at its end.", |_, a| {
        Ok(anys(of(a, 0, "push on")?.iter().chain([&a[1]]).cloned().collect()))
    })
    .example("{{ sprig_push (sprig_list 1 2) 3 }}", "[1 2 3]"),
    Row::pure("sprig_prepend", LIST_AND_ONE, "One more before the list.", |_, a| {
        Ok(anys([&a[1]].into_iter().chain(of(a, 0, "prepend on")?).cloned().collect()))
    })
    .example("{{ sprig_prepend (sprig_list 1 2) 3 }}", "[3 1 2]"),
    Row::pure("sprig_concat", TO_LIST, "The lists one after the other.", |_, a| {
        let mut all = Vec::new();
        for list in a {
            match list {
                Value::List(list) => all.extend(list.items.iter().cloned()),
                Value::Nil => return Err(NIL.to_owned()),
                other => return Err(format!("Cannot concat type {} as list", kind(other))),
            }
        }
        Ok(anys_or_nil(&all, all.is_empty()))
    })
    .example("{{ sprig_concat (sprig_list 1) (sprig_list 2 3) }}", "[1 2 3]"),
    Row::pure("sprig_reverse", LIST, "The list backwards.", |_, a| {
        Ok(anys(of(a, 0, "find reverse on")?.iter().rev().cloned().collect()))
    })
    .example("{{ sprig_reverse (sprig_list 1 2) }}", "[2 1]"),
    Row::pure("sprig_uniq", LIST, "Each element once.", |_, a| {
        let mut kept: Vec<Value> = Vec::new();
        for item in of(a, 0, "find uniq on")? {
            if !kept.iter().any(|known| equal(known, item)) {
                kept.push(item.clone());
            }
        }
        Ok(anys(kept))
    })
    .example("{{ sprig_uniq (sprig_list 1 2 1) }}", "[1 2]"),
    Row::pure(
        "sprig_without",
        Signature::variadic(&[Type::Any, Type::Any], Type::ANYS),
        "The list without these elements.",
        |_, a| {
            Ok(anys(kept(of(a, 0, "find without on")?, |item| !a[1..].iter().any(|gone| equal(gone, item)))))
        },
    )
    .example("{{ sprig_without (sprig_list 1 2 3) 2 }}", "[1 3]"),
    Row::pure("sprig_compact", LIST, "The list without empty elements.", |_, a| {
        Ok(anys(kept(of(a, 0, "compact on")?, Value::truth)))
    })
    .example(r#"{{ sprig_compact (sprig_list 1 "" 0 2) }}"#, "[1 2]"),
    Row::pure("sprig_has", Signature::new(&[Type::Any, Type::Any], Type::Bool), "`ELEMENT LIST`.", |_, a| {
        if matches!(a[1], Value::Nil) {
            return Ok(Value::Bool(false));
        }
        Ok(Value::Bool(of(a, 1, "find has on")?.iter().any(|item| equal(item, &a[0]))))
    })
    .example("{{ sprig_has 2 (sprig_list 1 2) }}", "true"),
    Row::pure(
        "sprig_sortAlpha",
        Signature::new(&[Type::Any], Type::STRINGS),
        "The elements as sorted texts.",
        |_, a| {
            if let Some(list) = nil_texts(&a[0]) {
                return Ok(list);
            }
            let mut texts = if matches!(a[0], Value::Nil) { vec![shown_bytes(&a[0])] } else { texts(&a[0]) };
            texts.sort();
            Ok(Value::strings(texts))
        },
    )
    .example(r#"{{ sprig_sortAlpha (sprig_list "b" "a") }}"#, "[a b]"),
    Row::pure(
        "sprig_join",
        Signature::new(&[Type::Str, Type::Any], Type::Str),
        "`SEPARATOR LIST`: one text.",
        |_, a| Ok(Value::from(texts(&a[1]).join(bytes(&a[0])))),
    )
    .example(r#"{{ sprig_join "+" (sprig_list 1 "a") }}"#, "1+a"),
    Row::pure(
        "sprig_toStrings",
        Signature::new(&[Type::Any], Type::STRINGS),
        "The elements as texts.",
        |_, a| Ok(nil_texts(&a[0]).unwrap_or_else(|| Value::strings(texts(&a[0])))),
    )
    .example("{{ sprig_toStrings (sprig_list 1 true) }}", "[1 true]"),
    Row::pure(
        "sprig_slice",
        Signature::variadic(&[Type::Any, Type::Any], Type::Any),
        "`LIST [START [END]]`: a part of the list.",
        slice,
    )
    .example("{{ sprig_slice (sprig_list 1 2 3 4) 1 3 }}", "[2 3]"),
    Row::pure(
        "sprig_chunk",
        Signature::new(&[Type::INT, Type::Any], Type::List(&Type::ANYS)),
        "`SIZE LIST`: lists of so many elements.",
        chunk,
    )
    .example("{{ sprig_chunk 2 (sprig_list 1 2 3) }}", "[[1 2] [3]]"),
    Row::pure(
        "sprig_default",
        Signature::variadic(&[Type::Any, Type::Any], Type::Any),
        "`DEFAULT VALUE`: the value unless empty.",
        |_, a| Ok(a.get(1).filter(|value| value.truth()).unwrap_or(&a[0]).clone()),
    )
    .example(r#"{{ sprig_default "-" "" }}"#, "-"),
    Row::pure("sprig_coalesce", MANY_ANY, "The first that is not empty.", |_, a| {
        Ok(a.iter().find(|value| value.truth()).cloned().unwrap_or(Value::Nil))
    })
    .example(r#"{{ sprig_coalesce "" 0 "a" }}"#, "a"),
    Row::pure(
        "sprig_all",
        Signature::variadic(&[Type::Any], Type::Bool),
        "Whether none is empty.",
        |_, a| Ok(Value::Bool(a.iter().all(Value::truth))),
    )
    .example(r#"{{ sprig_all 1 "" }}"#, "false"),
    Row::pure(
        "sprig_any",
        Signature::variadic(&[Type::Any], Type::Bool),
        "Whether one is not empty.",
        |_, a| Ok(Value::Bool(a.iter().any(Value::truth))),
    )
    .example(r#"{{ sprig_any 1 "" }}"#, "true"),
    Row::pure("sprig_empty", Signature::new(&[Type::Any], Type::Bool), "Whether it is empty.", |_, a| {
        Ok(Value::Bool(!a[0].truth()))
    })
    .example(r#"{{ sprig_empty "" }}"#, "true"),
    Row::pure(
        "sprig_ternary",
        Signature::new(&[Type::Any, Type::Any, Type::Bool], Type::Any),
        "`A B TEST`: A if true, else B.",
        |_, a| Ok(a[usize::from(!a[2].truth())].clone()),
    )
    .example(r#"{{ sprig_ternary "a" "b" true }}"#, "a"),
    Row::pure(
        "sprig_deepEqual",
        Signature::new(&[Type::Any, Type::Any], Type::Bool),
        "Whether two values are the same.",
        |_, a| Ok(Value::Bool(equal(&a[0], &a[1]))),
    )
    .example("{{ sprig_deepEqual (sprig_list 1) (sprig_list 1) }}", "true"),
    Row::pure("sprig_fail", Signature::new(&[Type::Str], Type::Str), "Fails with this text.", |_, a| {
        Err(string(&a[0]))
    })
    .example(r#"{{ if keyExists "app/none" }}{{ sprig_fail "no name" }}{{ end }}fine"#, "fine"),
];

/// What Go says of nil where a value must be.
const NIL: &str = "runtime error: invalid memory address or nil pointer dereference";

pub(super) fn anys(items: Vec<Value>) -> Value {
    Value::list(&Type::Any, items)
}

/// A list, or a nil one: as empty as an empty one, but `null` in JSON.
fn anys_or_nil(items: &[Value], nil: bool) -> Value {
    Value::List(Arc::new(List { ty: Type::ANYS, items: items.to_vec(), nil }))
}

/// The elements of a list; `doing` is what Sprig says it cannot do with anything else.
fn of<'a>(args: &'a [Value], position: usize, doing: &str) -> Result<&'a [Value], String> {
    match &args[position] {
        list @ Value::List(_) => Ok(items(list)),
        Value::Nil => Err(NIL.to_owned()),
        other => Err(format!("Cannot {doing} type {}", kind(other))),
    }
}

fn kept(list: &[Value], keep: impl Fn(&Value) -> bool) -> Vec<Value> {
    list.iter().filter(|item| keep(item)).cloned().collect()
}

/// A nil list of texts, which stays what it is.
fn nil_texts(value: &Value) -> Option<Value> {
    Some(value.clone()).filter(|value| value.is_nil() && value.ty() == Type::STRINGS)
}

/// The elements as texts, nil left out; anything else than a list is one text.
fn texts(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::List(list) => {
            list.items.iter().filter(|item| !matches!(item, Value::Nil)).map(shown_bytes).collect()
        }
        Value::Nil => Vec::new(),
        other => vec![shown_bytes(other)],
    }
}

/// Whether two values have the same type and content.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    if a.ty() != b.ty() {
        return false;
    }
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            a.nil == b.nil
                && a.items.len() == b.items.len()
                && a.items.iter().zip(&b.items).all(|(a, b)| equal(a, b))
        }
        (Value::Map(a), Value::Map(b)) if Arc::ptr_eq(a, b) => true,
        (Value::Map(a), Value::Map(b)) if a.nil != b.nil => false,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Map(a), Value::Map(b)) => {
            let (a, b) = (a.entries(), b.entries());
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((k, v), (l, w))| k == l && equal(v, w))
        }
        (a, b) => shown(a) == shown(b),
    }
}

fn slice(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let list = match args.first() {
        Some(Value::List(list)) => list,
        None | Some(Value::Nil) => return Err(NIL.to_owned()),
        Some(other) => return Err(format!("list should be type of slice or array but {}", kind(other))),
    };
    if list.items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |position: usize, otherwise: usize| {
        args.get(position).map_or(Some(otherwise), |value| usize::try_from(int(value)).ok())
    };
    let part =
        bound(1, 0).zip(bound(2, list.items.len())).and_then(|(start, end)| list.items.get(start..end));
    match part {
        Some(part) => Ok(Value::List(Arc::new(List { ty: list.ty, items: part.to_vec(), nil: false }))),
        None => Err("reflect.Value.Slice: slice index out of bounds".to_owned()),
    }
}

fn chunk(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let list = of(args, 1, "chunk")?;
    let size =
        usize::try_from(int(&args[0])).ok().filter(|size| *size > 0).ok_or("the size must be above 0")?;
    Ok(Value::list(&Type::ANYS, list.chunks(size).map(|chunk| anys(chunk.to_vec())).collect()))
}
