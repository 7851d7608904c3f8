//! What a running stand-in knows: how it behaves, and what it counted.

use super::settings::{Answers, Manner, Settings};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was counted since the start or the last reset. `calls` leaves out the stand-in's own paths;
/// `in_flight` is now, and not reset. Tokens are those of answers begun, whole or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub calls: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub in_flight: u64,
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub struct State {
    manner: ArcSwap<Manner>,
    answers: Option<Answers>,
    kept: Mutex<VecDeque<Seen>>,
    keep: usize,
    calls: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    in_flight: Arc<AtomicU64>,
}

/// Whether a request is one of those that a client would pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    Call,
    Aside,
}

/// Counts as in flight until dropped.
pub struct InFlight(Option<Arc<AtomicU64>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Relaxed);
        }
    }
}

impl State {
    pub fn new(settings: Settings) -> State {
        State {
            manner: ArcSwap::from_pointee(settings.manner),
            answers: settings.answers,
            kept: Mutex::new(VecDeque::new()),
            keep: settings.keep,
            calls: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            completion_tokens: AtomicU64::new(0),
            in_flight: Arc::new(AtomicU64::new(0)),
        }
    }

    pub fn manner(&self) -> Manner {
        **self.manner.load()
    }

    pub fn set_manner(&self, manner: Manner) {
        self.manner.store(Arc::new(manner));
    }

    pub fn answers(&self) -> Option<&Answers> {
        self.answers.as_ref()
    }

    pub fn in_flight(&self, counting: Counting) -> InFlight {
        if counting == Counting::Aside {
            return InFlight(None);
        }
        self.calls.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Some(self.in_flight.clone()))
    }

    pub fn count(&self, prompt: u64, completion: u64) {
        self.prompt_tokens.fetch_add(prompt, Relaxed);
        self.completion_tokens.fetch_add(completion, Relaxed);
    }

    pub fn keep(&self, seen: impl FnOnce() -> Seen) {
        if self.keep > 0 {
            let mut kept = self.kept.lock();
            if kept.len() == self.keep {
                kept.pop_front();
            }
            kept.push_back(seen());
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.kept.lock().iter().cloned().collect()
    }

    pub fn stats(&self) -> Stats {
        Stats {
            calls: self.calls.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            completion_tokens: self.completion_tokens.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
        }
    }

    pub fn reset(&self) {
        for count in [&self.calls, &self.prompt_tokens, &self.completion_tokens] {
            count.store(0, Relaxed);
        }
        self.kept.lock().clear();
    }
}
