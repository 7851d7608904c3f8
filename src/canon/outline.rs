//! What a partition is made of, so that it can be said how two partitions differ.
//!
//! A digest a field, never its text; only the model's name, the path and small scalars (numbers,
//! booleans, words of fixed lists) are kept in clear.

use super::Circumstances;
use super::canonical::Canonical;
use crate::base::digest::{Parts, Scope};
use serde_json::Value;

/// Fields that are told apart; all further ones share one digest.
const MOST_FIELDS: usize = 64;
/// Characters of a name or a shown value at most.
const LONGEST: usize = 64;
/// Fields whose value is a word of the API's own, so it may be shown.
const WORDS: [&str; 4] = ["reasoning_effort", "verbosity", "service_tier", "encoding_format"];

/// The context of one request, field by field. Digests are keyed with the scope: the same prompt has
/// another digest in another scope.
#[derive(Clone, Debug)]
pub struct Outline {
    pub scope: Scope,
    fields: Box<[Field]>,
}

#[derive(Clone, Debug)]
struct Field {
    label: Label,
    digest: u64,
}

/// What a field is called, and its value where that may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    name: Box<str>,
    shown: Option<Box<str>>,
}

/// One side's value of a field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Absent,
    /// There, but not to be shown.
    Hidden,
    Shown(Box<str>),
}

/// A field in which two contexts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub field: Box<str>,
    pub asked: Told,
    pub stored: Told,
}

impl Label {
    pub(super) fn hidden(name: &str) -> Label {
        Label { name: short(name), shown: None }
    }

    pub(super) fn shown(name: &str, value: &str) -> Label {
        Label { name: short(name), shown: Some(short(value)) }
    }

    pub(super) fn of_field(name: &str, value: &Value) -> Label {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Label::shown(name, &value.to_string()),
            Value::String(word) if WORDS.contains(&name) => Label::shown(name, word),
            _ => Label::hidden(name),
        }
    }

    /// Of the last of `messages`: the how-manieth system prompt, or the how-manieth of the others.
    pub(super) fn of_message(messages: &[Value]) -> Label {
        let instructs = |message: &Value| {
            matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
        };
        let same = messages.last().is_some_and(instructs);
        let place = messages.iter().filter(|message| instructs(message) == same).count();
        match (same, place) {
            (true, 1) => Label::hidden("system prompt"),
            (true, place) => Label::hidden(&format!("system prompt {place}")),
            (false, place) => Label::hidden(&format!("earlier message {place}")),
        }
    }
}

fn short(text: &str) -> Box<str> {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end]).into()
}

impl Outline {
    pub(super) fn of(context: &Canonical, raw: &[u8], around: &Circumstances<'_>) -> Outline {
        let Circumstances { scope, dialect, path_and_query, headers } = around;
        let mut fields = Vec::new();
        let mut add = |label: Label, bytes: &[u8]| fields.push(Field { label, digest: digest(scope, bytes) });
        let path = path_and_query.split('?').next().unwrap_or_default();
        let target = format!("{} {path_and_query}", dialect.word());
        add(Label::shown("path and query", path), target.as_bytes());
        for (at, (name, value)) in headers.iter().enumerate() {
            let before = headers[..at].iter().filter(|(other, _)| other == name).count();
            let label =
                if before == 0 { format!("header {name}") } else { format!("header {name} {}", before + 1) };
            add(Label::hidden(&label), value);
        }
        let sections = context.sections.as_deref().unwrap_or_default();
        let (told_apart, rest) = sections.split_at(sections.len().min(MOST_FIELDS));
        for section in told_apart {
            add(section.label.clone(), &context.bytes[section.place.clone()]);
        }
        if let (Some(first), Some(last)) = (rest.first(), rest.last()) {
            add(Label::hidden("further fields"), &context.bytes[first.place.start..last.place.end]);
        }
        if context.lossy {
            add(Label::hidden("numbers beyond 64 bits"), raw);
        }
        Outline { scope: *scope, fields: fields.into() }
    }

    /// Every field that only one of the two has, or that has another value; in order, the asked ones first.
    pub fn differences(&self, stored: &Outline) -> Vec<Difference> {
        let mut differences = Vec::new();
        for asked in &*self.fields {
            let theirs = stored.field(&asked.label.name);
            if theirs.is_none_or(|theirs| theirs.digest != asked.digest) {
                let field = asked.label.name.clone();
                differences.push(Difference { field, asked: told(Some(asked)), stored: told(theirs) });
            }
        }
        for theirs in stored.fields.iter().filter(|theirs| self.field(&theirs.label.name).is_none()) {
            let field = theirs.label.name.clone();
            differences.push(Difference { field, asked: Told::Absent, stored: told(Some(theirs)) });
        }
        differences
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| *field.label.name == *name)
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        let text = |field: &Field| field.label.name.len() + field.label.shown.as_ref().map_or(0, |s| s.len());
        size_of::<Outline>() + self.fields.iter().map(|field| size_of::<Field>() + text(field)).sum::<usize>()
    }
}

