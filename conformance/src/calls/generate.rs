//! The calls: each function with values of every kind, and every field of every record.

use std::hash::{DefaultHasher, Hasher as _};

use go_template::{Signature, Type};
use template_watcher::functions;

use super::{values::Value, wants};
use crate::options::Options;

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    /// What is called: a function, or `printf` with its verb.
    pub(super) function: String,
    pub(super) template: String,
}

/// What is not called with all values, because it acts on the machine or writes where the results are read; `spew_printf` and
/// `spew_dump` print what `spew_sprintf` and `spew_sdump` give; `executeTemplate` is about definitions, not about values.
const LEFT_OUT: &[&str] = &["executeTemplate", "plugin", "writeToFile", "spew_dump", "spew_printf", "item"];

/// What makes as many values as a number says.
const COUNTING: &[&str] = &[
    "sprig_until",
    "sprig_untilStep",
    "sprig_seq",
    "sprig_repeat",
    "sprig_indent",
    "sprig_nindent",
    "indent",
    "sprig_wrap",
    "sprig_wrapWith",
];

/// The engine's own functions with two arguments at least.
const BUILT_IN: &[&str] = &[
    "and", "or", "not", "len", "index", "slice", "print", "println", "html", "js", "urlquery", "eq", "ne",
    "lt", "le", "gt", "ge", "call",
];

const VERBS: &[&str] = &[
    "%v", "%+v", "%#v", "%T", "%q", "%d", "%s", "%x", "%X", "%t", "%5v", "%-8v|", "%08d", "%+d", "% d",
    "%.2f", "%8.3f", "%e", "%g", "%c", "%U", "%#U", "%b", "%o", "%#o", "%O", "%#q", "%+q", "%#x", "% x",
    "%.1v", "%6.2v", "%p", "%#d", "%05s", "%#+v",
];

/// How many calls with two arguments, and how many with three, a function gets where no number is given.
pub(super) const EACH: usize = 250;

/// All calls that are asked for.
pub(super) fn calls(values: &[Value], options: &Options) -> Vec<Call> {
    let fields = fields(values);
    let any = Signature::variadic(&[Type::Any], Type::Any);
    let mut table: Vec<(&str, Signature)> =
        functions::all().into_iter().map(|row| (row.name, row.signature)).collect();
    table.extend(BUILT_IN.iter().map(|name| (*name, any)));
    let mut calls = Vec::new();
    for (name, signature) in table {
        if wants(options, name) && !LEFT_OUT.contains(&name) {
            let subject = Subject { name, signature, values, options };
            calls.extend(subject.calls(&fields).into_iter().map(|template| call(name, &template)));
        }
    }
    for verb in VERBS {
        let name = format!("printf {verb}");
        if wants(options, &name) || wants(options, "printf") {
            let all = values.iter().map(|value| &value.text).chain(fields.iter().map(|field| &field.text));
            calls.extend(all.map(|value| Call {
                function: name.clone(),
                template: format!("{{{{ printf {verb:?} {value} }}}}"),
            }));
        }
    }
    calls
}

/// The result as it prints, its type, and all that is in it with their types.
fn call(function: &str, expression: &str) -> Call {
    let template = format!(
        r#"{{{{ $r := {expression} }}}}{{{{ $r }}}}|{{{{ printf "%T" $r }}}}|{{{{ printf "%#v" $r }}}}"#
    );
    Call { function: function.to_owned(), template }
}

/// A function under test.
struct Subject<'a> {
    name: &'static str,
    signature: Signature,
    values: &'a [Value],
    options: &'a Options,
}

