//! The values templates work on: Go's, with strings as bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::types::{IntKind, Signature, StructType, Type, UintKind};

/// A value. Copies are cheap; maps are shared, so that a change made through one copy shows in all.
#[derive(Clone)]
pub enum Value {
    /// nil without a type.
    Nil,
    /// `bool`.
    Bool(bool),
    /// A signed integer.
    Int(i64, IntKind),
    /// An unsigned integer.
    Uint(u64, UintKind),
    /// `float64`.
    Float(f64),
    /// A complex number: real and imaginary part.
    Complex(f64, f64),
    /// `string`: any bytes.
    Str(Arc<[u8]>),
    /// A list.
    List(Arc<List>),
    /// A map.
    Map(Arc<Map>),
    /// A record.
    Struct(Arc<Struct>),
    /// A pointer to a record, perhaps nil.
    Pointer(&'static StructType, Option<Arc<Struct>>),
    /// Something with methods.
    Object(Arc<dyn Object>),
    /// A stream of integers.
    Stream(Arc<Stream>),
}

/// A list and the type it has.
pub struct List {
    /// The type of the list itself: `Type::List` or `Type::NamedList`.
    pub ty: Type,
    /// The elements.
    pub items: Vec<Value>,
    /// Whether it is a nil list: as empty as an empty one, but `null` in JSON.
    pub nil: bool,
}

/// A map and the type it has.
pub struct Map {
    /// `Type::Map`.
    pub ty: Type,
    /// Whether it is a nil map: as empty as an empty one, but `null` in JSON.
    pub nil: bool,
    entries: RwLock<BTreeMap<Key, Value>>,
}

/// A record.
pub struct Struct {
    /// Its type.
    pub ty: &'static StructType,
    /// The fields' values, in the type's order.
    pub fields: Vec<Value>,
}

/// A key of a map; the order is the order in which maps are walked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// nil, which only maps with untyped keys can hold.
    Nil,
    /// A string.
    Str(Arc<[u8]>),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float's bits, ordered as the numbers are.
    Float(i64),
    /// A truth value.
    Bool(bool),
}

/// Something with methods that templates may call: `scratch.Set "a" 1`.
pub trait Object: Send + Sync {
    /// The Go type name error texts use, such as `*template.Scratch`.
    fn type_name(&self) -> &'static str;
    /// What a method takes and gives; none if there is no such method.
    fn method(&self, name: &str) -> Option<Signature>;
    /// Calls a method whose arguments have been checked against its signature.
    ///
    /// # Errors
    /// The method's own complaint, which becomes `error calling NAME: ...`.
    fn call(&self, name: &str, args: Vec<Value>) -> Result<Value, String>;
    /// The text it prints as, for objects that have one.
    fn text(&self) -> Option<String> {
        None
    }
    /// The text that stands for it in JSON and its kin.
    fn on_the_wire(&self) -> Option<String> {
        self.text()
    }
    /// Itself in Go's syntax, for `%#v`, where that is not what is in it.
    fn syntax(&self) -> Option<String> {
        None
    }
}

/// A stream of integers, consumed as it is read.
pub struct Stream {
    next: Mutex<i64>,
    stop: i64,
}

impl Stream {
    /// The integers from `start` up to, not including, `stop`.
    pub fn new(start: i64, stop: i64) -> Self {
        Stream { next: Mutex::new(start), stop }
    }

    /// Takes the next integer.
    pub fn take(&self) -> Option<i64> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        (*next < self.stop).then(|| {
            *next += 1;
            *next - 1
        })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        drop_flat(std::mem::take(&mut self.items));
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let entries = self.entries.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop_flat(std::mem::take(entries).into_values().collect());
    }
}

/// Drops values without calls inside calls: a template can put lists into lists deeper than a thread's stack.
fn drop_flat(mut values: Vec<Value>) {
    while let Some(value) = values.pop() {
        match value {
            Value::List(list) => {
                if let Some(mut list) = Arc::into_inner(list) {
                    values.append(&mut list.items);
                }
            }
            Value::Map(map) => {
                if let Some(mut map) = Arc::into_inner(map) {
                    let entries = map.entries.get_mut().unwrap_or_else(PoisonError::into_inner);
                    values.extend(std::mem::take(entries).into_values());
                }
            }
            _ => {}
        }
    }
}

impl Map {
    /// A map of a type with these entries.
    pub fn new(ty: Type, entries: BTreeMap<Key, Value>) -> Self {
        Map { ty, nil: false, entries: RwLock::new(entries) }
    }

    /// The entries, to look at.
    pub fn entries(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Value>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries, to change.
    pub fn entries_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Value>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The type of the keys.
    pub fn key_type(&self) -> Type {
        match self.ty {
            Type::Map(key, _) => *key,
            _ => Type::Any,
        }
    }
}

impl Key {
    /// A string key.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Key::Str(text.as_ref().into())
    }

    /// The key a value makes; none for values that cannot be keys.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Nil => Key::Nil,
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(i, _) => Key::Int(*i),
            Value::Uint(u, _) => Key::Uint(*u),
            Value::Float(f) => Key::Float(ordered_bits(*f)),
            Value::Str(s) => Key::Str(s.clone()),
            _ => return None,
        })
    }

    /// The value the key stands for in a map with keys of this type.
    pub fn value(&self, ty: Type) -> Value {
        match self {
            Key::Nil => Value::Nil,
            Key::Str(s) => Value::Str(s.clone()),
            Key::Int(i) => Value::Int(*i, if ty == Type::INT64 { IntKind::Int64 } else { IntKind::Int }),
            Key::Uint(u) => Value::Uint(*u, UintKind::Uint64),
            Key::Float(bits) => Value::Float(from_ordered_bits(*bits)),
            Key::Bool(b) => Value::Bool(*b),
        }
    }
}

