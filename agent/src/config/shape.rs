//! A parsed file against the table of keys: types checked, blocks and lists sorted out, unknown keys refused.
//!
//! The result is plain JSON in the canonical spelling, ready to be merged. The words of the errors are those of the
//! decoder that Consul uses; scripts and tests compare them.

use hcl1::{Document, Entry, Kind, Object, Syntax, Value};
use serde_json::{Map, Value as Json};

use super::{
    ConfigError,
    schema::{self, Key, ROOT, Shape, Use},
    unpack::unpack,
};

/// A file's settings in canonical spelling, and what is to be said about them.
#[derive(Debug, Default)]
pub(super) struct Shaped {
    pub(super) settings: Map<String, Json>,
    /// Old spellings that were used: `(name, today's name)`.
    pub(super) old: Vec<(String, &'static str)>,
    /// What Consul says of keys that have no effect there either.
    pub(super) said: Vec<String>,
    /// Keys without effect: `(path, reason)`.
    pub(super) without: Vec<(String, &'static str)>,
}

/// Checks a document and reads it into JSON.
pub(super) fn shape(document: &Document) -> Result<Shaped, ConfigError> {
    let mut reader = Reader { document, shaped: Shaped::default(), types: Vec::new(), unknown: Vec::new() };
    let settings = reader.object(&document.root, ROOT, "");
    reader.shaped.settings = settings;
    reader.finish()
}

struct Reader<'a> {
    document: &'a Document,
    shaped: Shaped,
    types: Vec<String>,
    unknown: Vec<Unknown>,
}

struct Unknown {
    path: String,
    hint: String,
}

impl Reader<'_> {
    fn finish(mut self) -> Result<Shaped, ConfigError> {
        let file = &self.document.file;
        if !self.types.is_empty() {
            self.types.sort();
            let list: String = self.types.iter().map(|line| format!("\n* {line}")).collect();
            let text = format!("failed to parse {file}: {} error(s) decoding:\n{list}", self.types.len());
            return Err(ConfigError::new(text));
        }
        if !self.unknown.is_empty() {
            let lines: Vec<String> =
                self.unknown.iter().map(|unknown| format!("invalid config key {}", unknown.path)).collect();
            let text = format!("failed to parse {file}: {}", super::error_list(&lines));
            let hints: Vec<String> = self.unknown.into_iter().map(|unknown| unknown.hint).collect();
            return Err(ConfigError::new(text).with_hint(hints.join("\n")));
        }
        Ok(self.shaped)
    }

    fn object(&mut self, object: &Object, keys: &'static [Key], path: &str) -> Map<String, Json> {
        let mut settings = Map::new();
        let mut seen: Vec<&str> = Vec::new();
        for entry in &object.entries {
            let at = join(path, &entry.key);
            let Some(key) = schema::find(keys, &entry.key) else {
                self.unknown_key(entry, keys, at);
                continue;
            };
            if seen.contains(&key.name) {
                continue;
            }
            seen.push(key.name);
            let same = |other: &&Entry| schema::find(keys, &other.key).is_some_and(|k| k.name == key.name);
            let values: Vec<&Value> = object.entries.iter().filter(same).map(|entry| &entry.value).collect();
            if values.iter().any(|value| !matches!(value.kind, Kind::Null)) {
                self.mention(key, &at);
            }
            if let Some(value) = self.values(&values, key.shape, &at) {
                settings.insert(key.name.to_owned(), value);
            }
        }
        settings
    }

    fn mention(&mut self, key: &Key, path: &str) {
        match key.used {
            Use::Used => {}
            Use::Old(today) => {
                let path = path.rsplit_once('.').map_or(String::new(), |(block, _)| format!("{block}."));
                self.shaped.old.push((format!("{path}{}", key.name), today));
            }
            Use::Gone(text) => self.shaped.said.push(text.to_owned()),
            Use::Enterprise => {
                let name = if path == "read_replica" {
                    "read_replica (or the deprecated non_voting_server)"
                } else {
                    path
                };
                let text = "is a Consul Enterprise configuration and will have no effect";
                self.shaped.said.push(format!("\"{name}\" {text}"));
            }
            Use::Without(reason) => self.shaped.without.push((path.to_owned(), reason)),
        }
    }

