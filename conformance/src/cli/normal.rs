//! Takes out of texts what differs from run to run.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is replaced by a name in braces, in this order.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let time = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[-+]\d{2}:?\d{2}|Z)?( UTC)?";
    [
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "{uuid}"),
        (time, "{time}"),
        (VERSION, VERSION),
        (r#"((?:Create|Modify)Index"?:? *)\d+"#, "${1}{index}"),
        (r"( to index )\d+", "${1}{index}"),
        (r"\b\d+\.\d+ ?ms\b", "{duration}"),
    ]
    .map(|(pattern, to)| (Regex::new(pattern).expect("the pattern is well formed"), to))
    .into()
});

/// A version with what may follow it; whether it is one depends on its neighbours.
const VERSION: &str = r"(\d+\.\d+\.\d+)(-[A-Za-z0-9]+|[a-z]+\d+)?";

/// Replaces ids, times, versions, indexes and durations.
pub(super) fn normalise(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, (rule, to)| {
        if *to == VERSION { versions(rule, &text) } else { rule.replace_all(&text, *to).into_owned() }
    })
}

/// Replaces versions, but not parts of addresses, and not the datacenter in `1.2.3-dc1`.
fn versions(rule: &Regex, text: &str) -> String {
    let of_a_number = |c: char| c.is_ascii_digit() || c == '.';
    let replace = |found: &Captures<'_>| {
        let all = found.get(0).map_or(0..0, |all| all.range());
        let core = found.get(1).map_or(0..0, |core| core.range());
        let ends_at = |end: usize| !text[end..].starts_with(of_a_number);
        let inside = text[..all.start].ends_with(of_a_number);
        let suffix = &text[core.end..all.end];
        if !inside && !suffix.starts_with("-dc") && ends_at(all.end) {
            "{version}".to_owned()
        } else if !inside && ends_at(core.end) {
            format!("{{version}}{suffix}")
        } else {
            text[all].to_owned()
        }
    };
    rule.replace_all(text, replace).into_owned()
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn what_differs_is_named() {
        assert_eq!(
            normalise("v1.21.4 at 127.0.0.1, 1.2.3-dc1, 1.2.3-rc1 x"),
            "v{version} at 127.0.0.1, {version}-dc1, {version} x"
        );
        assert_eq!(normalise("2026-01-02T03:04:05.6Z [INFO]"), "{time} [INFO]");
        assert_eq!(
            normalise("CreateIndex      12\n\"ModifyIndex\": 7"),
            "CreateIndex      {index}\n\"ModifyIndex\": {index}"
        );
        assert_eq!(normalise("0.61 ms"), "{duration}");
    }
}
