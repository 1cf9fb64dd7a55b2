//! Strings as Go source writes them.

use crate::parse::lex::decode;

/// The text in double quotes, with escapes for what cannot be seen.
pub fn quoted(bytes: &[u8]) -> String {
    quote(bytes, '"', false)
}

/// The same with escapes for everything beyond ASCII.
pub(super) fn quoted_ascii(bytes: &[u8]) -> String {
    quote(bytes, '"', true)
}

/// A character in single quotes.
pub(super) fn quoted_char(c: char, ascii: bool) -> String {
    quote(c.encode_utf8(&mut [0; 4]).as_bytes(), '\'', ascii)
}

/// Whether the text can stand between back quotes.
pub(super) fn can_be_raw(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars().all(|c| c != '`' && c != '\u{feff}' && (c == '\t' || (c >= ' ' && c != '\x7f')))
    })
}

/// Whether a character can be shown as itself.
pub fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        // a letter before it, since combining marks are escaped only at the beginning of a text
        c => format!("a{c}").escape_debug().count() == 2,
    }
}

fn quote(bytes: &[u8], mark: char, ascii: bool) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push(mark);
    let mut rest = bytes;
    while let Some((c, width)) = decode(rest) {
        if width == 1 && !rest[0].is_ascii() {
            text.push_str(&format!("\\x{:02x}", rest[0]));
        } else {
            push(&mut text, c, mark, ascii);
        }
        rest = &rest[width..];
    }
    text.push(mark);
    text
}

fn push(text: &mut String, c: char, mark: char, ascii: bool) {
    match c {
        '\x07' => text.push_str("\\a"),
        '\x08' => text.push_str("\\b"),
        '\x0c' => text.push_str("\\f"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\x0b' => text.push_str("\\v"),
        c if c == mark || c == '\\' => text.extend(['\\', c]),
        c if c.is_ascii() && is_printable(c) => text.push(c),
        c if !ascii && is_printable(c) => text.push(c),
        c if c < ' ' || c == '\x7f' => text.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x10000 => text.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => text.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}
