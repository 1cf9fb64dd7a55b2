//! Random templates beside Go's own `text/template`: the same bytes, or both an error.
//!
//! Needs Go; where it is not, the test is counted as not run. `RYO_GO_SEED` and `RYO_GO_TEMPLATES` choose which and how many.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod data;
mod generator;

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use data::{Functions, data};
use generator::{Case, Generator};
use go_template::{Delimiters, Host as _, Lookup, MissingKey, Options, Template};
use serde_json::{Value as Json, json};

type Answer = Result<Vec<u8>, Vec<u8>>;

/// What is executed and printed at most. What would take more, or never end, Go is not asked about: nothing ends it there.
const STEPS_MAX: u64 = 20_000;
const BYTES_MAX: usize = 2 << 20;

/// What we say; nothing where it takes too long.
fn ours(case: &Case) -> Option<Answer> {
    let lookup = |name: &str| match Functions.signature(name) {
        Some(_) => Lookup::Known,
        None => Lookup::Unknown(String::new()),
    };
    let missing_key = match case.missing_key {
        "zero" => MissingKey::Zero,
        "error" => MissingKey::Error,
        _ => MissingKey::Invalid,
    };
    let (left, right) = case.delimiters;
    let delimiters = Delimiters { left: left.to_owned(), right: right.to_owned() };
    let template = match Template::parse("t", &case.source, &delimiters, &lookup) {
        Ok(template) => template,
        Err(error) => return Some(Err(error.to_string().into_bytes())),
    };
    let options =
        Options { missing_key, steps_max: STEPS_MAX, output_bytes_max: BYTES_MAX, ..Options::default() };
    match template.execute(data(), options, &mut Functions) {
        Ok(text) => Some(Ok(text)),
        Err(error) if error.reason.starts_with("more than ") => None,
        Err(error) => Some(Err(error.to_string().into_bytes())),
    }
}

/// What Go says to all of them.
fn gos(cases: &[Case]) -> Vec<Answer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let mut oracle = Command::new("go")
        .args(["run", "main.go"])
        .current_dir(folder)
        .env("GO111MODULE", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = |case: &Case| {
        let (left, right) = case.delimiters;
        let question = json!({
            "template": base64(&case.source), "left": left, "right": right, "missing_key": case.missing_key
        });
        question.to_string() + "\n"
    };
    let questions: String = cases.iter().map(question).collect();
    let mut stdin = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(questions.as_bytes()).unwrap());
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the Go program failed");
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let answer: Json = serde_json::from_str(line).unwrap();
        match answer.get("error").and_then(Json::as_str) {
            Some(error) => Err(unbase64(error)),
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
    let answered =
        (0..count).map(|_| generator.case()).filter_map(|case| ours(&case).map(|ours| (case, ours)));
    let (cases, ours): (Vec<Case>, Vec<Answer>) = answered.unzip();
    let gos = gos(&cases);
    assert_eq!(gos.len(), cases.len());
    let mut wrong: Vec<String> = cases
        .iter()
        .zip(ours.iter().zip(&gos))
        .filter(|(_, (ours, go))| !is_same(ours, go))
        .map(|(case, (ours, go))| described(case, ours, go))
        .collect();
    // The shortest say most.
    wrong.sort_by_key(String::len);
    let shown = wrong.iter().take(25).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "seed {seed}: {} of {count} differ:\n{shown}", wrong.len());
    let good = gos.iter().filter(|go| go.is_ok()).count();
    assert!(good * 6 > cases.len(), "seed {seed}: too few of the templates mean anything: {good}");
    assert!(cases.len() as u64 * 10 > count * 9, "seed {seed}: too many of the templates take too long");
}

/// Whether we say what Go says, be it an error.
fn is_same(ours: &Answer, go: &Answer) -> bool {
    match (ours, go) {
        // Go's own mistakes, and what differs each time.
        (Err(_), Err(go)) if go.starts_with(b"panic: ") => true,
        (_, Ok(go) | Err(go)) if has_address(go) => true,
        // What is inside an object is its own business.
        (_, Ok(go) | Err(go)) if ["&{", "main.Pad{"].iter().any(|inside| has(go, inside)) => true,
        // Errors are texts here: bytes that are none cannot be told.
        (Err(ours), Err(go)) => String::from_utf8_lossy(ours) == String::from_utf8_lossy(go),
        (ours, go) => ours == go,
    }
}

fn has(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

fn described(case: &Case, ours: &Answer, go: &Answer) -> String {
    let shown = |answer: &Answer| match answer {
        Ok(bytes) => format!("Ok({:?})", String::from_utf8_lossy(bytes)),
        Err(error) => format!("Err({})", String::from_utf8_lossy(error)),
    };
    let (source, (left, right)) = (String::from_utf8_lossy(&case.source), case.delimiters);
    format!("{left} {right} {}: {source}\n  Go   {}\n  ours {}", case.missing_key, shown(go), shown(ours))
}

/// Whether a machine address stands in a text: what Go prints of a pointer inside something else, and nobody relies on.
fn has_address(text: &[u8]) -> bool {
    let long = |part: &[u8]| part.len() > 8 && part.iter().all(u8::is_ascii_hexdigit);
    let prefixed = |window: &[u8]| matches!(window, [b'0', b'x' | b'X', digits @ ..] if long(digits));
    text.windows(11).any(prefixed)
        || text.split(|b| !b.is_ascii_alphanumeric()).any(|word| long(word) && word.len() > 10)
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
