//! The loop: news come in, templates that used them are rendered, files are swapped, commands run.
//!
//! After a good start nothing ends a daemon but its signals and its child: a template that fails, a refused candidate, a
//! failing command or an absent registry leave the last good file in place, are told once, and are tried again.

mod actions;
mod child;
mod cover;
mod deliver;
pub(crate) mod fan;
mod folders;
mod job;
mod lock;
mod news;
pub mod observe;
mod pending;
mod reload;
mod rollback;
mod share;
mod slot;
mod touched;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use daemon::{Exit, Shutdown};
use nix::sys::signal::Signal;
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    action::Host,
    answers::Answers,
    config::{Config, ConfigError},
    guard::Guard,
    query::Query,
    status::Page,
    watch::{Cause, News, Watches},
};
use actions::Actions;
use child::Children;
use folders::Folders;
use observe::{Event, Observer, Observers};
pub(crate) use reload::watches;
use share::Shares;
use slot::Slot;
use touched::Touched;

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
    run_observed(config, shutdown, Vec::new()).await
}

/// The same, and `observers` are told what happens.
pub async fn run_observed(
    config: Config,
    shutdown: Shutdown,
    observers: Vec<Arc<dyn Observer>>,
) -> Result<Exit, RunError> {
    let mut runner = Runner::start(config, Host::default()).await?;
    observers.into_iter().for_each(|observer| runner.observe(observer));
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
    /// Keys and prefixes that are answered by the prefix above them, and that prefix.
    covered: cover::Covered,
    /// What has changed below those since.
    underived: cover::Fresh,
    /// Folders that are asked for in place of their keys.
    folders: HashSet<Query>,
    /// Folders that may not be listed, or hold too much else.
    unsuitable: HashSet<Query>,
    /// Questions that find no answer at the moment.
    failing: HashMap<Query, Cause>,
    /// Since when a key that is asked for is absent; kept for `err_on_failed_lookup` alone.
    absent: HashMap<Query, Instant>,
    actions: Actions,
    /// Answers that are shared with other watchers.
    shares: Option<Shares>,
    children: Children,
    /// Where files were put in place a moment ago.
    folders_changed: Folders,
    /// When the files are looked at that others may have changed.
    touched: Touched,
    /// The processes that a change is for.
    to_tell: HashSet<String>,
    started: Instant,
    settled: bool,
    /// When watched files have been left alone for long enough.
    read_again: Option<Instant>,
    observers: Observers,
    /// Where others ask how things are; a program's alone.
    pub(crate) page: Option<Page>,
    /// Whether all templates have been rendered, their commands tried and the children started, with this configuration.
    has_started: bool,
}

impl Runner {
    /// Reads the templates and finds the units; nothing is asked or written yet.
    ///
    /// Errors when a template cannot be read, a unit cannot be found, or the registry's settings cannot be used.
    pub(crate) async fn start(config: Config, host: Host) -> Result<Self, RunError> {
        let mut slots = reload::slots(&config, &host).await?;
        let (watches, news) = reload::watches(&config)?;
        let shares = reload::shares(&config, &watches, &mut slots);
        let actions = Actions::new(watches.client(), config.once || config.parse_only);
        Ok(Self {
            guard: Guard::new(config.empty_grace),
            host,
            answers: Arc::default(),
            watches,
            news,
            asks_else: true,
            forgets: false,
            covered: cover::Covered::default(),
            underived: cover::Fresh::default(),
            folders: HashSet::new(),
            unsuitable: HashSet::new(),
            failing: HashMap::new(),
            absent: HashMap::new(),
            actions,
            slots,
            shares,
            children: Children::of(&config),
            folders_changed: Folders::default(),
            touched: Touched::default(),
            to_tell: HashSet::new(),
            started: Instant::now(),
            settled: false,
            read_again: None,
            observers: Observers::default(),
            page: None,
            has_started: false,
            config,
        })
    }

    /// Tells this one too what happens, from now on.
    pub(crate) fn observe(&mut self, observer: Arc<dyn Observer>) {
        self.actions.observers.add(Arc::clone(&observer));
        self.observers.add(observer);
    }

    /// The loop. It ends by `shutdown`, a signal, the child, or when `once` has done its work.
    pub(crate) async fn run(
        &mut self,
        shutdown: &Shutdown,
        controls: &mut mpsc::Receiver<Control>,
        reread: Option<Reread>,
    ) -> Result<Exit, RunError> {
        self.tell_began();
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
                shared = share_news(&mut self.shares) => self.take_shared(shared),
                done = self.actions.next() => self.judge(done)?,
                (place, status) = self.children.next_end() => {
                    let ended = self.children.after_end(place, status).await;
                    if let Some(exit) = ended.map_err(RunError::Failed)? {
                        return Ok(exit);
                    }
                }
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

    /// Tells which templates are looked after.
    fn tell_began(&self) {
        let templates: Vec<_> = self.slots.iter().map(Slot::subject).collect();
        self.observers.tell(Event::Began { templates: &templates });
    }

    /// Renders what must be rendered, then writes in the order of the templates, then queues commands.
    async fn pass(&mut self) -> Result<(), RunError> {
        let mut written = false;
        loop {
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
                if let Some(shares) = &self.shares {
                    shares.publish(&self.slots, &self.answers);
                }
                self.check_lookups()?;
            }
            for index in 0..self.slots.len() {
                if self.slots[index].outcome.is_some() {
                    written |= self.deliver(index).await?;
                }
            }
            // A list that is new may ask for templates that nobody has rendered yet.
            if !self.fan_out()? {
                break;
            }
        }
        self.actions.start(&self.slots, Instant::now());
        let starts = !self.has_started && !self.config.parse_only;
        if starts && self.is_rendered() && !self.actions.holds_children_up() {
            // What the first files' commands have made may be for the children.
            self.has_started = true;
            self.observers.tell(Event::Ready);
            self.children.start().map_err(RunError::Failed)?;
            self.to_tell.clear();
        } else if written && self.has_started {
            let named = std::mem::take(&mut self.to_tell);
            self.children.reload(&named);
        }
        Ok(())
    }

    /// Whether all is done: every file stands, every command has run, and no child is kept.
    fn is_finished(&self) -> bool {
        let done = self.config.parse_only || (self.config.once && self.is_rendered());
        done && !self.actions.is_busy() && !self.children.is_any_kept()
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
        // Before that nothing is delivered, looked up or run, and what is overdue would wake the loop again and again.
        let later = [lookups, slots, self.actions.deadline()].map(|at| at.filter(|_| self.settled));
        let shares = self.shares.as_ref().and_then(Shares::deadline);
        let others = [
            settle,
            shares,
            self.guard.deadline(),
            self.children.deadline(),
            self.folders_changed.deadline(),
            self.touched.deadline(),
            self.read_again,
        ];
        later.into_iter().chain(others).flatten().min()
    }

    /// Does what its time has come for.
    fn wake_up(&mut self) {
        let now = Instant::now();
        for (query, answer) in self.guard.release(now) {
            self.learn(query, answer);
        }
        self.children.wake_up(now);
        self.folders_changed.wake_up(now);
        if self.touched.is_due(now) {
            self.slots.iter_mut().filter(|slot| slot.is_touched()).for_each(|slot| slot.dirty = true);
        }
        self.asks_else |= self.shares.as_mut().is_some_and(Shares::gives_up_waiting);
    }
}

/// The next news of what is shared; never, when nothing is.
async fn share_news(shares: &mut Option<Shares>) -> share::News {
    match shares {
        Some(shares) => shares.next().await,
        None => std::future::pending().await,
    }
}
