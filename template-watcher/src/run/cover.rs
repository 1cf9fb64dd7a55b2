//! One watch for many questions: keys and prefixes below a prefix that some template lists need no question of their own, and
//! many of one folder are asked for as that folder.
//!
//! A template that walks `ls "acl"` and asks `key` for each of them costs one question instead of one per key, and sees
//! all of them as they were at one moment.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use crate::{
    answers::{Answer, Answers, KeyAnswer, KeyPair},
    query::{Query, Region},
};

/// How many keys and prefixes of a folder make it worth asking for the folder. Where there are more, the folder is taken apart
/// by how their names begin: each change carries all that is asked for together.
const GATHERED: RangeInclusive<usize> = 8..=256;

/// How many keys a folder may hold beside those asked for before they are asked for one by one again.
const BESIDE_MAX: usize = 256;

/// How many bytes it may hold altogether.
const BYTES_MAX: usize = 512 * 1024;

/// Up to how many changed keys are looked up one by one.
const CHANGES_MAX: usize = 16;

/// Which questions need not be asked, since a prefix answers them.
#[derive(Debug, Default)]
pub(super) struct Covered {
    /// Each question with its prefix.
    by: HashMap<Arc<Query>, Arc<Query>>,
    /// Each prefix with those of its questions that are prefixes too.
    lists: HashMap<Arc<Query>, Vec<Arc<Query>>>,
}

impl Covered {
    /// The prefix that answers a question.
    pub(super) fn prefix_of(&self, query: &Query) -> Option<&Query> {
        self.by.get(query).map(Arc::as_ref)
    }

    /// Whether a prefix answers a question.
    pub(super) fn has(&self, query: &Query) -> bool {
        self.by.contains_key(query)
    }

    /// Whether a prefix answers others.
    pub(super) fn is_prefix(&self, query: &Query) -> bool {
        self.lists.contains_key(query)
    }

    /// The questions of a prefix that changes of some keys concern.
    fn concerned<'a>(&'a self, prefix: &'a Query, paths: &'a [String]) -> impl Iterator<Item = &'a Query> {
        let (region, by) = (place(prefix).map(|(_, region)| region.clone()), &self.by);
        let keys = paths.iter().filter_map(move |path| {
            let key = Query::Key { path: path.clone(), region: region.clone()? };
            by.get_key_value(&key).filter(|(_, by)| by.as_ref() == prefix).map(|(key, _)| key.as_ref())
        });
        let is_concerned = move |query: &&Query| {
            prefix_text(query).is_some_and(|text| paths.iter().any(|path| path.starts_with(text)))
        };
        let lists = self.lists.get(prefix).into_iter().flatten().map(Arc::as_ref);
        keys.chain(lists.filter(is_concerned))
    }
}

impl FromIterator<(Query, Query)> for Covered {
    fn from_iter<I: IntoIterator<Item = (Query, Query)>>(pairs: I) -> Self {
        let mut covered = Self::default();
        for (query, prefix) in pairs {
            let known = covered.lists.get_key_value(&prefix).map(|(known, _)| Arc::clone(known));
            let (query, prefix) = (Arc::new(query), known.unwrap_or_else(|| Arc::new(prefix)));
            let lists = covered.lists.entry(Arc::clone(&prefix)).or_default();
            if matches!(*query, Query::Prefix { .. }) {
                lists.push(Arc::clone(&query));
            }
            covered.by.insert(query, prefix);
        }
        covered
    }
}

/// What has changed below prefixes and has not been handed to the questions that they answer.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Everything: which questions they answer may be new too.
    pub(super) all: bool,
    /// The keys that changed, and the prefix.
    paths: Vec<(Query, Vec<String>)>,
}

