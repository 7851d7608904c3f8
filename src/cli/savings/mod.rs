//! `reprise savings`: what the ledger says was spent and saved.
//!
//! It reads the ledger itself, the file or the fleet's database, so the server need not run; rows are in the file
//! 200 ms after the request, and in the database as much later.

mod page;

use super::{Failure, say};
use crate::accounts::keys::store::Store;
use crate::accounts::ledger::report::{self, By, Wanted};
use crate::config::accounts::Caller;
use crate::config::keys::{Grant, moment};
use crate::config::{Config, Flags, Source};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The config file [default: config/reprise.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What a line stands for: key, team, tag, model or day
    #[arg(long, default_value = "key", value_parser = by)]
    by: By,
    /// From when on: a day (2026-11-01), or how long ago (24h, 30d)
    #[arg(long, default_value = "30d", value_name = "WHEN")]
    since: String,
    /// Comma-separated values, money in dollars with nine decimals
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// JSON, as `GET /api/ledger` gives it
    #[arg(long)]
    json: bool,
}

fn by(word: &str) -> Result<By, String> {
    By::read(word).ok_or_else(|| "expected key, team, tag, model or day".to_owned())
}

/// Writes the report to `out`.
///
/// # Errors
/// A config that is wrong; a day that is none; no ledger, or one that cannot be read.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let config = Config::read(&Source::of_process(args.config.clone(), Flags::default()))?;
    let ledger = &config.accounts.ledger;
    if ledger.path.is_none() {
        return Err(Failure::other("no ledger is kept, as ledger.path is \"\"; set it to a folder"));
    }
    let now = Duration::as_millis(&SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let wanted =
        Wanted { by: args.by, since: since(&args.since, now).map_err(Failure::other)?, until: now + 1 };
    let report = report::read(ledger, wanted, &names(&config)?).map_err(Failure::other)?;
    let text = match (args.csv, args.json) {
        (true, _) => page::csv(&report, wanted),
        (_, true) => format!("{:#}", report.json(wanted)),
        _ => page::text(&report, wanted),
    };
    say(out, text.trim_end())
}

/// Names of digests, and of virtual keys by their ids.
fn names(config: &Config) -> Result<Vec<Caller>, Failure> {
    let named =
        |digest: String, grant: &Grant| Caller { digest, name: grant.name.clone(), team: grant.team.clone() };
    let mut names = config.accounts.callers.clone();
    let listed = &config.accounts.keys.listed;
    names.extend(listed.iter().map(|key| named(key.id(), &key.grant)));
    let ledger = &config.accounts.ledger;
    if Store::is_there(ledger) {
        let kept = Store::look(ledger).and_then(|mut store| store.all()).map_err(Failure::other)?;
        names.extend(kept.into_iter().map(|key| named(key.id, &key.grant)));
    }
    Ok(names)
}

/// A moment in milliseconds since the epoch: a UTC day, or so long before `now`.
///
/// # Errors
/// What to write instead.
pub fn since(text: &str, now: u64) -> Result<u64, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(now.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)));
    }
    moment(text).map_err(|_| {
        format!("{text:?} is no moment; write a day such as 2026-11-01, or how long ago, such as 24h or 30d")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_or_a_span() {
        const DAY: u64 = 86_400_000;
        assert_eq!(since("1970-01-03", 9), Ok(2 * DAY));
        assert_eq!(since("24h", 3 * DAY), Ok(2 * DAY));
        assert_eq!(since("99d", DAY), Ok(0));
        assert_eq!(since("1970-01-02T00:00:00Z", 9), Ok(DAY));
        assert!(since("yesterday", 9).unwrap_err().contains("such as 24h"));
    }
}
