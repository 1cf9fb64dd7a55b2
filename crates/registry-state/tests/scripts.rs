//! Golden scripts: commands in, outcome, index and topics out.
//!
//! Each file of `tests/scripts` is a script; its commands stand behind `> `, what they answered follows. Run with
//! `UPDATE_SCRIPTS=1` to write the answers anew, and read the difference before you commit it.

mod script;

use std::{fs, path::Path};

#[test]
fn every_script_answers_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    let mut differing = Vec::new();
    for path in paths {
        let recorded = fs::read_to_string(&path).unwrap();
        let answered = script::run(&recorded);
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, answered).unwrap();
        } else if answered != recorded {
            differing.push(format!("{}:\n{}", path.display(), first_difference(&recorded, &answered)));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn first_difference(recorded: &str, answered: &str) -> String {
    let pairs = recorded.lines().zip(answered.lines()).enumerate();
    let differing = pairs.into_iter().find(|(_, (r, a))| r != a);
    differing.map_or_else(
        || "one is longer than the other".to_owned(),
        |(line, (r, a))| format!("line {}:\n  recorded {r}\n  answered {a}", line + 1),
    )
}
