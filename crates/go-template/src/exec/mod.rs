//! Executes parsed templates: statements here, expressions, calls and built-ins beside.

mod builtins;
mod call;
mod compare;
mod escape;
mod eval;
mod methods;
mod slot;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{ExecError, ParseError};
use crate::parse::ast::{Block, Branch, Pipe, Statement, StatementKind};
use crate::parse::calls::{self, Call};
use crate::parse::{self, Delimiters, Lookup};
use crate::types::{IntKind, Signature, StructType};
use crate::value::{List, Stream, Value};

pub(crate) use builtins::is_builtin;
use slot::Slot;

/// What the absence of a key in a map means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// No value, which prints as `<no value>`: Go's default.
    #[default]
    Invalid,
    /// The zero value of the map's elements: the default of consul-template.
    Zero,
    /// An error.
    Error,
}

/// How a template is executed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What an absent key means.
    pub missing_key: MissingKey,
    /// How deep templates may call each other.
    pub depth_max: usize,
    /// How many bytes may be printed.
    pub output_bytes_max: usize,
    /// How many statements may be executed, loops counted each time.
    pub steps_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            missing_key: MissingKey::default(),
            depth_max: 100_000,
            output_bytes_max: 256 << 20,
            steps_max: 200_000_000,
        }
    }
}

/// Where functions that are not built in come from; made anew for each rendering.
pub trait Host {
    /// What a function takes and gives; none if it is unknown.
    fn signature(&self, name: &str) -> Option<Signature>;
    /// Calls a function whose arguments have been checked against its signature.
    ///
    /// # Errors
    /// The function's own complaint, which becomes `error calling NAME: ...`.
    fn call(&mut self, name: &str, args: Vec<Value>, templates: &Templates<'_>) -> Result<Value, String>;
    /// Is told of each field of a record that is read, by its position.
    fn reads_field(&mut self, _record: &'static StructType, _field: usize) {}
    /// Is told of each value that is printed, compared or given to a built-in that may look at all of it. What functions of
    /// its own look at, the host knows itself.
    fn reads_whole(&mut self, _value: &Value) {}
}

/// A parsed source: itself and the templates it defines. Parse once, execute often.
pub struct Template {
    name: String,
    source: Vec<u8>,
    trees: BTreeMap<Vec<u8>, Block>,
}

impl Template {
    /// Parses a source. `lookup` is asked about every function name that is not built in.
    ///
    /// # Errors
    /// What cannot be understood, with its line.
    pub fn parse(
        name: &str,
        source: &[u8],
        delimiters: &Delimiters,
        lookup: &dyn Fn(&str) -> Lookup,
    ) -> Result<Self, ParseError> {
        let trees = parse::parse(name, source, delimiters, lookup)?;
        Ok(Template { name: name.to_owned(), source: source.to_vec(), trees })
    }

    /// Executes the source itself on `dot` and gives what it prints.
    ///
    /// # Errors
    /// What failed, with its place; what had been printed is dropped.
    pub fn execute(&self, dot: Value, options: Options, host: &mut dyn Host) -> Result<Vec<u8>, ExecError> {
        self.run(self.name.as_bytes(), dot, options, host, Nested { depth: 0, steps: &Cell::new(0) })
    }

    /// All calls of functions, in the order of the source.
    pub fn calls(&self) -> Vec<Call> {
        let mut found = Vec::new();
        self.trees.values().for_each(|block| calls::of_block(block, &mut found));
        found.sort_by_key(|(position, _)| *position);
        let placed = found.into_iter().map(|(position, call)| {
            let (line, column) = self.place(position);
            Call { line, column: column + 1, ..call }
        });
        placed.collect()
    }

    fn run(
        &self,
        name: &[u8],
        dot: Value,
        options: Options,
        host: &mut dyn Host,
        nested: Nested<'_>,
    ) -> Result<Vec<u8>, ExecError> {
        let Some((name, block)) = self.trees.get_key_value(name) else { return Ok(Vec::new()) };
        let mut run = Run {
            template: self,
            host,
            options,
            nested,
            running: name,
            variables: Vec::new(),
            at: None,
            out: Vec::new(),
            depth: 0,
        };
        run.all(block, Slot::given(dot)).map_err(|error| *error)?;
        Ok(run.out)
    }

    /// Line from 1 and byte in the line from 0 of a position in the source.
    fn place(&self, position: usize) -> (usize, usize) {
        let before = &self.source[..position.min(self.source.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        (1 + before.iter().filter(|b| **b == b'\n').count(), before.len() - line_start)
    }
}

/// The templates of the running source, for functions that execute one of them.
pub struct Templates<'t> {
    template: &'t Template,
    options: Options,
    nested: Nested<'t>,
}

/// What executions inside each other share.
#[derive(Clone, Copy)]
struct Nested<'a> {
    /// How many of them are around this one.
    depth: usize,
    /// Statements executed by all of them together.
    steps: &'a Cell<u64>,
}

/// How deep functions may execute templates that call functions that execute templates.
const NESTED_MAX: usize = 48;

impl Templates<'_> {
    /// Executes a defined template on `dot` and gives what it prints.
    ///
    /// # Errors
    /// There is no such template, or it failed.
    pub fn execute(&self, host: &mut dyn Host, name: &[u8], dot: Value) -> Result<Vec<u8>, String> {
        if !self.template.trees.contains_key(name) {
            let (name, own) = (crate::fmt::quoted(name), crate::fmt::quoted(self.template.name.as_bytes()));
            return Err(format!("template: no template {name} associated with template {own}"));
        }
        if self.nested.depth == NESTED_MAX {
            return Err(format!("templates execute each other through functions deeper than {NESTED_MAX}"));
        }
        let nested = Nested { depth: self.nested.depth + 1, ..self.nested };
        self.template.run(name, dot, self.options, host, nested).map_err(|error| error.to_string())
    }
}

/// Something in the tree that an error can point at.
#[derive(Clone, Copy)]
struct At<'t> {
    position: usize,
    node: &'t dyn std::fmt::Display,
}

