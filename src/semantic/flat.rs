//! Rows of codes, read one by one: the quickest for small partitions, and exact.

use super::codes::{Codes, cosine};

/// Rows per block: a growing partition never copies more than one block.
const BLOCK: usize = 64;

/// Rows of codes by id, in blocks of contiguous memory. Order means nothing; removal swaps.
pub struct Flat {
    dim: usize,
    ids: Vec<u64>,
    blocks: Vec<Vec<i8>>,
    /// The largest error of a row that was ever here.
    error: f32,
}

impl Flat {
    pub fn new(dim: usize) -> Flat {
        Flat { dim, ids: Vec::new(), blocks: Vec::new(), error: 0.0 }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a row of `dim` codes; `id` must be new.
    pub fn push(&mut self, id: u64, codes: &Codes) {
        debug_assert_eq!(codes.row.len(), self.dim);
        if self.ids.len() == self.blocks.len() * BLOCK {
            self.blocks.push(Vec::new());
        }
        if let Some(block) = self.blocks.last_mut() {
            // The first block grows by doubling, so that a partition of one entry stays small.
            if block.len() == block.capacity() {
                let rows = if self.ids.len() < BLOCK { (block.len() / self.dim).max(1) } else { BLOCK };
                block.reserve_exact(rows * self.dim);
            }
            block.extend_from_slice(&codes.row);
            self.ids.push(id);
            self.error = self.error.max(codes.error);
        }
    }

    /// Removes the rows for which `gone` says so.
    pub fn remove(&mut self, gone: impl Fn(u64) -> bool) {
        let mut at = 0;
        while at < self.ids.len() {
            if gone(self.ids[at]) {
                self.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn swap_remove(&mut self, at: usize) {
        self.ids.swap_remove(at);
        let Some(mut last) = self.blocks.pop() else { return };
        let row = last.split_off(last.len() - self.dim);
        if !last.is_empty() {
            self.blocks.push(last);
        }
        if at < self.ids.len() {
            let start = (at % BLOCK) * self.dim;
            self.blocks[at / BLOCK][start..start + self.dim].copy_from_slice(&row);
        }
    }

    /// The rows among which the best `k` with a cosine of at least `min_score` are, if there are any:
    /// none of those is missing, a few others may be there. Linear in the rows.
    pub fn candidates(&self, query: &Codes, k: usize, min_score: f32) -> Vec<u64> {
        if self.ids.is_empty() || k == 0 {
            return Vec::new();
        }
        let slack = query.slack(self.error);
        let floor = min_score - slack;
        let mut within: Vec<(f32, u64)> = Vec::new();
        for (block, ids) in self.blocks.iter().zip(self.ids.chunks(BLOCK)) {
            for (row, id) in block.chunks_exact(self.dim).zip(ids) {
                let score = cosine(&query.row, row);
                if score >= floor {
                    within.push((score, *id));
                }
            }
        }
        if within.len() > k {
            let (_, kth, _) = within.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0));
            // Whoever is among the best k in truth is at most twice the slack behind the k-th by codes.
            let least = kth.0 - 2.0 * slack;
            within.retain(|(score, _)| *score >= least);
        }
        within.into_iter().map(|(_, id)| id).collect()
    }

    /// Copies of up to `count` rows.
    pub fn copy(&self, count: usize) -> Vec<(u64, Vec<i8>)> {
        let rows = self.blocks.iter().flat_map(|block| block.chunks_exact(self.dim));
        self.ids.iter().zip(rows).take(count).map(|(id, row)| (*id, row.to_vec())).collect()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let rows: usize = self.blocks.iter().map(Vec::capacity).sum();
        rows + self.ids.capacity() * size_of::<u64>() + self.blocks.capacity() * size_of::<Vec<i8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::dot;
    use super::super::embedder::{Vector, unit};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(seed: u64, dim: usize) -> Vector {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        unit(&(0..dim).map(|_| next()).collect::<Vec<f32>>(), dim).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_added_and_removed_the_best_are_among_the_candidates(
            steps in proptest::collection::vec((any::<bool>(), 0u64..150), 1..300),
            dim in 3usize..40,
            min_score in -1.0f32..0.9,
        ) {
            let mut flat = Flat::new(dim);
            let mut model = BTreeMap::new();
            for (add, id) in steps {
                if add && !model.contains_key(&id) {
                    flat.push(id, &Codes::of(&row(id + 1, dim)));
                    model.insert(id, row(id + 1, dim));
                } else if !add {
                    flat.remove(|row| row == id);
                    model.remove(&id);
                }
            }
            let query = row(9999, dim);
            let candidates = flat.candidates(&Codes::of(&query), 4, min_score);
            let mut best: Vec<(f32, u64)> = model.iter().map(|(id, row)| (dot(&query, row), *id)).collect();
            best.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (score, id) in best.into_iter().take(4).filter(|(score, _)| *score >= min_score) {
                prop_assert!(candidates.contains(&id), "{id} with {score}");
            }
            prop_assert!(candidates.iter().all(|id| model.contains_key(id)));
            prop_assert_eq!(flat.len(), model.len());
        }
    }

    #[test]
    fn far_rows_are_no_candidates() {
        let mut flat = Flat::new(2);
        flat.push(1, &Codes::of(&[1.0, 0.0]));
        flat.push(2, &Codes::of(&[0.6, 0.8]));
        assert_eq!(flat.candidates(&Codes::of(&[1.0, 0.0]), 5, 0.7), [1]);
        assert_eq!(flat.candidates(&Codes::of(&[1.0, 0.0]), 1, -1.0), [1]);
        assert_eq!(flat.candidates(&Codes::of(&[1.0, 0.0]), 2, -1.0).len(), 2);
    }
}
