//! The cascade of a look-up with this tier in it.

use super::line::{Lines, Meaning};
use super::read::Near;
use super::{Shared, Wait};
use crate::base::digest::{ExactKey, Partition};
use crate::cache::codec::{Embedding, Stored};
use crate::cache::lookup::{self, Asked, Decided, Demand, Found, Looked, Lookup, or_else};
use crate::cache::verdict::{Missed, Tier};
use crate::cache::{Cache, Entry};
use crate::canon::Canon;
use crate::semantic::choose::TRIED;
use crate::semantic::embedder::{EmbedError, Vector};
use crate::semantic::{Neighbour, Semantic};
use std::sync::Arc;

/// How far Redis's rounded cosine may lie from the true one, with room: for 20,000 pairs of random vectors of
/// 384 and 512 numbers, at cosines from 0 to 1, eight bits a number were off by 0.0024 at most.
const ROUNDING: f32 = 0.01;

impl Cache {
    /// What follows on a miss in L1 while the tier flows. The exact look-up runs beside the embedding; an
    /// exact hit does not wait for it, and what is near waits for the exact one, because it is more right.
    pub(in crate::cache) async fn lookup_shared(
        &self,
        lookup: &Lookup<'_>,
        shared: &Shared,
        lines: &Arc<Lines>,
        why: Missed,
    ) -> Looked {
        let canon = lookup.canon;
        let exact = shared.get(lines, &canon.partition, &canon.exact);
        let (semantic, question) = match self.comparable(canon) {
            Ok(comparable) => comparable,
            Err(bypass) => {
                return match self.served(exact.await, lookup.demand) {
                    Ok(found) => Looked::Hit(found),
                    Err(missed) => lookup::missed(or_else(or_else(why, missed), Missed::ExactOnly(bypass))),
                };
            }
        };
        let searched = lines.meaning == Meaning::VectorSets || semantic.index().knows(&canon.partition);
        let embedding = async {
            match searched {
                true => Some(semantic.embed(question.0.as_str()).await),
                false => None,
            }
        };
        let (exact, embedded) =
            first_exact(exact, embedding, |stored| self.served(stored, lookup.demand)).await;
        let why = match exact {
            Ok(found) => return Looked::Hit(found),
            Err(missed) => or_else(why, missed),
        };
        let vector = match embedded {
            None => return lookup::missed(why),
            Some(Err(_)) => return lookup::shed(why),
            Some(Ok(vector)) => vector,
        };
        let (mut missed, mut near) = match self.by_meaning(lookup, &semantic, question, &vector).await {
            Decided::Serves(found) => return Looked::Hit(found),
            Decided::FallsShort(found, missed) => (missed, Some(Box::new(found))),
            Decided::No(missed) => (missed, None),
        };
        if lines.meaning == Meaning::VectorSets {
            let asked = lookup.asked(&semantic, question, &vector);
            match self.by_shared_meaning(lookup, shared, lines, &semantic, &asked).await {
                Some(Decided::Serves(found)) => return Looked::Hit(found),
                Some(Decided::FallsShort(found, other)) => {
                    missed = or_else(missed, other);
                    near.get_or_insert(Box::new(found));
                }
                Some(Decided::No(other)) => missed = or_else(missed, other),
                None => {}
            }
        }
        Looked::Miss { why: or_else(why, missed), embedding: lookup::Embedding::Done(vector), near }
    }

    /// What is stored of these inputs' embeddings, here or on another replica, and the farthest tier that
    /// one of them came from.
    pub async fn embeddings(&self, keys: &[ExactKey], demand: Demand) -> (Vec<Option<Arc<Entry>>>, Tier) {
        let mut known: Vec<_> = keys.iter().map(|key| self.embedding(key, demand)).collect();
        let missing: Vec<usize> = (0..keys.len()).filter(|at| known[*at].is_none()).collect();
        let Some((shared, lines)) = self.shared().and_then(|shared| Some((shared, shared.lines()?))) else {
            return (known, Tier::L1);
        };
        if missing.is_empty() {
            return (known, Tier::L1);
        }
        let names: Vec<_> = missing.iter().map(|at| (Partition(keys[*at].0), keys[*at])).collect();
        let fetched = shared.get_all(&lines, &names, Wait::Request).await.unwrap_or_default();
        let mut tier = Tier::L1;
        for (at, stored) in missing.into_iter().zip(fetched) {
            if let Some(stored) = stored {
                self.warm(stored);
                known[at] = self.embedding(&keys[at], demand);
                tier = Tier::L3;
            }
        }
        (known, tier)
    }

