//! JSON bodies read as Go's decoder reads them: names match without regard to case, `null` is the zero value, what
//! follows the value is ignored, an unknown name is an error where the endpoint is strict.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};

use super::{Json, parse::parse, type_name::TypeName};

/// What to do about a name that the body's type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Refuse the body: `json: unknown field "X"`.
    Refuse,
    /// Skip it.
    Skip,
}

/// Why a body cannot be read. The text follows Go's where clients may look at it; endpoints put
/// `Request decode failed: ` or the like before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("EOF")]
    Empty,
    /// The body ends within a value.
    #[error("unexpected EOF")]
    Cut,
    /// Not JSON, and why.
    #[error("{0}")]
    Syntax(String),
    /// A name that the type does not have, with [`Unknown::Refuse`].
    #[error("json: unknown field {0:?}")]
    UnknownField(String),
    /// A value of the wrong kind.
    #[error("json: cannot unmarshal {0}")]
    Kind(String),
    /// A value of the right kind that means nothing, as a duration without a unit; or what a type's own reading said.
    #[error("{0}")]
    Value(String),
}

/// Reads the JSON value at the start of `body` into a `T`.
///
/// `T` derives `Deserialize` with `#[serde(default)]`; `flatten` is not supported, of two equal names the last counts.
pub fn decode<T: DeserializeOwned>(body: &[u8], unknown: Unknown) -> Result<T, DecodeError> {
    decode_value(parse(body)?, unknown)
}

/// Reads a value that is JSON already into a `T`.
pub fn decode_value<T: DeserializeOwned>(value: Json, unknown: Unknown) -> Result<T, DecodeError> {
    T::deserialize(Go { value, unknown, at: None })
}

/// A duration as a Go text (`"10s"`) or as a number of nanoseconds; a value of another kind is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nanos(pub i64);

impl serde::Serialize for Nanos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Json::deserialize(deserializer)? {
            Json::Text(text) => Self(crate::duration::parse_nanos(&text).map_err(de::Error::custom)?),
            Json::Number(n) => {
                let whole = n.as_i64().or_else(|| n.as_f64().map(|f| f as i64));
                Self(whole.unwrap_or_default())
            }
            _ => Self(0),
        })
    }
}

/// A field that was sent, be it as `null`; `None` means that it was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given<T>(pub Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Kind(format!("{found} into {expected}"))
    }
}

/// A value with where it is in the body.
struct Go<'p> {
    value: Json,
    unknown: Unknown,
    at: Option<&'p Place<'p>>,
}

/// A field of a struct, in which a value is.
///
/// A struct's name is Go's: `structs.Weights`, or for one without a name its whole text, `struct { LockDelay interface
/// {}; *structs.Alias }`. Such a struct stands where Consul reads a value by a method of its own: its fields are those
/// of the text, all others belong to the embedded `Alias`.
struct Place<'p> {
    up: Option<&'p Place<'p>>,
    within: &'static str,
    field: &'p str,
}

impl Place<'_> {
    /// `struct field HealthCheck.Check.Interval`: the struct that Go names, and the way from the body to the field.
    fn shown(&self) -> String {
        let way: Vec<&Self> = std::iter::successors(Some(self), |place| place.up).collect();
        let outer = way.iter().rev().skip(1).position(|place| place.is_nameless());
        let named = outer.map_or(self, |steps| way[way.len() - 1 - steps]);
        let within = named.within.rsplit('.').next().unwrap_or_default();
        let within = if named.is_nameless() { "" } else { within };
        let fields = way.iter().rev().map(|place| match place.is_embedded() {
            true => format!(".Alias.{}", place.field),
            false => format!(".{}", place.field),
        });
        format!("struct field {within}{}", fields.collect::<String>())
    }

    fn is_nameless(&self) -> bool {
        self.within.starts_with("struct {")
    }

    fn is_embedded(&self) -> bool {
        let own = |word: &str| word.split(' ').next() == Some(self.field);
        self.is_nameless() && !self.within.trim_start_matches("struct { ").split("; ").any(own)
    }
}

impl Go<'_> {
    fn wrong_kind<T>(&self, wanted: &str) -> Result<T, DecodeError> {
        self.refused(self.value.kind(), wanted)
    }

    fn refused<T>(&self, found: &str, wanted: &str) -> Result<T, DecodeError> {
        let place = self.at.map_or_else(|| "value".to_owned(), Place::shown);
        Err(DecodeError::Kind(format!("{found} into Go {place} of type {wanted}")))
    }
}

