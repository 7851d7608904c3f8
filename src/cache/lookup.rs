//! The cascade of one lookup.

use super::Cache;
use super::entry::{Content, Entry};
use super::verdict::{Missed, Tier};
use crate::base::clock::Millis;
use crate::base::digest::{ExactKey, Partition};
use crate::canon::{Bypass, Canon, Question};
use crate::config::Strictness;
use crate::semantic::choose::{self, Bar, Choice, Refusal, TRIED, Vouchers, choose, reaches};
use crate::semantic::embedder::Vector;
use crate::semantic::second::{Second, Wanted};
use crate::semantic::verify::Reading;
use crate::semantic::wordings::Wording;
use crate::semantic::{Neighbour, Semantic};
use crate::tape::Playback;
use crate::wire::request::Form;
use std::sync::Arc;
use std::time::Duration;

/// What a client will take.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub form: Form,
    /// `Cache-Control: max-age`.
    pub max_age: Option<Duration>,
    /// `Cache-Control: min-fresh`.
    pub min_fresh: Option<Duration>,
}

impl Demand {
    fn allows(&self, entry: &Entry, now: Millis) -> bool {
        self.max_age.is_none_or(|limit| entry.age(now) <= limit)
            && self.min_fresh.is_none_or(|least| entry.ttl(now) >= least)
    }
}

/// One question to the cache.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    pub canon: &'a Canon,
    pub demand: Demand,
    /// The client's or the route's threshold; `None`: the model's calibrated one.
    pub threshold: Option<f32>,
    pub verify: Strictness,
    /// Where wrong hits are watched: a neighbour from this cosine on is told even where it lies below the threshold.
    pub floor: Option<f32>,
}

impl Lookup<'_> {
    /// What a stored question must pass.
    pub(super) fn bar(&self, semantic: &Semantic) -> Bar {
        let threshold = self.threshold.unwrap_or_else(|| semantic.threshold(self.verify));
        Bar { threshold, floor: self.floor, verify: self.verify }
    }

    pub(super) fn asked<'q>(
        &self,
        semantic: &'q Semantic,
        question: &'q Question,
        vector: &'q Vector,
    ) -> Asked<'q> {
        Asked { question, vector, semantic, bar: self.bar(semantic) }
    }
}

/// A question on its way through the neighbourhood.
pub(super) struct Asked<'a> {
    pub question: &'a Question,
    pub vector: &'a Vector,
    /// What the vector came from.
    pub semantic: &'a Semantic,
    pub bar: Bar,
}

impl<'a> Asked<'a> {
    /// The same for the verifier, its question read.
    pub fn read<'r>(&self, reading: &'r Reading, second: Option<&'r dyn Second>) -> choose::Asked<'r>
    where
        'a: 'r,
    {
        choose::Asked { reading, vouchers: Some(self.vouchers()), second }
    }

    fn vouchers(&self) -> Vouchers<'a> {
        let (text, vector) = (self.question.0.as_str(), self.vector);
        Vouchers { text, vector, wordings: self.semantic.wordings() }
    }
}

/// What the neighbourhood comes to.
pub(super) enum Decided {
    Serves(Found),
    /// It passed all but the threshold.
    FallsShort(Found, Missed),
    No(Missed),
}

/// What was found.
#[derive(Debug)]
pub enum Looked {
    Hit(Found),
    /// `embedding`: the question's, to be kept with the answer.
    Miss {
        why: Missed,
        embedding: Embedding,
        /// The neighbour that would have been served at `Lookup::floor`.
        near: Option<Box<Found>>,
    },
}

/// How far a lookup has come with the question's embedding.
#[derive(Debug)]
pub enum Embedding {
    /// There was nothing to compare it with.
    NotAsked,
    /// The embedder is behind or fails.
    Shed,
    Done(Vector),
}

#[derive(Debug)]
pub struct Found {
    pub entry: Arc<Entry>,
    pub tier: Tier,
    pub score: Option<f32>,
    pub playback: Playback,
    /// What was asked, where it was surely the stored question in other words.
    pub wording: Option<Wording>,
}

/// Whether one entry serves one demand.
enum Served {
    Yes(Playback),
    No(Missed),
}

impl Cache {
    /// Exact first; by meaning only on a miss, only if the question may be compared so, and only where
    /// its partition holds anything (an empty one costs no embedding).
    pub async fn lookup(&self, lookup: Lookup<'_>) -> Looked {
        let canon = lookup.canon;
        let mut own = self.exact(&canon.exact, &canon.partition);
        if own.is_none() && self.may_recall(&canon.exact) {
            self.recall(&[canon.exact]).await;
            own = self.exact(&canon.exact, &canon.partition);
        }
        let why = match self.at_exact_key(own, lookup.demand) {
            Ok(found) => return Looked::Hit(found),
            Err(missed) => missed,
        };
        if let Some(shared) = self.shared()
            && let Some(lines) = shared.lines()
        {
            return Box::pin(self.lookup_shared(&lookup, shared, &lines, why)).await;
        }
        let (semantic, question) = match self.comparable(canon) {
            Ok(comparable) => comparable,
            Err(bypass) => {
                return missed(or_else(why, Missed::ExactOnly(bypass)));
            }
        };
        if !semantic.index().knows(&canon.partition) {
            return missed(why);
        }
        let vector = match semantic.embed(question.0.as_str()).await {
            Ok(vector) => vector,
            Err(_) => return shed(why),
        };
        let (missed, near) = match self.by_meaning(&lookup, &semantic, question, &vector).await {
            Decided::Serves(found) => return Looked::Hit(found),
            Decided::FallsShort(found, missed) => (missed, Some(Box::new(found))),
            Decided::No(missed) => (missed, None),
        };
        Looked::Miss { why: or_else(why, missed), embedding: Embedding::Done(vector), near }
    }

