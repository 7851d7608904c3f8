//! What the ledger says: requests, money spent and money saved, by key, team, tag, model or day.

use super::file::{self, Unwritten, clamped};
use crate::accounts::postgres::Session;
use crate::config::accounts::{Caller, Ledger};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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

/// A name, and sums; a sum of nothing is `None`.
pub type Group = (String, Vec<Option<i64>>);

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

/// In words that SQLite and Postgres share.
const SUMS: &str = "
  COUNT(*) FILTER (WHERE kind = 'request'),
  COUNT(*) FILTER (WHERE kind = 'request' AND verdict IN ('hit', 'follow')),
  CAST(SUM(CASE WHEN kind = 'request' THEN spent END) AS BIGINT),
  CAST(SUM(saved) AS BIGINT),
  CAST(SUM(CASE WHEN kind <> 'request' THEN spent END) AS BIGINT),
  COUNT(*) FILTER (WHERE kind = 'request' AND (spent IS NULL OR saved IS NULL)),
  CAST(SUM(spent_prompt) AS BIGINT), CAST(SUM(spent_completion) AS BIGINT),
  CAST(SUM(saved_prompt) AS BIGINT), CAST(SUM(saved_completion) AS BIGINT)";

/// The rows, wherever they are.
enum Rows {
    File(Connection),
    Fleet(Session),
}

impl Rows {
    fn open(ledger: &Ledger) -> Result<Rows, Unwritten> {
        let folder = ledger.path.as_deref().ok_or_else(|| Unwritten::Absent("memory".into()))?;
        if let Some(database) = &ledger.url {
            return Ok(Rows::Fleet(Session::to_read(database)?));
        }
        file::to_read(folder)?.map(Rows::File).ok_or_else(|| Unwritten::Absent(folder.to_owned()))
    }

    fn table(&self) -> &'static str {
        match self {
            Rows::File(_) => "entry",
            Rows::Fleet(_) => "reprise_entry",
        }
    }

    /// Each group of the rows in the span: its name, and so many numbers.
    fn grouped(&mut self, text: &str, wanted: Wanted, numbers: usize) -> Result<Vec<Group>, Unwritten> {
        let span = [clamped(wanted.since), clamped(wanted.until)];
        match self {
            Rows::Fleet(session) => Ok(session.grouped(text, span, numbers)?),
            Rows::File(ledger) => {
                let mut asked = ledger.prepare(text)?;
                let rows = asked.query_map(span, |row| {
                    let sums = (1..=numbers).map(|at| row.get(at)).collect::<Result<_, _>>()?;
                    Ok((row.get(0)?, sums))
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            }
        }
    }
}

/// Reads the ledger, of the fleet where it has one. One scan of the rows in the span; blocks, off the async threads.
///
/// # Errors
/// There is no ledger, or it cannot be read.
pub fn read(ledger: &Ledger, wanted: Wanted, callers: &[Caller]) -> Result<Report, Unwritten> {
    let mut rows = Rows::open(ledger)?;
    let column = match wanted.by {
        By::Key => "key",
        By::Team => "key || '\u{1f}' || COALESCE(team, '')",
        By::Tag => "tags",
        By::Model => "model",
        By::Day => "CAST(at / 86400000 AS TEXT)",
    };
    let table = rows.table();
    let text = format!("SELECT {column}, {SUMS} FROM {table} WHERE at >= $1 AND at < $2 GROUP BY 1");
    let (mut lines, mut total) = (BTreeMap::<String, Sums>::new(), Sums::default());
    for (name, numbers) in rows.grouped(&text, wanted, 10)? {
        let sums = sums(&numbers);
        total.add(&sums);
        for name in shown(wanted.by, &name, callers) {
            lines.entry(name).or_default().add(&sums);
        }
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|(name, sums)| Line { name, sums }).collect();
    if wanted.by != By::Day {
        lines.sort_by_key(|line| std::cmp::Reverse(line.sums.net()));
    }
    Ok(Report { lines, total, unpriced: unpriced(&mut rows, wanted)? })
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

fn unpriced(rows: &mut Rows, wanted: Wanted) -> Result<Vec<(String, u64)>, Unwritten> {
    let table = rows.table();
    let text = format!(
        "SELECT model, COUNT(*) FROM {table} WHERE at >= $1 AND at < $2 AND kind = 'request' AND model <> ''
        AND ((spent IS NULL AND spent_prompt IS NOT NULL) OR (saved IS NULL AND saved_prompt IS NOT NULL))
        GROUP BY 1 ORDER BY 2 DESC"
    );
    let found = rows.grouped(&text, wanted, 1)?;
    Ok(found.into_iter().map(|(model, numbers)| (model, number(&numbers, 0))).collect())
}

fn sums(numbers: &[Option<i64>]) -> Sums {
    let number = |at| number(numbers, at);
    Sums {
        requests: number(0),
        from_cache: number(1),
        spent: number(2),
        saved: number(3),
        overhead: number(4),
        unknown: number(5),
        prompt_tokens: number(6),
        completion_tokens: number(7),
        saved_prompt_tokens: number(8),
        saved_completion_tokens: number(9),
    }
}

/// A sum of nothing is NULL.
fn number(numbers: &[Option<i64>], at: usize) -> u64 {
    numbers.get(at).copied().flatten().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
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
