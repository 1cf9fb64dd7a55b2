//! Expressions: pipelines, commands, operands, fields and the types arguments must have.

use super::slot::Slot;
use super::{MissingKey, Outcome, Run};
use crate::parse::ast::{Command, Number, Operand, OperandKind, Pipe};
use crate::types::Type;
use crate::value::{Key, Value};

/// What a method or field is called with.
#[derive(Clone, Copy)]
pub(super) struct Given<'t, 'a> {
    /// The words after the first.
    pub(super) words: &'t [Operand],
    /// The value of the pipeline's stage before.
    pub(super) piped: Option<&'a Slot>,
}

impl Given<'_, '_> {
    pub(super) const NONE: Given<'static, 'static> = Given { words: &[], piped: None };

    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.piped.is_none()
    }
}

/// A node an error can point at.
pub(super) type Node<'t> = (usize, &'t dyn std::fmt::Display);

impl<'t> Run<'t, '_> {
    pub(super) fn pipeline(&mut self, dot: &Slot, pipe: &'t Pipe) -> Outcome<Slot> {
        self.at(pipe.position, pipe);
        let mut piped: Option<Slot> = None;
        for command in &pipe.commands {
            piped = Some(self.command(dot, command, piped.as_ref())?.unwrapped());
        }
        let value = piped.unwrap_or_else(Slot::invalid);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    pub(super) fn assign(&mut self, name: &[u8], value: Slot) -> Outcome<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => return self.error(format!("undefined variable: {}", String::from_utf8_lossy(name))),
        }
        Ok(())
    }

    fn command(&mut self, dot: &Slot, command: &'t Command, piped: Option<&Slot>) -> Outcome<Slot> {
        let first = &command.words[0];
        let given = Given { words: &command.words[1..], piped };
        match &first.kind {
            OperandKind::Field(fields) => {
                self.at(first.position, first);
                return self.fields(dot, dot.clone(), (first.position, first), fields, given);
            }
            OperandKind::Chain { .. } => return self.chain(dot, first, given),
            OperandKind::Function(name) => {
                self.at(first.position, first);
                return self.function(dot, name, (command.position, command), given);
            }
            OperandKind::Pipe(pipe) => {
                self.not_a_function(first, given)?;
                return self.pipeline(dot, pipe);
            }
            OperandKind::Variable { .. } => return self.variable(dot, first, given),
            _ => {}
        }
        self.at(first.position, first);
        self.not_a_function(first, given)?;
        match &first.kind {
            OperandKind::Bool(truth) => Ok(Slot::given(Value::Bool(*truth))),
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Number(number) => self.number(first, number),
            OperandKind::String { bytes, .. } => Ok(Slot::given(Value::from(bytes.as_slice()))),
            _ => self.error("nil is not a command"),
        }
    }

    fn not_a_function(&mut self, word: &Operand, given: Given<'_, '_>) -> Outcome<()> {
        if given.is_empty() {
            return Ok(());
        }
        self.error(format!("can't give argument to non-function {}", word.written()))
    }

    /// A number where the type is open.
    fn number(&mut self, operand: &'t Operand, number: &Number) -> Outcome<Slot> {
        self.at(operand.position, operand);
        if let Some((real, imaginary)) = number.complex {
            return Ok(Slot::given(Value::Complex(real, imaginary)));
        }
        let value = match (number.float, number.int) {
            (Some(float), _) if number.looks_float => Value::Float(float),
            (_, Some(int)) => Value::int(int),
            _ => return self.error(format!("{operand} overflows int")),
        };
        Ok(Slot::given(value))
    }

    fn variable(&mut self, dot: &Slot, operand: &'t Operand, given: Given<'t, '_>) -> Outcome<Slot> {
        self.at(operand.position, operand);
        let OperandKind::Variable { name, fields } = &operand.kind else {
            unreachable!("called for variables only");
        };
        let found =
            self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, slot)| slot.clone());
        let Some(value) = found else {
            return self.error(format!("undefined variable: {}", String::from_utf8_lossy(name)));
        };
        if fields.is_empty() {
            self.not_a_function(operand, given)?;
            return Ok(value);
        }
        self.fields(dot, value, (operand.position, operand), fields, given)
    }

    fn chain(&mut self, dot: &Slot, operand: &'t Operand, given: Given<'t, '_>) -> Outcome<Slot> {
        self.at(operand.position, operand);
        let OperandKind::Chain { of, fields } = &operand.kind else { unreachable!("called for chains only") };
        if matches!(of.kind, OperandKind::Nil) {
            return self.error(format!("indirection through explicit nil in {operand}"));
        }
        let receiver = self.argument(dot, None, of)?;
        self.fields(dot, receiver, (operand.position, operand), fields, given)
    }

    fn fields(
        &mut self,
        dot: &Slot,
        mut receiver: Slot,
        node: Node<'t>,
        fields: &'t [Vec<u8>],
        given: Given<'t, '_>,
    ) -> Outcome<Slot> {
        let last = fields.len() - 1;
        for (position, field) in fields.iter().enumerate() {
            let given = if position == last { given } else { Given::NONE };
            receiver = self.field(dot, field, node, given, receiver)?;
        }
        Ok(receiver)
    }

    /// A method's result, a record's field or a map's entry.
    fn field(
        &mut self,
        dot: &Slot,
        name: &'t [u8],
        node: Node<'t>,
        given: Given<'t, '_>,
        receiver: Slot,
    ) -> Outcome<Slot> {
        let shown = String::from_utf8_lossy(name);
        if !receiver.is_valid() {
            return if self.options.missing_key == MissingKey::Error {
                self.error(format!("nil data; no entry for key {}", crate::fmt::quoted(name)))
            } else {
                Ok(Slot::invalid())
            };
        }
        let ty = receiver.ty();
        match &receiver.value {
            Value::Nil => self.error(format!("nil pointer evaluating {ty}.{shown}")),
            Value::Object(object) => match object.method(&shown) {
                Some(signature) => {
                    let object = object.clone();
                    let args = self.arguments(dot, &shown, &signature, given)?;
                    match object.call(&shown, args.into_iter().map(|slot| slot.value).collect()) {
                        Ok(value) => Ok(Slot::of(value, signature.returns)),
                        Err(text) => {
                            self.at(node.0, node.1);
                            self.error(format!("error calling {shown}: {text}"))
                        }
                    }
                }
                None => self.error(format!("can't evaluate field {shown} in type {ty}")),
            },
            Value::Int(nanoseconds, kind) => {
                match super::methods::signature(*kind, receiver.addressable, &shown) {
                    Some(signature) => {
                        let args = self.arguments(dot, &shown, &signature, given)?;
                        let argument = args.first().map(|slot| &slot.value);
                        Ok(Slot::given(super::methods::call(*nanoseconds, &shown, argument)))
                    }
                    None => self.error(format!("can't evaluate field {shown} in type {ty}")),
                }
            }
            Value::Struct(record) | Value::Pointer(_, Some(record)) => match record.ty.field(name) {
                Some(_) if !given.is_empty() => {
                    self.error(format!("{shown} has arguments but cannot be invoked as function"))
                }
                Some(position) => {
                    self.host.reads_field(record.ty, position);
                    let slot = Slot::of(record.fields[position].clone(), record.ty.fields[position].1);
                    let behind_pointer = matches!(receiver.value, Value::Pointer(..));
                    Ok(Slot { addressable: behind_pointer || receiver.addressable, ..slot })
                }
                None => self.error(format!("can't evaluate field {shown} in type {ty}")),
            },
            Value::Pointer(record, None) if record.field(name).is_some() => {
                self.error(format!("nil pointer evaluating {ty}.{shown}"))
            }
            Value::Map(map) if matches!(map.key_type(), Type::Str | Type::Any) => {
                if !given.is_empty() {
                    return self.error(format!("{shown} is not a method but has arguments"));
                }
                let element = map.ty.element();
                match (map.entries().get(&Key::text(name)), self.options.missing_key) {
                    (Some(value), _) => Ok(Slot::of(value.clone(), element)),
                    (None, MissingKey::Invalid) => Ok(Slot::invalid()),
                    (None, MissingKey::Zero) => Ok(Slot::of(Value::zero(element), element)),
                    (None, MissingKey::Error) => {
                        self.error(format!("map has no entry for key {}", crate::fmt::quoted(name)))
                    }
                }
            }
            _ => self.error(format!("can't evaluate field {shown} in type {ty}")),
        }
    }

    /// An argument, made to fit the type wanted of it.
    pub(super) fn argument(
        &mut self,
        dot: &Slot,
        wanted: Option<Type>,
        operand: &'t Operand,
    ) -> Outcome<Slot> {
        self.at(operand.position, operand);
        let value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => {
                return match wanted {
                    Some(ty) if !ty.can_be_nil() => self.error(format!("cannot assign nil to {ty}")),
                    Some(ty) => Ok(Slot::of(Value::zero(ty), ty)),
                    None => Ok(Slot::invalid()),
                };
            }
            OperandKind::Field(fields) => {
                self.fields(dot, dot.clone(), (operand.position, operand), fields, Given::NONE)?
            }
            OperandKind::Variable { .. } => self.variable(dot, operand, Given::NONE)?,
            OperandKind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            OperandKind::Function(name) => {
                self.function(dot, name, (operand.position, operand), Given::NONE)?
            }
            OperandKind::Chain { .. } => self.chain(dot, operand, Given::NONE)?,
            OperandKind::Bool(_) | OperandKind::Number(_) | OperandKind::String { .. } => {
                return self.constant(wanted, operand);
            }
        };
        self.fitting(value, wanted)
    }

    /// A constant in the type wanted.
    fn constant(&mut self, wanted: Option<Type>, operand: &'t Operand) -> Outcome<Slot> {
        let value = match (wanted, &operand.kind) {
            (Some(Type::Any | Type::Reflect) | None, OperandKind::Number(number)) => {
                return self.number(operand, number);
            }
            (Some(Type::Any | Type::Reflect | Type::Bool) | None, OperandKind::Bool(truth)) => {
                Value::Bool(*truth)
            }
            (Some(Type::Any | Type::Reflect | Type::Str) | None, OperandKind::String { bytes, .. }) => {
                Value::from(bytes.as_slice())
            }
            (Some(Type::Int(kind)), OperandKind::Number(Number { int: Some(int), .. })) => {
                Value::Int(*int, kind)
            }
            (Some(Type::Uint(kind)), OperandKind::Number(Number { uint: Some(uint), .. })) => {
                Value::Uint(*uint, kind)
            }
            (Some(Type::Float), OperandKind::Number(Number { float: Some(float), .. })) => {
                Value::Float(*float)
            }
            (Some(ty), _) => {
                let wanted = match ty {
                    Type::Bool => "bool",
                    Type::Int(_) => "integer",
                    Type::Uint(_) => "unsigned integer",
                    Type::Float => "float",
                    Type::Str => "string",
                    _ => return self.error(format!("can't handle {operand} for arg of type {ty}")),
                };
                return self.error(format!("expected {wanted}; found {operand}"));
            }
            (None, _) => Value::Nil,
        };
        Ok(Slot::given(value))
    }

    /// The value if it is of the type wanted, is held where any may be and is of it inside, or points at it.
    pub(super) fn fitting(&mut self, slot: Slot, wanted: Option<Type>) -> Outcome<Slot> {
        let Some(wanted) = wanted else { return Ok(slot) };
        if !slot.is_valid() {
            return if wanted.can_be_nil() {
                Ok(Slot::of(Value::zero(wanted), wanted))
            } else {
                self.error(format!("invalid value; expected {wanted}"))
            };
        }
        if slot.ty().assignable_to(wanted) {
            return Ok(slot);
        }
        let inner =
            if slot.any && !matches!(slot.value, Value::Nil) { slot.clone().unwrapped() } else { slot };
        if inner.ty().assignable_to(wanted) {
            return Ok(inner);
        }
        match (&inner.value, wanted) {
            (Value::Pointer(ty, Some(record)), Type::Struct(wanted)) if *ty == wanted => {
                Ok(Slot::given(Value::Struct(record.clone())))
            }
            (Value::Pointer(ty, None), Type::Struct(wanted)) if *ty == wanted => {
                self.error(format!("dereference of nil pointer of type {}", ty.name))
            }
            _ => self.error(format!("wrong type for value; expected {wanted}; got {}", inner.ty())),
        }
    }
}
