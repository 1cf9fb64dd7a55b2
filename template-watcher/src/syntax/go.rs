//! Go templates by our own engine.

use std::sync::Arc;

use go_template::{Host, Signature, StructType, Templates, Value};

use super::{Options, missing_key};
use crate::answers::Scope;
use crate::functions::{self, Scratch};

/// A parsed Go template.
pub(super) struct Template {
    parsed: go_template::Template,
    options: go_template::Options,
}

impl Template {
    pub(super) fn compile(source: &[u8], name: &str, options: &Options) -> Result<Self, String> {
        let parsed = go_template::Template::parse(name, source, &options.delimiters, &functions::lookup)
            .map_err(|error| error.to_string())?;
        let options = go_template::Options {
            missing_key: missing_key(options),
            steps_max: options.bounds.steps_max,
            output_bytes_max: options.bounds.output_bytes_max,
            ..Default::default()
        };
        Ok(Template { parsed, options })
    }

    pub(super) fn calls(&self) -> Vec<go_template::Call> {
        self.parsed.calls()
    }

    pub(super) fn render(&self, scope: &Scope) -> Result<Vec<u8>, String> {
        let mut table = Table::new(scope);
        self.parsed.execute(Value::Nil, self.options, &mut table).map_err(|error| error.to_string())
    }
}

/// The function table as the engine calls it, with what one rendering keeps.
struct Table<'a> {
    scope: &'a Scope,
    scratch: Arc<Scratch>,
}

impl<'a> Table<'a> {
    fn new(scope: &'a Scope) -> Self {
        Table { scope, scratch: Arc::default() }
    }

    /// Executes a defined template; it shares the rendering's scratch pad.
    fn execute_template(&mut self, args: &[Value], templates: &Templates<'_>) -> Result<Value, String> {
        let dot = match args {
            [_] => Value::Nil,
            [_, dot] => dot.clone(),
            _ => {
                return Err(format!(
                    "executeTemplate: wrong number of arguments, expected 1 or 2, but got {}",
                    args.len()
                ));
            }
        };
        let name = args[0].as_bytes().unwrap_or_default().to_vec();
        templates.execute(self, &name, dot).map(Value::from)
    }
}

impl Host for Table<'_> {
    fn signature(&self, name: &str) -> Option<Signature> {
        functions::find(name).map(|row| row.signature)
    }

    fn call(&mut self, name: &str, args: Vec<Value>, templates: &Templates<'_>) -> Result<Value, String> {
        if name == "executeTemplate" {
            return self.execute_template(&args, templates);
        }
        match functions::find(name) {
            Some(row) => row.call(self.scope, &self.scratch, &args),
            None => Err(format!("{name} is no function")),
        }
    }

    fn reads_field(&mut self, record: &'static StructType, field: usize) {
        self.scope.read_field(record, field);
    }

    fn reads_whole(&mut self, value: &Value) {
        self.scope.read_whole(value);
    }
}
