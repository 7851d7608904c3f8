//! One stream through the cache's logic, from empty: exact first, then by meaning; what misses is
//! stored, what hits, rightly or wrongly, is not. Nothing expires and nothing is evicted.

use super::asked::{Asked, Item};
use super::corpus::Corpus;
use super::latency::Samples;
use super::near::{LEAST, Near, better, vector_of};
use super::second::Readers;
use crate::base::digest::ExactKey;
use crate::semantic::choose::{self, Bar, Choice, TRIED, Vouchers, choose};
use crate::semantic::codes::dot;
use crate::semantic::embedder::Vector;
use crate::semantic::index::{Index, Neighbour};
use crate::semantic::verify::Reading;
use crate::semantic::wordings::Wordings;
use tokio::time::Instant;

pub type Setting = Bar;

/// What one request got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The answer to the same request; `from` is the row (from 0) that stored it.
    Exact {
        from: u32,
    },
    /// The answer to another question.
    Near {
        from: u32,
        score: f32,
    },
    Miss,
}

/// Where stored questions are looked for.
pub trait Shelf {
    /// The stored item whose answer serves this one, and its cosine.
    fn find(&mut self, item: u32, setting: Setting) -> Option<(u32, f32)>;
    /// `item` is new to the shelf.
    fn store(&mut self, item: u32);
}

/// For each request what it got.
pub fn replay(asked: &Asked, shelf: &mut impl Shelf, setting: impl Fn(&Item) -> Setting) -> Vec<Outcome> {
    let mut stored_by: Vec<Option<u32>> = vec![None; asked.items.len()];
    let mut outcomes = Vec::with_capacity(asked.order.len());
    for (row, item) in asked.order.iter().enumerate() {
        let at = *item as usize;
        let mut near = || shelf.find(*item, setting(&asked.items[at]));
        let outcome = match stored_by[at] {
            Some(from) => Outcome::Exact { from },
            None => match near().and_then(|(other, score)| Some((stored_by[other as usize]?, score))) {
                Some((from, score)) => Outcome::Near { from, score },
                None => Outcome::Miss,
            },
        };
        if outcome == Outcome::Miss {
            stored_by[at] = Some(row as u32);
            shelf.store(*item);
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// A shelf over the neighbour lists: no search, so a sweep is cheap. It finds what an exact search finds.
pub struct Listed<'a> {
    pub asked: &'a Asked,
    pub corpus: &'a Corpus,
    pub near: &'a Near,
    pub readers: &'a Readers<'a>,
    /// By item: when it was stored.
    sequence: Vec<Option<u32>>,
    stored: Vec<u32>,
    wordings: Wordings,
}

impl<'a> Listed<'a> {
    pub fn new(asked: &'a Asked, corpus: &'a Corpus, near: &'a Near, readers: &'a Readers<'a>) -> Listed<'a> {
        let (sequence, wordings) = (vec![None; asked.items.len()], Wordings::new(u64::MAX));
        Listed { asked, corpus, near, readers, sequence, stored: Vec::new(), wordings }
    }

    /// The stored neighbours that a search for [`TRIED`] and one more would give, as far as they can matter
    /// at this threshold.
    fn nearest(&self, item: u32, threshold: f32) -> Vec<(u32, f32)> {
        let list = self.near.to(item);
        let mut found: Vec<(u32, f32)> = Vec::with_capacity(TRIED + 2);
        for (other, score) in &list.near {
            let Some(sequence) = self.sequence[*other as usize] else { continue };
            // Of equal cosines the older comes first, so all of them must be seen.
            if found.len() > TRIED && found.last().is_some_and(|(_, last)| last > score) {
                break;
            }
            found.push((sequence, *score));
        }
        let short = list.cut && found.len() <= TRIED;
        let reach = |found: Option<&(u32, f32)>| found.is_some_and(|(_, score)| *score >= threshold);
        // What the list leaves out is below the threshold too, or there is one below it at hand already.
        let settled = match found.last() {
            Some(last) => !reach(Some(last)),
            None => !reach(list.near.last()),
        };
        if short && !settled {
            found = self.among_all_stored(item);
        }
        found.sort_unstable_by(better);
        found.truncate(TRIED + 1);
        found
    }

    fn among_all_stored(&self, item: u32) -> Vec<(u32, f32)> {
        let Some(vector) = vector_of(self.asked, self.corpus, item) else { return Vec::new() };
        let partition = self.asked.items[item as usize].partition;
        let same = |at: &u32| self.asked.items[*at as usize].partition == partition;
        let scored = |(sequence, at): (usize, &u32)| {
            let theirs = vector_of(self.asked, self.corpus, *at).filter(|_| same(at))?;
            Some((sequence as u32, dot(vector, theirs))).filter(|(_, score)| *score >= LEAST)
        };
        self.stored.iter().enumerate().filter_map(scored).collect()
    }
}

impl Shelf for Listed<'_> {
    fn find(&mut self, item: u32, setting: Setting) -> Option<(u32, f32)> {
        let question = self.asked.items[item as usize].question.ok()? as usize;
        let vector = vector_of(self.asked, self.corpus, item)?;
        let items = &self.asked.items;
        let neighbour = |(sequence, score): (u32, f32)| {
            let other = &items[self.stored[sequence as usize] as usize];
            let text = &self.corpus.texts[other.question.ok()? as usize];
            Some(Neighbour { key: other.key, score, question: text.clone() })
        };
        let neighbours: Vec<Neighbour> =
            self.nearest(item, setting.threshold).into_iter().filter_map(neighbour).collect();
        let reading = |near: &Neighbour| reading_of(self.asked, self.corpus, near);
        let vouchers = Vouchers { text: &self.corpus.texts[question], vector, wordings: &self.wordings };
        let (own, reader) = (&self.corpus.readings[question], self.readers.of(question as u32));
        let asked = choose::Asked { reading: own, vouchers: Some(vouchers), second: Some(&reader) };
        let choice = choose(asked, &neighbours, setting, reading);
        let (key, score) = served(&choice, vouchers)?;
        Some((*self.asked.by_key.get(&key)?, score))
    }

    fn store(&mut self, item: u32) {
        if vector_of(self.asked, self.corpus, item).is_some() {
            self.sequence[item as usize] = Some(self.stored.len() as u32);
            self.stored.push(item);
        }
    }
}

/// The entry that serves and its cosine; it remembers a wording as `cache::lookup` does.
fn served(choice: &Choice, vouchers: Vouchers<'_>) -> Option<(ExactKey, f32)> {
    let Choice::Serve { key, score, surely } = *choice else { return None };
    if surely {
        vouchers.wordings.note(key, &vouchers.wording());
    }
    Some((key, score))
}

fn reading_of<'a>(asked: &Asked, corpus: &'a Corpus, near: &Neighbour) -> Option<&'a Reading> {
    let item = *asked.by_key.get(&near.key)?;
    Some(&corpus.readings[asked.items[item as usize].question.ok()? as usize])
}

