//! Judges what a command printed and how it ended.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::scene::Step;
use crate::pattern::Pattern;

/// How a text is compared.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Manner {
    /// `exact`, `lines` in any order, `words`, `first_line` or `ignore`.
    Named(Named),
    /// By what is in it.
    Parts(Parts),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Named {
    Exact,
    Lines,
    Words,
    FirstLine,
    Ignore,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Parts {
    contains: Vec<String>,
    lacks: Vec<String>,
    matches: Vec<String>,
}

const TEXTS: [&str; 3] = ["stdout", "stderr", "text"];

/// What differs, one line each. Errors when a pattern of the scenario is malformed.
pub(super) fn differences(step: &Step, got: &Map<String, Value>) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    let nothing = Map::new();
    let want = step.expect.as_ref().unwrap_or(&nothing);
    for (name, want) in want {
        let got = got.get(name).cloned().unwrap_or_default();
        if TEXTS.contains(&name.as_str()) {
            let (want, got) = (want.as_str().unwrap_or_default(), got.as_str().unwrap_or_default());
            out.extend(text(step.matching.get(name), want, got)?.map(|why| format!("{name}: {why}")));
        } else if *want != got {
            out.push(format!("{name}: wanted {want}, got {got}"));
        }
    }
    for name in TEXTS.into_iter().filter(|name| !want.contains_key(*name)) {
        if let Some(manner @ Manner::Parts(_)) = step.matching.get(name) {
            let got = got.get(name).and_then(Value::as_str).unwrap_or_default();
            out.extend(text(Some(manner), "", got)?.map(|why| format!("{name}: {why}")));
        }
    }
    Ok(out)
}

fn text(manner: Option<&Manner>, want: &str, got: &str) -> anyhow::Result<Option<String>> {
    let named = match manner {
        Some(Manner::Parts(parts)) => return parts.problem(got),
        Some(Manner::Named(named)) => *named,
        None => Named::Exact,
    };
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let words = |text: &str| {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let same = match named {
        Named::Exact => want == got,
        Named::Lines => sorted(want) == sorted(got),
        Named::Words => words(want) == words(got),
        Named::FirstLine => want.lines().next() == got.lines().next(),
        Named::Ignore => true,
    };
    Ok((!same).then(|| format!("wanted {want:?}, got {got:?}")))
}

impl Parts {
    fn problem(&self, got: &str) -> anyhow::Result<Option<String>> {
        let mut out = Vec::new();
        out.extend(
            self.contains
                .iter()
                .filter(|part| !got.contains(part.as_str()))
                .map(|part| format!("lacks {part:?}")),
        );
        out.extend(
            self.lacks.iter().filter(|part| got.contains(part.as_str())).map(|part| format!("has {part:?}")),
        );
        for pattern in &self.matches {
            if !Pattern::search(pattern, "m")?.fits(got) {
                out.push(format!("does not match {pattern:?}"));
            }
        }
        Ok((!out.is_empty()).then(|| format!("{} in {got:?}", out.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::differences;
    use crate::cli::scene::Step;

    fn differs(step: Value, got: Value) -> Vec<String> {
        let step: Step = serde_json::from_value(step).unwrap();
        differences(&step, got.as_object().unwrap()).unwrap()
    }

    #[test]
    fn texts_are_compared_as_the_step_says() {
        let step = |manner: Value| json!({"match": {"stdout": manner}, "expect": {"stdout": "a  b\nc\n"}});
        let ends = |manner: Value, got: &str| differs(step(manner), json!({"stdout": got})).is_empty();
        assert!(ends(json!("exact"), "a  b\nc\n") && !ends(json!("exact"), "a b\nc\n"));
        assert!(ends(json!("words"), "a b\nc\n") && !ends(json!("words"), "a b c\n"));
        assert!(ends(json!("lines"), "c\na  b\n") && !ends(json!("lines"), "c\n"));
        assert!(ends(json!("first_line"), "a  b\nx\n") && !ends(json!("first_line"), "x\n"));
        assert!(ends(json!("ignore"), ""));
    }

    #[test]
    fn parts_may_be_asked_for() {
        let step = json!({"match": {"stderr": {"contains": ["x"], "lacks": ["y"], "matches": ["^z$"]}}, "expect": {"exit": 1}});
        assert!(differs(step.clone(), json!({"exit": 1, "stderr": "x\nz\n"})).is_empty());
        assert_eq!(differs(step, json!({"exit": 0, "stderr": "y"})).len(), 2);
    }
}