    fn unknown_key(&mut self, entry: &Entry, keys: &'static [Key], path: String) {
        let place = self.document.place(entry.position);
        let meant = match entry.key.to_ascii_lowercase().as_str() {
            "script" => Some("args"),
            _ => schema::nearest(keys, &entry.key),
        };
        let meant = meant.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default();
        self.unknown.push(Unknown { hint: format!("{place}: unknown key \"{path}\"{meant}"), path });
    }

    /// All values that a key was given; for plain ones the last counts.
    fn values(&mut self, values: &[&Value], shape: Shape, path: &str) -> Option<Json> {
        let last = values.last()?;
        match shape {
            Shape::Object(keys) => {
                let object = self.only_object(values, path)?;
                Some(Json::Object(self.object(object, keys, path)))
            }
            Shape::ObjectMap(keys) => {
                let object = self.only_object(values, path)?;
                let mut map = Map::new();
                for entry in &object.entries {
                    let at = format!("{path}[{}]", entry.key);
                    let inner = self.only_object(&[&entry.value], &at)?;
                    let inner = self.object(inner, keys, &at);
                    map.insert(entry.key.clone(), Json::Object(inner));
                }
                Some(Json::Object(map))
            }
            Shape::TextMap => self.text_map(values, path),
            Shape::TextsMap => {
                let object = self.only_object(values, path)?;
                let mut map = Map::new();
                for entry in &object.entries {
                    let list = self.texts(&entry.value, &format!("{path}[{}]", entry.key))?;
                    map.insert(entry.key.clone(), list);
                }
                Some(Json::Object(map))
            }
            Shape::Objects(keys) => self.objects(values, keys, path),
            Shape::Opaque => {
                let object = self.only_object(values, path)?;
                Some(Json::Object(unpack(object.to_json(self.document.syntax))))
            }
            Shape::Texts => self.texts(last, path),
            Shape::Any => Some(last.to_json(self.document.syntax)),
            Shape::Bool | Shape::Int | Shape::Float | Shape::Text => self.plain(last, shape, path),
        }
    }

