//! The watcher's commands on real folders: what they write, and how they end.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{fs, path::Path};

use daemon::Exit;

fn run(words: &[&str]) -> Exit {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    template_watcher::main("ryo-watch", &words)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn templates_are_tested_from_their_own_and_the_folders_data() {
    let folder = folder(&[
        ("a.conf.tmpl", "{{ key \"name\" }}\n"),
        ("a.conf.expected", "shop\n"),
        ("fixture.yaml", "kv: {name: shop}\n"),
        ("own/b.conf.j2", "{% include 'part.j2' %}{{ service('web') | length }}\n"),
        ("own/b.conf.fixture.json", r#"{"services": {"web": [{}, {"id": "2"}]}}"#),
        ("own/b.conf.expected", "part 2\n"),
        ("own/part.j2", "part "),
        ("wrong.tmpl", "{{ key \"nope\" }}"),
        ("wrong.expected-error", "kv.get(nope)"),
    ]);
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["test", path]), Exit::Success);
    fs::write(folder.path().join("a.conf.expected"), "another\n").unwrap();
    assert_eq!(run(&["test", path]), Exit::Failure);
    assert_eq!(run(&["test", "-update", path]), Exit::Success);
    assert_eq!(text(folder.path(), "a.conf.expected"), "shop\n");
    assert!(!folder.path().join("own/part.expected").exists(), "a part of others");
}

#[test]
fn what_templates_give_is_written_as_expected() {
    let folder = folder(&[
        ("a.tmpl", "{{ keyOrDefault \"name\" \"none\" }}"),
        ("a.expected", ""),
        ("wrong.tmpl", "{{ key \"nope\" }}"),
        ("wrong.expected-error", "nope"),
    ]);
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["test", "-update", path]), Exit::Success);
    assert_eq!(text(folder.path(), "a.expected"), "none");
    assert_eq!(text(folder.path(), "wrong.expected-error"), "nope");
    assert_eq!(run(&["test", path]), Exit::Success);
}

#[test]
fn wrong_words_and_wrong_data_are_told_apart() {
    let folder =
        folder(&[("a.tmpl", "{{ key \"name\" }}"), ("bad.yaml", "kvs: {}"), ("good.yaml", "kv: {name: x}")]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(run(&["render", &at("a.tmpl")]), Exit::BadFlags);
    assert_eq!(run(&["render", "-nope"]), Exit::BadFlags);
    assert_eq!(run(&["render", "-data", &at("bad.yaml"), &at("a.tmpl")]), Exit::BadConfig);
    assert_eq!(run(&["render", "-data", &at("good.yaml"), &at("a.tmpl")]), Exit::Success);
    assert_eq!(run(&["render", "-data", &at("good.yaml"), &at("none.tmpl")]), Exit::RunFailed);
    assert_eq!(run(&["test", &at("")]), Exit::BadConfig, "nothing is expected of any template");
    assert_eq!(run(&["test", "/nonexistent"]), Exit::BadConfig);
}

#[test]
fn a_rendering_from_data_leaves_the_machine_alone() {
    let folder = folder(&[("f.yaml", "env: {HOME: /nowhere}\n")]);
    let written = folder.path().join("written");
    let template = format!(
        "{{{{ writeToFile {written:?} \"\" \"\" \"0600\" \"x\" }}}}{{{{ env \"HOME\" }}}}{{{{ env \"PATH\" }}}}"
    );
    fs::write(folder.path().join("a.tmpl"), template).unwrap();
    fs::write(folder.path().join("a.expected"), "/nowhere").unwrap();
    fs::rename(folder.path().join("f.yaml"), folder.path().join("fixture.yaml")).unwrap();
    assert_eq!(run(&["test", folder.path().to_str().unwrap()]), Exit::Success);
    assert!(!written.exists());
}

#[test]
fn lint_ends_with_1_when_something_is_found() {
    let folder = folder(&[
        ("good.tmpl", "{{ range ls \"a/\" }}{{ .Key }}{{ end }}"),
        ("bad.tmpl", "{{ nosuch }}"),
        ("c.hcl", "template { contents = \"{{ key \\\"a\\\" }}\" destination = \"out\" }"),
    ]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(run(&["lint", &at("good.tmpl"), "-config", &at("c.hcl")]), Exit::Success);
    assert_eq!(run(&["lint", &at("good.tmpl"), &at("bad.tmpl")]), Exit::Failure);
    assert_eq!(run(&["lint", "-template", "a:b", &at("good.tmpl")]), Exit::Failure);
    assert_eq!(run(&["lint"]), Exit::BadFlags);
}

#[test]
fn a_template_with_a_list_is_tested_item_by_item() {
    let folder = folder(&[
        ("site.conf.tmpl", "host {{ key (print \"sites/\" (item)) }};\n"),
        ("site.conf.for_each", "{{ range ls \"sites/\" }}{{ .Key }}\n{{ end }}"),
        ("site.conf.fixture.yaml", "kv: {sites/blog: b.test, sites/shop: s.test}\n"),
        ("site.conf.blog.expected", "host b.test;\n"),
    ]);
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["test", path]), Exit::Failure, "nothing is expected of the shop");
    assert_eq!(run(&["test", "-update", path]), Exit::Success);
    assert_eq!(text(folder.path(), "site.conf.shop.expected"), "host s.test;\n");
    assert_eq!(run(&["test", path]), Exit::Success);
    fs::write(folder.path().join("site.conf.wiki.expected"), "host w.test;\n").unwrap();
    assert_eq!(run(&["test", path]), Exit::Failure, "the wiki is no item");
}
