//! The entries of one partition: a flat tail that takes every new row, and, once there are many, a
//! graph that the background thread moves rows into.
//!
//! ```text
//! insert ─> tail (flat) ──background──> graph (HNSW) ──too many dead──> next graph
//! nearest = candidates of tail and graph by codes, live ones only, scored by their vectors
//! ```
//! A row is always in exactly one of the two, so no insert is lost while a graph is built. Both hold
//! codes; the vector itself stays with its entry.

use super::codes::{Codes, dot};
use super::embedder::Vector;
use super::flat::Flat;
use super::hnsw::Graph;
use super::index::Neighbour;
use crate::base::digest::ExactKey;
use ahash::{HashMap, HashMapExt, HashSet};
use parking_lot::RwLock;
use std::sync::Arc;

/// Rows the tail holds beside a graph before the background thread moves them.
const TAIL: usize = 512;
/// Rows moved at a time: the lock is held while so many are copied, and while they are taken out.
const BATCH: usize = 256;
/// A graph is rebuilt when this share of its points, in percent, is dead.
const DEAD_PERCENT: usize = 30;

/// What the background thread could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    None,
    /// Move rows from the tail into the graph.
    Grow,
    /// Build a graph without the dead.
    Rebuild,
}

pub struct Entries {
    dim: usize,
    /// Rows from which a graph is kept.
    hnsw_from: usize,
    state: RwLock<State>,
}

struct State {
    entries: HashMap<ExactKey, Entry>,
    /// Every id in use, back to its key.
    keys: HashMap<u64, ExactKey>,
    tail: Flat,
    graph: Option<Arc<Graph>>,
    /// Points of the graph whose entry is gone.
    dead: usize,
    /// Never used twice, so an id found in an old graph cannot mean another entry.
    next_id: u64,
    question_bytes: usize,
    /// The background thread has this partition in its queue, or at work.
    queued: bool,
    /// The graph library failed here: stay flat.
    flat_only: bool,
}

struct Entry {
    id: u64,
    vector: Vector,
    question: Arc<str>,
    in_graph: bool,
}

impl Entries {
    pub fn new(dim: usize, hnsw_from: usize) -> Entries {
        let state = State {
            entries: HashMap::new(),
            keys: HashMap::new(),
            tail: Flat::new(dim),
            graph: None,
            dead: 0,
            next_id: 0,
            question_bytes: 0,
            queued: false,
            flat_only: false,
        };
        Entries { dim, hnsw_from, state: RwLock::new(state) }
    }

    /// Adds an entry, in place of the one with the same key. True when the background thread should
    /// come by and nobody has told it yet.
    pub fn insert(&self, key: ExactKey, vector: &Vector, question: Arc<str>) -> bool {
        let codes = Codes::of(vector);
        let mut state = self.state.write();
        state.remove(&key);
        let id = state.next_id;
        state.next_id += 1;
        state.question_bytes += question.len();
        state.tail.push(id, &codes);
        state.keys.insert(id, key);
        state.entries.insert(key, Entry { id, vector: Arc::clone(vector), question, in_graph: false });
        self.call_for_work(&mut state)
    }

    /// As `insert` says, after taking `key` out.
    pub fn remove(&self, key: &ExactKey) -> bool {
        let mut state = self.state.write();
        state.remove(key);
        self.call_for_work(&mut state)
    }

    fn call_for_work(&self, state: &mut State) -> bool {
        let call = !state.queued && state.work(self.hnsw_from) != Work::None;
        state.queued |= call;
        call
    }

    pub fn nearest(&self, query: &[f32], k: usize, min_score: f32) -> Vec<Neighbour> {
        let codes = Codes::of(query);
        let (mut found, graph) = {
            let state = self.state.read();
            (state.tail.candidates(&codes, k, min_score), state.graph.clone())
        };
        // The graph is searched without the lock; ids are never reused, so what was removed or moved
        // meanwhile is told apart below.
        if let Some(graph) = graph {
            found.extend(graph.search(&codes.row, 2 * k + 8));
        }
        self.resolve(found, query, k, min_score)
    }

    /// Every key with a cosine of at least `min_score`, and that; looks at every vector.
    pub fn within(&self, query: &[f32], min_score: f32) -> Vec<(ExactKey, f32)> {
        let state = self.state.read();
        let scored = state.entries.iter().map(|(key, entry)| (*key, dot(query, &entry.vector)));
        scored.filter(|(_, score)| *score >= min_score).collect()
    }

