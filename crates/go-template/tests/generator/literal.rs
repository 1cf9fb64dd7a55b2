//! Numbers, characters, strings and formats in all the shapes that Go knows, and in some that it does not.

use super::Generator;

/// Pieces of quoted strings, as they are written.
const PIECES: &[&str] = &[
    "a",
    "b c",
    "é",
    "<&>",
    "\\\"",
    "\\t",
    "\\n",
    "\\u00e9",
    "\\U0001F600",
    "\\x41",
    "\\xff",
    "\\101",
    "\\a",
    "\\\\",
    "k",
    "%d",
    "日",
    "\\v",
    "\\f",
    "\\b",
    "\\r",
    "'",
    "}}",
    "{{",
    "\\u200b",
    "\\u00a0",
    "\\ufeff",
    "\\U000e0001",
    "=",
    "+",
    "\\000",
    "\\x7f",
    "0",
    " ",
    "\\u2028",
    "\\u0301",
];

/// Pieces that are no part of a string.
const WRONG: &[&str] = &["\\'", "\\q", "\\ud800", "\\xg1", "\\8", "\\400", "\\U00110000", "\n"];

const CHARS: &[&str] = &[
    "'a'",
    "'0'",
    "'\\n'",
    "'é'",
    "'\\''",
    "'\\x41'",
    "'\\377'",
    "'\\u65e5'",
    "'\\U0001F600'",
    "'\\\\'",
    "' '",
    "'日'",
    "'\"'",
    "'\\xff'",
    "'e'",
];

const NO_CHARS: &[&str] = &["'ab'", "''", "'\\\"'", "'\\0'", "'\\ud800'", "'\\'"];

impl Generator {
    /// Any literal.
    pub(super) fn literal(&mut self) -> String {
        match self.below(10) {
            0..=4 => self.number(),
            5 if self.once_in(30) => self.one_of(NO_CHARS),
            5 => self.one_of(CHARS),
            6 | 7 => self.string(),
            8 => self.one_of(&["`raw`", "`a\\n`", "`a\nb`", "``", "`\"`", "`a\r\nb`"]),
            _ => self.one_of(&["true", "false", "nil"]),
        }
    }

    pub(super) fn string(&mut self) -> String {
        let mut pieces: String = (0..self.below(5)).map(|_| self.one_of(PIECES)).collect();
        if self.once_in(40) {
            pieces += &self.one_of(WRONG);
        }
        format!("\"{pieces}\"")
    }

    fn digits(&mut self, of: &[&str]) -> String {
        (0..1 + self.below(3)).map(|_| self.one_of(of)).collect()
    }

    pub(super) fn number(&mut self) -> String {
        const DECIMAL: &[&str] = &["0", "1", "2", "3", "5", "7", "9", "10"];
        const HEXADECIMAL: &[&str] = &["0", "1", "8", "a", "F", "e", "c"];
        let sign = self.one_of(&["", "", "", "", "-", "+"]);
        let (one, two) = (self.digits(DECIMAL), self.digits(DECIMAL));
        let direction = self.one_of(&["", "+", "-"]);
        let body = match self.below(16) {
            0..=5 => one,
            6 => {
                self.one_of(&["0b", "0B", "0o", "0O", "0", "0b_", "0o_"])
                    + &self.digits(&["0", "1", "1", "10", "_1"])
            }
            7 => self.one_of(&["0x", "0X", "0x_"]) + &self.digits(HEXADECIMAL),
            8 => format!("{one}.{two}"),
            9 => self.one_of(&["", "0"]) + "." + &two,
            10 => format!("{one}."),
            11 => format!("{one}{}{direction}{}", self.one_of(&["e", "E", ".5e", ".e"]), self.below(30)),
            12 => format!(
                "0x{}{}{direction}{}",
                self.digits(HEXADECIMAL),
                self.one_of(&["p", "P", ".8p", ".p"]),
                self.below(30)
            ),
            13 => format!("{one}_{two}"),
            14 if self.once_in(8) => {
                self.one_of(&["1e400", "00", "08", "1_", "0x", "0b2", "1p3", "18446744073709551616"])
            }
            14 => self.one_of(&[
                "9223372036854775807",
                "9223372036854775808",
                "18446744073709551615",
                "1e308",
                "5e-324",
                "0xffffffffffffffff",
                "0x7fffffffffffffff",
                "0.1e-6",
                "1e20",
                "1e21",
                "123456789.0",
                "9.3e18",
                "1.8446744073709552e19",
                "9223372036854775808.0",
                "0e0",
                "09.5",
            ]),
            _ => one + "i",
        };
        match self.below(90) {
            0 => format!("{sign}{body}{}{two}i", self.one_of(&["+", "-"])),
            1 => format!("{sign}{body}i"),
            2 => format!("{sign}{body}{}", self.one_of(&["+1", "-", "a", ".5", "ii", "_"])),
            _ => sign + &body,
        }
    }

    /// A format and how many values it asks for.
    pub(super) fn format(&mut self) -> (String, usize) {
        let (mut format, mut wanted) = (String::new(), 0);
        for _ in 0..1 + self.below(3) {
            format += "%";
            for _ in 0..self.below(3) {
                format += &self.one_of(&["+", "-", "#", " ", "0"]);
            }
            if self.once_in(25) {
                format += &self.one_of(&["[1]", "[2]", "[3]", "[0]", "[x]", "[-1]", "[", "[1", "[9]"]);
            }
            let width = self.size();
            let precision = if self.once_in(3) { ".".to_owned() + &self.size() } else { String::new() };
            wanted += 1 + usize::from(width == "*") + usize::from(precision == ".*");
            format += &(width + &precision);
            if self.once_in(25) {
                format += &self.one_of(&["[1]", "[2]", "[*]", "[3]"]);
            }
            format += &self.one_of(&[
                "v", "v", "v", "s", "s", "d", "d", "q", "x", "X", "t", "T", "e", "E", "f", "F", "g", "G",
                "c", "U", "b", "o", "O", "%", "w", "z", "!", "é", "", "x", "v",
            ]);
            format += &self.one_of(&[" ", "|", "", "a"]);
        }
        (format, wanted)
    }

    fn size(&mut self) -> String {
        match self.below(12) {
            0 => "*".to_owned(),
            1..=4 => self.below(14).to_string(),
            5 => self.one_of(&["0", "00", "20", "03", "25"]),
            6 if self.once_in(20) => self.one_of(&["1000000", "1000001", "99999999999"]),
            _ => String::new(),
        }
    }
}
