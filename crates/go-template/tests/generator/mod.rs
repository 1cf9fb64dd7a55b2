//! Templates made at random by the language's own grammar, so that most of them mean something.

/// How deep statements and expressions stand in each other.
const DEPTH_MAX: usize = 4;

/// Makes templates; the same seed makes the same ones.
pub(crate) struct Generator {
    state: u64,
    variables: Vec<String>,
    loops: usize,
    depth: usize,
    defined: usize,
}

const FIELDS: &[&str] = &[
    ".a",
    ".i64",
    ".u",
    ".f",
    ".big",
    ".b",
    ".s",
    ".e",
    ".n",
    ".list",
    ".strs",
    ".empty",
    ".m",
    ".m.x",
    ".m.y.z",
    ".m.n",
    ".m.nope",
    ".sm",
    ".sm.k",
    ".sm.nope",
    ".im",
    ".rec",
    ".rec.Name",
    ".rec.Port",
    ".rec.Ratio",
    ".rec.On",
    ".rec.Tags",
    ".rec.Inner",
    ".rec.Inner.Port",
    ".rec.Next",
    ".rec.Next.Any",
    ".rec.Next.Next",
    ".rec.Meta",
    ".rec.Any",
    ".rec.Meta.k",
    ".recs",
    ".val",
    ".val.Name",
    ".nope",
    ".nope.more",
    ".n.x",
    ".a.x",
    ".rec.Nope",
    ".Name",
    ".Port",
    ".x",
    ".k",
];

const LITERALS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "10",
    "1.0",
    "2.5",
    "-0.5",
    "1e3",
    "1e-7",
    "1e21",
    "123456789",
    "1_000",
    "0x1F",
    "0b101",
    "0o17",
    "017",
    "0x1p4",
    "'a'",
    "'\\n'",
    "'é'",
    "\"\"",
    "\"x\"",
    "\"a b\"",
    "\"k\"",
    "\"<&>\"",
    "\"q\\\"\\t\"",
    "\"\\u00e9\"",
    "`raw`",
    "`a\\n`",
    "true",
    "false",
    "nil",
    "9223372036854775807",
    "18446744073709551615",
    "1i",
    ".5",
];

const VERBS: &[&str] = &[
    "%v", "%s", "%d", "%q", "%x", "%X", "%t", "%T", "%5d", "%-5d|", "%05d", "%+d", "%.2f", "%8.3f", "%e",
    "%g", "%G", "%c", "%U", "%b", "%o", "%O", "%#x", "%#v", "%+v", "%6s|", "%-6s|", "%.2s", "% d", "%%",
    "%z", "%*d", "%[2]v", "%[1]q", "%", "%!", "% x", "%#q", "%+q", "%x|%X", "%08.3f", "%+.1e", "%p",
];

