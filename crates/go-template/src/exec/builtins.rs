//! The functions every Go template has.

use super::slot::Slot;
use super::{compare, escape};
use crate::types::{Signature, Type};
use crate::value::{Key, List, Value};
use std::sync::Arc;

const VALUE: Signature = Signature::new(&[Type::Reflect], Type::Reflect);
const VALUES: Signature = Signature::variadic(&[Type::Reflect, Type::Reflect], Type::Reflect);
const PAIR: Signature = Signature::new(&[Type::Reflect, Type::Reflect], Type::Bool);
const ANYTHING: Signature = Signature::variadic(&[Type::Any], Type::Str);

/// Whether every template knows the name.
pub(crate) fn is_builtin(name: &str) -> bool {
    signature(name).is_some()
}

pub(super) fn signature(name: &str) -> Option<Signature> {
    Some(match name {
        "and" | "or" | "index" | "slice" | "eq" | "call" => VALUES,
        "not" | "len" => VALUE,
        "ne" | "lt" | "le" | "gt" | "ge" => PAIR,
        "html" | "js" | "urlquery" | "print" | "println" => ANYTHING,
        "printf" => Signature::variadic(&[Type::Str, Type::Any], Type::Str),
        _ => return None,
    })
}

/// Whether a built-in looks at all that its arguments hold; the others take a part out, or count.
pub(super) fn looks_inside(name: &str) -> bool {
    !matches!(name, "not" | "len" | "index" | "slice")
}

/// Calls a built-in other than `and`, `or` and `call`.
pub(super) fn call(name: &str, args: &[Slot]) -> Result<Slot, String> {
    let values = || args.iter().map(|slot| slot.value.clone()).collect::<Vec<_>>();
    let text = |bytes: Vec<u8>| Ok(Slot::given(Value::from(bytes)));
    let truth = |truth: bool| Slot::given(Value::Bool(truth));
    match name {
        "not" => Ok(truth(!args[0].value.truth())),
        "len" => len(&args[0]),
        "index" => index(&args[0], &args[1..]),
        "slice" => slice(&args[0], &args[1..]),
        "eq" => compare::eq(&args[0], &args[1..]).map(truth),
        "ne" => compare::eq(&args[0], &args[1..]).map(|equal| truth(!equal)),
        "lt" => compare::lt(&args[0], &args[1]).map(truth),
        "le" => compare::le(&args[0], &args[1]).map(truth),
        "gt" => compare::le(&args[0], &args[1]).map(|le| truth(!le)),
        "ge" => compare::lt(&args[0], &args[1]).map(|lt| truth(!lt)),
        "print" => text(crate::fmt::print(&values())),
        "println" => text(crate::fmt::println(&values())),
        "printf" => text(crate::fmt::sprintf(args[0].value.as_bytes().unwrap_or_default(), &values()[1..])),
        "html" => text(escape::html(&escape::joined(&values()))),
        "js" => text(escape::js(&escape::joined(&values()))),
        "urlquery" => text(escape::urlquery(&escape::joined(&values()))),
        _ => Err(format!("{name} is no built-in function")),
    }
}

/// The type of a value, or of what an object's pointer points at.
fn pointed_at(value: &Value) -> String {
    value.ty().to_string().trim_start_matches('*').to_owned()
}

