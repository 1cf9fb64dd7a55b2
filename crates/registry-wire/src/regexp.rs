//! Regular expressions as Go's library reads them (RE2 syntax), with its words for what is wrong.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, ErrorKind};
use regex_syntax::hir;

/// How large a compiled pattern may be; anything larger is an attack or a mistake.
pub const PROGRAM_BYTES_MAX: usize = 4 << 20;

/// Why a pattern cannot be used, in Go's words: ``error parsing regexp: missing closing ): `(` ``. Its writer is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{part}`")]
pub struct PatternError {
    reason: String,
    part: String,
}

impl PatternError {
    fn new(reason: &str, part: &str) -> Self {
        Self { reason: reason.to_owned(), part: part.to_owned() }
    }
}

/// Compiles a pattern in Go's syntax: `\d`, `\w`, `\s` and `\b` know ASCII only.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(&translate(pattern)?).size_limit(PROGRAM_BYTES_MAX).build();
    built.map_err(|error| too_large(pattern, &error))
}

/// A pattern in Go's syntax as the `regex` crate writes it; whoever compiles it keeps to [`PROGRAM_BYTES_MAX`].
pub fn translate(pattern: &str) -> Result<String, PatternError> {
    let rewritten = rewrite(pattern)?;
    let Err(error) = regex_syntax::parse(&rewritten) else { return Ok(rewritten) };
    if let regex_syntax::Error::Translate(error) = &error
        && matches!(error.kind(), hir::ErrorKind::UnicodePropertyNotFound)
    {
        let part = &rewritten[error.span().start.offset..error.span().end.offset];
        return Err(PatternError::new("invalid character class range", part));
    }
    let original = ast::parse::Parser::new().parse(pattern);
    let known = original.err().and_then(|error| in_go_words(pattern, &error));
    Err(known.unwrap_or_else(|| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        PatternError::new(reason, pattern)
    }))
}

/// A pattern whose program is too large, or an error that no parser saw.
pub fn too_large(pattern: &str, _: &regex::Error) -> PatternError {
    PatternError::new("expression nests too deeply", pattern)
}

/// What Go says of a mistake that both languages know; `None` where they differ or only one does.
fn in_go_words(pattern: &str, error: &ast::Error) -> Option<PatternError> {
    let start = error.span().start.offset;
    let (reason, part) = match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::RepetitionMissing => ("missing argument to repetition operator", operator(pattern, start)),
        _ => return None,
    };
    Some(PatternError::new(reason, part))
}

/// The repetition at this place: `*`, `+` or `?`, or one in braces.
fn operator(pattern: &str, start: usize) -> &str {
    let mut chars = pattern[start..].chars();
    let length = chars.next().map_or(0, char::len_utf8);
    &pattern[start..start + length]
}

/// The pattern in the syntax of the `regex` crate.
fn rewrite(pattern: &str) -> Result<String, PatternError> {
    let mut rewriting =
        Rewriting { rest: pattern, out: String::with_capacity(pattern.len()), names: Vec::new() };
    // Where the repetition begins that was read last, if nothing stands behind it.
    let mut repeated: Option<&str> = None;
    while let Some(c) = rewriting.rest.chars().next() {
        let before = rewriting.rest;
        let is_repetition = match c {
            '*' | '+' | '?' => {
                rewriting.copy(1);
                true
            }
            '{' => rewriting.braces()?,
            _ => false,
        };
        if is_repetition {
            rewriting.copy(usize::from(rewriting.rest.starts_with('?')));
            if let Some(first) = repeated {
                let operators = &first[..first.len() - rewriting.rest.len()];
                return Err(PatternError::new("invalid nested repetition operator", operators));
            }
            repeated = Some(before);
            continue;
        }
        repeated = None;
        match c {
            '{' => {}
            '\\' => rewriting.escaped()?,
            '[' => rewriting.class()?,
            '(' => rewriting.group()?,
            c => rewriting.copy(c.len_utf8()),
        }
    }
    Ok(rewriting.out)
}

/// A pattern on its way into the syntax of the `regex` crate.
struct Rewriting<'p> {
    rest: &'p str,
    out: String,
    names: Vec<&'p str>,
}

impl<'p> Rewriting<'p> {
    fn copy(&mut self, length: usize) {
        self.out.push_str(&self.rest[..length]);
        self.rest = &self.rest[length..];
    }

