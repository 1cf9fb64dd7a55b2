//! Judges an answer by the recorded one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    scenario::{Expect, Step},
    shape::{self, Shape},
    token::{self, Tokens, short},
};
use crate::client::Answer;

/// Which of these a redirect is depends on the HTTP library that the recorded server was built with.
const REDIRECTS: [u16; 4] = [301, 302, 307, 308];

/// Fields that a patched build of the recorded server adds: never compared.
const FREE_KEYS: [&str; 2] = ["IncludeAll", "SkipLocalDatacenter"];

/// What differs between the answer and the expectation, one line each.
pub(super) fn differences(step: &Step, want: &Expect, answer: &Answer, tokens: &mut Tokens) -> Vec<String> {
    let mut out = Vec::new();
    let redirect = REDIRECTS.contains(&want.status) && REDIRECTS.contains(&answer.status);
    if !redirect && answer.status != want.status {
        let body = short(&Value::from(answer.text()));
        out.push(format!("status: expected {}, got {} ({body})", want.status, answer.status));
    }
    headers(step, want, answer, redirect, tokens, &mut out);
    if !redirect {
        body(want, shape::body(step, answer), tokens, &mut out);
    }
    out
}

fn headers(
    step: &Step,
    want: &Expect,
    answer: &Answer,
    redirect: bool,
    tokens: &mut Tokens,
    out: &mut Vec<String>,
) {
    let mut got = shape::headers(step, answer);
    let cached = step
        .request
        .as_ref()
        .is_some_and(|request| request.contains("?cached") || request.contains("&cached"));
    let streaming = want.headers.get("X-Consul-Query-Backend").is_some_and(|backend| backend == "streaming");
    let empty_text = want.body.get("text").is_some_and(|text| text == "");
    for (name, value) in &want.headers {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "content-type" | "vary" if redirect => continue,
            "content-type" if empty_text => continue,
            // By chance true or false in the recorded server's local view.
            "x-consul-knownleader" if cached || streaming => {
                got.remove(&name);
                continue;
            }
            _ => {}
        }
        match got.remove(&name) {
            None => out.push(format!("header {name} is missing (expected {value})")),
            Some(other) => {
                if let Err(why) = header(&name, value, other, tokens) {
                    out.push(format!("header {name}: {why}"));
                }
            }
        }
    }
    let strict = |name: &str| {
        name.starts_with("x-consul-") || ["allow", "location", "content-encoding"].contains(&name)
    };
    out.extend(
        got.iter()
            .filter(|(name, _)| strict(name))
            .map(|(name, value)| format!("unexpected header {name}: {value}")),
    );
}

fn header(name: &str, want: &str, got: String, tokens: &mut Tokens) -> Result<(), String> {
    let tight = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    match name {
        "content-type" => tokens.text(&tight(want), &Value::from(tight(&got))),
        // A server whose cache is never cold, and either way to wait for a change, are right too.
        "x-cache" if want == "MISS" && got == "HIT" => Ok(()),
        "x-consul-query-backend" if got == "blocking-query" || got == "streaming" => Ok(()),
        _ => tokens.text(want, &Value::from(got)),
    }
}

fn body(want: &Expect, got: Shape, tokens: &mut Tokens, out: &mut Vec<String>) {
    for kind in ["json", "text", "base64", "tar", "keys", "lines"] {
        let Some(want) = want.body.get(kind) else { continue };
        match (kind, &got) {
            ("json", Shape::Json(got)) => return json(want, got, "", tokens, out),
            ("text", Shape::Text(text)) => {
                let want = want.as_str().unwrap_or_default();
                let why = tokens.text(want, &Value::from(text.as_str())).err();
                return out.extend(why.map(|why| format!("body: {why}")));
            }
            ("base64", Shape::Base64(text)) if want == text.as_str() => return,
            ("tar", Shape::Tar(names)) if *want == Value::from(names.clone()) => return,
            ("keys", Shape::Keys(names)) => return missing(want, &names.iter().cloned().collect(), out),
            ("lines", Shape::Lines(names)) => return missing(want, names, out),
            _ => return out.push(format!("body: expected {kind} {}, got {}", short(want), describe(&got))),
        }
    }
}

fn missing(want: &Value, got: &BTreeSet<String>, out: &mut Vec<String>) {
    let wanted = want.as_array().into_iter().flatten().filter_map(Value::as_str);
    let gone: Vec<&str> = wanted.filter(|name| !got.contains(*name)).collect();
    if !gone.is_empty() {
        out.push(format!("body: missing {}", gone.join(", ")));
    }
}

fn describe(got: &Shape) -> String {
    match got {
        Shape::Json(value) => format!("JSON {}", short(value)),
        Shape::Text(text) => format!("text {}", short(&Value::from(text.as_str()))),
        Shape::Base64(text) => format!("base64 {}", short(&Value::from(text.as_str()))),
        Shape::Tar(names) | Shape::Keys(names) => short(&Value::from(names.clone())),
        Shape::Lines(names) => format!("{names:?}"),
        Shape::None => "nothing".into(),
    }
}

