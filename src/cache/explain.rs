//! The cascade told instead of done: nothing is stored, and nothing counts as a use. Where replicas share, Redis
//! is looked into as a look-up would.

use super::Cache;
use super::entry::Entry;
use super::feedback::Tally;
use super::lookup::{Asked, Decided, Found, Lookup, or_else};
use super::outlines::NearPartition;
use super::verdict::{Missed, Tier};
use crate::base::digest::{ExactKey, Partition};
use crate::canon::{Bypass, Outline, Question};
use crate::semantic::choose::{TRIED, Weighed, reaches, weigh};
use crate::semantic::embedder::Vector;
use crate::semantic::second::Second;
use crate::semantic::verify::{Judgement, Near, Reading, logistic, measure};
use crate::semantic::{Neighbour, Semantic};
use ahash::AHashMap;
use std::sync::Arc;

/// What a lookup would come to, and what it would go by.
#[derive(Debug)]
pub struct Explanation {
    pub outcome: Result<Found, Missed>,
    /// Whether the question may be compared by meaning.
    pub comparable: Result<(), Bypass>,
    /// Whether the partition holds anything that could be compared with.
    pub inhabited: bool,
    /// The five nearest in the partition, best first, whatever their score.
    pub neighbours: Vec<Judged>,
    /// Where nothing serves and nothing is near: what the request's context differs in from the nearest one in use.
    pub nearest: Option<NearPartition>,
}

/// One neighbour, and what speaks for and against it.
#[derive(Debug)]
pub struct Judged {
    pub key: ExactKey,
    pub score: f32,
    /// As stored.
    pub question: Arc<str>,
    pub reaches: bool,
    /// What the verifier says of it at the strictness in force, below the threshold too.
    pub judgement: Judgement,
    /// P(one answer serves both) by the learned score alone, 0 to 1.
    pub p: f32,
    /// The cross-encoder's own P(one answer serves both), where it was asked.
    pub cross: Option<f32>,
    /// Another wording of the stored question, which was asked before and is likelier the same.
    pub vouched_by: Option<Arc<str>>,
    /// Why it would not be served even so: stale, in no form that the client takes, reported wrong.
    pub unserved: Option<Missed>,
    pub feedback: Tally,
}

type Peeked = AHashMap<ExactKey, Arc<Entry>>;

impl Cache {
    /// What `lookup` would do. Costs one embedding and two walks over all entries on a blocking thread
    /// (linear in the entries): for the admin side. It waits for the embedder with more patience
    /// than `lookup` has, so `EmbedderShed` means that the model failed.
    pub async fn explain(self: &Arc<Self>, lookup: Lookup<'_>, outline: &Outline) -> Explanation {
        let canon = lookup.canon;
        let mut own = self.peek(vec![canon.exact]).await.remove(&canon.exact);
        if own.is_none() && self.may_recall(&canon.exact) {
            own = self.on_disk(canon.exact).await;
        }
        let own = own.filter(|entry| entry.partition == canon.partition);
        let mut outcome = self.at_exact_key(own, lookup.demand);
        if let Err(why) = outcome
            && let Some(entry) = self.in_shared(canon).await
        {
            let far = self.at_exact_key(Some(entry), lookup.demand);
            let far = far.map(|found| Found { tier: Tier::L3, ..found });
            outcome = far.map_err(|missed| or_else(why, missed));
        }
        let (mut comparable, mut neighbours) = (Ok(()), Vec::new());
        let meaning = match self.comparable(canon) {
            Ok((semantic, question)) => self.explain_by_meaning(&lookup, &semantic, question).await,
            Err(bypass) => {
                comparable = Err(bypass);
                Err(Missed::ExactOnly(bypass))
            }
        };
        let meaning = meaning.and_then(|(found, judged)| {
            neighbours = judged;
            found
        });
        outcome = outcome.or_else(|exact| meaning.map_err(|missed| or_else(exact, missed)));
        let lives = self.semantic();
        let lives =
            |partition: &Partition| lives.as_ref().is_some_and(|semantic| semantic.index().knows(partition));
        let nearest = match outcome.is_ok() || neighbours.iter().any(|neighbour| neighbour.reaches) {
            true => None,
            false => self.outlines.nearest(outline, &canon.partition, lives),
        };
        let inhabited = lives(&canon.partition) || !neighbours.is_empty();
        Explanation { outcome, comparable, inhabited, neighbours, nearest }
    }

