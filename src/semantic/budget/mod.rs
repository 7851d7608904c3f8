//! A wrong-answer budget for one route: `semantic.max_wrong_rate` in place of a threshold.
//!
//! ```text
//! hit  ─ on_hit ──> drawn? ─> the upstream is asked too ┐
//! miss ─ on_miss ─> drawn? ─> (it was asked anyway) ────┤ verdicts: same, differs
//!                                                       └> hear ─> docket ─> ladder: bets per threshold
//!                                threshold() <── lowest proven threshold, or exact <──┘
//! ```
//!
//! | file | has |
//! |---|---|
//! | `settings` | what it is told; what follows from that; what cannot be proven |
//! | `wager` | one bet against one claim: the statistics |
//! | `ladder` | every threshold's bets; which one may be served |
//! | `plan` | who is audited with which probability |
//! | `docket` | open audits, counted in the order drawn |
//! | `report` | what it says and is told |
//! | `state` | what survives a restart |
//!
//! **Promise.** While the mix of traffic stands still and verdicts err no more than `audit_error` says, each proof
//! ("at most `max_wrong_rate` of the hits from this score on are wrong") is false with probability at most
//! 1 - `confidence`, however often it is looked at, and whichever threshold was served meanwhile. A proof
//! lives until its evidence turns; then the threshold rises at once.
//! **Only eventual.** After a shift of the mix the old proof stands until a few wrong answers were audited; `docs/TRUST.md`
//! has the numbers. **Not promised.** Anything about hits that a client's own override served, and anything
//! if judges share one blind spot.
//!
//! Pure: no clock, no I/O, no task. `threshold` is one atomic read; `on_hit` and `on_miss` cost some tens of nanoseconds
//! where nothing is drawn; a label costs a few microseconds.

mod docket;
mod ladder;
mod plan;
mod report;
mod settings;
mod state;
mod wager;

pub use docket::Ticket;
pub use plan::Fallback;
pub use report::{Draw, Heard, Report, Standing, Tried, Verdict};
pub use settings::{AuditShares, Serving, Settings, Start, Terms, Unfit};
pub use state::{Anew, Counts};

use arc_swap::ArcSwap;
use docket::{Docket, Label};
use ladder::Ladder;
use parking_lot::Mutex;
use plan::{Plan, Side};
use settings::RUNGS;
use state::{Asks, Saved, VERSION};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Weight that the verifier's record keeps per label.
const KEEP: f64 = 0.999;
/// How fast the alert after a lapsed proof fades, per label: to a half after 69.
const CALMING: f32 = 0.99;
/// Candidates counted by rung before all counts are halved.
const RECENT: u64 = 50_000;

/// How a budget began.
#[derive(Debug)]
pub enum Opened {
    Resumed(Budget),
    Anew(Budget, Anew),
}

/// See the module's page.
#[derive(Debug)]
pub struct Budget {
    terms: Terms,
    /// Bits of the threshold; infinity is exact.
    threshold: AtomicU32,
    plan: ArcSwap<Plan>,
    rng: AtomicU64,
    seen: AtomicU64,
    hits: AtomicU64,
    audits: AtomicU64,
    candidates: [AtomicU64; RUNGS],
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    docket: Docket,
    ladder: Ladder,
    counts: Counts,
    held: Option<usize>,
    started: bool,
    alert: f32,
    verifier: [f64; 3],
}

impl Budget {
    /// `seed` decides which candidates are drawn; the same seed and outcomes give the same run.
    pub fn new(settings: Settings, seed: u64) -> Result<Budget, Unfit> {
        let terms = Terms::of(settings)?;
        Ok(Budget::from(terms.clone(), fresh(&terms, seed)))
    }

    /// Takes up saved evidence, or begins anew where it cannot be used, and says why.
    pub fn open(settings: Settings, seed: u64, json: &[u8]) -> Result<Opened, Unfit> {
        let terms = Terms::of(settings)?;
        Ok(match state::read(json, &Asks::of(&terms), &terms) {
            Ok(saved) => Opened::Resumed(Budget::from(terms, saved)),
            Err(why) => Opened::Anew(Budget::from(terms.clone(), fresh(&terms, seed)), why),
        })
    }

    fn from(terms: Terms, saved: Saved) -> Budget {
        let Saved { version: _, asks: _, rng, counts, candidates, ladder, held, started, alert, verifier } =
            saved;
        let books =
            Books { docket: Docket::after(counts.lost), ladder, counts, held, started, alert, verifier };
        let serve = books.serve(&terms);
        let plan = Plan::of(&terms, &books.ladder, serve, books.rung(&terms), 1.0, books.alert);
        let budget = Budget {
            threshold: AtomicU32::new(bits(serve)),
            plan: ArcSwap::from_pointee(plan),
            rng: AtomicU64::new(rng),
            seen: AtomicU64::new(counts.candidates),
            hits: AtomicU64::new(counts.hits),
            audits: AtomicU64::new(counts.audits),
            candidates: candidates.map(AtomicU64::new),
            books: Mutex::new(books),
            terms,
        };
        budget.follow(&mut budget.books.lock());
        budget
    }

