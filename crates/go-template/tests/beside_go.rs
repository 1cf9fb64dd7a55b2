//! Random templates beside Go's own `text/template`: the same bytes, or both an error.
//!
//! Needs Go; where it is not, the test is counted as not run. `RYO_GO_SEED` and `RYO_GO_TEMPLATES` choose which and how many.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod generator;

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use generator::Generator;
use go_template::{
    Delimiters, Host, Key, Lookup, MissingKey, Options, Signature, StructType, Template, Templates, Type,
    Value,
};
use serde_json::{Value as Json, json};

static INNER: StructType =
    StructType { name: "main.Inner", fields: &[("Name", Type::Str), ("Port", Type::INT)] };

static REC: StructType = StructType {
    name: "main.Rec",
    fields: &[
        ("Name", Type::Str),
        ("Port", Type::INT),
        ("Ratio", Type::Float),
        ("On", Type::Bool),
        ("Tags", Type::STRINGS),
        ("Inner", Type::Struct(&INNER)),
        ("Next", Type::Pointer(&REC)),
        ("Any", Type::Any),
        ("Meta", Type::STR_MAP),
    ],
};

const REC_POINTER: Type = Type::Pointer(&REC);
const REC_VALUE: Type = Type::Struct(&REC);
const INT_MAP: Type = Type::Map(&Type::INT, &Type::Str);

/// The first record: by value, or behind a pointer.
fn first(pointer: bool) -> Value {
    let fields = vec![
        "first".into(),
        Value::int(80),
        Value::Float(0.5),
        Value::Bool(true),
        Value::strings(["x", "y"]),
        Value::record(&INNER, vec!["in".into(), Value::int(9)]),
        Value::zero(REC_POINTER),
        Value::Nil,
        Value::map(Type::STR_MAP, [(Key::text("k"), "v".into())].into()),
    ];
    if pointer { Value::pointer(&REC, fields) } else { Value::record(&REC, fields) }
}

fn second() -> Value {
    let fields = vec![
        "second".into(),
        Value::int(2),
        Value::Float(0.0),
        Value::Bool(false),
        Value::strings::<&str>([]),
        Value::record(&INNER, vec!["".into(), Value::int(0)]),
        Value::zero(REC_POINTER),
        Value::int(7),
        Value::zero(Type::STR_MAP),
    ];
    Value::record(&REC, fields)
}

fn data() -> Value {
    let anys = |entries: Vec<(&str, Value)>| {
        let entries: BTreeMap<Key, Value> =
            entries.into_iter().map(|(name, value)| (Key::text(name), value)).collect();
        Value::map(Type::ANY_MAP, entries)
    };
    let deep = anys(vec![("z", "deep".into())]);
    let texts = [(Key::text("k"), "v".into()), (Key::text("l"), "".into())];
    let numbers = [(Key::Int(10), "ten".into()), (Key::Int(2), "two".into())];
    anys(vec![
        ("a", Value::int(1)),
        ("i64", Value::int64(-5)),
        ("u", Value::uint(7)),
        ("f", Value::Float(1.5)),
        ("big", Value::Float(12_345_678.0)),
        ("b", Value::Bool(true)),
        ("s", "te<x>t".into()),
        ("e", "".into()),
        ("n", Value::Nil),
        (
            "list",
            Value::list(
                &Type::Any,
                vec![Value::int(1), "x".into(), Value::Float(2.5), Value::Nil, Value::Bool(true)],
            ),
        ),
        ("strs", Value::strings(["p", "q r"])),
        ("empty", Value::list(&Type::Any, vec![])),
        ("m", anys(vec![("x", Value::int(1)), ("y", deep), ("n", Value::Nil)])),
        ("sm", Value::map(Type::STR_MAP, texts.into())),
        ("im", Value::map(INT_MAP, numbers.into())),
        ("rec", first(false)),
        ("recs", Value::list(&REC_VALUE, vec![first(false), second()])),
        ("val", second()),
    ])
}

struct Functions;

impl Host for Functions {
    fn signature(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "echo" => Signature::variadic(&[Type::Any], Type::Any),
            "list" => Signature::variadic(&[Type::Any], Type::ANYS),
            "plus" => Signature::new(&[Type::INT, Type::INT], Type::INT),
            "half" => Signature::new(&[Type::Float], Type::Float),
            "glue" => Signature::new(&[Type::Str, Type::STRINGS], Type::Str),
            "up" => Signature::new(&[Type::Str], Type::Str),
            "yes" => Signature::new(&[], Type::Bool),
            "bad" => Signature::new(&[], Type::Str),
            "none" | "there" => Signature::new(&[], REC_POINTER),
            _ => return None,
        })
    }

    fn call(&mut self, name: &str, args: Vec<Value>, _: &Templates<'_>) -> Result<Value, String> {
        let text = |at: usize| args[at].as_bytes().unwrap_or_default().to_vec();
        Ok(match (name, args.as_slice()) {
            ("echo", _) => args.into_iter().next().unwrap_or(Value::Nil),
            // In Go the arguments of none are a nil list.
            ("list", []) => Value::zero(Type::ANYS),
            ("list", _) => Value::list(&Type::Any, args),
            ("plus", [Value::Int(a, _), Value::Int(b, _)]) => Value::int(a.wrapping_add(*b)),
            ("half", [Value::Float(a)]) => Value::Float(a / 2.0),
            ("glue", [_, Value::List(list)]) => {
                let parts: Vec<&[u8]> =
                    list.items.iter().map(|item| item.as_bytes().unwrap_or_default()).collect();
                Value::from(parts.join(&text(0)[..]))
            }
            ("up", _) => Value::from(String::from_utf8_lossy(&text(0)).to_uppercase()),
            ("yes", _) => Value::Bool(true),
            ("none", _) => Value::zero(REC_POINTER),
            ("there", _) => first(true),
            _ => return Err("boom".to_owned()),
        })
    }
}

