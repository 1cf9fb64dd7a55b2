//! HCL1 and JSON texts, and what is read from them or said about them.

use hcl1::{parse, parse_json};

fn assert_reads(text: &str, expected: &str) {
    let expected: serde_json::Value = serde_json::from_str(expected).expect("the expectation is JSON");
    match parse("f", text.as_bytes()) {
        Ok(document) => assert_eq!(document.to_json(), expected, "{text:?}"),
        Err(error) => panic!("{text:?}: {error}"),
    }
}

fn said(text: &str) -> String {
    match parse("f.hcl", text.as_bytes()) {
        Ok(document) => panic!("{text:?} was read as {}", document.to_json()),
        Err(error) => format!("{}: {}", error.place, error.reason),
    }
}

#[test]
fn values() {
    for (text, expected) in [
        ("", "{}"),
        ("a = \"x\"", r#"{"a":"x"}"#),
        ("\u{feff}a = 1\r\nb = 2\r\n", r#"{"a":1,"b":2}"#),
        ("a = 1 b = 2", r#"{"a":1,"b":2}"#),
        (
            "a = 0644 b = 0x1F c = -5 d = 0 e = 1.5 f = 1e3 g = 2E-1",
            r#"{"a":420,"b":31,"c":-5,"d":0,"e":1.5,"f":1000.0,"g":0.2}"#,
        ),
        ("a = true b = false", r#"{"a":true,"b":false}"#),
        ("\"quoted key\" = 1 a.b = 2 c-d = 3", r#"{"a.b":2,"c-d":3,"quoted key":1}"#),
        ("a = [1, \"two\", [3], {b = 4},]", r#"{"a":[1,"two",[3],{"b":4}]}"#),
        ("a = [\n  1, # one\n  2 // two\n  , /* none */\n]", r#"{"a":[1,2]}"#),
        ("a = []", r#"{"a":[]}"#),
        ("a = 1\na = 2", r#"{"a":2}"#),
        ("a =", "{}"),
    ] {
        assert_reads(text, expected);
    }
}

#[test]
fn blocks_are_lists_of_objects() {
    assert_reads("a { x = 1 }", r#"{"a":[{"x":1}]}"#);
    assert_reads("a = { x = 1, y = 2 }", r#"{"a":[{"x":1,"y":2}]}"#);
    assert_reads("a { x = 1 }\na = { x = 2 }", r#"{"a":[{"x":1},{"x":2}]}"#);
    assert_reads("a \"b\" \"c\" { x = 1 }", r#"{"a":[{"b":[{"c":[{"x":1}]}]}]}"#);
    assert_reads("a {}", r#"{"a":[{}]}"#);
}

#[test]
fn texts() {
    for (text, expected) in [
        (r#"a = "tab\t\"q\" \\ \x41\101\u00e9""#, "tab\t\"q\" \\ AA\u{e9}"),
        (r#"a = "${file("x")}/%{+Q}o""#, r#"${file("x")}/%{+Q}o"#),
        (r#"a = "$${x} $5 {}""#, r#"$${x} $5 {}"#),
        (r#"a = "${ {"k" = "\n"} }""#, r#"${ {"k" = "\n"} }"#),
        ("a = <<EOF\none\n  two\nEOF\n", "one\n  two\n"),
        ("a = <<-EOF\n    one\n      two\n\n    EOF\nb = 1", "one\n  two\n\n"),
        ("a = <<-EOF\n  one\nless\n    EOF\n", "  one\nless\n"),
        ("a = <<EOF\nEOF", ""),
        ("a = <<EOF\nx\n  EOF", "x\n  "),
        ("a = <<EOF\r\nx\r\nEOF\r\n", "x\n"),
    ] {
        let document = parse("f", text.as_bytes()).unwrap();
        assert_eq!(document.to_json()["a"], expected, "{text:?}");
    }
}

#[test]
fn errors_name_the_place() {
    for (text, expected) in [
        ("template {\n source = \n", "f.hcl:3:1: object expected closing RBRACE got: EOF"),
        ("This is {{ not }} a config", "f.hcl:1:10: expected: IDENT | STRING got: LBRACE"),
        ("a = 1\nb = 2\nnode_name = upper(\"x\")", "f.hcl:3:13: Unknown token: 3:13 IDENT upper"),
        ("a = \"x\n", "f.hcl:1:5: literal not terminated"),
        ("a = \"x", "f.hcl:1:5: literal not terminated"),
        ("a = \"\\d\"", "f.hcl:1:6: illegal char escape"),
        ("a b = 1", "f.hcl:1:5: nested object expected: LBRACE got: ASSIGN"),
        ("a\n", "f.hcl:2:1: key 'a' expected start of object ('{') or assignment ('=')"),
        ("a { b = 1", "f.hcl:1:10: object expected closing RBRACE got: EOF"),
        ("}", "f.hcl:1:1: expected: IDENT | STRING got: RBRACE"),
        ("a = [1 2]", "f.hcl:1:8: error parsing list, expected comma or list end, got: NUMBER"),
        ("a = [1,", "f.hcl:1:8: error parsing list, expected list end, got: EOF"),
        ("a = 10s", "f.hcl:1:5: illegal number 10s"),
        ("a = 089", "f.hcl:1:5: illegal number 089"),
        ("a = 99999999999999999999", "f.hcl:1:5: illegal number 99999999999999999999"),
        ("/* x", "f.hcl:1:1: comment not terminated"),
        ("a = <<EOF\nx\n", "f.hcl:1:5: heredoc not terminated"),
        ("a = <<\nx\n", "f.hcl:1:5: heredoc anchor not found"),
        ("a = 1, b = 2", "f.hcl:1:6: expected: IDENT | STRING got: COMMA"),
        ("a = \"x\" # \0", "f.hcl:1:11: unexpected null character (0x00)"),
        ("a = @", "f.hcl:1:5: illegal character '@'"),
        ("= 1", "f.hcl:1:1: expected: IDENT | STRING got: ASSIGN"),
    ] {
        assert_eq!(said(text), expected, "{text:?}");
    }
    let error = parse("f.hcl", b"a = 1\nb = \"\xff\"").unwrap_err();
    assert_eq!(error.to_string(), "f.hcl:2:6: illegal UTF-8 encoding (save the file as UTF-8)");
    assert_eq!(parse("f", b"a = x").unwrap_err().consul_text(), "At 1:5: Unknown token: 1:5 IDENT x");
}

#[test]
fn json_is_told_by_its_first_character() {
    assert_reads(" \n{\"a\": {\"b\": [1, 2.5, null, true,],},}", r#"{"a":{"b":[1,2.5,null,true]}}"#);
    assert_eq!(said("{\"a\" 1}"), "f.hcl:1:6: invalid character '1' after object key");
}

#[test]
fn plain_json_speaks_as_go_does() {
    for (text, expected) in [
        ("{\"a\":1, // no\n}", "invalid character '/' looking for beginning of object key string"),
        ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("{\"a\":", "unexpected end of JSON input"),
        ("{\"a\":tru}", "invalid character '}' in literal true (expecting 'e')"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("{\"a\":01}", "invalid character '1' after object key:value pair"),
        ("{\"a\":\"\n\"}", "invalid character '\\n' in string literal"),
        ("{\"a\":[1 2]}", "invalid character '2' after array element"),
    ] {
        assert_eq!(parse_json("f", text.as_bytes()).unwrap_err().consul_text(), expected, "{text}");
    }
    let document = parse_json("f", br#"{"a":"\u00e9\ud83d\ude00\ud800","b":1e2,"b":-7}"#).unwrap();
    assert_eq!(document.to_json(), serde_json::json!({ "a": "\u{e9}\u{1f600}\u{fffd}", "b": -7 }));
    assert_eq!(parse_json("f", b" \n").unwrap().to_json().to_string(), "{}");
}

#[test]
fn places_of_keys() {
    let text = "service {\n  name = \"a\"\n  check { ttl = \"1s\" }\n  check {\n    ttl = \"2s\"\n  }\n}\nl = [\n  {\n    x = 1\n  }]\n";
    let document = parse("f.hcl", text.as_bytes()).unwrap();
    let place = |path: &str| document.place_of(path).map(|place| place.to_string());
    assert_eq!(place("service.Name").as_deref(), Some("f.hcl:2:3"));
    assert_eq!(place("service.check[0].ttl").as_deref(), Some("f.hcl:3:11"));
    assert_eq!(place("service[0].check[1].ttl").as_deref(), Some("f.hcl:5:5"));
    assert_eq!(place("l[0].x").as_deref(), Some("f.hcl:10:5"));
    assert_eq!(place("service.port"), None);
}

#[test]
fn depth_is_bounded() {
    for text in [format!("a = {}", "[".repeat(100_000)), "a {".repeat(100_000), "a ".repeat(1000) + "{}"] {
        assert!(parse("f", text.as_bytes()).unwrap_err().reason.contains("levels"), "{}", &text[..10]);
    }
    let text = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(parse("f", text.as_bytes()).unwrap_err().reason.contains("depth"));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = parse("f", &bytes);
        let _ = parse_json("f", &bytes);
    }

    #[test]
    fn no_text_of_its_own_characters_makes_it_panic(text in "[a-c\"\\\\${}\\[\\]<>EOF\n =,.#/*0-9x:-]{0,120}") {
        let _ = parse("f", text.as_bytes());
        let _ = parse("f", format!("{{{text}").as_bytes());
    }

    #[test]
    fn what_json_writes_is_read_back(text in "\\PC{0,40}") {
        let wrapped = serde_json::json!({ "a": text });
        let document = parse_json("f", wrapped.to_string().as_bytes()).unwrap();
        proptest::prop_assert_eq!(document.to_json(), wrapped);
    }
}