    /// What memory has under the exact key, if it serves: the first step of a look-up, for one who did it all. Where
    /// there is nothing, the request is not counted a second time: L1 keeps what is asked for often.
    pub fn at_hand(&self, lookup: &Lookup<'_>) -> Option<Found> {
        let Canon { exact, partition, .. } = lookup.canon;
        let own = if self.store.has(exact) { self.exact(exact, partition) } else { None };
        self.at_exact_key(own, lookup.demand).ok()
    }

    /// What the entry of the exact key comes to.
    pub(super) fn at_exact_key(&self, entry: Option<Arc<Entry>>, demand: Demand) -> Result<Found, Missed> {
        let entry = entry.ok_or(Missed::Unknown)?;
        match self.serves(&entry, demand) {
            Served::Yes(playback) => {
                Ok(Found { entry, tier: Tier::L1, score: None, playback, wording: None })
            }
            Served::No(missed) => Err(missed),
        }
    }

    /// What is needed to compare a question by meaning, or why it may not be.
    pub(super) fn comparable<'c>(&self, canon: &'c Canon) -> Result<(Arc<Semantic>, &'c Question), Bypass> {
        let question = canon.question.as_ref().map_err(|bypass| *bypass)?;
        let semantic = self.semantic().ok_or(Bypass::SemanticOff)?;
        semantic.suits(&question.0)?;
        Ok((semantic, question))
    }

    /// An entry of exactly this request, fresh or not. The partition is compared beside the key.
    pub fn exact(&self, key: &ExactKey, partition: &Partition) -> Option<Arc<Entry>> {
        self.store.get(key).filter(|entry| entry.partition == *partition)
    }

    /// An entry of exactly this request that has expired, but not for longer than `limit`.
    pub fn stale(&self, key: &ExactKey, partition: &Partition, form: Form, limit: Duration) -> Option<Found> {
        let entry = self.exact(key, partition)?;
        let Content::Answer(tape) = &entry.content else { return None };
        let playback = tape.play(form).ok()?;
        (self.clock.now() < entry.expires.plus(limit)).then(|| Found {
            entry: entry.clone(),
            tier: Tier::L1,
            score: None,
            playback,
            wording: None,
        })
    }

    /// One input's embedding, if it is fresh and not older than the client takes.
    pub fn embedding(&self, key: &ExactKey, demand: Demand) -> Option<Arc<Entry>> {
        let entry = self.exact(key, &Partition(key.0))?;
        let now = self.clock.now();
        (entry.is_fresh(now) && demand.allows(&entry, now)).then_some(entry)
    }

    pub(super) async fn by_meaning(
        &self,
        lookup: &Lookup<'_>,
        semantic: &Semantic,
        question: &Question,
        vector: &Vector,
    ) -> Decided {
        let partition = &lookup.canon.partition;
        let neighbours = semantic.nearest(partition, vector, TRIED + 1, 0.0);
        let asked = lookup.asked(semantic, question, vector);
        self.decide(&asked, &neighbours, lookup.demand, |neighbour| {
            let now = self.clock.now();
            let entry = self.exact(&neighbour.key, partition).filter(|entry| entry.is_fresh(now));
            if entry.is_none() {
                // Evicted between its removal from L1 and from the index, or held past its expiry.
                semantic.remove(partition, &neighbour.key);
            }
            entry
        })
        .await
    }

    /// A hit is given to its client: remembers what was asked, if it was surely the stored question in other words. Not
    /// where the entry served somebody wrongly.
    pub fn learn(&self, found: &Found) {
        let (Some(wording), Some(semantic)) = (&found.wording, self.semantic()) else { return };
        let key = found.entry.key;
        semantic.wordings().note(key, wording);
        // Asked last, so that a report or a removal of this moment is not missed.
        if self.feedback.tightened(&key) || !self.store.has(&key) {
            semantic.wordings().forget(&key);
        }
    }

    /// An entry served, or would have served, somebody wrongly: another wording may have spoken for it.
    pub fn unlearn(&self, key: &ExactKey) {
        if let Some(semantic) = self.semantic() {
            semantic.wordings().forget(key);
        }
    }

    /// Which of `neighbours` serves, if any; `entry` gives a neighbour's, as long as it is there. Where one is in doubt, a second reader
    /// is asked before the decision; if it says nothing, that is what it would be without it.
    pub(super) async fn decide(
        &self,
        asked: &Asked<'_>,
        neighbours: &[Neighbour],
        demand: Demand,
        entry: impl Fn(&Neighbour) -> Option<Arc<Entry>>,
    ) -> Decided {
        let wanted = Wanted::default();
        let second = asked.semantic.has_cross_encoder().then_some(&wanted as &dyn Second);
        let decided = self.decide_with(second, asked, neighbours, demand, &entry);
        let doubted = wanted.texts();
        if doubted.is_empty() {
            return decided;
        }
        drop(decided);
        let said = Box::pin(asked.semantic.opinions(&asked.question.0, doubted)).await;
        self.decide_with(said.as_ref().map(|said| said as &dyn Second), asked, neighbours, demand, entry)
    }

    fn decide_with(
        &self,
        second: Option<&dyn Second>,
        asked: &Asked<'_>,
        neighbours: &[Neighbour],
        demand: Demand,
        entry: impl Fn(&Neighbour) -> Option<Arc<Entry>>,
    ) -> Decided {
        let (mut servable, mut unserved) = (Vec::new(), None);
        let threshold = asked.bar.threshold;
        let question = Reading::of(&asked.question.0);
        let choice = choose(asked.read(&question, second), neighbours, asked.bar, |neighbour| {
            let entry = entry(neighbour)?;
            match self.serves_for(asked, neighbour, &entry, demand) {
                Served::Yes(playback) => {
                    let score = Some(neighbour.score);
                    servable.push(Found { entry, tier: Tier::L2, score, playback, wording: None });
                    Some(Reading::of(&neighbour.question))
                }
                Served::No(missed) => {
                    unserved.get_or_insert(missed);
                    None
                }
            }
        });
        let found = match choice {
            Choice::Serve { key, surely, .. } => {
                let found = servable.into_iter().find(|found| found.entry.key == key);
                found.map(|found| Found { wording: surely.then(|| asked.vouchers().wording()), ..found })
            }
            Choice::Refuse { .. } => None,
        };
        match (choice, found) {
            (Choice::Serve { score, .. }, Some(found)) if reaches(score, threshold) => Decided::Serves(found),
            (Choice::Serve { .. }, Some(found)) => {
                let exact = threshold == f32::INFINITY;
                Decided::FallsShort(found, if exact { Missed::BudgetExact } else { Missed::BelowThreshold })
            }
            (Choice::Refuse { why: Refusal::Refused(rule), .. }, _) => Decided::No(Missed::Refused(rule)),
            (Choice::Refuse { why: Refusal::BelowThreshold, .. }, _) => {
                Decided::No(unserved.unwrap_or(Missed::BelowThreshold))
            }
            (Choice::Refuse { why: Refusal::Nothing, .. } | Choice::Serve { .. }, _) => {
                Decided::No(unserved.unwrap_or(Missed::Unknown))
            }
        }
    }

    /// As `serves`, for a question in other words: what people said of the entry counts too.
    fn serves_for(&self, asked: &Asked<'_>, neighbour: &Neighbour, entry: &Entry, demand: Demand) -> Served {
        let Asked { question, vector, semantic, .. } = asked;
        let model = semantic.model_name();
        match self.feedback.refuses(&entry.key, &question.0, model, vector, neighbour.score) {
            true => Served::No(Missed::ReportedWrong),
            false => self.serves(entry, demand),
        }
    }

    /// Why an entry in the neighbourhood would not be served, whatever the verifier says.
    pub(super) fn unserved(
        &self,
        asked: &Asked<'_>,
        neighbour: &Neighbour,
        entry: &Entry,
        demand: Demand,
    ) -> Option<Missed> {
        match self.serves_for(asked, neighbour, entry, demand) {
            Served::Yes(_) => None,
            Served::No(missed) => Some(missed),
        }
    }

    fn serves(&self, entry: &Entry, demand: Demand) -> Served {
        let now = self.clock.now();
        if !entry.is_fresh(now) {
            return Served::No(Missed::Unknown);
        }
        if !demand.allows(entry, now) {
            return Served::No(Missed::TooOld);
        }
        let Content::Answer(tape) = &entry.content else { return Served::No(Missed::Unknown) };
        match tape.play(demand.form) {
            Ok(playback) => Served::Yes(playback),
            Err(why) => Served::No(Missed::CannotPlay(why)),
        }
    }
}

/// A miss without an embedding.
pub(super) fn missed(why: Missed) -> Looked {
    Looked::Miss { why, embedding: Embedding::NotAsked, near: None }
}

/// A miss because the embedder is behind.
pub(super) fn shed(why: Missed) -> Looked {
    let why = or_else(why, Missed::EmbedderShed);
    Looked::Miss { why, embedding: Embedding::Shed, near: None }
}

/// The more telling of two reasons: an entry that was there but did not serve says more.
pub(super) fn or_else(exact: Missed, meaning: Missed) -> Missed {
    if exact == Missed::Unknown { meaning } else { exact }
}
