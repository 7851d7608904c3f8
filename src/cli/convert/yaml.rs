//! The members of a YAML mapping, taken one by one, each with its line; what is left is noted.

use saphyr::{LoadableYamlNode, MarkedYamlOwned as Node, ScalarOwned as Scalar, YamlDataOwned as Data};
use std::fmt;

/// Something that was not carried, or that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    pub line: usize,
    /// Where in the file: `model_list[0].litellm_params.temperature`.
    pub key: String,
    pub why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.line, self.key, self.why)
    }
}

/// The notes so far.
#[derive(Default)]
pub(super) struct Notes(pub Vec<Note>);

/// A value, and where it stands.
pub(super) struct Place<'y> {
    pub key: String,
    pub line: usize,
    pub node: &'y Node,
}

/// A mapping whose members have not all been taken yet.
pub(super) struct Section<'y> {
    pub key: String,
    pub line: usize,
    members: Vec<(String, Place<'y>)>,
}

/// The documents of a text.
///
/// # Errors
/// With the line.
pub(super) fn load(text: &str) -> Result<Vec<Node>, String> {
    Node::load_from_str(text)
        .map_err(|wrong| format!("{}: is not YAML: {}", wrong.marker().line(), wrong.info()))
}

impl Notes {
    pub fn add(&mut self, line: usize, key: impl Into<String>, why: impl Into<String>) {
        self.0.push(Note { line, key: key.into(), why: why.into() });
    }

    pub fn of(&mut self, place: &Place<'_>, why: impl Into<String>) {
        self.add(place.line, place.key.clone(), why);
    }
}

impl<'y> Place<'y> {
    /// A mapping; anything else is noted. Members of `<<` stand behind those that are given.
    pub fn section(self, notes: &mut Notes) -> Option<Section<'y>> {
        let Some(members) = mapping(self.node) else {
            notes.of(&self, "expected a mapping; left out");
            return None;
        };
        let mut section = Section { key: self.key, line: self.line, members: Vec::new() };
        let mut merged = Vec::new();
        for (name, value) in members {
            match scalar(name).as_deref() {
                Some("<<") => merged.push(value),
                Some(known) => section.put(known, name.span.start.line(), value),
                None => notes.add(name.span.start.line(), section.key.clone(), "a key is no text; left out"),
            }
        }
        for value in merged {
            let several = match plain(value) {
                Data::Sequence(several) => several.iter().collect(),
                _ => vec![value],
            };
            for (name, value) in several.into_iter().filter_map(mapping).flatten() {
                let line = name.span.start.line();
                if let Some(name) = scalar(name).filter(|name| !section.has(name)) {
                    section.put(&name, line, value);
                }
            }
        }
        Some(section)
    }

    /// The items of a sequence; anything else is noted.
    pub fn items(self, notes: &mut Notes) -> Vec<Place<'y>> {
        let Data::Sequence(items) = plain(self.node) else {
            notes.of(&self, "expected a list; left out");
            return Vec::new();
        };
        let one = |(at, node): (usize, &'y Node)| Place {
            key: format!("{}[{at}]", self.key),
            line: node.span.start.line(),
            node,
        };
        items.iter().enumerate().map(one).collect()
    }

    /// Text, and numbers as they would be written; anything else is noted.
    pub fn text(&self, notes: &mut Notes) -> Option<String> {
        let text = scalar(self.node);
        if text.is_none() {
            notes.of(self, "expected text; left out");
        }
        text
    }

    /// A number that is not negative; anything else is noted.
    pub fn number(&self, notes: &mut Notes) -> Option<f64> {
        let number = scalar(self.node).and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            notes.of(self, "expected a number; left out");
        }
        number
    }

    pub fn is_null(&self) -> bool {
        matches!(plain(self.node), Data::Value(Scalar::Null))
    }
}

impl<'y> Section<'y> {
    fn put(&mut self, name: &str, line: usize, node: &'y Node) {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        self.members.push((name.to_owned(), Place { key, line, node }));
    }

    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    /// Takes a member out; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Place<'y>> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.remove(at).1).filter(|place| !place.is_null())
    }

    pub fn text(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        self.take(name)?.text(notes)
    }

    pub fn number(&mut self, name: &str, notes: &mut Notes) -> Option<f64> {
        self.take(name)?.number(notes)
    }

    /// A whole number above zero; a fraction is rounded up.
    pub fn count(&mut self, name: &str, notes: &mut Notes) -> Option<u64> {
        let place = self.take(name)?;
        let number = place.number(notes)?;
        if number <= 0.0 {
            notes.of(&place, "is zero, which means no limit here: left out");
            return None;
        }
        Some(number.ceil() as u64)
    }

    /// What is left, in the file's order.
    pub fn rest(self) -> Vec<(String, Place<'y>)> {
        self.members.into_iter().filter(|(_, place)| !place.is_null()).collect()
    }
}

fn mapping(node: &Node) -> Option<impl Iterator<Item = (&Node, &Node)>> {
    match plain(node) {
        Data::Mapping(mapping) => Some(mapping.iter()),
        _ => None,
    }
}

/// Behind a tag.
fn plain(node: &Node) -> &Data<Node> {
    match &node.data {
        Data::Tagged(_, inner) => &inner.data,
        data => data,
    }
}

fn scalar(node: &Node) -> Option<String> {
    match plain(node) {
        Data::Value(Scalar::String(text)) => Some(text.clone()),
        Data::Value(Scalar::Integer(number)) => Some(number.to_string()),
        Data::Value(Scalar::FloatingPoint(number)) => Some(number.to_string()),
        Data::Value(Scalar::Boolean(flag)) => Some(flag.to_string()),
        _ => None,
    }
}
