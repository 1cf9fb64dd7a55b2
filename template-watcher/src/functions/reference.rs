//! The reference page of the functions, made from their rows.

use super::{Kind, Row, TOPICS, all};

/// What stands before the functions.
const HEAD: &str = "# Functions of templates

This page is made from the program's own table of functions; each example is run as a test. A line of an example is a Go
template, what follows it is what that prints with the data of `template-watcher/tests/functions.yaml`.

A signature names the types of the arguments and of the result; `...` may be given any number of times. A value that is piped
becomes the last argument. Jinja templates call the same functions, `key(\"app/name\")`, and use them as filters, `\"Ab\" | toUpper`.
What a function's result depends on stands behind its signature: *data* of the registry, this *machine*, or nothing but its
arguments (*pure*).
";

/// The reference page, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for topic in TOPICS {
        page.push_str(&format!("\n## {}\n", topic.title));
        for row in topic.rows {
            page.push_str(&entry(row));
        }
    }
    page
}

fn entry(row: &Row) -> String {
    let mut text = format!("\n### {}\n\n`{}`, {}. {}\n", row.name, signature(row), kind(row.kind), row.help);
    let others: Vec<String> = all()
        .iter()
        .filter(|other| other.same_as == Some(row.name))
        .map(|other| format!("`{}`", other.name))
        .collect();
    if !others.is_empty() {
        text.push_str(&format!("Another name: {}.\n", others.join(", ")));
    }
    let (template, output) = row.example;
    let output =
        if output.is_empty() { String::new() } else { format!("{}\n", output.trim_end_matches('\n')) };
    text.push_str(&format!("\n```\n{template}\n{output}```\n"));
    text
}

/// `key string -> string`.
fn signature(row: &Row) -> String {
    let mut words = vec![row.name.to_owned()];
    words.extend(row.signature.params.iter().map(ToString::to_string));
    if row.signature.variadic
        && let Some(last) = words.last_mut()
    {
        last.push_str("...");
    }
    format!("{} -> {}", words.join(" "), row.signature.returns)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::Pure => "pure",
        Kind::Local => "machine",
    }
}
