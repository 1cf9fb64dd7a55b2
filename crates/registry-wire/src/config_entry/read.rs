//! A body's values as a kind's fields: read as loosely as Consul reads them, shown as it shows them.
//!
//! A text stands for a number and the other way round, a list of one for its element, one thing for a list of it.

use super::{
    loose,
    schema::{Field, Holds, Show},
};
use crate::{duration, json::Json};

/// What does not fit in a body.
#[derive(Debug, Default)]
pub(super) struct Misfits {
    /// Keys that no field has, with their places: `Routes[0].Match.Nope`.
    pub(super) unknown: Vec<String>,
    /// Values of the wrong kind.
    pub(super) wrong: Vec<String>,
}

/// The object that is shown for a body with these fields.
pub(super) fn object(sent: &Json, fields: &'static [Field], misfits: &mut Misfits) -> Json {
    read_object(sent, fields, "", misfits)
}

fn read_object(sent: &Json, fields: &'static [Field], place: &str, misfits: &mut Misfits) -> Json {
    const NONE: &[(String, Json)] = &[];
    let given = match sent {
        Json::Object(given) => given.as_slice(),
        Json::Null => NONE,
        other => {
            misfits.wrong.push(format!("'{place}' expected a map, got '{}'", loose::go_kind(other)));
            NONE
        }
    };
    let mut shown = Vec::new();
    for field in fields {
        let value = given.iter().rev().find(|(key, _)| field.is(key)).map(|(_, value)| value);
        let place = beneath(place, field.name);
        if let Some(value) = read_field(value, field, &place, misfits) {
            shown.push((field.name.to_owned(), value));
        }
    }
    let known = |key: &str| fields.iter().any(|field| field.is(key));
    let unknown = given.iter().filter(|(key, _)| !known(key)).map(|(key, _)| beneath(place, key));
    misfits.unknown.extend(unknown);
    Json::Object(shown)
}

fn beneath(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// What is shown of one field; `None` when nothing is.
fn read_field(sent: Option<&Json>, field: &Field, place: &str, misfits: &mut Misfits) -> Option<Json> {
    let value =
        sent.filter(|value| **value != Json::Null).map(|value| read(value, field.holds, place, misfits));
    match field.show {
        Show::Always => Some(value.unwrap_or_else(|| zero(field.holds))),
        Show::Filled => value.filter(|value| !is_zero(value, field.holds)),
        Show::Given => value,
        Show::OrNull => Some(value.unwrap_or_default()),
        Show::Never => None,
    }
}

fn read(sent: &Json, holds: Holds, place: &str, misfits: &mut Misfits) -> Json {
    let mut wrong = |why: String| {
        misfits.wrong.push(why);
        zero(holds)
    };
    match holds {
        Holds::Text => loose::text(sent, place).map_or_else(wrong, Json::Text),
        Holds::Flag => loose::flag(sent, place).map_or_else(wrong, Json::Bool),
        Holds::Number => loose::number(sent, "int", place).map_or_else(wrong, |n| Json::Number(n.into())),
        Holds::Count(bits) => {
            let wrapped =
                |n: i64| Json::Number(if bits == 32 { u64::from(n as u32) } else { n as u64 }.into());
            loose::number(sent, if bits == 32 { "uint32" } else { "uint64" }, place)
                .map_or_else(wrong, wrapped)
        }
        Holds::Float => loose::float(sent, place).map_or_else(wrong, loose::json_float),
        Holds::Duration => match loose::nanos(sent, place) {
            Ok(0) => Json::Text(String::new()),
            Ok(nanos) => Json::Text(duration::format_nanos(nanos)),
            Err(why) => wrong(why),
        },
        Holds::Nanos => loose::nanos(sent, place).map_or_else(wrong, |n| Json::Number(n.into())),
        Holds::Texts => list(sent, place, |value, place| read(value, Holds::Text, place, misfits)),
        Holds::Numbers => list(sent, place, |value, place| read(value, Holds::Number, place, misfits)),
        Holds::TextMap => {
            map(sent, place, misfits, |value, place, misfits| read(value, Holds::Text, place, misfits))
        }
        Holds::AnyMap => map(sent, place, misfits, |value, _, _| loose::anything(value)),
        Holds::Object(fields) => read_object(loose::alone(sent), fields, place, misfits),
        Holds::Objects(fields) => {
            list(sent, place, |value, place| read_object(loose::alone(value), fields, place, misfits))
        }
        Holds::ObjectMap(fields) => map(sent, place, misfits, |value, place, misfits| {
            read_object(loose::alone(value), fields, place, misfits)
        }),
    }
}

/// A list; anything else is a list of itself, an empty object one of nothing.
fn list(sent: &Json, place: &str, mut element: impl FnMut(&Json, &str) -> Json) -> Json {
    let sent = match sent {
        Json::List(list) => list.as_slice(),
        Json::Object(fields) if fields.is_empty() => &[],
        one => std::slice::from_ref(one),
    };
    let elements = sent.iter().enumerate().map(|(at, value)| element(value, &format!("{place}[{at}]")));
    Json::List(elements.collect())
}

/// Values by name, in order of the names; a list of objects counts as one object.
fn map(
    sent: &Json,
    place: &str,
    misfits: &mut Misfits,
    mut value: impl FnMut(&Json, &str, &mut Misfits) -> Json,
) -> Json {
    let sent = match sent {
        Json::List(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut found = std::collections::BTreeMap::new();
    for part in sent {
        let Json::Object(fields) = part else {
            misfits.wrong.push(format!("'{place}' expected a map, got '{}'", loose::go_kind(part)));
            continue;
        };
        for (name, sent) in fields {
            found.insert(name.clone(), value(sent, &format!("{place}[{name}]"), misfits));
        }
    }
    Json::Object(found.into_iter().collect())
}

/// What a field holds that was not given.
fn zero(holds: Holds) -> Json {
    match holds {
        Holds::Text | Holds::Duration => Json::Text(String::new()),
        Holds::Flag => Json::Bool(false),
        Holds::Number | Holds::Count(_) | Holds::Float | Holds::Nanos => Json::Number(0.into()),
        Holds::Texts
        | Holds::Numbers
        | Holds::TextMap
        | Holds::AnyMap
        | Holds::Objects(_)
        | Holds::ObjectMap(_) => Json::Null,
        Holds::Object(fields) => read_object(&Json::Null, fields, "", &mut Misfits::default()),
    }
}

/// Whether a value is not shown where only filled ones are: an object always is.
fn is_zero(value: &Json, holds: Holds) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::Text(text) => text.is_empty(),
        Json::List(list) => list.is_empty(),
        Json::Object(fields) => fields.is_empty() && !matches!(holds, Holds::Object(_)),
    }
}
