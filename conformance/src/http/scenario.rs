//! A scenario file, and the values that its steps hand on.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A file of the suite.
#[derive(Debug, Deserialize)]
pub(super) struct Scenario {
    #[serde(default)]
    pub(super) config: Value,
    pub(super) steps: Vec<Step>,
}

impl Scenario {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let mut scenario: Self = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if scenario.config.is_null() {
            scenario.config = Value::Object(Map::new());
        }
        Ok(scenario)
    }
}

/// One step; which of the first fields is there says what it does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    #[serde(rename = "do")]
    pub(super) request: Option<String>,
    pub(super) wait: Option<f64>,
    pub(super) start: Option<String>,
    pub(super) still: Option<String>,
    pub(super) join: Option<String>,
    pub(super) stub: Option<BTreeMap<String, (u16, String)>>,

    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<Value>,
    #[serde(rename = "for")]
    pub(super) for_seconds: Option<f64>,
    pub(super) within_ms: Option<[u64; 2]>,
    pub(super) until: Option<Map<String, Value>>,
    pub(super) timeout: Option<f64>,
    pub(super) save: Option<String>,
    pub(super) capture: BTreeMap<String, String>,

    pub(super) pick: Option<Vec<String>>,
    #[serde(rename = "as")]
    pub(super) shape: Option<String>,
    pub(super) sort: BTreeMap<String, String>,
    pub(super) ignore: Vec<String>,
    pub(super) headers_also: Vec<String>,
    pub(super) expect: Option<Expect>,
}

impl Step {
    /// The step in a few words, for messages.
    pub(super) fn label(&self) -> String {
        let background = [("join", &self.join), ("still", &self.still), ("start", &self.start)];
        let named = background.iter().find_map(|(word, name)| Some(format!("{word} {}", name.as_ref()?)));
        named.or_else(|| self.request.clone()).unwrap_or_else(|| "wait".into())
    }
}

/// The recorded answer.
#[derive(Debug, Deserialize)]
pub(super) struct Expect {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) body: BTreeMap<String, Value>,
}

/// Values by name: the scenario's ports and ids, and what earlier steps captured or saved.
#[derive(Default)]
pub(super) struct Names {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) saved: BTreeMap<String, Vec<u8>>,
}

impl Names {
    /// `text` with every `${name}` and `${name+1}` replaced; a text that is one name only becomes the value with its type.
    ///
    /// Errors when an earlier step did not give a value.
    pub(super) fn fill_text(&self, text: &str) -> anyhow::Result<Value> {
        let pattern = Regex::new(r"\$\{(\w+)([+-]\d+)?\}").expect("the pattern is well formed");
        if let Some(whole) =
            pattern.captures(text).filter(|found| found[0] == *text && found.get(2).is_none())
        {
            return self.value(&whole[1]).cloned();
        }
        let mut missing = None;
        let filled = pattern.replace_all(text, |found: &Captures<'_>| {
            self.added(&found[1], found.get(2).map(|add| add.as_str())).unwrap_or_else(|e| {
                missing = Some(e);
                String::new()
            })
        });
        missing.map_or_else(|| Ok(Value::String(filled.into_owned())), Err)
    }

    /// Like [`Names::fill_text`], as text whatever the type.
    pub(super) fn fill_string(&self, text: &str) -> anyhow::Result<String> {
        Ok(plain(&self.fill_text(text)?))
    }

    /// A document with all its texts and keys filled.
    pub(super) fn fill(&self, value: &Value) -> anyhow::Result<Value> {
        Ok(match value {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(list) => {
                Value::Array(list.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let entry =
                    |(key, value): (&String, &Value)| anyhow::Ok((self.fill_string(key)?, self.fill(value)?));
                Value::Object(map.iter().map(entry).collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }

    /// The bytes that a step's `body` stands for.
    pub(super) fn body(&self, body: &Value) -> anyhow::Result<Vec<u8>> {
        if let Some((text, count)) = field(body, "repeat").zip(body.get("count").and_then(Value::as_u64)) {
            return Ok(text.repeat(usize::try_from(count)?).into_bytes());
        }
        let body = self.fill(body)?;
        let only = |name| field(&body, name).filter(|_| body.as_object().is_some_and(|map| map.len() == 1));
        if let Some(text) = only("raw") {
            return Ok(text.as_bytes().to_vec());
        }
        if let Some(text) = only("base64") {
            return Ok(BASE64_STANDARD.decode(text)?);
        }
        match only("saved") {
            Some(name) => self.saved.get(name).cloned().ok_or_else(|| missing(name)),
            None => Ok(serde_json::to_vec(&body)?),
        }
    }

    fn value(&self, name: &str) -> anyhow::Result<&Value> {
        self.values.get(name).ok_or_else(|| missing(name))
    }

    fn added(&self, name: &str, add: Option<&str>) -> anyhow::Result<String> {
        let text = plain(self.value(name)?);
        match add {
            Some(add) => Ok((text.parse::<i128>()? + add.parse::<i128>()?).to_string()),
            None => Ok(text),
        }
    }
}

fn field<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn missing(name: &str) -> anyhow::Error {
    anyhow!("no value for ${{{name}}}: an earlier step did not give it")
}

/// A text without quotes, any other value as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a path of keys and numbers leads to; `""` is the document itself.
pub(super) fn pointer<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').filter(|part| !part.is_empty()).try_fold(document, |at, part| match at {
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        Value::Object(map) => map.get(part),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Names, pointer};

    #[test]
    fn names_keep_their_type_when_they_stand_alone() {
        let mut names = Names::default();
        names.values.insert("i".into(), json!(7));
        assert_eq!(
            names.fill(&json!(["${i}", "a${i}", "${i+2}", "${i-1}"])).unwrap(),
            json!([7, "a7", "9", "6"])
        );
        assert!(names.fill_text("x${gone}").is_err());
    }

    #[test]
    fn bodies_are_written_in_several_ways() {
        let names = Names::default();
        assert_eq!(names.body(&json!({"raw": "x"})).unwrap(), b"x");
        assert_eq!(names.body(&json!({"base64": "AAE="})).unwrap(), [0, 1]);
        assert_eq!(names.body(&json!({"repeat": "ab", "count": 2})).unwrap(), b"abab");
        assert_eq!(names.body(&json!({"raw": 1})).unwrap(), br#"{"raw":1}"#);
    }

    #[test]
    fn paths_lead_through_lists() {
        let document = json!({"a": [{"b": 1}]});
        assert_eq!(pointer(&document, "/a/0/b"), Some(&json!(1)));
        assert_eq!(pointer(&document, "/a/1"), None);
        assert_eq!(pointer(&document, ""), Some(&document));
    }
}
