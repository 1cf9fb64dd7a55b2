//! Shell patterns: `*`, `?` and `[a-z]`, which match `/` too.

/// Whether the whole text fits the pattern.
///
/// ```
/// assert!(conformance::glob::matches("/v1/kv/*", "/v1/kv/a/b"));
/// assert!(!conformance::glob::matches("run.?og", "run.xlog"));
/// ```
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    fits(&pattern, &text)
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => fits(rest, text) || (!text.is_empty() && fits(pattern, &text[1..])),
        (Some(('?', rest)), Some((_, text))) => fits(rest, text),
        (Some(('[', rest)), Some((c, after))) if rest.iter().skip(1).any(|c| *c == ']') => {
            let end = 1 + rest[1..].iter().position(|c| *c == ']').expect("the guard found one");
            in_class(&rest[..end], *c) && fits(&rest[end + 1..], after)
        }
        (Some((p, rest)), Some((c, text))) => p == c && fits(rest, text),
        _ => false,
    }
}

fn in_class(class: &[char], c: char) -> bool {
    let (negated, class) = match class.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    let mut rest = class;
    while let Some((first, after)) = rest.split_first() {
        rest = match after {
            ['-', last, after @ ..] => {
                found |= (*first..=*last).contains(&c);
                after
            }
            _ => {
                found |= *first == c;
                after
            }
        };
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_marks_and_classes() {
        assert!(matches("", ""));
        assert!(matches("*", ""));
        assert!(matches("*a*", "bab"));
        assert!(!matches("*a", "ab"));
        assert!(matches("a?c", "abc"));
        assert!(matches("[a-c]x", "bx"));
        assert!(!matches("[!a-c]x", "bx"));
        assert!(matches("51?*", "510-filter"));
    }
}
