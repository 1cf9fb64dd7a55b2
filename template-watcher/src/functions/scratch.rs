//! The scratch pad: values a template keeps while it is rendered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use go_template::{Key, Object, Signature, Type, Value};

use super::{Row, bytes};

pub(super) const ROWS: &[Row] = &[Row::pure(
    "scratch",
    Signature::new(&[], Type::Object(TYPE)),
    "A pad for values: Key, Get, Set, SetX, MapSet, MapSetX and MapValues.",
    |context, _| Ok(Value::Object(context.scratch.clone())),
)
.example(r#"{{ scratch.Set "n" 1 }}{{ scratch.SetX "n" 2 }}{{ scratch.MapSet "m" "b" 2 }}{{ scratch.MapSet "m" "a" 1 }}{{ scratch.Get "n" }} {{ scratch.Key "x" }} {{ scratch.MapValues "m" }}"#, "1 false [1 2]")];

const TYPE: &str = "*template.Scratch";

/// A scratch pad; each rendering begins with an empty one.
#[derive(Default)]
pub struct Scratch(Mutex<BTreeMap<Vec<u8>, Value>>);

impl Object for Scratch {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn method(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "Key" => Signature::new(&[Type::Str], Type::Bool),
            "Get" => Signature::new(&[Type::Str], Type::Any),
            "Set" | "SetX" => Signature::new(&[Type::Str, Type::Any], Type::Str),
            "MapSet" | "MapSetX" => Signature::new(&[Type::Str, Type::Str, Type::Any], Type::Str),
            "MapValues" => Signature::new(&[Type::Str], Type::ANYS),
            _ => return None,
        })
    }

    fn call(&self, name: &str, args: Vec<Value>) -> Result<Value, String> {
        let mut pad = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = bytes(&args[0]).to_vec();
        match (name, args.as_slice()) {
            ("Key", _) => return Ok(Value::Bool(pad.contains_key(&key))),
            ("Get", _) => return Ok(pad.get(&key).cloned().unwrap_or(Value::Nil)),
            ("MapValues", _) => {
                let values = match pad.get(&key) {
                    Some(Value::Map(map)) => map.entries().values().cloned().collect(),
                    _ => Vec::new(),
                };
                return Ok(Value::list(&Type::Any, values));
            }
            ("Set", [_, value]) => {
                pad.insert(key, value.clone());
            }
            ("SetX", [_, value]) => {
                pad.entry(key).or_insert_with(|| value.clone());
            }
            (_, [_, at, value]) => {
                let entry =
                    pad.entry(key.clone()).or_insert_with(|| Value::map(Type::ANY_MAP, BTreeMap::new()));
                let Value::Map(map) = entry else { return Err(not_a_map(&key)) };
                if map.ty != Type::ANY_MAP {
                    return Err(not_a_map(&key));
                }
                let (map, at) = (Arc::clone(map), Key::text(bytes(at)));
                if name == "MapSet" || !map.entries().contains_key(&at) {
                    map.entries_mut().insert(at, value.clone());
                }
            }
            _ => {}
        }
        Ok(Value::from(""))
    }
}

fn not_a_map(key: &[u8]) -> String {
    format!("{} is not a map", go_template::fmt::quoted(key))
}