type Outcome<T> = Result<T, Box<ExecError>>;

/// One execution.
struct Run<'t, 'h> {
    template: &'t Template,
    host: &'h mut dyn Host,
    options: Options,
    nested: Nested<'h>,
    /// The name of the template being executed.
    running: &'t [u8],
    variables: Vec<(&'t [u8], Slot)>,
    /// What is being evaluated: where an error is reported.
    at: Option<At<'t>>,
    out: Vec<u8>,
    depth: usize,
}

/// Work in progress. A stack of these instead of calls: templates may nest far deeper than a thread's stack.
enum Frame<'t> {
    /// Statements being executed one by one.
    Body { block: &'t [Statement], next: usize, dot: Slot, then: Then<'t> },
    /// A loop between two rounds.
    Loop { items: Items, branch: &'t Branch, variables_before: usize, variables_each: usize },
}

/// What the end of a body restores.
enum Then<'t> {
    /// The variables of an `if` or `with` go.
    Truncate(usize),
    /// The variables of a loop that had nothing to go through go.
    Otherwise(usize),
    /// The next round of the loop below.
    Round,
    /// Back to the calling template.
    Return { running: &'t [u8], variables: Vec<(&'t [u8], Slot)> },
}

impl<'t> Run<'t, '_> {
    fn all(&mut self, block: &'t Block, dot: Slot) -> Outcome<()> {
        self.variables = vec![(b"$", dot.clone())];
        let mut frames = vec![Frame::Body { block, next: 0, dot, then: Then::Truncate(0) }];
        while let Some(frame) = frames.last_mut() {
            match frame {
                Frame::Body { block, next, dot, .. } => match block.get(*next) {
                    Some(statement) => {
                        *next += 1;
                        let dot = dot.clone();
                        self.statement(statement, &dot, &mut frames)?;
                    }
                    None => {
                        if let Some(Frame::Body { then, .. }) = frames.pop() {
                            self.leave(then);
                        }
                    }
                },
                Frame::Loop { items, branch, variables_before, variables_each } => {
                    let (branch, before, each) = (*branch, *variables_before, *variables_each);
                    match items.next() {
                        Some((index, element)) => {
                            self.variables.truncate(each);
                            self.step()?;
                            self.name_element(&branch.pipe, index, &element)?;
                            let then = Then::Round;
                            frames.push(Frame::Body { block: &branch.body, next: 0, dot: element, then });
                        }
                        None => {
                            self.variables.truncate(before);
                            frames.pop();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts a statement or a round of a loop, which may have no statements.
    fn step(&mut self) -> Outcome<()> {
        self.steps(1)
    }

    fn steps(&mut self, count: u64) -> Outcome<()> {
        self.nested.steps.set(self.nested.steps.get().saturating_add(count));
        if self.nested.steps.get() > self.options.steps_max {
            return self.error(format!("more than {} statements executed", self.options.steps_max));
        }
        Ok(())
    }

    fn leave(&mut self, then: Then<'t>) {
        match then {
            Then::Truncate(length) | Then::Otherwise(length) => self.variables.truncate(length),
            Then::Round => {}
            Then::Return { running, variables } => {
                self.running = running;
                self.variables = variables;
                self.depth -= 1;
            }
        }
    }

    fn statement(
        &mut self,
        statement: &'t Statement,
        dot: &Slot,
        frames: &mut Vec<Frame<'t>>,
    ) -> Outcome<()> {
        self.at(statement.position, statement);
        self.step()?;
        match &statement.kind {
            StatementKind::Text(text) => self.write(text),
            StatementKind::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() { self.print(statement, &value) } else { Ok(()) }
            }
            StatementKind::If(branch) => self.branch(branch, dot, false, frames),
            StatementKind::With(branch) => self.branch(branch, dot, true, frames),
            StatementKind::Range(branch) => self.range(branch, dot, frames),
            StatementKind::Template { name, pipe } => self.invoke(name, pipe.as_ref(), dot, frames),
            StatementKind::Break => {
                if self.end_round(frames, true)
                    && let Some(Frame::Loop { variables_before, .. }) = frames.pop()
                {
                    self.variables.truncate(variables_before);
                }
                Ok(())
            }
            StatementKind::Continue => {
                self.end_round(frames, false);
                Ok(())
            }
        }
    }

    /// Leaves everything up to and including the innermost loop's body. A `break` after the `else` of a loop that has nothing to go
    /// through leaves that only, as in Go: then there is no body of a loop.
    fn end_round(&mut self, frames: &mut Vec<Frame<'t>>, breaks: bool) -> bool {
        while let Some(Frame::Body { then, .. }) = frames.pop() {
            let (round, otherwise) = (matches!(then, Then::Round), matches!(then, Then::Otherwise(_)));
            self.leave(then);
            if round || (breaks && otherwise) {
                return round;
            }
        }
        false
    }

    fn branch(
        &mut self,
        branch: &'t Branch,
        dot: &Slot,
        with: bool,
        frames: &mut Vec<Frame<'t>>,
    ) -> Outcome<()> {
        let then = Then::Truncate(self.variables.len());
        let value = self.pipeline(dot, &branch.pipe)?;
        let truth = value.value.truth();
        let block = if truth { &branch.body } else { &branch.otherwise };
        let dot = if truth && with { value } else { dot.clone() };
        frames.push(Frame::Body { block, next: 0, dot, then });
        Ok(())
    }

    fn range(&mut self, branch: &'t Branch, dot: &Slot, frames: &mut Vec<Frame<'t>>) -> Outcome<()> {
        let variables_before = self.variables.len();
        let subject = self.pipeline(dot, &branch.pipe)?;
        let items = match Items::of(&subject) {
            Some(Items::Count { .. }) if branch.pipe.variables.len() > 1 => {
                let shown = subject.shown();
                return self.error(format!("can't use {shown} to iterate over more than one variable"));
            }
            Some(items) => items,
            None => {
                let shown = subject.shown();
                // What it tells is the record itself, not that something points at it.
                let is_pointer = matches!(subject.value, Value::Pointer(..));
                let shown = shown.strip_prefix('&').filter(|_| is_pointer).unwrap_or(&shown);
                return self.error(format!("range can't iterate over {shown}"));
            }
        };
        if items.is_empty() {
            let then = Then::Otherwise(variables_before);
            frames.push(Frame::Body { block: &branch.otherwise, next: 0, dot: dot.clone(), then });
        } else {
            let variables_each = self.variables.len();
            frames.push(Frame::Loop { items, branch, variables_before, variables_each });
        }
        Ok(())
    }

    /// Puts an element, and its index if asked for, into the loop's variables.
    fn name_element(&mut self, pipe: &'t Pipe, index: Slot, element: &Slot) -> Outcome<()> {
        let (for_index, for_element) = match pipe.variables.as_slice() {
            [] => return Ok(()),
            [one] => (None, one),
            [first, second, ..] => (Some(first), second),
        };
        if pipe.assigns {
            if let Some(name) = for_index {
                self.assign(name, index)?;
            }
            return self.assign(for_element, element.clone());
        }
        let top = self.variables.len();
        self.variables[top - 1].1 = element.clone();
        if for_index.is_some() {
            self.variables[top - 2].1 = index;
        }
        Ok(())
    }

    fn invoke(
        &mut self,
        name: &[u8],
        pipe: Option<&'t Pipe>,
        dot: &Slot,
        frames: &mut Vec<Frame<'t>>,
    ) -> Outcome<()> {
        let template = self.template;
        let Some((name, block)) = template.trees.get_key_value(name) else {
            return self.error(format!("template {} not defined", crate::fmt::quoted(name)));
        };
        if self.depth == self.options.depth_max {
            return self.error(format!("exceeded maximum template depth ({})", self.options.depth_max));
        }
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Slot::invalid(),
        };
        let variables = std::mem::replace(&mut self.variables, vec![(b"$", dot.clone())]);
        let running = std::mem::replace(&mut self.running, name);
        self.depth += 1;
        frames.push(Frame::Body { block, next: 0, dot, then: Then::Return { running, variables } });
        Ok(())
    }

    fn print(&mut self, statement: &'t Statement, slot: &Slot) -> Outcome<()> {
        self.at(statement.position, statement);
        self.host.reads_whole(&slot.value);
        if let Value::Stream(_) = slot.value {
            return self.error(format!("can't print {statement} of type {}", slot.ty()));
        }
        let text = match &slot.value {
            Value::Nil if !slot.any => b"<no value>".to_vec(),
            Value::Int(nanoseconds, IntKind::ReadableDuration) if slot.addressable => {
                crate::fmt::duration(*nanoseconds).into_bytes()
            }
            Value::Pointer(_, Some(record)) => crate::fmt::print(&[Value::Struct(record.clone())]),
            value => crate::fmt::print(std::slice::from_ref(value)),
        };
        self.write(&text)
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        if self.out.len() + bytes.len() > self.options.output_bytes_max {
            return self.error(format!("more than {} bytes printed", self.options.output_bytes_max));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn at(&mut self, position: usize, node: &'t dyn std::fmt::Display) {
        self.at = Some(At { position, node });
    }

    fn error<T>(&self, reason: impl Into<String>) -> Outcome<T> {
        let (line, column) = self.template.place(self.at.map_or(0, |at| at.position));
        Err(Box::new(ExecError {
            name: self.template.name.clone(),
            line,
            column,
            template: String::from_utf8_lossy(self.running).into_owned(),
            node: self.at.map(|at| at.node.to_string()).unwrap_or_default(),
            reason: reason.into(),
        }))
    }
}

/// What a loop goes through.
enum Items {
    List { list: Arc<List>, next: usize },
    Pairs(std::vec::IntoIter<(Slot, Slot)>),
    Count { next: i64, stop: i64, like: Value },
    Stream { stream: Arc<Stream>, next: i64, held: Option<i64> },
    Nothing,
}

impl Items {
    /// The items of a value; none if it has none to go through.
    fn of(subject: &Slot) -> Option<Items> {
        Some(match &subject.value {
            Value::Nil => Items::Nothing,
            Value::List(list) => Items::List { list: list.clone(), next: 0 },
            Value::Map(map) => {
                let (key, element) = (map.key_type(), map.ty.element());
                let entries = map.entries();
                let pairs =
                    entries.iter().map(|(k, v)| (Slot::of(k.value(key), key), Slot::of(v.clone(), element)));
                Items::Pairs(pairs.collect::<Vec<_>>().into_iter())
            }
            Value::Int(stop, _) => Items::Count { next: 0, stop: *stop, like: subject.value.clone() },
            Value::Uint(stop, _) => {
                let stop = i64::try_from(*stop).unwrap_or(i64::MAX);
                Items::Count { next: 0, stop, like: subject.value.clone() }
            }
            Value::Stream(stream) => Items::Stream { stream: stream.clone(), next: 0, held: stream.take() },
            _ => return None,
        })
    }

    fn is_empty(&self) -> bool {
        match self {
            Items::List { list, .. } => list.items.is_empty(),
            Items::Pairs(pairs) => pairs.len() == 0,
            Items::Count { stop, .. } => *stop <= 0,
            Items::Stream { held, .. } => held.is_none(),
            Items::Nothing => true,
        }
    }

    /// The next index or key, and its element.
    fn next(&mut self) -> Option<(Slot, Slot)> {
        match self {
            Items::List { list, next } => {
                let item = list.items.get(*next)?.clone();
                *next += 1;
                let index = i64::try_from(*next - 1).unwrap_or(i64::MAX);
                Some((Slot::given(Value::int(index)), Slot::of(item, list.ty.element())))
            }
            Items::Pairs(pairs) => pairs.next(),
            Items::Count { next, stop, like } => (*next < *stop).then(|| {
                let number = *next;
                *next += 1;
                let element = match like {
                    Value::Uint(_, kind) => Value::Uint(number.unsigned_abs(), *kind),
                    Value::Int(_, kind) => Value::Int(number, *kind),
                    _ => Value::int(number),
                };
                (Slot::invalid(), Slot::given(element))
            }),
            Items::Stream { stream, next, held } => {
                let number = held.take()?;
                *held = stream.take();
                *next += 1;
                Some((Slot::given(Value::int(*next - 1)), Slot::given(Value::int64(number))))
            }
            Items::Nothing => None,
        }
    }
}
