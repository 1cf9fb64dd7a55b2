//! The values that functions are called with.

use std::path::Path;

use anyhow::Context as _;

/// A value, as an expression of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    /// Calls with three arguments use it too.
    pub(super) is_common: bool,
    /// A number that nobody should count up to.
    pub(super) is_big: bool,
    /// Records, which are taken apart field by field.
    pub(super) has_fields: bool,
}

/// Reads a list of values, one a line, words that say more before it.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(value).collect())
}

fn value(line: &str) -> Value {
    let mut value = Value { text: line.to_owned(), is_common: false, is_big: false, has_fields: false };
    loop {
        let (word, rest) = value.text.split_once(' ').unwrap_or((&value.text, ""));
        match word {
            "few" => value.is_common = true,
            "big" => value.is_big = true,
            "asked" => value.has_fields = true,
            _ => return value,
        }
        value.text = rest.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_before_a_value_say_more() {
        let read = value("few asked (service \"few big\")");
        assert_eq!(read.text, "(service \"few big\")");
        assert!(read.is_common && read.has_fields && !read.is_big);
    }
}
