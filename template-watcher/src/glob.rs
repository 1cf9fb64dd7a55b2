//! Patterns of names: of variables that programs see, and of functions that templates may call.

use std::str::Chars;

/// Whether a name matches a pattern of `*`, `?`, `[a-z]`, `[^a-z]` and `\`; none matches a pattern that is broken.
///
/// Source: [path.Match](https://pkg.go.dev/path#Match).
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let mut rest = name.chars();
    let mut parts = pattern.chars();
    while let Some(part) = parts.next() {
        let next = match part {
            '*' => {
                let tail = parts.as_str();
                return (0..=rest.as_str().len())
                    .filter_map(|at| rest.as_str().get(at..))
                    .any(|name| glob(tail, name));
            }
            _ => rest.next(),
        };
        let is_match = match (part, next) {
            (_, None) => false,
            ('?', _) => true,
            ('[', Some(c)) => class(&mut parts, c) == Some(true),
            ('\\', c) => parts.next() == c,
            (part, Some(c)) => part == c,
        };
        if !is_match {
            return false;
        }
    }
    rest.as_str().is_empty()
}

/// Whether a letter is in the class that begins here; reads on to the class's end. `None` when it is broken.
fn class(parts: &mut Chars<'_>, c: char) -> Option<bool> {
    let is_negated = parts.as_str().starts_with('^');
    if is_negated {
        parts.next();
    }
    let letter = |parts: &mut Chars<'_>| match parts.next()? {
        '-' | ']' => None,
        '\\' => parts.next(),
        c => Some(c),
    };
    let mut found = None;
    while found.is_none() || !parts.as_str().starts_with(']') {
        let first = letter(parts)?;
        let last = if parts.as_str().starts_with('-') {
            parts.next();
            letter(parts)?
        } else {
            first
        };
        found = Some(found == Some(true) || (first..=last).contains(&c));
    }
    parts.next();
    found.map(|found| found != is_negated)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, expected) in [
            ("sprig_*", "sprig_upper", true),
            ("sprig_*", "toLower", false),
            ("*", "", true),
            ("t?Lower", "toLower", true),
            ("t?", "t", false),
            ("[A-C]*", "BAR", true),
            ("[^A-C]*", "BAR", false),
            ("[^A-C]", "é", true),
            (r"[\]]", "]", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("[", "[", false),
            ("[]a]", "]", false),
            ("[a-]", "-", false),
            ("a\\", "a\\", false),
            ("*[z", "z", false),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
