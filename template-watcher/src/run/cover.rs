//! One watch for many keys: a key below a prefix that some template lists needs no question of its own.
//!
//! A template that walks `ls "acl"` and asks `key` for each of them costs one question instead of one per key, and sees
//! all of them as they were at one moment.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    answers::{Answer, Answers, KeyAnswer, KeyPair},
    query::Query,
};

/// Of the questions used, the keys that lie below a prefix among them, each with that prefix.
///
/// A prefix that may not be listed covers nothing: a token may well be allowed to read the key.
pub(super) fn keys_under_prefixes(
    used: &HashSet<&Query>,
    denied: impl Fn(&Query) -> bool,
) -> HashMap<Query, Query> {
    let prefixes: Vec<&Query> = used
        .iter()
        .copied()
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
        let covered = keys_under_prefixes(&used.iter().collect(), |query| denied.contains(query));
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
