//! One value under one verb.

use super::{Flags, Printer, quote};
use crate::types::{IntKind, Type, UintKind};
use crate::value::{List, Map, Object, Struct, Value};

/// How deep values may stand in each other; a map may hold itself.
const DEPTH_MAX: usize = 100;

/// Types whose pointers have a method that makes a text of them, which Go calls for nil too, and then prints `<nil>`.
const HAVE_TEXTS: &[&str] = &["time.Time"];

/// The verbs that print what a value's method makes of it.
fn is_text_verb(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'q' | 'x' | 'X')
}

fn is_float_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'b' | 'x' | 'X')
}

impl Printer {
    pub(super) fn argument(&mut self, arg: &Value, verb: char) {
        match (verb, arg) {
            ('T', Value::Nil) => self.pad(b"<nil>"),
            ('T', arg) => self.type_name(&arg.ty().to_string()),
            ('v', Value::Nil) => self.pad(b"<nil>"),
            (_, Value::Nil) => self.bad(verb, arg),
            // For errors only, which no value is.
            ('w', arg) if !matches!(arg, Value::List(list) if bytes_of(list).is_some()) => {
                self.bad(verb, arg)
            }
            // No address can be told but that of nothing.
            ('p', arg) if arg.is_nil() => self.pad(b"0x0"),
            ('p', arg) => self.bad(verb, arg),
            _ => self.value(arg, verb, 0),
        }
    }

    /// Whether values' methods are called: not for what a verb does not go with.
    fn calls_methods(&self) -> bool {
        !self.is_complaining
    }

    /// A type's name, which the precision cuts.
    pub(super) fn type_name(&mut self, name: &str) {
        let cut = self.cut(name.as_bytes()).to_vec();
        self.pad(&cut);
    }

    /// `%!d(string=x)`: the verb does not go with the value.
    fn bad(&mut self, verb: char, arg: &Value) {
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        let before = std::mem::replace(&mut self.is_complaining, true);
        self.with_type(arg);
        self.is_complaining = before;
        self.out.push(b')');
    }

    /// `string=x`, or `<nil>`.
    pub(super) fn with_type(&mut self, arg: &Value) {
        if matches!(arg, Value::Nil) {
            self.out.extend_from_slice(b"<nil>");
            return;
        }
        self.out.extend_from_slice(format!("{}=", arg.ty()).as_bytes());
        self.argument(arg, 'v');
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if depth > DEPTH_MAX || self.is_full() {
            self.out.extend_from_slice(b"...");
            return;
        }
        match value {
            Value::Nil if self.flags.sharp_v => self.out.extend_from_slice(b"interface {}(nil)"),
            Value::Nil => self.out.extend_from_slice(b"<nil>"),
            Value::Bool(truth) if matches!(verb, 't' | 'v') => self.pad(truth.to_string().as_bytes()),
            Value::Int(nanoseconds, IntKind::Duration)
                if self.calls_methods() && !self.flags.sharp_v && is_text_verb(verb) =>
            {
                self.string(super::duration(*nanoseconds).as_bytes(), verb);
            }
            Value::Int(number, _) => {
                if !self.integer(*number < 0, number.unsigned_abs(), false, verb) {
                    self.bad(verb, value);
                }
            }
            Value::Uint(number, kind) => {
                let hex = self.flags.sharp_v && (depth == 0 || *kind == UintKind::Uint8);
                if !self.integer(false, *number, hex || self.flags.sharp_v, verb) {
                    self.bad(verb, value);
                }
            }
            Value::Float(number) => {
                if !self.float(*number, verb) {
                    self.bad(verb, value);
                }
            }
            Value::Complex(real, imaginary) if is_float_verb(verb) => {
                self.out.push(b'(');
                self.float(*real, verb);
                let plus = std::mem::replace(&mut self.flags.plus, true);
                self.float(*imaginary, verb);
                self.flags.plus = plus;
                self.out.extend_from_slice(b"i)");
            }
            Value::Str(bytes) => {
                if !self.string(bytes, verb) {
                    self.bad(verb, value);
                }
            }
            Value::List(list) => self.list(list, verb, depth),
            Value::Map(map) => self.map(map, verb, depth),
            Value::Struct(record) => self.record(record, verb, depth),
            // Inside of something Go tells the address, which would differ each time: with these verbs.
            Value::Pointer(_, Some(record))
                if depth == 0 || matches!(verb, 'v' | 'b' | 'o' | 'd' | 'x' | 'X') =>
            {
                self.out.push(b'&');
                self.record(record, verb, depth);
            }
            Value::Pointer(ty, None)
                if is_text_verb(verb) && self.calls_methods() && HAVE_TEXTS.contains(&ty.name) =>
            {
                self.out.extend_from_slice(b"<nil>");
            }
            Value::Pointer(ty, None) if self.flags.sharp_v => {
                self.out.extend_from_slice(format!("(*{})(nil)", ty.name).as_bytes());
            }
            Value::Pointer(_, None) if verb == 'v' => self.pad(b"<nil>"),
            Value::Pointer(_, None) if matches!(verb, 'b' | 'o' | 'd' | 'x' | 'X') => {
                self.integer(false, 0, false, verb);
            }
            Value::Object(object) if is_text_verb(verb) => {
                self.object(object.as_ref(), verb);
            }
            // Its address would differ each time.
            Value::Stream(_) if verb == 'v' => self.pad(value.ty().to_string().as_bytes()),
            _ => self.bad(verb, value),
        }
    }

