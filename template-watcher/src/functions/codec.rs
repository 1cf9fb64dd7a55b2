//! Data formats: reading JSON and YAML, writing JSON, YAML and TOML.

use std::collections::BTreeMap;

use go_template::{Key, Signature, Type, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Context, Row, encode_json, encode_toml, encode_yaml, string};

const READ: Signature = Signature::new(&[Type::Str], Type::Any);
const WRITE: Signature = Signature::new(&[Type::Any], Type::Str);

pub(super) const ROWS: &[Row] = &[
    Row::pure(
        "parseJSON",
        READ,
        "A value from JSON; numbers are floats, empty text an empty map.",
        parse_json,
    )
    .example(r#"{{ with parseJSON "{\"a\":[1,true]}" }}{{ .a }}{{ end }}"#, "[1 true]"),
    Row::pure("parseYAML", READ, "A value from YAML 1.1; empty text is an empty map.", parse_yaml)
        .example(r#"{{ with parseYAML "a: [1, yes]" }}{{ .a }}{{ end }}"#, "[1 true]"),
    Row::pure("toJSON", WRITE, "JSON, with `<`, `>` and `&` escaped.", |c, args| json(c, args, true, false))
        .example(r#"{{ sprig_dict "a" 1 "b" "<c>" | toJSON }}"#, r#"{"a":1,"b":"\u003cc\u003e"}"#),
    Row::pure("toJSONPretty", WRITE, "JSON over several lines.", |c, args| json(c, args, true, true))
        .example(
            r#"{{ sprig_dict "a" 1 "b" "<c>" | toJSONPretty }}"#,
            "{\n  \"a\": 1,\n  \"b\": \"\\u003cc\\u003e\"\n}",
        ),
    Row::pure("toUnescapedJSON", WRITE, "JSON, with `<`, `>` and `&` as they are.", |c, args| {
        json(c, args, false, false)
    })
    .example(r#"{{ sprig_dict "a" 1 "b" "<c>" | toUnescapedJSON }}"#, r#"{"a":1,"b":"<c>"}"#),
    Row::pure("toUnescapedJSONPretty", WRITE, "The same over several lines.", |c, args| {
        json(c, args, false, true)
    })
    .example(
        r#"{{ sprig_dict "a" 1 "b" "<c>" | toUnescapedJSONPretty }}"#,
        "{\n  \"a\": 1,\n  \"b\": \"<c>\"\n}",
    ),
    Row::pure("toYAML", WRITE, "YAML.", |_, args| encode_yaml::encode(&args[0]).map(Value::from))
        .example(r#"{{ sprig_dict "a" 1 "b" (sprig_list "yes" "c") | toYAML }}"#, "a: 1\nb:\n- \"yes\"\n- c"),
    Row::pure("toTOML", WRITE, "TOML.", |c, args| {
        encode_toml::encode(&args[0]).map(Value::from).map_err(|text| format!("{}: {text}", c.name))
    })
    .example(r#"{{ sprig_dict "a" 1 "b" (sprig_dict "c" "d") | toTOML }}"#, "a = 1\n\n[b]\n  c = \"d\""),
];

fn json(context: &Context<'_>, args: &[Value], escape: bool, pretty: bool) -> Result<Value, String> {
    let text = encode_json::encode(&args[0], escape, if pretty { Some("  ") } else { None });
    text.map(Value::from).map_err(|text| format!("{}: {text}", context.name))
}

fn parse_json(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    read_json(&string(&args[0]))
}

/// What Go says of the place of a character that should not be there.
fn where_it_stands(error: &str) -> Option<&'static str> {
    const PLACES: &[(&str, &str)] = &[
        ("expected value", "looking for beginning of value"),
        ("trailing characters", "after top-level value"),
        ("key must be a string", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("control character", "in string literal"),
    ];
    PLACES.iter().find(|(start, _)| error.starts_with(start)).map(|(_, place)| *place)
}

/// Go tells one byte, be it a part of a letter only.
fn unexpected(byte: u8) -> String {
    let c = char::from(byte);
    let shown = match c {
        '\'' => r"\'".to_owned(),
        '"' => "\"".to_owned(),
        c => go_template::fmt::quoted(c.encode_utf8(&mut [0; 4]).as_bytes()).trim_matches('"').to_owned(),
    };
    format!("invalid character '{shown}'")
}

/// A value from JSON text.
pub(super) fn read_json(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::map(Type::ANY_MAP, BTreeMap::new()));
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => Ok(from_json(&value)),
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".to_owned()),
        Err(error) => {
            let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
            let found = line.as_bytes().get(error.column().saturating_sub(1)).map(|byte| unexpected(*byte));
            let found = found.unwrap_or_else(|| "invalid JSON".to_owned());
            Err(match where_it_stands(&error.to_string()) {
                Some(place) => format!("{found} {place}"),
                None => format!("{found}: {error}"),
            })
        }
    }
}

/// JSON's values as Go reads them: numbers are floats.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::list(&Type::Any, items.iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => Value::map(
            Type::ANY_MAP,
            entries.iter().map(|(key, value)| (Key::text(key), from_json(value))).collect(),
        ),
    }
}

fn parse_yaml(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let text = string(&args[0]);
    if text.trim().is_empty() {
        return Ok(Value::map(Type::ANY_MAP, BTreeMap::new()));
    }
    let options = serde_yaml::options! { legacy_octal_numbers: true, strict_booleans: false };
    match serde_yaml::from_str_with_options::<Yaml>(&text, options) {
        Ok(Yaml(value)) => Ok(value),
        Err(error) => {
            let reason = error.to_string();
            Err(format!("yaml: {}", reason.lines().next().unwrap_or_default()))
        }
    }
}

/// A YAML value; its maps have keys of any type.
struct Yaml(Value);

/// The type of YAML's maps.
pub(super) const YAML_MAP: Type = Type::Map(&Type::Any, &Type::Any);

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor).map(Yaml)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::uint(number), Value::int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::from(bytes))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Yaml(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::list(&Type::Any, items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((Yaml(key), Yaml(value))) = map.next_entry()? {
            let Some(key) = Key::of(&key) else {
                return Err(serde::de::Error::custom("a list or map cannot be a key"));
            };
            entries.insert(key, value);
        }
        Ok(Value::map(YAML_MAP, entries))
    }
}
