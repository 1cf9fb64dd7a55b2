//! Go templates: whatever the source, parsing and executing it ends without a panic, in a bounded amount of output.
#![no_main]

use go_template::{Delimiters, Host, Key, Lookup, MissingKey, Options, Signature, Template, Templates, Type, Value};
use libfuzzer_sys::fuzz_target;

struct Functions;

impl Host for Functions {
    fn signature(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "list" => Signature::new(&[], Type::ANYS),
            "echo" => Signature::variadic(&[Type::Any], Type::Any),
            _ => return None,
        })
    }

    fn call(&mut self, name: &str, args: Vec<Value>, _: &Templates<'_>) -> Result<Value, String> {
        Ok(match name {
            "list" => Value::list(&Type::Any, vec![Value::int(1), Value::from("b"), Value::Nil]),
            _ => args.into_iter().next().unwrap_or(Value::Nil),
        })
    }
}

fuzz_target!(|source: &[u8]| {
    let lookup = |name: &str| {
        if Functions.signature(name).is_some() { Lookup::Known } else { Lookup::Unknown(String::new()) }
    };
    let Ok(template) = Template::parse("t", source, &Delimiters::default(), &lookup) else { return };
    let dot = Value::map(Type::ANY_MAP, [(Key::text("a"), Value::int(1))].into());
    let missing_key = MissingKey::Error;
    let options = Options { missing_key, depth_max: 200, output_bytes_max: 1 << 16, steps_max: 2_000 };
    if let Ok(printed) = template.execute(dot, options, &mut Functions) {
        assert!(printed.len() <= 1 << 16);
    }
});
