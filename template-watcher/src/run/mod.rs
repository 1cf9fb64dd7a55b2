//! The loop: news come in, templates that used them are rendered, files are swapped, commands run.
//!
//! After a good start nothing ends a daemon but its signals and its child: a template that fails, a refused candidate, a
//! failing command or an absent registry leave the last good file in place, are told once, and are tried again.

mod actions;
mod child;
mod cover;
mod deliver;
mod slot;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use daemon::{Exit, Shutdown};
use nix::sys::signal::Signal;
use registry_client::{Client, WatchSettings};
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    action::{self, Host},
    answers::{Answer, Answers},
    config::{Config, ConfigError},
    guard::Guard,
    query::Query,
    render::Outcome,
    watch::{Cause, News, Watches, What},
};
use actions::Actions;
use child::Kept;
use slot::Slot;

/// How long the first files wait for questions that nobody has answered or refused yet: long enough for a slow agent,
/// short enough that a hanging one does not hold back what is known.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// How often templates are rendered on end because a prefix answers a key they have just asked: enough for keys whose
/// names come from keys, and an end for a template that asks for another key by chance each time.
const ROUNDS_MAX: u32 = 64;

/// How long files must be left alone before they are read again: editors write in several steps.
const FILES_QUIET: Duration = Duration::from_millis(300);

/// Why a run ended; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// Something at run time: a template, a command, a write, the registry.
    #[error("{0}")]
    Failed(String),
    /// The configuration cannot be followed on this machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Reads the configuration again.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// A signal of the process.
    Signal(Signal),
    /// A watched file changed.
    FilesChanged,
}

/// Runs a watcher inside another program until `shutdown`; signals and output streams stay the other program's.
///
/// Errors when the watcher cannot start, or with `once` when it fails.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<Exit, RunError> {
    let mut runner = Runner::start(config, Host::default()).await?;
    // The sender is kept, so that the channel is silent instead of closed.
    let (_silent, mut controls) = mpsc::channel(1);
    runner.run(&shutdown, &mut controls, None).await
}