fn ordered_bits(float: f64) -> i64 {
    let bits = float.to_bits().cast_signed();
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

fn from_ordered_bits(bits: i64) -> f64 {
    f64::from_bits((if bits < 0 { bits ^ i64::MAX } else { bits }).cast_unsigned())
}

impl Value {
    /// An `int`.
    pub fn int(number: i64) -> Self {
        Value::Int(number, IntKind::Int)
    }

    /// An `int64`.
    pub fn int64(number: i64) -> Self {
        Value::Int(number, IntKind::Int64)
    }

    /// A `uint64`.
    pub fn uint(number: u64) -> Self {
        Value::Uint(number, UintKind::Uint64)
    }

    /// A list whose elements have this type.
    pub fn list(element: &'static Type, items: Vec<Value>) -> Self {
        Value::List(Arc::new(List { ty: Type::List(element), items, nil: false }))
    }

    /// A list of strings.
    pub fn strings<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Self {
        Value::list(&Type::Str, items.into_iter().map(|s| Value::from(s.as_ref())).collect())
    }

    /// A map of this type.
    pub fn map(ty: Type, entries: BTreeMap<Key, Value>) -> Self {
        Value::Map(Arc::new(Map::new(ty, entries)))
    }

    /// A record of this type; one value for each field.
    ///
    /// # Panics
    /// When the number of values is not the number of fields.
    pub fn record(ty: &'static StructType, fields: Vec<Value>) -> Self {
        assert_eq!(ty.fields.len(), fields.len(), "a {} has one value for each field", ty.name);
        Value::Struct(Arc::new(Struct { ty, fields }))
    }

    /// A pointer to a new record of this type.
    ///
    /// # Panics
    /// When the number of values is not the number of fields.
    pub fn pointer(ty: &'static StructType, fields: Vec<Value>) -> Self {
        match Value::record(ty, fields) {
            Value::Struct(record) => Value::Pointer(ty, Some(record)),
            other => other,
        }
    }

    /// The zero value of a type: what a missing entry of a typed map reads as.
    pub fn zero(ty: Type) -> Self {
        match ty {
            Type::Any | Type::Reflect | Type::Object(_) | Type::Stream => Value::Nil,
            Type::Bool => Value::Bool(false),
            Type::Int(kind) => Value::Int(0, kind),
            Type::Uint(kind) => Value::Uint(0, kind),
            Type::Float => Value::Float(0.0),
            Type::Complex => Value::Complex(0.0, 0.0),
            Type::Str => Value::from(""),
            Type::List(_) | Type::NamedList(..) => {
                Value::List(Arc::new(List { ty, items: vec![], nil: true }))
            }
            Type::Map(..) => Value::Map(Arc::new(Map { ty, nil: true, entries: RwLock::default() })),
            Type::Struct(ty) => Value::record(ty, ty.fields.iter().map(|(_, ty)| Value::zero(*ty)).collect()),
            Type::Pointer(ty) => Value::Pointer(ty, None),
        }
    }

    /// The type of the value itself.
    pub fn ty(&self) -> Type {
        match self {
            Value::Nil => Type::Any,
            Value::Bool(_) => Type::Bool,
            Value::Int(_, kind) => Type::Int(*kind),
            Value::Uint(_, kind) => Type::Uint(*kind),
            Value::Float(_) => Type::Float,
            Value::Complex(..) => Type::Complex,
            Value::Str(_) => Type::Str,
            Value::List(list) => list.ty,
            Value::Map(map) => map.ty,
            Value::Struct(record) => Type::Struct(record.ty),
            Value::Pointer(ty, _) => Type::Pointer(ty),
            Value::Object(object) => Type::Object(object.type_name()),
            Value::Stream(_) => Type::Stream,
        }
    }

    /// Whether `if` takes it for true: not false, nought, empty or nil.
    pub fn truth(&self) -> bool {
        match self {
            Value::Nil | Value::Pointer(_, None) => false,
            Value::Bool(b) => *b,
            Value::Int(i, _) => *i != 0,
            Value::Uint(u, _) => *u != 0,
            Value::Float(f) => *f != 0.0,
            Value::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries().is_empty(),
            Value::Struct(_) | Value::Pointer(..) | Value::Object(_) | Value::Stream(_) => true,
        }
    }

    /// The bytes of a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// Whether it is nil of any type.
    pub fn is_nil(&self) -> bool {
        match self {
            Value::Nil | Value::Pointer(_, None) => true,
            Value::List(list) => list.nil,
            Value::Map(map) => map.nil,
            _ => false,
        }
    }

    /// The record, be it held by value or behind a pointer.
    pub fn as_record(&self) -> Option<&Arc<Struct>> {
        match self {
            Value::Struct(record) | Value::Pointer(_, Some(record)) => Some(record),
            _ => None,
        }
    }
}

impl Struct {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.ty.field(name.as_bytes()).map(|position| &self.fields[position])
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Str(bytes.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Str(bytes.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.as_bytes().into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text.into_bytes().into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = crate::fmt::sprintf(b"%#v", std::slice::from_ref(self));
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_depth_are_dropped() {
        let mut list = Value::Nil;
        let mut map = Value::Nil;
        for _ in 0..500_000 {
            list = Value::List(Arc::new(List { ty: Type::Any, items: vec![list], nil: false }));
            map = Value::Map(Arc::new(Map::new(Type::Any, BTreeMap::from([(Key::Nil, map)]))));
        }
        drop((list, map));
    }
}
