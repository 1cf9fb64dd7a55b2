//! Which parts of its answers a rendering has looked at: a change of other parts gives the same text, and asks for no
//! new rendering.
//!
//! Records are seen by field: a template that prints `.Address` and `.Port` of each instance is not rendered again when a
//! check says something else. Where a whole record is looked at (printed, compared, given to a function that may read
//! all of it) all fields of its type count as read. Lists count with their length and order in any case.

use go_template::{StructType, Type, Value};

use crate::{
    answers::{Answer, KeyAnswer, KeyPair, Known},
    functions::shapes,
};

/// Into how many values a look for records goes, before any are taken to be there.
const STEPS_MAX: usize = 1000;

/// What a function lets a template see of an answer that holds more; several are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View(u8);

impl View {
    /// All that the answer holds.
    pub const WHOLE: View = View(u8::MAX);
    /// Of a key: whether it is there.
    pub const EXISTS: View = View(1);
    /// Of a key: its value, where an absent one is as good as an empty one.
    pub const VALUE: View = View(1 << 1);
    /// Of a key: the value it had last.
    pub const LAST: View = View(1 << 2);
    /// Of a prefix: the keys right below it.
    pub const CHILDREN: View = View(1 << 3);
    /// Of a prefix: the keys at any depth.
    pub const LEAVES: View = View(1 << 4);
    const NOTHING: View = View(0);

    fn has(self, other: View) -> bool {
        self.0 & other.0 != 0
    }
}

/// The parts that were looked at: of each question by its place, and of records by their type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    views: Vec<View>,
    /// One bit for each field of a type.
    fields: Vec<(&'static StructType, u64)>,
    has_all_fields: bool,
}

impl Parts {
    /// The question at a place was asked with this view.
    pub(crate) fn see(&mut self, place: usize, view: View) {
        if self.views.len() <= place {
            self.views.resize(place + 1, View::NOTHING);
        }
        self.views[place].0 |= view.0;
    }

    /// A field of a record was read.
    pub(crate) fn read(&mut self, ty: &'static StructType, field: usize) {
        self.add(
            ty,
            u32::try_from(field).ok().and_then(|field| 1_u64.checked_shl(field)).unwrap_or(u64::MAX),
        );
    }

    /// All fields of all records in a value were read, or may have been.
    pub(crate) fn read_whole(&mut self, value: &Value) {
        // No calls inside calls, and not too many steps: a template can make values of any depth and size.
        let mut left = vec![value.clone()];
        let mut steps = 0;
        while let Some(value) = left.pop() {
            steps += 1;
            match &value {
                Value::List(list) if list.ty.element() == Type::Any => {
                    left.extend(list.items.iter().filter(|item| may_hold(item)).cloned());
                }
                Value::Map(map) if map.ty.element() == Type::Any => {
                    left.extend(map.entries().values().filter(|item| may_hold(item)).cloned());
                }
                // A pad may hold anything.
                Value::Object(_) => self.has_all_fields = true,
                value => self.read_type(value.ty()),
            }
            if steps + left.len() > STEPS_MAX {
                self.has_all_fields = true;
            }
            if self.has_all_fields {
                return;
            }
        }
    }

    fn read_type(&mut self, ty: Type) {
        match ty {
            Type::Struct(record) | Type::Pointer(record) if self.fields_of(record) != u64::MAX => {
                self.add(record, u64::MAX);
                record.fields.iter().for_each(|(_, field)| self.read_type(*field));
            }
            Type::List(element) | Type::NamedList(_, element) | Type::Map(_, element) => {
                self.read_type(*element);
            }
            _ => {}
        }
    }

    fn add(&mut self, ty: &'static StructType, fields: u64) {
        match self.fields.iter_mut().find(|(known, _)| *known == ty) {
            Some((_, known)) => *known |= fields,
            None => self.fields.push((ty, fields)),
        }
    }

    fn fields_of(&self, ty: &StructType) -> u64 {
        self.fields.iter().find(|(known, _)| *known == ty).map_or(0, |(_, fields)| *fields)
    }

    /// Whether the answer to the question at a place looks another one to who saw these parts of it.
    pub(crate) fn differ(&self, place: usize, before: &Known, now: &Known) -> bool {
        let view = self.views.get(place).copied().unwrap_or(View::WHOLE);
        match (before.answer().as_ref(), now.answer().as_ref()) {
            (Answer::Key(before), Answer::Key(now)) => key_differs(view, before, now),
            (Answer::Pairs(before), Answer::Pairs(now)) => {
                let shown = |pairs: &[KeyPair], shows: fn(&KeyPair) -> bool| {
                    shapes::key_pairs(pairs.iter().filter(|pair| shows(pair)))
                };
                let changed = |shows| !self.same(&shown(before, shows), &shown(now, shows));
                (view.has(View::CHILDREN) && changed(KeyPair::is_child))
                    || (view.has(View::LEAVES) && changed(KeyPair::is_leaf))
            }
            (old, new) => match (before.records(), now.records()) {
                (Some(before), Some(now)) => !self.same(&before, &now),
                _ => old != new,
            },
        }
    }

