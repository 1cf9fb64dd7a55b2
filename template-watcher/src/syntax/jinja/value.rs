//! Values of the functions as Jinja's values, and back.
//!
//! Lists, maps and records keep their own form behind an object, so that what one function gave another can take.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use go_template::{IntKind, Key, Signature, Type, Value as Go};
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::answers::Scope;

/// A list, map, record, pad or stream of the functions, and who is told what is read of it.
struct Held(Go, Scope);

impl Held {
    fn part(&self, value: &Go) -> Value {
        to_jinja(value.clone(), &self.1)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Object for Held {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match &self.0 {
            Go::List(_) => ObjectRepr::Seq,
            Go::Map(_) | Go::Struct(_) | Go::Pointer(..) => ObjectRepr::Map,
            Go::Stream(_) => ObjectRepr::Iterable,
            _ => ObjectRepr::Plain,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &self.0 {
            Go::List(list) => list.items.get(key.as_usize()?).map(|item| self.part(item)),
            Go::Map(map) => {
                let key = match (key.as_str(), key.as_i64()) {
                    (Some(text), _) => Key::text(text),
                    (None, Some(number)) if map.ty == Type::Map(&Type::UINT64, &Type::Any) => {
                        Key::Uint(number.unsigned_abs())
                    }
                    (None, Some(number)) => Key::Int(number),
                    _ => return None,
                };
                map.entries().get(&key).map(|value| self.part(value))
            }
            Go::Struct(record) | Go::Pointer(_, Some(record)) => {
                let field = record.ty.field(key.as_str()?.as_bytes())?;
                self.1.read_field(record.ty, field);
                Some(self.part(&record.fields[field]))
            }
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.0 {
            Go::List(list) => Enumerator::Seq(list.items.len()),
            Go::Map(map) => {
                let ty = map.key_type();
                Enumerator::Values(map.entries().keys().map(|key| self.part(&key.value(ty))).collect())
            }
            Go::Struct(record) | Go::Pointer(_, Some(record)) => {
                Enumerator::Values(record.ty.fields.iter().map(|(name, _)| Value::from(*name)).collect())
            }
            Go::Stream(stream) => {
                let stream = Arc::clone(stream);
                Enumerator::Iter(Box::new(std::iter::from_fn(move || stream.take().map(Value::from))))
            }
            _ => Enumerator::NonEnumerable,
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (&self.0, method, args) {
            (Go::Object(object), ..) => {
                let signature = object.method(method).ok_or_else(|| Error::from(ErrorKind::UnknownMethod))?;
                let args = arguments(method, &signature, args)?;
                object
                    .call(method, args)
                    .map(|value| self.part(&value))
                    .map_err(|text| invalid(format!("{method}: {text}")))
            }
            (Go::Map(map), "items", []) => {
                let (ty, entries) = (map.key_type(), map.entries());
                let pair = |(key, value): (&Key, &Go)| {
                    Value::from(vec![self.part(&key.value(ty)), self.part(value)])
                };
                Ok(Value::from(entries.iter().map(pair).collect::<Vec<_>>()))
            }
            (Go::Map(map), "keys", []) => {
                let ty = map.key_type();
                Ok(Value::from(map.entries().keys().map(|key| self.part(&key.value(ty))).collect::<Vec<_>>()))
            }
            (Go::Map(map), "values", []) => {
                Ok(Value::from(map.entries().values().map(|value| self.part(value)).collect::<Vec<_>>()))
            }
            (Go::Map(_), "get", [key, default @ ..]) => {
                Ok(self.get_value(key).or_else(|| default.first().cloned()).unwrap_or(Value::from(())))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.read_whole(&self.0);
        let text = go_template::fmt::print(std::slice::from_ref(&self.0));
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// A function's result as Jinja sees it.
pub(super) fn to_jinja(value: Go, scope: &Scope) -> Value {
    match value {
        Go::Nil | Go::Pointer(_, None) => Value::from(()),
        Go::Bool(truth) => Value::from(truth),
        Go::Int(nanoseconds, IntKind::Duration) => Value::from(go_template::fmt::duration(nanoseconds)),
        Go::Int(number, _) => Value::from(number),
        Go::Uint(number, _) => Value::from(number),
        Go::Float(number) => Value::from(number),
        Go::Str(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from_bytes(bytes.to_vec()),
        },
        other => Value::from_object(Held(other, scope.clone())),
    }
}

/// A value of Jinja's as the functions see it.
pub(super) fn from_jinja(value: &Value) -> Result<Go, Error> {
    if let Some(held) = value.downcast_object_ref::<Held>() {
        return Ok(held.0.clone());
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => Go::Nil,
        ValueKind::Bool => Go::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => match (value.as_i64(), u64::try_from(value.clone())) {
            (Some(number), _) => Go::int(number),
            (None, Ok(number)) => Go::uint(number),
            (None, Err(error)) => return Err(error),
        },
        ValueKind::Number => Go::Float(f64::try_from(value.clone())?),
        ValueKind::String | ValueKind::Bytes => Go::from(value.as_bytes().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Result<Vec<_>, _> = value.try_iter()?.map(|item| from_jinja(&item)).collect();
            Go::list(&Type::Any, items?)
        }
        ValueKind::Map => {
            let mut entries = BTreeMap::new();
            for key in value.try_iter()? {
                entries.insert(Key::text(key.to_string()), from_jinja(&value.get_item(&key)?)?);
            }
            Go::map(Type::ANY_MAP, entries)
        }
        kind => return Err(invalid(format!("a {kind} cannot be given to a function"))),
    })
}

/// The arguments of a call, made to fit the signature.
pub(super) fn arguments(name: &str, signature: &Signature, args: &[Value]) -> Result<Vec<Go>, Error> {
    let (fixed, got) = (signature.fixed(), args.len());
    if got < fixed || (got > fixed && !signature.variadic) {
        let least = if signature.variadic { "at least " } else { "" };
        return Err(invalid(format!("{name} takes {least}{fixed} arguments, not {got}")));
    }
    let fit = |(position, arg): (usize, &Value)| {
        let wanted = signature.param(position);
        let given = from_jinja(arg)?;
        let ty = given.ty();
        fitting(given, wanted)
            .ok_or_else(|| invalid(format!("argument {} of {name} must be {wanted}, not {ty}", position + 1)))
    };
    args.iter().enumerate().map(fit).collect()
}

/// The value in the type wanted, if it can be.
fn fitting(value: Go, wanted: Type) -> Option<Go> {
    Some(match (value, wanted) {
        (value, wanted) if value.ty().assignable_to(wanted) => value,
        (Go::Int(number, _), Type::Int(kind)) => Go::Int(number, kind),
        (Go::Uint(number, _), Type::Int(kind)) => Go::Int(i64::try_from(number).ok()?, kind),
        (Go::Int(number, _), Type::Uint(kind)) => Go::Uint(u64::try_from(number).ok()?, kind),
        (Go::Uint(number, _), Type::Uint(kind)) => Go::Uint(number, kind),
        (Go::Int(number, _), Type::Float) => Go::Float(number as f64),
        (Go::List(list), Type::List(element)) => {
            let items: Option<Vec<_>> =
                list.items.iter().map(|item| fitting(item.clone(), *element)).collect();
            Go::list(element, items?)
        }
        (Go::Map(map), Type::Map(&Type::Str, element)) => {
            let entries = map.entries();
            let fit = |(key, value): (&Key, &Go)| Some((key.clone(), fitting(value.clone(), *element)?));
            let entries: Option<BTreeMap<_, _>> = entries.iter().map(fit).collect();
            Go::map(wanted, entries?)
        }
        _ => return None,
    })
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, text)
}
