//! How one text differs from another, for people: unified, with secrets masked.

use std::{
    fmt::{self, Write},
    sync::LazyLock,
};

use imara_diff::{Algorithm, Diff, InternedInput, Interner, Token, UnifiedDiffPrinter};
use regex::{Captures, Regex};

/// Names of what is nobody's business, and the value after them.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let name =
        r"[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|credential)[\w.-]*";
    let value = r#"(?:"[^"\n]*"|'[^'\n]*'|[^\s"',;]+)"#;
    Regex::new(&format!(r#"(?i)("?{name}"?\s*(?:[:=]|=>|\s)\s*)({value})"#))
        .expect("the pattern is a constant")
});

/// What replaces a secret.
const MASK: &str = "********";

/// The difference as a unified diff with secrets masked; empty when there is none.
pub(crate) fn unified(before: &[u8], now: &[u8], name: &str) -> String {
    if before == now {
        return String::new();
    }
    let (before, now) = (lines(before), lines(now));
    let input = InternedInput::new(before.as_str(), now.as_str());
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let hunks = Hunks(&input.interner);
    masked(&format!("--- {name}\n+++ {name}\n{}", diff.unified_diff(&hunks, Default::default(), &input)))
}

/// What is told of a change that nobody shall see.
pub(crate) fn hidden(name: &str) -> String {
    format!("--- {name}\n+++ {name}\n(its text is secret)\n")
}

/// Prints hunks as `diff -u` does, which tells of a last line that does not end.
struct Hunks<'a>(&'a Interner<&'a str>);

impl Hunks<'_> {
    fn line(&self, f: &mut impl Write, mark: char, line: Token) -> fmt::Result {
        let text = self.0[line];
        write!(f, "{mark}{text}")?;
        if text.ends_with('\n') { Ok(()) } else { f.write_str("\n\\ No newline at end of file\n") }
    }
}

impl UnifiedDiffPrinter for Hunks<'_> {
    fn display_header(
        &self,
        mut f: impl Write,
        start_before: u32,
        start_after: u32,
        len_before: u32,
        len_after: u32,
    ) -> fmt::Result {
        let range = |start: u32, len: u32| match len {
            // The line before it, as there is none to name.
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            len => format!("{},{len}", start + 1),
        };
        writeln!(f, "@@ -{} +{} @@", range(start_before, len_before), range(start_after, len_after))
    }

    fn display_context_token(&self, mut f: impl Write, token: Token) -> fmt::Result {
        self.line(&mut f, ' ', token)
    }

    fn display_hunk(&self, mut f: impl Write, before: &[Token], after: &[Token]) -> fmt::Result {
        before.iter().try_for_each(|line| self.line(&mut f, '-', *line))?;
        after.iter().try_for_each(|line| self.line(&mut f, '+', *line))
    }
}

/// Text as it is; other bytes as a diff can show them.
fn lines(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn begins_private_key(line: &str) -> bool {
    line.contains("-----BEGIN") && line.contains("PRIVATE KEY")
}

/// Whether a text has a private key in it, in the form of RFC 7468 or of OpenPGP.
pub(crate) fn has_private_key(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).lines().any(begins_private_key)
}

/// A text in which passwords, tokens and private keys cannot be read.
pub(crate) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        let begins = begins_private_key(line);
        let ends = line.contains("-----END") && line.contains("PRIVATE KEY");
        if in_key && !ends {
            let mark = line.chars().next().filter(|c| matches!(c, '+' | '-' | ' ')).unwrap_or(' ');
            out.push_str(&format!("{mark}{MASK}\n"));
        } else {
            out.push_str(&SECRET.replace_all(line, |found: &Captures<'_>| format!("{}{MASK}", &found[1])));
        }
        in_key = (in_key || begins) && !ends;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_with_what_is_around_it() {
        let diff = unified(b"a\nb\nc\n", b"a\nx\nc\n", "/etc/f");
        assert_eq!(diff, "--- /etc/f\n+++ /etc/f\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        assert_eq!(unified(b"a", b"a", "f"), "");
        assert!(unified(b"\xff", b"a\n", "f").contains("+a"));
    }

    #[test]
    fn hunks_are_told_as_diff_tells_them() {
        let hunks =
            |before: &str, now: &str| unified(before.as_bytes(), now.as_bytes(), "f")[12..].to_owned();
        assert_eq!(hunks("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(hunks("a\n", "a"), "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n");
        let before: String = (0..20).map(|line| format!("{line}\n")).collect();
        let now = before.replace("2\n3\n", "3\n").replace("\n15\n", "\nx\n");
        let expected = "@@ -1,6 +1,5 @@\n 0\n 1\n-2\n 3\n 4\n 5\n@@ -13,7 +12,7 @@\n 12\n 13\n 14\n-15\n+x\n 16\n 17\n 18\n";
        assert_eq!(hunks(&before, &now), expected);
    }

    #[test]
    fn files_with_nothing_in_common_are_told_soon() {
        let file = |word: &str| (0..30_000).map(|line| format!("{word} {line}\n")).collect::<String>();
        let diff = unified(file("before").as_bytes(), file("now").as_bytes(), "f");
        assert_eq!(diff.lines().count(), 60_003);
    }

    #[test]
    fn secrets_cannot_be_read() {
        for (text, expected) in [
            ("password = hunter2\n", "password = ********\n"),
            ("+  db_password: \"a b\", port: 5\n", "+  db_password: ********, port: 5\n"),
            ("API_KEY=abc;next\n", "API_KEY=********;next\n"),
            ("{\"token\":\"x\",\"a\":1}\n", "{\"token\":********,\"a\":1}\n"),
            ("requirepass x\n", "requirepass x\n"),
            ("timeout 5\n", "timeout 5\n"),
        ] {
            assert_eq!(masked(text), expected);
        }
        let key = "+-----BEGIN PRIVATE KEY-----\n+abc\n+-----END PRIVATE KEY-----\n+x\n";
        let expected = "+-----BEGIN PRIVATE KEY-----\n+********\n+-----END PRIVATE KEY-----\n+x\n";
        assert_eq!(masked(key), expected);
        assert!(has_private_key(key.as_bytes()) && has_private_key(b"\xff\n-----BEGIN EC PRIVATE KEY-----"));
        assert!(!has_private_key(b"-----BEGIN CERTIFICATE-----\nPRIVATE KEY\n"));
    }
}
