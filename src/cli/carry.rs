//! `reprise export` and `reprise import`: entries from one server, or Redis, to another.

use super::admin::{Admin, AdminArgs, Place, block_on, on_redis};
use super::{Failure, say};
use crate::app::headless::{Headless, Work};
use crate::cache::shared::bulk::{Exported, Stopped};
use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
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

/// Writes every fresh entry of a running server, or of Redis, to a file; encrypted, if what it comes from is.
///
/// # Errors
/// No server, no Redis, or a file that cannot be written. The file is there whole or not at all.
pub fn export(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let place = args.admin.place(None)?;
    let beside = args.file.with_extension("part");
    let written = match place {
        Place::Server(admin) => block_on(fetch(&admin, &beside)).map(|bytes| (bytes, None)),
        Place::Redis(config) => {
            let fetch = async |headless: &Headless| fetch_from_redis(headless, &beside).await;
            on_redis(*config, Work::Export, fetch).map(|(bytes, told)| (bytes, Some(told)))
        }
    };
    let (bytes, told) = written.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })?;
    fs::rename(&beside, &args.file)?;
    if let Some((exported, without_model)) = told {
        if let Some(why) = without_model {
            say(out, &format!("what a purge by meaning has met is left out only where it was named: {why}"))?;
        }
        say(out, &told_of_export(&exported))?;
    }
    say(out, &format!("{bytes} bytes in {}", args.file.display()))
}

async fn fetch(admin: &Admin, to: &Path) -> Result<u64, Failure> {
    let mut file = Output::new(to)?;
    let mut flow = admin.send(admin.get("/api/export")).await?.bytes_stream();
    while let Some(piece) = flow.next().await {
        file.write(&piece.map_err(broken_off)?)?;
    }
    file.finish()
}

async fn fetch_from_redis(
    headless: &Headless,
    to: &Path,
) -> Result<(u64, (Exported, Option<String>)), Failure> {
    let mut export = headless.cache().export_shared().await.map_err(Failure::other)?;
    let mut file = Output::new(to)?;
    while let Some(piece) = export.next().await.map_err(broken_off)? {
        file.write(&piece)?;
    }
    let without_model = headless.without_model().map(str::to_owned);
    Ok((file.finish()?, (export.so_far().clone(), without_model)))
}

fn broken_off(wrong: impl std::fmt::Display) -> Failure {
    Failure::other(format!("the export broke off: {wrong}"))
}

fn told_of_export(exported: &Exported) -> String {
    let Exported { entries, expired, purged, unreadable } = exported;
    let mut text = format!("{entries} entries, {expired} expired, {purged} purged");
    for (why, count) in unreadable {
        text.push_str(&format!(", {count} left out as {why}"));
    }
    text
}

/// The file as it grows, and what is shown of that.
struct Output {
    file: File,
    bar: ProgressBar,
    written: u64,
}

impl Output {
    fn new(to: &Path) -> Result<Output, Failure> {
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, {bytes_per_sec}"));
        Ok(Output { file: private(to)?, bar, written: 0 })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.file.write_all(piece)?;
        self.written += piece.len() as u64;
        self.bar.inc(piece.len() as u64);
        Ok(())
    }

    fn finish(self) -> Result<u64, Failure> {
        self.file.sync_all()?;
        self.bar.finish_and_clear();
        Ok(self.written)
    }
}

/// Prompts and answers are in it: its owner's alone.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Brings the entries of an export into a running server, or into Redis.
///
/// # Errors
/// No server, no Redis, or no export; entries that Redis did not take.
pub fn import(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let place = args.admin.place(None)?;
    let file = File::open(&args.file)
        .map_err(|wrong| Failure::other(format!("cannot read {}: {wrong}", args.file.display())))?;
    let length = file.metadata()?.len();
    let bar = ProgressBar::new(length).with_style(style("{bar:40} {bytes} of {total_bytes}, {eta} left"));
    let imported = match place {
        Place::Server(admin) => send(&admin, file, &bar)?,
        Place::Redis(config) => {
            let take = async |headless: &Headless| take_into_redis(headless, file, &bar).await;
            let (imported, without_model) = on_redis(*config, Work::Import, take)?;
            if let Some(why) = without_model {
                say(
                    out,
                    &format!(
                        "vectors stay as they came, and what a purge by meaning has met is refused only where it was \
                         named: {why}"
                    ),
                )?;
            }
            imported
        }
    };
    bar.finish_and_clear();
    say(out, &told(&imported))?;
    match imported["broke_off"].as_str() {
        Some(why) => Err(Failure::other(format!("{}: {why}", args.file.display()))),
        None => Ok(()),
    }
}

fn send(admin: &Admin, file: File, bar: &ProgressBar) -> Result<Value, Failure> {
    let counted = bar.clone();
    let pieces = futures_util::stream::try_unfold(file, move |mut file| {
        let bar = counted.clone();
        async move {
            let piece = next_piece(&mut file, &bar)?;
            Ok::<_, io::Error>((!piece.is_empty()).then_some((piece, file)))
        }
    });
    let body = reqwest::Body::wrap_stream(pieces.into_stream());
    block_on(admin.json(admin.post("/api/import").body(body)))
}

async fn take_into_redis(
    headless: &Headless,
    mut file: File,
    bar: &ProgressBar,
) -> Result<(Value, Option<String>), Failure> {
    let mut import = headless.cache().import_shared().await.map_err(Failure::other)?;
    loop {
        let piece = next_piece(&mut file, bar)?;
        if piece.is_empty() {
            break;
        }
        match import.feed(&piece).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(why) => return Err(half_done(&why, import.so_far().entries)),
        }
    }
    let before = import.so_far().entries;
    let imported = import.finish().await.map_err(|why| half_done(&why, before))?;
    Ok((json!(imported), headless.without_model().map(str::to_owned)))
}

fn half_done(why: &Stopped, entries: usize) -> Failure {
    Failure::other(format!("{why}; {entries} entries are in Redis, and importing again brings the rest"))
}

fn next_piece(file: &mut File, bar: &ProgressBar) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE];
    let read = file.read(&mut piece)?;
    piece.truncate(read);
    bar.inc(read as u64);
    Ok(piece)
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