impl Fresh {
    /// Notes what changed below a prefix.
    pub(super) fn note(&mut self, prefix: &Query, before: Option<&Answer>, now: &Answer) {
        match (before, now) {
            (Some(Answer::Pairs(before)), Answer::Pairs(now)) => match changed(before, now) {
                Some(paths) => self.paths.push((prefix.clone(), paths)),
                None => self.all = true,
            },
            _ => self.all = true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.paths.is_empty()
    }
}

/// The keys that differ between two lists in order; `None` when there are many.
fn changed(before: &[KeyPair], now: &[KeyPair]) -> Option<Vec<String>> {
    let (mut old, mut new) = (before.iter().peekable(), now.iter().peekable());
    let mut paths = Vec::new();
    while paths.len() <= CHANGES_MAX {
        let path = match (old.peek(), new.peek()) {
            (None, None) => return Some(paths),
            (Some(a), Some(b)) if a.path == b.path => {
                let (a, b) = (old.next(), new.next());
                if a == b {
                    continue;
                }
                b.or(a).map(|pair| &pair.path)
            }
            (Some(a), Some(b)) if a.path < b.path => old.next().map(|pair| &pair.path),
            (Some(_), None) => old.next().map(|pair| &pair.path),
            (_, Some(_)) => new.next().map(|pair| &pair.path),
        };
        paths.extend(path.cloned());
    }
    None
}

/// What a question asks for below a place in the registry's keys, and where; none for a name that the registry has another
/// way of writing.
fn place(query: &Query) -> Option<(&str, &Region)> {
    match query {
        Query::Key { path: name, .. } | Query::Prefix { prefix: name, .. }
            if name.starts_with('/') || name.contains("//") =>
        {
            None
        }
        Query::Key { path, region } => Some((path, region)),
        Query::Prefix { prefix, region } => Some((prefix, region)),
        _ => None,
    }
}

/// The prefixes that are asked for in place of what is below them: the deepest folders, with a slash at the end, that have
/// enough of the keys and prefixes asked for, and parts of those that have too many. Those that `refused` accepts are left out.
pub(super) fn folders_of_many(used: &HashSet<&Query>, refused: impl Fn(&Query) -> bool) -> HashSet<Query> {
    let mut regions: HashMap<&Region, Vec<&str>> = HashMap::new();
    for (path, region) in used.iter().filter_map(|query| place(query)) {
        regions.entry(region).or_default().push(path);
    }
    let mut found = HashSet::new();
    for (region, mut paths) in regions {
        paths.sort_unstable();
        paths.dedup();
        let asked = |start: &str| Query::Prefix { prefix: start.to_owned(), region: region.clone() };
        found.extend(starts_of_many(&paths).into_iter().map(asked).filter(|folder| !refused(folder)));
    }
    found
}

/// The same for one region, of names in order.
fn starts_of_many<'a>(paths: &[&'a str]) -> HashSet<&'a str> {
    let mut members: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, path) in paths.iter().enumerate() {
        folders_above(path).for_each(|folder| members.entry(folder).or_default().push(at));
    }
    // The deepest first: what it gathers does not count for the folders above it.
    let mut folders: Vec<_> = members.into_iter().collect();
    folders.sort_unstable_by_key(|(folder, _)| (Reverse(folder.len()), *folder));
    let mut is_gathered = vec![false; paths.len()];
    let mut found = HashSet::new();
    for (folder, mut inside) in folders {
        inside.retain(|at| !is_gathered[*at]);
        if inside.len() < *GATHERED.start() {
            continue;
        }
        inside.iter().for_each(|at| is_gathered[*at] = true);
        if inside.len() <= *GATHERED.end() {
            found.insert(folder);
        } else {
            let crowd: Vec<&str> = inside.iter().map(|at| paths[*at]).collect();
            take_apart(&crowd, paths, &mut found);
        }
    }
    found
}

