//! Corners of the language where something else was said than Go says.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod data;

use data::{Functions, data};
use go_template::{Delimiters, Host as _, Lookup, Options, Template};

/// What a template prints, or its error without the place.
fn result(source: &[u8]) -> Result<Vec<u8>, String> {
    let lookup = |name: &str| match Functions.signature(name) {
        Some(_) => Lookup::Known,
        None => Lookup::Unknown(String::new()),
    };
    let template =
        Template::parse("t", source, &Delimiters::default(), &lookup).map_err(|error| error.to_string())?;
    template.execute(data(), Options::default(), &mut Functions).map_err(|error| error.reason)
}

#[track_caller]
fn prints(source: &[u8], text: &[u8]) {
    assert_eq!(
        result(source).as_deref().map(String::from_utf8_lossy),
        Ok(String::from_utf8_lossy(text)),
        "{}",
        String::from_utf8_lossy(source)
    );
}

#[track_caller]
fn fails(source: &str, reason: &str) {
    assert_eq!(result(source.as_bytes()).unwrap_err(), reason, "{source}");
}

#[test]
fn numbers() {
    prints(b"{{printf `%T %T` -0x1e 0x1e}}", b"float64 int");
    prints(b"{{plus 0i 1}} {{plus 1+0i 1}}", b"1 2");
    fails("{{half 3i}}", "expected float; found 3i");
}

#[test]
fn words_that_run_into_each_other() {
    fails("{{$x=1}}", "template: t:1: bad character U+003D '='");
    fails("{{.$x}}", "template: t:1: bad character U+0024 '$'");
    fails("{{.", "template: t:1: illegal number syntax: \".\"");
    fails("{{1+2}}", "template: t:1: bad number syntax: \"1+2\"");
    fails("{{1e5_}}", "template: t:1: illegal number syntax: \"1e5_\"");
    fails("{{''}}", "template: t:1: invalid syntax");
    fails("{{0b1+1i}}", "template: t:1: syntax error scanning complex number");
    fails("{{1e999+1i}}", "template: t:1: strconv.ParseFloat: parsing \"1e999\": value out of range");
}

#[test]
fn errors_stand_where_the_last_token_is() {
    fails("{{$x\n }}", "template: t:2: undefined variable \"$x\"");
    fails("{{block \"b\" 1}}\n{{else}}{{end}}", "template: t:1: unexpected {{else}} in block clause");
    fails("{{block \"b\" 1}}\n{{/*", "template: t:2: unclosed comment");
}

#[test]
fn bytes_that_are_no_text_in_strings() {
    prints(b"{{\"\xff\"}}", "\u{fffd}".as_bytes());
    prints(b"{{`\xff`}}", b"\xff");
}

#[test]
fn formats() {
    assert_eq!(result(b"{{printf `%.100000f` 1.5}}").unwrap().len(), 100_002);
    assert_eq!(result(b"{{printf `%.70000e` 1.5}}").unwrap().len(), 70_006);
    assert_eq!(result(b"{{printf `%.70000U` 1}}").unwrap().len(), 70_002);
    assert_eq!(result(b"{{printf `%.70000g` 0.1}}").unwrap().len(), 57);
    assert_eq!(result(b"{{printf `%1000001d` 1}}").unwrap().len(), 1_000_001);
    prints(b"{{printf `%99999999d|` 1}}", b"%!(NOVERB)%!(EXTRA int=1)");
    prints(b"{{printf `%[x]03[1]v` 1}}", b"%!v(BADINDEX)");
    prints(b"{{printf `%*.` 1 2}}", b"%!.(int=2)");
    prints(b"{{printf `%#.2v` `abc`}}", b"\"ab\"");
    prints(
        b"{{printf `%#v %#v` .bytes (echo (list .bytes))}}",
        b"[]byte{0x62, 0x79, 0xa} []interface {}{[]uint8{0x62, 0x79, 0xa}}",
    );
    prints(
        b"{{printf `%q %.2s %x %w` pad pad pad .bytes}}",
        b"\"pad\" pa 706164 [%!w(uint8=98) %!w(uint8=121) %!w(uint8=10)]",
    );
}

#[test]
fn a_break_after_else_leaves_the_empty_loop_only() {
    prints(b"{{range 2}}{{.}}{{range 0}}{{else}}a{{break}}b{{end}}c{{end}}", b"0ac1ac");
    prints(b"{{range 2}}{{.}}{{range 0}}{{else}}a{{continue}}b{{end}}c{{end}}", b"0a1a");
    prints(b"{{range 2}}{{.}}{{range 0}}{{else}}{{range 1}}{{break}}{{end}}a{{end}}c{{end}}", b"0ac1ac");
}

#[test]
fn comparisons() {
    fails("{{lt true 1i}}", "error calling lt: incompatible types for comparison: bool and complex128");
    prints(b"{{$p := pad}}{{eq $p $p}} {{eq $p pad}}", b"true false");
}

#[test]
fn arguments_that_do_not_fit() {
    fails("{{port none}}", "dereference of nil pointer of type main.Rec");
    fails("{{slice none}}", "error calling slice: slice of nil pointer");
    fails("{{slice .s .n}}", "error calling slice: cannot index slice/array with type interface {}");
    fails("{{len pad}}", "error calling len: len of type main.Pad");
    fails("{{1.5 | call}}", "error calling call: non-function <float64 Value> of type float64");
    fails("{{index .am .rec}}", "error calling index: runtime error: hash of unhashable type main.Rec");
    prints(b"{{index .am .rec.Inner}} {{index .am 1i}}", b"<no value> <no value>");
}
