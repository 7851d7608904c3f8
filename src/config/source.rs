//! Where a config comes from: file, environment and command line, the later ones first in rank.

use super::reader::Variable;
use crate::base::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The prefix of every variable that sets a key.
pub const PREFIX: &str = "REPRISE__";
/// Read where no file is named, if it is there.
pub const DEFAULT_FILE: &str = "config/reprise.toml";

/// What the command line may set. Text, so that a bad value is a problem like any other.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// One transparent upstream in place of all others.
    pub upstream: Option<String>,
    pub listen: Option<String>,
    pub admin_listen: Option<String>,
}

/// Everything `Config::read` reads. The environment may hold credentials, so `Debug` shows none of it.
#[derive(Clone, Default)]
pub struct Source {
    pub file: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    pub flags: Flags,
    /// Nothing is sent upstream or listened to.
    quiet: bool,
}

impl Source {
    pub fn new(
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Flags,
    ) -> Source {
        Source { file, environment: environment.into_iter().collect(), flags, quiet: false }
    }

    /// This process's environment, and `config/reprise.toml` where no file is named and that one is
    /// there.
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Source {
        let default = || Path::new(DEFAULT_FILE).is_file().then(|| PathBuf::from(DEFAULT_FILE));
        Source::new(file.or_else(default), environment(), flags)
    }

    /// For a process that sends nothing upstream and listens nowhere: the credentials for that need not be there.
    pub fn quiet(self) -> Source {
        Source { quiet: true, ..self }
    }

    /// A credential of upstreams or of the admin side, as it was read. One that is not there is no problem where
    /// nobody would be shown it.
    pub(super) fn shown_to_others(&self, read: Result<Secret, String>) -> Result<Secret, String> {
        match read {
            Err(_) if self.quiet => Ok(Secret::new("not read".to_owned())),
            read => read,
        }
    }

    /// What the head line of a list of problems names.
    pub fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "environment and command line".to_owned(),
        }
    }

    /// One of the environment's variables.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    /// The `REPRISE__…` variables by section and key, both lower case, and the names that are neither.
    pub(super) fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::default();
        for (name, value) in self.environment.range(PREFIX.to_owned()..) {
            let Some(path) = name.strip_prefix(PREFIX) else { break };
            let variable = Variable { name: name.clone(), value: value.clone() };
            match path.to_lowercase().split_once("__") {
                Some((section, key)) if !section.is_empty() && !key.is_empty() && !key.contains("__") => {
                    overrides
                        .sections
                        .entry(section.to_owned())
                        .or_default()
                        .insert(key.to_owned(), variable);
                }
                _ => overrides.misshapen.push(variable.name),
            }
        }
        overrides
    }
}

#[derive(Default)]
pub(super) struct Overrides {
    pub sections: BTreeMap<String, BTreeMap<String, Variable>>,
    pub misshapen: Vec<String>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("flags", &self.flags).finish_non_exhaustive()
    }
}

/// This process's environment. A variable that is not UTF-8 counts as not set, but for ours: those
/// are kept with replacement characters, so that reading them fails aloud.
fn environment() -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => pairs.push((name, value)),
            Err(value) if name.starts_with(PREFIX) => {
                pairs.push((name, value.to_string_lossy().into_owned()));
            }
            Err(_) => {}
        }
    }
    pairs
}
