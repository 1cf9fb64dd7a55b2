//! One watch for many keys: a key below a prefix that some template lists needs no question of its own, and many keys of one
//! folder are asked for as that folder.
//!
//! A template that walks `ls "acl"` and asks `key` for each of them costs one question instead of one per key, and sees
//! all of them as they were at one moment.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use crate::{
    answers::{Answer, Answers, KeyAnswer, KeyPair},
    query::{Query, Region},
};

/// How many keys of a folder make it worth asking for the folder; with more of them each change would carry too much.
const GATHERED: RangeInclusive<usize> = 8..=256;

/// What a folder may hold beside the keys asked for, in keys and bytes, before they are asked for one by one again.
const BESIDE_MAX: (usize, usize) = (256, 256 * 1024);

/// The folders that are asked for in place of their keys, as prefixes with a slash at the end: the deepest that have enough
/// of the keys asked for. Those that `refused` accepts are left out.
pub(super) fn folders_of_many(used: &HashSet<&Query>, refused: impl Fn(&Query) -> bool) -> HashSet<Query> {
    let keys = used.iter().filter_map(|query| match query {
        Query::Key { path, region } => Some((path.as_str(), region)),
        _ => None,
    });
    let keys: Vec<(&str, &Region)> = keys.collect();
    let mut members: HashMap<(&str, &Region), usize> = HashMap::new();
    for (path, region) in &keys {
        folders_above(path).for_each(|folder| *members.entry((folder, region)).or_default() += 1);
    }
    let gathers = |folder: &str, region: &Region| {
        let folder_asked = Query::Prefix { prefix: folder.to_owned(), region: region.clone() };
        let enough = members.get(&(folder, region)).is_some_and(|count| GATHERED.contains(count));
        (enough && !refused(&folder_asked)).then_some(folder_asked)
    };
    let of_key =
        |(path, region): &(&str, &Region)| folders_above(path).find_map(|folder| gathers(folder, region));
    keys.iter().filter_map(of_key).collect()
}

/// The folders that a key is in, the deepest first, each with its slash.
fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..=at]).filter(|folder| folder.len() > 1)
}

/// Whether a folder holds so much beside the keys that are asked for that they are cheaper one by one.
pub(super) fn holds_too_much(folder: &Query, answer: &Answer, covered: &HashMap<Query, Query>) -> bool {
    let Answer::Pairs(pairs) = answer else { return false };
    let asked: HashSet<&str> =
        covered.iter().filter(|(_, prefix)| *prefix == folder).filter_map(|(key, _)| key.name()).collect();
    let beside = pairs.iter().filter(|pair| !asked.contains(pair.path.as_str()));
    let (count, bytes) = beside.fold((0, 0), |(count, bytes), pair| (count + 1, bytes + pair.value.len()));
    let (count_max, bytes_max) = BESIDE_MAX;
    count > count_max || bytes > bytes_max
}

/// Of the questions used, the keys that lie below a prefix among them or one of `folders`, each with that prefix.
///
/// A prefix that may not be listed covers nothing: a token may well be allowed to read the key.
pub(super) fn keys_under_prefixes(
    used: &HashSet<&Query>,
    folders: &HashSet<Query>,
    denied: impl Fn(&Query) -> bool,
) -> HashMap<Query, Query> {
    let prefixes: Vec<&Query> = used
        .iter()
        .copied()
        .chain(folders)
        .filter(|query| matches!(query, Query::Prefix { .. }) && !denied(query))
        .collect();
    let covering = |key: &Query| {
        let above = prefixes.iter().copied().filter(|prefix| covers(prefix, key));
        above.min_by_key(|prefix| prefix.to_string().len()).cloned()
    };
    used.iter().filter_map(|key| Some(((*key).clone(), covering(key)?))).collect()
}

fn covers(prefix: &Query, key: &Query) -> bool {
    match (prefix, key) {
        (Query::Prefix { prefix, region: here }, Query::Key { path, region: there }) => {
            here == there && path.starts_with(prefix.as_str())
        }
        _ => false,
    }
}

/// The answers for covered keys whose prefix has been answered.
pub(super) fn answers(covered: &HashMap<Query, Query>, known: &Answers) -> Vec<(Query, Answer)> {
    // By path, because a list of thousands may cover thousands of keys.
    let mut lists: HashMap<&Query, HashMap<&str, &KeyPair>> = HashMap::new();
    let mut found = Vec::new();
    for (key, prefix) in covered {
        let (Query::Key { path, .. }, Some(Answer::Pairs(pairs))) = (key, known.get(prefix).map(Arc::as_ref))
        else {
            continue;
        };
        let list = lists
            .entry(prefix)
            .or_insert_with(|| pairs.iter().map(|pair| (pair.path.as_str(), pair)).collect());
        found.push((key.clone(), key_answer(path, list.get(path.as_str()).copied())));
    }
    found
}

fn key_answer(path: &str, pair: Option<&KeyPair>) -> Answer {
    let now = pair.map(|pair| KeyPair { key: path.trim_start_matches('/').to_owned(), ..pair.clone() });
    Answer::Key(KeyAnswer { now, last: None })
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
        let covered = keys_under_prefixes(&used, &folders, |query| denied.contains(query));
        let mut shown: Vec<String> = covered.iter().map(|(key, prefix)| format!("{key} {prefix}")).collect();
        shown.sort();
        shown
    }

    #[test]
    fn keys_below_a_listed_prefix_are_covered() {
        let texts = ["acl*", "acl/a/host", "aclx", "other", "acl/a@dc2", "acl/a*"];
        assert_eq!(covered(&texts, &[]), ["kv.get(acl/a/host) kv.list(acl)", "kv.get(aclx) kv.list(acl)"]);
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
        let covered = HashMap::from([(Query::key("a/0").unwrap(), folder.clone())]);
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
        let covered = HashMap::from([there.clone(), absent.clone()].map(|key| (key, prefix.clone())));
        let mut known = Answers::default();
        assert_eq!(answers(&covered, &known), []);
        known.put(prefix, Answer::Pairs(vec![pair]));
        let mut found: HashMap<_, _> = answers(&covered, &known).into_iter().collect();
        let Some(Answer::Key(key)) = found.remove(&there) else { panic!("a key") };
        assert_eq!(key.now.map(|pair| (pair.key, pair.value)), Some(("acl/a".into(), b"x".to_vec())));
        assert_eq!(found.remove(&absent), Some(Answer::Key(KeyAnswer::default())));
    }
}
