//! Templates made at random by the language's own grammar, so that most of them mean something.

mod expression;
mod literal;
mod words;

use words::{COMMENTS, DELIMITERS, LOOPED, NAMES, TEXTS, VARIABLES};

/// How deep statements and expressions stand in each other.
const DEPTH_MAX: usize = 4;

/// A template, and how it is to be read and executed.
pub(crate) struct Case {
    pub(crate) source: Vec<u8>,
    pub(crate) delimiters: (&'static str, &'static str),
    pub(crate) missing_key: &'static str,
}

/// Makes templates; the same seed makes the same ones.
pub(crate) struct Generator {
    state: u64,
    delimiters: (&'static str, &'static str),
    variables: Vec<String>,
    loops: usize,
    depth: usize,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Generator { state, delimiters: DELIMITERS[0], variables: Vec::new(), loops: 0, depth: 0 }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from((self.state >> 11) % limit as u64).expect("smaller than the limit")
    }

    /// Whether one of so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one_of(&mut self, of: &[&str]) -> String {
        let at = self.below(of.len());
        of[at].to_owned()
    }

    pub(crate) fn case(&mut self) -> Case {
        let delimiters = if self.once_in(6) { self.below(DELIMITERS.len()) } else { 0 };
        self.delimiters = DELIMITERS[delimiters];
        let mut source = self.template().into_bytes();
        if self.once_in(16) {
            self.damage(&mut source);
        }
        let missing_key = ["default", "zero", "error"][self.below(3)];
        Case { source, delimiters: self.delimiters, missing_key }
    }

    /// A slip of the pen, so that there is something to complain of.
    fn damage(&mut self, source: &mut Vec<u8>) {
        const SLIPS: &[&[u8]] = &[
            b"",
            b"",
            b"{{",
            b"}}",
            b"(",
            b")",
            b"|",
            b"$",
            b".",
            b":",
            b"=",
            b",",
            b"\"",
            b"`",
            b"'",
            b"-",
            b"\n",
            b" ",
            b"\0",
            b"\xff",
            "é".as_bytes(),
            b"end",
            b"1",
            b"/*",
            b"*/",
            b"\\",
            b"a",
            b"\n\n",
        ];
        let at = self.below(source.len() + 1);
        let removed = self.below(3).min(source.len() - at);
        let slip = SLIPS[self.below(SLIPS.len())];
        source.splice(at..at + removed, slip.iter().copied());
    }

    fn template(&mut self) -> String {
        // Most are short: the first error ends a template.
        let (parts, depth) = if self.once_in(3) { (5, 0) } else { (2, DEPTH_MAX - 1) };
        (self.loops, self.depth) = (0, depth);
        self.variables.clear();
        let mut text = String::new();
        for _ in 0..1 + self.below(parts) {
            let part = if self.once_in(6) { self.definition() } else { self.statement() };
            text.push_str(&part);
        }
        text
    }

    /// A template of its own: it sees no variables but `$`. Names come again, blank or not.
    fn definition(&mut self) -> String {
        let (variables, loops) = (std::mem::take(&mut self.variables), std::mem::take(&mut self.loops));
        let name = self.one_of(NAMES);
        let body = if self.once_in(8) { self.one_of(&["", " \n", "{{/* */}}"]) } else { self.body() };
        (self.variables, self.loops) = (variables, loops);
        let (head, end) = (self.action(&format!("define {name}")), self.action("end"));
        head + &body + &end
    }

    /// Statements with variables of their own.
    fn body(&mut self) -> String {
        let known = self.variables.len();
        self.depth += 1;
        let text = (0..1 + self.below(3)).map(|_| self.statement()).collect();
        self.depth -= 1;
        self.variables.truncate(known);
        text
    }

    /// An action around some words, with or without trim marks.
    fn action(&mut self, words: &str) -> String {
        let (open, close) = self.delimiters;
        let left = if self.once_in(8) { self.one_of(&["- ", "-\n", " ", "\t"]) } else { String::new() };
        let right = if self.once_in(8) { self.one_of(&[" -", "\n-", " ", "\r\n"]) } else { String::new() };
        format!("{open}{left}{words}{right}{close}")
    }

    fn statement(&mut self) -> String {
        let simple = self.depth >= DEPTH_MAX;
        match self.below(if simple { 9 } else { 17 }) {
            0..=1 => self.one_of(TEXTS),
            2..=5 => {
                let pipe = self.pipe();
                self.action(&pipe)
            }
            6 => self.declaration(),
            7 => self.comment(),
            8 => self.jump(),
            9 | 10 => self.branch("if"),
            11 | 12 => self.branch("with"),
            13..=15 => self.range(),
            _ => self.call(),
        }
    }

    fn comment(&mut self) -> String {
        let (open, close) = self.delimiters;
        self.one_of(COMMENTS).replace("{{", open).replace("}}", close)
    }

    /// A new variable, perhaps in the place of another of the same name, or another value for a known one.
    fn declaration(&mut self) -> String {
        let pipe = self.pipe();
        if !self.variables.is_empty() && self.once_in(2) {
            let name = self.known_variable();
            return self.action(&format!("{name} = {pipe}"));
        }
        let name = self.one_of(VARIABLES);
        self.variables.push(name.clone());
        let sign = self.one_of(&[" := ", " := ", ":=", " :="]);
        self.action(&format!("{name}{sign}{pipe}"))
    }

    fn known_variable(&mut self) -> String {
        let at = self.below(self.variables.len());
        self.variables[at].clone()
    }

    /// A way out of a loop; now and then where there is none.
    fn jump(&mut self) -> String {
        if self.loops == 0 && !self.once_in(20) {
            return self.one_of(TEXTS);
        }
        let word = self.one_of(&["break", "continue"]);
        let jump = self.action(&word);
        if self.once_in(3) {
            return jump;
        }
        let condition = self.pipe();
        self.action(&format!("if {condition}")) + &jump + &self.action("end")
    }

    fn branch(&mut self, word: &str) -> String {
        let known = self.variables.len();
        let mut text = String::new();
        let mut opening = word.to_owned();
        loop {
            let head = self.condition();
            text += &self.action(&format!("{opening} {head}"));
            text += &self.body();
            if !self.once_in(3) {
                break;
            }
            // `else with` goes with `with` only.
            let word = if self.once_in(20) { "with" } else { word };
            opening = format!("else {word}");
        }
        if self.once_in(2) {
            text += &self.action("else");
            text += &self.body();
        }
        self.variables.truncate(known);
        text + &self.action("end")
    }

    /// What a branch asks, perhaps kept in a variable.
    fn condition(&mut self) -> String {
        let head = self.pipe();
        if !self.once_in(4) {
            return head;
        }
        if !self.variables.is_empty() && self.once_in(4) {
            return format!("{} = {head}", self.known_variable());
        }
        let name = self.one_of(VARIABLES);
        self.variables.push(name.clone());
        format!("{name} := {head}")
    }

    fn range(&mut self) -> String {
        let known = self.variables.len();
        let over = if self.once_in(3) { self.pipe() } else { self.one_of(LOOPED) };
        let head = match self.below(6) {
            0 | 1 => over,
            2 if !self.variables.is_empty() => {
                let (one, two) = (self.known_variable(), self.known_variable());
                let names = if self.once_in(2) { one } else { format!("{one}, {two}") };
                format!("{names} = {over}")
            }
            2 | 3 => {
                self.variables.push("$v".to_owned());
                format!("$v := {over}")
            }
            _ => {
                self.variables.extend(["$k".to_owned(), "$v".to_owned()]);
                format!("$k, $v := {over}")
            }
        };
        let mut text = self.action(&format!("range {head}"));
        self.loops += 1;
        text.push_str(&self.body());
        self.loops -= 1;
        if self.once_in(3) {
            text.push_str(&self.action("else"));
            text.push_str(&self.body());
        }
        self.variables.truncate(known);
        text + &self.action("end")
    }

    /// A template called, or defined and called on the spot.
    fn call(&mut self) -> String {
        let (name, dot) = (self.one_of(NAMES), self.pipe());
        if self.once_in(5) {
            return self.action(&format!("template {name}"));
        }
        if !self.once_in(4) {
            return self.action(&format!("template {name} {dot}"));
        }
        let (variables, loops) = (std::mem::take(&mut self.variables), std::mem::take(&mut self.loops));
        let body = self.body();
        (self.variables, self.loops) = (variables, loops);
        self.action(&format!("block {name} {dot}")) + &body + &self.action("end")
    }
}
