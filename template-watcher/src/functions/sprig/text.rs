//! Strings, patterns and paths.

use go_template::{Key, Signature, Type, Value};

use super::case::{camel, separated};
use super::{TEXT, THREE_TEXTS, TWO_TEXTS, TWO_TEXTS_TO_BOOL};
use crate::functions::raw;
use crate::functions::text::{
    indentable, is_between_letters, lower, pattern, replace_all, replaced, title_char, trimmed, upper,
};
use crate::functions::{Context, Row, bytes, shown_bytes};

const NUMBER_TEXT: Signature = Signature::new(&[Type::INT, Type::Str], Type::Str);
const CUT: Signature = Signature::new(&[Type::INT, Type::INT, Type::Str], Type::Str);
const JOINED: Signature = Signature::variadic(&[Type::Any], Type::Str);
const REGEX_LIST: Signature = Signature::new(&[Type::Str, Type::Str, Type::INT], Type::STRINGS);

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure("sprig_trim", TEXT, "Without blanks around.", |_, a| Ok(Value::from(trimmed(bytes(&a[0])))))
        .example(r#"[{{ sprig_trim "  a " }}]"#, "[a]"),
    Row::pure("sprig_trimAll", TWO_TEXTS, "`CHARS TEXT`: without these characters around.", |_, a| {
        kept(a, |cut, s| s.trim_matches(|c| cut.contains(c)).to_owned())
    })
    .example(r#"{{ sprig_trimAll "$" "$5.00$" }}"#, "5.00"),
    Row::pure("sprig_trimSuffix", TWO_TEXTS, "`SUFFIX TEXT`: without this end.", |_, a| {
        kept(a, |end, s| s.strip_suffix(end).unwrap_or(s).to_owned())
    })
    .example(r#"{{ sprig_trimSuffix "-x" "a-x" }}"#, "a"),
    Row::pure("sprig_trimPrefix", TWO_TEXTS, "`PREFIX TEXT`: without this beginning.", |_, a| {
        kept(a, |start, s| s.strip_prefix(start).unwrap_or(s).to_owned())
    })
    .example(r#"{{ sprig_trimPrefix "x-" "x-a" }}"#, "a"),
    Row::pure("sprig_upper", TEXT, "Upper case.", |_, a| one(a, upper))
        .example(r#"{{ sprig_upper "ab" }}"#, "AB"),
    Row::pure("sprig_lower", TEXT, "Lower case.", |_, a| one(a, lower))
        .example(r#"{{ sprig_lower "AB" }}"#, "ab"),
    Row::pure("sprig_title", TEXT, "Each word with a capital first.", |_, a| one(a, titled))
        .example(r#"{{ sprig_title "two words" }}"#, "Two Words"),
    Row::pure("sprig_untitle", TEXT, "What follows a blank with a small letter first.", |_, a| {
        one(a, untitled)
    })
    .example(r#"{{ sprig_untitle "Two Words" }}"#, "two words"),
    Row::pure("sprig_snakecase", TEXT, "`FirstName` as `first_name`.", |_, a| {
        raw::made([&a[0]], |[text]| separated(text, '_'))
    })
    .example(r#"{{ sprig_snakecase "FirstName" }}"#, "first_name"),
    Row::pure("sprig_kebabcase", TEXT, "`FirstName` as `first-name`.", |_, a| {
        raw::made([&a[0]], |[text]| separated(text, '-'))
    })
    .example(r#"{{ sprig_kebabcase "FirstName" }}"#, "first-name"),
    Row::pure("sprig_camelcase", TEXT, "`http_server` as `HttpServer`.", |_, a| one(a, camel))
        .example(r#"{{ sprig_camelcase "http_server" }}"#, "HttpServer"),
    Row::pure("sprig_swapcase", TEXT, "Small letters large and large ones small.", |_, a| one(a, swapped))
        .example(r#"{{ sprig_swapcase "Two Words" }}"#, "tWO wORDS"),
    Row::pure("sprig_nospace", TEXT, "Without any blanks.", |_, a| {
        one(a, |s| s.chars().filter(|c| !c.is_whitespace()).collect())
    })
    .example(r#"{{ sprig_nospace "a b c" }}"#, "abc"),
    Row::pure("sprig_initials", TEXT, "The first letter of each word.", |_, a| {
        one(a, |s| s.split_whitespace().filter_map(|word| word.chars().next()).collect())
    })
    .example(r#"{{ sprig_initials "Two Words" }}"#, "TW"),
    Row::pure("sprig_quote", JOINED, "Each value in double quotes.", |_, a| {
        quoted(a, |s| go_template::fmt::quoted(&s).into_bytes())
    })
    .example(r#"{{ sprig_quote "a" 1 }}"#, r#""a" "1""#),
    Row::pure("sprig_squote", JOINED, "Each value in single quotes.", |_, a| {
        quoted(a, |s| [b"'", s.as_slice(), b"'"].concat())
    })
    .example(r#"{{ sprig_squote "a" 1 }}"#, "'a' '1'"),
    Row::pure("sprig_cat", JOINED, "The values with blanks between them.", |_, a| quoted(a, |s| s))
        .example(r#"{{ sprig_cat "a" 1 "b" }}"#, "a 1 b"),
    Row::pure("sprig_indent", NUMBER_TEXT, "Every line moved right.", |_, a| indent(a, ""))
        .example(r#"{{ sprig_indent 2 "a\nb" }}"#, "  a\n  b"),
    Row::pure("sprig_nindent", NUMBER_TEXT, "The same after a newline.", |_, a| indent(a, "\n"))
        .example(r#"a:{{ sprig_nindent 2 "b\nc" }}"#, "a:\n  b\n  c"),
    Row::pure("sprig_repeat", NUMBER_TEXT, "The text so many times.", repeat)
        .example(r#"{{ sprig_repeat 3 "ab" }}"#, "ababab"),
    Row::pure("sprig_substr", CUT, "`START END TEXT`: the bytes from one to the other.", substr)
        .example(r#"{{ sprig_substr 1 3 "abcd" }}"#, "bc"),
    Row::pure("sprig_trunc", NUMBER_TEXT, "The first bytes, or the last ones for a negative number.", trunc)
        .example(r#"{{ sprig_trunc 2 "abcd" }} {{ sprig_trunc -2 "abcd" }}"#, "ab cd"),
    Row::pure("sprig_abbrev", NUMBER_TEXT, "The text cut to a width, with an ellipsis.", |_, a| abbrev(a))
        .example(r#"{{ sprig_abbrev 6 "hello world" }}"#, "hel..."),
    Row::pure(
        "sprig_abbrevboth",
        Signature::new(&[Type::INT, Type::INT, Type::Str], Type::Str),
        "`OFFSET WIDTH TEXT`: the text cut to a width on both sides.",
        |_, a| raw::made([&a[2]], |[text]| abbreviated_on_both_sides(text, size(&a[0]), size(&a[1]))),
    )
    .example(r#"{{ sprig_abbrevboth 5 10 "1234 5678 9123" }}"#, "...5678..."),
    Row::pure("sprig_wrap", NUMBER_TEXT, "Lines broken at a width.", |_, a| {
        raw::made([&a[1]], |[text]| wrapped(text, size(&a[0]), "\n", false))
    })
    .example(r#"{{ sprig_wrap 5 "hello big world" }}"#, "hello\nbig\nworld"),
    Row::pure(
        "sprig_wrapWith",
        Signature::new(&[Type::INT, Type::Str, Type::Str], Type::Str),
        "The same with a text in place of each newline.",
        |_, a| raw::made([&a[2], &a[1]], |[text, newline]| wrapped(text, size(&a[0]), newline, true)),
    )
    .example(r#"{{ sprig_wrapWith 5 "/" "hello big world" }}"#, "hello/big/world"),
    Row::pure("sprig_contains", TWO_TEXTS_TO_BOOL, "`PART TEXT`: whether the text has the part.", |_, a| {
        test(a, |part, s| part.is_empty() || s.windows(part.len()).any(|window| window == part))
    })
    .example(r#"{{ sprig_contains "b" "abc" }}"#, "true"),
    Row::pure("sprig_hasPrefix", TWO_TEXTS_TO_BOOL, "`PREFIX TEXT`: whether the text begins so.", |_, a| {
        test(a, |start, s| s.starts_with(start))
    })
    .example(r#"{{ sprig_hasPrefix "ab" "abc" }}"#, "true"),
    Row::pure("sprig_hasSuffix", TWO_TEXTS_TO_BOOL, "`SUFFIX TEXT`: whether the text ends so.", |_, a| {
        test(a, |end, s| s.ends_with(end))
    })
    .example(r#"{{ sprig_hasSuffix "ab" "abc" }}"#, "false"),
    Row::pure("sprig_replace", THREE_TEXTS, "`FROM TO TEXT`: every FROM replaced by TO.", |_, a| {
        Ok(Value::from(replace_all(bytes(&a[2]), bytes(&a[0]), bytes(&a[1]))))
    })
    .example(r#"{{ sprig_replace "." "-" "a.b" }}"#, "a-b"),
    Row::pure(
        "sprig_plural",
        Signature::new(&[Type::Str, Type::Str, Type::INT], Type::Str),
        "`ONE MANY COUNT`: the first for one, else the second.",
        |_, a| Ok(a[usize::from(!matches!(a[2], Value::Int(1, _)))].clone()),
    )
    .example(r#"{{ sprig_plural "node" "nodes" 2 }}"#, "nodes"),
    Row::pure(
        "sprig_split",
        Signature::new(&[Type::Str, Type::Str], Type::STR_MAP),
        "`SEPARATOR TEXT`: the parts as `._0`, `._1` and so on.",
        |_, a| Ok(numbered(raw::parts([&a[0], &a[1]], |[separator, text]| parted(separator, text)))),
    )
    .example(r#"{{ $p := sprig_split "," "a,b" }}{{ $p._1 }}"#, "b"),
    Row::pure(
        "sprig_splitn",
        Signature::new(&[Type::Str, Type::INT, Type::Str], Type::STR_MAP),
        "`SEPARATOR COUNT TEXT`: the same, so many parts at most.",
        |_, a| {
            let most = limit(&a[1]);
            Ok(numbered(raw::parts([&a[0], &a[2]], |[separator, text]| {
                parted_at_most(separator, text, most)
            })))
        },
    )
    .example(r#"{{ $p := sprig_splitn "," 2 "a,b,c" }}{{ $p._1 }}"#, "b,c"),
    Row::pure(
        "sprig_splitList",
        Signature::new(&[Type::Str, Type::Str], Type::STRINGS),
        "`SEPARATOR TEXT`: the parts as a list.",
        |_, a| Ok(Value::strings(raw::parts([&a[0], &a[1]], |[separator, text]| parted(separator, text)))),
    )
    .example(r#"{{ sprig_splitList "," "a,b" }}"#, "[a b]"),
    Row::pure(
        "sprig_regexMatch",
        TWO_TEXTS_TO_BOOL,
        "`PATTERN TEXT`: whether the pattern occurs.",
        |_, a| Ok(Value::Bool(pattern(bytes(&a[0])).is_ok_and(|re| re.is_match(bytes(&a[1]))))),
    )
    .example(r#"{{ sprig_regexMatch "^a+$" "aaa" }}"#, "true"),
    Row::pure("sprig_regexFind", TWO_TEXTS, "`PATTERN TEXT`: the first match.", |context, a| {
        let found = compiled(context, &a[0])?.find(bytes(&a[1])).map(|found| found.as_bytes().to_vec());
        Ok(Value::from(found.unwrap_or_default()))
    })
    .example(r#"{{ sprig_regexFind "[0-9]+" "a12b3" }}"#, "12"),
    Row::pure("sprig_regexFindAll", REGEX_LIST, "`PATTERN TEXT COUNT`: the matches.", |context, a| {
        let pattern = compiled(context, &a[0])?;
        let found = matches(&pattern, bytes(&a[1])).take(limit(&a[2]));
        Ok(strings_or_nil(found.map(|found| found.as_bytes()).collect()))
    })
    .example(r#"{{ sprig_regexFindAll "[0-9]+" "a12b3" -1 }}"#, "[12 3]"),
    Row::pure(
        "sprig_regexSplit",
        REGEX_LIST,
        "`PATTERN TEXT COUNT`: the parts between matches.",
        |context, a| {
            let pattern = compiled(context, &a[0])?;
            let parts = split_by(&pattern, bytes(&a[1]), limit(&a[2]));
            Ok(if limit(&a[2]) == 0 { Value::zero(Type::STRINGS) } else { Value::strings(parts) })
        },
    )
    .example(r#"{{ sprig_regexSplit "[0-9]+" "a12b3c" -1 }}"#, "[a b c]"),
    Row::pure(
        "sprig_regexReplaceAll",
        THREE_TEXTS,
        "`PATTERN TEXT TO`: every match replaced.",
        |context, a| {
            let to = bytes(&a[2]);
            Ok(Value::from(replaced(&compiled(context, &a[0])?, bytes(&a[1]), |found, out| {
                expanded(to, found, out)
            })))
        },
    )
    .example(r#"{{ sprig_regexReplaceAll "a(x*)b" "axxb" "${1}" }}"#, "xx"),
    Row::pure("sprig_regexReplaceAllLiteral", THREE_TEXTS, "The same, `$` taken as it is.", |context, a| {
        let to = bytes(&a[2]);
        Ok(Value::from(replaced(&compiled(context, &a[0])?, bytes(&a[1]), |_, out| {
            out.extend_from_slice(to)
        })))
    })
    .example(r#"{{ sprig_regexReplaceAllLiteral "a(x*)b" "axxb" "${1}" }}"#, "${1}"),
    Row::pure("sprig_regexQuoteMeta", TEXT, "The text as a pattern for itself.", |_, a| {
        raw::made([&a[0]], |[text]| quoted_meta(text))
    })
    .example(r#"{{ sprig_regexQuoteMeta "1.2" }}"#, r#"1\.2"#),
    Row::pure("sprig_base", TEXT, "The last part of a path.", |_, a| raw::made([&a[0]], |[path]| base(path)))
        .example(r#"{{ sprig_base "/etc/ryo/a.hcl" }}"#, "a.hcl"),
    Row::pure("sprig_dir", TEXT, "A path without its last part.", |_, a| {
        raw::made([&a[0]], |[path]| folder(path))
    })
    .example(r#"{{ sprig_dir "/etc/ryo/a.hcl" }}"#, "/etc/ryo"),
    Row::pure("sprig_ext", TEXT, "The ending of a file name, with its dot.", |_, a| {
        one(a, |s| {
            let name = s.rsplit('/').next().unwrap_or_default();
            name.rfind('.').map_or(String::new(), |dot| name[dot..].to_owned())
        })
    })
    .example(r#"{{ sprig_ext "/etc/ryo/a.hcl" }}"#, ".hcl"),
    Row::pure("sprig_clean", TEXT, "The shortest path that means the same.", |_, a| {
        raw::made([&a[0]], |[path]| clean(path))
    })
    .example(r#"{{ sprig_clean "/etc/../etc//ryo" }}"#, "/etc/ryo"),
    Row::pure(
        "sprig_isAbs",
        Signature::new(&[Type::Str], Type::Bool),
        "Whether a path begins at the root.",
        |_, a| Ok(Value::Bool(bytes(&a[0]).starts_with(b"/"))),
    )
    .example(r#"{{ sprig_isAbs "/etc" }}"#, "true"),
    Row::pure("sprig_hello", Signature::new(&[], Type::Str), "A greeting.", |_, _| Ok(Value::from("Hello!")))
        .example("{{ sprig_hello }}", "Hello!"),
];

/// What becomes of the letters of a text. Go takes each byte that is none for U+FFFD.
fn one(args: &[Value], change: impl Fn(&str) -> String) -> Result<Value, String> {
    let mut text = String::with_capacity(bytes(&args[0]).len());
    for chunk in bytes(&args[0]).utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Ok(Value::from(change(&text)))
}

/// What is left of the second text.
fn kept(args: &[Value], change: impl Fn(&str, &str) -> String) -> Result<Value, String> {
    raw::made([&args[0], &args[1]], |[one, two]| change(one, two))
}

/// A pattern. The functions that Sprig lets panic have Go's words before the error.
fn compiled(context: &Context<'_>, text: &Value) -> Result<regex::bytes::Regex, String> {
    pattern(bytes(text)).map_err(|error| {
        if context.name.starts_with("sprig_must") {
            return error;
        }
        let quoted = go_template::fmt::sprintf(b"%#q", std::slice::from_ref(text));
        format!("regexp: Compile({}): {error}", String::from_utf8_lossy(&quoted))
    })
}

/// Texts, or a nil list of them: as empty as an empty one, but `null` in JSON.
fn strings_or_nil(texts: Vec<&[u8]>) -> Value {
    if texts.is_empty() { Value::zero(Type::STRINGS) } else { Value::strings(texts) }
}

/// What replaces a match: `$1`, `${1}` and `$name` stand for groups, `$$` for `$`, and anything else for itself.
fn expanded(to: &[u8], found: &regex::bytes::Captures<'_>, out: &mut Vec<u8>) {
    let mut rest = to;
    while let Some(at) = rest.iter().position(|b| *b == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let [b'$', after @ ..] = rest {
            out.push(b'$');
            rest = after;
        } else if let Some((name, length)) = group_name(rest) {
            let is_number =
                name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
            let group =
                if is_number { name.parse().ok().and_then(|at| found.get(at)) } else { found.name(name) };
            out.extend_from_slice(group.map_or(&[], |group| group.as_bytes()));
            rest = &rest[length..];
        } else {
            out.push(b'$');
        }
    }
    out.extend_from_slice(rest);
}

/// The name behind a `$`, perhaps in braces, and how long it is with them.
fn group_name(text: &[u8]) -> Option<(&str, usize)> {
    let has_braces = text.starts_with(b"{");
    let text = text.strip_prefix(b"{").unwrap_or(text);
    let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let is_closed = !has_braces || text[length..].starts_with('}');
    (length > 0 && is_closed).then_some((&text[..length], length + if has_braces { 2 } else { 0 }))
}

/// The matches as Go finds them: none inside a letter.
fn matches<'t>(
    pattern: &regex::bytes::Regex,
    text: &'t [u8],
) -> impl Iterator<Item = regex::bytes::Match<'t>> {
    pattern.find_iter(text).filter(|found| !found.is_empty() || is_between_letters(text, found.start()))
}

fn test(args: &[Value], holds: impl Fn(&[u8], &[u8]) -> bool) -> Result<Value, String> {
    Ok(Value::Bool(holds(bytes(&args[0]), bytes(&args[1]))))
}

/// A number that counts; negative ones count as nought.
fn size(value: &Value) -> usize {
    match value {
        Value::Int(number, _) => usize::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}

/// How many, a negative number meaning all.
fn limit(value: &Value) -> usize {
    match value {
        Value::Int(number, _) => usize::try_from(*number).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

/// Words with a small letter first; unlike in `title`, only blanks part words.
fn untitled(text: &str) -> String {
    let mut starts = true;
    let mut untitled = |c: char| {
        let small = if starts { lower(c.encode_utf8(&mut [0; 4])) } else { c.to_string() };
        starts = c.is_whitespace();
        small
    };
    text.chars().map(&mut untitled).collect()
}

/// Each word with a capital first. Beyond ASCII only blanks part words: the apostrophe of `l’or` does not.
fn titled(text: &str) -> String {
    let parts = |c: char| match c {
        c if c.is_ascii() => !c.is_ascii_alphanumeric() && c != '_',
        c => c.is_whitespace(),
    };
    let mut starts = true;
    let mut titled = |c: char| {
        let letter = if starts { title_char(c) } else { c };
        starts = parts(c);
        letter
    };
    text.chars().map(&mut titled).collect()
}

fn swapped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let one = c.to_string();
            if c.is_lowercase() { upper(&one) } else { lower(&one) }.chars().collect::<Vec<_>>()
        })
        .collect()
}

/// The values that are not nil, each written in some way, with blanks between them.
fn quoted(args: &[Value], write: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<Value, String> {
    let parts: Vec<_> =
        args.iter().filter(|arg| !matches!(arg, Value::Nil)).map(|arg| write(shown_bytes(arg))).collect();
    Ok(Value::from(parts.join(&b' ')))
}

fn indent(args: &[Value], before: &str) -> Result<Value, String> {
    not_negative(&args[0])?;
    let (columns, text) = (size(&args[0]), bytes(&args[1]));
    indentable(text, columns)?;
    let pad = " ".repeat(columns);
    let text = replace_all(text, b"\n", format!("\n{pad}").as_bytes());
    Ok(Value::from([before.as_bytes(), pad.as_bytes(), &text].concat()))
}

/// Sprig hands the number on, and Go refuses it.
fn not_negative(count: &Value) -> Result<(), String> {
    match count {
        Value::Int(..0, _) => Err("strings: negative Repeat count".to_owned()),
        _ => Ok(()),
    }
}

fn repeat(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    not_negative(&args[0])?;
    const BYTES_MAX: usize = 64 << 20;
    let (times, text) = (size(&args[0]), bytes(&args[1]));
    match times.checked_mul(text.len()) {
        Some(length) if length <= BYTES_MAX => Ok(Value::from(text.repeat(times))),
        _ => Err(format!("{times} times {} bytes are more than {BYTES_MAX}", text.len())),
    }
}

fn substr(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let text = bytes(&args[2]);
    let (start, end) = (size(&args[0]), limit(&args[1]).min(text.len()));
    if let (Value::Int(..0, _), Value::Int(end, _)) = (&args[0], &args[1]) {
        let taken = usize::try_from(*end).ok().and_then(|end| text.get(..end));
        let refused = || match end {
            0.. => format!("runtime error: slice bounds out of range [:{end}] with length {}", text.len()),
            _ => format!("runtime error: slice bounds out of range [:{end}]"),
        };
        return taken.map(Value::from).ok_or_else(refused);
    }
    match text.get(start..end) {
        Some(part) => Ok(Value::from(part)),
        None => Err(format!("runtime error: slice bounds out of range [{start}:{end}]")),
    }
}

fn trunc(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let text = bytes(&args[1]);
    Ok(Value::from(match &args[0] {
        Value::Int(number, _) if *number < 0 => {
            let kept = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
            &text[text.len().saturating_sub(kept)..]
        }
        number => &text[..size(number).min(text.len())],
    }))
}

fn abbrev(args: &[Value]) -> Result<Value, String> {
    let width = size(&args[0]);
    raw::made([&args[1]], |[text]| {
        if width < 4 || text.chars().count() <= width {
            return text.to_owned();
        }
        let kept: String = text.chars().take(width - 3).collect();
        format!("{kept}...")
    })
}

/// The parts of a text; without a separator its letters, as in Go.
fn parted(separator: &str, text: &str) -> Vec<String> {
    match separator {
        "" => text.chars().map(String::from).collect(),
        separator => text.split(separator).map(str::to_owned).collect(),
    }
}

/// The same, so many parts at most: the last one has the rest.
fn parted_at_most(separator: &str, text: &str, most: usize) -> Vec<String> {
    if !separator.is_empty() {
        return text.splitn(most, separator).map(str::to_owned).collect();
    }
    let rest = text.char_indices().nth(most.saturating_sub(1)).map_or("", |(at, _)| &text[at..]);
    let letters = text[..text.len() - rest.len()].chars().map(String::from);
    letters.chain((!rest.is_empty() && most > 0).then(|| rest.to_owned())).collect()
}

/// The text with what means something in a pattern escaped.
fn quoted_meta(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// The parts between matches as Go cuts them: an empty match at the beginning parts nothing.
fn split_by<'t>(pattern: &regex::bytes::Regex, text: &'t [u8], most: usize) -> Vec<&'t [u8]> {
    if most == 0 {
        return Vec::new();
    }
    if text.is_empty() && !pattern.as_str().is_empty() {
        return vec![text];
    }
    let (mut parts, mut from, mut to) = (Vec::new(), 0, 0);
    for found in matches(pattern, text) {
        if parts.len() + 1 == most {
            break;
        }
        to = found.start();
        if found.end() != 0 {
            parts.push(&text[from..to]);
        }
        from = found.end();
    }
    if to != text.len() {
        parts.push(&text[from..]);
    }
    parts
}

/// The text from `offset` on, cut to a width, with an ellipsis wherever something is left out.
fn abbreviated_on_both_sides(text: &str, offset: usize, width: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    let part = |from: usize, to: usize| letters[from..to].iter().collect::<String>();
    if width < 4 || (offset > 0 && width < 7) || letters.len() <= width {
        return text.to_owned();
    }
    let offset = offset.min(letters.len() + 3 - width);
    if offset <= 4 {
        return format!("{}...", part(0, width - 3));
    }
    if offset + width - 3 < letters.len() {
        return format!("...{}...", part(offset, offset + width - 6));
    }
    format!("...{}", part(letters.len() + 3 - width, letters.len()))
}

/// Lines broken at blanks, long words too or not; blanks at the end of the text stay.
fn wrapped(text: &str, width: usize, newline: &str, long_words: bool) -> String {
    let (width, newline) = (width.max(1), if newline.is_empty() { "\n" } else { newline });
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while chars.len() - at > width {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let end = at + width;
        let blank = chars[at..=end].iter().rposition(|c| *c == ' ').map(|blank| at + blank);
        let next = || chars[end..].iter().position(|c| *c == ' ').map(|blank| end + blank);
        let (to, from) = match blank {
            Some(blank) => (blank, blank + 1),
            None if long_words => (end, end),
            None => match next() {
                Some(blank) => (blank, blank + 1),
                None => break,
            },
        };
        out.extend(&chars[at..to]);
        out.push_str(newline);
        at = from;
    }
    out.extend(&chars[at..]);
    out
}

fn numbered(parts: Vec<Vec<u8>>) -> Value {
    let entries =
        parts.into_iter().enumerate().map(|(at, part)| (Key::text(format!("_{at}")), Value::from(part)));
    Value::map(Type::STR_MAP, entries.collect())
}

fn base(path: &str) -> String {
    match (path, path.trim_end_matches('/')) {
        ("", _) => ".".to_owned(),
        (_, "") => "/".to_owned(),
        (_, trimmed) => trimmed.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

fn folder(path: &str) -> String {
    clean(path.rfind('/').map_or("", |slash| &path[..=slash]))
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