    /// Braces: whether they are a repetition; as text they are escaped.
    fn braces(&mut self) -> Result<bool, PatternError> {
        let end = self.rest.find('}').unwrap_or(0);
        let inner = self.rest.get(1..end).unwrap_or_default();
        match repeat_counts(inner) {
            Some((least, most)) if least > 1000 || most.is_some_and(|most| most > 1000 || most < least) => {
                Err(PatternError::new("invalid repeat count", &self.rest[..=end]))
            }
            Some(_) => {
                self.copy(end + 1);
                Ok(true)
            }
            None => {
                self.out.push_str("\\{");
                self.rest = &self.rest[1..];
                Ok(false)
            }
        }
    }

    /// The beginning of a group: its flags, or its name. A name comes once in a pattern of ours, and begins with a letter.
    fn group(&mut self) -> Result<(), PatternError> {
        let Some(inner) = self.rest.strip_prefix("(?") else {
            self.copy(1);
            return Ok(());
        };
        if let Some(named) = inner.strip_prefix("P<").or_else(|| inner.strip_prefix('<')) {
            let end = named.find('>').map(|end| self.rest.len() - named.len() + end);
            let capture = &self.rest[..end.map_or(self.rest.len(), |end| end + 1)];
            let name = end.map_or("", |end| &named[..end - (self.rest.len() - named.len())]);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(PatternError::new("invalid named capture", capture));
            }
            if self.names.contains(&name) || name.starts_with(|c: char| c.is_ascii_digit()) {
                self.out.push('(');
            } else {
                self.names.push(name);
                self.out.push_str(capture);
            }
            self.rest = &self.rest[capture.len()..];
            return Ok(());
        }
        let flags = inner.find(|c| !"imsU-".contains(c)).unwrap_or(inner.len());
        let end = inner[flags..].chars().next();
        let written = &inner[..flags];
        let is_signed = written.matches('-').count() < 2 && !written.ends_with('-');
        if !matches!(end, Some(':' | ')')) || !is_signed || (written.is_empty() && end == Some(')')) {
            let length = 2 + flags + end.map_or(0, char::len_utf8);
            return Err(PatternError::new("invalid or unsupported Perl syntax", &self.rest[..length]));
        }
        self.copy(2 + flags + 1);
        Ok(())
    }

    /// What stands behind a backslash outside of brackets.
    fn escaped(&mut self) -> Result<(), PatternError> {
        let known = match self.rest.as_bytes().get(1) {
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'Q') => {
                let text = &self.rest[2..];
                let (text, rest) = text.split_once(r"\E").unwrap_or((text, ""));
                self.out.push_str(&regex::escape(text));
                self.rest = rest;
                return Ok(());
            }
            _ if self.named_class() => return Ok(()),
            _ => {
                let (c, rest) = character(self.rest)?;
                self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
                self.rest = rest;
                return Ok(());
            }
        };
        self.out.push_str(known);
        self.rest = &self.rest[2..];
        Ok(())
    }

    /// `\d` and its like, and `\pL` or `\p{Greek}`: whether there was one.
    fn named_class(&mut self) -> bool {
        let class = match self.rest.as_bytes().get(1) {
            Some(b'd') => "[0-9]",
            Some(b'D') => "[^0-9]",
            Some(b'w') => "[0-9A-Za-z_]",
            Some(b'W') => "[^0-9A-Za-z_]",
            Some(b's') => r"[\t\n\f\r ]",
            Some(b'S') => r"[^\t\n\f\r ]",
            Some(b'p' | b'P') => {
                let letter = self.rest[2..].chars().next().map_or(0, char::len_utf8);
                let end = if letter == 1 && self.rest[2..].starts_with('{') {
                    self.rest.find('}').map_or(self.rest.len(), |end| end + 1)
                } else {
                    2 + letter
                };
                match self.rest[..end].split_once("{^") {
                    // Not what it is not: `\P{^L}` is `\p{L}`.
                    Some((p, name)) => {
                        self.out.push_str(if p == r"\p" { r"\P{" } else { r"\p{" });
                        self.out.push_str(name);
                    }
                    None => self.out.push_str(&self.rest[..end]),
                }
                self.rest = &self.rest[end..];
                return true;
            }
            _ => return false,
        };
        self.out.push_str(class);
        self.rest = &self.rest[2..];
        true
    }

    /// A class in brackets. Its characters are written as codes: some mean more to the `regex` crate.
    fn class(&mut self) -> Result<(), PatternError> {
        let whole = self.rest;
        let is_inverted = self.rest.starts_with("[^");
        self.copy(if is_inverted { 2 } else { 1 });
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if self.rest.is_empty() {
                return Err(PatternError::new("missing closing ]", whole));
            }
            if let Some(end) = self.rest.strip_prefix("[:").and_then(|name| name.find(":]")) {
                let name = &self.rest[..end + 4];
                if !is_known_class(&name[2..end + 2]) {
                    return Err(PatternError::new("invalid character class range", name));
                }
                self.copy(name.len());
            } else if !(self.rest.starts_with('\\') && self.named_class()) {
                self.range(whole)?;
            }
        }
        self.copy(1);
        Ok(())
    }

    /// One character of a class, or those from one to another.
    fn range(&mut self, class: &str) -> Result<(), PatternError> {
        let written = self.rest;
        let closing = |error: PatternError, rest: &str| {
            if rest.is_empty() { PatternError::new("missing closing ]", class) } else { error }
        };
        let (low, rest) = character(self.rest).map_err(|error| closing(error, self.rest))?;
        let (mut high, mut rest) = (low, rest);
        if let Some(after) =
            rest.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']'))
        {
            (high, rest) = character(after)?;
        }
        if high < low {
            let written = &written[..written.len() - rest.len()];
            return Err(PatternError::new("invalid character class range", written));
        }
        self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        self.rest = rest;
        Ok(())
    }
}