fn size(length: usize) -> Slot {
    Slot::given(Value::int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn len(of: &Slot) -> Result<Slot, String> {
    match of.pointee() {
        Value::Nil if !of.any => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        Value::Nil | Value::Pointer(_, None) => Err("len of nil pointer".to_owned()),
        Value::Str(s) => Ok(size(s.len())),
        Value::List(list) => Ok(size(list.items.len())),
        Value::Map(map) => Ok(size(map.entries().len())),
        Value::Stream(_) => Ok(size(0)),
        other => Err(format!("len of type {}", pointed_at(&other))),
    }
}

fn index(of: &Slot, positions: &[Slot]) -> Result<Slot, String> {
    if matches!(of.value, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = of.clone();
    for position in positions {
        item = match item.pointee() {
            Value::Nil | Value::Pointer(_, None) => return Err("index of nil pointer".to_owned()),
            Value::Str(s) => {
                let at = position_in(position, s.len())?;
                let byte = *s.get(at).ok_or("reflect: string index out of range")?;
                Slot::given(Value::Uint(u64::from(byte), crate::types::UintKind::Uint8))
            }
            Value::List(list) => {
                let at = position_in(position, list.items.len())?;
                let item = list.items.get(at).ok_or("reflect: slice index out of range")?;
                Slot::of(item.clone(), list.ty.element())
            }
            Value::Map(map) => {
                let key = key_for(position, map.key_type())?;
                let element = map.ty.element();
                let found = key.and_then(|key| map.entries().get(&key).cloned());
                Slot::of(found.unwrap_or_else(|| Value::zero(element)), element)
            }
            other => return Err(format!("can't index item of type {}", pointed_at(&other))),
        };
    }
    Ok(item)
}

/// A position in something of a length, its end included.
fn position_in(slot: &Slot, length: usize) -> Result<usize, String> {
    let position = match &slot.value {
        Value::Int(position, _) => *position,
        Value::Uint(position, _) => i64::try_from(*position).unwrap_or(-1),
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.ty())),
    };
    match usize::try_from(position) {
        Ok(position) if position <= length => Ok(position),
        _ => Err(format!("index out of range: {position}")),
    }
}

/// The key an argument makes for a map with keys of this type; none for what could be a key, but is none of ours.
fn key_for(slot: &Slot, wanted: Type) -> Result<Option<Key>, String> {
    let fits = match (&slot.value, wanted) {
        (Value::Nil, Type::Any) => true,
        (Value::Nil, _) => return Err(format!("value is nil; should be of type {wanted}")),
        (Value::Int(..) | Value::Uint(..), Type::Int(_) | Type::Uint(_)) => true,
        (value, wanted) => value.ty().assignable_to(wanted),
    };
    match (Key::of(&slot.value), wanted) {
        _ if !fits => Err(format!("value has type {}; should be {wanted}", slot.value.ty())),
        (Some(Key::Uint(u)), Type::Int(_)) => Ok(Some(Key::Int(u.cast_signed()))),
        (Some(Key::Int(i)), Type::Uint(_)) => Ok(Some(Key::Uint(i.cast_unsigned()))),
        (Some(key), _) => Ok(Some(key)),
        (None, _) if compare::is_comparable(slot.value.ty()) => Ok(None),
        (None, _) => Err(format!("runtime error: hash of unhashable type {}", slot.value.ty())),
    }
}

fn slice(of: &Slot, positions: &[Slot]) -> Result<Slot, String> {
    let value = of.pointee();
    match value {
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        Value::Pointer(_, None) => return Err("slice of nil pointer".to_owned()),
        _ => {}
    }
    if positions.len() > 3 {
        return Err(format!("too many slice indexes: {}", positions.len()));
    }
    let length = match &value {
        Value::Str(_) if positions.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Str(s) => s.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("can't slice item of type {}", pointed_at(other))),
    };
    let mut bounds = [0, length, length];
    for (bound, position) in bounds.iter_mut().zip(positions) {
        // Unlike index, slice does not look into what holds any value.
        if position.any {
            return Err("cannot index slice/array with type interface {}".to_owned());
        }
        *bound = position_in(position, length)?;
    }
    let [from, to, capacity] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if positions.len() == 3 && to > capacity {
        return Err(format!("invalid slice index: {to} > {capacity}"));
    }
    Ok(Slot::given(match value {
        Value::Str(s) => Value::from(&s[from..to]),
        Value::List(list) => {
            let items = list.items[from..to].to_vec();
            Value::List(Arc::new(List { ty: list.ty, items, nil: list.nil }))
        }
        other => other,
    }))
}
