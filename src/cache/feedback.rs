//! What people said of entries, and what follows from it.
//!
//! A report that an answer was wrong for a question tightens its entry at once: it no longer serves
//! that question, nor any that lies nearer to it than to the entry's own, nor any that scores no higher
//! than the wrong one did. Its own question, word for word, it goes on to serve. Where replicas share, a report
//! that drops or tightens an entry reaches all of them.

use super::Cache;
use super::entry::{Entry, EntryId};
use crate::base::digest::{ExactKey, Partition};
use crate::semantic::embedder::Vector;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes of all reports together, some three thousand refused questions. The least recently
/// consulted leave first.
const MEMORY: u64 = 8 << 20;
/// Refused questions kept for each entry; of more, the oldest is forgotten, the raised bar stays.
const MOST_REFUSED: usize = 8;
/// How long a report waits for the disk; past that the entry leaves it a little later.
const FLUSH: Duration = Duration::from_secs(2);
/// What the map and the record take beside the refused questions.
const OVERHEAD: usize = 300;

/// Reports by exact key. They outlive the entry: an answer recorded anew for the same question is
/// as little the answer to the refused ones. Kept in memory only. Costs a lookup nothing until there
/// is a report, and then one hash look-up a candidate.
pub(super) struct Feedback {
    reports: moka::sync::Cache<ExactKey, Arc<Reports>, ahash::RandomState>,
    any: AtomicBool,
}

/// How often an entry was reported right and wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub right: u32,
    pub wrong: u32,
}

#[derive(Clone, Debug, Default)]
struct Reports {
    tally: Tally,
    /// The highest score at which it went wrong: a question must lie nearer than that.
    bar: Option<Bar>,
    refused: Vec<Wrong>,
}

/// Scores of two models cannot be compared: where both have spoken, it is infinite.
#[derive(Clone, Debug)]
struct Bar {
    model: Arc<str>,
    at: f32,
}

/// A question that got an entry's answer, and should not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// BLAKE3 of its text.
    pub question: [u8; 32],
    /// What the vector came from.
    pub model: Arc<str>,
    pub vector: Vector,
    /// How near it lies to the entry's own question.
    pub score: f32,
}

/// What came of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reported {
    /// No entry has this id; it may have expired or been evicted.
    Unknown,
    /// Counted.
    Right,
    /// The entry is gone, from L1 and from the index.
    Dropped,
    /// It serves the reported question no longer, nor what scores no higher.
    Tightened { score: f32, partition: Partition },
}

impl Reported {
    /// The label of `feedback_total`.
    pub fn word(self) -> &'static str {
        match self {
            Reported::Unknown => "unknown",
            Reported::Right => "right",
            Reported::Dropped => "dropped",
            Reported::Tightened { .. } => "tightened",
        }
    }
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Right,
    /// The answer itself is wrong.
    Wrong,
    /// The answer is wrong for this question.
    WrongFor(String),
}

impl Cache {
    /// Takes a report. Finding the entry walks all of them on a blocking thread;
    /// tightening takes two embeddings. What cannot be compared by meaning (no model, a question that
    /// it does not cover, the entry's own words) cannot be tightened either: then the entry is dropped.
    pub async fn report(self: &Arc<Self>, id: EntryId, report: Report) -> Reported {
        let Some(entry) = self.find(id).await else { return Reported::Unknown };
        let question = match report {
            Report::Right => {
                self.feedback.note(entry.key, |reports| reports.tally.right += 1);
                return Reported::Right;
            }
            Report::Wrong => None,
            Report::WrongFor(question) => Some(question),
        };
        self.found_wrong(&entry, question.as_deref()).await
    }

    /// An entry's answer was wrong, for this question or altogether: what a report does, without the walk.
    pub async fn found_wrong(&self, entry: &Entry, question: Option<&str>) -> Reported {
        let compared = match question {
            Some(question) => self.compare(entry, question).await,
            None => None,
        };
        match compared {
            Some(wrong) => {
                let score = wrong.score;
                if let Some(shared) = self.shared() {
                    shared.tighten(&entry.key, &wrong);
                }
                self.tighten(entry.key, wrong);
                self.flush(FLUSH).await;
                Reported::Tightened { score, partition: entry.partition }
            }
            None => {
                self.feedback.note(entry.key, |reports| reports.tally.wrong += 1);
                self.drop_entry(entry);
                if let Some(shared) = self.shared() {
                    shared.drop_entry(entry);
                }
                self.flush(FLUSH).await;
                Reported::Dropped
            }
        }
    }

    /// What somebody has found wrong, here or on another replica.
    pub(super) fn tighten(&self, key: ExactKey, wrong: Wrong) {
        self.feedback.note(key, |reports| reports.refuse(wrong));
        self.unlearn(&key);
        // Reports are not on disk: the entry must not come back without them.
        if let Some(disk) = &self.disk {
            disk.remove(&key);
        }
    }

    /// Here, or where replicas share, in Redis.
    async fn find(self: &Arc<Self>, id: EntryId) -> Option<Arc<Entry>> {
        let cache = self.clone();
        let here = tokio::task::spawn_blocking(move || cache.store.find(id)).await.ok().flatten();
        match (here, self.shared()) {
            (None, Some(shared)) => shared.find(&id).await,
            (here, _) => here,
        }
    }

    /// The reported question, and how near it lies to the entry's own.
    async fn compare(&self, entry: &Entry, question: &str) -> Option<Wrong> {
        let own = entry.question.as_ref().filter(|own| ***own != *question)?;
        let semantic = self.semantic()?;
        semantic.suits(question).ok()?;
        let (vector, stored) =
            tokio::join!(semantic.embed_patiently(question), semantic.embed_patiently(own.clone()));
        let (vector, stored) = (vector.ok()?, stored.ok()?);
        let (score, model) = (cosine(&vector, &stored), Arc::from(semantic.model_name()));
        Some(Wrong { question: *blake3::hash(question.as_bytes()).as_bytes(), model, vector, score })
    }

