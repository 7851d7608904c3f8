//! `reprise warm`: questions and their answers brought into a running server, or into Redis.

use super::admin::{Admin, AdminArgs, Place, block_on, on_redis, secret};
use super::{Failure, say};
use crate::app::headless::{Headless, Work};
use crate::cache::shared::bulk::Written;
use crate::http::warming::{Item, Warming};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Items sent in one go.
const BATCH: usize = 32;
/// Refusals that are told one by one.
const TOLD: usize = 10;

const EXPIRED: &str = "it is not fresh any more; give it a longer ttl";
const PURGED: &str = "a purge meets it that is younger by its clock; see that this machine's clock is not behind, and run it again";

/// Each line of the file is a JSON object: `question` and `answer`, or `request` (a whole body) and
/// `answer` (a text, or a whole body); with `path`, `ttl` (seconds), `namespace` and `tags` if wished
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    admin: AdminArgs,
    /// The file, JSONL
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model of lines that are only a question
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The system prompt of lines that are only a question
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// A request header of the callers that the answers are for, for instance
    /// "authorization: Bearer env:API_KEY". Needed unless cache.scope is "global"
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// With --redis: the upstream, where the servers got it as `reprise serve --upstream`
    #[arg(long, value_name = "URL", requires = "redis")]
    upstream: Option<String>,
    /// How long they are fresh, where a line does not say it, for instance 7d
    #[arg(long, value_name = "AGE")]
    ttl: Option<humantime::Duration>,
}

/// # Errors
/// No server, no Redis, a file that cannot be read, or any line that was refused; all others are kept.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let text = fs::read_to_string(&args.file)
        .map_err(|wrong| Failure::other(format!("cannot read {}: {wrong}", args.file.display())))?;
    let Lines { items, wrong } = lines(&text, args.ttl.map(|ttl| ttl.as_secs()));
    let headers = headers(&args.headers)?;
    let place = args.admin.place(args.upstream.as_deref())?;
    let bar = ProgressBar::new(items.len() as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let bodies = Bodies { args, headers: &headers };
    let mut warmed = match place {
        Place::Server(admin) => block_on(send_all(&admin, &bodies, &items, &bar))?,
        Place::Redis(config) => {
            let write = async |headless: &Headless| write_all(headless, &bodies, &items, &bar).await;
            on_redis(*config, Work::Warm, write)?
        }
    };
    warmed.refused.extend(wrong);
    warmed.refused.sort();
    bar.finish_and_clear();
    let Warmed { kept, exact_only, refused, laid_the_secret } = warmed;
    if laid_the_secret {
        say(out, "the fleet had no secret yet; one lies in Redis now, and servers will take it from there")?;
    }
    say(
        out,
        &format!("{kept} kept, {exact_only} kept for the same request only, {} refused", refused.len()),
    )?;
    for (line, error) in refused.iter().take(TOLD) {
        say(out, &format!("  {}:{line}  {error}", args.file.display()))?;
    }
    match refused.len() {
        0 => Ok(()),
        many => Err(Failure::other(format!("{many} lines were refused"))),
    }
}

#[derive(Default)]
struct Warmed {
    kept: u64,
    exact_only: u64,
    /// The line's number, and why.
    refused: Vec<(usize, String)>,
    laid_the_secret: bool,
}

/// What goes with every batch.
struct Bodies<'a> {
    args: &'a Args,
    headers: &'a BTreeMap<String, String>,
}

impl Bodies<'_> {
    /// As `/api/warm` takes it.
    fn of(&self, batch: &[(usize, Item)]) -> Warming {
        let items = batch.iter().map(|(_, item)| item.clone()).collect();
        let Args { model, system, .. } = self.args;
        Warming { headers: self.headers.clone(), model: model.clone(), system: system.clone(), items }
    }
}

async fn send_all(
    admin: &Admin,
    bodies: &Bodies<'_>,
    items: &[(usize, Item)],
    bar: &ProgressBar,
) -> Result<Warmed, Failure> {
    let mut warmed = Warmed::default();
    for batch in items.chunks(BATCH) {
        let body = serde_json::to_string(&bodies.of(batch)).map_err(Failure::other)?;
        let answer = admin.json(admin.post("/api/warm").body(body)).await?;
        warmed.kept += answer["kept"].as_u64().unwrap_or(0);
        warmed.exact_only += answer["exact_only"].as_u64().unwrap_or(0);
        for one in answer["refused"].as_array().into_iter().flatten() {
            let at = one["item"].as_u64().and_then(|at| batch.get(usize::try_from(at).ok()?));
            let error = one["error"].as_str().unwrap_or("refused").to_owned();
            warmed.refused.push((at.map_or(0, |(line, _)| *line), error));
        }
        bar.inc(batch.len() as u64);
    }
    Ok(warmed)
}

/// A batch is in Redis before the next one begins.
async fn write_all(
    headless: &Headless,
    bodies: &Bodies<'_>,
    items: &[(usize, Item)],
    bar: &ProgressBar,
) -> Result<Warmed, Failure> {
    let mut warmed = Warmed { laid_the_secret: headless.laid_the_secret(), ..Warmed::default() };
    let mut warm = headless.cache().warm_shared().await.map_err(Failure::other)?;
    for batch in items.chunks(BATCH) {
        let (mut lines, mut entries) = (Vec::new(), Vec::new());
        for ((line, _), brought) in batch.iter().zip(bodies.of(batch).brought()) {
            let kept = brought.map_err(|fault| fault.message).and_then(|brought| headless.keep(brought));
            match kept {
                Ok(kept) => {
                    lines.push(*line);
                    entries.push(kept.entry);
                }
                Err(why) => warmed.refused.push((*line, why)),
            }
        }
        let written = warm.write(&entries).await.map_err(|why| {
            let there = warmed.kept + warmed.exact_only;
            Failure::other(format!("{why}; {there} answers are in Redis, and warming again brings the rest"))
        })?;
        for (line, written) in lines.into_iter().zip(written) {
            match written {
                Written::ByMeaning => warmed.kept += 1,
                Written::ExactOnly => warmed.exact_only += 1,
                Written::Expired => warmed.refused.push((line, EXPIRED.to_owned())),
                Written::Purged => warmed.refused.push((line, PURGED.to_owned())),
            }
        }
        bar.inc(batch.len() as u64);
    }
    Ok(warmed)
}

/// A file's lines that are not empty, each with its number.
#[derive(Default)]
struct Lines {
    items: Vec<(usize, Item)>,
    /// And why they are no items.
    wrong: Vec<(usize, String)>,
}

fn lines(text: &str, ttl: Option<u64>) -> Lines {
    let mut lines = Lines::default();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match Item::read(line) {
            Ok(mut item) => {
                item.ttl = item.ttl.or(ttl);
                lines.items.push((at + 1, item));
            }
            Err(why) => lines.wrong.push((at + 1, why)),
        }
    }
    lines
}

/// `NAME: VALUE`, where `env:NAME` and `file:PATH` in a value stand for what they name, so that no credential is in a
/// command line.
fn headers(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut headers = BTreeMap::new();
    for header in given {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::other(format!("{header:?} is no header; write \"NAME: VALUE\"")))?;
        let words: Result<Vec<String>, Failure> = value.split_whitespace().map(resolved).collect();
        headers.insert(name.trim().to_ascii_lowercase(), words?.join(" "));
    }
    Ok(headers)
}

fn resolved(word: &str) -> Result<String, Failure> {
    match word.starts_with("env:") || word.starts_with("file:") {
        true => secret(word).map(|secret| secret.expose().to_owned()),
        false => Ok(word.to_owned()),
    }
}
