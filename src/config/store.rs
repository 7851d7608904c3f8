//! `[store]`: where entries outlive a restart.

use super::read::Root;
use super::reader::{Given, Report, Section};
use super::source::Source;
use super::values;
use crate::base::secret::Secret;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// `[store]`
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    pub path: StorePath,
    /// Bytes on disk at most. Default 1 GiB.
    pub max_bytes: u64,
    /// What entries are encrypted with, on disk and in Redis.
    pub encryption_key: Option<Secret>,
    /// The key before it: what it encrypted is still read.
    pub encryption_key_old: Option<Secret>,
    /// Questions embedded anew a second after a change of `semantic.model`. Default 50.
    pub reembed_rate: usize,
}

/// Where entries are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePath {
    /// In memory only: `path = ""`.
    Off,
    /// `data` in the working directory, because nothing else was said; without it serving goes on.
    Default,
    Given(PathBuf),
}

impl StorePath {
    pub fn folder(&self) -> Option<&Path> {
        match self {
            StorePath::Off => None,
            StorePath::Default => Some(Path::new("data")),
            StorePath::Given(path) => Some(path),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Store {
            path: StorePath::Default,
            max_bytes: 1 << 30,
            encryption_key: None,
            encryption_key_old: None,
            reembed_rate: 50,
        }
    }
}

/// Shorter keys could be guessed: 32 hex digits are 128 bits.
const SHORTEST_KEY: usize = 32;

pub(super) fn read(report: &Report<'_>, root: &mut Root<'_>, source: &Source) -> Store {
    let mut section = root.section("store");
    let base = Store::default();
    let path = section.get("path", path).unwrap_or(base.path);
    let max_bytes = section.get("max_bytes", |given| values::size(given, 64 << 20..=1 << 44));
    let reembed_rate = section.get("reembed_rate", |given| values::count(given, 1..=100_000));
    let encryption_key = key(&mut section, "encryption_key", source);
    let encryption_key_old = key(&mut section, "encryption_key_old", source);
    if encryption_key.is_some() && encryption_key == encryption_key_old {
        report.problem(
            &section.at("encryption_key_old"),
            "is the same as encryption_key; set it to the key before, or remove it",
        );
    }
    section.finish();
    Store {
        path,
        max_bytes: max_bytes.unwrap_or(base.max_bytes),
        encryption_key,
        encryption_key_old,
        reembed_rate: reembed_rate.unwrap_or(base.reembed_rate),
    }
}

/// Here empty text says something: none.
fn path(given: Given<'_>) -> Result<StorePath, String> {
    let empty = match given {
        Given::File(DeValue::String(text)) => text.trim().is_empty(),
        Given::Variable(text) => text.trim().is_empty(),
        Given::File(_) => false,
    };
    match empty {
        true => Ok(StorePath::Off),
        false => values::text(given).map(|text| StorePath::Given(PathBuf::from(text))),
    }
}

fn key(section: &mut Section<'_>, name: &'static str, source: &Source) -> Option<Secret> {
    let lookup = |name: &str| source.variable(name);
    section.get(name, |given| {
        let key = values::secret(given, &lookup)?;
        match key.expose().len() >= SHORTEST_KEY {
            true => Ok(key),
            false => Err(format!(
                "is shorter than {SHORTEST_KEY} characters and could be guessed; make one with `openssl rand -hex 32`"
            )),
        }
    })
}
