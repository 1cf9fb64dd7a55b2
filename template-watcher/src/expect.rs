//! What must hold before a file changes: `not_empty`, `min_instances`, `max_shrink`, for a template or one of its questions.
//!
//! Pure: an answer is counted, compared with what the configuration expects and with what the present file was made of. A
//! violation keeps the last good file; its text says what is wrong and what would let the new text through.

use std::collections::HashMap;

use crate::{
    answers::{Answer, Answers},
    config::{ExpectConfig, Limits},
    query::Query,
};

/// How many entries each list had when the present file was made.
pub(crate) type Counts = HashMap<Query, usize>;

/// What is known about a new text and the file it would replace.
#[derive(Clone, Copy)]
pub(crate) struct Proposal<'a> {
    pub(crate) text: &'a [u8],
    /// The bytes of the present file; `None` when there is none.
    pub(crate) present: Option<&'a [u8]>,
    /// The questions the text was made from.
    pub(crate) used: &'a [&'a Query],
    pub(crate) answers: &'a Answers,
    /// The counts of the present file; `None` when this process has not made it.
    pub(crate) counts: Option<&'a Counts>,
}

/// Why a text may not replace the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// What is wrong, and what would permit it.
    pub(crate) reason: String,
    /// Whether more data may heal it, as with an absent key; a list that shrank is not waited for.
    pub(crate) is_too_few: bool,
}

/// The number of entries of each list that a text was made from.
pub(crate) fn counts<'a>(used: impl IntoIterator<Item = &'a Query>, answers: &Answers) -> Counts {
    let count = |query: &Query| Some((query.clone(), entries(answers.get(query)?)?));
    used.into_iter().filter_map(count).collect()
}

/// The first thing that a template does not permit; `None` when all is as it expects.
pub(crate) fn violation(expect: &ExpectConfig, proposal: &Proposal<'_>) -> Option<Violation> {
    if !expect.is_any() {
        return None;
    }
    if expect.all.not_empty && proposal.text.trim_ascii().is_empty() {
        let reason = "the text is empty, and not_empty is set (not_empty = false lets it through)";
        return Some(Violation { reason: reason.to_owned(), is_too_few: true });
    }
    let of_query = |query: &&Query| {
        let now = entries(proposal.answers.get(query)?)?;
        of_list(query, now, proposal.counts.and_then(|counts| counts.get(*query)).copied(), &expect.of(query))
    };
    proposal.used.iter().find_map(of_query).or_else(|| of_lines(expect, proposal))
}

fn of_list(query: &Query, now: usize, before: Option<usize>, limits: &Limits) -> Option<Violation> {
    let too_few = |reason| Some(Violation { reason, is_too_few: true });
    if limits.not_empty && now == 0 {
        return too_few(format!(
            "{query} is empty, and not_empty is set (not_empty = false lets it through)"
        ));
    }
    if let Some(least) =
        limits.min_instances.filter(|least| now < *least && matches!(query, Query::Service { .. }))
    {
        return too_few(format!(
            "{query} has {now} of at least {least} instances (min_instances = {now} lets it through)"
        ));
    }
    let (before, most) = (before?, limits.max_shrink?);
    let lost = shrunk_percent(before, now);
    (lost > most).then(|| Violation {
        reason: format!(
            "{query} shrank from {before} to {now} entries, {lost} percent, and max_shrink is {most} \
             (max_shrink = {lost} lets it through, and so does removing the file)"
        ),
        is_too_few: false,
    })
}

/// A file that another process made is compared by its lines: nobody knows what lists it was made of.
fn of_lines(expect: &ExpectConfig, proposal: &Proposal<'_>) -> Option<Violation> {
    let (None, Some(present), Some(most)) = (proposal.counts, proposal.present, expect.all.max_shrink) else {
        return None;
    };
    let (before, now) = (lines(present), lines(proposal.text));
    let lost = shrunk_percent(before, now);
    (lost > most).then(|| Violation {
        reason: format!(
            "the text would shrink from {before} to {now} lines, {lost} percent, since the watcher before this one, and \
             max_shrink is {most} (max_shrink = {lost} lets it through, and so does removing the file)"
        ),
        is_too_few: false,
    })
}

