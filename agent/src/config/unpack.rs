//! Objects whose names and shapes are the user's own, as `proxy.config`.
//!
//! HCL1 cannot say whether a block stands alone, so that Consul takes a list of one for what is in it. It does so with lists
//! that were not meant as blocks too, in JSON as well, and what it shows then is what those who read it have to expect:
//! `a = ["x"]` is `"x"`.

use serde_json::{Map, Value as Json};

/// The values of such an object: a list of one is what is in it, and so is every list of one that is a value in there. A
/// list of several is kept with all that is in it.
pub(super) fn unpack(values: Map<String, Json>) -> Map<String, Json> {
    let unpacked = |value| only(value).map_or_else(|kept| kept, within);
    values.into_iter().map(|(key, value)| (key, whole(unpacked(value)))).collect()
}

/// The one element of a list of one; anything else as it is.
fn only(value: Json) -> Result<Json, Json> {
    match value {
        Json::Array(mut list) if list.len() == 1 => Ok(list.remove(0)),
        other => Err(other),
    }
}

fn within(value: Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(
            map.into_iter()
                .map(|(key, value)| (key, within(only(value).unwrap_or_else(|kept| kept))))
                .collect(),
        ),
        Json::Array(list) => Json::Array(list.into_iter().map(within).collect()),
        plain => plain,
    }
}

/// Numbers without a fraction as whole ones, as Go prints them.
fn whole(value: Json) -> Json {
    match value {
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                Json::from(float as i64)
            }
            _ => Json::Number(number),
        },
        Json::Object(map) => Json::Object(map.into_iter().map(|(key, value)| (key, whole(value))).collect()),
        Json::Array(list) => Json::Array(list.into_iter().map(whole).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hcl(text: &str) -> Json {
        let document = hcl1::parse("f.hcl", text.as_bytes()).unwrap();
        Json::Object(unpack(document.root.to_json(document.syntax)))
    }

    #[test]
    fn lists_of_one_are_what_is_in_them() {
        assert_eq!(
            hcl(r#"a = 1 b { c = "x" d { e = [1, 2.5] f = ["y"] } } g = [[1]] h = [["a", "b"]] i = []"#),
            json!({"a": 1, "b": {"c": "x", "d": {"e": [1, 2.5], "f": "y"}}, "g": [1], "h": ["a", "b"], "i": []})
        );
        assert_eq!(
            hcl("l = [{ z { y = 1 } }, { z = 2 }]\n m { l = [{ a = [1] }, { b = 2 }] k = [[[1]]] }"),
            json!({"l": [{"z": [{"y": 1}]}, {"z": 2}], "m": {"l": [{"a": 1}, {"b": 2}], "k": [[1]]}})
        );
    }

    #[test]
    fn objects_of_json_stand_alone_already() {
        let text = br#"{"l":[{"z":[1]}],"f":1.0,"n":null,"o":{"p":[[{"q":1}]]},"s":[[{"t":[{"u":1}]}]]}"#;
        let document = hcl1::parse_json("f.json", text).unwrap();
        assert_eq!(
            Json::Object(unpack(document.root.to_json(document.syntax))),
            json!({"l": {"z": 1}, "f": 1, "n": null, "o": {"p": [[{"q": 1}]]}, "s": [{"t": {"u": 1}}]})
        );
    }
}
