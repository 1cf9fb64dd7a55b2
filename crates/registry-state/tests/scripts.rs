//! Golden scripts: commands in, outcome, index and topics out.
//!
//! Each file of `tests/scripts` is a script; its commands stand behind `> `, what they answered follows. Run with
//! `UPDATE_SCRIPTS=1` to write the answers anew, and read the difference before you commit it.

mod script;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_script_answers_as_recorded() {
    let mut differing = Vec::new();
    for path in scripts() {
        let recorded = fs::read_to_string(&path).unwrap();
        let (answered, _) = script::run(&recorded);
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, answered).unwrap();
        } else if answered != recorded {
            differing.push(format!("{}:\n{}", path.display(), first_difference(&recorded, &answered)));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_kind_of_command_has_a_script() {
    let used: BTreeSet<String> =
        scripts().iter().flat_map(|path| script::run(&fs::read_to_string(path).unwrap()).1).collect();
    let missing: Vec<_> = script::kinds::all().difference(&used).cloned().collect();
    assert!(missing.is_empty(), "no script uses {missing:?}");
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("a folder beside this file")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    paths
}

fn first_difference(recorded: &str, answered: &str) -> String {
    let pairs = recorded.lines().zip(answered.lines()).enumerate();
    let differing = pairs.into_iter().find(|(_, (r, a))| r != a);
    differing.map_or_else(
        || "one is longer than the other".to_owned(),
        |(line, (r, a))| format!("line {}:\n  recorded {r}\n  answered {a}", line + 1),
    )
}
