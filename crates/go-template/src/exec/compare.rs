//! `eq`, `lt` and their kin: what may be compared with what.

use std::cmp::Ordering;
use std::sync::Arc;

use super::slot::Slot;
use crate::types::Type;
use crate::value::Value;

/// Whether the first is equal to any of the others.
pub(super) fn eq(first: &Slot, others: &[Slot]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(&first.value, &other.value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, _), Value::Int(b, _)) => a == b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a == b,
        (Value::Int(a, _), Value::Uint(b, _)) | (Value::Uint(b, _), Value::Int(a, _)) => {
            u64::try_from(*a) == Ok(*b)
        }
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Nil, Value::Nil) => true,
        (a, b) if is_basic(a) || is_basic(b) => {
            if matches!(a, Value::Nil) || matches!(b, Value::Nil) {
                return Ok(false);
            }
            return Err(incompatible(a, b));
        }
        (Value::Nil, other) | (other, Value::Nil) => other.is_nil(),
        (Value::Object(_), Value::Pointer(..)) | (Value::Pointer(..), Value::Object(_)) => false,
        (a, b) if kind(a) != kind(b) => return Err(not_comparable(a, b)),
        (a, b) if a.is_nil() || b.is_nil() => a.is_nil() == b.is_nil(),
        (Value::Pointer(_, Some(a)), Value::Pointer(_, Some(b))) => Arc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Arc::ptr_eq(a, b),
        (Value::Stream(a), Value::Stream(b)) => Arc::ptr_eq(a, b),
        (Value::Struct(_), Value::Struct(other)) if !is_comparable(Type::Struct(other.ty)) => {
            return Err(not_comparable(a, b));
        }
        (Value::Struct(a), Value::Struct(b)) if a.ty != b.ty => false,
        (Value::Struct(a), Value::Struct(b)) => {
            for (a, b) in a.fields.iter().zip(&b.fields) {
                if !equal(a, b)? {
                    return Ok(false);
                }
            }
            true
        }
        (a, b) => return Err(not_comparable(a, b)),
    })
}

/// Whether values of a type can be compared: not lists and maps, nor records with one in them.
pub(super) fn is_comparable(ty: Type) -> bool {
    match ty {
        Type::List(_) | Type::NamedList(..) | Type::Map(..) => false,
        Type::Struct(record) => record.fields.iter().all(|(_, field)| is_comparable(*field)),
        _ => true,
    }
}

/// What only values of the same kind are compared by, nil aside.
fn kind(value: &Value) -> std::mem::Discriminant<Value> {
    std::mem::discriminant(value)
}

fn is_basic(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(..)
            | Value::Uint(..)
            | Value::Float(_)
            | Value::Complex(..)
            | Value::Str(_)
    )
}

fn is_unordered(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Complex(..))
}

fn incompatible(a: &Value, b: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", a.ty(), b.ty())
}

fn not_comparable(a: &Value, b: &Value) -> String {
    // Go writes all but the last as `%s` does, which numbers do not go with.
    let shown = |verb: &[u8], value: &Value| {
        String::from_utf8_lossy(&crate::fmt::sprintf(verb, std::slice::from_ref(value))).into_owned()
    };
    if kind(a) == kind(b) {
        return format!("non-comparable type {}: {}", shown(b"%s", b), b.ty());
    }
    format!("non-comparable types {}: {}, {}: {}", shown(b"%s", a), a.ty(), b.ty(), shown(b"%v", b))
}

/// Whether the first comes before the second.
pub(super) fn lt(a: &Slot, b: &Slot) -> Result<bool, String> {
    Ok(order(&a.value, &b.value)? == Some(Ordering::Less))
}

/// Whether the first comes before the second or is equal to it.
pub(super) fn le(a: &Slot, b: &Slot) -> Result<bool, String> {
    Ok(matches!(order(&a.value, &b.value)?, Some(Ordering::Less | Ordering::Equal)))
}

fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    Ok(match (a, b) {
        (Value::Int(a, _), Value::Int(b, _)) => Some(a.cmp(b)),
        (Value::Uint(a, _), Value::Uint(b, _)) => Some(a.cmp(b)),
        (Value::Int(a, _), Value::Uint(b, _)) => Some(u64::try_from(*a).map_or(Ordering::Less, |a| a.cmp(b))),
        (Value::Uint(a, _), Value::Int(b, _)) => {
            Some(u64::try_from(*b).map_or(Ordering::Greater, |b| a.cmp(&b)))
        }
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (a, b) if !is_basic(a) || !is_basic(b) || is_unordered(a) && kind(a) == kind(b) => {
            return Err("invalid type for comparison".to_owned());
        }
        (a, b) => return Err(incompatible(a, b)),
    })
}
