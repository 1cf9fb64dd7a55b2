//! How one text differs from another, for people: unified, with secrets masked.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use similar::TextDiff;

/// Lines around a change.
const CONTEXT: usize = 3;

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
    let diff = TextDiff::from_lines(before.as_str(), now.as_str());
    let text = diff.unified_diff().context_radius(CONTEXT).header(name, name).to_string();
    masked(&text)
}

/// Text as it is; other bytes as a diff can show them.
fn lines(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A text in which passwords, tokens and private keys cannot be read.
pub(crate) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
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
    }
}
