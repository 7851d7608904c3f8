//! One thing wrong with a config.

use std::fmt;

/// Shown as `  12:1   cache.treshold   unknown key; did you mean `threshold`?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1; `None` for what comes from the environment or the command line.
    pub place: Option<(usize, usize)>,
    /// The dotted key, or the name of the variable or flag.
    pub key: String,
    /// What is wrong, and what would be right. Lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.map(|(line, column)| format!("{line}:{column}")).unwrap_or_default();
        write!(f, "  {place:<7} {:<30} {}", self.key, self.message)
    }
}
