//! The store's folder: one process at a time, and the secret that scopes are keyed with.

use rand::RngCore;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(
        "the store {} is in use by another reprise process{by}; stop that one, or set store.path to another folder, \
         or to \"\" to keep entries in memory only", path.display()
    )]
    Taken { path: PathBuf, by: String },
    #[error("the store {} cannot be used: {source}; make it writable, or set store.path", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is not 64 hex digits; restore it, or delete it: then no caller finds what was stored before",
        .0.display()
    )]
    Secret(PathBuf),
}

/// A folder that this process has for itself, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked (flock); the system lets go of it with the process.
    lock: File,
}

impl Folder {
    /// Creates it where it is missing, readable by its owner only.
    pub fn take(path: &Path) -> Result<Folder, Unusable> {
        let unusable = |source| Unusable::Io { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut lock = OpenOptions::new();
        let mut lock = lock
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.take(32).read_to_string(&mut pid);
                let by = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (pid {pid})"),
                };
                return Err(Unusable::Taken { path: path.to_owned(), by });
            }
            Err(fs::TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // Only for the message above; a full disk is no reason not to start.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Folder { path: path.to_owned(), lock })
    }

    /// Lets another process have it.
    pub fn release(&self) {
        // A lock that cannot be let go of now goes with the process.
        let _ = self.lock.unlock();
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret of this folder, made on first use. Whoever has it and a credential can find out which
    /// entries are that credential's; without it entries of other credentials cannot be told apart.
    pub fn secret(&self) -> Result<[u8; 32], Unusable> {
        let path = self.path.join("secret");
        let unusable = |source| Unusable::Io { path: path.clone(), source };
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => {
                file.take(1_024).read_to_string(&mut text).map_err(unusable)?;
                let digits = blake3::Hash::from_hex(text.trim());
                return digits.map(|hash| *hash.as_bytes()).map_err(|_| Unusable::Secret(path));
            }
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(unusable(source)),
        }
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        self.write_secret(&path, &secret).map_err(unusable)?;
        Ok(secret)
    }

    /// Whole or not at all: written beside, synced, then renamed.
    fn write_secret(&self, path: &Path, secret: &[u8; 32]) -> io::Result<()> {
        let beside = self.path.join("secret.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        writeln!(file, "{}", blake3::Hash::from_bytes(*secret).to_hex())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_process_at_a_time_and_one_secret_for_ever() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = Folder::take(&path).unwrap();
        let secret = folder.secret().unwrap();
        assert_eq!(folder.secret().unwrap(), secret);
        let refused = Folder::take(&path).unwrap_err().to_string();
        let pid = format!("in use by another reprise process (pid {})", std::process::id());
        assert!(refused.contains(&pid), "{refused}");
        drop(folder);
        assert_eq!(Folder::take(&path).unwrap().secret().unwrap(), secret);
        for name in ["secret", "lock"] {
            let mode = fs::metadata(path.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_secret_is_refused_and_not_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::take(parent.path()).unwrap();
        fs::write(parent.path().join("secret"), "half").unwrap();
        let refused = folder.secret().unwrap_err().to_string();
        assert!(refused.contains("secret is not 64 hex digits"), "{refused}");
        assert_eq!(fs::read_to_string(parent.path().join("secret")).unwrap(), "half");
    }
}
