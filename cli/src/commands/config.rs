//! `config`: reads and writes configuration entries.

use clap::{Args, Subcommand};
use daemon::Exit;
use hcl1::{Document, Kind, Object, Syntax, Value as Written};
use registry_client::Request;
use registry_wire::config_entry::{self, ConfigError};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, json, value::RawValue};

use super::data;
use crate::{
    client::{AskFlags, NoWords, succeed},
    flags::go_uint,
    output::{failure, line, show},
    program::called_consul,
};

/// Begins what is said of a text that is no entry.
const UNREAD: &str = "Failed to decode config entry input";

/// Read and write configuration entries
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Delete an entry
    Delete(Delete),
    /// List the names of a kind's entries
    List(List),
    /// Print an entry as JSON
    Read(Read),
    /// Create or change an entry
    Write(Write),
}

/// Which entry, asked where.
#[derive(Args, Debug)]
struct Which {
    /// The kind: `service-defaults`
    #[arg(long, default_value = "", value_name = "KIND", hide_default_value = true)]
    kind: String,
    #[command(flatten)]
    ask: AskFlags,
}

/// Only if nobody changed it meanwhile.
#[derive(Args, Debug)]
struct Unchanged {
    /// Only if the entry still has the index of -modify-index
    #[arg(long)]
    cas: bool,
    /// The entry's index when it was read
    #[arg(long, default_value_t = 0, value_name = "INDEX", hide_default_value = true, value_parser = go_uint)]
    modify_index: u64,
}

/// Delete an entry
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo config delete -kind=service-defaults -name=web\n\n\
    Exit codes: 0 done, 1 refused or no answer")]
pub(crate) struct Delete {
    /// The entry's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// The file the entry was written from, instead of kind and name
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    filename: String,
    #[command(flatten)]
    unchanged: Unchanged,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    no_words: NoWords,
}

/// List the names of a kind's entries
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo config list -kind=service-defaults\n\n\
    Exit codes: 0 done, also when there are none, 1 refused or no answer")]
pub(crate) struct List {
    /// Only entries that this expression selects
    #[arg(long, default_value = "", value_name = "EXPRESSION", hide_default_value = true)]
    filter: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    no_words: NoWords,
}

/// Print an entry as JSON
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo config read -kind=proxy-defaults -name=global\n\n\
    Exit codes: 0 done, 1 no such entry, refused or no answer")]
pub(crate) struct Read {
    /// The entry's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    no_words: NoWords,
}

/// Create or change an entry
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ryo config write web.hcl\n  ryo config write -cas -modify-index=12 -\n\n\
    Exit codes: 0 done, 1 refused, changed meanwhile or no answer"
)]
pub(crate) struct Write {
    #[command(flatten)]
    unchanged: Unchanged,
    #[command(flatten)]
    ask: AskFlags,
    /// A file with the entry, HCL or JSON; `-` for standard input
    #[arg(value_name = "FILE")]
    words: Vec<String>,
}

impl Config {
    pub(crate) fn run(self) -> Exit {
        let done = match self {
            Self::Delete(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Read(command) => command.run(),
            Self::Write(command) => command.run(),
        };
        done.unwrap_or_else(failure)
    }
}

impl Delete {
    fn run(self) -> Result<Exit, String> {
        let Unchanged { cas, modify_index } = self.unchanged;
        let (kind, name) = match (&*self.filename, &*self.which.kind, &*self.name) {
            ("", "", "") => return Err("Must specify the -kind or -filename parameter".into()),
            ("", "", _) => return Err("Must specify the -kind parameter".into()),
            ("", _, "") => return Err("Must specify the -name parameter".into()),
            ("", kind, name) => (kind.to_owned(), name.to_owned()),
            (file, "", "") => kind_and_name(&entry(file)?)?,
            _ => return Err("filename can't be used with kind or name".into()),
        };
        match (cas, modify_index) {
            (true, 0) => return Err("Must specify a -modify-index greater than 0 with -cas".into()),
            (false, 1..) => return Err("Cannot specify -modify-index without -cas".into()),
            _ => {}
        }
        let request = self.which.ask.apply(Request::delete(path(&kind, &name)));
        let request = if cas { request.with("cas", modify_index.to_string()) } else { request };
        Ok(self.which.ask.run(async |client| match succeed(&client, &request).await {
            Ok(answer) if cas && answer.body.trim_ascii() == b"false" => {
                failure(format!("Config entry not deleted: {kind}/{name}"))
            }
            Ok(_) => {
                let answer = json!({ "Kind": kind, "Name": name, "Deleted": true });
                show(self.which.ask.json(), &answer, || format!("Config entry deleted: {kind}/{name}"))
            }
            Err(e) => failure(format!("Error deleting config entry {kind}/{name}: {e}")),
        }))
    }
}

impl List {
    fn run(self) -> Result<Exit, String> {
        let kind = self.which.some_kind()?;
        let request = self.which.ask.apply(
            Request::get(Request::path_to("/v1/config", kind)).with_unless_empty("filter", &self.filter),
        );
        Ok(self.which.ask.run(async |client| match client.json::<Vec<Value>>(&request).await {
            Ok(entries) if self.which.ask.json() => show(true, &entries, String::new),
            Ok(entries) => {
                entries.iter().filter_map(|entry| entry["Name"].as_str()).for_each(line);
                Exit::Success
            }
            Err(e) => failure(format!("Error listing config entries for kind {kind:?}: {e}")),
        }))
    }
}

impl Read {
    fn run(self) -> Result<Exit, String> {
        let (kind, name) = (self.which.some_kind()?, &self.name);
        if name.is_empty() {
            return Err("Must specify the -name parameter".into());
        }
        if !config_entry::is_kind(kind) {
            return Err(format!(
                "Error reading config entry {kind}/{name}: invalid config entry kind: {kind}"
            ));
        }
        let request = self.which.ask.apply(Request::get(path(kind, name)));
        Ok(self.which.ask.run(async |client| match client.json::<Fields>(&request).await {
            Ok(entry) => show(true, &entry, String::new),
            Err(e) => failure(format!("Error reading config entry {kind}/{name}: {e}")),
        }))
    }
}

/// An entry's fields in the order that the registry writes them, without the one that only it needs.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("a configuration entry")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if name != "Hash" {
                        fields.push((name, value));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| {
            // Read again, so that what is inside is set in as well.
            (name, serde_json::from_str::<Value>(value.get()).unwrap_or_default())
        }))
    }
}

