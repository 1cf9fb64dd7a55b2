//! `kv export` and `kv import`: keys as JSON, from one registry to another.

use std::time::Duration;

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use registry_wire::{
    base64,
    json::{self, Unknown},
    kv::KvPair,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, error::Category, json};

use super::data;
use crate::{
    client::{AskFlags, succeed},
    output::{failure, line, note, progress, told},
};

/// A key in the file: `{"key": "a", "flags": 0, "value": "b25l"}`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    key: String,
    flags: u64,
    value: String,
}

/// Print keys with a prefix as JSON, for `import`
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo kv export service/ > backup.json\n\nExit codes: 0 printed, 1 no answer"
)]
pub(crate) struct Export {
    #[command(flatten)]
    ask: AskFlags,
    /// The prefix; all keys without
    #[arg(value_name = "PREFIX")]
    words: Vec<String>,
}

impl Export {
    pub(crate) fn run(self) -> Exit {
        let prefix = match self.words.as_slice() {
            [] => "",
            [prefix] => prefix.strip_prefix('/').unwrap_or(prefix),
            more => return failure(format!("Too many arguments (expected 1, got {})", more.len())),
        };
        self.ask.run(async |client| {
            let request = self.ask.apply(Request::get(Request::kv_path(prefix)).with("recurse", ""));
            let bar = progress("exporting", 0);
            bar.enable_steady_tick(Duration::from_millis(100));
            let answer = client.json_if_found(&request).await;
            bar.finish_and_clear();
            let pairs: Vec<KvPair> = match answer {
                Ok(pairs) => pairs.unwrap_or_default(),
                Err(e) => return failure(format!("Error querying Consul agent: {e}")),
            };
            let entry = |pair: KvPair| Entry {
                key: pair.key,
                flags: pair.flags,
                value: pair.value.unwrap_or_default(),
            };
            let entries: Vec<Entry> = pairs.into_iter().map(entry).collect();
            line(json::indent(&json::to_vec(&entries), "\t"));
            Exit::Success
        })
    }
}

/// Write keys from the JSON of `export`
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo kv import @backup.json\n  ryo kv export | ryo kv import -prefix=copy -\n\n\
    Exit codes: 0 written, 1 refused or no answer: what was printed is written"
)]
pub(crate) struct Import {
    /// What to put before each key
    #[arg(long, default_value = "", value_name = "PREFIX", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    ask: AskFlags,
    /// JSON, @FILE, or - for standard input
    #[arg(value_name = "DATA")]
    words: Vec<String>,
}

impl Import {
    pub(crate) fn run(self) -> Exit {
        let argument = match self.words.as_slice() {
            [] => return failure("Error! Missing DATA argument"),
            [data] => data,
            more => return failure(format!("Error! Too many arguments (expected 1, got {})", more.len())),
        };
        if argument.is_empty() {
            return failure("Error! Empty DATA argument");
        }
        let text = match data::read(argument) {
            Ok(text) => text,
            Err(why) => return failure(format!("Error! {why}")),
        };
        let entries = match entries(&text) {
            Ok(entries) => entries,
            Err(why) => return failure(format!("Cannot unmarshal data: {why}")),
        };
        let bar = progress("importing", entries.len() as u64);
        self.ask.run(async |client| {
            let mut imported = Vec::new();
            for entry in bar.wrap_iter(entries.into_iter()) {
                let (value, problem) = base64::decode_before(entry.value.as_bytes());
                let key = entry.key;
                if let Some(why) = problem {
                    return failure(format!("Error base 64 decoding value for key {key}: {why}"));
                }
                let key = if self.prefix.is_empty() { key } else { joined(&self.prefix, &key) };
                if key.starts_with('/') {
                    note(format!("Error! Failed writing data for key {key}: Invalid key. Key must not begin with a '/': {key}"));
                    return Exit::Failure;
                }
                let request = Request::put(Request::kv_path(&key), value);
                let request = match entry.flags {
                    0 => request,
                    flags => request.with("flags", flags.to_string()),
                };
                if let Err(e) = succeed(&client, &self.ask.apply(request)).await {
                    return failure(format!("Error! Failed writing data for key {key}: {e}"));
                }
                match self.ask.json() {
                    true => imported.push(key),
                    false => line(format!("Imported: {key}")),
                }
            }
            told(self.ask.json(), &json!({ "Imported": imported }))
        })
    }
}

