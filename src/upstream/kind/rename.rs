//! Another `model` in a JSON body whose other bytes stay.

use super::invalid;
use crate::base::fault::Fault;
use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Exchanges the value of the top-level `model`; every other byte, white space among them, stays. A
/// body that is no JSON object with one `model` passes as it is: its upstream says what is wrong.
pub(super) fn model(body: &mut Bytes, name: Option<&str>) -> Result<(), Fault> {
    let Some(name) = name else { return Ok(()) };
    let Some(found) = find(body) else { return Ok(()) };
    let text = found.get();
    // Where it lies in the body that it was read from.
    let start = text.as_ptr().addr() - body.as_ptr().addr();
    let written = serde_json::to_string(name).map_err(|error| invalid(format!("`model`: {error}")))?;
    if text == written {
        return Ok(());
    }
    let parts = [&body[..start], written.as_bytes(), &body[start + text.len()..]];
    *body = Bytes::from(parts.concat());
    Ok(())
}

/// The body's own `model`.
///
/// # Errors
/// `InvalidRequest` where there is none.
pub(super) fn model_of(body: &[u8]) -> Result<String, Fault> {
    let found = find(body).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    found.ok_or_else(|| invalid("`model` is absent or no text; name the model that shall answer".to_owned()))
}

fn find(body: &[u8]) -> Option<&RawValue> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = reader.deserialize_map(Model).ok()?;
    reader.end().ok()?;
    found
}

struct Model;

impl<'de> Visitor<'de> for Model {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut times) = (None, 0);
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            if name == "model" {
                found = Some(members.next_value::<&'de RawValue>()?);
                times += 1;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found.filter(|_| times == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(body: &str, name: &str) -> String {
        let mut bytes = Bytes::copy_from_slice(body.as_bytes());
        model(&mut bytes, Some(name)).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn every_other_byte_stays() {
        let body = "{ \"a\": {\"model\":1.50},\n \"mod\\u0065l\" :\t\"gpt\" , \"z\":[ ] }\n";
        let expected = "{ \"a\": {\"model\":1.50},\n \"mod\\u0065l\" :\t\"g\\\"4\" , \"z\":[ ] }\n";
        assert_eq!(renamed(body, "g\"4"), expected);
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for body in ["[]", "{\"model\":\"a\"", "{}", "{\"model\":\"a\",\"model\":\"b\"}", "{\"model\":1} x"] {
            assert_eq!(renamed(body, "m"), body);
        }
    }

    #[test]
    fn the_bodys_own_model_is_read() {
        assert_eq!(model_of(br#"{"model":"a\u0062"}"#).unwrap(), "ab");
        assert!(model_of(br#"{"model":1}"#).is_err());
    }
}
