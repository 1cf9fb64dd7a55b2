//! The runner of golden scripts: a small language for commands and reads.

mod ask;
pub(crate) mod kinds;
mod show;
mod words;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use registry_state::{Action, Command, RequestId, Restore, State, codec};
use words::Words;

/// Answers every command of a script; comments and empty lines stay where they are. With it come the kinds of commands
/// that the script used.
pub(crate) fn run(script: &str) -> (String, BTreeSet<String>) {
    let mut machine = Machine::default();
    let mut out = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out.push_str(&format!("{line}\n{}", machine.answer(command)));
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(&format!("{line}\n"));
        }
    }
    (out, machine.kinds)
}

#[derive(Default)]
struct Machine {
    state: State,
    at_ms: u64,
    /// Snapshots that `save` kept.
    saved: BTreeMap<String, Vec<u8>>,
    /// The kinds of all commands so far.
    kinds: BTreeSet<String>,
}

impl Machine {
    fn answer(&mut self, line: &str) -> String {
        if let Some(ops) = line.strip_prefix("txn ") {
            let ops = ops.split(" ; ").map(|op| write::txn_op(&Words::new(op))).collect();
            return self.apply(Action::Txn(ops));
        }
        if let Some((request, rest)) = line.strip_prefix("once ").and_then(|rest| rest.split_once(' ')) {
            let request = RequestId(request.parse().expect("a number"), 0);
            let action = write::action(&Words::new(rest)).expect("something to do once");
            return self.apply(Action::Once { request, action: Box::new(action) });
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
            "save" => {
                let mut bytes = Vec::new();
                codec::write_snapshot(&self.state.settled(), &mut bytes).expect("a vector takes everything");
                self.saved.insert(words.at(0).to_owned(), bytes);
                String::new()
            }
            "begin" | "records" | "commit" | "abandon" => self.replace(words),
            "tombstones" => format!("  {:?}\n", self.state.tombstones_up_to(words.number("up-to"))),
            _ => ask::answer(&self.state, words),
        }
    }

    fn apply(&mut self, action: Action) -> String {
        self.kinds.extend(kinds::of(&action));
        let applied = self.state.apply(&Command { at_ms: self.at_ms, action });
        show::applied(&applied)
    }

    /// A step of taking over a snapshot that was saved: `begin ID NAME`, `records ID NAME`, `commit ID NAME`.
    fn replace(&mut self, words: &Words) -> String {
        let id = words.at(0).to_owned();
        if words.verb() == "abandon" {
            return self.apply(Action::Restore(Restore::Abandon { id }));
        }
        let bytes = self.saved[words.at(1)].clone();
        let (head, mut parts) = codec::SnapshotParts::read(bytes.as_slice()).expect("saved just now");
        let records = parts.next_part().expect("saved just now");
        self.apply(Action::Restore(match words.verb() {
            "begin" => Restore::Begin { id, head: Box::new(head) },
            "records" => Restore::Part { id, records },
            _ => Restore::Commit { id, records: records.len() as u64 },
        }))
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
