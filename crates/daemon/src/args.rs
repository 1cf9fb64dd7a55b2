//! Go-style flags for clap: `-name`, `-name=value` and `-name value` mean the same as with two dashes.
//!
//! Consul and consul-template use Go's `flag` package; scripts write `-config-dir=/etc/consul.d`. clap knows single
//! dashes for one letter only, so the words are rewritten before it sees them.

/// Rewrites single-dash long flags to double-dash ones, up to the first positional word or `--`.
///
/// `takes_value` tells for a flag's name (without dashes) whether its value may stand in the next word: `Some(true)`
/// for `-name value`, `Some(false)` for a boolean, `None` for a name clap should judge (it is rewritten too when longer
/// than one letter).
///
/// ```
/// let words = ["-config-dir", "/etc/x", "-dev", "kv", "-5"].map(String::from);
/// let takes = |name: &str| match name { "config-dir" => Some(true), "dev" => Some(false), _ => None };
/// assert_eq!(daemon::args::go_style(words, takes), ["--config-dir", "/etc/x", "--dev", "kv", "-5"]);
/// ```
pub fn go_style(
    words: impl IntoIterator<Item = String>,
    takes_value: impl Fn(&str) -> Option<bool>,
) -> Vec<String> {
    let mut out = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty() && *body != "-") else {
            out.push(word);
            break;
        };
        let body = body.strip_prefix('-').unwrap_or(body);
        let (name, has_value) = match body.split_once('=') {
            Some((name, _)) => (name, true),
            None => (body, false),
        };
        let known = takes_value(name);
        out.push(if known.is_some() || name.len() > 1 { format!("--{body}") } else { word.clone() });
        if known == Some(true)
            && !has_value
            && let Some(value) = words.next()
        {
            // A value may begin with a dash; clap must not read it as a flag.
            let flag = out.pop().unwrap_or_default();
            if value.starts_with('-') {
                out.push(format!("{flag}={value}"));
            } else {
                out.push(flag);
                out.push(value);
            }
        }
    }
    out.extend(words);
    out
}

#[cfg(test)]
mod tests {
    use super::go_style;

    fn rewrite(line: &str) -> String {
        let takes = |name: &str| match name {
            "template" | "wait" | "modify-index" => Some(true),
            "once" | "cas" => Some(false),
            _ => None,
        };
        go_style(line.split(' ').map(String::from), takes).join(" ")
    }

    #[test]
    fn one_dash_means_two() {
        assert_eq!(rewrite("-template a:b:reload -once"), "--template a:b:reload --once");
        assert_eq!(rewrite("--template=a:b --once=false"), "--template=a:b --once=false");
        assert_eq!(rewrite("-h"), "-h");
        assert_eq!(rewrite("-unknown"), "--unknown");
    }

    #[test]
    fn rewriting_stops_at_the_first_positional_word() {
        assert_eq!(rewrite("-cas -modify-index 5 key -5"), "--cas --modify-index 5 key -5");
        assert_eq!(rewrite("-once -- -template"), "--once -- -template");
        assert_eq!(rewrite("- -template"), "- -template");
    }

    #[test]
    fn a_value_may_begin_with_a_dash() {
        assert_eq!(rewrite("-wait -5 x"), "--wait=-5 x");
    }
}
