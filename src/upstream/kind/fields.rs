//! The members of a JSON object, taken one by one, so that what is left is what nobody judged.
//!
//! Values stay the text they came in: a schema keeps the order of its properties, which is the order
//! that a model writes them in, and a number keeps its digits.

use super::invalid;
use crate::base::fault::Fault;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// One object of the client's request, and where it stands in it.
pub(super) struct Fields<'a> {
    at: String,
    members: Members<'a>,
}

/// Members that were not taken, as they came. Written out as they are, or among others by `flatten`.
#[derive(Default)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// `at`: the object's place in the request, empty for the request itself.
    ///
    /// # Errors
    /// `InvalidRequest` for what is no object, or one that names a key twice.
    pub fn read(at: impl Into<String>, text: &'a str) -> Result<Fields<'a>, Fault> {
        let at = at.into();
        match serde_json::from_str(text) {
            Ok(members) => Ok(Fields { at, members }),
            Err(_) => {
                let what = if at.is_empty() { "the body" } else { at.as_str() };
                Err(invalid(format!("{what}: expected a JSON object that names each key once")))
            }
        }
    }

    /// The place of a member, as faults name it.
    pub fn place(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// Takes a member out; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.members.take(name).filter(|raw| raw.get() != "null")
    }

    /// Takes a member out, read. `expected` ends the sentence where it is of another kind.
    pub fn take_as<T: Deserialize<'a>>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Fault> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let read = serde_json::from_str(raw.get());
        read.map(Some).map_err(|_| self.refused(name, format_args!("expected {expected}")))
    }

    pub fn take_text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        Ok(self.take_as::<Text<'a>>(name, "a string")?.map(|text| text.0))
    }

    pub fn need_text(&mut self, name: &str) -> Result<Cow<'a, str>, Fault> {
        self.take_text(name)?.ok_or_else(|| self.refused(name, "it is absent"))
    }

    pub fn take_list(&mut self, name: &str) -> Result<Vec<&'a RawValue>, Fault> {
        Ok(self.take_as(name, "an array")?.unwrap_or_default())
    }

    /// Takes out what asks for nothing; refuses it where it asks for something. `idle`: the JSON values
    /// that say no more than an absent member does.
    pub fn only_idle(&mut self, name: &str, idle: &[&str], provider: &str) -> Result<(), Fault> {
        let Some(raw) = self.take(name) else { return Ok(()) };
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        let same = |one: &Value, other: &Value| match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        };
        let value = read(raw.get()).unwrap_or_default();
        if idle.iter().filter_map(|text| read(text)).any(|idle| same(&idle, &value)) {
            return Ok(());
        }
        Err(self.no_counterpart(name, provider))
    }

    pub fn leave_out(&mut self, names: &[&str]) {
        self.members.0.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    pub fn refused(&self, name: &str, why: impl fmt::Display) -> Fault {
        invalid(format!("`{}`: {why}", self.place(name)))
    }

    pub fn no_counterpart(&self, name: &str, provider: &str) -> Fault {
        self.refused(
            name,
            format_args!("{provider} has no counterpart for it; leave it out, or ask another model"),
        )
    }

    /// Refuses the first member that is left.
    pub fn end(self, provider: &str) -> Result<(), Fault> {
        match self.members.0.first() {
            Some((name, _)) => Err(self.no_counterpart(name, provider)),
            None => Ok(()),
        }
    }

    pub fn rest(self) -> Members<'a> {
        self.members
    }
}

impl<'a> Members<'a> {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Refuses a field of the provider's own that the client gave beside one of OpenAI's that means the same.
    /// `ours`: which of its fields are filled by OpenAI's; `at`: what stands before their names, `config.` for instance.
    pub fn not_twice(&self, at: &str, ours: &[(&str, bool)]) -> Result<(), Fault> {
        match self.names().find(|name| ours.contains(&(*name, true))) {
            None => Ok(()),
            Some(twice) => {
                let why = "given twice, once under this name and once under OpenAI's; give it once";
                Err(invalid(format!("`{at}{twice}`: {why}")))
            }
        }
    }
}

/// A string that is borrowed where it holds no escape.
#[derive(serde::Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The string that a JSON value is, if it is one.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Members<'a>, D::Error> {
        input.deserialize_map(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some(name) = input.next_key::<String>()? {
            members.push((name, input.next_value()?));
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom("an object names a key twice"));
        }
        Ok(Members(members))
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut map = output.serialize_map(Some(self.0.len()))?;
        for (name, raw) in &self.0 {
            map.serialize_entry(name, raw)?;
        }
        map.end()
    }
}
