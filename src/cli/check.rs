//! `reprise check`: all problems of a config, or what would run.

use super::{ConfigArgs, Failure, say};
use crate::config::routing::Model;
use crate::config::{CacheMode, Config, Policy, RouteMatch, ScopeBy, SemanticMode, Store, Strictness};
use bytesize::ByteSize;
use std::io::Write;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Writes what would run to `out`.
///
/// # Errors
/// All problems at once.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let source = args.config.source();
    let config = Config::read(&source)?;
    say(out, &format!("{}: good\n{}", source.name(), summary(&config)))
}

/// What would run, one line a thing. No credential is in it, only whether there is one.
pub fn summary(config: &Config) -> String {
    let (server, cache, semantic) = (&config.server, &config.cache, &config.semantic);
    let token = if server.admin_token.is_some() { ", with a token" } else { "" };
    let mut lines =
        vec![("listen", server.listen.to_string()), ("admin", format!("{}{token}", server.admin_listen))];
    for upstream in &config.upstreams {
        let credential = if upstream.key.is_some() { "its own key" } else { "the clients' credentials" };
        let (name, url, kind) = (&upstream.name, &upstream.url, upstream.api.kind.word());
        lines.push(("upstream", format!("{name} at {url}, which speaks {kind}, with {credential}")));
    }
    if config.upstreams.is_empty() {
        lines
            .push(("upstream", "none: the stand-in would answer; set [[upstream]] or --upstream".to_owned()));
    }
    if let Some(redis) = &config.redis {
        let secret = if redis.secret.is_some() { "its secret from here" } else { "its secret in Redis" };
        lines.push(("redis", format!("{}, keys under {}, {secret}", redis.server.shown(), redis.prefix)));
    }
    lines.extend(config.models.iter().map(|model| ("serves", model_text(config, model))));
    lines.push(("memory", ByteSize::b(cache.memory).display().iec().to_string()));
    lines.push(("store", store_text(&config.store)));
    if config.wants_semantic() {
        let threads = if semantic.threads == 1 { "thread" } else { "threads" };
        let folder = semantic.models_dir.display();
        lines.push(("model", format!("{} in {folder}, {} {threads}", semantic.model, semantic.threads)));
    } else {
        lines.push(("model", "none: nothing is compared by meaning".to_owned()));
    }
    lines.push(("ledger", ledger_text(config)));
    lines.push(("keys", keys_text(config)));
    lines.push(("cache", policy_text(&config.policy)));
    for route in &config.routes {
        let (matches, policy) = (match_text(&route.matches), policy_text(&route.policy));
        lines.push(("route", format!("{}, {matches}: {policy}", route.name)));
    }
    let shown: Vec<String> = lines.iter().map(|(what, text)| format!("  {what:<9} {text}")).collect();
    shown.join("\n")
}

fn store_text(store: &Store) -> String {
    let Some(folder) = store.path.folder() else { return "none: entries are kept in memory only".to_owned() };
    let most = ByteSize::b(store.max_bytes).display().iec();
    let how = if store.encryption_key.is_some() { ", encrypted" } else { "" };
    format!("{}, up to {most}{how}", folder.display())
}

fn ledger_text(config: &Config) -> String {
    let prices = config.accounts.prices.len();
    let ledger = &config.accounts.ledger;
    match (&ledger.path, &ledger.url) {
        (Some(folder), Some(database)) => {
            format!("in {}, from there to {}, with {prices} prices", folder.display(), database.shown())
        }
        (Some(folder), None) => format!("in {}, with {prices} prices", folder.display()),
        (None, _) => format!("none, with {prices} prices"),
    }
}

fn keys_text(config: &Config) -> String {
    let keys = &config.accounts.keys;
    let required = if keys.required { "required" } else { "not required" };
    format!("{required}, {} listed", keys.listed.len())
}

/// `gpt-4o (best) from azure-eu, openai by latency, else gpt-4o-mini`
fn model_text(config: &Config, model: &Model) -> String {
    let aliases = match model.aliases.is_empty() {
        true => String::new(),
        false => format!(" ({})", model.aliases.join(", ")),
    };
    let deployments: Vec<&str> = model.deployments.iter().map(|one| one.name.as_str()).collect();
    let strategy = model.strategy.unwrap_or(config.router.strategy).word();
    let chain = match model.fallback.is_empty() {
        true => String::new(),
        false => format!(", else {}", model.fallback.join(", ")),
    };
    format!("{}{aliases} from {} by {strategy}{chain}", model.name, deployments.join(", "))
}

fn policy_text(policy: &Policy) -> String {
    if policy.mode == CacheMode::Off {
        return "off".to_owned();
    }
    let scope = match policy.scope {
        ScopeBy::Key => "shared by nobody",
        ScopeBy::Team => "shared in a team",
        ScopeBy::Global => "shared by all",
    };
    let ttl = humantime::format_duration(policy.ttl);
    format!("{}, {scope}, for {ttl}", mode_text(policy))
}

fn mode_text(policy: &Policy) -> String {
    let semantic = &policy.semantic;
    let observed = if policy.observes() { ", observed only" } else { "" };
    if policy.mode == CacheMode::Exact || semantic.mode == SemanticMode::Off {
        return format!("exact{observed}");
    }
    let threshold = match semantic.threshold {
        Some(threshold) => format!("from {threshold}"),
        None => "from the model's own threshold".to_owned(),
    };
    let verify = match semantic.verify {
        Strictness::Strict => "verified strictly",
        Strictness::Balanced => "verified",
        Strictness::Off => "unverified",
    };
    let budget = semantic.audit.max_wrong_rate.map(|rate| {
        let by = semantic.audit.by.word();
        format!(", at most {} % wrong by {by}", (rate * 1e6).round() / 1e4)
    });
    format!("semantic {threshold}, {verify}{}{observed}", budget.unwrap_or_default())
}

fn match_text(matches: &RouteMatch) -> String {
    let header = matches.header.as_ref().map(|(name, value)| format!("{name}: {value}"));
    let parts = [
        matches.path.as_ref().map(|path| format!("path {path}")),
        matches.model.as_ref().map(|model| format!("model {model}")),
        header.map(|header| format!("header {header}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}