    /// The one object of a block that may stand once.
    fn only_object<'v>(&mut self, values: &[&'v Value], path: &str) -> Option<&'v Object> {
        let mut objects = Vec::new();
        // A repeated key of a JSON object replaces the former; a repeated block of HCL1 is a second element.
        let values = if self.document.syntax == Syntax::Json { &values[values.len() - 1..] } else { values };
        for value in values {
            match &value.kind {
                Kind::Object(object) => objects.push(object),
                Kind::List(list) => {
                    for element in list {
                        match &element.kind {
                            Kind::Object(object) => objects.push(object),
                            _ => return self.refuse(format!("'{path}' expected a map, got 'slice'")),
                        }
                    }
                }
                Kind::Null => return None,
                other => {
                    return self
                        .refuse(format!("'{path}' expected a map, got '{}'", go_type(other, self.syntax())));
                }
            }
        }
        match objects.as_slice() {
            [only] => Some(only),
            [] => None,
            _ => self.refuse(format!("'{path}' expected a map, got 'slice'")),
        }
    }

    fn objects(&mut self, values: &[&Value], keys: &'static [Key], path: &str) -> Option<Json> {
        let mut list = Vec::new();
        for value in values {
            let elements = match &value.kind {
                Kind::Object(_) if self.syntax() == Syntax::Hcl => std::slice::from_ref(*value),
                Kind::List(elements) => elements.as_slice(),
                Kind::Null => continue,
                other => {
                    let got = go_kind(other, self.syntax());
                    return self
                        .refuse(format!("'{path}': source data must be an array or slice, got {got}"));
                }
            };
            for element in elements {
                let at = format!("{path}[{}]", list.len());
                let Kind::Object(object) = &element.kind else {
                    let got = go_type(&element.kind, self.syntax());
                    return self.refuse(format!("'{at}' expected a map, got '{got}'"));
                };
                // What is only noted (watches) is kept as it stands.
                list.push(match keys {
                    [] => element.to_json(self.document.syntax),
                    keys => Json::Object(self.object(object, keys, &at)),
                });
            }
        }
        Some(Json::Array(list))
    }

    fn text_map(&mut self, values: &[&Value], path: &str) -> Option<Json> {
        let object = self.only_object(values, path)?;
        let mut map = Map::new();
        for entry in &object.entries {
            if let Some(text) = self.plain(&entry.value, Shape::Text, &format!("{path}[{}]", entry.key)) {
                map.insert(entry.key.clone(), text);
            }
        }
        Some(Json::Object(map))
    }

    fn texts(&mut self, value: &Value, path: &str) -> Option<Json> {
        match &value.kind {
            Kind::List(elements) => {
                let mut list = Vec::new();
                for (at, element) in elements.iter().enumerate() {
                    list.extend(self.plain(element, Shape::Text, &format!("{path}[{at}]")));
                }
                Some(Json::Array(list))
            }
            Kind::Null => None,
            other => {
                let got = go_kind(other, self.syntax());
                self.refuse(format!("'{path}': source data must be an array or slice, got {got}"))
            }
        }
    }

    fn plain(&mut self, value: &Value, shape: Shape, path: &str) -> Option<Json> {
        let wanted = match (shape, &value.kind) {
            (_, Kind::Null) => return None,
            (Shape::Bool, Kind::Bool(on)) => return Some(Json::Bool(*on)),
            (Shape::Text, Kind::Text(text)) => return Some(Json::from(text.as_str())),
            (Shape::Int, Kind::Integer(number)) => return Some(Json::from(*number)),
            // Go cuts the fraction off.
            (Shape::Int, Kind::Float(number)) => return Some(Json::from(number.trunc() as i64)),
            (Shape::Float, Kind::Integer(number)) => return Some(Json::from(*number)),
            (Shape::Float, Kind::Float(number)) => return Some(Json::from(*number)),
            (Shape::Bool, _) => "bool",
            (Shape::Int, _) => "int",
            (Shape::Float, _) => "float64",
            _ => "string",
        };
        let (got, shown) = (go_type(&value.kind, self.syntax()), go_shown(&value.kind));
        self.refuse(format!(
            "'{path}' expected type '{wanted}', got unconvertible type '{got}', value: '{shown}'"
        ))
    }

    fn refuse<T>(&mut self, why: String) -> Option<T> {
        self.types.push(why);
        None
    }

    fn syntax(&self) -> Syntax {
        self.document.syntax
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The name of the Go type that a value has after parsing.
fn go_type(kind: &Kind, syntax: Syntax) -> &'static str {
    match (kind, syntax) {
        (Kind::Null, _) => "nil",
        (Kind::Bool(_), _) => "bool",
        (Kind::Integer(_), Syntax::Hcl) => "int",
        (Kind::Integer(_) | Kind::Float(_), _) => "float64",
        (Kind::Text(_), _) => "string",
        (Kind::List(_), _) => "[]interface {}",
        (Kind::Object(_), Syntax::Hcl) => "[]map[string]interface {}",
        (Kind::Object(_), Syntax::Json) => "map[string]interface {}",
    }
}

/// The same without the element's type.
fn go_kind(kind: &Kind, syntax: Syntax) -> &'static str {
    match kind {
        Kind::List(_) => "slice",
        Kind::Object(_) => "map",
        other => go_type(other, syntax),
    }
}

