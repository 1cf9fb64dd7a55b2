//! A value together with how it is held, which decides some of Go's error texts.

use crate::types::Type;
use crate::value::Value;

/// A value as an expression sees it.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) value: Value,
    /// Held where any type may be (`interface {}`). A nil held so is a value; a nil not held so is no value at all.
    pub(super) any: bool,
    /// Held in a record behind a pointer, where Go can take its address, and so call its pointer's methods.
    pub(super) addressable: bool,
}

impl Slot {
    /// No value: what nothing gives and what prints as `<no value>`.
    pub(super) fn invalid() -> Self {
        Slot { value: Value::Nil, any: false, addressable: false }
    }

    /// A value by itself; nil is no value.
    pub(super) fn given(value: Value) -> Self {
        Slot { value, any: false, addressable: false }
    }

    /// A value held where this type stands: an element, a field, a result.
    pub(super) fn of(value: Value, ty: Type) -> Self {
        Slot { value, any: ty == Type::Any, addressable: false }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.any || !matches!(self.value, Value::Nil)
    }

    /// The type it is held as.
    pub(super) fn ty(&self) -> Type {
        if self.any { Type::Any } else { self.value.ty() }
    }

    /// The value taken out of where any type may be.
    pub(super) fn unwrapped(self) -> Self {
        Slot { any: false, addressable: self.addressable && !self.any, ..self }
    }

    /// What a pointer points at; a nil pointer stays.
    pub(super) fn pointee(&self) -> Value {
        match &self.value {
            Value::Pointer(_, Some(record)) => Value::Struct(record.clone()),
            value => value.clone(),
        }
    }

    /// As `%v` shows it.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&crate::fmt::print(std::slice::from_ref(&self.value))).into_owned()
    }
}
