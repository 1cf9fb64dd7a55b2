//! The runner of golden scripts: a small language for commands and reads.

mod ask;
mod show;
mod words;
mod write;

use registry_state::{Action, Command, State, codec};
use words::Words;

/// Answers every command of a script; comments and empty lines stay where they are.
pub(crate) fn run(script: &str) -> String {
    let mut machine = Machine::default();
    let mut out = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out.push_str(&format!("{line}\n{}", machine.answer(command)));
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

#[derive(Default)]
struct Machine {
    state: State,
    at_ms: u64,
}

impl Machine {
    fn answer(&mut self, line: &str) -> String {
        if let Some(ops) = line.strip_prefix("txn ") {
            let ops = ops.split(" ; ").map(|op| write::txn_op(&Words::new(op))).collect();
            return self.apply(Action::Txn(ops));
        }
        let words = &Words::new(line);
        if let Some(action) = write::action(words) {
            return self.apply(action);
        }
        match words.verb() {
            "at" => {
                self.at_ms = words.at(0).parse().expect("a time in milliseconds");
                String::new()
            }
            "restore" => self.restore(),
            "tombstones" => format!("  {:?}\n", self.state.tombstones_up_to(words.number("up-to"))),
            _ => ask::answer(&self.state, words),
        }
    }

    fn apply(&mut self, action: Action) -> String {
        let applied = self.state.apply(&Command { at_ms: self.at_ms, action });
        show::applied(&applied)
    }

    /// Goes through a snapshot, as a restart does.
    fn restore(&mut self) -> String {
        let mut bytes = Vec::new();
        codec::write_snapshot(&self.state, &mut bytes).expect("a vector takes everything");
        let restored = codec::read_snapshot(bytes.as_slice()).expect("written just now");
        assert_eq!(restored, self.state, "a snapshot keeps everything");
        self.state = restored;
        String::new()
    }
}