/// The character a text begins with, written as itself or behind a backslash, and what follows.
fn character(text: &str) -> Result<(char, &str), PatternError> {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or_default();
    if first != '\\' {
        return Ok((first, chars.as_str()));
    }
    let Some(escaped) = chars.next() else {
        return Err(PatternError::new("trailing backslash at end of expression", ""));
    };
    let rest = chars.as_str();
    let octal = |most: usize| text[1..].bytes().take(most).take_while(|b| matches!(b, b'0'..=b'7')).count();
    let code = match escaped {
        'a' => Some('\x07'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        'x' => return hexadecimal(text),
        '0'..='7' if escaped == '0' || octal(2) == 2 => {
            let digits = octal(3);
            let code = u32::from_str_radix(&text[1..=digits], 8).ok().and_then(char::from_u32);
            return Ok((code.unwrap_or_default(), &text[1 + digits..]));
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    };
    let written = &text[..text.len() - rest.len()];
    code.map(|code| (code, rest)).ok_or_else(|| PatternError::new("invalid escape sequence", written))
}

/// `\x41` or `\x{1f600}`.
fn hexadecimal(text: &str) -> Result<(char, &str), PatternError> {
    let (digits, length) = match text[2..].strip_prefix('{') {
        Some(inner) => {
            let digits = inner.split('}').next().unwrap_or_default();
            (digits, 4 + digits.len())
        }
        None => (text.get(2..4).unwrap_or_default(), 4),
    };
    let is_hexadecimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal).and_then(char::from_u32);
    match (code, text.get(length..)) {
        (Some(code), Some(rest)) => Ok((code, rest)),
        _ => {
            // Up to the first character that does not go on.
            let good = text[2..].find(|c: char| c != '{' && !c.is_ascii_hexdigit());
            let end = good
                .map_or(text.len(), |at| 2 + at + text[2 + at..].chars().next().map_or(0, char::len_utf8));
            Err(PatternError::new("invalid escape sequence", &text[..end]))
        }
    }
}

fn is_known_class(name: &str) -> bool {
    let name = name.strip_prefix('^').unwrap_or(name);
    matches!(
        name,
        "alnum"
            | "alpha"
            | "ascii"
            | "blank"
            | "cntrl"
            | "digit"
            | "graph"
            | "lower"
            | "print"
            | "punct"
            | "space"
            | "upper"
            | "word"
            | "xdigit"
    )
}

/// The numbers in `2`, `2,` or `2,3`, which braces make a repetition; anything else in braces is text.
fn repeat_counts(inner: &str) -> Option<(u64, Option<u64>)> {
    let count = |text: &str| {
        let is_number =
            text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
        is_number.then(|| text.parse().ok()).flatten()
    };
    match inner.split_once(',') {
        None => count(inner).map(|count| (count, None)),
        Some((least, "")) => count(least).map(|least| (least, None)),
        Some((least, most)) => Some((count(least)?, Some(count(most)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pattern: &str) -> String {
        compile(pattern).unwrap_err().to_string().replace("error parsing regexp: ", "")
    }

    #[test]
    fn patterns_know_ascii_only() {
        assert!(!compile(r"^\w+$").unwrap().is_match("é"));
        assert!(compile(r"^[^\W\d]+$").unwrap().is_match("abc"));
        assert!(compile(r"^[[a&]+$").unwrap().is_match("[a&"));
        assert!(compile(r"\Qa.b\E$").unwrap().is_match("a.b"));
        assert!(compile(r"^\p{Greek}{1,2}\x{41}{,2}$").unwrap().is_match("αA{,2}"));
    }

    #[test]
    fn what_means_something_here_only_is_taken_as_go_takes_it() {
        for (pattern, text) in [
            (r"^\<a\>$", "<a>"),
            (r"^\_\-\/$", "_-/"),
            (r"^\101\0$", "A\0"),
            (r"^\x41\x{1F600}$", "A😀"),
            (r"^[+--]$", ","),
            (r"^[a[b]]$", "[]"),
            (r"^[]a-]+$", "]-a"),
            (r"^[\]\x41-C]+$", "]B"),
            (r"^[^\d[:^alpha:]]$", "a"),
            (r"^(?<n>a)(?P<n>b)(?P<1>c)$", "abc"),
            (r"^\P{^L}\p{^L}$", "a1"),
            (r"^a{007}$", "a{007}"),
            (r"^\Qa.b*\E*$", "a.b***"),
            (r"^(?i:a)(?U)b+?$", "Abb"),
        ] {
            assert!(compile(pattern).unwrap().is_match(text), "{pattern}");
        }
    }

    #[test]
    fn mistakes_are_told_in_gos_words() {
        assert_eq!(refused("("), "missing closing ): `(`");
        assert_eq!(refused("a)"), "unexpected ): `a)`");
        assert_eq!(refused("x[a"), "missing closing ]: `[a`");
        assert_eq!(refused("*"), "missing argument to repetition operator: `*`");
        assert_eq!(refused("a|*"), "missing argument to repetition operator: `*`");
        assert_eq!(refused("a**"), "invalid nested repetition operator: `**`");
        assert_eq!(refused("\\"), "trailing backslash at end of expression: ``");
        assert_eq!(refused("[z-a]"), "invalid character class range: `z-a`");
        assert_eq!(refused("(?P<n)"), "invalid named capture: `(?P<n)`");
        assert_eq!(refused("(?=a)"), "invalid or unsupported Perl syntax: `(?=`");
        assert_eq!(refused("(?i"), "invalid or unsupported Perl syntax: `(?i`");
        assert_eq!(refused("\\q"), "invalid escape sequence: `\\q`");
        assert_eq!(refused("a{1001}"), "invalid repeat count: `{1001}`");
        assert_eq!(refused("a{2,1}"), "invalid repeat count: `{2,1}`");
        assert_eq!(refused("a{2}{3}"), "invalid nested repetition operator: `{2}{3}`");
        assert_eq!(refused("a*?+"), "invalid nested repetition operator: `*?+`");
        assert_eq!(refused("[[:foo:]]"), "invalid character class range: `[:foo:]`");
        assert_eq!(refused("[a--b]"), "invalid character class range: `a--`");
        assert_eq!(refused(r"\p{Foo}"), r"invalid character class range: `\p{Foo}`");
        assert_eq!(refused(r"[a-\d]"), r"invalid escape sequence: `\d`");
        assert_eq!(refused(r"\u0041"), r"invalid escape sequence: `\u`");
        assert_eq!(refused(r"\1"), r"invalid escape sequence: `\1`");
        assert_eq!(refused("(?x)a"), "invalid or unsupported Perl syntax: `(?x`");
        assert_eq!(refused("(?P<é>a)"), "invalid named capture: `(?P<é>`");
    }
}
