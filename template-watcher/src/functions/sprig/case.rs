//! Names in other spellings: `FirstName`, `first_name`, `first-name`. Where words end is as Go's `xstrings` has it, which Sprig uses.

use std::sync::LazyLock;

use regex::Regex;

use crate::functions::text::{lower, upper};

/// What a word is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Blanks, `-` and `_`.
    Joint,
    Punctuation,
    /// A capital and the small letters after it, or only capitals.
    Capitals,
    Letters,
    Number,
    Other,
}

/// The words of a name in small letters with a mark between them.
pub(super) fn separated(text: &str, mark: char) -> String {
    let mut joined = Joined { words: words(text), out: String::with_capacity(text.len() + 4), mark };
    let mut at = 0;
    while at + 1 < joined.words.len() {
        at = joined.next(at);
    }
    joined.add(at);
    joined.out
}

struct Joined<'t> {
    words: Vec<(Kind, &'t str)>,
    out: String,
    mark: char,
}

impl Joined<'_> {
    fn kind(&self, at: usize) -> Option<Kind> {
        self.words.get(at).map(|(kind, _)| *kind)
    }

    fn add(&mut self, at: usize) {
        let Some((kind, word)) = self.words.get(at) else { return };
        match kind {
            Kind::Joint => self.out.extend(word.chars().map(|_| self.mark)),
            Kind::Capitals => self.out.push_str(&lower(word)),
            _ => self.out.push_str(word),
        }
    }

    /// Adds a word and what goes with it, and a mark where another one begins; gives the place of that.
    fn next(&mut self, at: usize) -> usize {
        self.add(at);
        let next = at + 1;
        match self.words[at].0 {
            Kind::Joint | Kind::Punctuation => next,
            Kind::Number => self.rest_of_number(next),
            _ if self.kind(next) != Some(Kind::Number) => self.marked(next),
            // At the end a number belongs to the word before it: `Floor4`.
            _ if self.kind(next + 1).is_none() => next,
            // Small letters go with the number, and both are a word: `http_2xx`.
            _ if self.kind(next + 1) == Some(Kind::Letters) => {
                self.out.push(self.mark);
                self.add(next);
                self.rest_of_number(next + 1)
            }
            _ => {
                self.add(next);
                self.marked(next + 1)
            }
        }
    }

    fn rest_of_number(&mut self, mut at: usize) -> usize {
        while matches!(self.kind(at), Some(Kind::Letters | Kind::Number)) {
            self.add(at);
            at += 1;
        }
        self.marked(at)
    }

    /// A mark before a word that brings none itself.
    fn marked(&mut self, at: usize) -> usize {
        if !matches!(self.kind(at), None | Some(Kind::Joint | Kind::Punctuation)) {
            self.out.push(self.mark);
        }
        at
    }
}

fn words(mut text: &str) -> Vec<(Kind, &str)> {
    let mut words = Vec::new();
    while let Some(first) = text.chars().next() {
        let kind = kind(first);
        let (word, rest) = text.split_at(length(kind, text));
        words.push((kind, word));
        text = rest;
    }
    words
}

/// How long the first word is.
fn length(first: Kind, text: &str) -> usize {
    let run = |goes_on: &dyn Fn(char) -> bool| text.find(|c| !goes_on(c)).unwrap_or(text.len());
    match first {
        Kind::Capitals => {
            let capitals = run(&|c| kind(c) == Kind::Capitals);
            let one = text.chars().next().map_or(0, char::len_utf8);
            let after = text[capitals..].find(|c| kind(c) != Kind::Letters).unwrap_or(text.len() - capitals);
            match text[..capitals].char_indices().last() {
                _ if after == 0 => capitals,
                _ if capitals == one => one + after,
                // The last capital begins the next word: `HTTP` and `Server`.
                last => last.map_or(capitals, |(at, _)| at),
            }
        }
        Kind::Other => {
            let goes_on = |c| matches!(kind(c), Kind::Other);
            run(&goes_on)
        }
        first => run(&|c| kind(c) == first),
    }
}

fn kind(c: char) -> Kind {
    match c {
        c if is_joint(c) => Kind::Joint,
        c if is_punctuation(c) => Kind::Punctuation,
        c if c.is_uppercase() => Kind::Capitals,
        c if c.is_numeric() => Kind::Number,
        c if c.is_alphabetic() && !is_ideograph(c) => Kind::Letters,
        _ => Kind::Other,
    }
}

fn is_joint(c: char) -> bool {
    matches!(c, '_' | '-') || c.is_whitespace()
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}')
}

fn is_punctuation(c: char) -> bool {
    static PUNCTUATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\p{P}$").expect("this pattern is right"));
    match c {
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => false,
        c if c.is_ascii() => c.is_ascii_punctuation(),
        c => PUNCTUATION.is_match(c.encode_utf8(&mut [0; 4])),
    }
}

fn last_letter(text: &str) -> usize {
    text.char_indices().last().map_or(0, |(at, _)| at)
}

/// `http_server` as `HttpServer`, and `HTTP_SERVER` too. Joints before and after stay, and all but one of several.
pub(super) fn camel(text: &str) -> String {
    let name = text.trim_start_matches(is_joint);
    let mut out = text[..text.len() - name.len()].to_owned();
    let capital = |c: char| upper(c.encode_utf8(&mut [0; 4]));
    let small = |c: char| lower(c.encode_utf8(&mut [0; 4]));
    let mut letters = name.chars();
    // Where there are only joints, the last one comes twice, as in the original.
    let Some(first) = letters.next() else {
        return out.clone() + out.get(last_letter(&out)..).unwrap_or_default();
    };
    // While a word has had capitals only, further ones become small.
    let (mut held, mut is_capitals) = (capital(first), first.is_uppercase());
    let mut after_joint = false;
    for c in letters {
        if after_joint && is_joint(c) {
            out.push_str(&held);
            held = c.to_string();
        } else if after_joint {
            (is_capitals, after_joint) = (c.is_uppercase(), false);
            held = capital(c);
        } else {
            is_capitals &= c.is_uppercase();
            out.push_str(&held);
            held = if is_capitals { small(c) } else { c.to_string() };
            after_joint = is_joint(c);
        }
    }
    out + &held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parted_where_numbers_and_capitals_say() {
        for (name, parted) in [
            ("HTTPServer", "http_server"),
            ("NoHTTPS", "no_https"),
            ("Duration2m3s", "duration_2m3s"),
            ("Bld4Floor3rd", "bld4_floor_3rd"),
            ("HTTP20xOK", "http_20x_ok"),
            ("a1b2C3", "a_1b2_c3"),
            ("GO PATH-x", "go_path_x"),
            ("a|b", "a_|_b"),
            ("x.y.Z", "x.y.z"),
            ("日本語 Test", "日本語_test"),
            ("", ""),
        ] {
            assert_eq!(separated(name, '_'), parted, "{name}");
        }
    }

    #[test]
    fn names_are_joined() {
        for (name, joined) in [
            ("HTTPServer", "Httpserver"),
            ("ID", "Id"),
            ("some_words", "SomeWords"),
            ("_x_Y_", "_XY_"),
            ("a__b", "A_B"),
            ("http2Server", "Http2Server"),
            ("_-", "_--"),
        ] {
            assert_eq!(camel(name), joined, "{name}");
        }
    }
}
