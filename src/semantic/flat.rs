//! Rows of codes, read one by one: the quickest up to tens of thousands. Of few all codes are read, and what is
//! found is exact; of more first the signs, an eighth of the memory, which leave a short list.

use super::codes::{Codes, cosine, differing, sign_words, signs};

/// Rows per block: a growing partition never copies more than one block.
const BLOCK: usize = 64;
/// Rows up to which all codes are read.
pub const EXACT: usize = 2_048;
/// Rows that the signs leave, and those that are as near as the last of them. `cargo bench --bench semantic` counts the
/// nearest questions that are not among them: none of 1,000 at 10,000, 32,000 and 100,000 rows.
const SHORTLIST: usize = 256;

/// Rows of codes by id, in blocks of contiguous memory. Order means nothing; removal swaps.
pub struct Flat {
    dim: usize,
    ids: Vec<u64>,
    blocks: Vec<Block>,
    /// The largest error of a row that was ever here.
    error: f32,
}

#[derive(Default)]
struct Block {
    rows: Vec<i8>,
    /// Of each row as many words as it takes.
    signs: Vec<u64>,
}

impl Block {
    fn reserve(&mut self, rows: usize, dim: usize) {
        self.rows.reserve_exact(rows * dim);
        self.signs.reserve_exact(rows * sign_words(dim));
    }

    fn bytes(&self) -> usize {
        size_of::<Block>() + self.rows.capacity() + self.signs.capacity() * size_of::<u64>()
    }
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
            self.blocks.push(Block::default());
        }
        if let Some(block) = self.blocks.last_mut() {
            // The first block grows by doubling, so that a partition of one entry stays small.
            if block.rows.len() == block.rows.capacity() {
                let rows = if self.ids.len() < BLOCK { self.ids.len().max(1) } else { BLOCK };
                block.reserve(rows, self.dim);
            }
            block.rows.extend_from_slice(&codes.row);
            block.signs.extend(signs(&codes.row));
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
        let words = sign_words(self.dim);
        let Some(mut last) = self.blocks.pop() else { return };
        let row = last.rows.split_off(last.rows.len() - self.dim);
        let row_signs = last.signs.split_off(last.signs.len() - words);
        if !last.rows.is_empty() {
            self.blocks.push(last);
        }
        if at < self.ids.len() {
            let (block, at) = (&mut self.blocks[at / BLOCK], at % BLOCK);
            block.rows[at * self.dim..][..self.dim].copy_from_slice(&row);
            block.signs[at * words..][..words].copy_from_slice(&row_signs);
        }
    }

    /// The rows among which the best `k` with a cosine of at least `min_score` are, if there are any: up to `EXACT`
    /// rows none of those is missing, beyond next to none; a few others may be there. Linear in the rows.
    pub fn candidates(&self, query: &Codes, k: usize, min_score: f32) -> Vec<u64> {
        if self.ids.is_empty() || k == 0 {
            return Vec::new();
        }
        let slack = query.slack(self.error);
        let floor = min_score - slack;
        let mut within: Vec<(f32, u64)> = Vec::new();
        let look = |at: usize| {
            let score = cosine(&query.row, self.row(at));
            if score >= floor {
                within.push((score, self.ids[at]));
            }
        };
        if self.ids.len() <= EXACT {
            (0..self.ids.len()).for_each(look);
        } else {
            self.shortlist(query, SHORTLIST.max(k)).for_each(look);
        }
        if within.len() > k {
            let (_, kth, _) = within.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0));
            // Whoever is among the best k in truth is at most twice the slack behind the k-th by codes.
            let least = kth.0 - 2.0 * slack;
            within.retain(|(score, _)| *score >= least);
        }
        within.into_iter().map(|(_, id)| id).collect()
    }

    /// Where the rows stand whose signs differ least from the query's: at least `least` of them, and all that differ no
    /// more than the last.
    fn shortlist(&self, query: &Codes, least: usize) -> impl Iterator<Item = usize> {
        let wanted: Vec<u64> = signs(&query.row).collect();
        let mut counts = Vec::with_capacity(self.ids.len());
        for block in &self.blocks {
            differing(&wanted, &block.signs, &mut counts);
        }
        let mut rows_at = vec![0_usize; self.dim + 1];
        for count in &counts {
            rows_at[usize::from(*count)] += 1;
        }
        let mut listed = 0;
        let enough = |rows: &usize| {
            listed += rows;
            listed >= least
        };
        let furthest = rows_at.iter().position(enough).unwrap_or(self.dim);
        (0..).zip(counts).filter(move |(_, count)| usize::from(*count) <= furthest).map(|(at, _)| at)
    }

    /// Copies of up to `count` rows, those with the lowest ids, in their order. Linear in the rows.
    pub fn oldest(&self, count: usize) -> Vec<(u64, Vec<i8>)> {
        let mut places: Vec<(u64, usize)> = self.ids.iter().copied().zip(0..).collect();
        if count < places.len() {
            places.select_nth_unstable(count);
            places.truncate(count);
        }
        places.sort_unstable();
        places.into_iter().map(|(id, at)| (id, self.row(at).to_vec())).collect()
    }

    fn row(&self, at: usize) -> &[i8] {
        &self.blocks[at / BLOCK].rows[at % BLOCK * self.dim..][..self.dim]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum::<usize>() + self.ids.capacity() * size_of::<u64>()
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
            let oldest = model.iter().take(7).map(|(id, vector)| (*id, Codes::of(vector).row));
            prop_assert_eq!(flat.oldest(7), oldest.collect::<Vec<_>>());
        }
    }

    #[test]
    fn of_many_rows_a_short_list_has_the_nearest() {
        let dim = 256;
        let mut flat = Flat::new(dim);
        let rows: Vec<Vector> = (0..2 * EXACT as u64).map(|id| row(id + 1, dim)).collect();
        for (id, row) in (0..).zip(&rows) {
            flat.push(id, &Codes::of(row));
        }
        // Those of the last block take the places of some that go.
        flat.remove(|id| id % 50 == 7);
        for asked in (0..rows.len()).step_by(61).filter(|id| id % 50 != 7) {
            let noise = row(1_000_000 + asked as u64, dim);
            let near: Vec<f32> = rows[asked].iter().zip(noise.iter()).map(|(a, b)| a + b / 2.0).collect();
            let query = Codes::of(&unit(&near, dim).unwrap());
            let candidates = flat.candidates(&query, 5, -1.0);
            assert!(candidates.contains(&(asked as u64)), "{asked} of {candidates:?}");
            assert!(flat.shortlist(&query, SHORTLIST).count() < 2 * SHORTLIST);
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
