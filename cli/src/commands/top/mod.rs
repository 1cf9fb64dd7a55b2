//! `top`: a live view of nodes, services, checks and rates in the terminal.
//!
//! `model` is what is shown, out of the agent's answers; `view` draws it. Both know nothing of a terminal; the loop here does.

mod model;
mod view;

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use clap::Args;
use daemon::{Exit, shutdown::Signals};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use registry_client::Client;
use registry_wire::duration;
use tokio::time::timeout;

use self::model::Model;
use crate::{
    client::{ClientFlags, NoWords},
    output::{failure, line, show},
};

/// How often the keyboard and the signals are looked at.
const TICK: Duration = Duration::from_millis(200);
/// The shortest interval: each one is five questions.
const SHORTEST: Duration = Duration::from_millis(500);

/// A live view of nodes, services, checks and rates
#[derive(Args, Debug)]
#[command(after_help = "Keys: q ends it, the arrows move the list of services.\n\n\
    Examples:\n  ryo top\n  ryo top -interval=5s -http-addr=10.1.1.10:8500\n  ryo top -once --json\n\n\
    Exit codes: 0 ended, 1 no terminal, or with -once no answer")]
pub(crate) struct Top {
    /// How often the agent is asked
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration::parse_nanos)]
    interval: i64,
    /// Print it once and end; needs no terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Top {
    pub(crate) fn run(self) -> Exit {
        let client = match self.client.client() {
            Ok(client) => client,
            Err(why) => return failure(why),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(e) => return failure(format!("cannot start: {e}")),
        };
        if self.once || self.client.json {
            return match runtime.block_on(Model::ask(&client)) {
                Ok(model) => show(self.client.json, &model, || view::text(&model)),
                Err(why) => failure(format!("Error querying Consul agent: {why}")),
            };
        }
        if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
            return failure("top needs a terminal; ryo top -once prints it once");
        }
        let mut terminal = match ratatui::try_init() {
            Ok(terminal) => terminal,
            Err(e) => return failure(format!("cannot use the terminal: {e}")),
        };
        let ended = self.watch(&runtime, &client, &mut terminal);
        ratatui::restore();
        match ended {
            Ok(()) => {
                line("");
                Exit::Success
            }
            Err(e) => failure(format!("cannot use the terminal: {e}")),
        }
    }

    /// Draws, and asks again, until the user or a signal ends it.
    fn watch(
        &self,
        runtime: &tokio::runtime::Runtime,
        client: &Client,
        terminal: &mut ratatui::DefaultTerminal,
    ) -> std::io::Result<()> {
        let interval = Duration::from_nanos(u64::try_from(self.interval).unwrap_or(0)).max(SHORTEST);
        let mut signals = runtime.block_on(async { Signals::new() })?;
        let (mut model, mut problem) = (Model::default(), None);
        let (mut first_row, mut asked): (u16, Option<Instant>) = (0, None);
        loop {
            if asked.is_none_or(|asked| asked.elapsed() >= interval) {
                match runtime.block_on(Model::ask(client)) {
                    // What was there stays on the screen while nobody answers.
                    Err(why) => problem = Some(why),
                    Ok(found) => (model, problem) = (found, None),
                }
                asked = Some(Instant::now());
            }
            terminal.draw(|frame| view::draw(frame, &model, problem.as_deref(), first_row))?;
            if event::poll(TICK)? {
                match pressed(&event::read()?) {
                    Some(Pressed::End) => return Ok(()),
                    Some(Pressed::Move(rows)) => {
                        let last = u16::try_from(model.services.len().saturating_sub(1)).unwrap_or(u16::MAX);
                        first_row = first_row.saturating_add_signed(rows).min(last);
                    }
                    None => {}
                }
            }
            if runtime.block_on(async { timeout(Duration::ZERO, signals.next()).await }).is_ok() {
                return Ok(());
            }
        }
    }
}

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
enum Pressed {
    End,
    Move(i16),
}

fn pressed(event: &Event) -> Option<Pressed> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Pressed::End),
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Pressed::End),
        KeyCode::Down | KeyCode::Char('j') => Some(Pressed::Move(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Pressed::Move(-1)),
        KeyCode::PageDown => Some(Pressed::Move(10)),
        KeyCode::PageUp => Some(Pressed::Move(-10)),
        KeyCode::Home => Some(Pressed::Move(i16::MIN)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

    use super::{Pressed, pressed};

    #[test]
    fn keys_end_or_move() {
        let key = |code, modifiers| pressed(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Pressed::End));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Pressed::End));
        assert_eq!(key(KeyCode::Down, KeyModifiers::NONE), Some(Pressed::Move(1)));
        assert_eq!(
            (key(KeyCode::Char('c'), KeyModifiers::NONE), pressed(&Event::Resize(1, 1))),
            (None, None)
        );
    }
}