/// Numbers: `null` is 0, fractions and texts are refused.
macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty, $name:literal);*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match &self.value {
                Json::Null => visitor.$visit(0 as $kind),
                Json::Number(n) => {
                    let whole = n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
                    match whole.and_then(|n| <$kind>::try_from(n).ok()) {
                        Some(n) => visitor.$visit(n),
                        None => self.refused(&format!("number {n}"), $name),
                    }
                }
                _ => self.wrong_kind($name),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Go<'_> {
    type Error = DecodeError;

    numbers!(
        deserialize_i8 visit_i8 i8, "int8"; deserialize_i16 visit_i16 i16, "int16";
        deserialize_i32 visit_i32 i32, "int32"; deserialize_i64 visit_i64 i64, "int";
        deserialize_u8 visit_u8 u8, "uint8"; deserialize_u16 visit_u16 u16, "uint16";
        deserialize_u32 visit_u32 u32, "uint32"; deserialize_u64 visit_u64 u64, "uint64"
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let (unknown, at) = (self.unknown, self.at);
        match self.value {
            Json::Null => visitor.visit_unit(),
            Json::Bool(b) => visitor.visit_bool(b),
            Json::Number(ref n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
                (Some(n), ..) => visitor.visit_u64(n),
                (_, Some(n), _) => visitor.visit_i64(n),
                (.., n) => visitor.visit_f64(n.unwrap_or_default()),
            },
            Json::Text(text) => visitor.visit_string(text),
            Json::List(list) => visitor.visit_seq(Elements { rest: list.into_iter(), unknown, at }),
            Json::Object(fields) => visitor.visit_map(Entries::new(fields, unknown, at)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Json::Null => visitor.visit_bool(false),
            Json::Bool(b) => visitor.visit_bool(b),
            _ => self.wrong_kind("bool"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Json::Null => visitor.visit_f64(0.0),
            Json::Number(n) => visitor.visit_f64(n.as_f64().unwrap_or_default()),
            _ => self.wrong_kind("float64"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Json::Null => visitor.visit_str(""),
            Json::Text(text) => visitor.visit_string(text),
            _ => self.wrong_kind("string"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Json::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// One that is named `Lenient` is read so, whatever holds for the rest of the body.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == "Lenient" {
            self.unknown = Unknown::Skip;
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let (unknown, at) = (self.unknown, self.at);
        match self.value {
            Json::Null => visitor.visit_seq(Elements { rest: Vec::new().into_iter(), unknown, at }),
            Json::List(list) => visitor.visit_seq(Elements { rest: list.into_iter(), unknown, at }),
            _ => self.wrong_kind(&TypeName::list(visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let (unknown, at) = (self.unknown, self.at);
        match self.value {
            Json::Null => visitor.visit_map(Entries::new(Vec::new(), unknown, at)),
            Json::Object(fields) => visitor.visit_map(Entries::new(fields, unknown, at)),
            _ => self.wrong_kind(&TypeName::map(visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        within: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let (unknown, at) = (self.unknown, self.at);
        let fields = match self.value {
            Json::Null => Vec::new(),
            Json::Object(fields) => fields,
            _ => return self.wrong_kind(within),
        };
        let mut known: Vec<(Result<&'static str, String>, Json)> = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let same = |n: &&&str| n.eq_ignore_ascii_case(&name);
            match names.iter().find(|n| **n == name).or_else(|| names.iter().find(same)) {
                Some(found) => {
                    known.retain(|(n, _)| n.as_ref() != Ok(found));
                    known.push((Ok(*found), value));
                }
                None if unknown == Unknown::Refuse => known.push((Err(name), value)),
                None => {}
            }
        }
        let fields = Fields { rest: known.into_iter(), within, field: "", value: Json::Null, unknown, at };
        visitor.visit_map(fields)
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

/// A list's elements; they are where the list is.
struct Elements<'p> {
    rest: std::vec::IntoIter<Json>,
    unknown: Unknown,
    at: Option<&'p Place<'p>>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let (unknown, at) = (self.unknown, self.at);
        self.rest.next().map(|value| seed.deserialize(Go { value, unknown, at })).transpose()
    }
}

/// A map's entries; they are where the map is.
struct Entries<'p> {
    rest: std::vec::IntoIter<(String, Json)>,
    value: Json,
    unknown: Unknown,
    at: Option<&'p Place<'p>>,
}

impl<'p> Entries<'p> {
    fn new(fields: Vec<(String, Json)>, unknown: Unknown, at: Option<&'p Place<'p>>) -> Self {
        Self { rest: fields.into_iter(), value: Json::Null, unknown, at }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = value;
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DecodeError> {
        let value = std::mem::take(&mut self.value);
        seed.deserialize(Go { value, unknown: self.unknown, at: self.at })
    }
}

/// A struct's fields in the order of the body; an unknown one, if it is refused, is so in its turn.
struct Fields<'p> {
    rest: std::vec::IntoIter<(Result<&'static str, String>, Json)>,
    within: &'static str,
    field: &'static str,
    value: Json,
    unknown: Unknown,
    at: Option<&'p Place<'p>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.field = name.map_err(DecodeError::UnknownField)?;
        self.value = value;
        seed.deserialize(self.field.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DecodeError> {
        let value = std::mem::take(&mut self.value);
        let place = Place { up: self.at, within: self.within, field: self.field };
        seed.deserialize(Go { value, unknown: self.unknown, at: Some(&place) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename = "structs.Service", rename_all = "PascalCase", default)]
    struct Service {
        name: String,
        port: i64,
        tags: Vec<String>,
        meta: Option<BTreeMap<String, String>>,
        check: Option<Check>,
        extra: Json,
        linked: Given<Vec<String>>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename = "struct { TTL interface {}; *structs.Alias }", default)]
    struct Check {
        #[serde(rename = "TTL")]
        ttl: Nanos,
        #[serde(rename = "HTTP")]
        http: String,
    }

    fn strict(body: &str) -> Result<Service, DecodeError> {
        decode(body.as_bytes(), Unknown::Refuse)
    }

    #[test]
    fn names_match_without_case_and_the_last_counts() {
        let service =
            strict(r#"{"NAME":"a","name":"b","port":80,"Check":{"ttl":"10s"},"meta":{"K":"v"}} tail"#);
        let service = service.unwrap();
        assert_eq!((service.name.as_str(), service.port), ("b", 80));
        assert_eq!(service.check, Some(Check { ttl: Nanos(10_000_000_000), http: String::new() }));
        assert_eq!(service.meta.unwrap()["K"], "v");
    }

    #[test]
    fn null_is_the_zero_value() {
        let service =
            strict(r#"{"Name":null,"Port":null,"Tags":null,"Meta":null,"Check":null,"Linked":null}"#);
        assert_eq!(service, Ok(Service { linked: Given(Some(vec![])), ..Service::default() }));
        assert_eq!(strict("null"), Ok(Service::default()));
    }

    #[test]
    fn durations_are_texts_or_nanoseconds() {
        let ttl = |body: &str| decode::<Check>(body.as_bytes(), Unknown::Refuse).map(|c| c.ttl.0);
        assert_eq!(ttl(r#"{"TTL":15}"#), Ok(15));
        assert_eq!(ttl(r#"{"TTL":"1m"}"#), Ok(60_000_000_000));
        assert!(ttl(r#"{"TTL":"60"}"#).unwrap_err().to_string().starts_with("time: missing unit"));
    }

    #[test]
    fn says_what_is_wrong() {
        let said = |body| strict(body).unwrap_err().to_string();
        assert_eq!(said(r#"{"Nope":1}"#), "json: unknown field \"Nope\"");
        assert_eq!(said(r#"{"Check":{"nope":1}}"#), "json: unknown field \"nope\"");
        assert_eq!(said(""), "EOF");
        assert_eq!(said(r#"{"Name":"#), "unexpected EOF");
        let kind = |body| said(body).replace("json: cannot unmarshal ", "");
        assert_eq!(kind("[]"), "array into Go value of type structs.Service");
        assert_eq!(kind(r#"{"Name":7,"Nope":1}"#), "number into Go struct field Service.Name of type string");
        assert_eq!(said(r#"{"Nope":1,"Name":7}"#), "json: unknown field \"Nope\"");
        assert_eq!(kind(r#"{"Port":1.5}"#), "number 1.5 into Go struct field Service.Port of type int");
        assert_eq!(kind(r#"{"Tags":{}}"#), "object into Go struct field Service.Tags of type []string");
        assert_eq!(kind(r#"{"Tags":[5]}"#), "number into Go struct field Service.Tags of type string");
        assert_eq!(
            kind(r#"{"Meta":5}"#),
            "number into Go struct field Service.Meta of type map[string]string"
        );
        assert_eq!(
            kind(r#"{"Check":{"HTTP":5}}"#),
            "number into Go struct field Service.Check.Alias.HTTP of type string"
        );
        let alone = decode::<Check>(br#"{"HTTP":5}"#, Unknown::Skip).unwrap_err().to_string();
        assert_eq!(alone, "json: cannot unmarshal number into Go struct field .Alias.HTTP of type string");
        assert_eq!(decode::<Service>(br#"{"Nope":1}"#, Unknown::Skip), Ok(Service::default()));
    }

    #[test]
    fn keeps_opaque_values_as_sent() {
        let extra = strict(r#"{"Extra":{"b":1,"a":[true,null]}}"#).unwrap().extra;
        assert_eq!(crate::json::to_vec(&extra), br#"{"b":1,"a":[true,null]}"#);
    }
}
