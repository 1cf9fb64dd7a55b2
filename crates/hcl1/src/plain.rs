//! Documents as `serde_json` values, in the shape HCL1's own decoder gives.

use serde_json::{Map, Number, Value as Json};

use crate::value::{Document, Kind, Object, Syntax, Value};

impl Document {
    /// The values without their places.
    ///
    /// In HCL every object that is the value of a key becomes an element of a list, repeated blocks share that list, and
    /// objects inside a list stay what they are: `a { x = 1 } a { x = 2 } b = [{}]` is
    /// `{"a":[{"x":1},{"x":2}],"b":[{}]}`. Whoever wants one object takes a list of one for it. In JSON everything stays
    /// as written. Of repeated plain values the last one wins.
    pub fn to_json(&self) -> Json {
        Json::Object(self.root.to_json(self.syntax))
    }
}

impl Value {
    /// The value without places, as [`Document::to_json`] shows what stands in a list.
    pub fn to_json(&self, syntax: Syntax) -> Json {
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(on) => Json::Bool(*on),
            Kind::Integer(n) => Json::from(*n),
            // JSON cannot say infinity; the readers refuse numbers that large.
            Kind::Float(n) => Number::from_f64(*n).map_or(Json::Null, Json::Number),
            Kind::Text(text) => Json::from(text.as_str()),
            Kind::List(list) => Json::Array(list.iter().map(|value| value.to_json(syntax)).collect()),
            Kind::Object(object) => Json::Object(object.to_json(syntax)),
        }
    }
}

impl Object {
    /// The values without places, as [`Document::to_json`] shows those of a whole file.
    pub fn to_json(&self, syntax: Syntax) -> Map<String, Json> {
        let mut map = Map::new();
        for entry in &self.entries {
            let value = entry.value.to_json(syntax);
            let block = syntax == Syntax::Hcl && value.is_object();
            match map.get_mut(&entry.key) {
                Some(Json::Array(list)) if block => list.push(value),
                _ => {
                    let value = if block { Json::Array(vec![value]) } else { value };
                    map.insert(entry.key.clone(), value);
                }
            }
        }
        map
    }
}