impl Write {
    fn run(self) -> Result<Exit, String> {
        let [file] = &*self.words else {
            return Err(
                "Must provide exactly one positional argument to specify the config entry to write".into()
            );
        };
        let entry = entry(file)?;
        let (kind, name) = kind_and_name(&entry)?;
        let Unchanged { cas, modify_index } = self.unchanged;
        let request = self.ask.apply(Request::put("/v1/config", entry.to_string()));
        let request = if cas { request.with("cas", modify_index.to_string()) } else { request };
        Ok(self.ask.run(async |client| match succeed(&client, &request).await {
            Ok(answer) if answer.body.trim_ascii() == b"false" => {
                failure(format!("Config entry not updated: {kind}/{name}"))
            }
            Ok(_) => {
                let answer = json!({ "Kind": kind, "Name": name, "Written": true });
                show(self.ask.json(), &answer, || format!("Config entry written: {kind}/{name}"))
            }
            Err(e) => failure(format!("Error writing config entry {kind}/{name}: {e}")),
        }))
    }
}

impl Which {
    fn some_kind(&self) -> Result<&str, String> {
        if self.kind.is_empty() { Err("Must specify the -kind parameter".into()) } else { Ok(&self.kind) }
    }
}

fn path(kind: &str, name: &str) -> String {
    Request::path_to(&Request::path_to("/v1/config", kind), name)
}

/// Kind and name of what is to be written. Errors when it is no entry; what a kind forbids is left to the registry.
fn kind_and_name(entry: &Value) -> Result<(String, String), String> {
    match config_entry::parse(entry.to_string().as_bytes()) {
        Ok(entry) => return Ok((entry.kind, entry.name)),
        Err(ConfigError::Body(why)) => return Err(format!("{UNREAD}: {why}")),
        Err(ConfigError::Refused(_) | ConfigError::NotYours) => {}
    }
    let text = |upper: &str, lower: &str| {
        entry.get(upper).or(entry.get(lower)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let kind = text("Kind", "kind");
    // There is one of them, whatever it was called.
    let name = if kind == "proxy-defaults" { "global".to_owned() } else { text("Name", "name") };
    Ok((kind, name))
}

/// The entry in a file, or on standard input.
fn entry(file: &str) -> Result<Value, String> {
    if file.is_empty() {
        return Err(
            "Failed to load data: Failed to load data: must specify a file path or '-' for stdin".into()
        );
    }
    let text = data::file_or_input(file).map_err(|why| format!("Failed to load data: {why}"))?;
    let json = text.trim_ascii_start().starts_with(b"{");
    let read: Result<Document, _> =
        if json { hcl1::parse_json(file, &text) } else { hcl1::parse(file, &text) };
    let document = read.map_err(|e| match called_consul() {
        true => format!("{UNREAD}: {UNREAD}: {}", e.consul_text()),
        false => format!("{UNREAD}: {e}"),
    })?;
    Ok(object(&document.root, document.syntax))
}

/// A block that stands once is an object, one that is repeated a list of them.
fn object(written: &Object, syntax: Syntax) -> Value {
    let mut out = Map::new();
    for entry in &written.entries {
        let value = plain(&entry.value, syntax);
        match out.get_mut(&entry.key) {
            Some(Value::Array(list)) if value.is_object() => list.push(value),
            Some(first) if syntax == Syntax::Hcl && first.is_object() && value.is_object() => {
                *first = Value::Array(vec![first.take(), value]);
            }
            _ => {
                out.insert(entry.key.clone(), value);
            }
        }
    }
    Value::Object(out)
}

fn plain(value: &Written, syntax: Syntax) -> Value {
    match &value.kind {
        Kind::Object(inner) => object(inner, syntax),
        Kind::List(items) => items.iter().map(|item| plain(item, syntax)).collect(),
        _ => value.to_json(syntax),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::object;

    #[test]
    fn one_block_is_an_object_several_are_a_list() {
        let text = b"Kind = \"k\"\nConfig { a = 1 }\nSources = [{ Name = \"x\" }]\nRoutes { b = 1 }\nRoutes { b = 2 }\n";
        let document = hcl1::parse("f", text).expect("it is HCL");
        let wanted = json!({
            "Kind": "k", "Config": {"a": 1}, "Sources": [{"Name": "x"}], "Routes": [{"b": 1}, {"b": 2}],
        });
        assert_eq!(object(&document.root, document.syntax), wanted);
    }
}