    /// The best of `found` by their vectors. The older of two equals comes first.
    fn resolve(&self, mut found: Vec<u64>, query: &[f32], k: usize, min_score: f32) -> Vec<Neighbour> {
        found.sort_unstable();
        found.dedup();
        let state = self.state.read();
        let live = found.into_iter().filter_map(|id| {
            let (key, entry) = state.entries.get_key_value(state.keys.get(&id)?)?;
            let score = dot(query, &entry.vector).min(1.0);
            (score >= min_score).then_some((score, key, entry))
        });
        let mut live: Vec<_> = live.collect();
        live.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = live.into_iter().take(k);
        best.map(|(score, key, entry)| Neighbour { key: *key, score, question: entry.question.clone() })
            .collect()
    }

    pub fn len(&self) -> usize {
        self.state.read().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        let state = self.state.read();
        let maps = state.entries.capacity() * (size_of::<(ExactKey, Entry)>() + 1)
            + state.keys.capacity() * (size_of::<(u64, ExactKey)>() + 1);
        let graph = state.graph.as_ref().map_or(0, |graph| graph.bytes());
        let vectors = state.entries.len() * (self.dim * size_of::<f32>() + 16);
        let questions = state.question_bytes + state.entries.len() * 16;
        size_of::<Entries>() + maps * 8 / 7 + state.tail.bytes() + graph + vectors + questions
    }

    /// One step of background work; false when there is nothing left to do. Inserts, removals and
    /// searches go on meanwhile.
    pub fn step(&self) -> bool {
        let work = {
            let mut state = self.state.write();
            let work = state.work(self.hnsw_from);
            state.queued = work != Work::None;
            work
        };
        match work {
            Work::None => return false,
            Work::Grow => self.grow(),
            Work::Rebuild => self.rebuild(),
        }
        true
    }

    fn grow(&self) {
        let (graph, rows) = {
            let mut state = self.state.write();
            let expected = state.entries.len() * 2;
            let graph = state.graph.get_or_insert_with(|| Arc::new(Graph::new(self.dim, expected)));
            // In the order they came: a graph linked in the order that removals leave takes more steps to search.
            (Arc::clone(graph), state.tail.oldest(BATCH))
        };
        let mut moved = HashSet::default();
        for (id, row) in &rows {
            if graph.insert(*id, row).is_err() {
                self.state.write().flat_only = true;
                break;
            }
            moved.insert(*id);
        }
        let mut state = self.state.write();
        state.tail.remove(|id| moved.contains(&id));
        for id in &moved {
            state.mark_in_graph(*id);
        }
    }

    fn rebuild(&self) {
        let (old, live) = {
            let state = self.state.read();
            let in_graph = state.entries.values().filter(|entry| entry.in_graph).map(|entry| entry.id);
            (state.graph.clone(), in_graph.collect::<HashSet<u64>>())
        };
        let Some(old) = old else { return };
        let next = Graph::new(self.dim, live.len() * 2);
        for (id, row) in &old.rows(|id| live.contains(&id)) {
            if next.insert(*id, row).is_err() {
                self.state.write().flat_only = true;
                return;
            }
        }
        let mut state = self.state.write();
        // Only this thread moves rows into the graph, so whatever is dead in the new one died since.
        state.dead = live.iter().filter(|id| !state.keys.contains_key(id)).count();
        let replaced = match live.is_empty() {
            true => state.graph.take(),
            false => state.graph.replace(Arc::new(next)),
        };
        drop(state);
        drop(replaced);
    }
}

impl State {
    fn remove(&mut self, key: &ExactKey) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.keys.remove(&entry.id);
        self.question_bytes -= entry.question.len();
        match entry.in_graph {
            true => self.dead += 1,
            false => self.tail.remove(|id| id == entry.id),
        }
    }

    /// The row is in the graph now; if its entry went away meanwhile, it is a dead point.
    fn mark_in_graph(&mut self, id: u64) {
        let key = self.keys.get(&id).copied();
        match key.and_then(|key| self.entries.get_mut(&key)) {
            Some(entry) => entry.in_graph = true,
            None => self.dead += 1,
        }
    }

    fn work(&self, hnsw_from: usize) -> Work {
        let points = self.graph.as_ref().map_or(0, |graph| graph.points());
        let tail = if points == 0 { hnsw_from.max(1) } else { TAIL };
        if self.flat_only {
            Work::None
        } else if points > 0 && self.dead * 100 > points * DEAD_PERCENT {
            Work::Rebuild
        } else if self.tail.len() >= tail
            || (points > 0 && points < hnsw_from / 2 && self.tail.len() >= BATCH)
        {
            Work::Grow
        } else {
            Work::None
        }
    }
}
