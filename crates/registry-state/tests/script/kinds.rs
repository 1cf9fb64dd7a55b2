//! Which kinds of commands there are, and which of them a script used.

use std::{collections::BTreeSet, fmt::Debug};

use registry_state::{Action, Behavior, CatalogVerb, KvDelete, KvVerb, PutMode, Restore, TxnOp};
use serde::{
    Deserialize, Deserializer,
    de::{Visitor, value::Error},
    forward_to_deserialize_any,
};

/// Every kind: of command, and of what a command says it should do.
pub(crate) fn all() -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    kinds.extend(variants::<Action>("Action"));
    kinds.extend(variants::<PutMode>("PutMode"));
    kinds.extend(variants::<KvDelete>("KvDelete"));
    kinds.extend(variants::<Behavior>("Behavior"));
    kinds.extend(variants::<Restore>("Restore"));
    kinds.extend(variants::<TxnOp>("TxnOp"));
    kinds.extend(variants::<KvVerb>("KvVerb"));
    for of in ["NodeOp", "ServiceOp", "CheckOp"] {
        kinds.extend(variants::<CatalogVerb>(of));
    }
    kinds
}

/// The kinds of an action.
pub(crate) fn of(action: &Action) -> Vec<String> {
    let mut kinds = vec![kind("Action", action)];
    match action {
        Action::KvPut(put) => kinds.push(kind("PutMode", &put.mode)),
        Action::KvDelete(delete) => kinds.push(kind("KvDelete", delete)),
        Action::SessionCreate(session) => kinds.push(kind("Behavior", &session.behavior)),
        Action::Restore(step) => kinds.push(kind("Restore", step)),
        Action::Txn(ops) => kinds.extend(ops.iter().flat_map(of_op)),
        _ => {}
    }
    kinds
}

fn of_op(op: &TxnOp) -> [String; 2] {
    let verb = match op {
        TxnOp::Kv(op) => kind("KvVerb", &op.verb),
        TxnOp::Node(op) => kind("NodeOp", &op.verb),
        TxnOp::Service(op) => kind("ServiceOp", &op.verb),
        TxnOp::Check(op) => kind("CheckOp", &op.verb),
    };
    [kind("TxnOp", op), verb]
}

/// `PutMode::Cas` for `Cas(5)`.
fn kind(of: &str, value: &impl Debug) -> String {
    let shown = format!("{value:?}");
    let name = shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    format!("{of}::{name}")
}

/// The names of an enum's variants, as its own `Deserialize` tells them: a new one cannot be forgotten here.
fn variants<'a, T: Deserialize<'a>>(of: &str) -> Vec<String> {
    let mut names: &[&str] = &[];
    // It cannot be read from nothing; what it asked for is what is wanted.
    let _ = T::deserialize(Listener { heard: &mut names });
    assert!(!names.is_empty(), "{of} is no enum");
    names.iter().map(|name| format!("{of}::{name}")).collect()
}

/// Reads nothing, and keeps the names that an enum offers.
struct Listener<'a> {
    heard: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.heard = variants;
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
