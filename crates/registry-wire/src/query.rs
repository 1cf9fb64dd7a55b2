//! The query string of a request: names and values in the order they were sent.

use std::borrow::Cow;

use crate::percent::{BadEscape, decode_query, encode_query};

/// A query string, decoded. Names may be repeated; the first one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(Vec<u8>, Vec<u8>)>);

impl Query {
    /// Reads `a=1&b&a=2`. Errors on a bad escape and on `;`, as Go does; Consul answers 500 with an empty body then.
    pub fn parse(text: &str) -> Result<Self, BadEscape> {
        let mut pairs = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            if part.contains(';') {
                return Err(BadEscape);
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            pairs.push((decode_query(name)?, decode_query(value)?));
        }
        Ok(Self(pairs))
    }

    /// Whether the name is there, with or without a value: `?stale`, `?stale=false`.
    pub fn has(&self, name: &str) -> bool {
        self.bytes(name).is_some()
    }

    /// The first value of this name as bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The first value of this name as text; empty for `?name`.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.bytes(name).map(String::from_utf8_lossy)
    }

    /// The first value of this name, unless it is empty or missing.
    pub fn filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.text(name).filter(|value| !value.is_empty())
    }

    /// All values of this name in order, as `node-meta` and `tag` may be repeated.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name.as_bytes())
            .map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// The query string as Go writes it again: sorted by name, every name with `=`.
    pub fn sorted(&self) -> String {
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let written: Vec<_> =
            pairs.iter().map(|(n, v)| format!("{}={}", encode_query(n), encode_query(v))).collect();
        written.join("&")
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value that Go would not read either; the words are Go's: `strconv.ParseUint: parsing "x": invalid syntax`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("strconv.{function}: parsing {text}: {why}")]
pub struct BadNumber {
    function: &'static str,
    /// The text in Go's quotes.
    text: String,
    why: &'static str,
}

/// Reads a decimal `u64`: digits only, no sign.
pub fn parse_u64(text: &str) -> Result<u64, BadNumber> {
    let bad = |why| BadNumber { function: "ParseUint", text: format!("{text:?}"), why };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("invalid syntax"));
    }
    text.parse().map_err(|_| bad("value out of range"))
}

/// Reads a decimal `i64`: digits after at most one sign.
pub fn parse_i64(text: &str) -> Result<i64, BadNumber> {
    let bad = |why| BadNumber { function: "Atoi", text: format!("{text:?}"), why };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("invalid syntax"));
    }
    text.parse().map_err(|_| bad("value out of range"))
}

/// Reads a truth value: `1`, `t`, `T`, `true`, `TRUE`, `True`, and their opposites.
pub fn parse_bool(text: &str) -> Result<bool, BadNumber> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(BadNumber { function: "ParseBool", text: format!("{text:?}"), why: "invalid syntax" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_presence() {
        let query = Query::parse("tag=a&stale&tag=b%20c&wait=1s&&wait=2s&k=").unwrap();
        assert!(query.has("stale") && query.has("k") && !query.has("x"));
        assert_eq!(query.text("wait").unwrap(), "1s");
        assert_eq!(query.text("stale").unwrap(), "");
        assert_eq!(query.filled("k"), None);
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b c"]);
    }

    #[test]
    fn refuses_what_go_refuses() {
        for bad in ["%zz", "recurse;keys", "a=%", "a=1&b;c=2"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_numbers_with_a_sign_and_truth_values_as_go_does() {
        let number = |text| parse_i64(text).map_err(|error| error.to_string());
        assert_eq!((number("7"), number("+7"), number("-7")), (Ok(7), Ok(7), Ok(-7)));
        let said = |why| Err(format!("strconv.Atoi: parsing {why}"));
        assert_eq!(number("1_0"), said("\"1_0\": invalid syntax"));
        assert_eq!(number("-"), said("\"-\": invalid syntax"));
        assert_eq!(number("99999999999999999999"), said("\"99999999999999999999\": value out of range"));
        assert_eq!((parse_bool("T"), parse_bool("0")), (Ok(true), Ok(false)));
        let yes = parse_bool("yes").map_err(|error| error.to_string());
        assert_eq!(yes, Err("strconv.ParseBool: parsing \"yes\": invalid syntax".to_owned()));
    }

    #[test]
    fn writes_sorted() {
        let query = Query::parse("release=b&cas=0&acquire=a&recurse&a=x y").unwrap();
        assert_eq!(query.sorted(), "a=x+y&acquire=a&cas=0&recurse=&release=b");
    }

    #[test]
    fn reads_numbers_as_go() {
        assert_eq!(parse_u64("18446744073709551615"), Ok(u64::MAX));
        let said = |text| parse_u64(text).unwrap_err().to_string();
        assert_eq!(said("+7"), "strconv.ParseUint: parsing \"+7\": invalid syntax");
        assert_eq!(said(""), "strconv.ParseUint: parsing \"\": invalid syntax");
        assert_eq!(
            said("18446744073709551616"),
            "strconv.ParseUint: parsing \"18446744073709551616\": value out of range"
        );
    }
}
