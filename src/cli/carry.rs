//! `reprise export` and `reprise import`: entries from one server to another.

use super::admin::{Admin, AdminArgs, block_on};
use super::{Failure, say};
use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes sent in one piece.
const PIECE: usize = 1 << 18;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    admin: AdminArgs,
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Writes every fresh entry of a running server to a file; encrypted, if its store is.
///
/// # Errors
/// No server, or a file that cannot be written. The file is there whole or not at all.
pub fn export(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let admin = args.admin.open()?;
    let beside = args.file.with_extension("part");
    let written = block_on(fetch(&admin, &beside)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })?;
    fs::rename(&beside, &args.file)?;
    say(out, &format!("{written} bytes in {}", args.file.display()))
}

async fn fetch(admin: &Admin, to: &Path) -> Result<u64, Failure> {
    let mut file = private(to)?;
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, {bytes_per_sec}"));
    let mut flow = admin.send(admin.get("/api/export")).await?.bytes_stream();
    let mut written = 0;
    while let Some(piece) = flow.next().await {
        let piece = piece.map_err(|wrong| Failure::other(format!("the export broke off: {wrong}")))?;
        file.write_all(&piece)?;
        written += piece.len() as u64;
        bar.inc(piece.len() as u64);
    }
    file.sync_all()?;
    bar.finish_and_clear();
    Ok(written)
}

/// Prompts and answers are in it: its owner's alone.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Brings the entries of an export into a running server.
///
/// # Errors
/// No server, or no export.
pub fn import(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let admin = args.admin.open()?;
    let file = File::open(&args.file)
        .map_err(|wrong| Failure::other(format!("cannot read {}: {wrong}", args.file.display())))?;
    let length = file.metadata()?.len();
    let bar = ProgressBar::new(length).with_style(style("{bar:40} {bytes} of {total_bytes}, {eta} left"));
    let counted = bar.clone();
    let pieces = futures_util::stream::try_unfold(file, move |mut file| {
        let bar = counted.clone();
        async move {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            bar.inc(read as u64);
            Ok::<_, io::Error>((read > 0).then_some((piece, file)))
        }
    });
    let body = reqwest::Body::wrap_stream(pieces.into_stream());
    let imported = block_on(admin.json(admin.post("/api/import").body(body)))?;
    bar.finish_and_clear();
    say(out, &told(&imported))?;
    match imported["broke_off"].as_str() {
        Some(why) => Err(Failure::other(format!("{}: {why}", args.file.display()))),
        None => Ok(()),
    }
}

fn told(imported: &Value) -> String {
    let number = |name: &str| imported[name].as_u64().unwrap_or(0);
    let mut text =
        format!("{} entries, {} known, {} expired", number("entries"), number("known"), number("expired"));
    for (why, count) in imported["refused"].as_object().into_iter().flatten() {
        text.push_str(&format!(", {count} refused as {why}"));
    }
    text
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
