//! Jinja templates by minijinja, on the same functions.
//!
//! Functions are called as in Go, `key("a")`, and used as filters as in Go's pipelines: what is piped comes last. Only the
//! names that Jinja has itself (`join`, `split`, `trim`, `indent`, `loop`, `in`) stay Jinja's own as filters or words.
//! Text must be UTF-8, and so are the values that are printed; other bytes become U+FFFD.

mod value;

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior};

use super::Options;
use crate::answers::Scope;
use crate::functions::{self, Row, Scratch};

/// How many instructions one rendering may take at most; a statement is several.
const FUEL_MAX: u64 = 10_000_000;

/// Filters of Jinja's own that keep their meaning.
const OWN_FILTERS: &[&str] = &["indent", "join", "split", "trim"];

/// Names Jinja cannot call.
const NOT_CALLABLE: &[&str] = &["executeTemplate", "in", "loop"];

/// A parsed Jinja template.
pub(super) struct Template {
    environment: Environment<'static>,
    name: String,
}

impl Template {
    pub(super) fn compile(source: &[u8], name: &str, options: &Options) -> Result<Self, String> {
        let source = std::str::from_utf8(source).map_err(|error| {
            let line = 1 + source[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            format!("template: {name}:{line}: the text is not UTF-8")
        })?;
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| described(&error, name))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(options.bounds.steps_max.min(FUEL_MAX)));
        if let Some(folder) = &options.folder {
            environment.set_loader(minijinja::path_loader(folder));
        }
        environment
            .add_template_owned(name.to_owned(), source.to_owned())
            .map_err(|error| described(&error, name))?;
        Ok(Template { environment, name: name.to_owned() })
    }

    /// Names that are neither Jinja's, nor the template's own, nor functions.
    pub(super) fn unknown_names(&self) -> Vec<String> {
        let Ok(template) = self.environment.get_template(&self.name) else { return Vec::new() };
        let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        let own: Vec<String> = self.environment.globals().map(|(name, _)| name.to_owned()).collect();
        names.retain(|name| !own.contains(name) && functions::find(name).is_none() && name != "loop");
        names.sort();
        names
    }

    pub(super) fn render(&self, scope: &Scope) -> Result<Vec<u8>, String> {
        // a copy shares what is parsed and takes this rendering's functions
        let mut environment = self.environment.clone();
        let scratch: Arc<Scratch> = Arc::default();
        let printing = scope.clone();
        environment.set_formatter(move |out, _, value| format(&printing, out, value));
        for row in functions::each() {
            add(&mut environment, row, scope, &scratch);
        }
        let rendered = environment.get_template(&self.name).and_then(|template| template.render(()));
        rendered.map(String::into_bytes).map_err(|error| described(&error, &self.name))
    }
}

/// Adds a function, and the filter of its name.
fn add(environment: &mut Environment<'static>, row: &'static Row, scope: &Scope, scratch: &Arc<Scratch>) {
    if NOT_CALLABLE.contains(&row.name) {
        return;
    }
    let call = {
        let (scope, scratch) = (scope.clone(), Arc::clone(scratch));
        move |args: &[Value]| call(row, &scope, &scratch, args)
    };
    let filter = call.clone();
    environment.add_function(row.name, move |args: Rest<Value>| call(&args));
    if !OWN_FILTERS.contains(&row.name) {
        environment.add_filter(row.name, move |piped: Value, args: Rest<Value>| {
            let mut args = args.0;
            args.push(piped);
            filter(&args)
        });
    }
}

fn call(row: &Row, scope: &Scope, scratch: &Arc<Scratch>, args: &[Value]) -> Result<Value, Error> {
    let args = value::arguments(row.name, &row.signature, args)?;
    row.call(scope, scratch, &args)
        .map(|value| value::to_jinja(value, scope))
        .map_err(|text| Error::new(ErrorKind::InvalidOperation, format!("{}: {text}", row.name)))
}

/// Prints a value the way configuration files want it: `true`, nothing for none, `8080` for 8080.0, JSON for lists and maps.
fn format(scope: &Scope, out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => Ok(()),
        ValueKind::Bool => write!(out, "{}", value.is_true()),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(float) => write!(out, "{float}"),
            Err(_) => write!(out, "{value}"),
        },
        ValueKind::Bytes => write!(out, "{}", String::from_utf8_lossy(value.as_bytes().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
            if value.downcast_object_ref::<minijinja::value::Kwargs>().is_none() =>
        {
            let held = value::from_jinja(value)?;
            scope.read_whole(&held);
            match functions::json(&held) {
                Ok(json) => write!(out, "{json}"),
                Err(_) => write!(out, "{value}"),
            }
        }
        _ => write!(out, "{value}"),
    };
    written.map_err(|error| Error::new(ErrorKind::WriteFailure, error.to_string()))
}

/// An error with its place, in the shape Go templates give theirs.
fn described(error: &Error, name: &str) -> String {
    let name = error.name().unwrap_or(name);
    let line = error.line().unwrap_or(1);
    let mut text = error.kind().to_string();
    if let Some(detail) = error.detail() {
        text = format!("{text}: {detail}");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    format!("template: {name}:{line}: {text}")
}
