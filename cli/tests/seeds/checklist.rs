//! The check list: each of its items is shown by something that is there and runs.

use std::{fs, path::Path};

/// The rows `| number | what | where |`.
const LIST: &str = include_str!("checklist.md");

fn rows() -> Vec<[&'static str; 3]> {
    let cells = |line: &'static str| -> Option<[&'static str; 3]> {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let row = [cells.next()?, cells.next()?, cells.next()?];
        row[0].parse::<usize>().is_ok().then_some(row)
    };
    LIST.lines().filter_map(cells).collect()
}

#[test]
fn every_item_names_what_shows_it() {
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=42).collect::<Vec<_>>());
    for [number, _, shown] in rows {
        for place in shown.split(", ") {
            let found = exists(place.trim_matches('`'));
            assert!(found, "item {number}: there is no {place}");
        }
    }
}

/// Whether there is such a test of this program, `programs::nodes::name` or `seeds::rolling::name`; such a scene, `scene NAME`;
/// or such a script, `packaging/check`.
fn exists(place: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(scene) = place.strip_prefix("scene ") {
        let played = include_str!("main.rs").contains(&format!("play(\"{scene}\")"));
        return played && root.join("tests/seeds/scenes").join(format!("{scene}.txt")).exists();
    }
    let [target, module, test] = place.split("::").collect::<Vec<_>>()[..] else {
        return root.join("..").join(place).exists();
    };
    let file = root.join("tests").join(target).join(format!("{module}.rs"));
    let text = fs::read_to_string(file).unwrap_or_default();
    text.contains(&format!("#[test]\nfn {test}() {{"))
}

#[test]
fn what_is_left_out_says_why() {
    let lines = include_str!("outside.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (_, reason) = line.split_once(" — ").unwrap_or_else(|| panic!("no reason: {line}"));
        let mut scenes = reason.match_indices("scene `").map(|(at, start)| &reason[at + start.len()..]);
        let missing =
            scenes.find(|rest| !exists(&format!("scene {}", rest.split('`').next().unwrap_or_default())));
        assert_eq!(missing, None, "{line}");
    }
}
