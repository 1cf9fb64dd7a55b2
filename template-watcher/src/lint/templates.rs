//! What templates call, and with what.

use go_template::Call;

use super::Finding;
use crate::{config::TemplateConfig, source};

/// What is to be found in a template.
pub(crate) fn template(config: &TemplateConfig) -> Vec<Finding> {
    let name = config.source.name();
    let read = source::text(&config.source).and_then(|text| source::template(config, &text));
    let template = match read {
        Ok(template) => template,
        Err(reason) => return vec![unreadable(&name, &reason)],
    };
    let unknown = |what: &String| {
        let hint = match crate::functions::lookup(what) {
            go_template::Lookup::Unknown(hint) if !hint.is_empty() => format!("; {hint}"),
            _ => String::new(),
        };
        Finding::new(&name, "unknown-name", format!("{what} is no function and no variable{hint}"))
    };
    let mut found: Vec<Finding> = template.unknown_names().iter().map(unknown).collect();
    found.extend(template.calls().iter().filter_map(|call| judge(&name, call)));
    found
}

/// `name: parse: template: name:LINE: reason` as a finding at its line.
fn unreadable(name: &str, reason: &str) -> Finding {
    let reason = reason.strip_prefix(&format!("{name}: parse: template: ")).unwrap_or(reason);
    let rest = reason.strip_prefix(&format!("{name}:")).and_then(|rest| rest.split_once(": "));
    match rest {
        Some((line, text)) => Finding::new(format!("{name}:{line}"), "unreadable", text),
        None => Finding::new(name, "unreadable", reason),
    }
}

fn judge(name: &str, call: &Call) -> Option<Finding> {
    let place = format!("{name}:{}:{}", call.line, call.column);
    let first = call.args.first().and_then(Option::as_deref).map(String::from_utf8_lossy);
    match (call.name.as_str(), first) {
        ("ls" | "safeLs" | "tree" | "safeTree", Some(prefix)) => {
            let path = prefix.split(['?', '@']).next().unwrap_or_default();
            let open = !path.is_empty() && !path.ends_with('/');
            open.then(|| {
                let text = format!("{path:?} also finds keys that go on, such as {path}2/…; write {path}/");
                Finding::new(place, "prefix-without-slash", text)
            })
        }
        ("service" | "connect", Some(_)) if call.args.len() > 2 => {
            let text =
                format!("{} takes the service and one filter; several are joined by commas", call.name);
            Some(Finding::new(place, "too-many-filters", text))
        }
        ("timestamp", _) => Some(Finding::new(
            place,
            "restless",
            "the text differs at each look, so that every change of anything writes the file",
        )),
        ("plugin", _) => Some(Finding::new(
            place,
            "side-effect",
            "consul-template runs it at every look, also with empty arguments; here it runs once all data is there",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template_of_file;

    fn lines(name: &str, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let prefix = format!("{}/", folder.path().display());
        template(&template_of_file(path)).iter().map(|found| found.to_string().replace(&prefix, "")).collect()
    }

    #[test]
    fn calls_are_judged_where_they_stand() {
        let found =
            lines("a.tmpl", "x\n{{ range ls \"a/b\" }}{{ (key (print \"c\")) }}{{ end }}{{ tree \"a/\" }}");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a.tmpl:2:10: \"a/b\" also finds"), "{found:?}");
        let found =
            lines("a.tmpl", "{{ define \"d\" }}{{ timestamp }}{{ end }}{{ service \"a\" \"b\" \"c\" }}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn unknown_names_have_a_hint() {
        let found = lines("a.tmpl", "\n{{ keyOrDefalt \"a\" \"b\" }}");
        assert_eq!(
            found,
            ["a.tmpl:2: function \"keyOrDefalt\" not defined; the nearest is keyOrDefault [unreadable]"]
        );
        let found = lines(
            "a.j2",
            "{% for s in servce('web') %}{{ s.Name }}{{ loop.index }}{% endfor %}{{ range(3) }}",
        );
        assert_eq!(
            found,
            ["a.j2: servce is no function and no variable; the nearest is service [unknown-name]"]
        );
        assert_eq!(lines("a.j2", "{% if %}").len(), 1);
    }
}