impl Subject<'_> {
    fn calls(&self, fields: &[Field]) -> Vec<String> {
        let mut calls = vec![self.name.to_owned()];
        let values = self.usable().filter(|value| self.may_fit(&[value])).map(|value| &value.text);
        for text in values.chain(fields.iter().filter(|field| self.may_take(field)).map(|field| &field.text))
        {
            calls.push(format!("{} {text}", self.name));
        }
        calls.extend(self.of_each(self.pairs()));
        calls.extend(self.of_each(self.triples()));
        calls
    }

    fn usable(&self) -> impl Iterator<Item = &Value> {
        let counts = COUNTING.contains(&self.name);
        self.values.iter().filter(move |value| !(counts && value.is_big))
    }

    /// Whether it may be called with so many arguments.
    fn takes(&self, count: usize) -> bool {
        let most = if self.signature.variadic { usize::MAX } else { self.signature.params.len() };
        (self.signature.fixed()..=most).contains(&count)
    }

    fn pairs(&self) -> Vec<String> {
        if !self.takes(2) {
            return vec![format!("{} 1 2", self.name)];
        }
        let pair = |a: &Value, b: &Value| format!("{} {} {}", self.name, a.text, b.text);
        let pairs = self.usable().flat_map(|a| self.usable().map(move |b| (a, b)));
        pairs.filter(|(a, b)| self.may_fit(&[a, b])).map(|(a, b)| pair(a, b)).collect()
    }

    fn triples(&self) -> Vec<String> {
        if !self.takes(3) {
            return Vec::new();
        }
        let common: Vec<&Value> = self.usable().filter(|value| value.is_common).collect();
        let mut calls = Vec::new();
        for first in &common {
            for second in &common {
                for third in self.usable().filter(|third| self.may_fit(&[first, second, third])) {
                    calls.push(format!("{} {} {} {}", self.name, first.text, second.text, third.text));
                }
            }
        }
        calls
    }

    /// Whether a field is of the type that the function takes; some of the others are given to it too.
    fn may_take(&self, field: &Field) -> bool {
        let fits = self.takes(1) && field.ty.assignable_to(self.signature.param(0));
        fits || chance(&(self.name, &field.text, self.options.seed)).is_multiple_of(16)
    }

    /// Whether the arguments are of types that the function takes, as far as their looks say; some of the others are called too.
    fn may_fit(&self, args: &[&Value]) -> bool {
        let texts: Vec<&str> = args.iter().map(|arg| arg.text.as_str()).collect();
        let fit = texts.iter().enumerate().all(|(place, text)| may_be(text, self.signature.param(place)));
        fit || chance(&(self.name, texts, self.options.seed)).is_multiple_of(16)
    }

    /// As many of some calls as are asked for, another choice for each seed.
    fn of_each(&self, mut calls: Vec<String>) -> Vec<String> {
        let most = self.options.each.unwrap_or(EACH);
        if calls.len() > most {
            calls.sort_by_cached_key(|call| chance(&(call, self.options.seed)));
            calls.truncate(most);
        }
        calls
    }
}

fn chance(of: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Whether an expression may be of a type.
fn may_be(text: &str, ty: Type) -> bool {
    let constant = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '\''));
    match ty {
        Type::Str => text.starts_with('"') || text.starts_with("(key") || text.starts_with("(index"),
        Type::Int(_) | Type::Uint(_) | Type::Float => {
            constant || text.contains("parse") || text.contains("int64")
        }
        Type::Bool => matches!(text, "true" | "false"),
        Type::List(_) | Type::NamedList(..) | Type::Map(..) => !constant && text.starts_with('('),
        _ => true,
    }
}

/// A part of a record.
struct Field {
    text: String,
    ty: Type,
}

/// Every field of the records that some values are.
fn fields(values: &[Value]) -> Vec<Field> {
    let mut out = Vec::new();
    for value in values.iter().filter(|value| value.has_fields) {
        let name = value.text.trim_matches(['(', ')']).split(' ').next().unwrap_or_default();
        let ty = functions::find(name).map_or(Type::Any, functions::returned);
        walk(&value.text, ty, 0, &mut out);
    }
    out
}

fn walk(text: &str, ty: Type, depth: usize, out: &mut Vec<Field>) {
    if depth > 0 {
        out.push(Field { text: text.to_owned(), ty });
    }
    match ty {
        Type::List(element) | Type::NamedList(_, element) => {
            for place in 0..if depth == 0 { 2 } else { 1 } {
                walk(&format!("(index {text} {place})"), *element, depth + 1, out);
            }
        }
        Type::Map(_, element) if matches!(element, Type::Struct(_)) => {
            walk(&format!("(index {text} \"lan\")"), *element, depth + 1, out);
        }
        Type::Struct(record) | Type::Pointer(record) => {
            for (name, ty) in record.fields {
                walk(&format!("({text}.{name})"), *ty, depth + 1, out);
            }
        }
        _ => {}
    }
}