fn ours(source: &[u8], missing_key: &str) -> Result<Vec<u8>, String> {
    let lookup = |name: &str| match Functions.signature(name) {
        Some(_) => Lookup::Known,
        None => Lookup::Unknown(String::new()),
    };
    let missing_key = match missing_key {
        "zero" => MissingKey::Zero,
        "error" => MissingKey::Error,
        _ => MissingKey::Invalid,
    };
    let template =
        Template::parse("t", source, &Delimiters::default(), &lookup).map_err(|e| e.to_string())?;
    let options = Options { missing_key, ..Options::default() };
    template.execute(data(), options, &mut Functions).map_err(|e| e.to_string())
}

/// What Go says to all of them.
fn gos(cases: &[(Vec<u8>, &str)]) -> Vec<Result<Vec<u8>, String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let mut oracle = Command::new("go")
        .args(["run", "main.go"])
        .current_dir(folder)
        .env("GO111MODULE", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let questions: String = cases
        .iter()
        .map(|(source, missing_key)| {
            json!({"template": base64(source), "missing_key": missing_key}).to_string() + "\n"
        })
        .collect();
    let mut stdin = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(questions.as_bytes()).unwrap());
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the Go program failed");
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let answer: Json = serde_json::from_str(line).unwrap();
        match answer.get("error").and_then(Json::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(unbase64(answer.get("output").and_then(Json::as_str).unwrap_or_default())),
        }
    };
    lines.lines().map(read).collect()
}

#[test]
fn random_templates_give_what_go_gives() {
    if Command::new("go").arg("version").stdout(Stdio::null()).status().is_err() {
        return not_run("Go is not on this machine");
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("RYO_GO_SEED").unwrap_or(1);
    let count = number("RYO_GO_TEMPLATES").unwrap_or(6_000);
    let mut generator = Generator::new(seed);
    let modes = ["default", "zero", "error"];
    let cases: Vec<(Vec<u8>, &str)> = (0..count)
        .map(|at| (generator.template().into_bytes(), modes[usize::try_from(at % 3).unwrap()]))
        .collect();
    let expected = gos(&cases);
    assert_eq!(expected.len(), cases.len());
    let (mut wrong, mut good) = (Vec::new(), 0);
    for ((source, missing_key), go) in cases.iter().zip(&expected) {
        if go.as_ref().is_ok_and(|text| has_address(text)) {
            continue;
        }
        let ours = ours(source, missing_key);
        good += usize::from(go.is_ok());
        let same = match (&ours, go) {
            (Ok(a), Ok(b)) => a == b,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            let shown = |result: &Result<Vec<u8>, String>| match result {
                Ok(bytes) => format!("Ok({:?})", String::from_utf8_lossy(bytes)),
                Err(error) => format!("Err({error})"),
            };
            let source = String::from_utf8_lossy(source);
            wrong.push(format!("{missing_key}: {source}\n  Go   {}\n  ours {}", shown(go), shown(&ours)));
        }
    }
    let shown = wrong.iter().take(25).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "seed {seed}: {} of {count} differ:\n{shown}", wrong.len());
    assert!(good * 6 > cases.len(), "seed {seed}: too few of the templates mean anything: {good}");
}

/// Whether a machine address stands in a text: what Go prints of a pointer inside something else, and nobody relies on.
fn has_address(text: &[u8]) -> bool {
    let long = |part: &[u8]| part.len() > 8 && part.iter().all(u8::is_ascii_hexdigit);
    text.split(|b| !b.is_ascii_alphanumeric()).any(|word| {
        long(word.strip_prefix(b"0x").or_else(|| word.strip_prefix(b"0X")).unwrap_or(word)) && word.len() > 10
    })
}

/// Counts what could not be tested here, as `./test` reports it.
fn not_run(reason: &str) {
    if let Some(list) = std::env::var_os("RYO_TESTS_NOT_RUN") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "templates beside Go: {reason}").unwrap();
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = usize::try_from((word >> (18 - 6 * at)) & 63).unwrap();
            text.push(if at <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digit =
            |byte: &u8| u32::try_from(DIGITS.iter().position(|digit| digit == byte).unwrap()).unwrap();
        let word = chunk.iter().fold(0, |word, byte| (word << 6) | digit(byte)) << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    bytes
}
