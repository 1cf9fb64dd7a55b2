//! Values as Go writes them in JSON.

use std::fmt::Write as _;

use base64::Engine as _;
use go_template::{Key, List, Map, Type, UintKind, Value};

use super::shapes::{json_fields, writes_itself};

/// How deep values may stand in each other; a map may hold itself.
const DEPTH_MAX: usize = 200;

/// JSON text; with an indent, one line for each element.
///
/// # Errors
/// The value has something in it that JSON cannot say.
pub(super) fn encode(value: &Value, escape: bool, indent: Option<&str>) -> Result<String, String> {
    let mut writer = Writer { out: String::new(), escape, indent };
    writer.value(value, 0, false)?;
    Ok(writer.out)
}

struct Writer<'a> {
    out: String,
    escape: bool,
    indent: Option<&'a str>,
}

impl Writer<'_> {
    /// Writes a value; `has_address` says whether Go could take its address.
    fn value(&mut self, value: &Value, depth: usize, has_address: bool) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err("json: unsupported value: encountered a cycle".to_owned());
        }
        match value {
            Value::Nil | Value::Pointer(_, None) => self.out.push_str("null"),
            Value::Bool(truth) => _ = write!(self.out, "{truth}"),
            Value::Int(number, _) => _ = write!(self.out, "{number}"),
            Value::Uint(number, _) => _ = write!(self.out, "{number}"),
            Value::Float(number) => self.float(*number)?,
            Value::Str(bytes) => self.bytes(bytes),
            Value::List(list) => self.list(list, depth)?,
            Value::Map(map) => self.map(map, depth)?,
            Value::Struct(record) | Value::Pointer(_, Some(record)) => {
                let has_address = has_address || matches!(value, Value::Pointer(..));
                let fields = json_fields(record, !has_address).into_iter();
                // Consul's own code for it knows nothing of what others want.
                let escape = self.escape || (has_address && writes_itself(record));
                let before = std::mem::replace(&mut self.escape, escape);
                self.object(&fields.collect::<Vec<_>>(), depth, has_address)?;
                self.escape = before;
            }
            Value::Object(object) => match object.on_the_wire() {
                Some(text) => self.string(&text),
                // Nothing of it is for others.
                None => self.out.push_str("{}"),
            },
            other => return Err(format!("json: unsupported type: {}", other.ty())),
        }
        Ok(())
    }

    fn float(&mut self, number: f64) -> Result<(), String> {
        if !number.is_finite() {
            return Err(format!("json: unsupported value: {}", super::shown(&Value::Float(number))));
        }
        self.out.push_str(&float(number));
        Ok(())
    }

    fn list(&mut self, list: &List, depth: usize) -> Result<(), String> {
        if list.nil {
            self.out.push_str("null");
            return Ok(());
        }
        if list.ty == Type::List(&Type::Uint(UintKind::Uint8)) {
            let bytes = go_template::fmt::sprintf(
                b"%s",
                &[Value::list(&Type::Uint(UintKind::Uint8), list.items.clone())],
            );
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            self.string(&text);
            return Ok(());
        }
        self.out.push('[');
        for (position, item) in list.items.iter().enumerate() {
            self.separate(position, depth + 1);
            self.value(item, depth + 1, list.ty.element() != Type::Any)?;
        }
        self.close(list.items.is_empty(), depth, ']');
        Ok(())
    }

    fn map(&mut self, map: &Map, depth: usize) -> Result<(), String> {
        if map.key_type() == Type::Any {
            return Err(format!("json: unsupported type: {}", map.ty));
        }
        if map.nil {
            self.out.push_str("null");
            return Ok(());
        }
        let name = |key: &Key| super::shown_bytes(&key.value(map.key_type()));
        // a copy, so that a map that holds itself is not locked twice
        let mut entries: Vec<_> =
            map.entries().iter().map(|(key, value)| (name(key), value.clone())).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        self.object(&entries, depth, false)
    }

    fn object<K: AsRef<[u8]>>(
        &mut self,
        entries: &[(K, Value)],
        depth: usize,
        has_address: bool,
    ) -> Result<(), String> {
        self.out.push('{');
        for (position, (key, value)) in entries.iter().enumerate() {
            self.separate(position, depth + 1);
            self.bytes(key.as_ref());
            self.out.push_str(if self.indent.is_some() { ": " } else { ":" });
            self.value(value, depth + 1, has_address)?;
        }
        self.close(entries.is_empty(), depth, '}');
        Ok(())
    }

    fn separate(&mut self, position: usize, depth: usize) {
        if position > 0 {
            self.out.push(',');
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for chunk in bytes.utf8_chunks() {
            self.chars(chunk.valid());
            for _ in chunk.invalid() {
                self.out.push_str("\\ufffd");
            }
        }
        self.out.push('"');
    }

    fn string(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn chars(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                '<' | '>' | '&' if !self.escape => self.out.push(c),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..' ' => {
                    _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c => self.out.push(c),
            }
        }
    }
}

/// A float as ECMAScript writes it.
pub(super) fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return if text.contains("e-") { text } else { text.replace('e', "e+") };
    }
    number.to_string()
}
