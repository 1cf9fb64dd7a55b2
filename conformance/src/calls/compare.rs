//! How two results differ.

use std::{fmt, sync::LazyLock};

use regex::bytes::Regex;

use super::Verdict;

/// A way to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Where theirs prints an address of its memory, ours has another text.
    Address,
    /// Another text.
    Text,
    /// An error here, a text there.
    ErrorHere,
    /// A text here, an error there.
    ErrorThere,
    /// The same, where the error is a panic that somebody caught.
    PanicThere,
    /// It waits here.
    WaitsHere,
    /// It waits there.
    WaitsThere,
    /// A panic here.
    DiedHere,
    /// The end of the process there.
    DiedThere,
}

impl Difference {
    /// The word for it in the list of what is meant.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Text => "text",
            Self::ErrorHere => "error-here",
            Self::ErrorThere => "error-there",
            Self::PanicThere => "panic-there",
            Self::WaitsHere => "waits-here",
            Self::WaitsThere => "waits-there",
            Self::DiedHere => "died-here",
            Self::DiedThere => "died-there",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How two results differ; two errors do not.
pub(super) fn difference(theirs: &Verdict, ours: &Verdict) -> Option<Difference> {
    use Verdict::{Died, Error, Text, Waiting};
    Some(match (theirs, ours) {
        (Text(a), Text(b)) if a == b => return None,
        (Text(a), Text(b)) if is_same_but_addresses(a, b) => Difference::Address,
        (Text(_), Text(_)) => Difference::Text,
        (Waiting, Waiting) | (Error(_), Error(_)) => return None,
        (_, Died(_)) => Difference::DiedHere,
        (Died(_), _) => Difference::DiedThere,
        (_, Waiting) => Difference::WaitsHere,
        (Waiting, _) => Difference::WaitsThere,
        (Error(words), _) if is_panic(words) => Difference::PanicThere,
        (Error(_), _) => Difference::ErrorThere,
        (_, Error(_)) => Difference::ErrorHere,
    })
}

/// Whether an error of Go's is a panic of the function's that the engine caught.
fn is_panic(words: &str) -> bool {
    ["runtime error", "reflect: ", "reflect.", "interface conversion", "strings: ", "panic", "nil *"]
        .iter()
        .any(|word| words.contains(word))
}

/// What a place in memory gives away: addresses as `%x`, `%d`, `%o` and `%b` print them, alone, in the brackets of `spew`, or as
/// Go's syntax has them; and how much more than it holds a list has room for.
static ADDRESS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    const BARE: &str = r"[+ ]?(0x)?c0[0-9a-f]{8}\b|[+ ]?\b82[4-8][0-9]{9}\b|\b0?14[0-7]{12}\b|\b110000000[01]{31}\b| ?\bcap=[0-9]+";
    let pattern = |first: &str| format!("(?i-u){first}|{BARE}");
    [r"\(0xc0[0-9a-f]{8}\)", r"\(\*[\w.]+\)\(0xc0[0-9a-f]{8}\)"]
        .map(|first| Regex::new(&pattern(first)).expect("the pattern is one"))
});

/// Whether ours is theirs with something else, or nothing, in place of each address.
fn is_same_but_addresses(theirs: &[u8], ours: &[u8]) -> bool {
    ADDRESS.iter().any(|address| is_same_between(address, theirs, ours))
}

fn is_same_between(address: &Regex, theirs: &[u8], ours: &[u8]) -> bool {
    let mut parts = address.split(theirs);
    let Some(mut rest) = parts.next().and_then(|first| ours.strip_prefix(first)) else { return false };
    let parts: Vec<&[u8]> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return false };
    for part in between {
        let Some(place) = find(rest, part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(last)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { Some(0) } else { text.windows(part.len()).position(|window| window == part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_for_anything() {
        let same = |a: &str, b: &str| is_same_but_addresses(a.as_bytes(), b.as_bytes());
        assert!(same("[0xc000123456 0xC000ABCDEF]|x", "[&{1 2} &{}]|x"));
        assert!(same("[824635000000 824640970976]", "[&{a} &{b}]"));
        assert!(same("(*d.S)(0xc000123456)({})", "(*d.S)({})"));
        assert!(same("[]*d.S{(*d.S)(0xc000123456)}", "[]*d.S{&d.S{A:1}}"));
        assert!(same("([]d.S) (len=1 cap=4) {}", "([]d.S) (len=1 cap=1) {}"));
        assert!(!same("[0xc000123456]|x", "[&{1 2}]|y"));
        assert!(!same("a", "b"));
    }

    #[test]
    fn kinds() {
        let text = |text: &str| Verdict::Text(text.into());
        let error = |text: &str| Verdict::Error(text.into());
        assert_eq!(difference(&text("a"), &text("a")), None);
        assert_eq!(difference(&error("a"), &error("b")), None);
        assert_eq!(difference(&text("a"), &text("b")), Some(Difference::Text));
        assert_eq!(difference(&error("runtime error: x"), &text("b")), Some(Difference::PanicThere));
        assert_eq!(difference(&text("a"), &error("b")), Some(Difference::ErrorHere));
        assert_eq!(difference(&Verdict::Waiting, &error("b")), Some(Difference::WaitsThere));
    }
}
