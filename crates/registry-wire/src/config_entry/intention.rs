//! Intentions, one by one: each source of each `service-intentions` entry.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::rules::{list, set, text};
use crate::json::{self, Json};

/// The intentions of stored `service-intentions` entries (`body`, `create_index`, `modify_index`), in the order in which
/// they count: the more exact first.
pub fn intentions<'a>(entries: impl Iterator<Item = (&'a [u8], u64, u64)>) -> Vec<Json> {
    let mut all: Vec<Json> =
        entries.flat_map(|(body, created, modified)| of_entry(body, created, modified)).collect();
    let precedence = |shown: &Json| match shown.field("Precedence") {
        Some(Json::Number(n)) => n.as_u64().unwrap_or_default(),
        _ => 0,
    };
    all.sort_by(|a, b| {
        let names =
            |shown: &Json| (text(shown, "SourceName").to_owned(), text(shown, "DestinationName").to_owned());
        precedence(b).cmp(&precedence(a)).then_with(|| names(a).cmp(&names(b)))
    });
    all
}

fn of_entry(body: &[u8], created: u64, modified: u64) -> Vec<Json> {
    let Ok(entry) = serde_json::from_slice::<Json>(body) else { return Vec::new() };
    let sources = list(&entry, "Sources");
    sources.iter().map(|source| shown(&entry, source, created, modified)).collect()
}

fn shown(entry: &Json, source: &Json, created: u64, modified: u64) -> Json {
    let namespace = Some(Json::Text("default".to_owned()));
    let number = |n: u64| Some(Json::Number(n.into()));
    let fields = [
        ("CreatedAt", source.field("LegacyCreateTime").cloned()),
        ("UpdatedAt", source.field("LegacyUpdateTime").cloned()),
        ("ID", source.field("LegacyID").cloned()),
        ("Description", source.field("Description").cloned()),
        ("SourcePeer", source.field("Peer").cloned()),
        ("SourceNS", namespace.clone()),
        ("SourceName", source.field("Name").cloned()),
        ("DestinationNS", namespace),
        ("DestinationName", entry.field("Name").cloned()),
        ("SourceType", source.field("Type").cloned()),
        ("Action", source.field("Action").cloned()),
        ("Permissions", source.field("Permissions").cloned()),
        ("Meta", source.field("LegacyMeta").or_else(|| entry.field("Meta")).cloned()),
        ("Precedence", source.field("Precedence").cloned()),
        ("Hash", source.field("LegacyID").map(|_| hash_of(source))),
        ("CreateIndex", number(created)),
        ("ModifyIndex", number(modified)),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Json::Object(given.collect())
}

/// As opaque as Consul's, and of another kind: it changes when the source does.
fn hash_of(source: &Json) -> Json {
    Json::Text(STANDARD.encode(super::hash(&json::to_vec(source)).to_be_bytes()))
}

/// How a source of an entry is told from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// By its service.
    Name(&'a str),
    /// By the id that the old way of writing intentions gave it.
    Id(&'a str),
    /// None of those that are there.
    New,
}

impl Source<'_> {
    fn is(self, known: &Json) -> bool {
        match self {
            Self::Name(name) => text(known, "Name") == name,
            Self::Id(id) => text(known, "LegacyID") == id,
            Self::New => false,
        }
    }
}

/// The body of an entry for `destination` in which this source stands, in place of an older one; `old` is the stored entry.
/// For [`parse`](super::parse).
pub fn with_source(old: Option<&[u8]>, destination: &str, older: Source<'_>, source: Json) -> Vec<u8> {
    let mut entry = stored(old, destination);
    let mut sources = list(&entry, "Sources").to_vec();
    match sources.iter_mut().find(|known| older.is(known)) {
        Some(known) => *known = source,
        None => sources.push(source),
    }
    set(&mut entry, "Sources", Json::List(sources));
    json::to_vec(&entry)
}

/// The body of the entry without this source; `None` when no source is left. `Err` when it has no such source.
pub fn without_source(old: &[u8], source: Source<'_>) -> Result<Option<Vec<u8>>, Absent> {
    let mut entry = stored(Some(old), "");
    let sources = list(&entry, "Sources");
    let left: Vec<Json> = sources.iter().filter(|known| !source.is(known)).cloned().collect();
    if left.len() == sources.len() {
        return Err(Absent);
    }
    if left.is_empty() {
        return Ok(None);
    }
    set(&mut entry, "Sources", Json::List(left));
    Ok(Some(json::to_vec(&entry)))
}

/// There is no such source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent;

fn stored(old: Option<&[u8]>, destination: &str) -> Json {
    let known = old.and_then(|body| serde_json::from_slice(body).ok());
    known.unwrap_or_else(|| {
        let text = |text: &str| Json::Text(text.to_owned());
        let fields = [("Kind", text("service-intentions")), ("Name", text(destination))];
        Json::Object(fields.map(|(name, value)| (name.to_owned(), value)).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_entry;

    #[test]
    fn the_more_exact_come_first() {
        let entry = |name: &str, sources: &str| {
            let body = format!(r#"{{"Kind":"service-intentions","Name":"{name}","Sources":[{sources}]}}"#);
            config_entry::parse(body.as_bytes()).unwrap().body
        };
        let all = entry("*", r#"{"Name":"*","Action":"deny"}"#);
        let db =
            entry("db", r#"{"Name":"*","Action":"deny"},{"Name":"web","Action":"allow","Description":"d"}"#);
        let shown = intentions([(all.as_slice(), 2, 2), (db.as_slice(), 3, 4)].into_iter());
        let lines: Vec<_> = shown.iter().map(|i| String::from_utf8(json::to_vec(i)).unwrap()).collect();
        assert_eq!(
            lines[0],
            r#"{"Description":"d","SourceNS":"default","SourceName":"web","DestinationNS":"default","DestinationName":"db","SourceType":"consul","Action":"allow","Precedence":9,"CreateIndex":3,"ModifyIndex":4}"#
        );
        let names: Vec<_> =
            shown.iter().map(|i| (text(i, "SourceName"), text(i, "DestinationName"))).collect();
        assert_eq!(names, [("web", "db"), ("*", "db"), ("*", "*")]);
    }

    #[test]
    fn sources_are_written_one_by_one() {
        let source = |name: &str, action: &str| {
            let fields = [("Name", name), ("Action", action)];
            Json::Object(fields.map(|(n, v)| (n.to_owned(), Json::Text(v.to_owned()))).into())
        };
        let first =
            config_entry::parse(&with_source(None, "db", Source::New, source("web", "allow"))).unwrap();
        assert_eq!((first.kind.as_str(), first.name.as_str()), ("service-intentions", "db"));
        let second = with_source(Some(&first.body), "db", Source::Name("x"), source("x", "deny"));
        let second = config_entry::parse(&with_source(
            Some(&second),
            "db",
            Source::Name("web"),
            source("web", "deny"),
        ))
        .unwrap();
        let shown = intentions([(second.body.as_slice(), 1, 1)].into_iter());
        let actions: Vec<_> = shown.iter().map(|i| (text(i, "SourceName"), text(i, "Action"))).collect();
        assert_eq!(actions, [("web", "deny"), ("x", "deny")]);
        assert_eq!(without_source(&second.body, Source::Name("nobody")), Err(Absent));
        let left = without_source(&second.body, Source::Name("web")).unwrap().unwrap();
        assert_eq!(without_source(&left, Source::Name("x")), Ok(None));
    }
}
