//! Limits of virtual keys over all replicas, in the Redis of the shared tier.
//!
//! | name, behind `PREFIX:1:m:` | is | holds |
//! |---|---|---|
//! | `KEY:h` | sorted set, 2 min | holds in progress, by when each lapses |
//! | `KEY:s` | hash, 2 min | what each hold is, `COST TOKENS MINUTE`, and the sum of costs, `held` |
//! | `KEY:t:MINUTE` | hash, 2 min | `r` requests let in, `t` tokens used and held |
//! | `KEY:b:PERIOD:NUMBER` | hash; 3, 10, 40 or 400 days | what each replica has spent, and `total` |
//!
//! `KEY` is a digest of the key's id: 64 hex digits. Money is nano-dollars. Time is the replicas'; Lua's
//! numbers are exact up to 2^53, nine million dollars.

use crate::accounts::keys::LAPSE;
use crate::accounts::keys::fleet::{Fleet, Message, Refused, Told, Word};
use crate::accounts::keys::period::WORDS;
use crate::cache::shared::{Shared, Wait};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Takes requests out of a minute: fewer at once the fewer are left, so that little is lost to others at its end.
const TAKE: &str = include_str!("take.lua");
/// Hears what one replica has to say of a key, and holds what it asks for if there is room.
const TELL: &str = include_str!("tell.lua");

const DAY: u64 = 86_400_000;
/// How long each period's sums are kept after the last word of them, in milliseconds.
const KEPT: [u64; 4] = [3 * DAY, 10 * DAY, 40 * DAY, 400 * DAY];
/// Above this Lua counts no more by one.
const EXACT: u64 = (1 << 53) - 1;

/// Limits that are counted in Redis.
pub struct Limits {
    shared: Arc<Shared>,
}

impl Limits {
    pub fn new(shared: Arc<Shared>) -> Limits {
        Limits { shared }
    }

    fn minute(&self, key: &str, minute: u64) -> String {
        self.shared.counter(&format!("{key}:t:{minute}"))
    }

    fn counters(&self, message: &Message) -> Vec<String> {
        let key = &message.key;
        let mut names = vec![
            self.shared.counter(&format!("{key}:h")),
            self.shared.counter(&format!("{key}:s")),
            self.minute(key, message.word.minute),
        ];
        for (word, number) in WORDS.iter().zip(message.word.periods) {
            names.push(self.shared.counter(&format!("{key}:b:{word}:{number}")));
        }
        names
    }
}

impl Fleet for Limits {
    fn requests<'a>(&'a self, key: &'a str, minute: u64, want: u64, most: u64) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async move {
            let (counter, arguments) = ([self.minute(key, minute)], [number(want), number(most)]);
            let said = self.shared.count(Wait::Request, TAKE, &counter, &arguments).await?;
            u64::try_from(*said.first()?).ok()
        })
    }

    fn tell<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Option<Told>> {
        Box::pin(async move {
            let (counters, arguments) = (self.counters(message), arguments(message));
            let wait = if message.ask.is_some() { Wait::Request } else { Wait::Nobody };
            let said = self.shared.count(wait, TELL, &counters, &arguments).await?;
            understood(&said)
        })
    }

    fn connection(&self) -> Option<u64> {
        self.shared.connection()
    }
}

fn number(number: u64) -> String {
    number.min(EXACT).to_string()
}

fn limit(limit: Option<u64>) -> String {
    limit.map_or_else(|| "-1".to_owned(), number)
}

/// In the order in which the script reads them.
fn arguments(message: &Message) -> Vec<String> {
    let Message { key: _, replica, word, ask } = message;
    let Word { now, minute, periods: _, spent, others, over, open } = word;
    let lapse = u64::try_from(LAPSE.as_millis()).unwrap_or(u64::MAX);
    let mut all = vec![number(now.0), number(lapse), replica.to_string(), number(*minute)];
    all.extend(spent.iter().chain(others).chain(&KEPT).map(|each| number(*each)));
    match ask {
        None => all.extend(["", "0", "0", "-1", "-1", "-1", "-1", "-1", "-1"].map(str::to_owned)),
        Some(ask) => {
            all.extend([named(ask.id), number(ask.cost), number(ask.tokens)]);
            all.extend([limit(ask.tpm), limit(ask.concurrency)]);
            all.extend(ask.budget.map(limit));
        }
    }
    all.push(over.len().to_string());
    for (id, used) in over {
        all.extend([named(*id), limit(*used)]);
    }
    all.extend(open.iter().map(|id| named(*id)));
    all
}

fn named(id: u64) -> String {
    format!("{id:016x}")
}

/// `None` where it is not what the script gives back.
fn understood(said: &[i64]) -> Option<Told> {
    let [verdict, rest @ ..] = said else { return None };
    let rest: Vec<u64> = rest.iter().map(|each| u64::try_from(*each).unwrap_or(0)).collect();
    let (before, others) = rest.split_at_checked(4)?;
    let refused = match verdict {
        0 => None,
        period @ 1..=4 => Some(Refused::Budget(usize::try_from(period - 1).ok()?)),
        5 => Some(Refused::Concurrency),
        6 => Some(Refused::Tokens),
        _ => return None,
    };
    Some(Told { refused, before: before.try_into().ok()?, others: others.try_into().ok()? })
}
