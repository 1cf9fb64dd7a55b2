//! Templates of the watcher in both languages with all functions: reading and rendering ends without a panic, in bounded time
//! and output; and when data change of which a rendering has read nothing, its text stays the same.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use template_watcher::{
    answers::{Answers, Asked, Surroundings},
    offline::Fixture,
    render::{Body, Outcome, render},
    syntax::{Bounds, Options, Syntax, Template},
};

const BOUNDS: Bounds = Bounds { steps_max: 2_000, output_bytes_max: 1 << 16 };

const DATA: &str = r#"{"datacenter":"dc1","agent":"n1","time":"2026-03-07T09:05:01Z","kv":{"a/b":"1","a/c/d":"x","j":"{\"a\":[1]}"},
"services":{"web":[{"id":"1","node":"n1","address":"10.0.0.1","port":80,"tags":["t"],"meta":{"w":"1"}},
{"id":"2","node":"n2","port":81,"checks":[{"Node":"n2","CheckID":"c","Name":"c","Status":"passing","Output":"one"}]}]},
"nodes":[{"node":"n1","address":"10.0.0.1","meta":{"r":"1"}}],"files":{"/f":"text"}}"#;

/// The two fixtures: the second differs in a value, a port, a meta pair, and what a check says.
static FIXTURES: LazyLock<[Fixture; 2]> = LazyLock::new(|| {
    let other = DATA
        .replace(r#""a/c/d":"x""#, r#""a/c/d":"y""#)
        .replace(r#""port":81"#, r#""port":82"#)
        .replace(r#""w":"1""#, r#""w":"2""#)
        .replace("one", "two")
        .replace(r#""r":"1""#, r#""r":"2""#);
    [DATA, &other].map(|text| Fixture::parse(text, true).expect("the text is a fixture"))
});

/// Renders until nothing more is asked.
fn rendered(template: &dyn Body, fixture: &Fixture) -> (Answers, Asked, Outcome) {
    let denied = ["plugin", "writeToFile", "spew_dump", "spew_printf", "sockaddr"].map(str::to_owned);
    let like = Surroundings { denied_functions: denied.into(), ..Surroundings::default() };
    let surroundings = Arc::new(fixture.surroundings(&like));
    let mut answers = Answers::default();
    for _ in 0..6 {
        let (asked, outcome) = render(template, &Arc::new(answers.clone()), &surroundings);
        let mut is_new = false;
        for query in asked.missing.iter() {
            if answers.get(query).is_none()
                && let Ok(answer) = fixture.answer(query)
            {
                is_new |= answers.put(query.clone(), answer);
            }
        }
        if !is_new {
            return (answers, asked, outcome);
        }
    }
    (answers, Asked::default(), Outcome::Waiting)
}

fuzz_target!(|input: &[u8]| {
    let Some((language, source)) = input.split_first() else { return };
    let syntax = if language % 4 == 0 { Syntax::Jinja } else { Syntax::Go };
    let options = Options { bounds: BOUNDS, error_on_missing_key: language & 4 != 0, ..Options::default() };
    let Ok(template) = Template::compile(syntax, source, "t", &options) else { return };
    let [one, two] = &*FIXTURES;
    let (before, asked, outcome) = rendered(&template, one);
    let Outcome::Text(text) = &outcome else { return };
    let (after, _, other) = rendered(&template, two);
    let changed = |query| match (before.known(query), after.known(query)) {
        (before, Some(now)) => asked.is_changed_by(query, before, now),
        (_, None) => true,
    };
    if !asked.used.iter().any(changed) {
        assert_eq!(Outcome::Text(text.clone()), other, "data of which nothing was read made a difference");
    }
});
