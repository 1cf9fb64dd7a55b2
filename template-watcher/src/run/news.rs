//! What comes in: answers and refusals, what they mean for the templates, and which questions are asked.

use std::{collections::HashSet, sync::Arc};

use tokio::time::Instant;

use super::{
    ROUNDS_MAX, RunError, Runner, SETTLE_LIMIT, cover,
    observe::Event,
    share::{self, Shares},
    slot::Slot,
};
use crate::{
    answers::Answer,
    query::Query,
    render::Outcome,
    watch::{Cause, News, What},
};

impl Runner {
    /// Renders what must be rendered, until no answer is known that some template has not seen, and watches what they ask.
    pub(super) fn render_all(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.derive();
            for slot in
                self.slots.iter_mut().filter(|slot| slot.dirty && !(self.config.once && slot.rendered))
            {
                self.asks_else |= slot.render(&self.answers, &self.observers);
            }
            if self.config.parse_only {
                return;
            }
            if std::mem::take(&mut self.asks_else) {
                self.follow();
            }
            if !self.derive() {
                return;
            }
        }
        tracing::warn!(target: "runner", "a template asks other keys each time it is rendered; it goes on with the next change");
    }

    /// Watches what the templates ask, but for what a watched prefix answers.
    fn follow(&mut self) {
        let must_ask = |slot: &Slot, query: &Query| {
            !self.shares.as_ref().is_some_and(|shares| shares.is_told(slot, query))
        };
        let of_slot = |slot| -> Vec<&Query> {
            let slot: &Slot = slot;
            slot.asked.used.iter().filter(|query| must_ask(slot, query)).collect()
        };
        let used: HashSet<&Query> = self.slots.iter().flat_map(of_slot).collect();
        let denied = |query: &Query| matches!(self.failing.get(query), Some(Cause::Denied(_)));
        self.folders = cover::folders_of_many(&used, |folder| self.unsuitable.contains(folder));
        self.folders.retain(|folder| !used.contains(folder));
        self.covered = cover::below_prefixes(&used, &self.folders, denied);
        self.folders.retain(|folder| self.covered.is_prefix(folder));
        let asked = used.into_iter().chain(&self.folders);
        let asked = asked.filter(|query| !self.covered.has(query)).collect();
        self.watches.follow(&asked);
        (self.forgets, self.underived.all) = (true, true);
    }

    /// Answers keys and prefixes from the prefixes that cover them; tells whether something new came of it.
    fn derive(&mut self) -> bool {
        if self.underived.is_empty() {
            return false;
        }
        let news = cover::answers(std::mem::take(&mut self.underived), &self.covered, &self.answers);
        // Not `any`: each must be learned.
        news.into_iter().filter_map(|(key, answer)| self.learn(key, answer).then_some(())).count() > 0
    }

    pub(super) fn forget_unused(&mut self) {
        let (watches, covered) = (&self.watches, &self.covered);
        let is_told = |query: &Query| {
            let tells = |shares: &Shares| self.slots.iter().any(|slot| shares.is_told(slot, query));
            self.shares.as_ref().is_some_and(tells)
        };
        Arc::make_mut(&mut self.answers)
            .retain(|query| watches.is_followed(query) || covered.has(query) || is_told(query));
        self.failing.retain(|query, _| watches.is_followed(query));
    }

    /// Whether every question has been answered or refused, so that all files and commands come in one pass.
    pub(super) fn is_settled(&self) -> bool {
        let is_open = |query: &Query| {
            let asked_as = self.covered.prefix_of(query).unwrap_or(query);
            self.answers.get(query).is_none() && !self.failing.contains_key(asked_as)
        };
        let open = |slot: &Slot| slot.asked.used.iter().any(is_open);
        self.started.elapsed() >= SETTLE_LIMIT || !self.slots.iter().any(open)
    }

    /// Ends the run when a key has been absent for longer than the configuration bears.
    pub(super) fn check_lookups(&mut self) -> Result<(), RunError> {
        if !self.config.err_on_failed_lookup {
            return Ok(());
        }
        let waiting = self.slots.iter().filter(|slot| matches!(slot.outcome, Some(Outcome::Waiting)));
        let missing: HashSet<&Query> = waiting.flat_map(|slot| &slot.asked.missing).collect();
        self.absent.retain(|query, _| missing.contains(query));
        for query in missing {
            if self.answers.get(query).is_some() {
                let since = *self.absent.entry(query.clone()).or_insert_with(Instant::now);
                if since.elapsed() >= self.config.block_query_wait {
                    return Err(RunError::Failed(format!("lookup error: {query} is absent")));
                }
            }
        }
        Ok(())
    }

    /// Takes one piece of news and all others that wait, so that they share one pass.
    pub(super) fn take_all(&mut self, first: News) -> Result<(), RunError> {
        self.take(first)?;
        while let Ok(news) = self.news.try_recv() {
            self.take(news)?;
        }
        Ok(())
    }

    /// Takes in what another watcher has asked.
    pub(super) fn take_shared(&mut self, news: share::News) {
        let Some(shares) = &mut self.shares else { return };
        for (query, answer) in shares.take(news) {
            if self.slots.iter().any(|slot| slot.asked.used.contains(&query)) {
                self.learn(query, answer);
            }
        }
        self.asks_else = true;
    }

    fn take(&mut self, News { query, what }: News) -> Result<(), RunError> {
        if !self.watches.is_followed(&query) {
            return Ok(());
        }
        match what {
            What::Answer(answer, _)
                if self.folders.contains(&query) && cover::holds_too_much(&query, &answer, &self.covered) =>
            {
                self.ask_one_by_one(query);
            }
            What::Failing { cause: Cause::Denied(_), .. } if self.folders.contains(&query) => {
                self.ask_one_by_one(query);
            }
            What::Answer(answer, after_break) => {
                tracing::debug!(target: "watcher", "received {query}");
                self.tell_answered(&query);
                let is_for = |used: &Query| *used == query || self.covered.prefix_of(used) == Some(&query);
                let believes = |slot: &Slot| slot.config.allow_empty && slot.asked.used.iter().any(is_for);
                let believe = self.slots.iter().any(believes);
                let known = self.answers.get(&query).map(Arc::as_ref);
                let answer = if believe {
                    Some(*answer)
                } else {
                    self.guard.admit(&query, known, *answer, after_break, Instant::now())
                };
                match answer {
                    Some(answer) => drop(self.learn(query, answer)),
                    None => {
                        self.observers.tell(Event::Doubted { query: &query, limit: self.config.empty_grace });
                    }
                }
            }
            What::GaveUp(error) if self.must_end_without(&query) => {
                return Err(RunError::Failed(format!("{query}: {error}")));
            }
            What::Failing { error, cause } => self.tell_failing(query, &error, cause),
            What::GaveUp(error) => self.tell_failing(query, &error, Cause::Other(error.clone())),
        }
        Ok(())
    }

    /// Gives up asking for a folder in place of its keys.
    fn ask_one_by_one(&mut self, folder: Query) {
        tracing::debug!(target: "watcher", "{folder} is not cheaper than its keys");
        self.unsuitable.insert(folder);
        self.asks_else = true;
    }

    /// Whether the run ends because a question found no answer as often as permitted. A file that cannot be read never
    /// ends a daemon.
    fn must_end_without(&self, query: &Query) -> bool {
        let once = self.config.once && !self.is_rendered();
        once || (self.config.retry.is_limited && !matches!(query, Query::File { .. }))
    }

    /// Tells that questions find no answer: once for each cause, however many questions share it.
    fn tell_failing(&mut self, query: Query, error: &str, cause: Cause) {
        if !self.failing.values().any(|known| *known == cause) {
            tracing::warn!(target: "watcher", "{query}: {error} (asking again until there is an answer)");
        }
        self.asks_else |= matches!(cause, Cause::Denied(_));
        if !self.failing.contains_key(&query) {
            self.observers.tell(Event::Failing { query: &query, reason: error });
        }
        let before = self.failing.insert(query, cause);
        self.asks_else |= matches!(before, Some(Cause::Denied(_)));
    }

    /// Tells that a cause is gone with the last question that had it.
    fn tell_answered(&mut self, query: &Query) {
        let Some(cause) = self.failing.remove(query) else { return };
        self.observers.tell(Event::AnswersAgain { query });
        self.asks_else |= matches!(cause, Cause::Denied(_));
        if self.failing.values().any(|other| *other == cause) {
            return;
        }
        match cause {
            Cause::Away => tracing::warn!(target: "watcher", "the registry answers again"),
            Cause::Denied(_) | Cause::Other(_) => {
                tracing::warn!(target: "watcher", "{query} is answered again")
            }
        }
    }

    /// Takes an answer in; `false` when it was known.
    pub(super) fn learn(&mut self, query: Query, answer: Answer) -> bool {
        let before = self.answers.known(&query).cloned();
        let new = Arc::make_mut(&mut self.answers).put(query.clone(), answer);
        if new {
            self.touched.look_after(Instant::now());
            let Some(now) = self.answers.known(&query) else { return new };
            let was = before.as_ref().map(|known| known.answer().as_ref());
            if self.covered.is_prefix(&query) {
                self.underived.note(&query, was, now.answer());
            }
            self.observers.tell(Event::Answered { query: &query, before: was, now: now.answer() });
            for slot in &mut self.slots {
                if slot.is_concerned(&query, before.as_ref(), now) {
                    slot.dirty = true;
                    slot.causes.insert(query.clone());
                }
            }
        }
        new
    }
}
