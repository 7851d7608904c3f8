//! The file that evidence survives a restart in. A fault of it costs evidence, never a request.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What the file says of itself, so that another program's file is not taken for ours.
const KIND: &str = "reprise evidence about wrong hits";
const VERSION: u32 = 1;
/// Bytes that are read at most: some thousand routes.
const LONGEST: u64 = 64 << 20;

/// One route's evidence as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// `None` where no route matches.
    pub route: Option<String>,
    /// As `Budget::save` wrote it.
    pub budget: Box<RawValue>,
    pub counts: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Whole {
    kind: String,
    version: u32,
    routes: Vec<Kept>,
}

/// Why the file cannot be taken up.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no evidence of this program")]
    Foreign,
    #[error("has version {0}, and this build reads {VERSION}")]
    Version(u32),
    #[error("is damaged: {0}")]
    Damaged(serde_json::Error),
}

/// Read when it is first wanted, written whole, in place of what was there, in one step.
#[derive(Debug)]
pub struct State {
    path: Option<PathBuf>,
    kept: OnceLock<Vec<Kept>>,
    /// What is there could not be read: it is put aside before anything is written over it.
    strange: AtomicBool,
    written: parking_lot::Mutex<Option<blake3::Hash>>,
    failing: AtomicBool,
}

impl State {
    /// `None`: nothing is read or written.
    pub fn at(path: Option<PathBuf>) -> State {
        State {
            path,
            kept: OnceLock::new(),
            strange: AtomicBool::new(false),
            written: parking_lot::Mutex::new(None),
            failing: AtomicBool::new(false),
        }
    }

    pub fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// What was written for a route before this process began.
    pub fn of(&self, route: Option<&str>) -> Option<&Kept> {
        let kept = self.kept.get_or_init(|| self.load());
        kept.iter().find(|kept| kept.route.as_deref() == route)
    }

    fn load(&self) -> Vec<Kept> {
        let Some(path) = &self.path else { return Vec::new() };
        match read(path) {
            Ok(kept) => kept,
            Err(Unread::Io(error)) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(why) => {
                self.strange.store(true, Relaxed);
                tracing::warn!(
                    "{} {why}; evidence about wrong hits is gathered anew, and the file is put aside as {}",
                    path.display(),
                    beside(path, "unread").display()
                );
                Vec::new()
            }
        }
    }

    /// Writes `routes`, unless they were the last to be written. Blocks on the disk; call it from a blocking thread.
    pub fn write(&self, routes: Vec<Kept>) {
        let Some(path) = &self.path else { return };
        let whole = Whole { kind: KIND.to_owned(), version: VERSION, routes };
        let written = serde_json::to_vec(&whole).map_err(io::Error::other).and_then(|bytes| {
            let mut last = self.written.lock();
            let now = blake3::hash(&bytes);
            if *last == Some(now) {
                return Ok(());
            }
            if self.strange.swap(false, Relaxed) {
                fs::rename(path, beside(path, "unread"))?;
            }
            replace(path, &bytes)?;
            *last = Some(now);
            Ok(())
        });
        match written {
            Ok(()) => self.failing.store(false, Relaxed),
            Err(error) if !self.failing.swap(true, Relaxed) => tracing::warn!(
                "{} cannot be written: {error}; budgets go on in memory and would begin anew after a restart; \
                 set semantic.state to a path that can be written",
                path.display()
            ),
            Err(_) => {}
        }
    }
}

fn read(path: &Path) -> Result<Vec<Kept>, Unread> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    let Head { kind, version } = serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Unread::Foreign,
        _ => Unread::Damaged(error),
    })?;
    if kind != KIND {
        return Err(Unread::Foreign);
    }
    if version != VERSION {
        return Err(Unread::Version(version));
    }
    let whole: Whole = serde_json::from_slice(&bytes).map_err(Unread::Damaged)?;
    Ok(whole.routes)
}

/// A crash leaves the old file or the new one, never a part.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let new = beside(path, "new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}