    /// What an entry that came over the wire comes to; it is kept here from now on, whether it serves
    /// this request or not.
    fn served(&self, stored: Option<Stored>, demand: Demand) -> Result<Found, Missed> {
        let entry = self.warm(stored.ok_or(Missed::Unknown)?);
        self.at_exact_key(Some(entry), demand).map(|found| Found { tier: Tier::L3, ..found })
    }

    /// Keeps what another replica has recorded, in L1 and, if this model embedded it, in L2; what another one
    /// embedded waits for a vector of this one.
    pub(in crate::cache) fn warm(&self, stored: Stored) -> Arc<Entry> {
        let Stored { entry, embedding, .. } = stored;
        let entry = Arc::new(entry);
        let semantic = self.semantic();
        let ours = |embedding: &Embedding| {
            semantic.as_ref().filter(|semantic| *embedding.model == *semantic.model_name()).cloned()
        };
        let foreign = semantic.is_some() && embedding.is_some();
        match embedding.and_then(|embedding| Some((ours(&embedding)?, embedding.vector))) {
            Some((semantic, vector)) => {
                self.store.insert(entry.clone(), semantic.index().bytes_for(&entry.partition));
                self.index(&entry, vector);
            }
            None => {
                self.store.insert(entry.clone(), 0);
                if foreign {
                    self.wants_vector(entry.key);
                }
            }
        }
        entry
    }

    /// The fleet's vectors, searched in Redis; what may serve is fetched and goes the way of every
    /// neighbour. `None`: it has nothing that we had not.
    async fn by_shared_meaning(
        &self,
        lookup: &Lookup<'_>,
        shared: &Shared,
        lines: &Arc<Lines>,
        semantic: &Arc<Semantic>,
        asked: &Asked<'_>,
    ) -> Option<Decided> {
        let Far { neighbours, fetched, gone } =
            self.far(&lookup.canon.partition, shared, lines, semantic, asked, asked.bar.least()).await?;
        shared.forget(&lookup.canon.partition, semantic.model_name(), gone.into_iter());
        self.choose_shared(asked, neighbours, fetched, lookup).await
    }

    /// The neighbours here and in Redis, those of them fetched that score `from` or more, or nearly so.
    async fn far(
        &self,
        partition: &Partition,
        shared: &Shared,
        lines: &Arc<Lines>,
        semantic: &Semantic,
        asked: &Asked<'_>,
        from: f32,
    ) -> Option<Far> {
        let model = semantic.model_name();
        let near = shared.nearest(lines, partition, model, asked.vector, TRIED + 1).await.ok()?;
        let ours = semantic.nearest(partition, asked.vector, TRIED + 1, 0.0);
        let known = |near: &Near| ours.iter().any(|neighbour| neighbour.key == near.key);
        let near: Vec<Near> = near.into_iter().filter(|near| !known(near)).collect();
        let candidate = |near: &&Near| near.cosine >= from - ROUNDING;
        let names: Vec<_> = near.iter().filter(candidate).map(|near| (*partition, near.key)).collect();
        if names.is_empty() {
            return None;
        }
        let fetched = shared.get_all(lines, &names, Wait::Request).await.ok()?;
        let gone = names.iter().zip(&fetched).filter(|(_, stored)| stored.is_none());
        let gone = gone.map(|((_, key), _)| *key).collect();
        let fetched: Vec<Stored> = fetched.into_iter().flatten().collect();
        let below = near.iter().filter(|near| !candidate(near)).map(|near| Neighbour {
            key: near.key,
            score: near.cosine,
            question: Arc::from(""),
        });
        let mut neighbours: Vec<Neighbour> = fetched
            .iter()
            .filter_map(|stored| neighbour(stored, model, asked))
            .chain(ours)
            .chain(below)
            .collect();
        neighbours.sort_by(|a, b| b.score.total_cmp(&a.score));
        Some(Far { neighbours, fetched, gone })
    }

