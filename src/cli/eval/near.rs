//! The neighbours of every question among all questions of its partition: computed once, so that a
//! replay at another threshold costs no search.

use super::asked::Asked;
use super::corpus::Corpus;
use super::progress::Progress;
use crate::base::digest::Partition;
use crate::semantic::codes::dot;
use crate::semantic::embedder::Vector;
use ahash::HashMap;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

/// Neighbours kept for each question. Where a replay has stored too few of them it looks through all that
/// it stored, so this bounds memory (2 KiB a question) and changes no result.
const KEPT: usize = 256;
/// Neighbours below it are never looked at, when serving neither.
pub const LEAST: f32 = 0.0;

/// By item: the other items and their cosines, best first.
pub struct Near {
    lists: Vec<List>,
}

#[derive(Default)]
pub struct List {
    pub near: Vec<(u32, f32)>,
    /// There are others, all of them no nearer than the last.
    pub cut: bool,
}

impl Near {
    /// Costs a dot product for each two questions of a partition, over all cores.
    pub fn of(asked: &Asked, corpus: &Corpus) -> Near {
        let mut members: HashMap<Partition, Vec<(u32, &Vector)>> = HashMap::default();
        for (at, item) in asked.items.iter().enumerate() {
            let Some(vector) = vector_of(asked, corpus, at as u32) else { continue };
            members.entry(item.partition).or_default().push((at as u32, vector));
        }
        let count = asked.items.len();
        let (next, progress) = (AtomicUsize::new(0), Progress::start("questions compared", count));
        let work = || {
            let mut lists = Vec::new();
            loop {
                let at = next.fetch_add(1, Atomic::Relaxed);
                let Some(item) = asked.items.get(at) else { return lists };
                if let Some(vector) = vector_of(asked, corpus, at as u32) {
                    let others = members.get(&item.partition).map(Vec::as_slice).unwrap_or_default();
                    lists.push((at, list(at as u32, vector, others)));
                }
                progress.add(1);
            }
        };
        let mut lists: Vec<List> = (0..count).map(|_| List::default()).collect();
        for (at, list) in super::on_all_cores(work).into_iter().flatten() {
            lists[at] = list;
        }
        Near { lists }
    }

    pub fn to(&self, item: u32) -> &List {
        &self.lists[item as usize]
    }
}

/// The vector by which an item is found; `None` for one that is only found by its exact key.
pub fn vector_of<'a>(asked: &Asked, corpus: &'a Corpus, item: u32) -> Option<&'a Vector> {
    let question = asked.items[item as usize].question.ok()?;
    corpus.vectors[question as usize].as_ref()
}

/// Higher cosines first, and of two equal ones the smaller number.
pub fn better(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn list(at: u32, vector: &Vector, others: &[(u32, &Vector)]) -> List {
    let others = others.iter().filter(|(other, _)| *other != at);
    let scored = others.map(|(other, theirs)| (*other, dot(vector, theirs)));
    let mut near: Vec<(u32, f32)> = scored.filter(|(_, score)| *score >= LEAST).collect();
    let cut = near.len() > KEPT;
    if cut {
        near.select_nth_unstable_by(KEPT, better);
        near.truncate(KEPT);
    }
    near.sort_unstable_by(better);
    near.shrink_to_fit();
    List { near, cut }
}
