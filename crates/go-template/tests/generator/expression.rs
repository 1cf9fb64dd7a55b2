//! Pipelines, calls and operands.

use super::words::{BOOLS, FIELDS, FLOATS, INTS, LISTS, MAPS, RECORDS, STAGES, STRINGS};
use super::{DEPTH_MAX, Generator};

/// What a function would like to be given.
#[derive(Clone, Copy)]
enum Want {
    Int,
    Float,
    Text,
    Bool,
    List,
    Map,
    Record,
    Any,
}

use Want::{Any, Bool, Float, Int, List, Map, Record, Text};

/// Functions, and what they take.
const FUNCTIONS: &[(&str, &[Want])] = &[
    ("print", &[Any, Any, Any]),
    ("println", &[Any, Any]),
    ("html", &[Text]),
    ("html", &[Any, Any]),
    ("js", &[Text]),
    ("js", &[Any, Any]),
    ("urlquery", &[Text]),
    ("urlquery", &[Any, Any]),
    ("len", &[List]),
    ("len", &[Text]),
    ("len", &[Any]),
    ("index", &[List, Int]),
    ("index", &[Map, Text]),
    ("index", &[Text, Int]),
    ("index", &[Any, Any]),
    ("index", &[List, Int, Any]),
    ("index", &[Map, Any, Any]),
    ("index", &[Any]),
    ("slice", &[Text, Int, Int]),
    ("slice", &[List, Int]),
    ("slice", &[List, Int, Int, Int]),
    ("slice", &[Any, Any]),
    ("slice", &[Text]),
    ("eq", &[Any, Any]),
    ("eq", &[Int, Int, Int]),
    ("eq", &[Text, Text, Any]),
    ("eq", &[Record, Record]),
    ("eq", &[Any]),
    ("ne", &[Any, Any]),
    ("ne", &[Float, Float]),
    ("lt", &[Int, Int]),
    ("lt", &[Text, Text]),
    ("lt", &[Any, Any]),
    ("le", &[Float, Float]),
    ("le", &[Any, Any]),
    ("gt", &[Int, Int]),
    ("gt", &[Bool, Bool]),
    ("ge", &[Text, Text]),
    ("ge", &[Any, Any]),
    ("and", &[Any, Any, Any]),
    ("and", &[Bool, Bool]),
    ("or", &[Any, Any, Any]),
    ("or", &[Bool]),
    ("not", &[Any]),
    ("call", &[Any, Any]),
    ("echo", &[Any]),
    ("list", &[Any, Any]),
    ("plus", &[Int, Int]),
    ("half", &[Float]),
    ("half", &[Int]),
    ("glue", &[Text, List]),
    ("up", &[Text]),
    ("yes", &[]),
    ("bad", &[]),
    ("none", &[]),
    ("there", &[]),
    ("unsigned", &[Int]),
    ("wide", &[Int]),
    ("is", &[Bool]),
    ("many", &[Text, Int, Int]),
    ("many", &[Text]),
    ("port", &[Record]),
    ("size", &[Map]),
    ("pad.Get", &[Text]),
    ("(pad).Sum", &[Int, Int]),
    ("pad.Fail", &[]),
    ("pad.Count", &[]),
    ("(echo pad).Get", &[Any]),
    (".rec.Name", &[Any]),
    (".m.x", &[Any]),
];

impl Generator {
    pub(super) fn pipe(&mut self) -> String {
        let mut text = self.command();
        while self.once_in(5) {
            let bar = self.one_of(&[" | ", " | ", "|", "\n| "]);
            text = text + &bar + &self.one_of(STAGES);
        }
        text
    }

    fn command(&mut self) -> String {
        match self.below(6) {
            0 | 1 => self.operand(),
            2 => self.printed(),
            _ => self.function(),
        }
    }

    /// A call of `printf`, with one value too many or too few now and then.
    fn printed(&mut self) -> String {
        let (format, wanted) = self.format();
        let count = if self.once_in(8) { self.below(4) } else { wanted };
        let values: String = (0..count).map(|_| format!(" {}", self.value())).collect();
        format!("printf {}{values}", quoted(&format))
    }

    /// A value of one kind or another.
    fn value(&mut self) -> String {
        match self.below(8) {
            0 | 1 => self.wanted(Int),
            2 => self.wanted(Float),
            3 | 4 => self.wanted(Text),
            5 => self.wanted(List),
            6 => self.wanted(Map),
            _ => self.wanted(Any),
        }
    }

    fn function(&mut self) -> String {
        let (name, wanted) = FUNCTIONS[self.below(FUNCTIONS.len())];
        let mut call = name.to_owned();
        for want in wanted {
            call = format!("{call} {}", self.wanted(*want));
        }
        match self.below(30) {
            0 => call + " " + &self.operand(),
            1 => name.to_owned(),
            _ => call,
        }
    }

    /// Something that fits, nearly always.
    fn wanted(&mut self, want: Want) -> String {
        if self.once_in(6) {
            return self.operand();
        }
        match want {
            Int if self.once_in(3) => self.number(),
            Text if self.once_in(3) => self.string(),
            Int => self.one_of(INTS),
            Float => self.one_of(FLOATS),
            Text => self.one_of(STRINGS),
            Bool => self.one_of(BOOLS),
            List => self.one_of(LISTS),
            Map => self.one_of(MAPS),
            Record => self.one_of(RECORDS),
            Any => self.operand(),
        }
    }

    pub(super) fn operand(&mut self) -> String {
        match self.below(14) {
            0..=2 => self.literal(),
            3..=5 => self.one_of(FIELDS),
            6 => ".".to_owned(),
            7 => self.one_of(&["$", "$.m.x", "$.rec.Name", "$.list", "$.nope", "$nope", "(echo pad).Count"]),
            8 | 9 if !self.variables.is_empty() => {
                let more = self.one_of(&["", "", "", "", ".Name", ".x", ".Inner.Port"]);
                self.known_variable() + &more
            }
            10 | 11 if self.depth < DEPTH_MAX + 1 => self.parenthesized(),
            12 => {
                let kinds = [Int, Float, Text, Bool, List, Map, Record];
                let want = kinds[self.below(kinds.len())];
                self.wanted(want)
            }
            13 => self.one_of(&[
                "yes",
                "none",
                "(there).Name",
                "(echo .m).x",
                "(index .recs 0).Name",
                "(list 1 nil)",
                "bad",
                "(none).Name",
                "nil.x",
                "(nil).x",
                "there.Inner.Port",
                "1.x",
                "\"a\".b",
                "(1).x",
                "(index .grid 1)",
                "rec",
            ]),
            _ => self.one_of(FIELDS),
        }
    }

    fn parenthesized(&mut self) -> String {
        self.depth += 1;
        let inner = self.pipe();
        self.depth -= 1;
        let more = self.one_of(&["", "", "", "", "", ".Name", ".x", ".Inner.Port", ".x.y"]);
        // A variable lives on after the parentheses in which it is declared.
        if self.once_in(20) {
            self.variables.push("$p".to_owned());
            return format!("($p := {inner}){more}");
        }
        format!("({inner}){more}")
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
