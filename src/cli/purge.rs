//! `reprise purge`: entries taken out of a running server.

use super::admin::{AdminArgs, block_on};
use super::{Failure, say};
use crate::cache::purge::Order;
use serde_json::{Value, json};
use std::io::Write;

/// Whatever fits all that are given is taken out of memory, off the disk and out of the fleet
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
/// No server, or an order that it does not understand.
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
    let admin = admin.open()?;
    let mut body = json!(order);
    body["dry_run"] = json!(dry_run);
    let request = admin.post("/api/purge").body(body.to_string());
    let purged = block_on(admin.json(request))?;
    for line in told(&purged) {
        say(out, &line)?;
    }
    Ok(())
}

fn told(purged: &Value) -> Vec<String> {
    let number = |name: &str| purged[name].as_u64().unwrap_or(0);
    let verb = if purged["dry_run"] == json!(true) { "would go" } else { "gone" };
    let mut lines = vec![format!(
        "{} entries {verb}: {} in memory, {} on disk",
        number("entries"),
        number("in_memory"),
        number("on_disk")
    )];
    for one in purged["sample"].as_array().into_iter().flatten() {
        let text = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
        let score = one["score"].as_f64().map(|score| format!("  {score:.4}")).unwrap_or_default();
        let line =
            format!("  {}  {}  {}{score}  {}", text("entry"), text("scope"), text("model"), text("question"));
        lines.push(line);
    }
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
