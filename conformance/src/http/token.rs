//! The placeholders of recorded answers, and what has been seen for them so far.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use super::scenario::plain;

static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"<(uuid:\d+|hash:\d+|event:\d+|i:\d+|i:start|time|version|port:[a-z_]+|ignored|any|n|hash)>")
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|UTC|[+-]\d\d:?\d\d))*\z"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| regex(r"\A-?[0-9.]+\z"));
/// Texts made by the recorded server's libraries: only what stands before them is compared.
static LIBRARY: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?s)\A(Request decode failed: |Failed to parse body: )?.*?",
        r"(cannot unmarshal|invalid character|illegal base64|unexpected EOF|unexpected end of|error parsing regexp)",
    ))
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is well formed")
}

/// Whether a recorded text holds a placeholder.
pub(super) fn has_token(text: &str) -> bool {
    TOKEN.is_match(text)
}

/// What the placeholders of one scenario stand for.
pub(super) struct Tokens {
    /// The greatest index from before the first step.
    baseline: u64,
    /// The server's and the stub's ports by name.
    ports: BTreeMap<String, u16>,
    bound: BTreeMap<String, String>,
    token_of: BTreeMap<(String, String), String>,
    indexes: BTreeMap<u64, u64>,
}

impl Tokens {
    pub(super) fn new(baseline: u64, ports: BTreeMap<String, u16>) -> Self {
        Self { baseline, ports, bound: BTreeMap::new(), token_of: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    /// Compares a recorded text, with placeholders or without, with what came. `Err` says what differs.
    pub(super) fn text(&mut self, want: &str, got: &Value) -> Result<(), String> {
        let whole = TOKEN.find(want).is_some_and(|found| found.as_str() == want);
        if whole {
            return self.token(want, got);
        }
        let Value::String(got) = got else { return Err(expected(want, got)) };
        if want == got {
            return Ok(());
        }
        if let Some(library) = LIBRARY.captures(want) {
            let at = library
                .get(1)
                .map_or_else(|| library.get(2).map_or(0, |made| made.start()), |prefix| prefix.end());
            let prefix = &want[..at];
            let same = got.starts_with(prefix);
            return if same {
                Ok(())
            } else {
                Err(expected(&format!("{prefix}…"), &Value::from(got.as_str())))
            };
        }
        self.parts(want, got)
    }

    /// Compares a text that holds placeholders among other words.
    fn parts(&mut self, want: &str, got: &str) -> Result<(), String> {
        let (mut pattern, mut tokens, mut at) = (String::from(r"(?s)\A"), Vec::new(), 0);
        for found in TOKEN.find_iter(want) {
            pattern += &regex::escape(&want[at..found.start()]);
            pattern += match found.as_str() {
                token if token.starts_with("<uuid") => "([0-9a-f]{8}-[0-9a-f-]{27})",
                token if token.starts_with("<port") || token.starts_with("<i:") || token == "<n>" => r"(\d+)",
                _ => "(.*?)",
            };
            tokens.push(found.as_str());
            at = found.end();
        }
        pattern += &regex::escape(&want[at..]);
        pattern += r"\z";
        let differs = || expected(want, &Value::from(got));
        if tokens.is_empty() {
            return Err(differs());
        }
        let found =
            Regex::new(&pattern).ok().and_then(|pattern| pattern.captures(got)).ok_or_else(differs)?;
        for (number, token) in tokens.into_iter().enumerate() {
            self.token(token, &Value::from(&found[number + 1]))?;
        }
        Ok(())
    }

    /// Whether one placeholder accepts one value.
    fn token(&mut self, token: &str, value: &Value) -> Result<(), String> {
        let accept = |yes: bool, else_: String| if yes { Ok(()) } else { Err(else_) };
        let text = plain(value);
        match token {
            "<ignored>" | "<any>" => return Ok(()),
            "<n>" => return accept(NUMBER.is_match(&text), format!("should be a number, is {value}")),
            _ if token.starts_with("<i:") => return self.index(token, &text),
            _ => {}
        }
        if let Some(name) = token.strip_prefix("<port:") {
            let port = self.ports.get(name.trim_end_matches('>')).map(u16::to_string);
            return accept(
                port.as_ref().is_none_or(|port| *port == text),
                format!("port {port:?}, not {text}"),
            );
        }
        let Value::String(text) = value else { return Err(format!("{token} expected, got {value}")) };
        match token {
            "<time>" => accept(TIME.is_match(text), format!("should be a time, is {text:?}")),
            "<version>" | "<hash>" => accept(!text.is_empty(), "should not be empty".into()),
            _ => self.bind(token, text),
        }
    }

    /// Ids correspond one to one: the first value seen for a placeholder is the value it has from then on.
    fn bind(&mut self, token: &str, value: &str) -> Result<(), String> {
        let kind = token.split(':').next().unwrap_or_default();
        let key = (kind.to_owned(), value.to_owned());
        match (self.bound.get(token), self.token_of.get(&key)) {
            (Some(before), _) if before == value => Ok(()),
            (Some(before), _) => Err(format!("{value} should be the same as before ({token} = {before})")),
            (None, Some(other)) => Err(format!("{value} should be another value than {other}")),
            (None, None) => {
                self.bound.insert(token.to_owned(), value.to_owned());
                self.token_of.insert(key, token.to_owned());
                Ok(())
            }
        }
    }

    /// Not an index's number counts, but its place in the order of all indexes of the scenario.
    fn index(&mut self, token: &str, text: &str) -> Result<(), String> {
        let Ok(value) = text.parse::<u64>() else { return Err(format!("should be an index, is {text}")) };
        let start = self.baseline;
        if token == "<i:start>" {
            let old = (1..=start).contains(&value);
            return if old {
                Ok(())
            } else {
                Err(format!("{value} should be an index from before the scenario (<= {start})"))
            };
        }
        if value <= start {
            return Err(format!("{value} should be newer than the start of the scenario (> {start})"));
        }
        let number = token
            .trim_start_matches("<i:")
            .trim_end_matches('>')
            .parse()
            .map_err(|e| format!("{token}: {e}"))?;
        if let Some(seen) = self.indexes.get(&number) {
            return if *seen == value {
                Ok(())
            } else {
                Err(format!("{value} should equal the index seen as {token} ({seen})"))
            };
        }
        let misplaced = |(n, v): &(&u64, &u64)| (**n < number) != (**v < value) || **v == value;
        if let Some((n, v)) = self.indexes.iter().find(misplaced) {
            let side = if *n < number { "after" } else { "before" };
            return Err(format!("{value} ({token}) should be {side} {v} (<i:{n}>)"));
        }
        self.indexes.insert(number, value);
        Ok(())
    }
}

/// The words for a value that is not the recorded one.
pub(super) fn expected(want: &str, got: &Value) -> String {
    format!("expected {}, got {}", short(&Value::from(want)), short(got))
}

/// A value as JSON of bounded length.
pub(super) fn short(value: &Value) -> String {
    const LENGTH_MAX: usize = 300;
    let mut text = value.to_string();
    if let Some((cut, _)) = text.char_indices().nth(LENGTH_MAX) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Tokens;

    fn tokens() -> Tokens {
        Tokens::new(10, [("http".to_owned(), 8500)].into())
    }

    #[test]
    fn ids_correspond_one_to_one() {
        let mut tokens = tokens();
        let (a, b) = ("00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b");
        assert!(tokens.text("<uuid:1>", &json!(a)).is_ok());
        assert!(tokens.text("lock <uuid:1>!", &json!(format!("lock {a}!"))).is_ok());
        assert!(tokens.text("<uuid:1>", &json!(b)).is_err());
        assert!(tokens.text("<uuid:2>", &json!(a)).is_err());
        assert!(tokens.text("<uuid:2>", &json!(b)).is_ok());
    }

    #[test]
    fn indexes_keep_their_order() {
        let mut tokens = tokens();
        assert!(tokens.text("<i:start>", &json!("11")).is_err());
        assert!(tokens.text("<i:start>", &json!("1")).is_ok());
        assert!(tokens.text("<i:1>", &json!(10)).is_err());
        assert!(tokens.text("<i:2>", &json!(20)).is_ok());
        assert!(tokens.text("<i:2>", &json!("20")).is_ok());
        assert!(tokens.text("<i:1>", &json!(20)).is_err());
        assert!(tokens.text("<i:1>", &json!(15)).is_ok());
        assert!(tokens.text("<i:3>", &json!(19)).is_err());
    }

    #[test]
    fn only_the_words_before_a_librarys_text_count() {
        let mut tokens = tokens();
        let want = "Request decode failed: json: cannot unmarshal string into int";
        assert!(tokens.text(want, &json!("Request decode failed: expected a number")).is_ok());
        assert!(tokens.text(want, &json!("bad request")).is_err());
    }

    #[test]
    fn ports_times_and_numbers() {
        let mut tokens = tokens();
        assert!(tokens.text("http://a:<port:http>/", &json!("http://a:8500/")).is_ok());
        assert!(tokens.text("http://a:<port:http>/", &json!("http://a:8501/")).is_err());
        assert!(tokens.text("<time>", &json!("2026-01-02T03:04:05.6Z")).is_ok());
        assert!(tokens.text("<time>", &json!("now")).is_err());
        assert!(tokens.text("<n>", &json!(1.5)).is_ok());
        assert!(tokens.text("plain", &json!(1)).is_err());
    }
}