    /// The whole state but open audits, some 25 KB. Write it where a crash cannot leave half of it.
    pub fn save(&self) -> Result<Vec<u8>, serde_json::Error> {
        let books = self.books.lock();
        serde_json::to_vec(&Saved {
            version: VERSION,
            asks: Asks::of(&self.terms),
            rng: self.rng.load(Relaxed),
            counts: self.counts(&books),
            candidates: std::array::from_fn(|rung| self.candidates[rung].load(Relaxed)),
            ladder: books.ladder.clone(),
            held: books.held,
            started: books.started,
            alert: books.alert,
            verifier: books.verifier,
        })
    }

    /// What to serve now. One atomic read.
    pub fn threshold(&self) -> Fallback {
        let threshold = f32::from_bits(self.threshold.load(Relaxed));
        if threshold.is_finite() { Fallback::From(threshold) } else { Fallback::Exact }
    }

    /// A semantic hit was served. `p` is the verifier's probability that it is right.
    pub fn on_hit(&self, score: f32, p: Option<f32>) -> Draw {
        let plan = self.plan.load();
        let Some(share) = plan.share(score, Side::Hit) else { return Draw::Skip };
        self.count(score);
        self.hits.fetch_add(1, Relaxed);
        if !self.can_afford() || !self.drawn(share) {
            return Draw::Skip;
        }
        self.audits.fetch_add(1, Relaxed);
        self.ticket(&plan, score, p, share)
    }

    /// A request went upstream although a neighbour at `score` had passed all but the threshold (or everything, in observe mode).
    pub fn on_miss(&self, score: f32, p: Option<f32>) -> Draw {
        let plan = self.plan.load();
        if self.terms.rung_of(score).is_none() {
            return Draw::Skip;
        }
        let Some(share) = plan.share(score, Side::Miss) else { return Draw::Skip };
        self.count(score);
        // Where hits are served, misses are compared only while hits could be audited too: a stretch of labels from below the
        // threshold alone would speak about other candidates than those that a lower threshold would serve.
        if (plan.audits_hits() && !self.can_afford()) || !self.drawn(share) {
            return Draw::Skip;
        }
        self.books.lock().counts.shadows += 1;
        self.ticket(&plan, score, p, share)
    }

    fn ticket(&self, plan: &Plan, score: f32, p: Option<f32>, share: f32) -> Draw {
        let stake = f64::from(plan.least() / share).min(1.0);
        let mut books = self.books.lock();
        let number = books.docket.open();
        self.settle(&mut books);
        Draw::Audit(Ticket { number, score, p, share, stake, differed: 0 })
    }

    /// A verdict on a drawn candidate. "Agrees" settles it; "differs" is asked for again as often as `audit_error` needs.
    pub fn hear(&self, mut ticket: Ticket, verdict: Verdict) -> Heard {
        let mut books = self.books.lock();
        books.counts.verdicts += 1;
        ticket.differed += u8::from(verdict == Verdict::Differs);
        if verdict == Verdict::Differs && ticket.differed < self.terms.verdicts {
            return Heard::AskAgain(ticket);
        }
        let Ticket { number, score, p, share, stake, differed: _ } = ticket;
        books.docket.label(number, Label { score, p, share, stake, wrong: verdict == Verdict::Differs });
        self.settle(&mut books);
        Heard::Settled
    }

    /// No verdict will come: the upstream or the judge was away. It counts for nothing, so keep an eye on `Counts::lost`:
    /// the promise needs losses that have nothing to do with being wrong.
    pub fn lose(&self, ticket: Ticket) {
        let mut books = self.books.lock();
        books.docket.lose(ticket.number);
        self.settle(&mut books);
    }

    /// A user said that a hit at `score` was wrong. Complaints are no sample, so they only ever tighten.
    pub fn complain(&self, score: f32) {
        let mut books = self.books.lock();
        books.counts.complaints += 1;
        books.ladder.complain(&self.terms, score);
        self.follow(&mut books);
    }

    pub fn report(&self) -> Report {
        let books = self.books.lock();
        let serve = books.serve(&self.terms);
        let rung = books.rung(&self.terms);
        let standing = match (books.held, serve) {
            (Some(_), _) => Standing::Held,
            (None, Fallback::From(_)) => Standing::Unproven,
            (None, Fallback::Exact) => Standing::Exact,
        };
        let [labels, expected, seen] = books.verifier;
        Report {
            serve,
            standing,
            bound: rung.and_then(|rung| books.ladder.bound(&self.terms, rung)),
            estimate: rung
                .and_then(|rung| books.ladder.seen(rung))
                .map(|seen| self.terms.corrected(seen.rate)),
            audit_share: self.plan.load().share(1.0, Side::Hit).unwrap_or(0.0),
            counts: self.counts(&books),
            verifier_excess: (labels >= 100.0).then(|| (expected - seen) / labels),
            evidence_needed: self.terms.evidence_needed,
        }
    }

