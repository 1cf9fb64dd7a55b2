//! Values for the eyes of whoever writes a template: types and contents spelled out.

use std::io::Write as _;

use go_template::{Signature, Type, Value};

use super::{Context, Kind, Row, bytes, shown};

const DUMP: Signature = Signature::variadic(&[Type::Any], Type::Str);
const PRINT: Signature = Signature::variadic(&[Type::Str, Type::Any], Type::Str);

pub(super) const ROWS: &[Row] = &[
    Row::pure("spew_sdump", DUMP, "The values with their types, one to a line.", |_, a| {
        Ok(Value::from(dumped(a)))
    })
    .example(r#"{{ spew_sdump "a" }}"#, "(string) (len=1) \"a\"\n"),
    Row::pure("spew_sprintf", PRINT, "The same as printf; `%#v` shows types.", |_, a| {
        Ok(Value::from(printed(a)))
    })
    .example(r#"{{ spew_sprintf "%v" "a" }}"#, "a"),
    Row::new("spew_dump", Kind::Local, DUMP, "The same as spew_sdump, on standard output.", |context, a| {
        to_stdout(context, &dumped(a))
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
fn to_stdout(context: &Context<'_>, text: &str) -> Result<Value, String> {
    if !context.scope.is_missing() {
        std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    }
    Ok(Value::from(""))
}

fn dumped(args: &[Value]) -> String {
    args.iter().map(|arg| dump(arg, 0) + "\n").collect()
}

/// How deep values are shown; a map may hold itself.
const DEPTH_MAX: usize = 50;

fn dump(value: &Value, depth: usize) -> String {
    let pad = " ".repeat(depth);
    let block = |lines: Vec<String>| match lines.as_slice() {
        _ if depth > DEPTH_MAX => "{ ... }".to_owned(),
        [] => format!("{{\n{pad}}}"),
        lines => format!("{{\n{}\n{pad}}}", lines.join(",\n")),
    };
    match value {
        Value::Nil => "(interface {}) <nil>".to_owned(),
        Value::Str(text) if text.is_empty() => "(string) \"\"".to_owned(),
        Value::Str(text) => format!("(string) (len={}) {}", text.len(), go_template::fmt::quoted(text)),
        Value::List(list) if list.nil => format!("({}) <nil>", list.ty),
        Value::List(list) => {
            let lines = list.items.iter().map(|item| format!("{pad} {}", dump(item, depth + 1))).collect();
            let length = match list.items.len() {
                0 => String::new(),
                length => format!("(len={length} cap={length}) "),
            };
            format!("({}) {length}{}", list.ty, block(lines))
        }
        Value::Map(map) if map.nil => format!("({}) <nil>", map.ty),
        Value::Map(map) => {
            let ty = map.key_type();
            let entries: Vec<_> = map.entries().iter().map(|(k, v)| (k.value(ty), v.clone())).collect();
            let line = |(key, item): &(Value, Value)| {
                format!("{pad} {}: {}", dump(key, depth + 1), dump(item, depth + 1))
            };
            let length = if entries.is_empty() { String::new() } else { format!("(len={}) ", entries.len()) };
            format!("({}) {length}{}", map.ty, block(entries.iter().map(line).collect()))
        }
        Value::Struct(record) | Value::Pointer(_, Some(record)) => {
            let fields = record.ty.fields.iter().zip(&record.fields);
            let lines = fields
                .map(|((name, _), field)| format!("{pad} {name}: {}", dump(field, depth + 1)))
                .collect();
            format!("({}) {}", value.ty(), block(lines))
        }
        other => format!("({}) {}", other.ty(), shown(other)),
    }
}

/// `printf`, with values for `%#v` replaced by what shows their types.
fn printed(args: &[Value]) -> String {
    let format = String::from_utf8_lossy(bytes(&args[0])).replace("%#v", "%#v\u{0}");
    let mut args: Vec<Value> = args[1..].to_vec();
    let mut verbs = format.split('%').skip(1).filter(|verb| !verb.is_empty());
    for arg in &mut args {
        if verbs.next().is_some_and(|verb| verb.starts_with("#v\0")) {
            *arg = Value::from(typed(arg));
        }
    }
    let text = go_template::fmt::sprintf(format.replace("%#v\0", "%s").as_bytes(), &args);
    String::from_utf8_lossy(&text).into_owned()
}

fn typed(value: &Value) -> String {
    match value {
        Value::Nil => "(interface {})<nil>".to_owned(),
        Value::List(list) => {
            let items: Vec<_> = list.items.iter().map(typed).collect();
            format!("({})[{}]", list.ty, items.join(" "))
        }
        other => format!("({}){}", other.ty(), shown(other)),
    }
}
