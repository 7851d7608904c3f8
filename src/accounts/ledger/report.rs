//! What the ledger says: requests, money spent and money saved, by key, team, tag, model or day.

use super::file::{self, Unwritten, clamped};
use crate::config::accounts::Caller;
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Key,
    Team,
    /// A request with several tags counts under each of them, one without under none; the total counts it once.
    Tag,
    Model,
    /// In UTC.
    Day,
}

impl By {
    pub const ALL: [By; 5] = [By::Key, By::Team, By::Tag, By::Model, By::Day];

    pub fn word(self) -> &'static str {
        match self {
            By::Key => "key",
            By::Team => "team",
            By::Tag => "tag",
            By::Model => "model",
            By::Day => "day",
        }
    }

    pub fn read(word: &str) -> Option<By> {
        By::ALL.into_iter().find(|by| by.word() == word)
    }
}

/// Sums over some rows. Money is in nano-dollars; what is not known is in no sum, and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub requests: u64,
    /// Answered without an upstream call of their own: hits and followers.
    pub from_cache: u64,
    pub spent: u64,
    /// What answers from the cache would have cost.
    pub saved: u64,
    /// What audits and escalations cost.
    pub overhead: u64,
    /// Requests whose cost or saving is not known: no usage was reported, or the model has no price.
    pub unknown: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub saved_prompt_tokens: u64,
    pub saved_completion_tokens: u64,
}

impl Sums {
    /// What is left of the savings after the overhead; negative where that cost more.
    pub fn net(&self) -> i128 {
        i128::from(self.saved) - i128::from(self.overhead)
    }

