//! One request's account: opened when it is read, settled once when it is known what it came to.

use super::ledger::Ledger;
use super::prices::PriceBook;
use super::row::{Amount, Ended, Kind, Payer, Row, Tag};
use crate::base::clock::Clock;
use crate::base::money::NanoUsd;
use crate::wire::usage::Usage;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What every tab needs: prices, and where rows go.
#[derive(Debug)]
pub(super) struct Books {
    pub prices: ArcSwap<PriceBook>,
    pub ledger: Ledger,
    pub clock: Clock,
}

impl Books {
    fn amount(&self, model: &str, usage: Option<Usage>) -> Amount {
        match usage {
            None => Amount::Unknown,
            Some(usage) => Amount::Known(usage, self.prices.load().cost(model, &usage)),
        }
    }
}

/// One row in the making. Exactly one row comes of each tab: the first word that settles it counts, and
/// one that is dropped unsettled is booked as abandoned, its cost unknown if the upstream had been asked.
/// Opening and settling cost about a microsecond together; nothing is formatted and nothing waits.
#[derive(Debug)]
pub struct Tab {
    books: Arc<Books>,
    began: Instant,
    row: Mutex<Option<Row>>,
}

impl Tab {
    pub(super) fn open(
        books: Arc<Books>,
        payer: Payer,
        dialect: &'static str,
        model: &str,
        tags: &[Tag],
    ) -> Tab {
        let row = Row {
            at: books.clock.now(),
            kind: Kind::Request,
            payer,
            tags: tags.to_vec(),
            dialect,
            model: model.into(),
            deployment: None,
            verdict: "none",
            tier: "",
            ended: Ended::Refused,
            spent: Amount::Nothing,
            saved: Amount::Nothing,
            latency: Duration::ZERO,
        };
        Tab { books, began: Instant::now(), row: Mutex::new(Some(row)) }
    }

    /// Answered from the cache. Gives back what that saved, where it is known.
    pub fn hit(&self, tier: &'static str, usage: Option<Usage>) -> Option<NanoUsd> {
        let saved = self.amount(usage);
        self.settle(|row| {
            (row.verdict, row.tier, row.ended, row.saved) = ("hit", tier, Ended::Whole, saved);
        });
        saved.usd()
    }

    /// The upstream is being asked: from now on it may cost something.
    pub fn asked(&self, verdict: &'static str) {
        if let Some(row) = self.row.lock().as_mut() {
            (row.verdict, row.ended, row.spent) = (verdict, Ended::Abandoned, Amount::Unknown);
        }
    }

    /// Another model serves it, at its own price.
    pub fn served_by(&self, model: &str) {
        if let Some(row) = self.row.lock().as_mut() {
            row.model = model.into();
        }
    }

    /// Who answers it.
    pub fn deployment(&self, name: &Arc<str>) {
        if let Some(row) = self.row.lock().as_mut() {
            row.deployment = Some(name.clone());
        }
    }

    /// The answer has ended, and cost this; `None` where the upstream did not say. `saved` is what a part
    /// from the cache would have cost.
    pub fn paid(&self, ended: Ended, usage: Option<Usage>, saved: Option<Usage>) {
        let spent = self.amount(usage);
        let saved = saved.map_or(Amount::Nothing, |usage| self.amount(Some(usage)));
        self.settle(|row| (row.ended, row.spent, row.saved) = (ended, spent, saved));
    }

    /// The upstream was not reached, or refused: nobody charges for that.
    pub fn unbilled(&self) {
        self.settle(|row| (row.ended, row.spent) = (Ended::Failed, Amount::Nothing));
    }

    /// The account as a value of its own; this one is settled, and takes no further word.
    pub fn hand_over(&self) -> Tab {
        let row = Mutex::new(self.row.lock().take());
        Tab { books: self.books.clone(), began: self.began, row }
    }

    /// Another's flight brought the answer, with this usage; `None` where the upstream did not say.
    pub fn followed(&self, ended: Ended, usage: Option<Usage>) {
        let saved = match ended {
            Ended::Failed => Amount::Nothing,
            _ => self.amount(usage),
        };
        self.settle(|row| {
            (row.verdict, row.ended, row.spent, row.saved) = ("follow", ended, Amount::Nothing, saved);
        });
    }

    /// No request at all, only a question about one: no row comes of it.
    pub fn void(&self) {
        *self.row.lock() = None;
    }

    fn amount(&self, usage: Option<Usage>) -> Amount {
        let row = self.row.lock();
        row.as_ref().map_or(Amount::Nothing, |row| self.books.amount(&row.model, usage))
    }

    fn settle(&self, finish: impl FnOnce(&mut Row)) {
        let Some(mut row) = self.row.lock().take() else { return };
        finish(&mut row);
        row.latency = self.began.elapsed();
        self.books.ledger.enter(row);
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.settle(|_| {});
    }
}
