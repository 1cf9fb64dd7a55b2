//! What Go would call a type: `string`, `[]string`, `map[string]structs.ServiceAddress`.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};

/// A deserializer that has nothing to give: whatever type is asked of it, it answers with that type's name, as an error.
pub(super) struct TypeName;

/// The name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Named(pub(super) String);

impl TypeName {
    /// The name of a list whose elements this visitor takes.
    pub(super) fn list<'de, V: Visitor<'de>>(visitor: V) -> String {
        match visitor.visit_seq(Self) {
            Err(Named(element)) => format!("[]{element}"),
            Ok(_) => "[]interface {}".to_owned(),
        }
    }

    /// The name of a map whose values this visitor takes.
    pub(super) fn map<'de, V: Visitor<'de>>(visitor: V) -> String {
        match visitor.visit_map(Self) {
            Err(Named(value)) => format!("map[string]{value}"),
            Ok(_) => "map[string]interface {}".to_owned(),
        }
    }
}

impl de::Error for Named {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("interface {}".to_owned())
    }
}

/// Methods that answer with one name.
macro_rules! names {
    ($($method:ident $name:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Named> {
            Err(Named($name.to_owned()))
        }
    )*};
}

impl<'de> Deserializer<'de> for TypeName {
    type Error = Named;

    names!(
        deserialize_any "interface {}", deserialize_bool "bool", deserialize_str "string",
        deserialize_string "string", deserialize_i8 "int8", deserialize_i16 "int16", deserialize_i32 "int32",
        deserialize_i64 "int", deserialize_u8 "uint8", deserialize_u16 "uint16", deserialize_u32 "uint32",
        deserialize_u64 "uint64", deserialize_f32 "float32", deserialize_f64 "float64"
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Named> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Named> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Named> {
        Err(Named(Self::list(visitor)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Named> {
        Err(Named(Self::map(visitor)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Named> {
        Err(Named(name.to_owned()))
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for TypeName {
    type Error = Named;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Named> {
        seed.deserialize(Self).map(Some)
    }
}

impl<'de> MapAccess<'de> for TypeName {
    type Error = Named;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Named> {
        seed.deserialize("".into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Named> {
        seed.deserialize(Self)
    }
}

/// The name of a type.
#[cfg(test)]
pub(super) fn of<'de, T: serde::Deserialize<'de>>() -> String {
    T::deserialize(TypeName).map_or_else(|Named(name)| name, |_| String::new())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn types_are_named_as_in_go() {
        #[derive(serde::Deserialize)]
        #[serde(rename = "structs.Weights")]
        #[expect(dead_code, reason = "only its name is asked for")]
        struct Weights {
            passing: i64,
        }
        assert_eq!(of::<Option<Vec<String>>>(), "[]string");
        assert_eq!(of::<BTreeMap<String, Vec<u64>>>(), "map[string][]uint64");
        assert_eq!(of::<Vec<Weights>>(), "[]structs.Weights");
        assert_eq!(of::<BTreeMap<String, serde_json::Value>>(), "map[string]interface {}");
    }
}
