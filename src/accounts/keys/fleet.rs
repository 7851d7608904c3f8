//! The seam to what replicas share: numbers that all of them count on, wherever those lie.
//!
//! Money is told in sums that only grow: each replica says what *it* has spent of a key in a period, all of
//! it, and the greatest word counts. So a message may be lost, come twice or late, and a store that has lost
//! everything is filled again by what the replicas say next.

use crate::base::clock::Millis;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// One number each for day, week, month and the whole.
pub type ByPeriod = [u64; 4];

/// What one replica tells of one key, and asks.
#[derive(Clone, Debug)]
pub struct Message {
    /// The key's digest, 64 hex digits.
    pub key: Arc<str>,
    /// The teller's name, 16 hex digits; the same as long as its ledger.
    pub replica: Arc<str>,
    pub word: Word,
    /// Of a request, which waits for the answer. Nobody waits for one where nothing is asked.
    pub ask: Option<Ask>,
}

/// What there is to say of a key at one moment.
#[derive(Clone, Debug)]
pub struct Word {
    pub now: Millis,
    /// Minutes since the epoch.
    pub minute: u64,
    /// As `period::of` numbers them.
    pub periods: ByPeriod,
    /// Nano-dollars that this replica has spent of the key.
    pub spent: ByPeriod,
    /// The least that the others have spent, by what they said before.
    pub others: ByPeriod,
    /// Holds that are no more, and the tokens that were used in place of what was held, where that is known.
    pub over: Vec<(u64, Option<u64>)>,
    /// Holds that go on, and are not to lapse.
    pub open: Vec<u64>,
}

/// A hold, and what it must fit into. An absent limit is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub id: u64,
    /// Nano-dollars.
    pub cost: u64,
    pub tokens: u64,
    pub tpm: Option<u64>,
    pub concurrency: Option<u64>,
    /// Nano-dollars.
    pub budget: [Option<u64>; 4],
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Why there is no room; `None` where it is held, or nothing was asked.
    pub refused: Option<Refused>,
    /// What was known of this replica's own spending before it spoke.
    pub before: ByPeriod,
    /// What the others have spent.
    pub others: ByPeriod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// By the budget of this period, by its place in `ByPeriod`.
    Budget(usize),
    Tokens,
    Concurrency,
}

/// The numbers that all replicas share. `None` of a call: they cannot be had within its time, and what this replica
/// has counted itself has to do. No call waits longer than its time-box.
pub trait Fleet: Send + Sync {
    /// Takes up to `want` requests, one at least, out of the `most` of a minute. Zero: they are used up.
    fn requests<'a>(&'a self, key: &'a str, minute: u64, want: u64, most: u64) -> BoxFuture<'a, Option<u64>>;

    fn tell<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Option<Told>>;

    /// Another number after each time that the numbers were away, and may be lost; `None` while they are.
    fn connection(&self) -> Option<u64>;
}