    fn add(&mut self, other: &Sums) {
        let pairs: [(&mut u64, u64); 10] = [
            (&mut self.requests, other.requests),
            (&mut self.from_cache, other.from_cache),
            (&mut self.spent, other.spent),
            (&mut self.saved, other.saved),
            (&mut self.overhead, other.overhead),
            (&mut self.unknown, other.unknown),
            (&mut self.prompt_tokens, other.prompt_tokens),
            (&mut self.completion_tokens, other.completion_tokens),
            (&mut self.saved_prompt_tokens, other.saved_prompt_tokens),
            (&mut self.saved_completion_tokens, other.saved_completion_tokens),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A name where the config gives one, else a digest, a team, a tag, a model or a day.
    pub name: String,
    pub sums: Sums,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub by: By,
    /// Milliseconds since the epoch, the first that counts and the first that no longer does.
    pub since: u64,
    pub until: u64,
}

#[derive(Clone, Debug)]
pub struct Report {
    /// Days by date, all else with the most saved first.
    pub lines: Vec<Line>,
    pub total: Sums,
    /// Models without a known price, and how many requests for each.
    pub unpriced: Vec<(String, u64)>,
}

const SUMS: &str = "
  SUM(kind = 'request'),
  SUM(kind = 'request' AND verdict IN ('hit', 'follow')),
  SUM(CASE WHEN kind = 'request' THEN spent END),
  SUM(saved),
  SUM(CASE WHEN kind <> 'request' THEN spent END),
  SUM(kind = 'request' AND (spent IS NULL OR saved IS NULL)),
  SUM(spent_prompt), SUM(spent_completion), SUM(saved_prompt), SUM(saved_completion)";

/// Reads the ledger in `folder`. One scan of the rows in the span; blocks, off the async threads.
///
/// # Errors
/// There is no ledger, or it cannot be read.
pub fn read(folder: &Path, wanted: Wanted, callers: &[Caller]) -> Result<Report, Unwritten> {
    let Some(ledger) = file::to_read(folder)? else { return Err(Unwritten::Absent(folder.to_owned())) };
    let column = match wanted.by {
        By::Key => "key",
        By::Team => "key || char(31) || COALESCE(team, '')",
        By::Tag => "tags",
        By::Model => "model",
        By::Day => "CAST(at / 86400000 AS TEXT)",
    };
    let text = format!("SELECT {column}, {SUMS} FROM entry WHERE at >= ? AND at < ? GROUP BY 1");
    let mut grouped = ledger.prepare(&text)?;
    let span = params![clamped(wanted.since), clamped(wanted.until)];
    let groups = grouped.query_map(span, |row| Ok((row.get::<_, String>(0)?, sums(row)?)))?;
    let (mut lines, mut total) = (BTreeMap::<String, Sums>::new(), Sums::default());
    for group in groups {
        let (name, sums) = group?;
        total.add(&sums);
        for name in shown(wanted.by, &name, callers) {
            lines.entry(name).or_default().add(&sums);
        }
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|(name, sums)| Line { name, sums }).collect();
    if wanted.by != By::Day {
        lines.sort_by_key(|line| std::cmp::Reverse(line.sums.net()));
    }
    Ok(Report { lines, total, unpriced: unpriced(&ledger, wanted)? })
}

/// The lines that a group counts under.
fn shown(by: By, name: &str, callers: &[Caller]) -> Vec<String> {
    let caller = |digest: &str| callers.iter().find(|caller| caller.digest == digest);
    match by {
        By::Key => vec![caller(name).map_or_else(|| name.to_owned(), |caller| caller.name.clone())],
        By::Team => {
            let (key, team) = name.split_once('\u{1f}').unwrap_or((name, ""));
            let own = caller(key).and_then(|caller| caller.team.as_deref()).unwrap_or("(no team)");
            vec![if team.is_empty() { own.to_owned() } else { team.to_owned() }]
        }
        By::Tag => name.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        By::Model => vec![if name.is_empty() { "(no model)".to_owned() } else { name.to_owned() }],
        By::Day => vec![day(name.parse().unwrap_or(0))],
    }
}

/// The date of a day since the epoch.
pub fn day(number: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(number.saturating_mul(86_400).min(253_402_300_799));
    humantime::format_rfc3339_seconds(at).to_string().chars().take(10).collect()
}

fn unpriced(ledger: &Connection, wanted: Wanted) -> Result<Vec<(String, u64)>, Unwritten> {
    let text =
        "SELECT model, COUNT(*) FROM entry WHERE at >= ? AND at < ? AND kind = 'request' AND model <> ''
        AND ((spent IS NULL AND spent_prompt IS NOT NULL) OR (saved IS NULL AND saved_prompt IS NOT NULL))
        GROUP BY 1 ORDER BY 2 DESC";
    let mut models = ledger.prepare(text)?;
    let span = params![clamped(wanted.since), clamped(wanted.until)];
    let found = models.query_map(span, |row| Ok((row.get(0)?, count(row, 1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn sums(row: &Row<'_>) -> rusqlite::Result<Sums> {
    Ok(Sums {
        requests: count(row, 1)?,
        from_cache: count(row, 2)?,
        spent: count(row, 3)?,
        saved: count(row, 4)?,
        overhead: count(row, 5)?,
        unknown: count(row, 6)?,
        prompt_tokens: count(row, 7)?,
        completion_tokens: count(row, 8)?,
        saved_prompt_tokens: count(row, 9)?,
        saved_completion_tokens: count(row, 10)?,
    })
}

/// A sum of nothing is NULL.
fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let number: Option<i64> = row.get(at)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}

impl Report {
    /// `{"by", "since", "until", "lines": [{"name", …}], "total": {…}, "unpriced": [{"model", "requests"}]}`;
    /// moments in milliseconds since the epoch, money as text in dollars with nine decimals.
    pub fn json(&self, wanted: Wanted) -> Value {
        let line = |line: &Line| {
            let mut told = line.sums.json();
            told["name"] = line.name.clone().into();
            told
        };
        let unpriced = |(model, requests): &(String, u64)| json!({"model": model, "requests": requests});
        json!({
            "by": wanted.by.word(), "since": wanted.since, "until": wanted.until,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(), "total": self.total.json(),
            "unpriced": self.unpriced.iter().map(unpriced).collect::<Vec<_>>(),
        })
    }
}

impl Sums {
    fn json(&self) -> Value {
        json!({
            "requests": self.requests, "from_cache": self.from_cache, "unknown": self.unknown,
            "spent_usd": exact(self.spent.into()), "saved_usd": exact(self.saved.into()),
            "overhead_usd": exact(self.overhead.into()), "net_saved_usd": exact(self.net()),
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
            "saved_prompt_tokens": self.saved_prompt_tokens,
            "saved_completion_tokens": self.saved_completion_tokens,
        })
    }
}

/// Dollars with nine decimals: exact, and summable elsewhere.
pub fn exact(nano: i128) -> String {
    let (sign, nano) = (if nano < 0 { "-" } else { "" }, nano.unsigned_abs());
    format!("{sign}{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}
