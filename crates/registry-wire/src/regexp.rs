//! Regular expressions as Go's library reads them (RE2 syntax), with its words for what is wrong.

use std::{iter::Peekable, str::Chars};

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, ErrorKind};

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
    let (start, end) = (error.span().start.offset, error.span().end.offset);
    let (from, part) = (&pattern[start..], &pattern[start..end]);
    let (reason, part) = match error.kind() {
        ErrorKind::GroupUnclosed if is_flags(from) => ("invalid or unsupported Perl syntax", from),
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", from),
        ErrorKind::ClassRangeInvalid => ("invalid character class range", part),
        ErrorKind::RepetitionMissing => ("missing argument to repetition operator", operator(pattern, start)),
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::EscapeUnrecognized => ("invalid escape sequence", part),
        ErrorKind::UnsupportedLookAround => ("invalid or unsupported Perl syntax", part),
        ErrorKind::FlagUnexpectedEof | ErrorKind::FlagUnrecognized => {
            let group = pattern[..start].rfind("(?").unwrap_or(start);
            ("invalid or unsupported Perl syntax", &pattern[group..end])
        }
        ErrorKind::GroupNameUnexpectedEof | ErrorKind::GroupNameInvalid | ErrorKind::GroupNameEmpty => {
            let group = pattern[..start].rfind("(?").unwrap_or(start);
            ("invalid named capture", &pattern[group..])
        }
        _ => return None,
    };
    Some(PatternError::new(reason, part))
}

/// Whether a group is one of flags alone: `(?i`.
fn is_flags(group: &str) -> bool {
    group.strip_prefix("(?").is_some_and(|flags| flags.chars().all(|c| c.is_ascii_alphabetic() || c == '-'))
}

/// The repetition at this place: `*`, `+` or `?`, or one in braces.
fn operator(pattern: &str, start: usize) -> &str {
    let mut chars = pattern[start..].chars();
    let length = chars.next().map_or(0, char::len_utf8);
    &pattern[start..start + length]
}

/// The pattern in the syntax of the `regex` crate.
fn rewrite(pattern: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(pattern.len());
    let mut class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escaped(&mut chars, class, &mut out),
            '[' if class && chars.peek() != Some(&':') => out.push_str("\\["),
            '[' if !class => {
                class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' => {
                // a named class such as [:alpha:] reaches to its own bracket
                out.push('[');
                copy_up_to(']', &mut chars, &mut out);
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => out.extend(['\\', c]),
            '{' if !class => {
                let rest: String = chars.clone().take_while(|c| *c != '}').collect();
                match repeat_count(&rest) {
                    Some(count) if count > 1000 => {
                        return Err(PatternError::new("invalid repeat count", &format!("{{{rest}}}")));
                    }
                    Some(_) => out.push('{'),
                    None => out.push_str("\\{"),
                }
            }
            '*' | '+' | '?' if !class && matches!(chars.peek(), Some('*' | '+')) => {
                let next = chars.next().unwrap_or_default();
                let operators = String::from_iter([c, next]);
                return Err(PatternError::new("invalid nested repetition operator", &operators));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// What stands behind a backslash, which has been read.
fn escaped(chars: &mut Peekable<Chars<'_>>, class: bool, out: &mut String) {
    match chars.next() {
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str(r"[\t\n\f\r ]"),
        Some('S') => out.push_str(r"[^\t\n\f\r ]"),
        Some('b') if !class => out.push_str(r"(?-u:\b)"),
        Some('B') if !class => out.push_str(r"(?-u:\B)"),
        Some('Q') if !class => {
            while let Some(c) = chars.next() {
                if c == '\\' && chars.next_if_eq(&'E').is_some() {
                    break;
                }
                out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
        Some(other) => {
            out.extend(['\\', other]);
            // a class or a code in braces, not a repetition
            if matches!(other, 'p' | 'P' | 'x') && chars.peek() == Some(&'{') {
                copy_up_to('}', chars, out);
            }
        }
        None => out.push('\\'),
    }
}

fn copy_up_to(end: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    for c in chars {
        out.push(c);
        if c == end {
            break;
        }
    }
}

/// The largest number in `2`, `2,` or `2,3`, which braces make a repetition; anything else in braces is text.
fn repeat_count(inner: &str) -> Option<u64> {
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let least: u64 = least.parse().ok()?;
    if most.is_empty() { Some(least) } else { most.parse().ok() }
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
    }
}
