//! The types values have: what error texts name, what arguments are checked against, what zero values come from.

use std::fmt;

/// A Go type, as far as templates can meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `interface {}`: holds anything, nil included.
    Any,
    /// `bool`.
    Bool,
    /// A signed integer of some width; the width shows only in type names.
    Int(IntKind),
    /// An unsigned integer of some width.
    Uint(UintKind),
    /// `float64`.
    Float,
    /// `complex128`; only a literal is one.
    Complex,
    /// `string`: bytes, usually UTF-8.
    Str,
    /// `[]T`.
    List(&'static Type),
    /// A list type with a name of its own, such as `dependency.ServiceTags`; passes where `[]T` is wanted.
    NamedList(&'static str, &'static Type),
    /// `map[K]V`.
    Map(&'static Type, &'static Type),
    /// A record held by value.
    Struct(&'static StructType),
    /// A pointer to a record; may be nil.
    Pointer(&'static StructType),
    /// Something with methods only, such as a scratch pad; named as Go names it.
    Object(&'static str),
    /// A channel of `int64`.
    Stream,
    /// The parameter type of built-ins that look at a value exactly as it was held (`reflect.Value`).
    Reflect,
}

/// The width of a signed integer, or its type where it has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntKind {
    /// `int`: what a literal is.
    Int,
    /// `int64`: what parsing and arithmetic give.
    Int64,
    /// `time.Duration`: nanoseconds that print as `1m30s`.
    Duration,
    /// `api.ReadableDuration`: the same in Consul's client, but it prints so only by itself and as a number elsewhere.
    ReadableDuration,
}

/// The width of an unsigned integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UintKind {
    /// `uint8`: a byte of a string.
    Uint8,
    /// `uint64`: indexes and flags.
    Uint64,
}

/// A record type: its Go name and its fields in the order of declaration.
#[derive(Debug)]
pub struct StructType {
    /// The name error texts use, such as `dependency.KeyPair`.
    pub name: &'static str,
    /// Field names and types, in order.
    pub fields: &'static [(&'static str, Type)],
}

impl StructType {
    /// The position of a field, if the record has it.
    pub fn field(&self, name: &[u8]) -> Option<usize> {
        self.fields.iter().position(|(field, _)| field.as_bytes() == name)
    }
}

impl PartialEq for StructType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for StructType {}

impl Type {
    /// `int`, the type of an integer literal.
    pub const INT: Type = Type::Int(IntKind::Int);
    /// `int64`.
    pub const INT64: Type = Type::Int(IntKind::Int64);
    /// `uint64`.
    pub const UINT64: Type = Type::Uint(UintKind::Uint64);
    /// `[]string`.
    pub const STRINGS: Type = Type::List(&Type::Str);
    /// `[]interface {}`.
    pub const ANYS: Type = Type::List(&Type::Any);
    /// `map[string]interface {}`.
    pub const ANY_MAP: Type = Type::Map(&Type::Str, &Type::Any);
    /// `map[string]string`.
    pub const STR_MAP: Type = Type::Map(&Type::Str, &Type::Str);

    /// Whether nil is a value of the type.
    pub(crate) fn can_be_nil(self) -> bool {
        !matches!(
            self,
            Type::Bool
                | Type::Int(_)
                | Type::Uint(_)
                | Type::Float
                | Type::Complex
                | Type::Str
                | Type::Struct(_)
        )
    }

    /// Whether a value of this type may be given where `wanted` is expected, without any conversion.
    pub fn assignable_to(self, wanted: Type) -> bool {
        match (self, wanted) {
            (_, Type::Any | Type::Reflect) => true,
            (Type::NamedList(_, a), Type::List(b)) | (Type::List(a), Type::NamedList(_, b)) => a == b,
            (a, b) => a == b,
        }
    }

    /// The type of the elements of a list or map.
    pub fn element(self) -> Type {
        match self {
            Type::List(element) | Type::NamedList(_, element) | Type::Map(_, element) => *element,
            Type::Stream => Type::INT64,
            _ => Type::Any,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("interface {}"),
            Type::Bool => f.write_str("bool"),
            Type::Int(IntKind::Int) => f.write_str("int"),
            Type::Int(IntKind::Int64) => f.write_str("int64"),
            Type::Int(IntKind::Duration) => f.write_str("time.Duration"),
            Type::Int(IntKind::ReadableDuration) => f.write_str("api.ReadableDuration"),
            Type::Uint(UintKind::Uint8) => f.write_str("uint8"),
            Type::Uint(UintKind::Uint64) => f.write_str("uint64"),
            Type::Float => f.write_str("float64"),
            Type::Complex => f.write_str("complex128"),
            Type::Str => f.write_str("string"),
            Type::List(element) => write!(f, "[]{element}"),
            Type::NamedList(name, _) => f.write_str(name),
            Type::Map(key, element) => write!(f, "map[{key}]{element}"),
            Type::Struct(ty) => f.write_str(ty.name),
            Type::Pointer(ty) => write!(f, "*{}", ty.name),
            Type::Object(name) => f.write_str(name),
            Type::Stream => f.write_str("<-chan int64"),
            Type::Reflect => f.write_str("reflect.Value"),
        }
    }
}

/// What a function or method takes and gives.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The types of the parameters; with `variadic` the last one may be given any number of times.
    pub params: &'static [Type],
    /// Whether the last parameter repeats (nought times or more).
    pub variadic: bool,
    /// The type of the result.
    pub returns: Type,
}

impl Signature {
    /// A function of exactly these parameters.
    pub const fn new(params: &'static [Type], returns: Type) -> Self {
        Signature { params, variadic: false, returns }
    }

    /// A function whose last parameter repeats.
    pub const fn variadic(params: &'static [Type], returns: Type) -> Self {
        Signature { params, variadic: true, returns }
    }

    /// The number of parameters that must be given.
    pub fn fixed(&self) -> usize {
        self.params.len() - usize::from(self.variadic)
    }

    /// The type wanted for the argument at a position.
    pub fn param(&self, position: usize) -> Type {
        let last = self.params.len().saturating_sub(1);
        self.params.get(position.min(last)).copied().unwrap_or(Type::Any)
    }
}
