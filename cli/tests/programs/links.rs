//! The pages of this repository: every link leads somewhere, and every page is in the book.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All pages below a folder, but not what was built or fetched.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(&*name, "target" | "node_modules") {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// A page as a reader sees it: its links with their lines, and the names of its places.
#[derive(Debug, Default)]
struct Page {
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut fence = None;
        let mut headings: BTreeMap<String, usize> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let start = line.trim_start();
            let marks = start.len() - start.trim_start_matches('`').len();
            match fence {
                Some(open) if marks >= open && start.trim_matches('`').trim().is_empty() => fence = None,
                Some(_) => {}
                None if marks >= 3 => fence = Some(marks),
                // Four blanks make it a text that is shown as it is, except in a list; no list here has links that deep.
                None if line.starts_with("    ") => {}
                None => {
                    let heading = line.trim_start_matches('#');
                    if heading.len() < line.len() && heading.starts_with(' ') {
                        let name = anchor(heading);
                        let times = headings.entry(name.clone()).or_default();
                        page.anchors.insert(if *times == 0 { name } else { format!("{name}-{times}") });
                        *times += 1;
                    }
                    page.links.extend(links(line).into_iter().map(|link| (number + 1, link)));
                }
            }
        }
        page
    }
}

/// The name of a heading's place, as GitHub and mdBook make it: `## DNS switch-over` → `dns-switch-over`.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    letters.collect()
}

/// The targets of `[text](target)`, `![text](target)` and `src="target"`, outside of `code`.
fn links(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("_");
    let after = |mark: &str, end: char| -> Vec<String> {
        let parts = text.split(mark).skip(1).filter_map(|rest| rest.split_once(end));
        parts.map(|(target, _)| target.to_owned()).collect()
    };
    [after("](", ')'), after("src=\"", '"'), after("srcset=\"", '"')].concat()
}

/// `/a/b/../c` → `/a/c`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

/// What is wrong with the links of a page: `README.md:3: …`.
fn broken(path: &Path, known: &BTreeMap<PathBuf, Page>) -> Vec<String> {
    let page = &known[path];
    let wrong = page.links.iter().filter_map(|(line, link)| {
        if link.contains("://") || link.starts_with("mailto:") {
            return None;
        }
        let (file, place) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { path.to_owned() } else { plain(&path.parent()?.join(file)) };
        let why = match known.get(&target) {
            _ if !target.exists() => "there is no such file",
            Some(other) if !place.is_empty() && !other.anchors.contains(place) => {
                "that page has no such heading"
            }
            _ => return None,
        };
        Some(format!("{}:{line}: {link}: {why}", path.display()))
    });
    wrong.collect()
}

fn read_all(root: &Path) -> BTreeMap<PathBuf, Page> {
    let mut found = Vec::new();
    pages(root, &mut found);
    found.into_iter().map(|path| (path.clone(), Page::read(&fs::read_to_string(path).unwrap()))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let known = read_all(&repository());
    assert!(known.len() > 40, "only {} pages were found", known.len());
    let wrong: Vec<String> = known.keys().flat_map(|path| broken(path, &known)).collect();
    assert!(wrong.is_empty(), "{} links lead nowhere:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("a.md", "# A\n[good](b.md#two-words) `[code](no.md)`\n\n[bad](c.md), [worse](b.md#three)\n");
    file("b.md", "## Two words!\n```\n# Three\n```\n[self](#two-words)\n");
    let known = read_all(folder.path());
    let wrong: Vec<String> = known.keys().flat_map(|path| broken(path, &known)).collect();
    let tails: Vec<&str> = wrong.iter().filter_map(|text| Some(text.split_once("a.md:")?.1)).collect();
    assert_eq!(
        (tails, wrong.len()),
        (vec!["4: c.md: there is no such file", "4: b.md#three: that page has no such heading"], 2)
    );
}

/// A page that nobody put into the book is found by nobody.
#[test]
fn every_page_is_in_the_book() {
    let root = repository();
    let known = read_all(&root);
    let summary = root.join("docs/SUMMARY.md");
    let named = known[&summary].links.iter().map(|(_, link)| plain(&root.join("docs").join(link)));
    let named: BTreeSet<PathBuf> = named.collect();
    let missing: Vec<String> = known
        .keys()
        .filter(|path| **path != summary && !named.contains(*path))
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    assert!(missing.is_empty(), "put these into docs/SUMMARY.md: {missing:?}");
}