fn digest(scope: &Scope, bytes: &[u8]) -> u64 {
    let mut parts = Parts::keyed(&scope.0, "reprise-outline-1");
    let Scope(whole) = parts.part("field", bytes).finish();
    u64::from_le_bytes([whole[0], whole[1], whole[2], whole[3], whole[4], whole[5], whole[6], whole[7]])
}

fn told(field: Option<&Field>) -> Told {
    match field {
        None => Told::Absent,
        Some(Field { label: Label { shown: None, .. }, .. }) => Told::Hidden,
        Some(Field { label: Label { shown: Some(value), .. }, .. }) => Told::Shown(value.clone()),
    }
}

impl Difference {
    /// Whether neither value may be shown.
    pub fn is_hidden(&self) -> bool {
        !matches!((&self.asked, &self.stored), (Told::Shown(_), _) | (_, Told::Shown(_)))
    }

    /// For a person: `temperature: 0.2 asked, 0.7 stored`.
    pub fn sentence(&self) -> String {
        let side = |told: &Told| match told {
            Told::Absent => "none".to_owned(),
            Told::Hidden => "one".to_owned(),
            Told::Shown(value) => value.to_string(),
        };
        if self.asked == self.stored {
            return format!("{}: another one asked than stored", self.field);
        }
        format!("{}: {} asked, {} stored", self.field, side(&self.asked), side(&self.stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canon::{canon, outline_of};
    use crate::config::FuzzyPolicy;
    use crate::wire::{Dialect, request};

    fn both(scope: u8, body: &str) -> (crate::base::digest::Partition, Outline) {
        let around = Circumstances {
            scope: Scope([scope; 32]),
            dialect: Dialect::ChatCompletions,
            path_and_query: "/v1/chat/completions",
            headers: &[],
        };
        let read = request::read(Dialect::ChatCompletions, body.as_bytes()).unwrap();
        let keys = canon(&read, body.as_bytes(), &around, Ok(&FuzzyPolicy::default()));
        (keys.partition, outline_of(&read, body.as_bytes(), &around))
    }

    fn chat(more: &str, system: &str) -> String {
        format!(
            r#"{{"model":"m"{more},"messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"Q?"}}]}}"#
        )
    }

    #[test]
    fn outlines_differ_exactly_where_partitions_do() {
        let bodies = [
            chat("", "a"),
            chat("", "b"),
            chat(r#","temperature":0.2"#, "a"),
            chat(r#","temperature":0.20"#, "a"),
            chat(r#","top_k":4"#, "a"),
            chat(r#","top_k":4,"stream":true"#, "a"),
            chat(r#","seed":1e300"#, "a"),
            chat(r#","seed":null"#, "a"),
            r#"{"model":"m","messages":[{"role":"user","content":"Q?"}]}"#.to_owned(),
            r#"{"model":"m","messages":[{"role":"user","content":"Other?"}]}"#.to_owned(),
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Q?"}]}]}"#
                .to_owned(),
            r#"{"model":"m","messages":[]}"#.to_owned(),
        ];
        for one in &bodies {
            for other in &bodies {
                let ((mine, a), (theirs, b)) = (both(1, one), both(1, other));
                assert_eq!(mine == theirs, a.differences(&b).is_empty(), "{one}\n{other}");
            }
        }
    }

    #[test]
    fn scalars_are_shown_and_prompts_are_not() {
        let (asked, stored) =
            (both(1, &chat(r#","temperature":0.2"#, "secret a")), both(1, &chat("", "secret b")));
        let sentences: Vec<String> =
            asked.1.differences(&stored.1).iter().map(Difference::sentence).collect();
        let expected =
            ["system prompt: another one asked than stored", "temperature: 0.2 asked, none stored"];
        assert_eq!(sentences, expected);
        assert!(!format!("{:?}", asked.1).contains("secret"));
    }

    #[test]
    fn the_same_prompt_has_another_digest_in_another_scope() {
        let body = chat("", "a");
        assert_eq!(both(1, &body).1.differences(&both(2, &body).1).len(), 4, "every field's");
    }

    #[test]
    fn an_outline_is_bounded_and_still_tells_that_something_differs() {
        let many = |last: usize| {
            let fields: String =
                (0..200).map(|at| format!(r#","f{at:03}":{}"#, if at == 199 { last } else { 0 })).collect();
            both(1, &chat(&fields, "a")).1
        };
        let (asked, stored) = (many(1), many(2));
        assert!(asked.fields.len() <= MOST_FIELDS + 2, "{}", asked.fields.len());
        let sentences: Vec<String> = asked.differences(&stored).iter().map(Difference::sentence).collect();
        assert_eq!(sentences, ["further fields: another one asked than stored"]);
    }
}
