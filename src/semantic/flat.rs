//! Rows of unit vectors, searched one by one: exact, and the quickest for small partitions.

use super::embedder::Vector;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The cosine of two unit vectors of one length. Sixteen running sums, so that the compiler can use
/// whatever vector registers the machine has; about 70 ns for 512 numbers.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// A found row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub id: u64,
    pub score: f32,
}

impl Eq for Scored {}

impl Ord for Scored {
    /// By score; the older row (smaller id) wins a tie.
    fn cmp(&self, other: &Scored) -> std::cmp::Ordering {
        self.score.total_cmp(&other.score).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Scored) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The best `k` of what is offered.
pub struct Best {
    k: usize,
    min_score: f32,
    heap: BinaryHeap<Reverse<Scored>>,
}

impl Best {
    pub fn of(k: usize, min_score: f32) -> Best {
        Best { k, min_score, heap: BinaryHeap::with_capacity(k + 1) }
    }

    pub fn offer(&mut self, found: Scored) {
        if found.score < self.min_score || self.k == 0 {
            return;
        }
        if self.heap.len() < self.k {
            self.heap.push(Reverse(found));
        } else if self.heap.peek().is_some_and(|Reverse(worst)| found > *worst) {
            self.heap.pop();
            self.heap.push(Reverse(found));
        }
    }

    /// Best first.
    pub fn sorted(self) -> Vec<Scored> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect()
    }
}

/// Rows per block: a growing partition never copies more than one block.
const BLOCK: usize = 64;

/// Unit vectors by id, in blocks of contiguous memory. Order means nothing; removal swaps.
pub struct Flat {
    dim: usize,
    ids: Vec<u64>,
    blocks: Vec<Vec<f32>>,
}

impl Flat {
    pub fn new(dim: usize) -> Flat {
        Flat { dim, ids: Vec::new(), blocks: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a row. `row` must have `dim` numbers and `id` must be new.
    pub fn push(&mut self, id: u64, row: &[f32]) {
        debug_assert_eq!(row.len(), self.dim);
        if self.ids.len() == self.blocks.len() * BLOCK {
            self.blocks.push(Vec::new());
        }
        if let Some(block) = self.blocks.last_mut() {
            // The first block grows by doubling, so that a partition of one entry stays small.
            if block.len() == block.capacity() {
                let rows = if self.ids.len() < BLOCK { (block.len() / self.dim).max(1) } else { BLOCK };
                block.reserve_exact(rows * self.dim);
            }
            block.extend_from_slice(row);
            self.ids.push(id);
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

    /// Offers every row to `best`. Exact; linear in the rows.
    pub fn search(&self, query: &[f32], best: &mut Best) {
        for (block, ids) in self.blocks.iter().zip(self.ids.chunks(BLOCK)) {
            for (row, id) in block.chunks_exact(self.dim).zip(ids) {
                best.offer(Scored { id: *id, score: dot(query, row) });
            }
        }
    }

    /// Copies of up to `count` rows.
    pub fn copy(&self, count: usize) -> Vec<(u64, Vector)> {
        let rows = self.blocks.iter().flat_map(|block| block.chunks_exact(self.dim));
        self.ids.iter().zip(rows).take(count).map(|(id, row)| (*id, Vector::from(row))).collect()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let rows: usize = self.blocks.iter().map(|block| block.capacity() * size_of::<f32>()).sum();
        rows + self.ids.capacity() * size_of::<u64>() + self.blocks.capacity() * size_of::<Vec<f32>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(seed: u64, dim: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..dim).map(|_| next()).collect()
    }

    proptest! {
        #[test]
        fn the_dot_product_is_the_plain_sum_at_every_length(len in 0usize..70, seed in 1u64..1000) {
            let (a, b) = (row(seed, len), row(seed + 7, len));
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-5);
        }

        #[test]
        fn whatever_is_added_and_removed_the_search_equals_sorting_what_is_left(
            steps in proptest::collection::vec((any::<bool>(), 0u64..150), 1..300)
        ) {
            let mut flat = Flat::new(5);
            let mut model = std::collections::BTreeMap::new();
            for (add, id) in steps {
                if add && !model.contains_key(&id) {
                    flat.push(id, &row(id + 1, 5));
                    model.insert(id, row(id + 1, 5));
                } else if !add {
                    flat.remove(|row| row == id);
                    model.remove(&id);
                }
            }
            let query = row(9999, 5);
            let mut expected: Vec<Scored> =
                model.iter().map(|(id, row)| Scored { id: *id, score: dot(&query, row) }).collect();
            expected.sort_by(|a, b| b.cmp(a));
            expected.truncate(4);
            let mut best = Best::of(4, -10.0);
            flat.search(&query, &mut best);
            prop_assert_eq!(best.sorted(), expected);
            prop_assert_eq!(flat.len(), model.len());
        }
    }

    #[test]
    fn a_row_below_the_least_score_is_not_found() {
        let mut flat = Flat::new(2);
        flat.push(1, &[1.0, 0.0]);
        flat.push(2, &[0.6, 0.8]);
        let mut best = Best::of(5, 0.7);
        flat.search(&[1.0, 0.0], &mut best);
        assert_eq!(best.sorted(), [Scored { id: 1, score: 1.0 }]);
    }
}
