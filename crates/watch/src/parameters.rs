//! The keys of a watch as somebody wrote them, taken out one by one; what is left over nobody knows.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Parameters by name, `{"type": "key", "key": "a"}`; each one that is understood is taken out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Json>);

impl<K: Into<String>> FromIterator<(K, Json)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (K, Json)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Parameters {
    /// A text, or a list of one; empty when not given.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, String> {
        let found = match self.0.get(name) {
            None => return Ok(String::new()),
            Some(Json::String(text)) => text.clone(),
            Some(Json::Array(list)) => match list.as_slice() {
                [Json::String(only)] => only.clone(),
                _ => return Err(format!("Expecting {name} to be a string")),
            },
            Some(_) => return Err(format!("Expecting {name} to be a string")),
        };
        self.0.remove(name);
        Ok(found)
    }

    pub(crate) fn bool(&mut self, name: &str) -> Result<bool, String> {
        let found = match self.0.get(name) {
            None => return Ok(false),
            Some(Json::Bool(on)) => *on,
            Some(_) => return Err(format!("Expecting {name} to be a boolean")),
        };
        self.0.remove(name);
        Ok(found)
    }

    /// A text or a list of them; empty when not given.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let refused = || format!("Expecting {name} to be a string or []string");
        let found = match self.0.get(name) {
            None => return Ok(Vec::new()),
            Some(Json::String(text)) => vec![text.clone()],
            Some(Json::Array(list)) => {
                let texts: Option<_> = list.iter().map(|v| v.as_str().map(str::to_owned)).collect();
                texts.ok_or_else(refused)?
            }
            Some(_) => return Err(refused()),
        };
        self.0.remove(name);
        Ok(found)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Json::from(value));
    }

    pub(crate) fn drop(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Errors when something is left that nobody has taken.
    pub fn finish(&self) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        Err(format!("Invalid parameters: [{}]", names.join(" ")))
    }

    /// What is left, as Go prints it: `map[string]interface {}{"key":"a"}`.
    pub(crate) fn go_syntax(&self) -> String {
        go_map(self.0.iter())
    }
}

fn go_map<'a>(pairs: impl Iterator<Item = (&'a String, &'a Json)>) -> String {
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name:?}:{}", go_value(value))).collect();
    format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
}

fn go_value(value: &Json) -> String {
    match value {
        Json::Null => "interface {}(nil)".into(),
        Json::Bool(on) => on.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => format!("{text:?}"),
        // A list of one is read as its element there.
        Json::Array(list) if list.len() == 1 => go_value(&list[0]),
        Json::Array(list) => {
            let elements: Vec<_> = list.iter().map(go_value).collect();
            format!("[]interface {{}}{{{}}}", elements.join(", "))
        }
        Json::Object(map) => go_map(map.iter()),
    }
}