/// Finds the beginnings that enough of some names, and not too many of `all`, have in common.
fn take_apart<'a>(names: &[&'a str], all: &[&str], found: &mut HashSet<&'a str>) {
    let [first, .., last] = names else { return };
    if names.len() < *GATHERED.start() {
        return;
    }
    let same = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
    let start = &first[..first.floor_char_boundary(same)];
    let from = &all[all.partition_point(|path| *path < start)..];
    if from.partition_point(|path| path.starts_with(start)) <= *GATHERED.end() {
        found.insert(start);
        return;
    }
    for group in names.chunk_by(|a, b| a.as_bytes().get(same) == b.as_bytes().get(same)) {
        take_apart(group, all, found);
    }
}

/// The folders that a name is in, the deepest first, each with its slash.
fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..=at]).filter(|folder| folder.len() > 1)
}

/// Whether a folder holds so much, or so much beside what is asked for, that one by one is cheaper.
pub(super) fn holds_too_much(folder: &Query, answer: &Answer, covered: &Covered) -> bool {
    let Answer::Pairs(pairs) = answer else { return false };
    let bytes: usize = pairs.iter().map(|pair| pair.path.len() + pair.value.len()).sum();
    if bytes > BYTES_MAX || pairs.len() <= BESIDE_MAX {
        return bytes > BYTES_MAX;
    }
    let asked = || covered.by.iter().filter(|(_, prefix)| ***prefix == *folder).map(|(query, _)| query);
    let keys: HashSet<&str> = asked().filter_map(|query| key_path(query)).collect();
    let prefixes: Vec<&str> = asked().filter_map(|query| prefix_text(query)).collect();
    let is_asked = |path: &str| keys.contains(path) || prefixes.iter().any(|prefix| path.starts_with(prefix));
    pairs.iter().filter(|pair| !is_asked(&pair.path)).count() > BESIDE_MAX
}

fn key_path(query: &Query) -> Option<&str> {
    match query {
        Query::Key { path, .. } => Some(path),
        _ => None,
    }
}

fn prefix_text(query: &Query) -> Option<&str> {
    match query {
        Query::Prefix { prefix, .. } => Some(prefix),
        _ => None,
    }
}

/// Of the questions used, the keys and prefixes that lie below a prefix among them or one of `folders`, each with that
/// prefix: the shortest, so that it is not below another itself.
///
/// A prefix that may not be listed covers nothing: a token may well be allowed to read the key.
pub(super) fn below_prefixes(
    used: &HashSet<&Query>,
    folders: &HashSet<Query>,
    denied: impl Fn(&Query) -> bool,
) -> Covered {
    let prefixes: Vec<&Query> = used
        .iter()
        .copied()
        .chain(folders)
        .filter(|query| matches!(query, Query::Prefix { .. }) && !denied(query))
        .collect();
    let covering = |query: &Query| {
        let above = prefixes.iter().copied().filter(|prefix| *prefix != query && covers(prefix, query));
        above.min_by_key(|prefix| prefix_text(prefix).map(str::len)).cloned()
    };
    used.iter().filter_map(|query| Some(((*query).clone(), covering(query)?))).collect()
}

fn covers(prefix: &Query, query: &Query) -> bool {
    match (prefix, place(query)) {
        (Query::Prefix { prefix, region: here }, Some((path, there))) => {
            here == there && path.starts_with(prefix.as_str())
        }
        _ => false,
    }
}

/// What is new for covered questions whose prefix has been answered.
pub(super) fn answers(fresh: Fresh, covered: &Covered, known: &Answers) -> Vec<(Query, Answer)> {
    if fresh.all {
        return all_answers(covered, known);
    }
    let mut found = Vec::new();
    for (prefix, paths) in &fresh.paths {
        let Some(Answer::Pairs(pairs)) = known.get(prefix).map(Arc::as_ref) else { continue };
        let answer = |query: &Query| match query {
            Query::Prefix { prefix, .. } => below(prefix, pairs),
            query => key_answer(pairs.iter().find(|pair| Some(pair.path.as_str()) == key_path(query))),
        };
        found.extend(covered.concerned(prefix, paths).map(|query| (query.clone(), answer(query))));
    }
    found
}