    /// Whether two values are equal in all that was read of records.
    fn same(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::List(a), Value::List(b)) => {
                a.nil == b.nil
                    && a.items.len() == b.items.len()
                    && a.items.iter().zip(&b.items).all(|(a, b)| self.same(a, b))
            }
            (Value::Map(a), Value::Map(b)) => {
                let (nils, a, b) = ((a.nil, b.nil), a.entries(), b.entries());
                nils.0 == nils.1
                    && a.len() == b.len()
                    && a.iter().zip(b.iter()).all(|((k, a), (l, b))| k == l && self.same(a, b))
            }
            (
                Value::Struct(a) | Value::Pointer(_, Some(a)),
                Value::Struct(b) | Value::Pointer(_, Some(b)),
            ) => {
                let read = if self.has_all_fields { u64::MAX } else { self.fields_of(a.ty) };
                let fields = a.fields.iter().zip(&b.fields).enumerate();
                a.ty == b.ty
                    && fields.filter(|(at, _)| read >> at & 1 == 1).all(|(_, (a, b))| self.same(a, b))
            }
            (Value::Nil, Value::Nil) | (Value::Pointer(_, None), Value::Pointer(_, None)) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a, _), Value::Int(b, _)) => a == b,
            (Value::Uint(a, _), Value::Uint(b, _)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            _ => false,
        }
    }
}

/// Whether there may be records in a value.
pub(crate) fn may_hold(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_) | Value::Struct(_) | Value::Pointer(..) | Value::Object(_))
}

fn key_differs(view: View, before: &KeyAnswer, now: &KeyAnswer) -> bool {
    fn value(pair: Option<&KeyPair>) -> Option<&[u8]> {
        pair.map(|pair| pair.value.as_slice())
    }
    fn last(key: &KeyAnswer) -> Option<&[u8]> {
        value(key.last.as_ref().or(key.now.as_ref()))
    }
    let filled = |key: &KeyAnswer| value(key.now.as_ref()).unwrap_or_default().to_vec();
    (view.has(View::EXISTS) && before.now.is_some() != now.now.is_some())
        || (view.has(View::VALUE) && filled(before) != filled(now))
        || (view.has(View::LAST) && last(before) != last(now))
}

#[cfg(test)]
mod tests {
    use registry_wire::catalog::HealthCheck;

    use super::*;
    use crate::{
        answers::{Answers, HealthService},
        query::Query,
    };

    fn differ(parts: &Parts, before: &Answer, now: &Answer) -> bool {
        let known = |answer: &Answer| {
            let (mut answers, query) = (Answers::default(), Query::key("any").unwrap());
            answers.put(query.clone(), answer.clone());
            answers.known(&query).unwrap().clone()
        };
        parts.differ(0, &known(before), &known(now))
    }

    fn web(output: &str, port: i64) -> Answer {
        let check = HealthCheck { output: output.to_owned(), ..HealthCheck::default() };
        Answer::Instances(vec![HealthService { checks: vec![check], port, ..HealthService::default() }])
    }

    fn field(ty: &'static StructType, name: &str) -> usize {
        ty.field(name.as_bytes()).unwrap()
    }

    #[test]
    fn fields_that_nobody_read_do_not_differ() {
        let mut parts = Parts::default();
        assert!(!differ(&parts, &web("a", 1), &web("b", 2)), "only the length was seen");
        assert!(differ(&parts, &web("a", 1), &Answer::Instances(vec![])));
        parts.read(&shapes::HEALTH_SERVICE, field(&shapes::HEALTH_SERVICE, "Port"));
        assert!(differ(&parts, &web("a", 1), &web("a", 2)));
        assert!(!differ(&parts, &web("a", 1), &web("b", 1)));
        parts.read(&shapes::HEALTH_SERVICE, field(&shapes::HEALTH_SERVICE, "Checks"));
        assert!(!differ(&parts, &web("a", 1), &web("b", 1)), "how many checks, not what they say");
    }

    #[test]
    fn what_is_printed_whole_differs_by_any_field() {
        let Some(list) = shapes::records(&web("a", 1)) else { panic!("records") };
        for value in [list.clone(), Value::list(&Type::Any, vec![list])] {
            let mut parts = Parts::default();
            parts.read_whole(&value);
            assert!(differ(&parts, &web("a", 1), &web("b", 1)));
        }
    }

    #[test]
    fn keys_differ_in_what_was_asked_of_them() {
        let pair =
            |value: &str, index| KeyPair { value: value.into(), modify_index: index, ..KeyPair::default() };
        let key = |pair: Option<KeyPair>| Answer::Key(KeyAnswer { last: pair.clone(), now: pair });
        let changed = |view, before: &Option<KeyPair>, now: &Option<KeyPair>| {
            let mut parts = Parts::default();
            parts.see(0, view);
            differ(&parts, &key(before.clone()), &key(now.clone()))
        };
        let (one, again, two) = (Some(pair("1", 1)), Some(pair("1", 2)), Some(pair("2", 2)));
        assert!(!changed(View::WHOLE, &one, &again));
        assert!(!changed(View::EXISTS, &one, &two));
        assert!(changed(View::EXISTS, &one, &None));
        assert!(changed(View::VALUE, &one, &two));
        assert!(!changed(View::VALUE, &Some(pair("", 1)), &None));
        assert!(changed(View::LAST, &one, &two));
    }

    #[test]
    fn keys_further_down_are_not_seen_by_ls() {
        let pair =
            |key: &str, value: &str| KeyPair { key: key.into(), value: value.into(), ..KeyPair::default() };
        let list = |deep: &str| Answer::Pairs(vec![pair("a", "1"), pair("b/c", deep)]);
        let mut parts = Parts::default();
        parts.see(0, View::CHILDREN);
        parts.read(&shapes::KEY_PAIR, field(&shapes::KEY_PAIR, "Value"));
        assert!(!differ(&parts, &list("1"), &list("2")));
        parts.see(0, View::LEAVES);
        assert!(differ(&parts, &list("1"), &list("2")));
    }
}
