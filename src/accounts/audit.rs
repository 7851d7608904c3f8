//! Who called which model when, and who changed what: one JSON object a line.
//!
//! Lines are appended, each batch at once, by this process and by `reprise keys`. At `LARGEST` bytes the file
//! becomes `audit.jsonl.1`, that one `.2` and so on; the last of `KEPT` is deleted. A line never holds a
//! prompt, an answer, a credential or a key's text.

use super::row::Row;
use crate::base::clock::Millis;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

pub const FILE: &str = "audit.jsonl";
const LARGEST: u64 = 64 << 20;
const KEPT: u32 = 8;

/// Something that an administrator did. `by`: `cli` or `api`.
pub fn action(
    folder: &Path,
    at: Millis,
    by: &str,
    action: &str,
    key: &str,
    details: Value,
) -> io::Result<()> {
    let line =
        json!({"at": time(at), "event": "admin", "by": by, "action": action, "key": key, "details": details});
    append(folder, &format!("{line}\n"))
}

/// One line for each request.
pub(super) fn calls<'r>(
    folder: &Path,
    rows: impl Iterator<Item = (&'r Row, std::sync::Arc<str>)>,
) -> io::Result<()> {
    let mut lines = String::new();
    for (row, key) in rows {
        let line = json!({
            "at": time(row.at), "event": "call", "key": &*key, "dialect": row.dialect, "model": &*row.model,
            "verdict": row.verdict, "ended": row.ended.word(), "deployment": row.deployment.as_deref(),
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    if lines.is_empty() { Ok(()) } else { append(folder, &lines) }
}

fn append(folder: &Path, lines: &str) -> io::Result<()> {
    append_up_to(folder, lines, LARGEST)
}

fn append_up_to(folder: &Path, lines: &str, largest: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    if fs::metadata(&path).is_ok_and(|file| file.len() >= largest) {
        for number in (1..KEPT).rev() {
            // One that is not there yet is nothing to move.
            let _ = fs::rename(numbered(folder, number), numbered(folder, number + 1));
        }
        fs::rename(&path, numbered(folder, 1))?;
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(lines.as_bytes())
}

fn numbered(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{FILE}.{number}"))
}

fn time(at: Millis) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=KEPT + 2 {
            append_up_to(folder.path(), &format!("{{\"n\":{number}}}\n"), 1).unwrap();
        }
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(read(folder.path().join(FILE)), format!("{{\"n\":{}}}\n", KEPT + 2));
        assert_eq!(read(numbered(folder.path(), KEPT)), "{\"n\":2}\n");
        assert!(!numbered(folder.path(), KEPT + 1).exists());
    }
}
