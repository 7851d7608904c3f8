//! The walls: module order, file length, and names.

#![allow(clippy::expect_used, reason = "a tree that cannot be read shall fail the test")]

use std::fs;
use std::path::{Path, PathBuf};

const ORDER: [&str; 14] = [
    "base",
    "config",
    "telemetry",
    "wire",
    "canon",
    "semantic",
    "tape",
    "cache",
    "upstream",
    "accounts",
    "gateway",
    "http",
    "app",
    "cli",
];
/// What a module must not know of, beyond the order: (module, banned).
const STRANGERS: [(&str, &[&str]); 5] = [
    ("cache", &["upstream", "accounts"]),
    ("upstream", &["cache", "tape", "semantic", "canon"]),
    ("accounts", &["cache", "upstream", "semantic", "tape"]),
    ("tape", &["semantic"]),
    ("telemetry", &["config::read"]),
];
const LONGEST: usize = 400;
const BANNED_NAMES: [&str; 7] = ["utils", "helpers", "common", "misc", "types", "manager", "service"];

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).expect("src is readable") {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn module_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).ok()?;
    let first = below.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    ORDER.contains(&name).then(|| name.to_owned())
}

/// Every `crate::name` in code, comments left out.
fn named(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let word =
        |at: usize| code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.match_indices("crate::").map(|(at, found)| word(at + found.len())).collect()
}

#[test]
fn modules_import_only_those_above_them() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(module) = module_of(&file) else { continue };
        let place = ORDER.iter().position(|name| *name == module).expect("a known module");
        let strangers =
            STRANGERS.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, banned)| banned);
        for used in named(&fs::read_to_string(&file).expect("readable")) {
            let Some(at) = ORDER.iter().position(|name| *name == used) else { continue };
            if at > place || strangers.contains(&used.as_str()) {
                wrong.push(format!("{}: {module} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_stands_in_the_order() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let declared: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, ORDER);
}

#[test]
fn files_fit_in_a_head() {
    let mut long = Vec::new();
    for file in sources() {
        let lines = fs::read_to_string(&file).expect("readable").lines().count();
        if lines > LONGEST {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    for file in sources() {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = file.parent().and_then(|parent| parent.file_name()?.to_str()).unwrap_or_default();
        for banned in BANNED_NAMES {
            assert!(name != banned && folder != banned, "{}", file.display());
        }
    }
}

#[test]
fn a_folder_of_more_than_four_files_opens_with_a_map() {
    for file in sources().iter().filter(|file| file.ends_with("mod.rs")) {
        let folder = file.parent().expect("a folder");
        let files = fs::read_dir(folder).expect("readable").count();
        let text = fs::read_to_string(file).expect("readable");
        assert!(files <= 4 || text.contains("//! | file"), "{}: {files} files and no map", file.display());
    }
}
