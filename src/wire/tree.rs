//! JSON text read strictly: a tree of it refuses an object that names a key twice.
//!
//! RFC 8259 leaves the meaning of a repeated key open: one parser keeps the first, another the last.
//! Two parties that read one body in two ways must never share an answer, so such a body has no
//! meaning here. Nesting is limited by serde_json itself (128 levels).

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads one JSON text. Fails on anything else, on a repeated key, and on nesting over 128 levels.
pub(crate) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    read::<Tree>(text).map(|tree| tree.0)
}

/// Reads one JSON text, UTF-8 throughout, as RFC 8259 §8.1 asks; checked once for all of it, which costs less than
/// string by string.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_str(std::str::from_utf8(text).map_err(de::Error::custom)?)
}

struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Tree, D::Error> {
        input.deserialize_any(Grow).map(Tree)
    }
}

struct Grow;

impl<'de> Visitor<'de> for Grow {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let Tree(value) = members.next_value()?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("an object names a key twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::{Value, json};

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        assert!(parse(br#"{"a":1,"a":1}"#).is_err());
        assert!(parse(br#"[{"b":{"a":1,"\u0061":2}}]"#).is_err());
        assert_eq!(parse(br#"{"a":{"a":1}}"#).unwrap(), json!({"a": {"a": 1}}));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_key_that_serde_json_keeps_for_itself_is_an_ordinary_key() {
        let text = br#"{"$serde_json::private::RawValue":"[1]"}"#;
        let Value::Object(object) = parse(text).unwrap() else { panic!("an object") };
        assert_eq!(object.values().next(), Some(&json!("[1]")));
    }

    #[test]
    fn numbers_keep_their_kind() {
        let read = parse(b"[18446744073709551615,-9223372036854775808,1.5,1e400]");
        assert!(read.is_err(), "a number no double holds");
        let read = parse(b"[18446744073709551615,-9223372036854775808,1.5]").unwrap();
        assert_eq!(read, json!([u64::MAX, i64::MIN, 1.5]));
    }
}
