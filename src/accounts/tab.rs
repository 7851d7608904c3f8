//! One request's account: opened when it is read, settled once when it is known what it came to.

use super::keys::estimate::estimate;
use super::keys::joint::Joint;
use super::keys::meter::Hold;
use super::keys::{Admitted, Key};
use super::ledger::Ledger;
use super::prices::PriceBook;
use super::row::{Amount, Ended, Kind, Payer, Row, Tag};
use crate::base::clock::Clock;
use crate::base::fault::{self, Fault};
use crate::base::money::NanoUsd;
use crate::wire::usage::Usage;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;

/// What every tab needs: prices, and where rows go.
#[derive(Debug)]
pub(super) struct Books {
    pub prices: ArcSwap<PriceBook>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub joint: Joint,
}

impl Books {
    /// A row that is no request.
    pub fn overhead(&self, kind: Kind, payer: Payer, model: &str, usage: Option<Usage>) {
        self.ledger.enter(Row {
            kind,
            payer,
            model: model.into(),
            ended: Ended::Whole,
            spent: self.amount(model, usage),
            ..Row::blank(self.clock.now())
        });
    }

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
    key: Option<Arc<Key>>,
    began: Instant,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    row: Row,
    /// What an answer that would not do has cost before.
    before: NanoUsd,
    hold: Option<Hold>,
}

impl Tab {
    /// # Errors
    /// The key's rate, concurrency or budget does not let the request in.
    pub(super) fn open(
        books: Arc<Books>,
        who: &Admitted,
        dialect: &'static str,
        model: &str,
        tags: &[Tag],
    ) -> Result<Tab, Fault> {
        let at = books.clock.now();
        let mut tags = tags.to_vec();
        let payer = match &who.key {
            None => Payer::Credential(who.caller),
            Some(key) => {
                key.meter.enter(&key.grant, at)?;
                tags.extend_from_slice(&key.tags);
                Payer::Named { id: key.id.clone(), team: key.team.clone() }
            }
        };
        let row = Row { payer, tags, dialect, model: model.into(), ..Row::blank(at) };
        let open = Mutex::new(Some(Open { row, before: NanoUsd(0), hold: None }));
        Ok(Tab { books, key: who.key.clone(), began: Instant::now(), open })
    }

    /// Of nobody and for nothing.
    pub(super) fn blank(books: Arc<Books>) -> Tab {
        Tab { books, key: None, began: Instant::now(), open: Mutex::new(None) }
    }

    /// Answered from the cache. Gives back what that saved, where it is known.
    pub fn hit(&self, tier: &'static str, usage: Option<Usage>) -> Option<NanoUsd> {
        let saved = self.amount(usage);
        self.settle(|row| {
            (row.verdict, row.tier, row.ended, row.saved) = ("hit", tier, Ended::Whole, saved);
        });
        saved.usd()
    }

    /// Counts the request in the rate that all replicas share, where there is one. No row comes of one that is
    /// refused.
    ///
    /// # Errors
    /// The key's rate is used up.
    pub async fn enter(&self) -> Result<(), Fault> {
        let joint = &self.books.joint;
        if !joint.is_joined() {
            return Ok(());
        }
        let Some(key) = self.key() else { return Ok(()) };
        joint.enter(key).await.inspect_err(|_| self.void())
    }

    /// The upstream is about to be asked with `body`: from now on it may cost something. A virtual key's
    /// tokens and money are held first, here and, where replicas share their limits, in one round trip there.
    ///
    /// # Errors
    /// There is no room for it in the key's budget or rate, or its cost cannot be known.
    pub async fn ask(&self, verdict: &'static str, body: &[u8]) -> Result<(), Fault> {
        if let Some((key, hold)) = self.hold(body)? {
            self.books.joint.hold(key, &hold).await?;
        }
        if let Some(Open { row, .. }) = self.open.lock().as_mut() {
            (row.verdict, row.ended, row.spent) = (verdict, Ended::Abandoned, Amount::Unknown);
        }
        Ok(())
    }

    /// Holds here; gives back what is to be held in the fleet too.
    fn hold(&self, body: &[u8]) -> Result<Option<(&Arc<Key>, Hold)>, Fault> {
        let mut slot = self.open.lock();
        let (Some(key), Some(Open { row, hold, .. })) = (&self.key, slot.as_mut()) else { return Ok(None) };
        let mut held = self.held(key, row, body)?;
        let shared = self.books.joint.shares(key);
        if shared {
            let id = rand::random();
            key.meter.opened(id);
            held.id = Some(id);
        }
        *hold = Some(held);
        Ok(shared.then_some((key, held)))
    }

    fn held(&self, key: &Key, row: &Row, body: &[u8]) -> Result<Hold, Fault> {
        let tokens = estimate(row.dialect, body);
        let cost = self.books.prices.load().at_most(&row.model, tokens.prompt, tokens.completion);
        if cost.is_none() && !key.grant.budget.is_none() {
            let message = "this key has a budget, and the model no known price; ask for another model, or add a [[price]] for it";
            return Err(Fault::new(fault::Kind::ModelNotAllowed, message));
        }
        key.meter.hold(&key.grant, self.books.clock.now(), tokens, cost.unwrap_or_default())
    }

    /// Another model serves it, at its own price.
    pub fn served_by(&self, model: &str) {
        if let Some(open) = self.open.lock().as_mut() {
            open.row.model = model.into();
        }
    }

    /// A cheaper model was asked first, whose answer would not do: a row of its own, on the same account.
    pub fn escalated(&self, model: &str, usage: Option<Usage>) {
        if let Some(open) = self.open.lock().as_mut() {
            open.before = self.books.amount(model, usage).usd().unwrap_or_default();
            self.books.overhead(Kind::Escalation, open.row.payer.clone(), model, usage);
        }
    }

    /// Who answers it.
    pub fn deployment(&self, name: &Arc<str>) {
        if let Some(open) = self.open.lock().as_mut() {
            open.row.deployment = Some(name.clone());
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
        let open = Mutex::new(self.open.lock().take());
        Tab { books: self.books.clone(), key: self.key.clone(), began: self.began, open }
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

    /// Whether a virtual key vouches for the caller.
    pub fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// Whom it is booked to; `None` once it is settled.
    pub fn payer(&self) -> Option<Payer> {
        Some(self.open.lock().as_ref()?.row.payer.clone())
    }

    pub(super) fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref()
    }

    /// No request at all, only a question about one: no row comes of it.
    pub fn void(&self) {
        let open = self.open.lock().take();
        if let (Some(key), Some(Open { hold, .. })) = (&self.key, open) {
            key.meter.settle(self.books.clock.now(), hold, Some(0), NanoUsd(0));
        }
    }

    fn amount(&self, usage: Option<Usage>) -> Amount {
        let open = self.open.lock();
        open.as_ref().map_or(Amount::Nothing, |open| self.books.amount(&open.row.model, usage))
    }

    fn settle(&self, finish: impl FnOnce(&mut Row)) {
        let Some(Open { mut row, before, hold }) = self.open.lock().take() else { return };
        finish(&mut row);
        row.latency = self.began.elapsed();
        if let Some(key) = &self.key {
            let held = hold.map(|hold| hold.cost).unwrap_or_default();
            row.charged = row.spent.usd().unwrap_or(held);
            row.charged += before;
            let used = row.spent.usage().map(|usage| usage.prompt.saturating_add(usage.completion));
            key.meter.settle(self.books.clock.now(), hold, used, row.charged);
            self.books.joint.settled(key);
        }
        self.books.ledger.enter(row);
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.settle(|_| {});
    }
}
