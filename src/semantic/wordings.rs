//! The other wordings in which a stored question was asked and surely recognised.
//!
//! A question is asked in many wordings, and the one that was stored may be an odd one. A text that was surely the same
//! question is remembered beside it, and from then on vouches for it: where the stored question alone leaves a new one in
//! doubt, it serves if such a text is the same as the new one ([`super::choose::weigh`]). Many such steps might lead far
//! away; so nobody vouches for what the stored question itself speaks against.
//!
//! It is a relation between questions, so it holds whatever the answer is; and it is gone with its entry, with
//! a report that an answer was wrong, and with the process.

use super::embedder::Vector;
use crate::base::digest::ExactKey;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;

/// Wordings kept for each entry; of more the oldest leaves. Two give nine tenths of what eight give.
const MOST: usize = 4;
/// Bytes of all together on a server, some seven thousand wordings at 512 numbers. The least recently consulted leave first.
pub const MEMORY: u64 = 16 << 20;
/// What the map, the list and the two `Arc`s take beside text and vector.
const OVERHEAD: usize = 300;

/// One wording, of the same model as every vector here.
#[derive(Clone, Debug, PartialEq)]
pub struct Wording {
    pub text: Arc<str>,
    pub vector: Vector,
}

/// All wordings, by the exact key of the entry that they vouch for.
pub struct Wordings(Cache<ExactKey, Arc<[Wording]>, ahash::RandomState>);

impl Wordings {
    /// `memory`: bytes that all together may take.
    pub fn new(memory: u64) -> Wordings {
        let held = Cache::builder()
            .max_capacity(memory)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, wordings: &Arc<[Wording]>| u32::try_from(size(wordings)).unwrap_or(u32::MAX))
            .build_with_hasher(ahash::RandomState::default());
        Wordings(held)
    }

    /// Those of one entry, the newest last. One look-up in a hash map.
    pub fn of(&self, key: &ExactKey) -> Option<Arc<[Wording]>> {
        self.0.get(key)
    }

    /// Remembers a text that was surely the same question. One that is known costs a look-up.
    pub fn note(&self, key: ExactKey, wording: &Wording) {
        let knows = |held: &[Wording]| held.iter().any(|known| known.text == wording.text);
        if self.of(&key).is_some_and(|held| knows(&held)) {
            return;
        }
        self.0.entry(key).and_compute_with(|held| {
            let mut wordings = held.map_or_else(Vec::new, |held| held.value().to_vec());
            if knows(&wordings) {
                return Op::Nop;
            }
            wordings.drain(..wordings.len().saturating_sub(MOST - 1));
            wordings.push(wording.clone());
            Op::Put(wordings.into())
        });
    }

    pub fn forget(&self, key: &ExactKey) {
        self.0.invalidate(key);
    }
}

fn size(wordings: &[Wording]) -> usize {
    let each = |wording: &Wording| wording.text.len() + size_of_val(&*wording.vector) + size_of::<Wording>();
    OVERHEAD + wordings.iter().map(each).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ExactKey = ExactKey([7; 32]);

    fn texts(wordings: &Wordings) -> Vec<String> {
        wordings.of(&KEY).iter().flat_map(|held| held.iter()).map(|one| one.text.to_string()).collect()
    }

    #[test]
    fn the_newest_few_are_kept_each_once() {
        let wordings = Wordings::new(MEMORY);
        for text in ["a", "b", "c", "d", "b", "e"] {
            wordings.note(KEY, &Wording { text: text.into(), vector: Vector::from([1.0, 0.0]) });
        }
        assert_eq!(texts(&wordings), ["b", "c", "d", "e"]);
        wordings.forget(&KEY);
        assert_eq!(wordings.of(&KEY), None);
    }
}