/// All that the loop knows.
pub(crate) struct Runner {
    config: Config,
    host: Host,
    slots: Vec<Slot>,
    answers: Arc<Answers>,
    watches: Watches,
    news: mpsc::Receiver<News>,
    guard: Guard,
    /// Whether the templates ask something else than what is watched, or a question was denied or permitted.
    asks_else: bool,
    /// Whether answers may be known that nobody asks for any more.
    forgets: bool,
    /// Keys that are answered by the prefix above them, and that prefix.
    covered: HashMap<Query, Query>,
    /// Questions that find no answer at the moment.
    failing: HashMap<Query, Cause>,
    /// Since when a key that is asked for is absent; kept for `err_on_failed_lookup` alone.
    absent: HashMap<Query, Instant>,
    actions: Actions,
    child: Option<Kept>,
    started: Instant,
    settled: bool,
    /// When watched files have been left alone for long enough.
    read_again: Option<Instant>,
    /// Called once, when all templates are rendered for the first time.
    ready: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Runner {
    /// Reads the templates and finds the units; nothing is asked or written yet.
    ///
    /// Errors when a template cannot be read, a unit cannot be found, or the registry's settings cannot be used.
    pub(crate) async fn start(config: Config, host: Host) -> Result<Self, RunError> {
        let slots = slots(&config, &host).await?;
        let (watches, news) = watches(&config)?;
        let child = config.exec.clone().map(|exec| Kept::new(exec, &config.environment));
        Ok(Self {
            guard: Guard::new(config.empty_grace),
            host,
            slots,
            answers: Arc::default(),
            watches,
            news,
            asks_else: true,
            forgets: false,
            covered: HashMap::new(),
            failing: HashMap::new(),
            absent: HashMap::new(),
            actions: Actions::default(),
            child,
            started: Instant::now(),
            settled: false,
            read_again: None,
            ready: None,
            config,
        })
    }

    /// Says what to do once all templates are rendered for the first time.
    pub(crate) fn when_ready(&mut self, tell: impl FnOnce() + Send + Sync + 'static) {
        self.ready = Some(Box::new(tell));
    }

    /// The loop. It ends by `shutdown`, a signal, the child, or when `once` has done its work.
    pub(crate) async fn run(
        &mut self,
        shutdown: &Shutdown,
        controls: &mut mpsc::Receiver<Control>,
        reread: Option<Reread>,
    ) -> Result<Exit, RunError> {
        loop {
            self.pass().await?;
            if self.is_finished() {
                return Ok(Exit::Success);
            }
            let wake = self.deadline();
            tokio::select! {
                () = shutdown.requested() => {
                    self.stop().await;
                    return Ok(Exit::Interrupted);
                }
                Some(news) = self.news.recv() => self.take_all(news)?,
                done = self.actions.next() => self.actions.judge(done, self.config.once)?,
                exit = child::ended(&mut self.child) => return Ok(exit),
                Some(control) = controls.recv() => {
                    if let Some(exit) = self.control(control, reread.as_ref()).await {
                        return Ok(exit);
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
            self.wake_up();
            if self.read_again.is_some_and(|at| at <= Instant::now()) {
                self.reload(reread.as_ref()).await;
            }
        }
    }

    /// Renders what must be rendered, then writes in the order of the templates, then queues commands.
    async fn pass(&mut self) -> Result<(), RunError> {
        self.render_all();
        if !self.config.parse_only {
            if !self.settled {
                self.settled = self.is_settled();
            }
            if !self.settled {
                return Ok(());
            }
            if std::mem::take(&mut self.forgets) {
                self.forget_unused();
            }
            self.check_lookups()?;
        }
        let mut written = false;
        for index in 0..self.slots.len() {
            written |= self.deliver(index).await?;
        }
        self.actions.start();
        let all = self.is_rendered();
        if all && let Some(tell) = self.ready.take() {
            tell();
        }
        if let Some(child) = &mut self.child {
            if all && !child.is_started() {
                child.start().map_err(RunError::Failed)?;
            } else if written {
                child.reload().await.map_err(RunError::Failed)?;
            }
        }
        Ok(())
    }

    /// Renders what must be rendered, until no answer is known that some template has not seen, and watches what they ask.
    fn render_all(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.derive();
            for slot in
                self.slots.iter_mut().filter(|slot| slot.dirty && !(self.config.once && slot.rendered))
            {
                self.asks_else |= slot.render(&self.answers);
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

    /// Watches what the templates ask, but for the keys that a watched prefix answers.
    fn follow(&mut self) {
        let used: HashSet<&Query> = self.slots.iter().flat_map(|slot| &slot.asked.used).collect();
        let denied = |query: &Query| matches!(self.failing.get(query), Some(Cause::Denied(_)));
        self.covered = cover::keys_under_prefixes(&used, denied);
        let asked = used.into_iter().filter(|query| !self.covered.contains_key(query)).collect();
        self.watches.follow(&asked);
        self.forgets = true;
    }

    /// Answers keys from the prefixes that cover them; tells whether something new came of it.
    fn derive(&mut self) -> bool {
        let news = cover::answers(&self.covered, &self.answers);
        // Not `any`: each must be learned.
        news.into_iter().filter_map(|(key, answer)| self.learn(key, answer).then_some(())).count() > 0
    }

    fn forget_unused(&mut self) {
        let (watches, covered) = (&self.watches, &self.covered);
        Arc::make_mut(&mut self.answers)
            .retain(|query| watches.is_followed(query) || covered.contains_key(query));
        self.failing.retain(|query, _| watches.is_followed(query));
    }

    /// Whether every question has been answered or refused, so that all files and commands come in one pass.
    fn is_settled(&self) -> bool {
        let open = |slot: &Slot| {
            slot.asked
                .used
                .iter()
                .any(|query| self.answers.get(query).is_none() && !self.failing.contains_key(query))
        };
        self.started.elapsed() >= SETTLE_LIMIT || !self.slots.iter().any(open)
    }

    /// Ends the run when a key has been absent for longer than the configuration bears.
    fn check_lookups(&mut self) -> Result<(), RunError> {
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

    /// Whether all is done: every file stands, every command has run, and no child is kept.
    fn is_finished(&self) -> bool {
        let done = self.config.parse_only || (self.config.once && self.is_rendered());
        done && !self.actions.is_busy() && !self.child.as_ref().is_some_and(Kept::is_started)
    }

    fn is_rendered(&self) -> bool {
        self.slots.iter().all(|slot| slot.rendered)
    }

    /// When something must be done although no news come.
    fn deadline(&self) -> Option<Instant> {
        let settle = (!self.settled).then(|| self.started + SETTLE_LIMIT);
        let wait = self.config.block_query_wait;
        let lookups = self.absent.values().map(|since| *since + wait).min();
        let slots = self.slots.iter().filter_map(Slot::deadline).min();
        // Before that nothing is delivered or looked up, and what is overdue would wake the loop again and again.
        let [lookups, slots] = [lookups, slots].map(|at| at.filter(|_| self.settled));
        let others = [self.guard.deadline(), self.actions.deadline(), self.read_again];
        [settle, lookups, slots].into_iter().chain(others).flatten().min()
    }

    /// Does what its time has come for.
    fn wake_up(&mut self) {
        let now = Instant::now();
        for (query, answer) in self.guard.release(now) {
            self.learn(query, answer);
        }
        self.actions.retry(now);
    }

    /// Takes one piece of news and all others that wait, so that they share one pass.
    fn take_all(&mut self, first: News) -> Result<(), RunError> {
        self.take(first)?;
        while let Ok(news) = self.news.try_recv() {
            self.take(news)?;
        }
        Ok(())
    }

    fn take(&mut self, News { query, what }: News) -> Result<(), RunError> {
        if !self.watches.is_followed(&query) {
            return Ok(());
        }
        match what {
            What::Answer(answer, after_break) => {
                tracing::debug!(target: "watcher", "received {query}");
                self.tell_answered(&query);
                let believe =
                    self.slots.iter().any(|slot| slot.config.allow_empty && slot.asked.used.contains(&query));
                let known = self.answers.get(&query).map(Arc::as_ref);
                let answer = if believe {
                    Some(*answer)
                } else {
                    self.guard.admit(&query, known, *answer, after_break, Instant::now())
                };
                if let Some(answer) = answer {
                    self.learn(query, answer);
                }
            }
            What::GaveUp(error) if self.config.once && !self.is_rendered() => {
                return Err(RunError::Failed(format!("{query}: {error}")));
            }
            What::Failing { error, cause } => self.tell_failing(query, &error, cause),
            What::GaveUp(error) => self.tell_failing(query, &error, Cause::Other(error.clone())),
        }
        Ok(())
    }

    /// Tells that questions find no answer: once for each cause, however many questions share it.
    fn tell_failing(&mut self, query: Query, error: &str, cause: Cause) {
        if !self.failing.values().any(|known| *known == cause) {
            tracing::warn!(target: "watcher", "{query}: {error} (asking again until there is an answer)");
        }
        self.asks_else |= matches!(cause, Cause::Denied(_));
        let before = self.failing.insert(query, cause);
        self.asks_else |= matches!(before, Some(Cause::Denied(_)));
    }

    /// Tells that a cause is gone with the last question that had it.
    fn tell_answered(&mut self, query: &Query) {
        let Some(cause) = self.failing.remove(query) else { return };
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
    fn learn(&mut self, query: Query, answer: Answer) -> bool {
        let new = Arc::make_mut(&mut self.answers).put(query.clone(), answer);
        if new {
            for slot in self.slots.iter_mut().filter(|slot| slot.asked.used.contains(&query)) {
                slot.dirty = true;
            }
        }
        new
    }

    async fn control(&mut self, control: Control, reread: Option<&Reread>) -> Option<Exit> {
        match control {
            Control::FilesChanged => self.read_again = Some(Instant::now() + FILES_QUIET),
            Control::Signal(signal) if Some(signal) == self.config.reload_signal => self.reload(reread).await,
            Control::Signal(signal) if Some(signal) == self.config.kill_signal => {
                return Some(self.stop().await);
            }
            Control::Signal(signal) => match &self.child {
                Some(child) if child.is_started() => child.forward(signal),
                _ if matches!(signal, Signal::SIGTERM | Signal::SIGINT) => return Some(self.stop().await),
                _ => {}
            },
        }
        None
    }

    async fn stop(&mut self) -> Exit {
        tracing::info!(target: "runner", "stopping");
        if let Some(child) = &mut self.child {
            child.stop().await;
        }
        Exit::Interrupted
    }

    /// Reads templates and configuration again; what is wrong is told, and everything stays as it was.
    async fn reload(&mut self, reread: Option<&Reread>) {
        self.read_again = None;
        let config = match reread.map(|reread| reread()) {
            Some(Ok(config)) => config,
            Some(Err(error)) => {
                tracing::error!(target: "cli", "{error}; keeping the configuration that runs");
                return;
            }
            None => self.config.clone(),
        };
        if let Err(error) = self.replace(config).await {
            tracing::error!(target: "cli", "{error}; keeping the templates and configuration that run");
        }
    }

    async fn replace(&mut self, config: Config) -> Result<(), RunError> {
        let mut slots = slots(&config, &self.host).await?;
        for slot in &mut slots {
            slot.read().map_err(RunError::Failed)?;
        }
        if config.registry != self.config.registry || watch_settings(&config) != watch_settings(&self.config)
        {
            (self.watches, self.news) = watches(&config)?;
            self.answers = Arc::default();
            self.failing.clear();
            self.guard = Guard::new(config.empty_grace);
        }
        self.guard.doubt_for(config.empty_grace);
        self.settled = false;
        self.started = Instant::now();
        for slot in &mut slots {
            let before = self.slots.iter().find(|old| {
                old.config.source == slot.config.source && old.config.destination == slot.config.destination
            });
            slot.rendered = before.is_some_and(|old| old.rendered);
        }
        self.slots = slots;
        self.asks_else = true;
        self.actions.follow(&self.slots);
        let exec = config.exec.clone().map(|exec| Kept::new(exec, &config.environment));
        if let Some(mut old) = std::mem::replace(&mut self.child, exec) {
            old.stop().await;
        }
        self.config = config;
        tracing::info!(target: "cli", "read templates and configuration again");
        Ok(())
    }
}

async fn slots(config: &Config, host: &Host) -> Result<Vec<Slot>, RunError> {
    let mut slots = Vec::new();
    for template in &config.templates {
        slots.push(Slot::load(template.clone(), &config.environment).map_err(RunError::Failed)?);
    }
    if !config.dry {
        let programs = action::resolve(config, host).await?;
        for (slot, program) in slots.iter_mut().zip(programs) {
            slot.program = program;
        }
    }
    Ok(slots)
}

fn watches(config: &Config) -> Result<(Watches, mpsc::Receiver<News>), ConfigError> {
    let client = Client::new(config.registry.clone()).map_err(|e| ConfigError(e.to_string()))?;
    Ok(Watches::new(client, watch_settings(config)))
}

fn watch_settings(config: &Config) -> WatchSettings {
    WatchSettings {
        wait: config.block_query_wait,
        max_stale: config.max_stale,
        retry: config.retry.for_mode(config.once),
        ..WatchSettings::default()
    }
}