/// Compares by structure: the same keys, lists in their order; texts may be placeholders.
fn json(want: &Value, got: &Value, path: &str, tokens: &mut Tokens, out: &mut Vec<String>) {
    let at = if path.is_empty() { "/" } else { path };
    match (want, got) {
        (Value::String(want), _) if want == "<ignored>" => {}
        (Value::String(want), _) => {
            out.extend(tokens.text(want, got).err().map(|why| format!("{at}: {why}")))
        }
        (Value::Object(want), Value::Object(got)) => object(want, got, path, tokens, out),
        (Value::Object(_), _) => out.push(format!("{at}: expected an object, got {}", short(got))),
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (i, (want, got)) in want.iter().zip(got).enumerate() {
                json(want, got, &format!("{path}/{i}"), tokens, out);
            }
        }
        (Value::Array(want), Value::Array(list)) => {
            out.push(format!("{at}: expected {} items, got {}: {}", want.len(), list.len(), short(got)));
        }
        (Value::Array(_), _) => out.push(format!("{at}: expected a list, got {}", short(got))),
        (Value::Number(a), Value::Number(b))
            if a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())) => {}
        _ if want == got => {}
        _ => out.push(format!("{at}: expected {want}, got {}", short(got))),
    }
}

fn object(
    want: &Map<String, Value>,
    got: &Map<String, Value>,
    path: &str,
    tokens: &mut Tokens,
    out: &mut Vec<String>,
) {
    let at = if path.is_empty() { "/" } else { path };
    let free = |key: &str| FREE_KEYS.contains(&key);
    let mut left: BTreeMap<&str, &Value> =
        got.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !free(key)).collect();
    for (key, value) in want.iter().filter(|(key, _)| !free(key)) {
        let below = format!("{path}/{key}");
        if let Some(got) = left.remove(key.as_str()) {
            json(value, got, &below, tokens, out);
        } else if token::has_token(key) {
            let fits = left.keys().copied().find(|name| tokens.text(key, &Value::from(*name)).is_ok());
            match fits.and_then(|name| left.remove(name)) {
                Some(got) => json(value, got, &below, tokens, out),
                None => out.push(format!("{at}: no key for {key}")),
            }
        } else if value != "<ignored>" {
            out.push(format!("{at}: key {key} is missing (expected {})", short(value)));
        }
    }
    out.extend(left.iter().map(|(key, value)| format!("{at}: unexpected key {key} = {}", short(value))));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{differences, json as compare};
    use crate::{
        client::Answer,
        http::{
            scenario::{Expect, Step},
            token::Tokens,
        },
    };

    fn differing(want: Value, got: Value) -> Vec<String> {
        let mut out = Vec::new();
        compare(&want, &got, "", &mut Tokens::new(1, [].into()), &mut out);
        out
    }

    #[test]
    fn kinds_of_nothing_differ() {
        let nothings = [json!(null), json!([]), json!({}), json!(""), json!(0), json!(false)];
        for (i, want) in nothings.iter().enumerate() {
            for (j, got) in nothings.iter().enumerate() {
                assert_eq!(differing(want.clone(), got.clone()).is_empty(), i == j, "{want} {got}");
            }
        }
    }

    #[test]
    fn every_key_counts_and_order_only_in_lists() {
        assert!(differing(json!({"a": 1, "b": "<ignored>"}), json!({"a": 1})).is_empty());
        assert_eq!(differing(json!({"a": 1}), json!({"b": 1})).len(), 2);
        assert_eq!(differing(json!([1, 2]), json!([2, 1])).len(), 2);
        assert!(differing(json!(1), json!(1.0)).is_empty());
        assert!(
            differing(json!(18_446_744_073_709_551_615_u64), json!(18_446_744_073_709_551_614_u64)).len()
                == 1
        );
        let id = "00000000-0000-0000-0000-00000000000a";
        assert!(differing(json!({"<uuid:1>": "<uuid:1>"}), json!({id: id})).is_empty());
    }

    fn answered(want: Value, status: u16, headers: &[(&str, &str)], body: &str) -> Vec<String> {
        let want: Expect = serde_json::from_value(want).unwrap();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = Answer { status, headers, body: body.into() };
        differences(&Step::default(), &want, &answer, &mut Tokens::new(1, [].into()))
    }

    #[test]
    fn recorded_headers_must_be_there_and_further_ones_of_the_protocol_must_not() {
        let want =
            json!({"status": 200, "headers": {"Content-Type": "text/plain; charset=utf-8"}, "text": "x"});
        let kind = ("content-type", "text/plain;charset=UTF-8");
        assert!(answered(want.clone(), 200, &[kind, ("date", "now")], "x").is_empty());
        assert_eq!(answered(want.clone(), 200, &[kind, ("x-consul-index", "1")], "x").len(), 1);
        assert_eq!(answered(want, 200, &[("date", "now")], "x").len(), 1);
    }

    #[test]
    fn a_redirect_counts_by_its_location() {
        let want = json!({"status": 301, "headers": {"Location": "/ui/", "Content-Type": "text/html"}, "text": "moved"});
        assert!(answered(want.clone(), 307, &[("location", "/ui/")], "").is_empty());
        assert_eq!(answered(want, 307, &[("location", "/")], "").len(), 1);
    }

    #[test]
    fn an_error_does_not_tell_of_the_read() {
        let want = json!({"status": 400, "headers": {}, "text": "bad"});
        assert!(answered(want.clone(), 400, &[("x-consul-index", "7")], "bad").is_empty());
        assert_eq!(answered(want, 400, &[("x-consul-other", "7")], "bad").len(), 1);
    }
}
