//! Walks a parsed TOML document key by key. What is asked for is what is known: a key that nobody
//! asked for is a problem, so the list of keys cannot differ from what is really read.

use super::problem::Problem;
use super::unserved;
use super::values::closest;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value as it was given. Environment variables are all text.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    File(&'a DeValue<'a>),
    Variable(&'a str),
}

/// Where a problem is reported: a span of the file, or a variable's name.
#[derive(Clone, Debug)]
pub enum Place {
    Span(Range<usize>),
    Elsewhere,
}

/// A place and the key shown beside it.
#[derive(Clone, Debug)]
pub struct At {
    pub place: Place,
    pub key: String,
}

/// `REPRISE__SECTION__KEY`: its whole name and its value.
#[derive(Clone)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// A key found in the file or the environment that no reader asked for (yet).
struct Unasked {
    section: &'static str,
    key: String,
    at: At,
}

/// Collects problems while sections are read. `finish` adds the unknown keys, which can only be
/// told once every section has said what it reads.
pub struct Report<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
    asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
    unasked: RefCell<Vec<Unasked>>,
}

impl<'a> Report<'a> {
    pub fn new(text: &'a str) -> Report<'a> {
        Report { text, problems: RefCell::default(), asked: RefCell::default(), unasked: RefCell::default() }
    }

    pub fn problem(&self, at: &At, message: impl Into<String>) {
        let place = match &at.place {
            Place::Span(span) => Some(line_and_column(self.text, span.start)),
            Place::Elsewhere => None,
        };
        self.problems.borrow_mut().push(Problem { place, key: at.key.clone(), message: message.into() });
    }

    pub fn line_of(&self, at: &At) -> Option<usize> {
        match &at.place {
            Place::Span(span) => Some(line_and_column(self.text, span.start).0),
            Place::Elsewhere => None,
        }
    }

    /// Says that `section` reads `key`.
    pub fn knows(&self, section: &'static str, key: &'static str) {
        self.asked.borrow_mut().insert((section, key));
    }

    /// A key that is there but that this section does not read.
    pub fn unasked(&self, section: &'static str, key: &str, at: At) {
        match unserved::reason(section, key) {
            Some(reason) => self.problem(&at, reason),
            None => self.unasked.borrow_mut().push(Unasked { section, key: key.to_owned(), at }),
        }
    }

    /// Every `(section, key)` that was asked for; a route's are under `route`, `route.cache` and so on.
    pub fn asked(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.asked.borrow().clone()
    }

    pub fn finish(self) -> Vec<Problem> {
        let asked = self.asked.borrow();
        for unasked in self.unasked.borrow().iter() {
            self.problem(&unasked.at, unknown(&asked, unasked.section, &unasked.key));
        }
        drop(asked);
        self.problems.into_inner()
    }
}

/// What to say about a key that does not exist: the one that was meant here, or where it belongs.
fn unknown(asked: &BTreeSet<(&'static str, &'static str)>, section: &'static str, key: &str) -> String {
    let noun = if section.is_empty() { "section" } else { "key" };
    let here = || asked.iter().filter(|(of, _)| *of == section).map(|(_, key)| *key);
    let others = || asked.iter().filter(|(of, _)| *of != section && !of.is_empty());
    if let Some((owner, _)) = others().find(|(_, known)| *known == key) {
        return format!("unknown {noun} here; it belongs into [{owner}]");
    }
    if let Some(known) = closest(key, here()) {
        return format!("unknown {noun}; did you mean `{known}`?");
    }
    let meant = closest(key, others().map(|(_, known)| *known));
    if let Some((owner, known)) = others().find(|(_, known)| Some(*known) == meant) {
        return format!("unknown {noun} here; did you mean `{known}` in [{owner}]?");
    }
    format!("unknown {noun}; known here are {}", here().collect::<Vec<_>>().join(", "))
}

/// One table of the file, with the environment variables that override it.
pub struct Section<'a> {
    report: &'a Report<'a>,
    /// The section's kind, for instance `route.cache`.
    kind: &'static str,
    /// Shown before each key, for instance `route[1].cache`.
    path: String,
    table: Option<&'a DeTable<'a>>,
    own: At,
    variables: BTreeMap<String, Variable>,
    asked: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    pub fn new(
        report: &'a Report<'a>,
        kind: &'static str,
        path: String,
        table: Option<&'a DeTable<'a>>,
        place: Place,
    ) -> Section<'a> {
        let own = At { place, key: path.clone() };
        Section { report, kind, path, table, own, variables: BTreeMap::new(), asked: BTreeSet::new() }
    }

    pub fn with_variables(mut self, variables: BTreeMap<String, Variable>) -> Section<'a> {
        self.variables = variables;
        self
    }

    /// Reads `key` with `parse`. Both the file's value and the variable's are checked; the
    /// variable's counts. `None`: not given, or wrong and reported.
    pub fn get<T>(&mut self, key: &'static str, parse: impl Fn(Given<'_>) -> Result<T, String>) -> Option<T> {
        self.ask(key);
        let mut found = None;
        if let Some(value) = self.value(key) {
            match parse(Given::File(value.get_ref())) {
                Ok(read) => found = Some(read),
                Err(message) => self.report.problem(&self.file_at(key, value), message),
            }
        }
        if let Some(variable) = self.variables.get(key) {
            match parse(Given::Variable(&variable.value)) {
                Ok(read) => found = Some(read),
                Err(message) => {
                    let at = At { place: Place::Elsewhere, key: variable.name.clone() };
                    self.report.problem(&at, message);
                }
            }
        }
        found
    }

    /// A table inside this one, such as a route's `match`. Empty where it is absent.
    pub fn table(&mut self, key: &'static str, kind: &'static str) -> Section<'a> {
        self.ask(key);
        let path = self.dotted(key);
        let Some(value) = self.value(key) else {
            return Section::new(self.report, kind, path, None, self.own.place.clone());
        };
        let table = as_table(self.report, &self.file_at(key, value), value.get_ref());
        Section::new(self.report, kind, path, table, Place::Span(value.span()))
    }

    /// The tables of a list inside this one, such as a model's `[[model.deployment]]`.
    pub fn tables(&mut self, key: &'static str, kind: &'static str) -> Vec<Section<'a>> {
        self.ask(key);
        let path = self.dotted(key);
        let Some(value) = self.value(key) else { return Vec::new() };
        let tables = as_tables(self.report, &self.file_at(key, value), value.get_ref()).into_iter();
        tables
            .map(|(span, table)| {
                Section::new(self.report, kind, path.clone(), Some(table), Place::Span(span))
            })
            .collect()
    }

    /// Where `key` was given; the section itself if it was not.
    pub fn at(&self, key: &str) -> At {
        if let Some(variable) = self.variables.get(key) {
            return At { place: Place::Elsewhere, key: variable.name.clone() };
        }
        match self.value(key) {
            Some(value) => self.file_at(key, value),
            None => At { place: self.own.place.clone(), key: self.dotted(key) },
        }
    }

    pub fn own(&self) -> &At {
        &self.own
    }

    /// Whether the file has this table, or a variable sets something in it.
    pub fn is_given(&self) -> bool {
        self.table.is_some() || !self.variables.is_empty()
    }

    pub fn has(&self, key: &str) -> bool {
        self.variables.contains_key(key) || self.value(key).is_some()
    }

    /// Reports every key that was given and never asked for.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !self.asked.contains(name) {
                let at = At { place: Place::Span(key.span()), key: self.dotted(name) };
                self.report.unasked(self.kind, name, at);
            }
        }
        for (key, variable) in &self.variables {
            if !self.asked.contains(key.as_str()) {
                let at = At { place: Place::Elsewhere, key: variable.name.clone() };
                self.report.unasked(self.kind, key, at);
            }
        }
    }

    fn ask(&mut self, key: &'static str) {
        self.asked.insert(key);
        self.report.knows(self.kind, key);
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.and_then(|table| table.get(key))
    }

    fn file_at(&self, key: &str, value: &Spanned<DeValue<'_>>) -> At {
        At { place: Place::Span(value.span()), key: self.dotted(key) }
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The table that `value` is, or a problem.
pub fn as_table<'a>(report: &Report<'_>, at: &At, value: &'a DeValue<'a>) -> Option<&'a DeTable<'a>> {
    match value {
        DeValue::Table(table) => Some(table),
        DeValue::Array(_) => {
            report.problem(at, format!("is one table, not a list; write [{0}], not [[{0}]]", at.key));
            None
        }
        other => {
            report.problem(at, format!("expected a table, found {}; write [{}]", word(other), at.key));
            None
        }
    }
}

/// The tables of `[[name]]`, or a problem.
pub fn as_tables<'a>(
    report: &Report<'_>,
    at: &At,
    value: &'a DeValue<'a>,
) -> Vec<(Range<usize>, &'a DeTable<'a>)> {
    let DeValue::Array(items) = value else {
        report.problem(at, format!("is a list of tables; write [[{0}]], not [{0}]", at.key));
        return Vec::new();
    };
    let mut tables = Vec::with_capacity(items.len());
    for item in items {
        match item.get_ref() {
            DeValue::Table(table) => tables.push((item.span(), table)),
            other => {
                let here = At { place: Place::Span(item.span()), key: at.key.clone() };
                report
                    .problem(&here, format!("expected a table, found {}; write [[{}]]", word(other), at.key));
            }
        }
    }
    tables
}

/// What a value is, for "expected …, found …".
pub fn word(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Line and column of a byte offset, both from 1; the column counts characters.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
