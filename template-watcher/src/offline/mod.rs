//! Rendering without a registry: a fixture answers what templates ask, and what a registry answered becomes a fixture.
//!
//! The engine is the one that runs beside a registry; only the answers come from a file. Nothing is written and no variable
//! of the process is seen.

mod fixture;
mod instance;
mod record;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use fixture::{Fixture, FixtureError};
pub(crate) use record::record;

use crate::{
    answers::{Answers, Surroundings},
    query::Query,
    render::{Body, Outcome, render},
};

/// How often a template is rendered because an answer made it ask for more.
const ROUNDS_MAX: usize = 64;

/// What functions see in place of this machine.
#[derive(Clone, Debug, Default)]
pub struct Offline {
    /// The time; that of the machine when none is given.
    pub time: Option<DateTime<Utc>>,
}

/// Renders a template from a fixture.
///
/// Errors when the template fails, when it asks what the fixture does not know, and when it would wait for what is absent.
pub fn render_from(
    body: &dyn Body,
    fixture: &Fixture,
    surroundings: &Arc<Surroundings>,
) -> Result<Vec<u8>, String> {
    let mut answers = Answers::default();
    for _ in 0..ROUNDS_MAX {
        let (asked, outcome) = render(body, &Arc::new(answers.clone()), surroundings);
        let open: Vec<&Query> = asked.missing.iter().filter(|query| answers.get(query).is_none()).collect();
        if open.is_empty() {
            return match outcome {
                Outcome::Text(text) => Ok(text),
                Outcome::Unreadable(reason) | Outcome::Failed(reason) => Err(reason),
                Outcome::Waiting => Err(absent(asked.missing.iter())),
            };
        }
        for query in open {
            let answer = fixture.answer(query).map_err(|error| format!("{query}: {error}"))?;
            answers.put(query.clone(), answer);
        }
    }
    Err(format!("the template still asks other questions after {ROUNDS_MAX} rounds"))
}

fn absent<'a>(missing: impl Iterator<Item = &'a Query>) -> String {
    let names: Vec<String> = missing.map(ToString::to_string).collect();
    format!("the template would wait for what the fixture does not have: {}", names.join(", "))
}
