//! Asks a registry once what a template wants to know, and makes a fixture of it.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use crate::{
    answers::{Answer, Answers},
    config::{Config, template_of_file},
    offline::{Fixture, record},
    query::Query,
    render::render,
    run::watches,
    source,
    watch::{News, Watches, What},
};

/// How long the registry may take for all of one template's questions.
const LIMIT: Duration = Duration::from_secs(30);

/// The answers to all that a template asks at this moment.
///
/// Errors when the registry does not answer, and when the template would wait for something absent.
pub(super) fn ask(template: &Path, config: &Config) -> Result<Fixture, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let template = template_of_file(template.to_owned());
    let name = template.source.name();
    let text = source::text(&template.source)?;
    let body = source::body(&template, &text)?;
    let surroundings = source::surroundings(&template, &config.environment);
    // As with -once: the questions are not repeated for ever.
    let config = Config { once: true, ..config.clone() };
    let asked = async {
        let (watches, news) = watches(&config).map_err(|error| error.to_string())?;
        let mut asking = Asking { watches, news, answers: Answers::default() };
        loop {
            let (asked, _) = render(body.as_ref(), &Arc::new(asking.answers.clone()), &surroundings);
            let open: HashSet<&Query> =
                asked.missing.iter().filter(|query| asking.answers.get(query).is_none()).collect();
            if open.is_empty() {
                let used: Vec<_> =
                    asked.used.iter().filter_map(|q| Some((q, asking.answers.get(q)?))).collect();
                return Ok(record(used.iter().map(|(query, answer)| (*query, answer.as_ref()))));
            }
            asking.learn(&open).await?;
        }
    };
    let asked = runtime.block_on(async { timeout(LIMIT, asked).await });
    runtime.shutdown_background();
    asked
        .unwrap_or_else(|_| Err("the registry did not answer in time".to_owned()))
        .map_err(|reason| format!("{name}: {reason}"))
}

struct Asking {
    watches: Watches,
    news: mpsc::Receiver<News>,
    answers: Answers,
}

impl Asking {
    /// Waits for the answers to some questions.
    async fn learn(&mut self, open: &HashSet<&Query>) -> Result<(), String> {
        self.watches.follow(open);
        let mut left = open.len();
        while left > 0 {
            let Some(News { query, what }) = self.news.recv().await else { return Ok(()) };
            match what {
                What::Answer(answer, _) => {
                    left -= usize::from(self.answers.get(&query).is_none());
                    let answer: Answer = *answer;
                    self.answers.put(query, answer);
                }
                What::Failing { error, .. } | What::GaveUp(error) => return Err(format!("{query}: {error}")),
            }
        }
        Ok(())
    }
}