/// A value as Go's `%v` prints it.
fn go_shown(kind: &Kind) -> String {
    match kind {
        Kind::Null => "<nil>".into(),
        Kind::Bool(on) => on.to_string(),
        Kind::Integer(number) => number.to_string(),
        Kind::Float(number) => number.to_string(),
        Kind::Text(text) => text.clone(),
        Kind::List(list) => {
            let shown: Vec<_> = list.iter().map(|value| go_shown(&value.kind)).collect();
            format!("[{}]", shown.join(" "))
        }
        Kind::Object(object) => {
            let mut shown: Vec<_> =
                object.entries.iter().map(|e| format!("{}:{}", e.key, go_shown(&e.value.kind))).collect();
            shown.sort();
            format!("map[{}]", shown.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &str, text: &str) -> String {
        let document = if file.ends_with(".json") {
            hcl1::parse_json(file, text.as_bytes())
        } else {
            hcl1::parse(file, text.as_bytes())
        };
        match shape(&document.unwrap()) {
            Ok(shaped) => Json::Object(shaped.settings).to_string(),
            Err(error) => error.to_string(),
        }
    }

    fn decoding(file: &str, line: &str) -> String {
        format!("failed to parse {file}: 1 error(s) decoding:\n\n* {line}")
    }

    #[test]
    fn types_are_not_converted() {
        let json =
            |text: &str, line: &str| assert_eq!(said("f.json", text), decoding("f.json", line), "{text}");
        json(
            r#"{"server":"perhaps"}"#,
            "'server' expected type 'bool', got unconvertible type 'string', value: 'perhaps'",
        );
        json(
            r#"{"ports":{"http":"abc"}}"#,
            "'ports.http' expected type 'int', got unconvertible type 'string', value: 'abc'",
        );
        json(
            r#"{"node_meta":{"a":1}}"#,
            "'node_meta[a]' expected type 'string', got unconvertible type 'float64', value: '1'",
        );
        json(
            r#"{"check":{"interval":60}}"#,
            "'check.interval' expected type 'string', got unconvertible type 'float64', value: '60'",
        );
        json(r#"{"retry_join":"a"}"#, "'retry_join': source data must be an array or slice, got string");
        json(r#"{"services":{"name":"x"}}"#, "'services': source data must be an array or slice, got map");
        json(r#"{"service":[{"name":"x"},{"name":"y"}]}"#, "'service' expected a map, got 'slice'");
    }

    #[test]
    fn a_singular_block_stands_once_a_plural_one_often() {
        let hcl = |text: &str| said("f.hcl", text);
        assert_eq!(
            hcl("service { name = \"a\" }\nservice { name = \"b\" }"),
            decoding("f.hcl", "'service' expected a map, got 'slice'")
        );
        assert_eq!(
            hcl("service {\n check { ttl = \"5s\" }\n check { ttl = \"6s\" }\n}"),
            decoding("f.hcl", "'service.check' expected a map, got 'slice'")
        );
        assert_eq!(
            hcl("services { name = \"a\" }\nservices { name = \"b\" }"),
            r#"{"services":[{"name":"a"},{"name":"b"}]}"#
        );
        assert_eq!(hcl("ui_config = { enabled = true }"), r#"{"ui_config":{"enabled":true}}"#);
        assert_eq!(hcl("node_name = \"a\"\nnode_name = \"b\""), r#"{"node_name":"b"}"#);
        assert_eq!(said("f.json", r#"{"service":[{"Name":"x"}]}"#), r#"{"service":{"name":"x"}}"#);
    }

    #[test]
    fn unknown_keys_are_named_with_their_path_and_the_hint_with_the_place() {
        let document = hcl1::parse("f.hcl", b"nosuch = 1\nservice {\n  prot = 80\n}\n").unwrap();
        let error = shape(&document).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to parse f.hcl: 2 errors occurred:\n\t* invalid config key nosuch\n\t* invalid config key service.prot\n\n"
        );
        assert_eq!(
            error.hint(),
            Some(
                "f.hcl:1:1: unknown key \"nosuch\"\nf.hcl:3:3: unknown key \"service.prot\"; did you mean \"port\"?"
            )
        );
        let camel = said(
            "f.json",
            r#"{"service":{"EnableTagOverride":true,"Check":{"DeregisterCriticalServiceAfter":"5m"}}}"#,
        );
        assert!(camel.ends_with("invalid config key service.EnableTagOverride\n\n"), "{camel}");
        let label = said("f.hcl", "service \"web\" {\n port = 80\n}");
        assert!(label.ends_with("* invalid config key service.web\n\n"), "{label}");
    }
}
