//! An answer in the form in which it is compared.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::scenario::{Step, pointer};
use crate::client::Answer;

/// Further headers that are compared, besides `X-Consul-*` and `Access-Control-*`.
const HEADERS: [&str; 8] = [
    "content-type",
    "vary",
    "allow",
    "location",
    "content-encoding",
    "x-cache",
    "x-content-type-options",
    "content-security-policy",
];

/// What a read reports of itself: not compared on an error.
const READ_HEADERS: [&str; 5] = [
    "x-consul-index",
    "x-consul-knownleader",
    "x-consul-lastcontact",
    "x-consul-query-backend",
    "x-consul-effective-consistency",
];

/// A body, by the name that its kind has in `expect`.
#[derive(Debug, PartialEq)]
pub(super) enum Shape {
    Json(Value),
    Text(String),
    Base64(String),
    Tar(Vec<String>),
    Keys(Vec<String>),
    Lines(BTreeSet<String>),
    None,
}

/// The headers of an answer that count.
pub(super) fn headers(step: &Step, answer: &Answer) -> BTreeMap<String, String> {
    let named = |list: &[String], name: &str| {
        list.iter().any(|n| n.trim_start_matches('@').eq_ignore_ascii_case(name))
    };
    let is_error = answer.status >= 400 && !answer.body.is_empty();
    let counts = |name: &str| {
        let also = named(&step.headers_also, name);
        let ignored = step.ignore.iter().any(|n| n.starts_with('@') && n[1..].eq_ignore_ascii_case(name));
        let of_a_read = is_error && READ_HEADERS.contains(&name) && !also;
        let known =
            HEADERS.contains(&name) || name.starts_with("x-consul-") || name.starts_with("access-control-");
        (known || also) && !ignored && !of_a_read
    };
    answer.headers.iter().filter(|(name, _)| counts(name)).cloned().collect()
}

/// The body, read as its content type or the step says.
pub(super) fn body(step: &Step, answer: &Answer) -> Shape {
    let unpacked = unpack(answer);
    let bytes = unpacked.as_deref().unwrap_or(&answer.body);
    let wanted = step.shape.as_deref();
    let is_json = answer.header("content-type").is_some_and(|kind| kind.contains("json"));
    match wanted {
        Some("none") => return Shape::None,
        Some("tar") => return tar_names(bytes).map_or_else(|_| text(bytes), Shape::Tar),
        Some("lines") => return Shape::Lines(metric_names(&String::from_utf8_lossy(bytes))),
        Some("text") => return text(bytes),
        Some("json") => {}
        _ if !is_json => return text(bytes),
        _ => {}
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(bytes) else { return text(bytes) };
    if wanted == Some("keys") {
        return Shape::Keys(keys(&document));
    }
    sort(&mut document, &step.sort);
    match &step.pick {
        Some(paths) if is_json => {
            let found =
                |path: &String| pointer(&document, path).cloned().unwrap_or_else(|| json!("<absent>"));
            Shape::Json(paths.iter().map(|path| (path.clone(), found(path))).collect())
        }
        _ => Shape::Json(document),
    }
}

fn unpack(answer: &Answer) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let packed = answer.header("content-encoding") == Some("gzip");
    (packed && GzDecoder::new(answer.body.as_slice()).read_to_end(&mut out).is_ok()).then_some(out)
}

fn text(bytes: &[u8]) -> Shape {
    match std::str::from_utf8(bytes) {
        Ok(text) => Shape::Text(text.to_owned()),
        Err(_) => Shape::Base64(BASE64_STANDARD.encode(bytes)),
    }
}

fn keys(document: &Value) -> Vec<String> {
    match document {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => list.iter().map(super::scenario::plain).collect(),
        _ => Vec::new(),
    }
}

/// The first words of a metrics page's lines, without labels.
fn metric_names(page: &str) -> BTreeSet<String> {
    let names = page.lines().filter(|line| line.starts_with(|c: char| c.is_alphabetic()));
    names.map(|line| line.split(['{', ' ']).next().unwrap_or_default().to_owned()).collect()
}

/// The names of a gzipped tar archive's members.
fn tar_names(bytes: &[u8]) -> io::Result<Vec<String>> {
    const BLOCK: usize = 512;
    let mut archive = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut archive)?;
    let (mut names, mut at) = (Vec::new(), 0);
    while let Some(header) = archive.get(at..at + BLOCK).filter(|header| header.iter().any(|b| *b != 0)) {
        let field = |range: std::ops::Range<usize>| {
            let bytes: Vec<u8> = header[range].iter().copied().take_while(|b| *b != 0).collect();
            String::from_utf8_lossy(&bytes).trim().to_owned()
        };
        let size = usize::from_str_radix(&field(124..136), 8).map_err(io::Error::other)?;
        if !matches!(header[156], b'x' | b'g') {
            names.push(field(0..100));
        }
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
    }
    Ok(names)
}

/// Sorts the lists at these paths (`*` for any part) by the field that a path below the items names.
pub(super) fn sort(document: &mut Value, sorts: &BTreeMap<String, String>) {
    for (path, key) in sorts {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        sort_at(document, &parts, key);
    }
}

fn sort_at(node: &mut Value, parts: &[&str], key: &str) {
    match (parts.split_first(), node) {
        (None, Value::Array(list)) if list.iter().all(|item| pointer(item, key).is_some()) => {
            list.sort_by(|a, b| order(pointer(a, key), pointer(b, key)));
        }
        (Some((&"*", rest)), Value::Array(list)) => {
            list.iter_mut().for_each(|child| sort_at(child, rest, key))
        }
        (Some((&"*", rest)), Value::Object(map)) => {
            map.values_mut().for_each(|child| sort_at(child, rest, key))
        }
        (Some((part, rest)), Value::Object(map)) => {
            if let Some(child) = map.get_mut(*part) {
                sort_at(child, rest, key);
            }
        }
        _ => {}
    }
}

/// Numbers by value and before all else, which goes by its text.
fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let rank = |value: Option<&Value>| match value {
        Some(Value::Number(n)) => (0, n.as_f64().unwrap_or_default(), String::new()),
        other => (1, 0.0, other.map(Value::to_string).unwrap_or_default()),
    };
    let (a, b) = (rank(a), rank(b));
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Shape, body, sort};
    use crate::{client::Answer, http::scenario::Step};

    fn answer(kind: &str, body: &str) -> Answer {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Answer { status: 200, headers, body: body.into() }
    }

    #[test]
    fn the_content_type_says_what_a_body_is() {
        let step = Step::default();
        assert_eq!(body(&step, &answer("application/json", "[1]")), Shape::Json(json!([1])));
        assert_eq!(body(&step, &answer("text/plain", "[1]")), Shape::Text("[1]".into()));
        assert_eq!(body(&step, &answer("application/json", "[1")), Shape::Text("[1".into()));
    }

    #[test]
    fn picked_paths_may_be_absent() {
        let step = Step { pick: Some(vec!["/a".into(), "/b".into()]), ..Step::default() };
        let picked = json!({"/a": 1, "/b": "<absent>"});
        assert_eq!(body(&step, &answer("application/json", r#"{"a":1}"#)), Shape::Json(picked));
    }

    #[test]
    fn lists_are_sorted_by_a_field_below_their_items() {
        let mut document = json!({"x": [{"k": {"n": 2}}, {"k": {"n": 1}}]});
        sort(&mut document, &[("/x".to_owned(), "/k/n".to_owned())].into());
        assert_eq!(document, json!({"x": [{"k": {"n": 1}}, {"k": {"n": 2}}]}));
    }
}