    /// Out of memory and off the disk.
    pub(super) fn drop_entry(&self, entry: &Entry) {
        if let Some(disk) = &self.disk {
            disk.remove(&entry.key);
        }
        self.forget(entry);
    }
}

impl Feedback {
    pub fn new() -> Feedback {
        let reports = moka::sync::Cache::builder()
            .max_capacity(MEMORY)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, reports: &Arc<Reports>| u32::try_from(reports.size()).unwrap_or(u32::MAX))
            .build_with_hasher(ahash::RandomState::default());
        Feedback { reports, any: AtomicBool::new(false) }
    }

    /// Whether an entry, `score` away from what is asked, was reported wrong for it or for its like.
    pub fn refuses(&self, key: &ExactKey, asked: &str, model: &str, vector: &Vector, score: f32) -> bool {
        self.any()
            && self.reports.get(key).is_some_and(|reports| reports.refuses(asked, model, vector, score))
    }

    /// Whether there is a report on anything.
    fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Whether an entry was tightened. Costs one branch until there is a report.
    pub fn tightened(&self, key: &ExactKey) -> bool {
        self.any() && self.reports.get(key).is_some_and(|reports| reports.bar.is_some())
    }

    /// Of one entry, without counting as a use.
    pub fn tally(&self, key: &ExactKey) -> Tally {
        match self.reports.contains_key(key) {
            false => Tally::default(),
            true => self
                .reports
                .iter()
                .find(|(other, _)| **other == *key)
                .map_or(Tally::default(), |(_, held)| held.tally),
        }
    }

    fn note(&self, key: ExactKey, change: impl FnOnce(&mut Reports)) {
        self.reports.entry(key).and_compute_with(|held| {
            let mut reports = held.map(|held| Reports::clone(held.value())).unwrap_or_default();
            change(&mut reports);
            Op::Put(Arc::new(reports))
        });
        self.any.store(true, Ordering::Release);
    }
}

impl Reports {
    fn refuse(&mut self, wrong: Wrong) {
        self.tally.wrong += 1;
        let at = match &self.bar {
            None => wrong.score,
            Some(bar) if *bar.model == *wrong.model => bar.at.max(wrong.score),
            Some(_) => f32::INFINITY,
        };
        self.bar = Some(Bar { model: wrong.model.clone(), at });
        self.refused.retain(|refused| refused.question != wrong.question);
        if self.refused.len() == MOST_REFUSED {
            self.refused.remove(0);
        }
        self.refused.push(wrong);
    }

    fn refuses(&self, asked: &str, model: &str, vector: &Vector, score: f32) -> bool {
        let nearer = |refused: &Wrong| cosine(&refused.vector, vector) >= score;
        self.bar.as_ref().is_some_and(|bar| *bar.model != *model || score <= bar.at)
            || self.refused.iter().any(nearer)
            || (!self.refused.is_empty() && {
                let question = *blake3::hash(asked.as_bytes()).as_bytes();
                self.refused.iter().any(|refused| refused.question == question)
            })
    }

    fn size(&self) -> usize {
        let refused =
            self.refused.iter().map(|refused| size_of_val(&*refused.vector) + size_of::<Wrong>() + 64);
        OVERHEAD + refused.sum::<usize>()
    }
}

/// Of two vectors of length one; of two models' vectors, none.
fn cosine(a: &Vector, b: &Vector) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    a.iter().zip(b.iter()).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(degrees: f32) -> Vector {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Arc::from([cos, sin])
    }

    fn wrong(question: &str, degrees: f32) -> Wrong {
        let score = degrees.to_radians().cos();
        let question = *blake3::hash(question.as_bytes()).as_bytes();
        Wrong { question, model: "m".into(), vector: at(degrees), score }
    }

    /// The entry's own question lies at 0 degrees.
    fn refuses(reports: &Reports, degrees: f32) -> bool {
        reports.refuses("asked", "m", &at(degrees), degrees.to_radians().cos())
    }

    #[test]
    fn one_wrong_answer_refuses_its_like_and_leaves_the_rest() {
        let mut reports = Reports::default();
        reports.refuse(wrong("wrong", 20.0));
        assert!(refuses(&reports, 20.0), "the same meaning");
        assert!(refuses(&reports, 12.0), "nearer to the wrong one than to its own");
        assert!(refuses(&reports, -25.0), "on the other side, but no nearer than the wrong one was");
        assert!(!refuses(&reports, 8.0), "nearer to its own");
        assert!(!refuses(&reports, -15.0), "above the raised bar");
        assert!(reports.refuses("wrong", "m", &at(0.0), 1.0), "the very words");
    }

    #[test]
    fn what_another_model_found_wrong_cannot_be_judged_and_so_is_refused() {
        let mut reports = Reports::default();
        reports.refuse(wrong("wrong", 20.0));
        assert!(reports.refuses("asked", "another", &at(1.0), 0.99));
        reports.refuse(Wrong { model: "another".into(), ..wrong("other", 10.0) });
        assert!(refuses(&reports, 1.0) && reports.refuses("asked", "another", &at(1.0), 0.99));
    }

    #[test]
    fn the_list_is_bounded_and_the_bar_is_never_lowered() {
        let mut reports = Reports::default();
        for step in 0..20u8 {
            reports.refuse(wrong(&step.to_string(), 10.0 + f32::from(step)));
        }
        assert_eq!((reports.refused.len(), reports.tally.wrong), (MOST_REFUSED, 20));
        assert!(refuses(&reports, -11.0) && !refuses(&reports, -9.0));
    }
}
