//! Values as text, as Go's `fmt` makes it: `print`, `println`, `printf` and what an action prints.

mod duration;
mod number;
mod quote;
mod value;

use crate::parse::lex::decode;
use crate::value::Value;

pub use duration::duration;
pub use quote::{is_printable, quoted};

/// The operands one after the other, a space where neither neighbour is a string.
pub fn print(args: &[Value]) -> Vec<u8> {
    let mut printer = Printer::default();
    let mut string_before = true;
    for (position, arg) in args.iter().enumerate() {
        let string = matches!(arg, Value::Str(_));
        if position > 0 && !string && !string_before {
            printer.out.push(b' ');
        }
        printer.argument(arg, 'v');
        string_before = string;
    }
    printer.out
}

/// The operands with a space between each two, and a newline.
pub fn println(args: &[Value]) -> Vec<u8> {
    let mut printer = Printer::default();
    for (position, arg) in args.iter().enumerate() {
        if position > 0 {
            printer.out.push(b' ');
        }
        printer.argument(arg, 'v');
    }
    printer.out.push(b'\n');
    printer.out
}

/// The format with its verbs replaced. What does not fit is said in the text: `%!d(string=x)`.
pub fn sprintf(format: &[u8], args: &[Value]) -> Vec<u8> {
    printed(format, args, None)
}

/// The same with another `%v`: what the function makes of an argument, `+` and `#`. The type is that of what stands for each
/// argument then.
pub fn sprintf_with(format: &[u8], args: &[Value], ty: &str, show: Show<'_>) -> Vec<u8> {
    printed(format, args, Some((ty, show)))
}

/// What makes a text of a value, given whether `+` and `#` stand before the verb.
pub type Show<'a> = &'a dyn Fn(&Value, bool, bool) -> Vec<u8>;