/// A key behind a prefix, with one slash between them and none twice; a slash at the end stays.
fn joined(prefix: &str, key: &str) -> String {
    let parts = prefix.split('/').chain(key.split('/')).filter(|part| !part.is_empty() && *part != ".");
    let start = if prefix.starts_with('/') { "/" } else { "" };
    let end = if key.ends_with('/') { "/" } else { "" };
    format!("{start}{}{end}", parts.collect::<Vec<_>>().join("/"))
}

/// The keys in a file. Errors in Go's words, where scripts may look.
fn entries(text: &[u8]) -> Result<Vec<Entry>, String> {
    let trimmed = text.trim_ascii_start();
    if let Err(e) = serde_json::from_slice::<IgnoredAny>(trimmed) {
        return Err(match e.classify() {
            Category::Eof => "unexpected end of JSON input".into(),
            _ => wrong_letter(trimmed, &e),
        });
    }
    let kind = match trimmed.first() {
        Some(b'[') => {
            if let Some(kind) = odd_entry(trimmed) {
                return Err(format!("json: cannot unmarshal {kind} into Go value of type impexp.Entry"));
            }
            return json::decode(trimmed, Unknown::Skip).map_err(|e| e.to_string());
        }
        Some(b'n') | None => return Ok(Vec::new()),
        Some(b'{') => "object",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(_) => "number",
    };
    Err(format!("json: cannot unmarshal {kind} into Go value of type []*impexp.Entry"))
}

/// What the first entry of a list is that is none.
fn odd_entry(text: &[u8]) -> Option<&'static str> {
    let entries: Vec<Value> = serde_json::from_slice(text).ok()?;
    entries.iter().find_map(|entry| match entry {
        Value::Bool(_) => Some("bool"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
        Value::Object(_) | Value::Null => None,
    })
}

fn wrong_letter(text: &[u8], error: &serde_json::Error) -> String {
    for literal in ["null", "true", "false"] {
        let fits = literal.bytes().zip(text).take_while(|(wanted, found)| wanted == *found).count();
        if (1..literal.len()).contains(&fits) && text.len() > fits {
            let (found, wanted) = (char::from(text[fits]), &literal[fits..=fits]);
            return format!("invalid character '{found}' in literal {literal} (expecting '{wanted}')");
        }
    }
    let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    match line.get(error.column().saturating_sub(1)) {
        Some(byte) => format!("invalid character '{}' looking for beginning of value", char::from(*byte)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{entries, joined};

    #[test]
    fn prefixes_are_joined_with_one_slash() {
        assert_eq!(joined("pre", "imp/dir/"), "pre/imp/dir/");
        assert_eq!(joined("pre2/", "imp/a"), "pre2/imp/a");
    }

    #[test]
    fn what_is_no_list_of_keys_is_told_in_gos_words() {
        let refused = |text: &str| entries(text.as_bytes()).unwrap_err();
        assert_eq!(refused("nonsense"), "invalid character 'o' in literal null (expecting 'u')");
        assert_eq!(refused("{}"), "json: cannot unmarshal object into Go value of type []*impexp.Entry");
        assert_eq!(refused("[1]"), "json: cannot unmarshal number into Go value of type impexp.Entry");
        assert_eq!(refused("["), "unexpected end of JSON input");
        assert_eq!(refused("{\n"), "unexpected end of JSON input");
        let field = "json: cannot unmarshal number into Go struct field Entry.value of type string";
        assert_eq!(refused(r#"[{"key": "a", "value": 5}]"#), field);
        let flags = "json: cannot unmarshal number -1 into Go struct field Entry.flags of type uint64";
        assert_eq!(refused(r#"[{"flags": -1}]"#), flags);
        assert!(entries(b"null").unwrap().is_empty());
        assert_eq!(entries(br#"[{"Key": "a"}]"#).unwrap()[0].key, "a");
        assert_eq!(refused("x"), "invalid character 'x' looking for beginning of value");
    }
}