fn lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
}

/// How much was lost, in percent, rounded up; nothing when it grew.
fn shrunk_percent(before: usize, now: usize) -> u32 {
    let lost = before.saturating_sub(now);
    u32::try_from((lost * 100).div_ceil(before.max(1))).unwrap_or(u32::MAX)
}

/// How many entries an answer has; `None` for what is no list.
pub(crate) fn entries(answer: &Answer) -> Option<usize> {
    match answer {
        Answer::Pairs(list) => Some(list.iter().filter(|pair| pair.is_leaf()).count()),
        Answer::Instances(list) => Some(list.len()),
        Answer::Services(list) => Some(list.len()),
        Answer::Nodes(list) => Some(list.len()),
        Answer::Datacenters(list) => Some(list.len()),
        Answer::Node(node) => Some(node.services.len()),
        Answer::Documents(list) => Some(list.len()),
        Answer::Key(_) | Answer::File(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::HealthService;

    fn web() -> Query {
        Query::service("web").unwrap()
    }

    /// What is said of a service with `now` instances whose file was made with `before`, under these limits.
    fn said(limits: Limits, now: usize, before: Option<usize>) -> Option<String> {
        let query = web();
        let mut answers = Answers::default();
        answers.put(query.clone(), Answer::Instances(vec![HealthService::default(); now]));
        let counts = before.map(|before| Counts::from([(query.clone(), before)]));
        let expect = ExpectConfig { all: limits, ..ExpectConfig::default() };
        let proposal = Proposal {
            text: b"x",
            present: Some(b"1\n2\n3\n4\n"),
            used: &[&query],
            answers: &answers,
            counts: counts.as_ref(),
        };
        violation(&expect, &proposal).map(|violation| violation.reason)
    }

    #[test]
    fn lists_are_counted() {
        let none = Limits::default();
        assert_eq!(said(none.clone(), 0, Some(9)), None);
        let not_empty = Limits { not_empty: true, ..none.clone() };
        assert_eq!(said(not_empty.clone(), 1, None), None);
        assert!(said(not_empty, 0, None).unwrap().starts_with("health.service(web|passing) is empty"));
        let two = Limits { min_instances: Some(2), ..none.clone() };
        assert_eq!(said(two.clone(), 2, None), None);
        assert!(said(two, 1, None).unwrap().contains("has 1 of at least 2 instances"));
        let half = Limits { max_shrink: Some(50), ..none };
        assert_eq!(said(half.clone(), 5, Some(10)), None);
        assert_eq!(said(half.clone(), 20, Some(10)), None);
        let told = said(half.clone(), 3, Some(10)).unwrap();
        assert!(
            told.contains("from 10 to 3 entries, 70 percent, and max_shrink is 50 (max_shrink = 70 lets"),
            "{told}"
        );
        let told = said(half, 3, None).unwrap();
        assert!(told.contains("from 4 to 1 lines, 75 percent"), "{told}");
    }

    #[test]
    fn one_question_may_have_limits_of_its_own() {
        let two = Limits { min_instances: Some(2), ..Limits::default() };
        let none = Limits::default();
        for (name, held) in [("web", true), ("health.service(web|passing)", true), ("db", false)] {
            let expect = ExpectConfig { all: none.clone(), one: vec![(name.to_owned(), two.clone())] };
            let mut answers = Answers::default();
            answers.put(web(), Answer::Instances(Vec::new()));
            let proposal =
                Proposal { text: b"x", present: None, used: &[&web()], answers: &answers, counts: None };
            assert_eq!(violation(&expect, &proposal).is_some(), held, "{name}");
        }
    }
}
