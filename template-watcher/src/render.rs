//! Rendering: a template and the answers known give a text, or a reason why not yet.
//!
//! Pure but for the functions whose very purpose is an effect. An error while an answer is missing means nothing: the
//! next answer may well take its cause away.

use std::sync::Arc;

use crate::answers::{Answers, Asked, Scope, Surroundings};

/// A template that has been read and can be rendered again and again, of whatever language.
pub trait Body: Send + Sync {
    /// Renders once. Errors say where and why; what was rendered until then is dropped.
    fn render(&self, scope: &Scope) -> Result<Vec<u8>, String>;
}

/// What came of a rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole text.
    Text(Vec<u8>),
    /// Answers are missing; [`Asked::missing`] names them.
    Waiting,
    /// The template cannot be read at all.
    Unreadable(String),
    /// The template is wrong, or the data are.
    Failed(String),
}

/// Renders a template against the answers known.
///
/// Programs are run and files written only when no answer is missing. What a program prints may say what is asked next, so
/// it is rehearsed with two things that it might print: what both ask is asked in any case.
pub fn render(body: &dyn Body, answers: &Arc<Answers>, surroundings: &Arc<Surroundings>) -> (Asked, Outcome) {
    let rehearse = |stand_in| Scope::rehearsal(Arc::clone(answers), Arc::clone(surroundings), stand_in);
    let scope = rehearse("");
    let (mut asked, outcome) = once(body, &scope);
    if !scope.has_held_back() {
        return (asked, outcome);
    }
    let (other, _) = once(body, &rehearse("rehearsed"));
    asked.missing.retain(|query| other.missing.contains(query));
    if !asked.missing.is_empty() {
        return (asked, Outcome::Waiting);
    }
    once(body, &Scope::new(Arc::clone(answers), Arc::clone(surroundings)))
}

fn once(body: &dyn Body, scope: &Scope) -> (Asked, Outcome) {
    let rendered = body.render(scope);
    let asked = scope.asked();
    let outcome = match rendered {
        _ if !asked.missing.is_empty() => Outcome::Waiting,
        Ok(text) => Outcome::Text(text),
        Err(reason) => Outcome::Failed(reason),
    };
    (asked, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answers::{Answer, KeyAnswer},
        query::Query,
    };

    struct Needs(&'static str, Result<&'static str, &'static str>);

    impl Body for Needs {
        fn render(&self, scope: &Scope) -> Result<Vec<u8>, String> {
            if !self.0.is_empty() {
                scope.ask(&Query::key(self.0).unwrap());
            }
            self.1.map(Into::into).map_err(Into::into)
        }
    }

    fn outcome(body: &Needs, answers: &Arc<Answers>) -> Outcome {
        render(body, answers, &Arc::default()).1
    }

    #[test]
    fn errors_count_only_when_nothing_is_missing() {
        let none = Arc::new(Answers::default());
        assert_eq!(outcome(&Needs("", Ok("x")), &none), Outcome::Text(b"x".to_vec()));
        assert_eq!(outcome(&Needs("", Err("no")), &none), Outcome::Failed("no".into()));
        assert_eq!(outcome(&Needs("a", Ok("x")), &none), Outcome::Waiting);
        assert_eq!(outcome(&Needs("a", Err("no")), &none), Outcome::Waiting);
        let mut some = Answers::default();
        some.put(Query::key("a").unwrap(), Answer::Key(KeyAnswer::default()));
        assert_eq!(outcome(&Needs("a", Err("no")), &Arc::new(some)), Outcome::Failed("no".into()));
    }

    /// Has an effect that gives `b`, and asks for a key that it was told and one that the effect gives.
    struct Acts(std::sync::atomic::AtomicUsize);

    impl Body for Acts {
        fn render(&self, scope: &Scope) -> Result<Vec<u8>, String> {
            let given = scope.hold_back().unwrap_or_else(|| {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                "b"
            });
            scope.ask(&Query::key(&format!("of/{given}")).unwrap());
            scope.ask(&Query::key("a").unwrap());
            Ok(given.into())
        }
    }

    #[test]
    fn effects_wait_until_all_that_does_not_come_from_them_is_known() {
        let body = Acts(Default::default());
        let mut answers = Answers::default();
        let mut step = |key: &str, expected: Outcome, acted: usize, missing: &[&str]| {
            if !key.is_empty() {
                answers.put(Query::key(key).unwrap(), Answer::Key(KeyAnswer::default()));
            }
            let (asked, outcome) = render(&body, &Arc::new(answers.clone()), &Arc::default());
            let missing = missing.iter().map(|key| Query::key(key).unwrap()).collect();
            assert_eq!((outcome, asked.missing), (expected, missing));
            assert_eq!(body.0.load(std::sync::atomic::Ordering::Relaxed), acted);
        };
        step("", Outcome::Waiting, 0, &["a"]);
        step("a", Outcome::Waiting, 1, &["of/b"]);
        step("of/b", Outcome::Text(b"b".to_vec()), 2, &[]);
    }
}
