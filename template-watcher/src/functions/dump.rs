//! Values for the eyes of whoever writes a template: types and contents spelled out.

use std::io::Write as _;

use go_template::{IntKind, Signature, Type, Value};

use super::{Context, Kind, Row, bytes, shown, shown_bytes};

const DUMP: Signature = Signature::variadic(&[Type::Any], Type::Str);
const PRINT: Signature = Signature::variadic(&[Type::Str, Type::Any], Type::Str);

pub(super) const ROWS: &[Row] = &[
    Row::pure("spew_sdump", DUMP, "The values with their types, one to a line.", |_, a| {
        Ok(Value::from(dumped(a)))
    })
    .example(r#"{{ spew_sdump "a" }}"#, "(string) (len=1) \"a\"\n"),
    Row::pure(
        "spew_sprintf",
        PRINT,
        "The same as printf; `%v` shows what pointers point at, `%#v` types.",
        |_, a| Ok(Value::from(printed(a))),
    )
    .example(r#"{{ spew_sprintf "%v" "a" }}"#, "a"),
    Row::new("spew_dump", Kind::Local, DUMP, "The same as spew_sdump, on standard output.", |context, a| {
        to_stdout(context, dumped(a).as_bytes())
    })
    .example(r#"{{ spew_dump "a" }}"#, ""),
    Row::new(
        "spew_printf",
        Kind::Local,
        PRINT,
        "The same as spew_sprintf, on standard output.",
        |context, a| to_stdout(context, &printed(a)),
    )
    .example(r#"{{ spew_printf "%v" "a" }}"#, ""),
];

/// Writes once all data is there; before, the values would be empty.
fn to_stdout(context: &Context<'_>, text: &[u8]) -> Result<Value, String> {
    if !context.scope.is_missing() {
        std::io::stdout().write_all(text).map_err(|error| error.to_string())?;
    }
    Ok(Value::from(""))
}

fn dumped(args: &[Value]) -> String {
    args.iter().map(|arg| dump(arg, 0) + "\n").collect()
}

/// How deep values are shown; a map may hold itself.
const DEPTH_MAX: usize = 50;

fn dump(value: &Value, depth: usize) -> String {
    match value {
        Value::Nil => "(interface {}) <nil>".to_owned(),
        Value::Pointer(ty, None) => format!("(*{})(<nil>)", ty.name),
        Value::Pointer(_, Some(record)) => {
            format!("({})({})", value.ty(), content(&Value::Struct(record.clone()), depth))
        }
        Value::Object(object) if object.type_name().starts_with('*') => {
            format!("({})({})", value.ty(), content(value, depth))
        }
        value => format!("({}) {}", value.ty(), content(value, depth)),
    }
}

/// A value without its type.
fn content(value: &Value, depth: usize) -> String {
    let pad = " ".repeat(depth);
    let block = |lines: Vec<String>| match lines.as_slice() {
        _ if depth > DEPTH_MAX => "{ ... }".to_owned(),
        [] => format!("{{\n{pad}}}"),
        lines => format!("{{\n{}\n{pad}}}", lines.join(",\n")),
    };
    match value {
        Value::Str(text) if text.is_empty() => "\"\"".to_owned(),
        Value::Str(text) => format!("(len={}) {}", text.len(), go_template::fmt::quoted(text)),
        Value::List(list) if list.nil => "<nil>".to_owned(),
        Value::List(list) => {
            let lines = list.items.iter().map(|item| format!("{pad} {}", dump(item, depth + 1))).collect();
            let length = match list.items.len() {
                0 => String::new(),
                length => format!("(len={length} cap={length}) "),
            };
            length + &block(lines)
        }
        Value::Map(map) if map.nil => "<nil>".to_owned(),
        Value::Map(map) => {
            let ty = map.key_type();
            let entries: Vec<_> = map.entries().iter().map(|(k, v)| (k.value(ty), v.clone())).collect();
            let line = |(key, item): &(Value, Value)| {
                format!("{pad} {}: {}", dump(key, depth + 1), dump(item, depth + 1))
            };
            let length = if entries.is_empty() { String::new() } else { format!("(len={}) ", entries.len()) };
            length + &block(entries.iter().map(line).collect())
        }
        Value::Struct(record) => {
            let fields = record.ty.fields.iter().zip(&record.fields);
            let line = |((name, _), field): (&(&str, Type), &Value)| {
                format!("{pad} {name}: {}", dump(field, depth + 1))
            };
            block(fields.map(line).collect())
        }
        Value::Int(nanoseconds, IntKind::ReadableDuration) => go_template::fmt::duration(*nanoseconds),
        other => shown(other),
    }
}

/// `printf`, in which `%v` shows what pointers point at, `%+v` names of fields, and `%#v` types.
fn printed(args: &[Value]) -> Vec<u8> {
    let show = |value: &Value, plus: bool, sharp: bool| {
        let mut brief = Brief { out: Vec::new(), names: plus || sharp, types: sharp };
        brief.value(value, true, 0);
        brief.out
    };
    go_template::fmt::sprintf_with(bytes(&args[0]), &args[1..], "*spew.formatState", &show)
}

/// A value on one line.
struct Brief {
    out: Vec<u8>,
    names: bool,
    types: bool,
}

impl Brief {
    /// Adds a value; the type is left out where what holds it tells it.
    fn value(&mut self, value: &Value, is_untold: bool, depth: usize) {
        if depth > DEPTH_MAX {
            return self.text("<max>");
        }
        let is_typed = self.types && is_untold;
        let is_pointer = value.ty().to_string().starts_with('*');
        if is_typed {
            self.text(&format!("({})", value.ty()));
        } else if is_pointer && !value.is_nil() {
            self.text("<*>");
        }
        match value {
            Value::Str(text) => self.out.extend_from_slice(text),
            value if value.is_nil() => self.text("<nil>"),
            Value::List(list) => {
                let is_untold = list.ty.element() == Type::Any;
                self.joined("[", "]", &list.items, |brief, item| brief.value(item, is_untold, depth + 1));
            }
            Value::Map(map) => {
                let (key_ty, ty) = (map.key_type(), map.ty.element());
                let entries: Vec<_> =
                    map.entries().iter().map(|(key, item)| (key.value(key_ty), item.clone())).collect();
                self.joined("map[", "]", &entries, |brief, (key, item)| {
                    brief.value(key, key_ty == Type::Any, depth + 1);
                    brief.text(":");
                    brief.value(item, ty == Type::Any, depth + 1);
                });
            }
            Value::Struct(record) | Value::Pointer(_, Some(record)) => {
                let fields: Vec<_> = record.ty.fields.iter().zip(&record.fields).collect();
                self.joined("{", "}", &fields, |brief, ((name, _), field)| {
                    if brief.names {
                        brief.text(&format!("{name}:"));
                    }
                    brief.value(field, true, depth + 1);
                });
            }
            Value::Int(nanoseconds, IntKind::ReadableDuration) => {
                self.text(&go_template::fmt::duration(*nanoseconds));
            }
            other => self.out.extend(shown_bytes(other)),
        }
    }

    fn joined<T>(&mut self, open: &str, close: &str, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.text(open);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.text(" ");
            }
            each(self, item);
        }
        self.text(close);
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
