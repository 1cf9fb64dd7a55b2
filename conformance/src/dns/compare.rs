//! Compares a reply with what was recorded.

use std::collections::{BTreeMap, HashSet};

use super::{
    scenario::{Count, Expect, Section},
    wire::Reply,
};

/// A reply and what the pretend name servers were asked meanwhile; `None` when nothing came back.
pub type Got = Option<(Reply, BTreeMap<String, Vec<String>>)>;

/// One line for each thing that differs; whether the answers' order changes is judged elsewhere.
pub fn differences(want: &Expect, got: &Got) -> Vec<String> {
    let silent = want.reply.as_deref() == Some("none");
    let Some((reply, seen)) = got else {
        return if silent { Vec::new() } else { vec!["no reply".into()] };
    };
    if silent {
        return vec![format!("wanted no reply, got {}", reply.rcode)];
    }
    let mut all = Vec::new();
    let mut same = |what: &str, want: String, got: String| {
        if want != got {
            all.push(format!("{what}: wanted {want}, got {got}"));
        }
    };
    same("rcode", want.rcode.clone(), reply.rcode.clone());
    same("opcode", want.opcode.to_string(), reply.opcode.to_string());
    same("flags", want.flags.join(" "), reply.flags.join(" "));
    same("question", want.question.join(", "), reply.question.join(", "));
    same("edns", want.edns.to_string(), reply.edns.to_string());
    if let Some(compressed) = want.compressed {
        same("compressed", compressed.to_string(), reply.compressed.to_string());
    }
    if let Some(want) = &want.seen {
        same("seen", format!("{want:?}"), format!("{seen:?}"));
    }
    let sections = [&want.answer, &want.authority, &want.additional];
    for ((name, want), got) in
        ["answer", "authority", "additional"].into_iter().zip(sections).zip(&reply.sections)
    {
        all.extend(section(want, got).map(|text| format!("{name}: {text}")));
    }
    all
}

fn section(want: &Section, got: &[String]) -> Option<String> {
    match want {
        Section::Exact(want) if want == got => None,
        Section::Exact(want) => Some(format!("wanted {want:?}, got {got:?}")),
        Section::AnyOrder { any_order } if sorted(any_order) == sorted(got) => None,
        Section::AnyOrder { any_order } => Some(format!("wanted in any order {any_order:?}, got {got:?}")),
        Section::AnyOf { any_n_of, n, repeats } => {
            let (least, most) = match *n {
                Count::Exactly(n) => (n, n),
                Count::Between(least, most) => (least, most),
            };
            let strange: Vec<_> = got.iter().filter(|record| !any_n_of.contains(record)).collect();
            let distinct = got.iter().collect::<HashSet<_>>().len() == got.len();
            let fine = strange.is_empty() && (least..=most).contains(&got.len()) && (distinct || *repeats);
            (!fine).then(|| {
                format!(
                    "wanted {least} to {most} of {}, got {}, unknown: {strange:?}",
                    any_n_of.len(),
                    got.len()
                )
            })
        }
    }
}

fn sorted(records: &[String]) -> Vec<&String> {
    let mut records: Vec<_> = records.iter().collect();
    records.sort();
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn sections_are_exact_unordered_or_a_choice() {
        let exact = Section::Exact(texts(&["a", "b"]));
        assert!(
            section(&exact, &texts(&["a", "b"])).is_none() && section(&exact, &texts(&["b", "a"])).is_some()
        );
        let unordered = Section::AnyOrder { any_order: texts(&["a", "b"]) };
        assert!(section(&unordered, &texts(&["b", "a"])).is_none());
        assert!(section(&unordered, &texts(&["b", "b"])).is_some());
        let choice =
            |repeats| Section::AnyOf { any_n_of: texts(&["a", "b", "c"]), n: Count::Between(1, 2), repeats };
        assert!(section(&choice(false), &texts(&["c", "a"])).is_none());
        assert!(section(&choice(true), &texts(&["a", "a"])).is_none());
        for wrong in [&["a", "a"][..], &["d"], &[], &["a", "b", "c"]] {
            assert!(section(&choice(false), &texts(wrong)).is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn silence_is_judged_too() {
        let none = Expect { reply: Some("none".into()), ..Expect::default() };
        assert!(differences(&none, &None).is_empty());
        assert_eq!(differences(&none, &Some(Default::default())).len(), 1);
        assert_eq!(differences(&Expect::default(), &None), ["no reply"]);
    }
}