    fn counts(&self, books: &Books) -> Counts {
        let (hits, audits) = (self.hits.load(Relaxed), self.audits.load(Relaxed));
        Counts { candidates: self.seen.load(Relaxed), hits, audits, lost: books.docket.lost, ..books.counts }
    }

    /// SplitMix64 (Steele, Lea & Flood 2014): one atomic addition and a few shifts.
    fn drawn(&self, share: f32) -> bool {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut x = self.rng.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        ((x >> 40) as f32) < share * (1u32 << 24) as f32
    }

    fn can_afford(&self) -> bool {
        (self.audits.load(Relaxed) + 1) as f64 <= self.allowance()
    }

    fn allowance(&self) -> f64 {
        let AuditShares { most, burst, .. } = self.terms.settings.audits;
        f64::from(burst) + f64::from(most) * self.seen.load(Relaxed) as f64
    }

    fn count(&self, score: f32) {
        self.seen.fetch_add(1, Relaxed);
        if let Some(rung) = self.terms.rung_of(score) {
            self.candidates[rung].fetch_add(1, Relaxed);
        }
    }

    fn settle(&self, books: &mut Books) {
        while let Some(label) = books.docket.next() {
            books.counts.labels += 1;
            books.counts.wrong += u64::from(label.wrong);
            books.ladder.learn(&self.terms, &label);
            if let Some(p) = label.p {
                let now = [1.0, 1.0 - f64::from(p), f64::from(u8::from(label.wrong))];
                books.verifier = std::array::from_fn(|at| books.verifier[at] * KEEP + now[at]);
            }
            self.follow(books);
        }
    }

    /// Lets starts, threshold and plan follow the evidence.
    fn follow(&self, books: &mut Books) {
        let counts: [u64; RUNGS] = std::array::from_fn(|rung| self.candidates[rung].load(Relaxed));
        books.ladder.choose_starts(&counts);
        if counts.iter().sum::<u64>() > RECENT {
            for (count, seen) in self.candidates.iter().zip(counts) {
                count.fetch_sub(seen / 2, Relaxed);
            }
        }
        let before = bits(books.serve(&self.terms));
        books.held = books.ladder.lowest_proven(&self.terms, books.held);
        books.started |= books.held.is_some() || books.start_is_refuted(&self.terms);
        let serve = books.serve(&self.terms);
        // Positive floats order as their bits do, infinity (exact) last.
        let raised = bits(serve) > before;
        books.alert = if raised { 1.0 } else { books.alert * CALMING };
        books.counts.raised += u64::from(raised);
        books.counts.lowered += u64::from(bits(serve) < before);
        let spent = self.audits.load(Relaxed) as f64;
        let spare = (self.allowance() - spent) / f64::from(self.terms.settings.audits.burst.max(1));
        let plan = Plan::of(
            &self.terms,
            &books.ladder,
            serve,
            books.held,
            spare.clamp(0.0, 1.0) as f32,
            books.alert,
        );
        if **self.plan.load() != plan {
            self.plan.store(Arc::new(plan));
        }
        self.threshold.store(bits(serve), Relaxed);
    }
}

impl Books {
    fn serve(&self, terms: &Terms) -> Fallback {
        match (self.held, terms.settings.start) {
            (Some(rung), _) => Fallback::From(terms.score_of(rung)),
            (None, Start::At(score)) if !self.started => Fallback::From(score),
            _ => Fallback::Exact,
        }
    }

    /// The rung whose hits are those served.
    fn rung(&self, terms: &Terms) -> Option<usize> {
        match self.serve(terms) {
            Fallback::From(score) => terms.rung_of(score),
            Fallback::Exact => None,
        }
    }

    fn start_is_refuted(&self, terms: &Terms) -> bool {
        self.rung(terms).is_some_and(|rung| self.ladder.refutes(rung))
    }
}

fn bits(serve: Fallback) -> u32 {
    match serve {
        Fallback::From(score) => score.max(0.0).to_bits(),
        Fallback::Exact => f32::INFINITY.to_bits(),
    }
}

fn fresh(terms: &Terms, seed: u64) -> Saved {
    Saved {
        version: VERSION,
        asks: Asks::of(terms),
        rng: seed,
        counts: Counts::default(),
        candidates: [0; RUNGS],
        ladder: Ladder::fresh(),
        held: None,
        started: false,
        alert: 0.0,
        verifier: [0.0; 3],
    }
}
