//! `reprise warm`: questions and their answers brought into a running server, or into Redis.

use super::admin::{Admin, AdminArgs, Place, block_on, on_redis, secret};
use super::{Failure, say};
use crate::app::bench::{Bench, Work};
use crate::http::warming::Warming;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Items sent in one go.
const BATCH: usize = 32;
/// Refusals that are told one by one.
const TOLD: usize = 10;

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
/// No server, no Redis, a file that is no JSONL, or any line that was refused.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let text = fs::read_to_string(&args.file)
        .map_err(|wrong| Failure::other(format!("cannot read {}: {wrong}", args.file.display())))?;
    let items = items(&text, args.ttl.map(|ttl| ttl.as_secs()))?;
    let headers = headers(&args.headers)?;
    let place = args.admin.place(args.upstream.as_deref())?;
    let bar = ProgressBar::new(items.len() as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let bodies = Bodies { args, headers: &headers };
    let warmed = match place {
        Place::Server(admin) => block_on(send_all(&admin, &bodies, &items, &bar))?,
        Place::Redis(config) => {
            let write = async |bench: &Bench| write_all(bench, &bodies, &items, &bar).await;
            on_redis(*config, Work::Warm, write)?
        }
    };
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
    headers: &'a Map<String, Value>,
}

impl Bodies<'_> {
    /// As `/api/warm` takes it.
    fn of(&self, batch: &[(usize, Value)]) -> String {
        let only: Vec<&Value> = batch.iter().map(|(_, item)| item).collect();
        let mut body = json!({"headers": self.headers, "items": only});
        body["model"] = json!(self.args.model);
        body["system"] = json!(self.args.system);
        body.to_string()
    }
}

async fn send_all(
    admin: &Admin,
    bodies: &Bodies<'_>,
    items: &[(usize, Value)],
    bar: &ProgressBar,
) -> Result<Warmed, Failure> {
    let mut warmed = Warmed::default();
    for batch in items.chunks(BATCH) {
        let answer = admin.json(admin.post("/api/warm").body(bodies.of(batch))).await?;
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
    bench: &Bench,
    bodies: &Bodies<'_>,
    items: &[(usize, Value)],
    bar: &ProgressBar,
) -> Result<Warmed, Failure> {
    let mut warmed = Warmed { laid_the_secret: bench.laid_the_secret(), ..Warmed::default() };
    for batch in items.chunks(BATCH) {
        let (mut entries, mut brought) = (Vec::new(), Vec::new());
        match Warming::read(&bodies.of(batch)) {
            Ok(warming) => brought.extend(warming.brought()),
            Err(fault) => return Err(Failure::other(fault)),
        }
        for ((line, _), brought) in batch.iter().zip(brought) {
            match brought.and_then(|brought| bench.gateway().keep(brought)) {
                Ok(kept) => entries.push(kept.entry),
                Err(fault) => warmed.refused.push((*line, fault.message)),
            }
        }
        let written = bench.cache().write_through(&entries).await.map_err(|why| {
            let there = warmed.kept + warmed.exact_only;
            Failure::other(format!("{why}; {there} answers are in Redis, and warming again brings the rest"))
        })?;
        warmed.kept += written.by_meaning as u64;
        warmed.exact_only += written.exact_only as u64;
        bar.inc(batch.len() as u64);
    }
    Ok(warmed)
}

/// Each line that is not empty, with its number.
fn items(text: &str, ttl: Option<u64>) -> Result<Vec<(usize, Value)>, Failure> {
    let mut items = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut item: Value = serde_json::from_str(line)
            .map_err(|wrong| Failure::other(format!("line {} is no JSON: {wrong}", at + 1)))?;
        if let (Some(ttl), Some(fields)) = (ttl, item.as_object_mut()) {
            fields.entry("ttl").or_insert(json!(ttl));
        }
        items.push((at + 1, item));
    }
    Ok(items)
}

/// `NAME: VALUE`, where `env:NAME` and `file:PATH` in a value stand for what they name, so that no credential is in a
/// command line.
fn headers(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut headers = Map::new();
    for header in given {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::other(format!("{header:?} is no header; write \"NAME: VALUE\"")))?;
        let words: Result<Vec<String>, Failure> = value.split_whitespace().map(resolved).collect();
        headers.insert(name.trim().to_ascii_lowercase(), json!(words?.join(" ")));
    }
    Ok(headers)
}

fn resolved(word: &str) -> Result<String, Failure> {
    match word.starts_with("env:") || word.starts_with("file:") {
        true => secret(word).map(|secret| secret.expose().to_owned()),
        false => Ok(word.to_owned()),
    }
}
