//! JSON written in one way only: object keys sorted, numbers normalised, text untouched.
//!
//! The form is binary, because nobody reads it: each value starts with a byte for its kind, and what
//! has a size starts with the size. So two different values never write the same bytes, and text is
//! copied rather than escaped. Cost: one copy of the text; sorting costs nothing where the keys are
//! sorted already, and is done by reference where they are not.

use super::outline::Label;
use serde_json::{Map, Number, Value};
use std::ops::Range;

/// From here on doubles no longer tell neighbouring whole numbers apart: 2^53.
const COARSE: f64 = 9_007_199_254_740_992.0;

/// What was written so far.
#[derive(Debug)]
pub(super) struct Canonical {
    pub bytes: Vec<u8>,
    /// A number was met that another number is written like: a double from 2^53 on that is no 64-bit
    /// integer. The text it came from must join the key.
    pub lossy: bool,
    /// Where each part lies; kept only for an outline.
    pub sections: Option<Vec<Section>>,
}

/// One named part of what was written.
#[derive(Debug)]
pub(super) struct Section {
    pub label: Label,
    pub place: Range<usize>,
}

impl Canonical {
    pub fn with_capacity(bytes: usize) -> Canonical {
        Canonical { bytes: Vec::with_capacity(bytes), lossy: false, sections: None }
    }

    /// Notes the sections too.
    pub fn in_sections(bytes: usize) -> Canonical {
        Canonical { sections: Some(Vec::new()), ..Canonical::with_capacity(bytes) }
    }

    /// Writes one part of the context. `label` is called only where sections are noted.
    pub fn section(&mut self, label: impl FnOnce() -> Label, write: impl FnOnce(&mut Canonical)) {
        let from = self.bytes.len();
        write(self);
        if let Some(sections) = &mut self.sections {
            sections.push(Section { label: label(), place: from..self.bytes.len() });
        }
    }

    /// A field that is present, as a section; an absent one writes nothing.
    pub fn field(&mut self, name: &str, value: Option<&Value>) {
        if let Some(value) = value {
            let write = |out: &mut Canonical| {
                out.text(name);
                out.value(value);
            };
            self.section(|| Label::of_field(name, value), write);
        }
    }

    /// Fields that are not known by name, each a section.
    pub fn others(&mut self, fields: &Map<String, Value>) {
        self.object(fields, |name, value, out| {
            out.section(|| Label::of_field(name, value), |out| out.value(value));
        });
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes.push(b'0'),
            Value::Bool(false) => self.bytes.push(b'f'),
            Value::Bool(true) => self.bytes.push(b't'),
            Value::Number(number) => self.number(number),
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.sized(b'a', items.len());
                for item in items {
                    self.value(item);
                }
            }
            Value::Object(members) => self.object(members, |_, value, out| out.value(value)),
        }
    }

    pub fn text(&mut self, text: &str) {
        self.sized(b's', text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Stands where the question's text was.
    pub fn question(&mut self) {
        self.bytes.push(b'?');
    }

    /// The start of a list of `items`; the items must follow.
    pub fn list(&mut self, items: usize) {
        self.sized(b'a', items);
    }

    /// An object whose values are written by `write`.
    pub fn object(&mut self, members: &Map<String, Value>, write: impl Fn(&str, &Value, &mut Canonical)) {
        self.sized(b'o', members.len());
        let mut member = |(key, value): (&String, &Value)| {
            self.text(key);
            write(key, value, self);
        };
        if members.keys().is_sorted() {
            members.iter().for_each(member);
        } else {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            sorted.into_iter().for_each(&mut member);
        }
    }

    fn number(&mut self, number: &Number) {
        if let Some(whole) = number.as_u64() {
            self.eight(b'u', whole.to_le_bytes());
        } else if let Some(whole) = number.as_i64() {
            self.eight(b'i', whole.to_le_bytes());
        } else if let Some(double) = number.as_f64() {
            self.double(double);
        }
    }

    /// A double that is a whole number is written like the integer: 1.0 as 1, -0.0 as 0.
    fn double(&mut self, double: f64) {
        let whole = double.trunc();
        if double.abs() >= COARSE {
            self.lossy = true;
            self.eight(b'd', double.to_le_bytes());
        } else if whole != double {
            self.eight(b'd', double.to_le_bytes());
        } else if whole >= 0.0 {
            self.eight(b'u', (whole as u64).to_le_bytes());
        } else {
            self.eight(b'i', (whole as i64).to_le_bytes());
        }
    }

    fn sized(&mut self, kind: u8, size: usize) {
        self.eight(kind, (size as u64).to_le_bytes());
    }

    fn eight(&mut self, kind: u8, bytes: [u8; 8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::Canonical;
    use serde_json::Value;

    fn written(text: &str) -> (Vec<u8>, bool) {
        let mut out = Canonical::with_capacity(0);
        out.value(&serde_json::from_str::<Value>(text).unwrap());
        (out.bytes, out.lossy)
    }

    #[test]
    fn equal_numbers_are_written_alike() {
        for group in
            [["1", "1.0", "1e0"], ["0", "-0.0", "-0"], ["-20", "-2e1", "-20.00"], ["0.5", "5e-1", "0.50"]]
        {
            assert_eq!(written(group[0]), written(group[1]));
            assert_eq!(written(group[0]), written(group[2]));
        }
    }

    #[test]
    fn different_values_are_written_differently() {
        let texts = [
            "1",
            "-1",
            "1.5",
            "\"1\"",
            "null",
            "false",
            "true",
            "[]",
            "{}",
            "[1]",
            "[[1]]",
            "[1,1]",
            "[\"1\"]",
            "\"\"",
            "18446744073709551615",
            "18446744073709551614",
            "9007199254740993",
            "9007199254740992",
            "-9007199254740993",
            "{\"a\":null}",
            "{\"a\":{}}",
            "{\"b\":null}",
            "[null]",
            "[[],[]]",
            "[[[]]]",
            "{\"a\":\"s\"}",
            "\"é\"",
            "\"e\u{301}\"",
        ];
        for (at, one) in texts.iter().enumerate() {
            for other in &texts[at + 1..] {
                assert_ne!(written(one), written(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn only_coarse_doubles_are_lossy() {
        for exact in
            ["9007199254740993", "18446744073709551615", "-9223372036854775808", "9007199254740991.0", "0.1"]
        {
            assert!(!written(exact).1, "{exact}");
        }
        for coarse in ["9007199254740992.0", "18446744073709551616", "-9223372036854775809", "1e300"] {
            assert!(written(coarse).1, "{coarse}");
        }
    }

    #[test]
    fn key_order_is_not_seen() {
        assert_eq!(written(r#"{"b":1,"a":{"d":2,"c":3}}"#), written(r#"{"a":{"c":3,"d":2},"b":1}"#));
    }
}