    /// `Err`: the question could not be embedded.
    async fn explain_by_meaning(
        self: &Arc<Self>,
        lookup: &Lookup<'_>,
        semantic: &Semantic,
        question: &Question,
    ) -> Result<(Result<Found, Missed>, Vec<Judged>), Missed> {
        let partition = lookup.canon.partition;
        if !semantic.index().knows(&partition) && !self.searches_shared() {
            return Ok((Err(Missed::Unknown), Vec::new()));
        }
        let vector: Vector =
            semantic.embed_patiently(question.0.as_str()).await.map_err(|_| Missed::EmbedderShed)?;
        let mut near = semantic.nearest(&partition, &vector, TRIED + 1, 0.0);
        let mut peeked = self.peek(near.iter().map(|neighbour| neighbour.key).collect()).await;
        let asked = lookup.asked(semantic, question, &vector);
        let mut outcome = self.told(&asked, &near, lookup, &peeked).await;
        if let Err(missed) = outcome
            && let Some((all, far)) = self.near_in_shared(&partition, semantic, &asked).await
        {
            near = all;
            peeked.extend(far.iter().map(|entry| (entry.key, entry.clone())));
            let is_far = |found: &Found| far.iter().any(|entry| entry.key == found.entry.key);
            outcome = self.told(&asked, &near, lookup, &peeked).await.map_err(|other| or_else(missed, other));
            outcome = outcome.map(|found| match is_far(&found) {
                true => Found { tier: Tier::L3, ..found },
                false => found,
            });
        }
        let there = |neighbour: &Neighbour| there(&peeked, &partition, neighbour);
        let reading = Reading::of(&question.0);
        let texts = near.iter().take(TRIED).map(|neighbour| neighbour.question.clone()).collect();
        let said = semantic.opinions(&question.0, texts).await;
        let second = said.as_ref().map(|said| said as &dyn Second);
        let judged = near.iter().take(TRIED).enumerate().map(|(rank, neighbour)| {
            let gap = near.get(rank + 1).map(|next| neighbour.score - next.score);
            let stored = Reading::of(&neighbour.question);
            let pair = Near { asked: &reading, stored: &stored, cosine: neighbour.score, gap };
            let Weighed { judgement, second, by } =
                weigh(asked.read(&reading, second), &pair, neighbour, asked.bar);
            Judged {
                key: neighbour.key,
                score: neighbour.score,
                question: neighbour.question.clone(),
                reaches: reaches(neighbour.score, asked.bar.threshold),
                judgement,
                p: measure(&pair).2,
                cross: second.map(logistic),
                vouched_by: by,
                unserved: match there(neighbour) {
                    Some(entry) => self.unserved(&asked, neighbour, &entry, lookup.demand),
                    None => Some(Missed::Unknown),
                },
                feedback: self.feedback.tally(&neighbour.key),
            }
        });
        let judged = judged.collect();
        Ok((outcome, judged))
    }

    async fn told(
        &self,
        asked: &Asked<'_>,
        near: &[Neighbour],
        lookup: &Lookup<'_>,
        peeked: &Peeked,
    ) -> Result<Found, Missed> {
        let there = |neighbour: &Neighbour| there(peeked, &lookup.canon.partition, neighbour);
        match self.decide(asked, near, lookup.demand, there).await {
            Decided::Serves(found) => Ok(found),
            Decided::FallsShort(_, missed) | Decided::No(missed) => Err(missed),
        }
    }

    async fn peek(self: &Arc<Self>, keys: Vec<ExactKey>) -> Peeked {
        let cache = self.clone();
        tokio::task::spawn_blocking(move || cache.store.peek(&keys)).await.unwrap_or_default()
    }
}

fn there(peeked: &Peeked, partition: &Partition, neighbour: &Neighbour) -> Option<Arc<Entry>> {
    peeked.get(&neighbour.key).filter(|entry| entry.partition == *partition).cloned()
}
