//! What clients saw, and whether one register a key could have answered so: linearizability, judged by stateright's tester. For
//! `conformance faults`, and for the registry's simulation of servers.

use std::collections::BTreeMap;

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// An operation on one key; every value is written once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// What is there.
    Read,
    /// Puts a value there, whatever was there before.
    Write(u64),
    /// Writes the second if the first is there; `None` is an absent key.
    Swap(Option<u64>, u64),
    /// Takes it away.
    Delete,
}

/// What an operation gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// What was there; `None` is an absent key.
    Value(Option<u64>),
    /// It took effect.
    Done,
    /// Whether the swap took effect.
    Swapped(bool),
}

/// What a key must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Register(Option<u64>);

impl SequentialSpec for Register {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Read => return Ret::Value(self.0),
            Op::Write(value) => self.0 = Some(value),
            Op::Delete => self.0 = None,
            Op::Swap(from, _) if self.0 != from => return Ret::Swapped(false),
            Op::Swap(_, to) => {
                self.0 = Some(to);
                return Ret::Swapped(true);
            }
        }
        Ret::Done
    }
}

/// The operations on all keys, as they began and ended.
#[derive(Default)]
pub struct History {
    keys: BTreeMap<String, Vec<Operation>>,
    /// Counts beginnings and ends.
    moment: u64,
    threads: u64,
}

/// One operation. Without an end it may have taken effect at any time since, or never.
#[derive(Clone, Copy, Debug)]
struct Operation {
    thread: u64,
    op: Op,
    began: u64,
    ended: Option<(u64, Ret)>,
}

/// An operation that has begun: who began it, and which of its key it is.
pub struct Begun {
    key: String,
    place: usize,
}

impl History {
    /// Somebody who does one thing after the other; whoever was left without an answer goes on as somebody else.
    pub fn thread(&mut self) -> u64 {
        self.threads += 1;
        self.threads
    }

    /// Notes that somebody begins an operation on a key.
    pub fn begin(&mut self, thread: u64, key: &str, op: Op) -> Begun {
        self.moment += 1;
        let operations = self.keys.entry(key.to_owned()).or_default();
        operations.push(Operation { thread, op, began: self.moment, ended: None });
        Begun { key: key.to_owned(), place: operations.len() - 1 }
    }

    /// Notes what an operation gave.
    pub fn end(&mut self, begun: &Begun, ret: Ret) {
        self.moment += 1;
        let operations = self.keys.get_mut(&begun.key).expect("an operation on the key has begun");
        operations[begun.place].ended = Some((self.moment, ret));
    }

    /// All keys that somebody touched.
    pub fn keys(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    /// How many operations have an answer, and how many have none.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.keys.values().flatten();
        let answered = all().filter(|operation| operation.ended.is_some()).count();
        (answered, all().count() - answered)
    }

    /// Errors with the first key whose operations have no order in which one register answers as they were answered.
    pub fn check(&self) -> Result<(), String> {
        for (key, operations) in &self.keys {
            if !linear(operations) {
                let told: String = operations.iter().map(|operation| format!("  {operation:?}\n")).collect();
                return Err(format!("{key} is not linearizable:\n{told}"));
            }
        }
        Ok(())
    }
}

fn linear(operations: &[Operation]) -> bool {
    let mut moments = BTreeMap::new();
    for operation in operations {
        match operation.ended {
            Some((ended, ret)) => {
                moments.insert(operation.began, (operation.thread, Ok(operation.op)));
                moments.insert(ended, (operation.thread, Err(ret)));
            }
            // Nobody saw what it read.
            None if operation.op == Op::Read => {}
            None => drop(moments.insert(operation.began, (operation.thread, Ok(operation.op)))),
        }
    }
    let mut tester = LinearizabilityTester::new(Register::default());
    for (thread, event) in moments.into_values() {
        let noted = match event {
            Ok(op) => tester.on_invoke(thread, op),
            Err(ret) => tester.on_return(thread, ret),
        };
        noted.expect("a thread does one thing after the other");
    }
    tester.is_consistent()
}

/// The checker itself, tried on what it must refuse.
pub fn self_check() -> Result<(), String> {
    let mut history = History::default();
    let (writer, reader) = (history.thread(), history.thread());
    let written = history.begin(writer, "k", Op::Write(1));
    history.end(&written, Ret::Done);
    let lost = history.begin(reader, "k", Op::Read);
    history.end(&lost, Ret::Value(None));
    match history.check() {
        Err(_) => Ok(()),
        Ok(()) => Err("the checker takes a lost write for a good one".to_owned()),
    }
}