fn printed(format: &[u8], args: &[Value], own: Option<(&str, Show<'_>)>) -> Vec<u8> {
    let printer = Printer::default();
    let mut printing = Printing { printer, args, own, next: 0, reordered: false, good_index: true };
    let mut rest = format;
    while let Some(percent) = rest.iter().position(|b| *b == b'%').filter(|_| !printing.printer.is_full()) {
        printing.printer.out.extend_from_slice(&rest[..percent]);
        rest = printing.verb(&rest[percent + 1..]);
    }
    printing.printer.out.extend_from_slice(rest);
    printing.extra();
    printing.printer.out
}

/// About how much is made of some values at most: a map may hold itself more than once. Who prints more is to be refused.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// The largest width or precision.
const SIZE_MAX: usize = 1_000_000;

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`: field names.
    plus_v: bool,
    /// `%#v`: Go syntax.
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Text being made, under some flags.
#[derive(Default)]
struct Printer {
    out: Vec<u8>,
    flags: Flags,
    /// Whether it tells what a verb does not go with.
    is_complaining: bool,
}

impl Printer {
    fn is_full(&self) -> bool {
        self.out.len() > TEXT_BYTES_MAX
    }

    /// Adds text, padded to the width.
    fn pad(&mut self, text: &[u8]) {
        let length = count_chars(text);
        let missing = self.flags.width.unwrap_or(0).saturating_sub(length);
        let fill = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        if self.flags.minus {
            self.out.extend_from_slice(text);
            self.out.resize(self.out.len() + missing, b' ');
        } else {
            self.out.resize(self.out.len() + missing, fill);
            self.out.extend_from_slice(text);
        }
    }
}

fn count_chars(mut text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut count = 0;
    while let Some((_, width)) = decode(text) {
        text = &text[width..];
        count += 1;
    }
    count
}

/// One `printf`: the printer and where it is in the arguments.
struct Printing<'a> {
    printer: Printer,
    args: &'a [Value],
    /// The type and the way of showing that stand before those of the arguments.
    own: Option<(&'a str, Show<'a>)>,
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl<'a> Printing<'a> {
    /// Handles what follows a `%` and gives the rest of the format.
    fn verb<'f>(&mut self, format: &'f [u8]) -> &'f [u8] {
        self.printer.flags = Flags::default();
        self.good_index = true;
        let mut rest = self.flags(format);
        let mut after_index = false;
        (rest, after_index) = self.index(rest, after_index);
        rest = self.width(rest, &mut after_index);
        rest = self.precision(rest, &mut after_index);
        if !after_index {
            (rest, _) = self.index(rest, after_index);
        }
        let Some((verb, width)) = decode(rest) else {
            self.printer.out.extend_from_slice(b"%!(NOVERB)");
            return rest;
        };
        let written = &rest[..width];
        match self.args.get(self.next) {
            _ if verb == '%' => self.printer.out.push(b'%'),
            _ if !self.good_index => self.complain(written, b"(BADINDEX)"),
            None => self.complain(written, b"(MISSING)"),
            Some(arg) => {
                self.next += 1;
                let flags = &mut self.printer.flags;
                match self.own {
                    Some((_, show)) if verb == 'v' => {
                        let text = show(arg, flags.plus, flags.sharp);
                        self.printer.out.extend(text);
                        return &rest[width..];
                    }
                    Some((ty, _)) if verb == 'T' => {
                        self.printer.type_name(ty);
                        return &rest[width..];
                    }
                    _ => {}
                }
                // `%w` is for errors only, and reads its flags all the same.
                if matches!(verb, 'v' | 'w') {
                    (flags.sharp_v, flags.sharp) = (flags.sharp, false);
                    (flags.plus_v, flags.plus) = (flags.plus, false);
                }
                self.printer.argument(arg, verb);
            }
        }
        &rest[width..]
    }

    fn complain(&mut self, verb: &[u8], what: &[u8]) {
        self.printer.out.extend_from_slice(b"%!");
        self.printer.out.extend_from_slice(verb);
        self.printer.out.extend_from_slice(what);
    }

    fn flags<'f>(&mut self, format: &'f [u8]) -> &'f [u8] {
        for (position, byte) in format.iter().enumerate() {
            let flags = &mut self.printer.flags;
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => return &format[position..],
            }
        }
        &[]
    }

    /// `[n]`: which argument is next.
    fn index<'f>(&mut self, format: &'f [u8], before: bool) -> (&'f [u8], bool) {
        if format.first() != Some(&b'[') {
            return (format, before);
        }
        self.reordered = true;
        let Some(end) = format.iter().position(|b| *b == b']') else {
            self.good_index = false;
            return (&format[1..], false);
        };
        let (number, after) = number_at(&format[1..end]);
        let is_number = number.is_some() && after.is_empty();
        match number.filter(|_| is_number) {
            Some(number) if (1..=self.args.len()).contains(&number) => self.next = number - 1,
            _ => self.good_index = false,
        }
        (&format[end + 1..], is_number)
    }

    fn width<'f>(&mut self, format: &'f [u8], after_index: &mut bool) -> &'f [u8] {
        if format.first() == Some(&b'*') {
            match self.star() {
                Some(width) => {
                    self.printer.flags.minus |= width < 0;
                    self.printer.flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.printer.out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            *after_index = false;
            return &format[1..];
        }
        let (width, rest) = number_at(format);
        if width.is_some() && *after_index {
            self.good_index = false;
        }
        self.printer.flags.width = width;
        rest
    }

    fn precision<'f>(&mut self, format: &'f [u8], after_index: &mut bool) -> &'f [u8] {
        // A dot at the very end is taken for the verb.
        let [b'.', rest @ ..] = format else { return format };
        if rest.is_empty() {
            return format;
        }
        if *after_index {
            self.good_index = false;
        }
        let (mut rest, index) = self.index(rest, false);
        *after_index = index;
        if rest.first() == Some(&b'*') {
            let star = self.star();
            self.printer.flags.precision = star.and_then(|star| usize::try_from(star).ok());
            if star.is_none_or(|star| star < 0) {
                self.printer.out.extend_from_slice(b"%!(BADPREC)");
            }
            *after_index = false;
            return &rest[1..];
        }
        let precision;
        (precision, rest) = number_at(rest);
        self.printer.flags.precision = Some(precision.unwrap_or(0));
        rest
    }

    /// The argument a `*` stands for.
    fn star(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        let size = match arg {
            _ if self.own.is_some() => return None,
            Value::Int(size, _) => *size,
            Value::Uint(size, _) => i64::try_from(*size).ok()?,
            _ => return None,
        };
        (size.unsigned_abs() <= SIZE_MAX as u64).then_some(size)
    }

    /// Arguments no verb asked for.
    fn extra(&mut self) {
        if self.reordered || self.next >= self.args.len() {
            return;
        }
        self.printer.flags = Flags::default();
        self.printer.out.extend_from_slice(b"%!(EXTRA ");
        for (position, arg) in self.args[self.next..].iter().enumerate() {
            if position > 0 {
                self.printer.out.extend_from_slice(b", ");
            }
            match self.own {
                None => self.printer.with_type(arg),
                Some((ty, show)) => {
                    self.printer.out.extend_from_slice(format!("{ty}=").as_bytes());
                    self.printer.out.extend(show(arg, false, false));
                }
            }
        }
        self.printer.out.push(b')');
    }
}

/// A written width or precision. One that grows too large takes the rest of the format with it.
fn number_at(format: &[u8]) -> (Option<usize>, &[u8]) {
    let digits = format.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut number = None;
    for digit in &format[..digits] {
        let so_far = number.unwrap_or(0);
        if so_far > SIZE_MAX {
            return (None, &[]);
        }
        number = Some(so_far * 10 + usize::from(digit - b'0'));
    }
    (number, &format[digits..])
}
