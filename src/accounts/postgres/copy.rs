//! The fleet's secret and keys as they were last seen, in the replica's own folder. A start while the database
//! is away goes by them. Only its owner may read the file; it holds hashes, never a key.

use crate::accounts::keys::store::{Stored, Unkept};
use crate::config::keys::Grant;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "keys.copy";

/// The secret, and the keys that are hashed with it.
type Seen = ([u8; 32], Vec<Stored>);

#[derive(Serialize, Deserialize)]
struct Copy {
    secret: String,
    keys: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
struct Key {
    id: String,
    hash: String,
    old: Option<(String, u64)>,
    created: u64,
    expires: Option<u64>,
    disabled: bool,
    settings: Grant,
}

/// Whole or not at all.
///
/// # Errors
/// The folder cannot be written.
pub fn write(folder: &Path, secret: &[u8; 32], keys: &[Stored]) -> io::Result<()> {
    let key = |key: &Stored| Key {
        id: key.id.clone(),
        hash: key.hash.to_hex().to_string(),
        old: key.old.map(|(hash, until)| (hash.to_hex().to_string(), until)),
        created: key.created,
        expires: key.expires,
        disabled: key.disabled,
        settings: key.grant.clone(),
    };
    let secret = blake3::Hash::from_bytes(*secret).to_hex().to_string();
    let text = serde_json::to_vec(&Copy { secret, keys: keys.iter().map(key).collect() })?;
    let draft = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(FILE))
}

/// `None` where nothing was ever seen.
///
/// # Errors
/// It is there, and cannot be read.
pub fn read(folder: &Path) -> Result<Option<Seen>, Unkept> {
    let unread = |wrong: io::Error| Unkept::Folder(folder.join(FILE), wrong);
    let text = match fs::read(folder.join(FILE)) {
        Ok(text) => text,
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(wrong) => return Err(unread(wrong)),
    };
    let hash = |hex: &str| blake3::Hash::from_hex(hex).map_err(|_| Unkept::Hash);
    let copy: Copy = serde_json::from_slice(&text).map_err(|wrong| unread(wrong.into()))?;
    let keys = copy.keys.into_iter().map(|key| {
        let old = key.old.map(|(old, until)| Ok::<_, Unkept>((hash(&old)?, until))).transpose()?;
        let Key { id, created, expires, disabled, settings: grant, .. } = key;
        Ok(Stored { id, hash: hash(&key.hash)?, old, created, expires, disabled, grant })
    });
    Ok(Some((*hash(&copy.secret)?.as_bytes(), keys.collect::<Result<_, Unkept>>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_written_reads_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_none());
        let hash = |byte| blake3::Hash::from_bytes([byte; 32]);
        let grant = Grant { name: "support".to_owned(), rpm: Some(9), ..Grant::default() };
        let key = Stored {
            id: "k1".to_owned(),
            hash: hash(1),
            old: Some((hash(2), 77)),
            created: 5,
            expires: Some(99),
            disabled: true,
            grant,
        };
        write(folder.path(), &[7; 32], std::slice::from_ref(&key)).unwrap();
        assert_eq!(read(folder.path()).unwrap().unwrap(), ([7; 32], vec![key]));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.path().join(FILE), b"{").unwrap();
        assert!(read(folder.path()).is_err());
    }
}
