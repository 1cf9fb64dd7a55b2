//! Pages whose commands are run as they stand there: `docs/run` does it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::installed,
    stage::{not_run, run, ryo},
};

/// What `docs/run` ends with where no namespace may be made.
const NO_NAMESPACE: i32 = 77;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn says_what_is_so(page: &str) {
    for (program, package) in [("jq", "jq"), ("curl", "curl"), ("ip", "iproute2"), ("dig", "bind9-dnsutils")]
    {
        installed(program, package);
    }
    let mut script = Command::new(docs().join("run"));
    let (code, said) = run(script.arg(docs().join(page)).env("RYO", ryo().get_program()));
    if code == NO_NAMESPACE {
        not_run(&said);
        return;
    }
    assert_eq!(code, 0, "{said}");
}

#[test]
fn readme() {
    says_what_is_so("../README.md");
}

#[test]
fn operations() {
    says_what_is_so("operations.md");
}

#[test]
fn from_consul() {
    installed("dnsmasq", "dnsmasq-base");
    says_what_is_so("migration/consul.md");
}

#[test]
fn from_consul_template() {
    says_what_is_so("migration/consul-template.md");
}

#[test]
fn from_confd() {
    says_what_is_so("migration/confd.md");
}

#[test]
fn from_registrator() {
    says_what_is_so("migration/registrator.md");
}

/// A page that says something else than what is so is found, with its line.
#[test]
fn a_page_that_is_wrong_fails() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, complaint) in [
        (
            "prints",
            "# A\n```sh\necho one\n```\n<!-- prints -->\n```text\ntwo\n```\n",
            "expected: two\nprinted:  one",
        ),
        ("fails", "# A\n```sh\necho one\nfalse\n```\n", "fails.md:2 failed with 1; it said:\none"),
        ("more", "```sh\necho one; echo two\n```\n<!-- prints -->\n```text\none\n```\n", "printed:  two"),
        ("less", "```sh\necho one\n```\n<!-- prints -->\n```text\none\n…\ntwo\n```\n", "expected: two"),
    ] {
        let page = folder.path().join(name).with_extension("md");
        std::fs::write(&page, text).unwrap();
        let (code, said) = run(Command::new(docs().join("run")).arg(&page).env("RYO", ryo().get_program()));
        if code == NO_NAMESPACE {
            return not_run(&said);
        }
        assert!(code == 1 && said.contains(complaint), "{name}: {code} {said}");
    }
}
