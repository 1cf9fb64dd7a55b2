//! Types, JSON, base64 and URLs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32;
use go_template::{IntKind, Signature, Type, Value};
use registry_wire::duration;
use sha2::{Digest, Sha256};

use super::{TEXT, url};
use crate::functions::text::hex;
use crate::functions::{Context, Row, base_n, bytes, codec, encode_json, shown_bytes, string};

const TO_TEXT: Signature = Signature::new(&[Type::Any], Type::Str);
const KIND_TEST: Signature = Signature::new(&[Type::Str, Type::Any], Type::Bool);

pub(in crate::functions) const ROWS: &[Row] = &[
    Row::pure("sprig_toString", TO_TEXT, "As text.", |_, a| Ok(Value::from(shown_bytes(&a[0]))))
        .example("{{ sprig_toString 1 }}", "1"),
    Row::pure("sprig_toJson", TO_TEXT, "JSON, with `<`, `>` and `&` escaped.", |context, a| {
        or_empty(context, json(a, true, false))
    })
    .example(r#"{{ sprig_toJson (sprig_list 1 "<") }}"#, r#"[1,"\u003c"]"#),
    Row::pure("sprig_toRawJson", TO_TEXT, "JSON as it is.", |_, a| json(a, false, false))
        .example(r#"{{ sprig_toRawJson (sprig_list 1 "<") }}"#, r#"[1,"<"]"#),
    Row::pure("sprig_toPrettyJson", TO_TEXT, "JSON over several lines.", |context, a| {
        or_empty(context, json(a, true, true))
    })
    .example("{{ sprig_toPrettyJson (sprig_list 1) }}", "[\n  1\n]"),
    Row::pure(
        "sprig_fromJson",
        Signature::new(&[Type::Str], Type::Any),
        "A value from JSON; nil if it is wrong.",
        |_, a| Ok(read_json(&a[0]).unwrap_or(Value::Nil)),
    )
    .example(r#"{{ with sprig_fromJson "{\"a\":1}" }}{{ .a }}{{ end }}"#, "1"),
    Row::pure("sprig_mustFromJson", Signature::new(&[Type::Str], Type::Any), "A value from JSON.", |_, a| {
        read_json(&a[0])
    })
    .example(r#"{{ with sprig_mustFromJson "{\"a\":1}" }}{{ .a }}{{ end }}"#, "1"),
    Row::pure("sprig_kindOf", TO_TEXT, "The kind of a value: `string`, `slice`, `map`.", |_, a| {
        Ok(Value::from(kind(&a[0])))
    })
    .example("{{ sprig_kindOf (sprig_list 1) }}", "slice"),
    Row::pure("sprig_kindIs", KIND_TEST, "`KIND VALUE`.", |_, a| {
        Ok(Value::Bool(kind(&a[1]) == string(&a[0])))
    })
    .example(r#"{{ sprig_kindIs "int" 1 }}"#, "true"),
    Row::pure("sprig_typeOf", TO_TEXT, "The type of a value.", |_, a| Ok(Value::from(type_name(&a[0]))))
        .example("{{ sprig_typeOf (sprig_list 1) }}", "[]interface {}"),
    Row::pure("sprig_typeIs", KIND_TEST, "`TYPE VALUE`.", |_, a| {
        Ok(Value::Bool(type_name(&a[1]) == string(&a[0])))
    })
    .example(r#"{{ sprig_typeIs "int" 1 }}"#, "true"),
    Row::pure("sprig_typeIsLike", KIND_TEST, "`TYPE VALUE`, pointers as what they point at.", |_, a| {
        let (wanted, name) = (string(&a[0]), type_name(&a[1]));
        Ok(Value::Bool(wanted == name || name.strip_prefix('*') == Some(&wanted)))
    })
    .example(r#"{{ sprig_typeIsLike "int" 1 }}"#, "true"),
    Row::pure("sprig_b64enc", TEXT, "Base64.", |_, a| Ok(Value::from(STANDARD.encode(bytes(&a[0])))))
        .example(r#"{{ sprig_b64enc "a" }}"#, "YQ=="),
    Row::pure("sprig_b64dec", TEXT, "The bytes behind base64, or what is wrong with it.", |_, a| {
        Ok(base_n::from_base64(bytes(&a[0]), base_n::STANDARD).map_or_else(Value::from, Value::from))
    })
    .example(r#"{{ sprig_b64dec "YQ==" }}"#, "a"),
    Row::pure("sprig_sha256sum", TEXT, "SHA-256 in hexadecimal.", |_, a| {
        Ok(Value::from(hex(&Sha256::digest(bytes(&a[0])))))
    })
    .example(
        r#"{{ sprig_sha256sum "a" }}"#,
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    ),
    Row::pure("sprig_sha512sum", TEXT, "SHA-512 in hexadecimal.", |_, a| {
        Ok(Value::from(hex(&sha2::Sha512::digest(bytes(&a[0])))))
    })
    .example(r#"{{ sprig_sha512sum "a" | sprig_trunc 16 }}"#, "1f40fc92da241694"),
    Row::pure("sprig_adler32sum", TEXT, "Adler-32 in decimal.", |_, a| {
        let (low, high) = bytes(&a[0]).iter().fold((1u32, 0u32), |(low, high), byte| {
            let low = (low + u32::from(*byte)) % 65521;
            (low, (high + low) % 65521)
        });
        Ok(Value::from(((high << 16) | low).to_string()))
    })
    .example(r#"{{ sprig_adler32sum "a" }}"#, "6422626"),
    Row::pure("sprig_sha1sum", TEXT, "SHA-1 in hexadecimal; not for secrets.", |_, a| {
        Ok(Value::from(hex(&sha1::Sha1::digest(bytes(&a[0])))))
    })
    .example(r#"{{ sprig_sha1sum "a" }}"#, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    Row::pure("sprig_b32enc", TEXT, "Base32.", |_, a| Ok(Value::from(BASE32.encode(bytes(&a[0])))))
        .example(r#"{{ sprig_b32enc "a" }}"#, "ME======"),
    Row::pure("sprig_b32dec", TEXT, "The bytes behind base32, or what is wrong with it.", |_, a| {
        Ok(base_n::from_base32(bytes(&a[0])).map_or_else(Value::from, Value::from))
    })
    .example(r#"{{ sprig_b32dec "ME======" }}"#, "a"),
    Row::pure("sprig_duration", TO_TEXT, "So many seconds as a duration.", |_, a| {
        let seconds = match &a[0] {
            Value::Str(_) => string(&a[0]).parse().unwrap_or(0),
            Value::Int(seconds, IntKind::Int64) => *seconds,
            _ => 0,
        };
        Ok(Value::from(go_template::fmt::duration(seconds.wrapping_mul(1_000_000_000))))
    })
    .example(r#"{{ sprig_duration "95" }}"#, "1m35s"),
    Row::pure("sprig_durationRound", TO_TEXT, "A duration in its largest unit, cut off.", |_, a| {
        let nanos = match &a[0] {
            Value::Str(_) => duration::parse_nanos(&string(&a[0])).unwrap_or(0),
            Value::Int(nanos, IntKind::Int64) => *nanos,
            _ => 0,
        };
        Ok(Value::from(in_largest_unit(nanos.unsigned_abs())))
    })
    .example(r#"{{ sprig_durationRound "2h10m5s" }}"#, "2h"),
    Row::pure(
        "sprig_urlParse",
        Signature::new(&[Type::Str], Type::ANY_MAP),
        "The parts of a URL.",
        url::parse,
    )
    .example(r#"{{ (sprig_urlParse "http://a:80/b?c=d").host }}"#, "a:80"),
    Row::pure(
        "sprig_urlJoin",
        Signature::new(&[Type::ANY_MAP], Type::Str),
        "A URL from its parts.",
        url::join,
    )
    .example(
        r#"{{ sprig_urlJoin (sprig_dict "scheme" "http" "host" "a:80" "path" "/b") }}"#,
        "http://a:80/b",
    ),
];

fn in_largest_unit(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (8760 * 3600 * SECOND, "y"),
        (720 * 3600 * SECOND, "mo"),
        (24 * 3600 * SECOND, "d"),
        (3600 * SECOND, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    // A whole unit is still told in the smaller one, as Sprig does.
    let unit = UNITS.iter().find(|(unit, _)| nanos > *unit);
    unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", nanos / unit))
}

/// A value from JSON; nothing is no JSON here.
fn read_json(text: &Value) -> Result<Value, String> {
    match string(text).as_str() {
        "" => Err("unexpected end of JSON input".to_owned()),
        text => codec::read_json(text),
    }
}

/// A result, or empty text for an error that only the functions with `must` in their names tell.
fn or_empty(context: &Context<'_>, result: Result<Value, String>) -> Result<Value, String> {
    if context.name.starts_with("sprig_must") {
        result
    } else {
        Ok(result.unwrap_or_else(|_| Value::from("")))
    }
}

fn json(args: &[Value], escape: bool, pretty: bool) -> Result<Value, String> {
    encode_json::encode(&args[0], escape, pretty.then_some("  ")).map(Value::from)
}

pub(super) fn type_name(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        value => value.ty().to_string(),
    }
}

/// The kind of a value as Go's reflection names it.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Nil => "invalid".to_owned(),
        Value::List(_) => "slice".to_owned(),
        Value::Map(_) => "map".to_owned(),
        Value::Struct(_) => "struct".to_owned(),
        Value::Object(object) if !object.type_name().starts_with('*') => "struct".to_owned(),
        Value::Pointer(..) | Value::Object(_) => "ptr".to_owned(),
        Value::Int(_, IntKind::Duration | IntKind::ReadableDuration) => "int64".to_owned(),
        Value::Stream(_) => "chan".to_owned(),
        value => value.ty().to_string(),
    }
}