/// A shelf over the index that serves, with a graph where there are many; it takes the time.
pub struct Indexed<'a> {
    asked: &'a Asked,
    corpus: &'a Corpus,
    index: Index,
    readers: &'a Readers<'a>,
    wordings: Wordings,
    pub search: Samples,
    /// Reading the question and judging its neighbours, where there was one to judge.
    pub verify: Samples,
}

impl<'a> Indexed<'a> {
    pub fn new(asked: &'a Asked, corpus: &'a Corpus, index: Index, readers: &'a Readers<'a>) -> Indexed<'a> {
        let (search, verify) = (Samples::default(), Samples::default());
        Indexed { asked, corpus, index, readers, wordings: Wordings::new(u64::MAX), search, verify }
    }

    fn vector(&self, item: u32) -> Option<(&'a Vector, u32)> {
        let question = self.asked.items[item as usize].question.ok()?;
        Some((vector_of(self.asked, self.corpus, item)?, question))
    }
}

impl Shelf for Indexed<'_> {
    fn find(&mut self, item: u32, setting: Setting) -> Option<(u32, f32)> {
        let (vector, question) = self.vector(item)?;
        let text = &self.corpus.texts[question as usize];
        let begun = Instant::now();
        let neighbours =
            self.index.nearest(&self.asked.items[item as usize].partition, vector, TRIED + 1, LEAST);
        self.search.add(begun.elapsed());
        let begun = Instant::now();
        let reading = |near: &Neighbour| reading_of(self.asked, self.corpus, near);
        let vouchers = Vouchers { text, vector, wordings: &self.wordings };
        let (own, reader) = (Reading::of(text), self.readers.of(question));
        let asked = choose::Asked { reading: &own, vouchers: Some(vouchers), second: Some(&reader) };
        let choice = choose(asked, &neighbours, setting, reading);
        if neighbours.first().is_some_and(|near| near.score >= setting.threshold) {
            self.verify.add(begun.elapsed());
        }
        let (key, score) = served(&choice, vouchers)?;
        Some((*self.asked.by_key.get(&key)?, score))
    }

    fn store(&mut self, item: u32) {
        if let Some((vector, question)) = self.vector(item) {
            let Item { partition, key, .. } = &self.asked.items[item as usize];
            self.index.insert(*partition, *key, vector, self.corpus.texts[question as usize].clone());
        }
    }
}
