//! One generation of an HNSW graph. hnsw_rs cannot delete, so a generation only grows until a new one
//! takes its place.

use super::codes::cosine;
use hnsw_rs::prelude::{Distance, Hnsw};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Links a point keeps on the upper layers; twice as many on the lowest.
const LINKS: usize = 16;
/// Candidates looked at when a point is linked.
const BUILD_WIDTH: usize = 200;
const LAYERS: usize = 16;

/// Candidates kept while `points` are searched: more points take a wider search for the same recall@1. Eight more for
/// each doubling lose no nearest question at 10,000 and 5 in 1,000 at 100,000 (`cargo bench --bench semantic`).
fn search_width(points: usize) -> usize {
    let doublings = points.max(1).ilog2() as usize;
    (8 * doublings.saturating_sub(9)).max(24)
}

/// One minus the cosine of rows of codes, never below zero (hnsw_rs asserts that).
#[derive(Clone, Copy, Default)]
struct CosineDistance;

impl Distance<i8> for CosineDistance {
    fn eval(&self, a: &[i8], b: &[i8]) -> f32 {
        (1.0 - cosine(a, b)).max(0.0)
    }
}

/// A graph of rows of codes by id. Inserting and searching may run at once; a search may or may not
/// see a point that is being inserted.
pub struct Graph {
    hnsw: Hnsw<'static, i8, CosineDistance>,
    dim: usize,
}

/// A point could not be linked: a defect of the graph library. The caller keeps the row elsewhere.
#[derive(Debug)]
pub struct Refused;

impl Graph {
    /// `expected` only sizes tables.
    pub fn new(dim: usize, expected: usize) -> Graph {
        let hnsw = Hnsw::new(LINKS, expected, LAYERS, BUILD_WIDTH, CosineDistance);
        Graph { hnsw, dim }
    }

    /// Links a point. 0.5 ms on average while 10,000 were linked, 1.0 ms while 100,000 were; the background
    /// thread's time, not a caller's.
    pub fn insert(&self, id: u64, row: &[i8]) -> Result<(), Refused> {
        let id = usize::try_from(id).map_err(|_| Refused)?;
        catch_unwind(AssertUnwindSafe(|| self.hnsw.insert((row, id)))).map_err(|_| Refused)
    }

    /// About the best `k` by codes, dead points among them. Empty if the graph library fails.
    pub fn search(&self, query: &[i8], k: usize) -> Vec<u64> {
        let search = || self.hnsw.search(query, k, search_width(self.points()).max(k));
        let found = catch_unwind(AssertUnwindSafe(search)).unwrap_or_default();
        found.iter().map(|point| point.d_id as u64).collect()
    }

    /// Points, dead ones included.
    pub fn points(&self) -> usize {
        self.hnsw.get_nb_point()
    }

    /// Copies of the rows that `live` lets through, those with the lowest ids first.
    pub fn rows(&self, live: impl Fn(u64) -> bool) -> Vec<(u64, Vec<i8>)> {
        let points = self.hnsw.get_point_indexation().into_iter();
        let copies = points.map(|point| (point.get_origin_id() as u64, point));
        let copies = copies.filter(|(id, _)| live(*id)).map(|(id, point)| (id, point.get_v().to_vec()));
        let mut rows: Vec<_> = copies.collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        rows
    }

    /// Bytes held, by estimate: the row, and what was measured beside it per point (see
    /// `POINT_OVERHEAD`).
    pub fn bytes(&self) -> usize {
        self.points() * (self.dim + POINT_OVERHEAD)
    }
}

/// Bytes per point beside its row: links (one allocation each), sixteen lists, reference counts. Resident memory
/// grew by 1,260 bytes an entry more than without a graph at 10,000 rows of 512 numbers, and by less at 100,000, where
/// memory that was freed before was used again (`benches/results/2026-11-22-2core-epyc/semantic.txt`). Counted is
/// more: with too low a count the cache outgrows its cap.
pub const POINT_OVERHEAD: usize = 1_800;