const TEXTS: &[&str] = &["", " ", "\n", "text ", "a\n  b\n", "{", "}", "é ", "\t- x", "\r\n"];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Generator { state, variables: Vec::new(), loops: 0, depth: 0, defined: 0 }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from((self.state >> 11) % limit as u64).expect("smaller than the limit")
    }

    fn one_of(&mut self, of: &[&str]) -> String {
        let at = self.below(of.len());
        of[at].to_owned()
    }

    pub(crate) fn template(&mut self) -> String {
        (self.loops, self.depth, self.defined) = (0, 0, 0);
        self.variables.clear();
        let mut text = String::new();
        if self.below(4) == 0 {
            self.defined = 1;
            let body = self.body();
            text = format!("{{{{define \"d\"}}}}{body}{{{{end}}}}");
            self.variables.clear();
        }
        for _ in 0..1 + self.below(4) {
            text.push_str(&self.statement());
        }
        text
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
        let left = if self.below(8) == 0 { "{{- " } else { "{{" };
        let right = if self.below(8) == 0 { " -}}" } else { "}}" };
        let blank = if self.below(6) == 0 { "\n " } else { "" };
        format!("{left}{words}{blank}{right}")
    }

    fn statement(&mut self) -> String {
        let simple = self.depth >= DEPTH_MAX;
        match self.below(if simple { 9 } else { 16 }) {
            0..=2 => self.one_of(TEXTS),
            3..=5 => {
                let pipe = self.pipe();
                self.action(&pipe)
            }
            6 => self.declaration(),
            7 => self.one_of(&["{{/* a comment */}}", "{{- /* b */ -}}", "x", "{{/* c\n */ -}}"]),
            8 => self.jump(),
            9 | 10 => self.branch("if"),
            11 => self.branch("with"),
            12..=14 => self.range(),
            _ => self.call(),
        }
    }

    fn declaration(&mut self) -> String {
        let pipe = self.pipe();
        if !self.variables.is_empty() && self.below(2) == 0 {
            let at = self.below(self.variables.len());
            let name = self.variables[at].clone();
            return self.action(&format!("{name} = {pipe}"));
        }
        let name = self.one_of(&["$x", "$y", "$z"]);
        self.variables.push(name.clone());
        self.action(&format!("{name} := {pipe}"))
    }

    fn jump(&mut self) -> String {
        if self.loops == 0 {
            return self.one_of(TEXTS);
        }
        let word = self.one_of(&["break", "continue"]);
        let (condition, jump) = (self.pipe(), self.action(&word));
        format!("{{{{if {condition}}}}}{jump}{{{{end}}}}")
    }

    fn branch(&mut self, word: &str) -> String {
        let known = self.variables.len();
        let mut head = self.pipe();
        if self.below(4) == 0 {
            let name = self.one_of(&["$x", "$w"]);
            head = format!("{name} := {head}");
            self.variables.push(name);
        }
        let mut text = self.action(&format!("{word} {head}"));
        text.push_str(&self.body());
        if self.below(4) == 0 {
            let other = self.pipe();
            text.push_str(&self.action(&format!("else {word} {other}")));
            text.push_str(&self.body());
        }
        if self.below(2) == 0 {
            text.push_str(&self.action("else"));
            text.push_str(&self.body());
        }
        text.push_str(&self.action("end"));
        self.variables.truncate(known);
        text
    }

    fn range(&mut self) -> String {
        let known = self.variables.len();
        let over = match self.below(3) {
            0 => self.pipe(),
            _ => self.one_of(&[
                ".list",
                ".strs",
                ".m",
                ".sm",
                ".im",
                ".recs",
                "3",
                ".a",
                ".empty",
                ".rec.Tags",
                ".rec.Meta",
                "list 1 2",
                "$.strs",
                ".u",
                ".i64",
                ".n",
                "nil",
                "(list)",
            ]),
        };
        let head = match self.below(4) {
            0 | 1 => over,
            2 => {
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
        if self.below(3) == 0 {
            text.push_str(&self.action("else"));
            text.push_str(&self.body());
        }
        text.push_str(&self.action("end"));
        self.variables.truncate(known);
        text
    }

    fn call(&mut self) -> String {
        if self.defined == 1 && self.below(2) == 0 {
            let dot = self.pipe();
            return self.action(&format!("template \"d\" {dot}"));
        }
        if self.defined == 1 && self.loops == 0 {
            self.defined = 2;
            let dot = self.pipe();
            let (variables, loops) = (std::mem::take(&mut self.variables), std::mem::take(&mut self.loops));
            let body = self.body();
            (self.variables, self.loops) = (variables, loops);
            return format!("{{{{block \"c\" {dot}}}}}{body}{{{{end}}}}");
        }
        let pipe = self.pipe();
        self.action(&pipe)
    }

    fn pipe(&mut self) -> String {
        let mut text = self.command();
        while self.below(5) == 0 {
            let stage = self.one_of(&[
                "print",
                "printf \"%v\"",
                "printf \"%q\"",
                "len",
                "html",
                "js",
                "urlquery",
                "up",
                "echo",
                "not",
                "eq 1",
                "index .list",
                "println",
                "plus 1",
                "half",
                "and true",
                "or 0",
                "list",
                "printf \"%T\"",
                "slice \"abcd\" 1",
            ]);
            text = format!("{text} | {stage}");
        }
        text
    }

    fn command(&mut self) -> String {
        match self.below(5) {
            0 | 1 => self.operand(),
            _ => self.function(),
        }
    }

    fn function(&mut self) -> String {
        let args = |own: &mut Self, count: usize| -> String {
            (0..count).map(|_| format!(" {}", own.operand())).collect()
        };
        let name = self.one_of(&[
            "print", "println", "printf", "len", "index", "slice", "eq", "ne", "lt", "le", "gt", "ge", "and",
            "or", "not", "html", "js", "urlquery", "echo", "list", "plus", "half", "glue", "up", "yes",
            "printf", "index", "eq", "bad", "none", "call", "there",
        ]);
        let count = match name.as_str() {
            "printf" => {
                let format: String = (0..1 + self.below(3)).map(|_| self.one_of(VERBS) + " ").collect();
                let count = self.below(4);
                return format!("printf \"{format}\"{}", args(self, count));
            }
            "index" if self.below(2) == 0 => {
                return self.one_of(&[
                    "index .list 0",
                    "index .list 1",
                    "index .m \"x\"",
                    "index .m \"nope\"",
                    "index .sm \"k\"",
                    "index .im 10",
                    "index .im 3",
                    "index .strs 1",
                    "index .list 9",
                    "index .m.y \"z\"",
                    "index .recs 0",
                    "index \"abc\" 1",
                    "index .rec.Tags 0",
                    "index .list -1",
                    "index .sm 1",
                    "index .m nil",
                    "index .strs \"a\"",
                    "index .sm .s",
                ]);
            }
            "slice" if self.below(2) == 0 => {
                return self.one_of(&[
                    "slice .s 1",
                    "slice .s 1 3",
                    "slice .strs 0 1",
                    "slice .list 1",
                    "slice .s 9",
                    "slice .list 2 1",
                    "slice .list 1 2 3",
                    "slice .s",
                    "slice .rec.Tags 1 2",
                ]);
            }
            "len" | "not" | "up" | "half" => 1,
            "plus" | "glue" | "ne" | "lt" | "le" | "gt" | "ge" => 2,
            "yes" | "bad" | "none" | "there" => 0,
            _ => self.below(4),
        };
        // Now and then one too many or too few.
        let count = if self.below(30) == 0 { self.below(4) } else { count };
        format!("{name}{}", args(self, count))
    }

    fn operand(&mut self) -> String {
        match self.below(12) {
            0..=2 => self.one_of(LITERALS),
            3..=5 => self.one_of(FIELDS),
            6 => ".".to_owned(),
            7 => self.one_of(&["$", "$.m.x", "$.rec.Name", "$.list", "$.nope"]),
            8 if !self.variables.is_empty() => {
                let at = self.below(self.variables.len());
                let more = self.one_of(&["", "", "", ".Name", ".x"]);
                format!("{}{more}", self.variables[at])
            }
            9 | 10 if self.depth < DEPTH_MAX + 1 => {
                self.depth += 1;
                let inner = self.pipe();
                self.depth -= 1;
                let more = self.one_of(&["", "", "", "", ".Name", ".x", ".Inner.Port"]);
                format!("({inner}){more}")
            }
            11 => self.one_of(&[
                "yes",
                "rec",
                "(rec).Name",
                "(echo .m).x",
                "(index .recs 0).Name",
                "(list 1 nil)",
                "bad",
            ]),
            _ => self.one_of(FIELDS),
        }
    }
}
