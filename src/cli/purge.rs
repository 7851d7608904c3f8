//! `reprise purge`: entries taken out of a running server, or out of Redis and every replica on it.

use super::admin::{AdminArgs, Place, block_on, on_redis};
use super::{Failure, say};
use crate::app::headless::{Headless, Work};
use crate::cache::purge::Order;
use crate::cache::shared::bulk::Purged;
use serde_json::{Value, json};
use std::io::Write;

/// Whatever fits all that are given is taken out of memory, off the disk and out of the fleet; with --redis out of
/// Redis, and out of every server on it
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    admin: AdminArgs,
    /// The entry of this id, as x-reprise-entry says it
    #[arg(long, value_name = "ID")]
    entry: Option<String>,
    /// Entries of this scope, as a dry run shows it
    #[arg(long, value_name = "HEX")]
    scope: Option<String>,
    /// Entries of this x-reprise-namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Entries of requests for this model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Entries with this tag
    #[arg(long, value_name = "NAME[=VALUE]")]
    tag: Option<String>,
    /// Entries stored longer ago than this, for instance 2h
    #[arg(long, value_name = "AGE")]
    older_than: Option<String>,
    /// Entries whose question means about this. Try it with --dry-run first
    #[arg(long, value_name = "TEXT")]
    near: Option<String>,
    /// How near, as a cosine [default: the model's calibrated threshold]
    #[arg(long, value_name = "COSINE", requires = "near")]
    at_least: Option<f32>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

/// # Errors
/// No server, no Redis, or an order that cannot be understood.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let Args { admin, entry, scope, namespace, model, tag, older_than, near, at_least, all, dry_run } = args;
    let order = Order {
        entry: entry.clone(),
        scope: scope.clone(),
        namespace: namespace.clone(),
        model: model.clone(),
        tag: tag.clone(),
        older_than: older_than.clone(),
        near: near.clone(),
        at_least: *at_least,
        all: *all,
    };
    let lines = match admin.place(None)? {
        Place::Server(admin) => {
            let mut body = json!(order);
            body["dry_run"] = json!(dry_run);
            let request = admin.post("/api/purge").body(body.to_string());
            told(&block_on(admin.json(request))?)
        }
        Place::Redis(config) => {
            let work = if order.near.is_some() { Work::PurgeNear } else { Work::Purge };
            let purge = async |headless: &Headless| {
                headless.cache().purge_shared(&order, *dry_run).await.map_err(Failure::other)
            };
            told_of_redis(&on_redis(*config, work, purge)?)
        }
    };
    lines.iter().try_for_each(|line| say(out, line))
}

fn verb(dry_run: bool) -> &'static str {
    if dry_run { "would go" } else { "gone" }
}

fn told(purged: &Value) -> Vec<String> {
    let number = |name: &str| purged[name].as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "{} entries {}: {} in memory, {} on disk",
        number("entries"),
        verb(purged["dry_run"] == json!(true)),
        number("in_memory"),
        number("on_disk")
    )];
    lines.extend(named(&purged["sample"]));
    if number("unjudged") > 0 {
        lines.push(format!(
            "{} entries on disk have no vector of the current model and were not judged",
            number("unjudged")
        ));
    }
    if purged["durable"] == json!(false) {
        lines.push("the disk could not be written in time; after a crash entries may come back".to_owned());
    }
    lines
}

fn told_of_redis(purged: &Purged) -> Vec<String> {
    let Purged { dry_run, entries, newer, unjudged, unreadable, sample } = purged;
    let mut lines = vec![format!("{entries} entries {} in Redis", verb(*dry_run))];
    lines.extend(named(&json!(sample)));
    if *newer > 0 {
        lines.push(format!(
            "{newer} entries were recorded after this began, or this clock is behind, and were left; run it again"
        ));
    }
    if *unjudged > 0 {
        lines.push(format!("{unjudged} entries have no vector of the current model and were not judged"));
    }
    for (why, many) in unreadable {
        lines.push(format!("{many} entries cannot be read ({why}) and were left; --all takes them too"));
    }
    lines
}

/// One line for each of the entries that are named.
fn named(sample: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for one in sample.as_array().into_iter().flatten() {
        let text = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
        let score = one["score"].as_f64().map(|score| format!("  {score:.4}")).unwrap_or_default();
        let line =
            format!("  {}  {}  {}{score}  {}", text("entry"), text("scope"), text("model"), text("question"));
        lines.push(line);
    }
    lines
}