    fn object(&mut self, object: &dyn Object, verb: char) {
        let own = if self.flags.sharp_v { object.syntax() } else { None };
        match (own, object.text()) {
            (Some(text), _) => self.pad(text.as_bytes()),
            (None, Some(text)) if !self.flags.sharp_v => _ = self.string(text.as_bytes(), verb),
            // What is in it is its own affair.
            _ => self.pad(format!("&{{{}}}", object.type_name()).as_bytes()),
        }
    }

    fn string(&mut self, bytes: &[u8], verb: char) -> bool {
        match verb {
            'v' if self.flags.sharp_v => {
                let text = quote::quoted(self.cut(bytes));
                self.pad(text.as_bytes());
            }
            'v' | 's' => {
                let cut = self.cut(bytes).to_vec();
                self.pad(&cut);
            }
            'q' => {
                let text = self.quoted(self.cut(bytes));
                self.pad(text.as_bytes());
            }
            'x' | 'X' => self.hex(bytes, verb == 'X'),
            _ => return false,
        }
        true
    }

    fn quoted(&self, bytes: &[u8]) -> String {
        if self.flags.sharp && quote::can_be_raw(bytes) {
            format!("`{}`", String::from_utf8_lossy(bytes))
        } else if self.flags.plus {
            quote::quoted_ascii(bytes)
        } else {
            quote::quoted(bytes)
        }
    }

    /// The text up to the precision, which counts characters.
    fn cut<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(precision) = self.flags.precision else { return bytes };
        let mut at = 0;
        for _ in 0..precision {
            match crate::parse::lex::decode(&bytes[at..]) {
                Some((_, width)) => at += width,
                None => break,
            }
        }
        &bytes[..at]
    }

    fn hex(&mut self, bytes: &[u8], upper: bool) {
        let bytes = &bytes[..self.flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
        let prefix = if upper { "0X" } else { "0x" };
        let mut text = String::new();
        for (position, byte) in bytes.iter().enumerate() {
            if position > 0 && self.flags.space {
                text.push(' ');
            }
            if self.flags.sharp && (position == 0 || self.flags.space) {
                text.push_str(prefix);
            }
            text.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(text.as_bytes());
    }

    fn list(&mut self, list: &List, verb: char, depth: usize) {
        if let Some(bytes) = bytes_of(list).filter(|_| matches!(verb, 's' | 'q' | 'x' | 'X')) {
            self.string(&bytes, verb);
            return;
        }
        if self.flags.sharp_v {
            let nil = if list.nil { "(nil)" } else { "{" };
            let is_bytes = depth == 0 && bytes_of(list).is_some();
            let ty = if is_bytes { "[]byte".to_owned() } else { list.ty.to_string() };
            self.out.extend_from_slice(format!("{ty}{nil}").as_bytes());
            if !list.nil {
                self.joined(&list.items, b", ", verb, depth);
                self.out.push(b'}');
            }
            return;
        }
        self.out.push(b'[');
        self.joined(&list.items, b" ", verb, depth);
        self.out.push(b']');
    }

    fn joined(&mut self, items: &[Value], separator: &[u8], verb: char, depth: usize) {
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.extend_from_slice(separator);
            }
            self.value(item, verb, depth + 1);
        }
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        let go = self.flags.sharp_v;
        if go && map.nil {
            self.out.extend_from_slice(format!("{}(nil)", map.ty).as_bytes());
            return;
        }
        let opening = if go { format!("{}{{", map.ty) } else { "map[".to_owned() };
        self.out.extend_from_slice(opening.as_bytes());
        // a copy, so that a map that holds itself is not locked twice
        let entries: Vec<_> =
            map.entries().iter().map(|(k, v)| (k.value(map.key_type()), v.clone())).collect();
        for (position, (key, item)) in entries.iter().enumerate() {
            if position > 0 {
                self.out.extend_from_slice(if go { b", " } else { b" " });
            }
            self.value(key, verb, depth + 1);
            self.out.push(b':');
            self.value(item, verb, depth + 1);
        }
        self.out.push(if go { b'}' } else { b']' });
    }

    fn record(&mut self, record: &Struct, verb: char, depth: usize) {
        let Flags { sharp_v, plus_v, .. } = self.flags;
        if sharp_v {
            self.out.extend_from_slice(record.ty.name.as_bytes());
        }
        self.out.push(b'{');
        for (position, ((name, _), field)) in record.ty.fields.iter().zip(&record.fields).enumerate() {
            if position > 0 {
                self.out.extend_from_slice(if sharp_v { b", " } else { b" " });
            }
            if sharp_v || plus_v {
                self.out.extend_from_slice(format!("{name}:").as_bytes());
            }
            self.value(field, verb, depth + 1);
        }
        self.out.push(b'}');
    }
}

/// The bytes of a list of bytes.
fn bytes_of(list: &List) -> Option<Vec<u8>> {
    if list.ty.element() != Type::Uint(UintKind::Uint8) {
        return None;
    }
    list.items
        .iter()
        .map(|item| match item {
            Value::Uint(byte, _) => u8::try_from(*byte).ok(),
            _ => None,
        })
        .collect()
}