fn all_answers(covered: &Covered, known: &Answers) -> Vec<(Query, Answer)> {
    // By path, because a list of thousands may cover thousands of keys.
    let mut lists: HashMap<&Query, HashMap<&str, &KeyPair>> = HashMap::new();
    let mut found = Vec::new();
    for (query, by) in &covered.by {
        let (query, by) = (query.as_ref(), by.as_ref());
        let Some(Answer::Pairs(pairs)) = known.get(by).map(Arc::as_ref) else { continue };
        let answer = match query {
            Query::Key { path, .. } => {
                let list = lists
                    .entry(by)
                    .or_insert_with(|| pairs.iter().map(|pair| (pair.path.as_str(), pair)).collect());
                key_answer(list.get(path.as_str()).copied())
            }
            Query::Prefix { prefix, .. } => below(prefix, pairs),
            _ => continue,
        };
        found.push((query.clone(), answer));
    }
    found
}

fn key_answer(pair: Option<&KeyPair>) -> Answer {
    let now = pair.map(|pair| KeyPair { key: pair.path.trim_start_matches('/').to_owned(), ..pair.clone() });
    Answer::Key(KeyAnswer { now, last: None })
}

fn below(prefix: &str, pairs: &[KeyPair]) -> Answer {
    let inside = |pair: &KeyPair| {
        let rest = pair.path.strip_prefix(prefix)?;
        Some(KeyPair { key: rest.trim_start_matches('/').to_owned(), ..pair.clone() })
    };
    Answer::Pairs(pairs.iter().filter_map(inside).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(texts: &[&str], denied: &[&str]) -> Vec<String> {
        let read = |text: &&str| match text.strip_suffix('*') {
            Some(prefix) => Query::prefix(prefix).unwrap(),
            None => Query::key(text).unwrap(),
        };
        let used: Vec<Query> = texts.iter().map(read).collect();
        let denied: Vec<Query> = denied.iter().map(read).collect();
        let used = used.iter().collect();
        let folders = folders_of_many(&used, |query| denied.contains(query));
        let covered = below_prefixes(&used, &folders, |query| denied.contains(query));
        let mut shown: Vec<String> =
            covered.by.iter().map(|(key, prefix)| format!("{key} {prefix}")).collect();
        shown.sort();
        shown
    }

    #[test]
    fn keys_below_a_listed_prefix_are_covered() {
        let texts = ["acl*", "acl/a/host", "aclx", "other", "acl/a@dc2", "acl/a*"];
        let below =
            ["kv.get(acl/a/host) kv.list(acl)", "kv.get(aclx) kv.list(acl)", "kv.list(acl/a) kv.list(acl)"];
        assert_eq!(covered(&texts, &[]), below);
        assert_eq!(covered(&["acl/a", "acl/b"], &[]), [""; 0]);
        assert_eq!(covered(&["acl*", "acl/a"], &["acl*"]), [""; 0]);
    }

    #[test]
    fn many_keys_of_a_folder_are_asked_for_together() {
        let keys: Vec<String> =
            (0..8).map(|i| format!("acl/{}/{i}", i % 4)).chain(["other".into()]).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = covered(&keys, &[]);
        assert_eq!(found.len(), 8, "the folder, not its folders, and not the key beside it: {found:?}");
        assert_eq!(found[0], "kv.get(acl/0/0) kv.list(acl/)");
        assert_eq!(covered(&keys[1..], &[]), [""; 0], "seven are asked for one by one");
        assert_eq!(covered(&keys, &["acl/*"]), [""; 0], "a folder that may not be listed");
    }

    #[test]
    fn a_folder_with_much_else_in_it_is_not_asked_for() {
        let folder = Query::prefix("a/").unwrap();
        let covered = Covered::from_iter([(Query::key("a/0").unwrap(), folder.clone())]);
        let pair = |i: usize| KeyPair { path: format!("a/{i}"), value: vec![0; 1024], ..KeyPair::default() };
        let holds = |range: std::ops::Range<usize>| {
            holds_too_much(&folder, &Answer::Pairs(range.map(pair).collect()), &covered)
        };
        assert!(!holds(0..257));
        assert!(holds(0..258));
    }

    #[test]
    fn the_answer_is_that_of_the_key_itself() {
        let pair =
            KeyPair { path: "acl/a".into(), key: "a".into(), value: b"x".to_vec(), ..KeyPair::default() };
        let (prefix, there, absent) =
            (Query::prefix("acl").unwrap(), Query::key("acl/a").unwrap(), Query::key("acl/b").unwrap());
        let covered = Covered::from_iter([there.clone(), absent.clone()].map(|key| (key, prefix.clone())));
        let mut known = Answers::default();
        assert_eq!(all_answers(&covered, &known), []);
        known.put(prefix, Answer::Pairs(vec![pair]));
        let mut found: HashMap<_, _> = all_answers(&covered, &known).into_iter().collect();
        let Some(Answer::Key(key)) = found.remove(&there) else { panic!("a key") };
        assert_eq!(key.now.map(|pair| (pair.key, pair.value)), Some(("acl/a".into(), b"x".to_vec())));
        assert_eq!(found.remove(&absent), Some(Answer::Key(KeyAnswer::default())));
    }

    #[test]
    fn many_prefixes_of_a_folder_are_asked_for_together() {
        let prefixes: Vec<String> = (0..8).map(|i| format!("app/{i}*")).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        assert_eq!(covered(&prefixes, &[])[7], "kv.list(app/7) kv.list(app/)");
        assert_eq!(covered(&prefixes[1..], &[]), [""; 0]);
    }

    #[test]
    fn a_folder_with_too_many_is_taken_apart() {
        let keys: Vec<String> = (0..1000).map(|i| format!("hot/{i}")).collect();
        let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        keys.sort_unstable();
        let starts = starts_of_many(&keys);
        let expected: HashSet<String> = (1..10).map(|i| format!("hot/{i}")).collect();
        assert_eq!(starts, expected.iter().map(String::as_str).collect::<HashSet<_>>());
        let accented: Vec<String> = ('\u{e0}'..'\u{1ff}').map(|c| format!("hot/{c}")).collect();
        let accented: Vec<&str> = accented.iter().map(String::as_str).collect();
        assert!(starts_of_many(&accented).iter().all(|start| *start != "hot/"), "cut between characters");
    }

    #[test]
    fn a_change_below_a_prefix_is_handed_to_those_it_concerns() {
        let pair = |path: &str, value: &str| KeyPair {
            path: path.into(),
            key: path.into(),
            value: value.into(),
            ..KeyPair::default()
        };
        let before = Answer::Pairs(vec![pair("a/1", "x"), pair("a/2/b", "x"), pair("a/3", "x")]);
        let now = Answer::Pairs(vec![pair("a/1", "y"), pair("a/2/b", "x"), pair("a/2/c", "x")]);
        let by = Query::prefix("a/").unwrap();
        let texts = ["a/1", "a/2/b", "a/3"].map(|key| Query::key(key).unwrap());
        let covered: Covered = texts
            .into_iter()
            .chain([Query::prefix("a/2").unwrap(), Query::prefix("a/4").unwrap()])
            .map(|query| (query, by.clone()))
            .collect();
        let (mut known, mut fresh) = (Answers::default(), Fresh::default());
        fresh.note(&by, Some(&before), &now);
        known.put(by, now);
        let mut news = answers(fresh, &covered, &known);
        news.sort_by_key(|(query, _)| query.to_string());
        let shown: Vec<String> = news.iter().map(|(query, _)| query.to_string()).collect();
        assert_eq!(shown, ["kv.get(a/1)", "kv.get(a/3)", "kv.list(a/2)"]);
        assert_eq!(news[1].1, Answer::Key(KeyAnswer::default()));
        let Answer::Pairs(pairs) = &news[2].1 else { panic!("pairs") };
        assert_eq!(pairs.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    }
}
