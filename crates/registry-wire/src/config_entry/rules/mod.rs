//! What each kind allows, and what it fills in. The texts are Consul's.

mod chain;
mod defaults;
mod gateways;
mod trust;

use crate::json::Json;

/// Checks an entry of a kind, and puts it into the form in which it is kept.
pub(super) fn apply(kind: &str, entry: &mut Json) -> Result<(), String> {
    match kind {
        "service-defaults" => defaults::service(entry),
        "proxy-defaults" => defaults::proxy(entry),
        "service-router" => named(entry).and_then(|()| chain::router(entry)),
        "service-splitter" => named(entry).and_then(|()| chain::splitter(entry)),
        "service-resolver" => named(entry).and_then(|()| chain::resolver(entry)),
        "ingress-gateway" => gateways::ingress(entry),
        "terminating-gateway" => gateways::terminating(entry),
        "api-gateway" => gateways::api(entry),
        "http-route" | "tcp-route" => {
            gateways::route(entry);
            Ok(())
        }
        "inline-certificate" => gateways::inline_certificate(entry),
        "service-intentions" => trust::intentions(entry),
        "mesh" => trust::mesh(entry),
        "exported-services" => trust::exported(entry),
        "sameness-group" => Err("sameness-groups are an enterprise-only feature".to_owned()),
        "jwt-provider" => trust::jwt_provider(entry),
        _ => Ok(()),
    }
}

fn named(entry: &Json) -> Result<(), String> {
    if text(entry, "Name").is_empty() { Err("Name is required".to_owned()) } else { Ok(()) }
}

/// What [`apply`] does, for a `service-intentions` entry whose sources have ids.
pub(super) fn apply_with_ids(entry: &mut Json) -> Result<(), String> {
    trust::intentions_with_ids(entry)
}

/// Complaints that come together: `2 errors occurred:` and a line for each.
pub fn several(complaints: Vec<String>) -> Result<(), String> {
    let count = match complaints.len() {
        0 => return Ok(()),
        1 => "1 error".to_owned(),
        many => format!("{many} errors"),
    };
    let lines: String = complaints.iter().map(|why| format!("\t* {why}\n")).collect();
    Err(format!("{count} occurred:\n{lines}\n"))
}

/// A field's text; empty when it has none.
pub(super) fn text<'a>(object: &'a Json, name: &str) -> &'a str {
    match object.field(name) {
        Some(Json::Text(text)) => text,
        _ => "",
    }
}

/// Puts a value into a field, at its place if the object has it, else at the end.
pub(super) fn set(object: &mut Json, name: &str, value: Json) {
    let Json::Object(fields) = object else { return };
    match fields.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => fields.push((name.to_owned(), value)),
    }
}

/// A field's list; empty when it has none.
pub(super) fn list<'a>(object: &'a Json, name: &str) -> &'a [Json] {
    match object.field(name) {
        Some(Json::List(list)) => list,
        _ => &[],
    }
}

/// A field's objects by name, in order of the names.
fn objects<'a>(object: &'a Json, name: &str) -> &'a [(String, Json)] {
    match object.field(name) {
        Some(Json::Object(fields)) => fields,
        _ => &[],
    }
}

fn flag(object: &Json, name: &str) -> bool {
    object.field(name) == Some(&Json::Bool(true))
}

fn number(object: &Json, name: &str) -> f64 {
    match object.field(name) {
        Some(Json::Number(n)) => n.as_f64().unwrap_or_default(),
        _ => 0.0,
    }
}

/// The field itself, to change it.
fn inside<'a>(object: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    let Json::Object(fields) = object else { return None };
    fields.iter_mut().find(|(n, _)| n == name).map(|(_, value)| value)
}

/// The elements of a field's list, to change them.
fn elements<'a>(object: &'a mut Json, name: &str) -> impl Iterator<Item = &'a mut Json> {
    let found = match inside(object, name) {
        Some(Json::List(list)) => list.as_mut_slice(),
        _ => &mut [],
    };
    found.iter_mut()
}

/// Changes the case of a field's text.
fn recase(object: &mut Json, name: &str, change: fn(&str) -> String) {
    if let Some(Json::Text(text)) = inside(object, name) {
        *text = change(text);
    }
}
