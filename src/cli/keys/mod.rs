//! `reprise keys`: virtual keys made, listed, rotated, disabled and expired.
//!
//! It changes the keys where they are kept, the file or the fleet's database. Servers that run notice within a
//! quarter of a second.

mod list;

use super::{Failure, say};
use crate::accounts::audit;
use crate::accounts::keys::store::{Fresh, Store};
use crate::base::clock::{Clock, Millis};
use crate::base::money::NanoUsd;
use crate::config::accounts::Audit;
use crate::config::keys::{self, Budget, Grant, Over, dollars, moment, tag};
use crate::config::{CacheMode, Config, Flags, ScopeBy, Source};
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The config file [default: config/reprise.toml, if it is there]
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a key; its text is shown this once
    Create(Box<Create>),
    /// Show every key, never its text
    List,
    /// Give a key a new text; the old one can go on for a while
    Rotate {
        /// Id or name
        key: String,
        /// How long the old text still opens, for instance 24h
        #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
        grace: Duration,
    },
    /// Stop a key at once
    Disable {
        /// Id or name
        key: String,
    },
    /// Let a disabled key in again
    Enable {
        /// Id or name
        key: String,
    },
    /// Set the moment from which a key no longer opens
    Expire {
        /// Id or name
        key: String,
        /// A day in UTC, for instance 2027-01-01 [default: now]
        #[arg(long, value_parser = moment)]
        at: Option<u64>,
    },
}

#[derive(clap::Args, Debug)]
struct Create {
    /// What it is called; each key has its own name
    name: String,
    #[arg(long)]
    team: Option<String>,
    /// On every row of the key, for instance feature=faq; may be repeated
    #[arg(long = "tag", value_parser = tag)]
    tags: Vec<String>,
    /// A model that it may ask for, which may end in *; may be repeated [default: all]
    #[arg(long = "model")]
    models: Vec<String>,
    /// Who shares its answers: key, team or global [default: as the route says]
    #[arg(long, value_parser = keys::scope)]
    scope: Option<ScopeBy>,
    /// The most that the cache does for it: off, exact or semantic
    #[arg(long, value_parser = keys::cache_mode)]
    cache: Option<CacheMode>,
    /// The cosine from which a neighbour is considered, 0.0 to 1.0
    #[arg(long, value_parser = similarity)]
    threshold: Option<f32>,
    /// How long an answer is fresh, for instance 1h
    #[arg(long, value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// Requests a minute
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rpm: Option<u64>,
    /// Tokens a minute
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    tpm: Option<u64>,
    /// Requests in progress
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    concurrency: Option<u64>,
    /// A hard limit in USD, as in day=5, week=20, month=50 or whole=100; may be repeated
    #[arg(long = "budget", value_parser = limit, value_name = "PERIOD=USD")]
    budgets: Vec<(String, NanoUsd)>,
    /// A soft limit in USD, likewise
    #[arg(long = "warn", value_parser = limit, value_name = "PERIOD=USD")]
    warnings: Vec<(String, NanoUsd)>,
    /// Once a budget is used up, go on answering from the cache
    #[arg(long)]
    cache_only: bool,
    /// The day in UTC from which it no longer opens, for instance 2027-01-01
    #[arg(long, value_parser = moment)]
    expires: Option<u64>,
}

/// Does what is asked, and says so to `out`.
///
/// # Errors
/// A config that is wrong; no folder for keys; a key that is not there, or a name that is taken.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Failure> {
    let config = Config::read(&Source::of_process(args.config, Flags::default()))?;
    let ledger = &config.accounts.ledger;
    let Some(folder) = &ledger.path else {
        return Err(Failure::other("no key can be kept, as ledger.path is \"\"; set it to a folder"));
    };
    let now = Clock::start().now();
    let open = if matches!(args.command, Command::List) { Store::look } else { Store::open };
    let mut store = open(ledger).map_err(Failure::other)?;
    let at = Office { folder, now, audits: ledger.audit != Audit::Off };
    at.serve(args.command, &mut store, out)
}

/// Where a command is carried out.
struct Office<'a> {
    folder: &'a Path,
    now: Millis,
    audits: bool,
}

impl Office<'_> {
    fn serve(&self, command: Command, store: &mut Store, out: &mut dyn Write) -> Result<(), Failure> {
        match command {
            Command::List => say(out, list::text(&store.all().map_err(Failure::other)?, self.now).trim_end()),
            Command::Create(create) => {
                let expires = create.expires;
                let grant = create.grant();
                let made = store.create(&grant, expires, self.now.0).map_err(Failure::other)?;
                self.note("create", &made.id, json!({"settings": grant, "expires": expires}))?;
                show(out, &made)
            }
            Command::Rotate { key, grace } => {
                let made = store.rotate(&key, self.now.plus(grace).0).map_err(Failure::other)?;
                self.note("rotate", &made.id, json!({"grace_seconds": grace.as_secs()}))?;
                show(out, &made)
            }
            Command::Disable { key } => {
                store.set_disabled(&key, true).map_err(Failure::other)?;
                self.note("disable", &key, Value::Null)?;
                say(out, &format!("{key} is disabled"))
            }
            Command::Enable { key } => {
                store.set_disabled(&key, false).map_err(Failure::other)?;
                self.note("enable", &key, Value::Null)?;
                say(out, &format!("{key} is let in again"))
            }
            Command::Expire { key, at } => {
                store.set_expiry(&key, at.or(Some(self.now.0))).map_err(Failure::other)?;
                self.note("expire", &key, json!({"at": at}))?;
                say(out, &format!("the expiry of {key} is set"))
            }
        }
    }

    fn note(&self, action: &str, key: &str, details: Value) -> Result<(), Failure> {
        if !self.audits {
            return Ok(());
        }
        let noted = audit::action(self.folder, self.now, "cli", action, key, details);
        noted.map_err(|wrong| Failure::other(format!("done, but not in the audit log: {wrong}")))
    }
}

/// The text alone on standard output, so that it can be piped to where it is kept.
fn show(out: &mut dyn Write, made: &Fresh) -> Result<(), Failure> {
    let told = format!("key {}; this is the only time that it is shown:", made.id);
    writeln!(std::io::stderr().lock(), "{told}")?;
    say(out, &made.text)
}

impl Create {
    fn grant(self) -> Grant {
        Grant {
            name: self.name,
            team: self.team,
            tags: self.tags,
            models: self.models,
            scope: self.scope,
            cache: self.cache,
            threshold: self.threshold,
            ttl: self.ttl.map(|span| span.as_secs()),
            rpm: self.rpm,
            tpm: self.tpm,
            concurrency: self.concurrency,
            budget: budget(&self.budgets),
            warn: budget(&self.warnings),
            over: if self.cache_only { Over::CacheOnly } else { Over::Refuse },
        }
    }
}

/// The last for a period counts.
fn budget(limits: &[(String, NanoUsd)]) -> Budget {
    let of = |word: &str| limits.iter().rev().find(|(period, _)| period == word).map(|(_, usd)| *usd);
    Budget { day: of("day"), week: of("week"), month: of("month"), whole: of("whole") }
}

fn limit(text: &str) -> Result<(String, NanoUsd), String> {
    match text.split_once('=') {
        Some((period @ ("day" | "week" | "month" | "whole"), usd)) => Ok((period.to_owned(), dollars(usd)?)),
        _ => Err("expected day, week, month or whole with USD, as in day=5".to_owned()),
    }
}

fn similarity(text: &str) -> Result<f32, String> {
    let read = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    read.ok_or_else(|| "expected a similarity from 0.0 to 1.0".to_owned())
}
