//! The table of functions: every example does what it says, and the reference page is what the table gives.
//!
//! `RYO_WRITE_DOCS=1 cargo test -p template-watcher --test functions` writes the page anew.

use std::{fs, path::Path, sync::Arc};

use template_watcher::{
    answers::Surroundings,
    functions,
    offline::{Fixture, render_from},
    syntax::{Options, Syntax, Template},
};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn rendered(template: &str, fixture: &Fixture) -> Result<String, String> {
    let template = Template::compile(Syntax::Go, template.as_bytes(), "example", &Options::default())
        .map_err(|error| error.to_string())?;
    let surroundings = Arc::new(fixture.surroundings(&Surroundings::default()));
    let text = render_from(&template, fixture, &surroundings)?;
    String::from_utf8(text).map_err(|error| error.to_string())
}

#[test]
fn every_example_prints_what_it_says() {
    let fixture = Fixture::read(&here("tests/functions.yaml")).unwrap();
    let mut wrong = Vec::new();
    for row in functions::all() {
        let (template, output) = row.example;
        // A second name is tried in the example of the first.
        let template = template.replace(row.same_as.unwrap_or(row.name), row.name);
        let got = rendered(&template, &fixture);
        if got.as_deref() != Ok(output) {
            wrong.push(format!("{}: {template}\n  expected {output:?}\n  got      {got:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} examples are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_reference_page_is_what_the_table_gives() {
    let page = here("../docs/functions.md");
    if std::env::var_os("RYO_WRITE_DOCS").is_some() {
        fs::write(&page, functions::reference()).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&page).unwrap_or_default(),
        functions::reference(),
        "write the page with RYO_WRITE_DOCS=1 cargo test -p template-watcher --test functions"
    );
}

/// Corners where the functions once said something else than consul-template 0.42.
#[test]
fn corners_are_consul_templates() {
    for (template, expected) in [
        (r#"{{ sprig_snakecase " x " }}"#, Ok("_x_")),
        (r#"{{ sprig_swapcase "ß é" }}"#, Ok("ß É")),
        (r#"{{ sprig_regexQuoteMeta "a-b.c" }}"#, Ok("a-b\\.c")),
        (r#"{{ sprig_regexSplit "" "abc" -1 }}"#, Ok("[a b c]")),
        (r#"{{ sprig_regexSplit "b" "abc" 2 }}"#, Ok("[a c]")),
        (r#"{{ sprig_splitList "" "abc" }}"#, Ok("[a b c]")),
        (r#"{{ sprig_split "" "ab" }}"#, Ok("map[_0:a _1:b]")),
        (r#"{{ sprig_sortAlpha nil }}"#, Ok("[<nil>]")),
        (r#"{{ sprig_mulf -7 0 }}"#, Ok("0")),
        (r#"{{ spew_sdump "" }}{{ spew_sdump (sprig_list) }}"#, Ok("(string) \"\"\n([]interface {}) {\n}\n")),
        (r#"{{ printf "%q" (loop 3) }}"#, Ok("%!q(<-chan int64=<-chan int64)")),
        (r#"{{ sprig_camelcase "__a__b__" }}|{{ sprig_camelcase " x y-z" }}"#, Ok("__A_B__| XYZ")),
        (r#"{{ printf "%x %08b" 2.5 2.5 }}"#, Ok("0x1.4p+01 5629499534213120p-51")),
        (r#"{{ sprig_durationRound "1h" }} {{ sprig_durationRound "1500ms" }}"#, Ok("60m 1s")),
        (r#"{{ sprig_abbrevboth 12 10 "1234 5678 9123 4567" }}"#, Ok("...23 4567")),
        (r#"{{ sprig_b64dec "x" }}"#, Ok("illegal base64 data at input byte 0")),
        (r#"{{ sprig_b32dec "MEa" }}"#, Ok("illegal base32 data at input byte 2")),
        (r#"{{ base64Decode "YWJj/+==" | sprig_sha1sum }}"#, Ok("ba0ef8073ef81857932e1e4c81fbd3caade8e550")),
        (r#"{{ toTitle "1h15m0.5s 0a:0b" }}"#, Ok("1H15m0.5s 0A:0b")),
        (r#"{{ sprig_title "a.b 1a" }} {{ sprig_untitle "<Ab> Cd" }}"#, Ok("A.B 1a <Ab> cd")),
        (
            r#"{{ printf "%#v %v" (sprig_rest (sprig_list)) (sprig_slice (sprig_list) 3) }}"#,
            Ok("[]interface {}(nil) <nil>"),
        ),
        (
            r#"{{ toYAML "\U0001F600\x07" }} {{ toYAML "2026-13-01" }} {{ toYAML "2026-1-1" }}"#,
            Ok("\"\\U0001F600\\a\" 2026-13-01 \"2026-1-1\""),
        ),
        (r#"{{ parseYAML "{1: a, true: b}" | toYAML }}"#, Ok("true: b\n1: a")),
        (r#"{{ parseYAML "{1: a}" | toTOML }}"#, Err("non-string key type")),
        (r#"{{ toTOML "a\xff" | len }}"#, Ok("4")),
        (r#"{{ toYAML 1i }}"#, Err("cannot marshal type: complex128")),
        (r#"{{ sprig_toJson (parseFloat "NaN") }}."#, Ok(".")),
        (r#"{{ sprig_mustToJson (parseFloat "NaN") }}"#, Err("unsupported value")),
        (r#"{{ sprig_addf (parseFloat "NaN") }}"#, Err("Cannot create a Decimal from NaN")),
        (r#"{{ (sprig_urlParse "http://h/a%20b#c%20d").path }}"#, Ok("/a b")),
        (
            r#"{{ sprig_urlJoin (sprig_urlParse "http://u%40:p@h/a%20b%2Fc?x=%31#f%20g") }}"#,
            Ok("http://u%40:p@h/a%20b/c?x=%31#f%20g"),
        ),
        (r#"{{ sprig_urlParse "%v" }}"#, Err("invalid URL escape")),
        (
            r#"{{ spew_sprintf "%v %+v %#v" (sprig_list 1 nil) 1 (sprig_list "a") }}"#,
            Ok("[1 <nil>] 1 ([]interface {})[(string)a]"),
        ),
        (
            r#"{{ printf "%#v" (sprig_semver "1.2") }}"#,
            Ok(r#"&semver.Version{major:0x1, minor:0x2, patch:0x0, pre:"", metadata:"", original:"1.2"}"#),
        ),
        (r#"{{ sprig_first nil }}"#, Err("nil pointer")),
        (r#"{{ sprig_concat "a" }}"#, Err("Cannot concat type string as list")),
        (r#"{{ sprig_divf 1 0 }}"#, Err("decimal division by 0")),
        (r#"{{ sprig_repeat -2 "a" }}"#, Err("negative Repeat count")),
        (r#"{{ in "a" nil }}"#, Err("reflect.Value.Type")),
        (
            r#"{{ sprig_wrapWith 5 "\n" "  pad  " }}|{{ sprig_wrapWith 3 "/" "a bcdefg h" }}"#,
            Ok("pad  |a/bcd/efg/h"),
        ),
        (r#"{{ contains nil "a" }}"#, Err("reflect.Value.Type")),
        (r#"{{ containsAny (sprig_list nil) "a" }}"#, Err("reflect.Value.Type")),
        (
            r#"{{ toTOML (sprig_list (sprig_dict "a" 1)) }}"#,
            Err("top-level values must be Go maps or structs"),
        ),
        (r#"{{ sprig_round -1.2 0 }} {{ sprig_round -1.5 0 }} {{ sprig_round 2.5 0 }}"#, Ok("-2 -2 3")),
        (r#"{{ sprig_untitle "A-B C.D" }}"#, Ok("a-B c.D")),
        (r#"{{ sprig_durationRound "721h" }}"#, Ok("1mo")),
        (r#"{{ sprig_typeIsLike "*int" 1 }} {{ sprig_typeIsLike "int" 1 }}"#, Ok("false true")),
        (
            r#"{{ sprig_snakecase "Bld4Floor3rd $x" }} {{ sprig_kebabcase "HTTP20xOK" }}"#,
            Ok("bld4_floor_3rd_$_x http-20x-ok"),
        ),
        (r#"{{ sprig_camelcase "HTTP_server" }} {{ sprig_camelcase "myID" }}"#, Ok("HttpServer MyID")),
        (
            r#"{{ sprig_toJson (sprig_rest (sprig_list)) }} {{ sprig_toJson (sprig_concat) }} {{ sprig_slice (sprig_list) 2 }}"#,
            Ok("null null <no value>"),
        ),
        (r#"{{ sprig_toJson (sprig_float64 "NaN") }}"#, Ok("")),
        (
            r#"{{ sprig_regexFindAll "x" "abc" -1 | sprig_toJson }} {{ sprig_regexSplit "x" "abc" 0 | sprig_toJson }}"#,
            Ok("null null"),
        ),
        (r#"{{ sprig_regexReplaceAll "b" "abc" "${}$é$-" }}"#, Ok("a${}$-c")),
        (r#"{{ sprig_float64 "0x1p4" }} {{ sprig_float64 "1__0" }} {{ sprig_add1f -2.7 }}"#, Ok("16 0 -1.7")),
        (r#"{{ sprig_maxf "NaN" 1 }} {{ sprig_minf -0.0 0 }}"#, Ok("NaN -0")),
        (r#"{{ sprig_mustToJson (sprig_float64 "NaN") }}"#, Err("unsupported")),
        (r#"{{ sprig_addf "Inf" }}"#, Err("Cannot create a Decimal from +Inf")),
        (r#"{{ sprig_substr -1 5 "abc" }}"#, Err("slice bounds out of range [:5] with length 3")),
        (r#"{{ sprig_title "l’or a-b Ǆ" }} {{ sprig_lower "ΣΑΣ İ" }}"#, Ok("L’or A-B ǅ σασ i")),
        (r#"{{ sprig_atoi "9223372036854775808" }} {{ sprig_divf 1 1e300 }}"#, Ok("9223372036854775807 0")),
        (
            r#"{{ sprig_deepEqual (sprig_rest (sprig_list)) (sprig_list) }} {{ sprig_deepEqual -0.0 0.0 }}"#,
            Ok("false true"),
        ),
        (
            r#"{{ sprig_b64dec "YR==" }} {{ sprig_b32dec "ME======\n" }} {{ base64Decode "YR==" }}"#,
            Ok("a a a"),
        ),
        (r#"{{ (sprig_urlParse "http://u%40:p@h:80/a%20b?x#f%20g").path }}"#, Ok("/a b")),
        (
            r#"{{ sprig_urlJoin (sprig_dict "scheme" "http" "host" "h" "path" "a b" "fragment" "c d" "userinfo" "u@x") }}"#,
            Ok("http://u%40x@h/a%20b#c%20d"),
        ),
        (
            r#"{{ sprig_urlJoin (sprig_dict "path" "h:80") }} {{ sprig_urlJoin (sprig_dict "scheme" "mailto" "opaque" "a@b") }}"#,
            Ok("./h:80 mailto:a@b"),
        ),
        (
            r#"{{ sprig_semverCompare "<=*" "1.2" }} {{ $m := sprig_mustMerge nil (sprig_dict "a" 1) }}{{ $m.a }}"#,
            Ok("false 1"),
        ),
        (
            r#"{{ $a := sprig_list (sprig_dict "x" 1) }}{{ $b := sprig_deepCopy $a }}{{ $_ := sprig_set (index $b 0) "x" 2 }}{{ $a }}"#,
            Ok("[map[x:1]]"),
        ),
        (
            r#"{{ $v := sprig_semver "1.2.3-rc" }}{{ $v.IncPatch }} {{ $v.IncMinor }} {{ $v.LessThan (sprig_semver "1.2.3") }} {{ $v.Compare $v }}"#,
            Ok("1.2.3 1.3.0 true 0"),
        ),
        (
            r#"{{ sprig_indent 2 "\xff\n" | printf "%q" }} {{ sprig_hasPrefix "\xff" "\xfe" }} {{ sprig_upper "\xe2\x82" }}"#,
            Ok("\"  \\xff\\n  \" false \u{fffd}\u{fffd}"),
        ),
        (r#"[{{ sprig_seq 0 -3 0 }}] {{ sprig_has "\xff" (sprig_list "\xfe") }}"#, Ok("[] false")),
        (r#"{{ len (sprig_indent 65536 "a") }}"#, Ok("65537")),
        (r#"{{ sprig_indent 67108865 "a" }}"#, Err("cannot indent 1 lines by 67108865 columns")),
        (r#"{{ sprig_mustFromJson "é" }}"#, Err("invalid character 'Ã' looking for beginning of value")),
        (r#"{{ sprig_mustFromJson "[\"é\" \\" }}"#, Err(r"invalid character '\\' after array element")),
        (r#"{{ sprig_urlParse "http://h/%zz" }}"#, Err(r#"parse "http://h/%zz": invalid URL escape "%zz""#)),
        (r#"{{ sprig_urlParse "http://a:b:c/" }}"#, Err(r#"invalid port ":b:c" after host"#)),
        (
            r#"{{ sprig_urlJoin (sprig_dict "host" 1) }}"#,
            Err("unable to parse host key, must be of type string, but int found"),
        ),
        (r#"{{ sprig_slice (sprig_list 1) -1 }}"#, Err("reflect.Value.Slice: slice index out of bounds")),
        (
            r#"{{ sprig_dig "a" 1 (sprig_list) }}"#,
            Err("interface conversion: interface {} is []interface {}, not map[string]interface {}"),
        ),
        (r#"{{ toTOML (sprig_list 1) }}"#, Ok("[1]")),
        (r#"{{ toTOML nil }}"#, Err("reflect.Value.Type")),
        (r#"{{ "_wAB" | base64URLDecode | toYAML }}"#, Ok("!!binary /wAB")),
    ] {
        let got = rendered(template, &Fixture::default());
        match (&got, expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{template}"),
            (Err(error), Err(words)) => assert!(error.contains(words), "{template}: {error}"),
            _ => panic!("{template}: expected {expected:?}, got {got:?}"),
        }
    }
}

/// What checks, roots and peers have is of Go's own types, which print, count and are written in their ways.
#[test]
fn durations_and_times_are_gos() {
    let fixture: Fixture = serde_yaml::from_str(
        r#"
services:
  web:
    - checks: [{ CheckID: a, Status: passing, Definition: { HTTP: "http://a/?b&c", Interval: 10s, Timeout: 1500ms } }]
documents:
  connect.caroots:
    - { ID: "1", RootCert: PEM, NotBefore: "2026-11-21T19:59:41.5+02:00" }
"#,
    )
    .unwrap();
    let definition = "(index (index (service \"web\") 0).Checks 0).Definition";
    let root = "(index (caRoots) 0)";
    for (template, expected) in [
        (
            "{{ $d.Interval }} {{ printf \"%v %d %T\" $d.Interval $d.Interval $d.Interval }}",
            "10s 10000000000 10000000000 api.ReadableDuration",
        ),
        (
            "{{ $d.IntervalDuration }} {{ printf \"%v %d %T\" $d.IntervalDuration $d.IntervalDuration $d.IntervalDuration }}",
            "10s 10s 10000000000 time.Duration",
        ),
        (
            "{{ printf \"%z\" $d.TimeoutDuration }} {{ spew_sdump $d.Timeout }}",
            "%!z(time.Duration=1500000000) (api.ReadableDuration) 1.5s\n",
        ),
        (
            "{{ toJSON $d.Interval }} {{ toYAML $d.TimeoutDuration }} {{ toTOML $d.TimeoutDuration }}",
            "10000000000 1.5s \"1.5s\"",
        ),
        (
            "{{ $d.TimeoutDuration.Seconds }} {{ $d.Interval.Duration.Minutes }} {{ lt $d.Timeout $d.Interval }}",
            "1.5 0.16666666666666666 true",
        ),
        ("{{ sprig_int $d.Interval }} {{ sprig_kindOf $d.Interval }}", "0 int64"),
        (
            "{{ with index (service \"web\") 0 }}{{ .Checks | toUnescapedJSON | regexMatch `\\[{\"Node\".*\"Interval\":\"10s\",.*u0026c` }}{{ end }}",
            "true",
        ),
        (
            "{{ toUnescapedJSON $d | regexMatch `^{\"HTTP\":\"http://a/.b&c\",.*\"Interval\":10000000000,` }}",
            "true",
        ),
        (
            "{{ $r.NotBefore }} {{ $r.NotBefore.Year }} {{ $r.NotBefore.Format \"02.01.06\" }}",
            "2026-11-21 19:59:41.5 +0200 +0200 2026 21.11.26",
        ),
        (
            "{{ printf \"%#v\" $r.NotBefore }}",
            "time.Date(2026, time.November, 21, 19, 59, 41, 500000000, time.Location(\"\"))",
        ),
        (
            "{{ toJSON $r.NotBefore }} {{ toTOML $r.NotBefore }} {{ printf \"%v %T\" $r.NotAfter $r.NotAfter }}",
            "\"2026-11-21T19:59:41.5+02:00\" 2026-11-21T19:59:41.5+02:00 <nil> *time.Time",
        ),
        (
            "{{ toJSON $r }}",
            r#"{"ID":"1","Name":"","RootCert":"PEM","Active":false,"NotBefore":"2026-11-21T19:59:41.5+02:00","CreateIndex":0,"ModifyIndex":0}"#,
        ),
    ] {
        let template = format!("{{{{ $d := {definition} }}}}{{{{ $r := {root} }}}}{template}");
        assert_eq!(rendered(&template, &fixture).as_deref(), Ok(expected), "{template}");
    }
}
