//! One thing wrong with a config, and all of them together.

use std::fmt;

/// Shown as `12:1  cache.treshold  unknown key; did you mean `threshold`?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1; `None` for what comes from the environment or the command line.
    pub place: Option<(usize, usize)>,
    /// The dotted key, or the name of the variable or flag.
    pub key: String,
    /// What is wrong, and what would be right. Lower case, no full stop, never a secret.
    pub message: String,
}

impl Problem {
    fn place_text(&self) -> String {
        self.place.map(|(line, column)| format!("{line}:{column}")).unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_some() {
            write!(f, "{}  ", self.place_text())?;
        }
        write!(f, "{}  {}", self.key, self.message)
    }
}

/// Every problem of one reading: the file's by place, then those of the environment and of the
/// command line. Never empty. `Display` gives the lines that `reprise check` prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file's path as given, or what was read in its stead.
    pub origin: String,
    pub list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(origin: String, mut list: Vec<Problem>) -> Problems {
        list.sort_by(|a, b| {
            let order = |problem: &Problem| problem.place.unwrap_or((usize::MAX, usize::MAX));
            order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key))
        });
        list.dedup();
        Problems { origin, list }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{}: {count} {noun}", self.origin)?;
        let places: Vec<String> = self.list.iter().map(Problem::place_text).collect();
        let place_width = places.iter().map(String::len).max().unwrap_or_default();
        let key_width = self.list.iter().map(|problem| problem.key.chars().count()).max().unwrap_or_default();
        for (problem, place) in self.list.iter().zip(&places) {
            let (key, message) = (&problem.key, &problem.message);
            f.write_str("\n  ")?;
            if place_width > 0 {
                write!(f, "{place:<place_width$}  ")?;
            }
            write!(f, "{key:<key_width$}  {message}")?;
        }
        Ok(())
    }
}
