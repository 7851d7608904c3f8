//! What digests of credentials and hashes of keys are keyed with, and the name of the replica that keeps a ledger.

use crate::base::digest::Credential;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "accounts.secret";
/// Beside the ledger, because it goes with what the ledger says was spent.
const REPLICA: &str = "ledger.replica";

/// The secret of the accounts in `folder`, made at the first call; the folder too. It must outlive a
/// restart, or every caller would be a new one and no key would be known any more. Only its owner may
/// read the file. Two processes that start at once get the same one.
///
/// # Errors
/// The folder or file cannot be read or written, or the file is not 32 bytes long.
pub fn secret(folder: &Path) -> io::Result<[u8; 32]> {
    kept(folder, FILE)
}

/// The name, 16 hex digits, by which other replicas know whoever keeps the ledger in `folder`; made likewise.
///
/// # Errors
/// As above.
pub fn replica(folder: &Path) -> io::Result<String> {
    kept(folder, REPLICA).map(|random| Credential(random).short())
}

fn kept(folder: &Path, name: &str) -> io::Result<[u8; 32]> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    let secret: [u8; 32] = rand::random();
    // Whole or not there at all: written beside it, then linked to its name, which fails if it is taken.
    let draft = folder.join(format!("{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(secret),
        Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => read(&path)?.ok_or(taken),
        Err(wrong) => Err(wrong),
    }
}

fn read(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let mut held = Vec::with_capacity(32);
    match File::open(path) {
        Ok(file) => file.take(64).read_to_end(&mut held)?,
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(wrong) => return Err(wrong),
    };
    let length = held.len();
    let name = path.file_name().unwrap_or_default().display().to_string();
    let wrong = move |_| {
        let told = format!("{name} holds {length} bytes, not 32; restore it, or delete it to start anew");
        io::Error::new(io::ErrorKind::InvalidData, told)
    };
    <[u8; 32]>::try_from(held).map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_outlives_a_restart_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        let first = secret(&below).unwrap();
        assert_eq!(secret(&below).unwrap(), first);
        assert_ne!(secret(folder.path()).unwrap(), first);
        let mode = fs::metadata(below.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&below).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_cut_file_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"short").unwrap();
        assert!(secret(folder.path()).unwrap_err().to_string().contains("5 bytes"));
    }
}
