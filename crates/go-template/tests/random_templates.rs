//! Templates thrown together at random: whatever they are, parsing and executing them ends, and without a panic.

use go_template::{
    Delimiters, Host, Key, Lookup, MissingKey, Options, Signature, Template, Templates, Type, Value,
};

struct Functions;

impl Host for Functions {
    fn signature(&self, name: &str) -> Option<Signature> {
        Some(match name {
            "list" => Signature::new(&[], Type::ANYS),
            "map" => Signature::new(&[], Type::ANY_MAP),
            "echo" => Signature::variadic(&[Type::Any], Type::Any),
            "again" => Signature::new(&[Type::Str], Type::Str),
            _ => return None,
        })
    }

    fn call(&mut self, name: &str, args: Vec<Value>, templates: &Templates<'_>) -> Result<Value, String> {
        let list =
            || Value::list(&Type::Any, vec![Value::int(1), Value::from("b"), Value::Nil, Value::Float(0.5)]);
        match name {
            "list" => Ok(list()),
            "map" => {
                Ok(Value::map(Type::ANY_MAP, [(Key::text("a"), list()), (Key::text("b"), Value::Nil)].into()))
            }
            "again" => {
                templates.execute(self, args[0].as_bytes().unwrap_or_default(), Value::Nil).map(Value::from)
            }
            _ => Ok(args.into_iter().next().unwrap_or(Value::Nil)),
        }
    }
}

/// Pieces that fit together often enough to get past the parser.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "\n",
    "text",
    "if ",
    "with ",
    "range ",
    "else",
    "else if ",
    "end",
    "define \"d\"",
    "template \"d\" ",
    "block \"b\" ",
    "break",
    "continue",
    "$x",
    " := ",
    " = ",
    "$x, $y := ",
    "|",
    "(",
    ")",
    ".",
    ".a",
    ".b.c",
    "$",
    "nil",
    "true",
    "0",
    "-1",
    "9223372036854775807",
    "1.5e3",
    "0x1p-2",
    "'a'",
    "\"s\"",
    "`r`",
    "1i",
    "list",
    " map",
    " echo ",
    "again \"d\"",
    "again \"t\"",
    "printf \"%[3]*.*[2]d %v %#q %x %U\" ",
    "print ",
    "index ",
    "slice ",
    "len ",
    "eq ",
    "lt ",
    "and ",
    "or ",
    "not ",
    "html ",
    "js ",
    "urlquery ",
    "call ",
    "/*",
    "*/",
    "\"",
    "`",
    "\\",
    "é",
    "\u{0}",
    ",",
    ":",
    "{{range 3}}",
    "{{end}}",
    "{{range list}}",
    "{{.}}",
    "{{template \"d\"}}",
    "{{else}}",
    "{{if true}}",
    "{{with map}}",
    "{{range $k, $v := map}}",
    "{{$k}}",
    "{{define \"d\"}}",
    "{{$x := 1}}",
    "{{printf",
];

/// A small generator of numbers (xorshift), the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("smaller than the limit")
    }
}

fn run(source: &[u8], missing_key: MissingKey) -> bool {
    let lookup = |name: &str| {
        if Functions.signature(name).is_some() { Lookup::Known } else { Lookup::Unknown(String::new()) }
    };
    let Ok(template) = Template::parse("t", source, &Delimiters::default(), &lookup) else { return false };
    let options = Options { missing_key, depth_max: 200, output_bytes_max: 1 << 16, steps_max: 2_000 };
    let result = template.execute(Value::Nil, options, &mut Functions);
    result.is_ok_and(|bytes| bytes.len() <= 1 << 16)
}

#[test]
fn random_templates_end_without_panic() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut worked = 0;
    for round in 0..30_000 {
        let mut source: Vec<u8> = Vec::new();
        for _ in 0..1 + random.below(24) {
            source.extend_from_slice(PIECES[random.below(PIECES.len())].as_bytes());
        }
        if round % 5 == 0 {
            let at = random.below(source.len());
            source[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        let missing_key = [MissingKey::Invalid, MissingKey::Zero, MissingKey::Error][random.below(3)];
        worked += usize::from(run(&source, missing_key));
    }
    assert!(worked > 300, "too few of the templates mean anything: {worked}");
}

#[test]
fn deep_nesting_is_refused_and_deep_calls_are_not() {
    let deep =
        |open: &str, close: &str, count: usize| format!("{}{}", open.repeat(count), close.repeat(count));
    assert!(run(deep("{{if true}}", "{{end}}", 200).as_bytes(), MissingKey::Zero));
    assert!(!run(deep("{{if true}}", "{{end}}", 5_000).as_bytes(), MissingKey::Zero));
    assert!(!run(
        format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000)).as_bytes(),
        MissingKey::Zero
    ));
    assert!(!run(b"{{define \"d\"}}{{again \"d\"}}{{end}}{{template \"d\"}}", MissingKey::Zero));
}

#[test]
fn endless_work_is_cut_off() {
    for source in [
        "{{range 9223372036854775807}}{{end}}",
        "{{range 100000}}{{range 100000}}xxxxxxxxxx{{end}}{{end}}",
        // Each quote and backslash becomes two: the text of a text of a text is never done.
        r#"{{define "d"}}{{template "d" . | js}}{{end}}{{template "d" "'"}}"#,
        "{{$x := `x`}}{{range 1000}}{{$x = print $x $x}}{{end}}",
        "{{$x := `%1000[1]d`}}{{range 12}}{{$x = print $x $x}}{{end}}{{$x = printf $x 1}}",
    ] {
        assert!(!run(source.as_bytes(), MissingKey::Zero), "{source}");
    }
}