    /// What lies in Redis under a request's own key, left there.
    pub(in crate::cache) async fn in_shared(&self, canon: &Canon) -> Option<Arc<Entry>> {
        let shared = self.shared()?;
        let stored = shared.get(&shared.lines()?, &canon.partition, &canon.exact).await?;
        Some(Arc::new(stored.entry))
    }

    /// Whether a question is looked for among the fleet's vectors where this replica has none to compare it with.
    pub(in crate::cache) fn searches_shared(&self) -> bool {
        self.shared().is_some_and(|shared| shared.meaning() == Some(Meaning::VectorSets))
    }

    /// The neighbours here and in Redis, best first, and those entries of them that lie in Redis only, left there.
    /// `None` where Redis is not searched or has no others.
    pub(in crate::cache) async fn near_in_shared(
        &self,
        partition: &Partition,
        semantic: &Semantic,
        asked: &Asked<'_>,
    ) -> Option<(Vec<Neighbour>, Vec<Arc<Entry>>)> {
        let shared = self.shared()?;
        let lines = shared.lines().filter(|lines| lines.meaning == Meaning::VectorSets)?;
        let far = self.far(partition, shared, &lines, semantic, asked, -1.0).await?;
        let entries = far.fetched.into_iter().map(|stored| Arc::new(stored.entry));
        Some((far.neighbours, entries.collect()))
    }

    async fn choose_shared(
        &self,
        asked: &Asked<'_>,
        neighbours: Vec<Neighbour>,
        fetched: Vec<Stored>,
        lookup: &Lookup<'_>,
    ) -> Option<Decided> {
        let mut kept: Vec<(ExactKey, Arc<Entry>, Option<Embedding>)> = fetched
            .into_iter()
            .map(|stored| (stored.entry.key, Arc::new(stored.entry), stored.embedding))
            .collect();
        let decided = self.decide(asked, &neighbours, lookup.demand, |neighbour| {
            let theirs =
                kept.iter().find(|(key, ..)| *key == neighbour.key).map(|(_, entry, _)| entry.clone());
            theirs.or_else(|| self.exact(&neighbour.key, &lookup.canon.partition))
        });
        let decided = decided.await;
        let Decided::Serves(found) = decided else { return Some(decided) };
        Some(Decided::Serves(match kept.iter().position(|(key, ..)| *key == found.entry.key) {
            None => found,
            Some(at) => {
                let (_, entry, embedding) = kept.swap_remove(at);
                if let (Some(semantic), Some(embedding)) = (self.semantic(), embedding) {
                    self.store.insert(entry.clone(), semantic.index().bytes_for(&entry.partition));
                    self.index(&entry, embedding.vector);
                }
                Found { tier: Tier::L3, ..found }
            }
        }))
    }
}

/// What a search of the fleet's vectors came to.
struct Far {
    /// Best first; one that was not fetched has no question.
    neighbours: Vec<Neighbour>,
    fetched: Vec<Stored>,
    /// Their vectors outlived them.
    gone: Vec<ExactKey>,
}

/// A fetched entry with its true cosine. `None` where another model embedded it, or it has no question.
fn neighbour(stored: &Stored, model: &str, asked: &Asked<'_>) -> Option<Neighbour> {
    let embedding = stored.embedding.as_ref().filter(|embedding| *embedding.model == *model)?;
    let question = stored.entry.question.clone()?;
    (embedding.vector.len() == asked.vector.len()).then(|| Neighbour {
        key: stored.entry.key,
        score: embedding.vector.iter().zip(asked.vector.iter()).map(|(a, b)| a * b).sum(),
        question,
    })
}

/// Waits for both, but not for the embedding once the exact look-up has served.
async fn first_exact(
    exact: impl Future<Output = Option<Stored>>,
    embedding: impl Future<Output = Option<Result<Vector, EmbedError>>>,
    served: impl Fn(Option<Stored>) -> Result<Found, Missed>,
) -> (Result<Found, Missed>, Option<Result<Vector, EmbedError>>) {
    let (mut exact, mut embedding) = (std::pin::pin!(exact), std::pin::pin!(embedding));
    let (exact, embedded) = tokio::select! {
        biased;
        stored = &mut exact => (served(stored), None),
        embedded = &mut embedding => (served(exact.await), Some(embedded)),
    };
    match embedded {
        None if exact.is_err() => (exact, embedding.await),
        _ => (exact, embedded.flatten()),
    }
}
