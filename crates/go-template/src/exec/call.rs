//! Calls: how many arguments, of which types, and what a failure says.

use super::eval::{Given, Node};
use super::slot::Slot;
use super::{Outcome, Run, Templates, builtins};
use crate::types::Signature;
use crate::value::Value;

/// No value of a template is a function, so nothing can be called.
fn not_callable(slot: &Slot, given: Given<'_, '_>) -> String {
    match &slot.value {
        Value::Nil => "call of nil".to_owned(),
        value => {
            let ty = value.ty();
            let piped = || value.as_bytes().map_or_else(|| format!("<{ty} Value>"), |_| slot.shown());
            let written = given.words.first().map_or_else(piped, |word| word.written());
            format!("non-function {written} of type {ty}")
        }
    }
}

impl<'t> Run<'t, '_> {
    /// Calls a built-in or one of the host's functions.
    pub(super) fn function(
        &mut self,
        dot: &Slot,
        name: &str,
        node: Node<'t>,
        given: Given<'t, '_>,
    ) -> Outcome<Slot> {
        // a host may have its own function under a built-in's name, as Go's function maps may
        let own = self.host.signature(name);
        let builtin = own.is_none().then(|| builtins::signature(name)).flatten();
        let Some(signature) = own.or(builtin) else {
            return self.error(format!("{} is not a defined function", crate::fmt::quoted(name.as_bytes())));
        };
        if builtin.is_some() && matches!(name, "and" | "or") {
            return self.short_circuit(dot, name == "or", name, &signature, given);
        }
        let args = self.arguments(dot, name, &signature, given)?;
        let result = if builtin.is_some() && name == "call" {
            Err(not_callable(&args[0], given))
        } else if builtin.is_some() {
            if builtins::looks_inside(name) {
                args.iter().for_each(|arg| self.host.reads_whole(&arg.value));
            }
            builtins::call(name, &args)
        } else {
            let templates = Templates { template: self.template, options: self.options, nested: self.nested };
            let args = args.into_iter().map(|slot| slot.value).collect::<Vec<Value>>();
            self.host.call(name, args, &templates).map(|value| Slot::of(value, signature.returns))
        };
        match result {
            Ok(slot) => self.bounded(slot),
            Err(text) => {
                self.at(node.0, node.1);
                self.error(format!("error calling {name}: {text}"))
            }
        }
    }

    /// A result, unless it is a text longer than all that may be printed. Long texts count as statements, since they take time:
    /// one that is made of itself again and again grows fast.
    fn bounded(&mut self, slot: Slot) -> Outcome<Slot> {
        const STATEMENT_BYTES: usize = 1024;
        let length = slot.value.as_bytes().map_or(0, <[u8]>::len);
        if length > self.options.output_bytes_max {
            return self.error(format!("more than {} bytes in a text", self.options.output_bytes_max));
        }
        self.steps(u64::try_from(length / STATEMENT_BYTES).unwrap_or(u64::MAX))?;
        Ok(slot)
    }

    /// The arguments of a call, each checked against the signature.
    pub(super) fn arguments(
        &mut self,
        dot: &Slot,
        name: &str,
        signature: &Signature,
        given: Given<'t, '_>,
    ) -> Outcome<Vec<Slot>> {
        self.count(name, signature, given)?;
        let mut args = Vec::with_capacity(given.words.len() + 1);
        for (position, word) in given.words.iter().enumerate() {
            args.push(self.argument(dot, Some(signature.param(position)), word)?);
        }
        if let Some(piped) = given.piped {
            let wanted = signature.param(args.len());
            args.push(self.fitting(piped.clone(), Some(wanted))?);
        }
        Ok(args)
    }

    fn count(&mut self, name: &str, signature: &Signature, given: Given<'t, '_>) -> Outcome<()> {
        let (words, got) = (given.words.len(), given.words.len() + usize::from(given.piped.is_some()));
        let fixed = signature.fixed();
        if signature.variadic && got < fixed {
            return self.error(format!("wrong number of args for {name}: want at least {fixed} got {words}"));
        }
        if !signature.variadic && got != fixed {
            return self.error(format!("wrong number of args for {name}: want {fixed} got {got}"));
        }
        Ok(())
    }

    /// `and` and `or`: the operand that decides, later ones not looked at.
    fn short_circuit(
        &mut self,
        dot: &Slot,
        stop_at: bool,
        name: &str,
        signature: &Signature,
        given: Given<'t, '_>,
    ) -> Outcome<Slot> {
        self.count(name, signature, given)?;
        let mut value = Slot::invalid();
        for word in given.words {
            value = self.argument(dot, Some(signature.params[0]), word)?;
            if value.value.truth() == stop_at {
                return Ok(value);
            }
        }
        Ok(given.piped.cloned().unwrap_or(value))
    }
}
