//! The table of functions: every example does what it says, and the reference page is what the table gives.
//!
//! `RYO_WRITE_DOCS=1 cargo test -p template-watcher --test functions` writes the page anew.

use std::{fs, path::Path, sync::Arc};

use template_watcher::{
    answers::Surroundings,
    functions,
    offline::{Fixture, render_from},
    syntax::{Options, Syntax, Template},
};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn rendered(template: &str, fixture: &Fixture) -> Result<String, String> {
    let template = Template::compile(Syntax::Go, template.as_bytes(), "example", &Options::default())
        .map_err(|error| error.to_string())?;
    let surroundings = Arc::new(fixture.surroundings(&Surroundings::default()));
    let text = render_from(&template, fixture, &surroundings)?;
    String::from_utf8(text).map_err(|error| error.to_string())
}

#[test]
fn every_example_prints_what_it_says() {
    let fixture = Fixture::read(&here("tests/functions.yaml")).unwrap();
    let mut wrong = Vec::new();
    for row in functions::all() {
        let (template, output) = row.example;
        // A second name is tried in the example of the first.
        let template = template.replace(row.same_as.unwrap_or(row.name), row.name);
        let got = rendered(&template, &fixture);
        if got.as_deref() != Ok(output) {
            wrong.push(format!("{}: {template}\n  expected {output:?}\n  got      {got:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} examples are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_reference_page_is_what_the_table_gives() {
    let page = here("../docs/functions.md");
    if std::env::var_os("RYO_WRITE_DOCS").is_some() {
        fs::write(&page, functions::reference()).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&page).unwrap_or_default(),
        functions::reference(),
        "write the page with RYO_WRITE_DOCS=1 cargo test -p template-watcher --test functions"
    );
}
