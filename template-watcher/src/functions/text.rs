//! Strings: cutting, joining, replacing, patterns, digests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use go_template::{Signature, Type, Value};
use registry_wire::regexp;
use sha2::{Digest, Sha256};

use super::raw::{self, Texts};
use super::{Context, Row, base_n, bytes, group, string};

const ONE: Signature = Signature::new(&[Type::Str], Type::Str);
const TWO: Signature = Signature::new(&[Type::Str, Type::Str], Type::Str);
const THREE: Signature = Signature::new(&[Type::Str, Type::Str, Type::Str], Type::Str);

pub(super) const ROWS: &[Row] = &[
    Row::pure("toLower", ONE, "Lower case.", |_, args| map_text(&args[0], lower))
        .example(r#"{{ toLower "Ab" }}"#, "ab"),
    Row::pure("toUpper", ONE, "Upper case.", |_, args| map_text(&args[0], upper))
        .example(r#"{{ "Ab" | toUpper }}"#, "AB"),
    Row::pure("toTitle", ONE, "Each word with a capital first.", |_, args| {
        raw::made([&args[0]], |[text]| title(text))
    })
    .example(r#"{{ toTitle "two words" }}"#, "Two Words"),
    Row::pure("trimSpace", ONE, "Without blanks around.", |_, args| {
        Ok(Value::from(trimmed(bytes(&args[0]))))
    })
    .example(r#"[{{ trimSpace "  a b " }}]"#, "[a b]"),
    Row::pure("trim", TWO, "`trim CHARS TEXT`: without these characters around.", |_, args| {
        raw::made([&args[0], &args[1]], |[cut, text]| text.trim_matches(|c| cut.contains(c)).to_owned())
    })
    .example(r#"{{ trim "/" "/a/b/" }}"#, "a/b"),
    Row::pure("trimPrefix", TWO, "`trimPrefix PREFIX TEXT`: without this beginning.", |_, args| {
        let text = bytes(&args[1]);
        Ok(Value::from(text.strip_prefix(bytes(&args[0])).unwrap_or(text)))
    })
    .example(r#"{{ trimPrefix "a/" "a/b" }}"#, "b"),
    Row::pure("trimSuffix", TWO, "`trimSuffix SUFFIX TEXT`: without this end.", |_, args| {
        let text = bytes(&args[1]);
        Ok(Value::from(text.strip_suffix(bytes(&args[0])).unwrap_or(text)))
    })
    .example(r#"{{ trimSuffix ".conf" "a.conf" }}"#, "a"),
    Row::pure("replaceAll", THREE, "`replaceAll FROM TO TEXT`: every FROM replaced by TO.", |_, args| {
        Ok(Value::from(replace_all(bytes(&args[2]), bytes(&args[0]), bytes(&args[1]))))
    })
    .example(r#"{{ "a.b.c" | replaceAll "." "-" }}"#, "a-b-c"),
    Row::pure(
        "regexMatch",
        Signature::new(&[Type::Str, Type::Str], Type::Bool),
        "`regexMatch PATTERN TEXT`: whether the pattern occurs.",
        |_, args| Ok(Value::Bool(pattern(bytes(&args[0]))?.is_match(bytes(&args[1])))),
    )
    .example(r#"{{ "web-12" | regexMatch "^web-[0-9]+$" }}"#, "true"),
    Row::pure(
        "regexReplaceAll",
        THREE,
        "`regexReplaceAll PATTERN TO TEXT`: every match replaced; `$1` and `${name}` are groups.",
        |_, args| {
            let to = bytes(&args[1]);
            Ok(Value::from(replaced(&pattern(bytes(&args[0]))?, bytes(&args[2]), |found, out| {
                found.expand(to, out)
            })))
        },
    )
    .example(r#"{{ "web-12" | regexReplaceAll "([a-z]+)-([0-9]+)" "$2.$1" }}"#, "12.web"),
    Row::pure(
        "split",
        Signature::new(&[Type::Str, Type::Str], Type::STRINGS),
        "`split SEPARATOR TEXT`: the parts, blanks around the text left out.",
        |_, args| {
            Ok(Value::strings(raw::parts([&args[0], &args[1]], |[separator, text]| {
                split(separator, text.trim())
            })))
        },
    )
    .example(r#"{{ range split "," "a,b" }}[{{ . }}]{{ end }}"#, "[a][b]"),
    Row::pure(
        "splitToMap",
        Signature::new(&[Type::Str, Type::Str, Type::Str], Type::STR_MAP),
        "`splitToMap \";\" \"=\" \"a=1;b=2\"`: a map of the pairs.",
        split_to_map,
    )
    .example(r#"{{ splitToMap ";" "=" "a=1;b=2" }}"#, "map[a:1 b:2]"),
    Row::pure(
        "join",
        Signature::new(&[Type::Str, Type::STRINGS], Type::Str),
        "`join SEPARATOR LIST`: the strings with the separator between them.",
        |_, args| {
            let parts: Vec<&[u8]> = group::items(&args[1]).iter().map(bytes).collect();
            Ok(Value::from(parts.join(bytes(&args[0]))))
        },
    )
    .example(r#"{{ split "," "a,b" | join "+" }}"#, "a+b"),
    Row::pure(
        "indent",
        Signature::new(&[Type::INT, Type::Str], Type::Str),
        "`indent N TEXT`: every line that is not empty moved right.",
        indent,
    )
    .example(r#"{{ "a\nb" | indent 2 }}"#, "  a\n  b"),
    Row::pure("base64Encode", ONE, "Base64, padded.", |_, args| {
        Ok(Value::from(STANDARD.encode(bytes(&args[0]))))
    })
    .example(r#"{{ base64Encode "a?b>" }}"#, "YT9iPg=="),
    Row::pure("base64Decode", ONE, "The bytes behind padded base64.", |context, args| {
        decode(context, bytes(&args[0]), base_n::STANDARD)
    })
    .example(r#"{{ base64Decode "YT9iPg==" }}"#, "a?b>"),
    Row::pure("base64URLEncode", ONE, "Base64 for URLs, padded.", |_, args| {
        Ok(Value::from(URL_SAFE.encode(bytes(&args[0]))))
    })
    .example(r#"{{ base64URLEncode "a?b>>>" }}"#, "YT9iPj4-"),
    Row::pure("base64URLDecode", ONE, "The bytes behind padded base64 for URLs.", |context, args| {
        decode(context, bytes(&args[0]), base_n::FOR_URLS)
    })
    .example(r#"{{ base64URLDecode "YT9iPj4-" }}"#, "a?b>>>"),
    Row::pure("sha256Hex", ONE, "SHA-256 in hexadecimal.", |_, args| {
        Ok(Value::from(hex(&Sha256::digest(bytes(&args[0])))))
    })
    .example(r#"{{ sha256Hex "a" }}"#, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    Row::pure("md5sum", ONE, "MD5 in hexadecimal; not for secrets.", |_, args| {
        Ok(Value::from(hex(&md5::Md5::digest(bytes(&args[0])))))
    })
    .example(r#"{{ md5sum "a" }}"#, "0cc175b9c0f1b6a831c399e269772661"),
    Row::pure(
        "hmacSHA256Hex",
        TWO,
        "`hmacSHA256Hex MESSAGE KEY`: HMAC with SHA-256 in hexadecimal.",
        |_, args| Ok(Value::from(hex(&hmac_sha256(bytes(&args[0]), bytes(&args[1]))))),
    )
    .example(
        r#"{{ hmacSHA256Hex "message" "key" }}"#,
        "6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a",
    ),
];

fn map_text(arg: &Value, change: impl Fn(&str) -> String) -> Result<Value, String> {
    Ok(Value::from(change(&string(arg))))
}

/// A text without blanks around; bytes that are no text are not blank.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let blanks = |part: &str| part.len() - part.trim_start().len();
    let begin = text.utf8_chunks().next().map_or(0, |chunk| blanks(chunk.valid()));
    let text = &text[begin..];
    let last = text.utf8_chunks().last();
    let end = last.filter(|chunk| chunk.invalid().is_empty()).map_or("", |chunk| chunk.valid());
    &text[..text.len() - (end.len() - end.trim_end().len())]
}

/// Upper case letter by letter: `ß` stays, since its upper case is two letters.
pub(super) fn upper(text: &str) -> String {
    text.chars().map(upper_char).collect()
}

fn upper_char(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// A letter at the beginning of a word, where it must stay one letter.
pub(super) fn title_char(c: char) -> char {
    let mut titled = titled_char(c).chars().collect::<Vec<_>>();
    if titled.len() == 1 { titled.remove(0) } else { c }
}

/// A letter at the beginning of a word: one whose upper case is several keeps only the first of them large, `Ss`.
fn titled_char(c: char) -> String {
    match c {
        // Two letters in one have a form of their own for it.
        'Ǆ'..='ǆ' => "ǅ".to_owned(),
        'Ǉ'..='ǉ' => "ǈ".to_owned(),
        'Ǌ'..='ǌ' => "ǋ".to_owned(),
        'Ǳ'..='ǳ' => "ǲ".to_owned(),
        c => {
            let mut upper = c.to_uppercase();
            upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// Lower case letter by letter, wherever in a word the letter stands.
pub(super) fn lower(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

/// A capital at the beginning of each word. A single apostrophe, dot or colon does not end one.
fn title(text: &str) -> String {
    let (mut is_titled, mut was_mid) = (false, false);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_mid = matches!(c, '\'' | '’' | '‘' | '.' | ':' | '·' | '․' | '\u{387}');
        if was_mid && is_mid {
            is_titled = false;
        }
        if c.is_lowercase() || c.is_uppercase() || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ') {
            if is_titled {
                out.push(c)
            } else {
                out.push_str(&titled_char(c))
            }
            is_titled = true;
        } else {
            out.push(c);
            is_titled &= is_mid || stays_in_word(c);
        }
        was_mid = is_mid;
    }
    out
}

/// Whether a character without a case belongs to the word that it stands in: letters that are written in words, digits, what joins
/// words, and marks on letters.
fn stays_in_word(c: char) -> bool {
    let is_of_no_words = matches!(c, '\u{e00}'..='\u{eff}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..);
    let is_mark = matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'
        | '\u{64b}'..='\u{65f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}');
    is_mark || matches!(c, '_' | '‿' | '⁀' | '⁔') || (c.is_alphanumeric() && !is_of_no_words)
}

/// Every part replaced; an empty part stands before each character and at the end.
pub(super) fn replace_all(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    if from.is_empty() {
        let mut out = to.to_vec();
        for letter in letters(text) {
            out.extend_from_slice(letter);
            out.extend_from_slice(to);
        }
        return out;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

pub(super) fn split(separator: &str, text: &str) -> Vec<String> {
    match (separator, text) {
        (_, "") => Vec::new(),
        ("", text) => text.chars().map(String::from).collect(),
        (separator, text) => text.split(separator).map(str::to_owned).collect(),
    }
}

fn split_to_map(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let texts = Texts::of([&args[0], &args[1], &args[2]]);
    let [pairs, sides, text] = texts.get();
    let parts = split(pairs, text.trim());
    let entries = parts.iter().filter_map(|part| part.split_once(sides));
    let entries =
        entries.map(|(key, value)| (go_template::Key::text(texts.back(key)), Value::from(texts.back(value))));
    Ok(Value::map(Type::STR_MAP, entries.collect()))
}

/// How many blanks may be put before the lines of a text.
const BLANKS_MAX: usize = 64 << 20;

/// Whether a text may be moved right by so much.
pub(super) fn indentable(text: &[u8], columns: usize) -> Result<(), String> {
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    if lines.saturating_mul(columns) <= BLANKS_MAX {
        return Ok(());
    }
    Err(format!("cannot indent {lines} lines by {columns} columns; the limit is {BLANKS_MAX} blanks"))
}

fn indent(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let Value::Int(columns, _) = args[0] else { return Ok(args[1].clone()) };
    let columns =
        usize::try_from(columns).map_err(|_| "indent value must be a positive integer".to_owned())?;
    indentable(bytes(&args[1]), columns)?;
    let mut out = Vec::new();
    for line in bytes(&args[1]).split_inclusive(|b| *b == b'\n') {
        if line != b"\n" {
            out.resize(out.len() + columns, b' ');
        }
        out.extend_from_slice(line);
    }
    Ok(Value::from(out))
}

fn decode(context: &Context<'_>, text: &[u8], last: [u8; 2]) -> Result<Value, String> {
    base_n::from_base64(text, last).map(Value::from).map_err(|reason| format!("{}: {reason}", context.name))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC (RFC 2104) with SHA-256.
fn hmac_sha256(message: &[u8], key: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = if key.len() > BLOCK { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(BLOCK, 0);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// The letters of a text; a byte that is no UTF-8 is one of its own.
fn letters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let letters = valid.char_indices().map(move |(at, c)| &valid.as_bytes()[at..at + c.len_utf8()]);
        letters.chain(chunk.invalid().chunks(1))
    })
}

/// Whether a place is between two letters, not inside one: only there does Go find that nothing matches.
pub(super) fn is_between_letters(text: &[u8], at: usize) -> bool {
    let length = |start: usize| {
        let letter = letters(&text[start..text.len().min(start + 4)]).next();
        letter.map_or(0, <[u8]>::len)
    };
    (at.saturating_sub(3)..at).all(|start| length(start) <= at - start)
}

/// The text with all matches replaced by what `write` adds for each.
pub(super) fn replaced(
    pattern: &regex::bytes::Regex,
    text: &[u8],
    write: impl Fn(&regex::bytes::Captures<'_>, &mut Vec<u8>),
) -> Vec<u8> {
    let (mut out, mut from) = (Vec::with_capacity(text.len()), 0);
    for found in pattern.captures_iter(text) {
        let whole = found.get_match();
        if whole.is_empty() && !is_between_letters(text, whole.start()) {
            continue;
        }
        out.extend_from_slice(&text[from..whole.start()]);
        write(&found, &mut out);
        from = whole.end();
    }
    out.extend_from_slice(&text[from..]);
    out
}

/// Compiles a pattern in Go's syntax, or says in Go's words what is wrong with it.
pub(super) fn pattern(pattern: &[u8]) -> Result<regex::bytes::Regex, String> {
    let text = |_| format!("error parsing regexp: invalid UTF-8: `{}`", String::from_utf8_lossy(pattern));
    let pattern = std::str::from_utf8(pattern).map_err(text)?;
    let translated = regexp::translate(pattern).map_err(|error| error.to_string())?;
    let built = regex::bytes::RegexBuilder::new(&translated).size_limit(regexp::PROGRAM_BYTES_MAX).build();
    built.map_err(|error| regexp::too_large(pattern, &error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_titled_as_unicode_cuts_them() {
        assert_eq!(title("hello wORLD o'neil x-y_z éa ßa"), "Hello WORLD O'neil X-Y_z Éa Ssa");
    }
}
